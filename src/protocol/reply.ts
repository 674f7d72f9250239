// Reads what a memcached answers: one line at a time, bytes in, offsets out. Knows which lines may answer which
// request, so that a reply which cannot belong to its request is seen at once.
import { equal, latin1, NINE, parseUint, SPACE, ZERO } from "../bytes/ascii.ts";

/** What a line says. */
export const Status = {
  UNKNOWN: 0, STORED: 1, NOT_STORED: 2, EXISTS: 3, NOT_FOUND: 4, DELETED: 5, TOUCHED: 6, OK: 7, END: 8, NUMBER: 9,
  ERROR: 10, CLIENT_ERROR: 11, SERVER_ERROR: 12, HD: 13, EN: 14, NF: 15, NS: 16, EX: 17, MN: 18, STAT: 19,
  VALUE: 20, VA: 21, RESET: 22,
} as const;
export type StatusCode = (typeof Status)[keyof typeof Status];

/** What kind of answer a request waits for. */
export const Expect = {
  STORE: 0, NUMBER: 1, DELETE: 2, TOUCH: 3, OK: 4, VALUES: 5, META: 6, STATS: 7, NOOP: 8, META_STORE: 9,
} as const;
export type ExpectCode = (typeof Expect)[keyof typeof Expect];

const errors = (1 << Status.ERROR) | (1 << Status.CLIENT_ERROR) | (1 << Status.SERVER_ERROR);
const mask = (...statuses: number[]): number => statuses.reduce((sum, status) => sum | (1 << status), errors);

/** Statuses that may answer each expectation, as bit sets. */
const ALLOWED: readonly number[] = [
  mask(Status.STORED, Status.NOT_STORED, Status.EXISTS, Status.NOT_FOUND),
  mask(Status.NUMBER, Status.NOT_FOUND),
  mask(Status.DELETED, Status.NOT_FOUND),
  mask(Status.TOUCHED, Status.NOT_FOUND),
  mask(Status.OK),
  mask(Status.VALUE, Status.END),
  mask(Status.VA, Status.HD, Status.EN, Status.NF, Status.NS, Status.EX),
  mask(Status.STAT, Status.END, Status.RESET),
  mask(Status.MN),
  mask(Status.HD, Status.NS, Status.EX, Status.NF),
];

/** True when a line of this status may answer that expectation. */
export function mayAnswer(expect: ExpectCode, status: StatusCode): boolean {
  return (ALLOWED[expect]! & (1 << status)) !== 0;
}

/** Whole-line answers (without CR LF) and words that a line may start with, longest first. */
const WHOLE: readonly [Uint8Array, StatusCode][] = (
  [
    ["END", Status.END], ["STORED", Status.STORED], ["NOT_STORED", Status.NOT_STORED], ["EXISTS", Status.EXISTS],
    ["NOT_FOUND", Status.NOT_FOUND], ["DELETED", Status.DELETED], ["TOUCHED", Status.TOUCHED], ["OK", Status.OK],
    ["ERROR", Status.ERROR], ["MN", Status.MN], ["RESET", Status.RESET], ["EN", Status.EN],
  ] as const
).map(([text, status]) => [latin1(text), status]);

const STARTS: readonly [Uint8Array, StatusCode][] = (
  [
    ["HD", Status.HD], ["NF", Status.NF], ["NS", Status.NS], ["EX", Status.EX], ["STAT ", Status.STAT],
    ["CLIENT_ERROR ", Status.CLIENT_ERROR], ["SERVER_ERROR ", Status.SERVER_ERROR],
  ] as const
).map(([text, status]) => [latin1(text), status]);

/** Status of the line bytes[start, textEnd) (its CR LF excluded). VALUE and VA are only recognised by their word. */
export function statusOf(bytes: Uint8Array, start: number, textEnd: number): StatusCode {
  const length = textEnd - start;
  const first = bytes[start]!;
  if (first === 86 && length > 3) {
    if (bytes[start + 1] === 65 && bytes[start + 2] === SPACE) return Status.VA;
    return length > 6 && equal(bytes, start, VALUE_, 0, 6) ? Status.VALUE : Status.UNKNOWN;
  }
  if (first >= ZERO && first <= NINE) {
    for (let i = start + 1; i < textEnd; i++) {
      // A decremented number keeps its old length and is padded with spaces.
      if ((bytes[i]! < ZERO || bytes[i]! > NINE) && bytes[i] !== SPACE) return Status.UNKNOWN;
    }
    return length <= 20 ? Status.NUMBER : Status.UNKNOWN;
  }
  for (let i = 0; i < WHOLE.length; i++) {
    const [text, status] = WHOLE[i]!;
    if (text.length === length && text[0] === first && equal(bytes, start, text, 0, length)) return status;
  }
  for (let i = 0; i < STARTS.length; i++) {
    const [text, status] = STARTS[i]!;
    if (text[0] !== first || text.length > length || !equal(bytes, start, text, 0, text.length)) continue;
    // HD, NF, NS, EX stand alone or are followed by flags.
    if (text.length > 2 || length === 2 || bytes[start + 2] === SPACE) return status;
  }
  return Status.UNKNOWN;
}
const VALUE_ = latin1("VALUE ");

/** One item of an answer: `VALUE key flags bytes [cas]` or `VA bytes flag*`, with its data block, as offsets. */
export class ValueView {
  bytes: Uint8Array = EMPTY;
  /** The header line's first byte; the item is bytes[start, end) with the final CR LF (or what has come of it). */
  start = 0;
  end = 0;
  keyStart = 0;
  keyEnd = 0;
  /** VALUE: the client flags. VA: all meta flags of the line. */
  flagsStart = 0;
  flagsEnd = 0;
  /** VALUE: the cas unique, or 0,0 without one. */
  casStart = 0;
  casEnd = 0;
  dataStart = 0;
  dataBytes = 0;
  /** More of the data follows through onChunk. */
  partial = false;

  /** Length of the whole item: header, data, CR LF. */
  get itemBytes(): number {
    return this.dataStart - this.start + this.dataBytes + 2;
  }

  /** Reads the header line bytes[start, textEnd) whose data begins at dataStart. False when it is malformed. */
  readHeader(status: StatusCode, bytes: Uint8Array, start: number, textEnd: number, dataStart: number): boolean {
    this.bytes = bytes;
    this.start = start;
    this.dataStart = dataStart;
    this.casStart = this.casEnd = 0;
    if (status === Status.VA) {
      let at = start + 3;
      while (at < textEnd && bytes[at] !== SPACE) at++;
      this.dataBytes = parseUint(bytes, start + 3, at);
      this.flagsStart = at;
      this.flagsEnd = textEnd;
      return this.dataBytes >= 0 && this.dataBytes <= ITEM_BYTES_MAX;
    }
    this.keyStart = start + 6;
    this.keyEnd = wordEnd(bytes, this.keyStart, textEnd);
    this.flagsStart = this.keyEnd + 1;
    this.flagsEnd = wordEnd(bytes, this.flagsStart, textEnd);
    const lengthStart = this.flagsEnd + 1;
    const lengthEnd = wordEnd(bytes, lengthStart, textEnd);
    this.dataBytes = parseUint(bytes, lengthStart, lengthEnd);
    if (lengthEnd < textEnd) {
      this.casStart = lengthEnd + 1;
      this.casEnd = textEnd;
      if (!isUnique(bytes, this.casStart, this.casEnd)) return false;
    }
    return this.dataBytes >= 0 && this.dataBytes <= ITEM_BYTES_MAX && this.flagsEnd > this.flagsStart && this.keyEnd > this.keyStart;
  }
}
const EMPTY = new Uint8Array(0);
/** memcached's own upper bound of -I: a longer item is no item. */
const ITEM_BYTES_MAX = 1024 * 1024 * 1024;

/** 1 to 20 digits. */
function isUnique(bytes: Uint8Array, start: number, end: number): boolean {
  if (end <= start || end - start > 20) return false;
  for (let i = start; i < end; i++) if (bytes[i]! < ZERO || bytes[i]! > NINE) return false;
  return true;
}

function wordEnd(bytes: Uint8Array, from: number, limit: number): number {
  let at = from;
  while (at < limit && bytes[at] !== SPACE) at++;
  return at;
}

/** The value of meta flag `letter` in bytes[start, end) as offsets [from, to), written to `out`; false when absent. */
export function metaFlag(bytes: Uint8Array, start: number, end: number, letter: number, out: Int32Array): boolean {
  let at = start;
  while (at < end) {
    while (at < end && bytes[at] === SPACE) at++;
    const stop = wordEnd(bytes, at, end);
    if (at < stop && bytes[at] === letter) {
      out[0] = at + 1;
      out[1] = stop;
      return true;
    }
    at = stop;
  }
  return false;
}
