// Reads one command line of memcached's text protocol: bytes in, offsets out. Never throws, never copies, keeps no
// bytes. Accepts and refuses what memcached 1.6 does, in its words.
//
//   bytes:  …| set key 0 0 5 noreply \r \n | data…
//            ▲start                       ▲next          words[2i], words[2i+1] = start, end of word i
import { CR, indexOf, latin1, LF, NINE, SPACE, ZERO } from "../bytes/ascii.ts";
import { BAD_DELETE, BAD_DELTA, BAD_EXPTIME, BAD_FORMAT, ERROR } from "./answers.ts";
import { type Command, COMMANDS, Op, type OpCode, VERB } from "./commands.ts";
import { parseInt64, parseUint64 } from "./numbers.ts";

/** memcached's limit of a key, bytes. */
export const KEY_BYTES_MAX = 250;
/** Words kept per line; further ones are only counted (keys of a multi-get are walked in place). */
const WORDS_KEPT = 9;
/** memcached's INT_MAX - 2: a data block cannot be longer. */
const VALUE_BYTES_MAX = 2147483645;
const INT32_MAX = 2147483647;
const UNDERSCORE = 95;
/** Without a newline in this many bytes memcached closes, unless the line is a get. */
const LINE_BYTES_MAX = 2048;

/** What read() found. */
export const Found = { PARTIAL: 0, LINE: 1, OVERLONG: 2 } as const;
export type FoundCode = (typeof Found)[keyof typeof Found];

const NOREPLY = [110, 111, 114, 101, 112, 108, 121];
const GET_ = [103, 101, 116, 32], GETS = [103, 101, 116, 115], GAT_ = [103, 97, 116, 32], GATS = [103, 97, 116, 115];

/** The verbs' bytes by op, and the commands by first letter: a handful of comparisons finds one. */
const NAME_BYTES: readonly Uint8Array[] = VERB.map((verb) => latin1(verb ?? ""));
const BY_LETTER: readonly (readonly Command[] | undefined)[] = Array.from({ length: 128 }, (_, letter) => {
  const candidates = COMMANDS.filter(({ name }) => name.charCodeAt(0) === letter);
  return candidates.length === 0 ? undefined : candidates;
});

export class RequestReader {
  /** The command, or UNKNOWN when error says why there is none. */
  op: OpCode = Op.UNKNOWN;
  /** What memcached would answer instead of executing the line, or null. */
  error: Uint8Array | null = null;
  /** The line said noreply (where the command has it): also its error is not sent. */
  noreply = false;
  /** Index after the line feed. */
  next = 0;
  /** Index after the last character of the line's text (before CR LF, or at a NUL). */
  textEnd = 0;
  /** Number of words, the verb included. */
  words = 0;
  /** Start and end of each of the first nine words. */
  readonly at = new Int32Array(WORDS_KEPT * 2);
  /** The first key. */
  keyStart = 0;
  keyEnd = 0;
  /** Where the keys begin for get and gat. */
  keysStart = 0;
  /** Keys on a get or gat line. */
  keys = 0;
  /** Length of the data block without its CR LF; -1 for commands without one. */
  valueBytes = -1;
  /** The line is spelt in the plainest way (single spaces, digits, CR LF, no noreply): it may be forwarded as it is. */
  plain = false;
  /** Some key begins with an underscore, as the names of tandem's own items do; means nothing without keys. */
  marked = false;

  /**
   * Looks for one line in bytes[start, end), of which the first `scanned` are known to hold no line feed.
   * LINE: the fields describe it. PARTIAL: more bytes are needed. OVERLONG: memcached would close here.
   */
  read(bytes: Uint8Array, start: number, end: number, scanned: number): FoundCode {
    const lf = indexOf(bytes, LF, start + scanned, end);
    if (lf === -1) return end - start > LINE_BYTES_MAX && !mayBeLong(bytes, start, end) ? Found.OVERLONG : Found.PARTIAL;
    this.next = lf + 1;
    this.tokenize(bytes, start, lf);
    this.understand(bytes);
    return Found.LINE;
  }

  /** Start of the key at or after `from` on this get line, or -1; its end is in nextKeyEnd. */
  nextKey(bytes: Uint8Array, from: number): number {
    let i = from;
    while (i < this.textEnd && bytes[i] === SPACE) i++;
    if (i >= this.textEnd) return -1;
    let j = i + 1;
    while (j < this.textEnd && bytes[j] !== SPACE) j++;
    this.nextKeyEnd = j;
    return i;
  }
  nextKeyEnd = 0;

  private tokenize(bytes: Uint8Array, start: number, lf: number): void {
    const at = this.at;
    let stop = lf;
    this.plain = false;
    if (stop > start && bytes[stop - 1] === CR) {
      stop--;
      this.plain = true;
    }
    let words = 0;
    let wordStart = start;
    let i = start;
    for (; i < stop; i++) {
      const byte = bytes[i]!;
      if (byte === SPACE) {
        if (i > wordStart) {
          if (words < WORDS_KEPT) {
            at[words * 2] = wordStart;
            at[words * 2 + 1] = i;
          }
          words++;
        } else this.plain = false;
        wordStart = i + 1;
      } else if (byte === 0) {
        // memcached's lines are C strings: a NUL ends them.
        this.plain = false;
        break;
      }
    }
    this.textEnd = i;
    if (i > wordStart) {
      if (words < WORDS_KEPT) {
        at[words * 2] = wordStart;
        at[words * 2 + 1] = i;
      }
      words++;
    } else this.plain = false;
    this.words = words;
  }

  private understand(bytes: Uint8Array): void {
    this.noreply = false;
    this.error = null;
    this.valueBytes = -1;
    const command = this.words === 0 ? null : find(bytes, this.at[0]!, this.at[1]!);
    if (command === null || this.words < command.wordsMin || this.words > command.wordsMax) {
      this.op = Op.UNKNOWN;
      this.error = ERROR;
      return;
    }
    this.op = command.op;
    this.keyStart = this.at[2]!;
    this.keyEnd = this.at[3]!;
    this.marked = bytes[this.keyStart] === UNDERSCORE;
    switch (command.shape) {
      case "keys":
        return this.keysFrom(bytes, 1);
      case "exptime-keys":
        if (!this.isExptime(bytes, 1)) return this.refuse(BAD_EXPTIME);
        return this.keysFrom(bytes, 2);
      case "store":
        return this.store(bytes, 5);
      case "cas":
        return this.store(bytes, 6);
      case "delta":
        this.seeNoreply(bytes);
        if (this.keyTooLong()) return this.refuse(BAD_FORMAT);
        if (!this.isNumber(bytes, 2) && parseUint64(bytes, this.at[4]!, this.at[5]!) === null) this.refuse(BAD_DELTA);
        return;
      case "touch":
        this.seeNoreply(bytes);
        if (this.keyTooLong()) return this.refuse(BAD_FORMAT);
        if (!this.isExptime(bytes, 2)) this.refuse(BAD_EXPTIME);
        return;
      case "delete":
        return this.deletion(bytes);
      case "flush":
        this.seeNoreply(bytes);
        if (this.words !== (this.noreply ? 2 : 1) && !this.isExptime(bytes, 1)) this.refuse(BAD_EXPTIME);
        return;
      case "verbosity":
        this.seeNoreply(bytes);
        if (parseUint64(bytes, this.at[2]!, this.at[3]!) === null) this.refuse(BAD_FORMAT);
        return;
      case "words":
        return;
    }
  }

  private keysFrom(bytes: Uint8Array, word: number): void {
    this.keys = this.words - word;
    if (this.keys === 0) {
      this.keysStart = this.textEnd;
      return;
    }
    this.keysStart = this.keyStart = this.at[word * 2]!;
    this.keyEnd = this.at[word * 2 + 1]!;
    this.marked = bytes[this.keyStart] === UNDERSCORE;
    if (this.keys === 1) {
      if (this.keyEnd - this.keyStart > KEY_BYTES_MAX) this.refuse(BAD_FORMAT);
      return;
    }
    // One bad key refuses the whole line before anything is asked.
    for (let at = this.nextKey(bytes, this.keysStart); at !== -1; at = this.nextKey(bytes, this.nextKeyEnd)) {
      if (this.nextKeyEnd - at > KEY_BYTES_MAX) return this.refuse(BAD_FORMAT);
      if (bytes[at] === UNDERSCORE) this.marked = true;
    }
  }

  private store(bytes: Uint8Array, words: number): void {
    this.seeNoreply(bytes);
    if (this.words > words) this.plain = false;
    if (this.keyTooLong()) return this.refuse(BAD_FORMAT);
    if (!this.isNumber(bytes, 2)) {
      const flags = parseUint64(bytes, this.at[4]!, this.at[5]!);
      if (flags === null) return this.refuse(BAD_FORMAT);
    }
    if (!this.isExptime(bytes, 3)) return this.refuse(BAD_FORMAT);
    let length = 0;
    if (this.isNumber(bytes, 4)) {
      for (let i = this.at[8]!; i < this.at[9]!; i++) length = length * 10 + bytes[i]! - ZERO;
    } else {
      const unusual = parseInt64(bytes, this.at[8]!, this.at[9]!);
      if (unusual === null) return this.refuse(BAD_FORMAT);
      length = Number(BigInt.asIntN(32, unusual));
    }
    if (length > INT32_MAX) {
      // memcached keeps the lower 32 bits of a length; servers are told what it comes to.
      length |= 0;
      this.plain = false;
    }
    if (length < 0 || length > VALUE_BYTES_MAX) return this.refuse(BAD_FORMAT);
    if (words === 6 && !this.isNumber(bytes, 5) && parseUint64(bytes, this.at[10]!, this.at[11]!) === null) {
      return this.refuse(BAD_FORMAT);
    }
    this.valueBytes = length;
  }

  private deletion(bytes: Uint8Array): void {
    if (this.words > 2) {
      const start = this.at[4]!;
      const holdIsZero = this.at[5]! - start === 1 && bytes[start] === ZERO;
      this.seeNoreply(bytes);
      const valid = this.words === 3 ? holdIsZero || this.noreply : holdIsZero && this.noreply;
      if (!valid) return this.refuse(BAD_DELETE);
      this.plain = false;
    }
    if (this.keyTooLong()) this.refuse(BAD_FORMAT);
  }

  private refuse(error: Uint8Array): void {
    this.error = error;
  }

  private keyTooLong(): boolean {
    return this.keyEnd - this.keyStart > KEY_BYTES_MAX;
  }

  /** The last word is "noreply". */
  private seeNoreply(bytes: Uint8Array): void {
    const last = this.words - 1;
    const start = this.at[last * 2]!;
    if (last < 1 || this.at[last * 2 + 1]! - start !== 7) return;
    for (let i = 0; i < 7; i++) if (bytes[start + i] !== NOREPLY[i]) return;
    this.noreply = true;
    this.plain = false;
  }

  /** Word `index` is 1 to 10 plain digits. Clears `plain` when not. */
  private isNumber(bytes: Uint8Array, index: number): boolean {
    const start = this.at[index * 2]!, end = this.at[index * 2 + 1]!;
    let good = end - start <= 10;
    for (let i = start; good && i < end; i++) good = bytes[i]! >= ZERO && bytes[i]! <= NINE;
    if (!good) this.plain = false;
    return good;
  }

  private isExptime(bytes: Uint8Array, index: number): boolean {
    return this.isNumber(bytes, index) || parseInt64(bytes, this.at[index * 2]!, this.at[index * 2 + 1]!) !== null;
  }
}

function find(bytes: Uint8Array, start: number, end: number): Command | null {
  const candidates = BY_LETTER[bytes[start]!];
  if (candidates === undefined) return null;
  const length = end - start;
  next: for (let c = 0; c < candidates.length; c++) {
    const command = candidates[c]!;
    const name = NAME_BYTES[command.op]!;
    if (name.length !== length) continue;
    for (let i = 1; i < length; i++) if (name[i] !== bytes[start + i]) continue next;
    return command;
  }
  return null;
}

/** A line without end is only kept when it can be a get or gat with many keys. */
function mayBeLong(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && bytes[at] === SPACE) at++;
  if (at - start > 100) return false;
  return [GET_, GETS, GAT_, GATS].some((verb) => verb.every((byte, i) => bytes[at + i] === byte));
}
