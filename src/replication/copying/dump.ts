// The names of all keys that one memcached holds, through its `lru_crawler metadump`, on a connection of its own. It is
// read as fast as leaves clients' requests room, and never left alone for long: a stalled reader can hang the server's
// worker.
import { versionAtLeast } from "../../backend/server_version.ts";
import { CR, latin1, LF, SPACE, textOf } from "../../bytes/ascii.ts";
import type { Address, Attempt, Clock, Net, Socket, SocketHandlers, Timer } from "../../platform/platform.ts";

/** Without a byte for this long the dump is given up, ms. */
const STALL_MS = 1000;
/** What came while we were away ourselves lies in the kernel: so long it is waited for once more, ms. */
const UNREAD_MS = 100;
/** How often a crawler that is busy or locked is asked again, and after which time, ms. */
const BUSY_TRIES = 20, BUSY_MS = 250;
/**
 * `metadump all` leaves out every key whose move up the LRU is pending since it was read, many thousands at a time: passes
 * are united until one adds nothing. memcached makes the pending moves once a second or more often: passes that
 * follow each other faster leave out the same keys.
 */
const PASSES_MAX = 5, PASS_PAUSE_MS = 1200;
/**
 * Lines read at a time, and the longest that this may take, ms, looked at every so many lines: mostly they take about as long,
 * but thirty milliseconds and more as long as the runtime has not compiled this. Clients' requests pass between.
 */
const LINES_AT_ONCE = 1000, SLICE_MS = 0.25, SLICE_ALONE_MS = 10, LINES_A_LOOK = 32;
/** So many bytes that are not read yet are enough: what follows waits in the kernel, milliseconds at most. */
const UNREAD_MAX = 512 * 1024, UNREAD_FEW = 128 * 1024;
const NOTHING = new Uint8Array(0);
const KEY_IS = latin1("key=");
const PERCENT = 37;
/** memcached's own limit. */
const KEY_BYTES_MAX = 250;

export interface DumpWorld {
  readonly net: Net;
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  /** No client waits for this process. */
  readonly alone?: boolean;
}

/** Where the keys of a dump go. */
export interface DumpedKeys {
  /**
   * Takes the key bytes[start, end), valid during the call only; words[from, to) is the rest of its line:
   * ` exp=… la=… cas=… …`. True when the key is new here.
   */
  add(bytes: Uint8Array, start: number, end: number, words: Uint8Array, from: number, to: number): boolean;
}

/** Keys as texts of characters 0–255. */
export function intoTexts(keys: Set<string>): DumpedKeys {
  return {
    add(bytes, start, end) {
      const before = keys.size;
      return keys.add(textOf(bytes, start, end)).size > before;
    },
  };
}

export class Dump implements SocketHandlers {
  private socket: Socket | null = null;
  private attempt: Attempt | null = null;
  private timer: Timer | null = null;
  /** A dump was asked for and has not ended. */
  private asked = false;
  /** What has come and was not read: the first chunk from `at` on. */
  private readonly chunks: Uint8Array[] = [];
  private at = 0;
  private unread = 0;
  private turn: Timer | null = null;
  /** The beginning of a line whose end has not come. */
  private rest: Uint8Array = NOTHING;
  private busy = 0;
  private passes = 0;
  private newKeys = 0;
  private over = false;
  /** What the kernel has not taken of the command. */
  private unsent: Uint8Array = NOTHING;
  /** An escaped key as it is. */
  private readonly plain = new Uint8Array(KEY_BYTES_MAX);

  /** Adds each key to `keys`; done(null) when complete, else done(why not). */
  constructor(
    private readonly world: DumpWorld,
    private readonly address: Address,
    /** The server knows `metadump hash`, which misses nothing in one pass (memcached ≥ 1.6.19). */
    private readonly byHash: boolean,
    private readonly keys: DumpedKeys,
    private readonly done: (problem: string | null) => void,
  ) {}

  start(): void {
    this.attempt = this.world.net.connect(this.address, this.world.connectTimeoutMs, this);
  }

  /** Gives up; done is not called any more. */
  abort(): void {
    this.over = true;
    this.timer?.cancel();
    this.turn?.cancel();
    this.attempt?.abort();
    this.socket?.abort();
  }

  onOpen(socket: Socket): void {
    this.attempt = null;
    this.socket = socket;
    if (this.over) return socket.abort();
    this.ask();
  }

  onData(chunk: Uint8Array): void {
    if (this.over) return;
    this.watch();
    this.chunks.push(chunk);
    this.unread += chunk.length;
    if (this.unread > UNREAD_MAX) this.socket!.pause();
    this.later();
  }

  onDrain(): void {
    const { unsent } = this;
    if (this.over || unsent.length === 0) return;
    this.unsent = unsent.subarray(this.socket!.write(unsent, 0, unsent.length));
  }
  onEnd(): void {
    this.lost("closed");
  }
  onClose(cause: string): void {
    this.lost(cause);
  }

  /** What came before may hold the end of the dump. */
  private lost(cause: string): void {
    this.read(Infinity, Infinity);
    this.finish(cause);
  }

  /** Lines are read for a while, so that what else is ready need not wait for all of them. */
  private later(): void {
    this.turn ??= this.world.clock.timer(1, () => {
      this.turn = null;
      this.read(LINES_AT_ONCE, this.world.alone === true ? SLICE_ALONE_MS : SLICE_MS);
      if (this.over) return;
      if (this.unread < UNREAD_FEW) this.socket!.resume();
      if (this.chunks.length === 0) this.watch();
      else this.later();
    });
  }

  /** At most so many lines, for about so long. */
  private read(most: number, mostMs: number): void {
    let lines = 0;
    const { clock } = this.world;
    const endMs = mostMs === Infinity ? Infinity : clock.nowMs() + mostMs;
    while (!this.over && this.chunks.length > 0) {
      const chunk = this.chunks[0]!;
      while (lines++ < most) {
        if (lines % LINES_A_LOOK === 0 && endMs !== Infinity && clock.nowMs() > endMs) return;
        const lf = chunk.indexOf(LF, this.at);
        if (lf === -1) break;
        if (this.rest.length > 0) this.torn(chunk, lf);
        else if (startsKey(chunk, this.at)) this.key(chunk, this.at + KEY_IS.length, lf);
        else this.line(chunk, this.at, lf);
        if (this.over) return;
        this.at = lf + 1;
      }
      if (lines > most) return;
      this.rest = join(this.rest, chunk, this.at, chunk.length);
      this.unread -= chunk.length;
      this.chunks.shift();
      this.at = 0;
    }
  }

  /** A line that began in an earlier chunk. */
  private torn(chunk: Uint8Array, lf: number): void {
    const line = join(this.rest, chunk, this.at, lf + 1);
    this.rest = NOTHING;
    if (startsKey(line, 0)) this.key(line, KEY_IS.length, line.length - 1);
    else this.line(line, 0, line.length - 1);
  }

  private ask(): void {
    const command = latin1(`lru_crawler metadump ${this.byHash ? "hash" : "all"}\r\n`);
    this.newKeys = 0;
    this.asked = true;
    this.watch();
    this.unsent = command;
    this.onDrain();
  }

  /** A million of these come at once: no text is made, no byte is looked at twice. */
  private key(bytes: Uint8Array, start: number, lf: number): void {
    let space = start;
    let escaped = false;
    for (let byte = bytes[space]!; byte > SPACE; byte = bytes[++space]!) if (byte === PERCENT) escaped = true;
    const isNew = escaped
      ? this.keys.add(this.plain, 0, unescape(bytes, start, space, this.plain), bytes, space, lf)
      : this.keys.add(bytes, start, space, bytes, space, lf);
    if (isNew) this.newKeys++;
  }

  private line(bytes: Uint8Array, start: number, lf: number): void {
    const end = bytes[lf - 1] === CR ? lf - 1 : lf;
    const text = textOf(bytes, start, end);
    if (text === "END") return this.passDone();
    if (text === "OK" || text === "") return;
    if (!text.startsWith("BUSY") && !text.startsWith("ERROR locked")) return this.finish(text.slice(0, 80));
    if (++this.busy > BUSY_TRIES) return this.finish("the server's crawler stays busy");
    this.askIn(BUSY_MS);
  }

  private passDone(): void {
    this.passes++;
    if (this.byHash || (this.passes > 1 && this.newKeys === 0) || this.passes === PASSES_MAX) return this.finish(null);
    this.askIn(PASS_PAUSE_MS);
  }

  /** Nothing is expected of the server until then. */
  private askIn(ms: number): void {
    this.asked = false;
    this.timer?.cancel();
    this.timer = this.world.clock.timer(ms, () => this.ask());
  }

  private watch(): void {
    if (!this.asked) return;
    this.timer?.cancel();
    this.timer = this.world.clock.timer(STALL_MS, () => {
      // What has come and was not read yet is no silence of the server's.
      if (this.chunks.length > 0) return this.watch();
      this.timer = this.world.clock.timer(UNREAD_MS, () => (this.chunks.length > 0 ? this.watch() : this.finish("stalled")));
    });
  }

  private finish(problem: string | null): void {
    if (this.over) return;
    this.abort();
    this.done(problem);
  }
}

/** memcached ≥ 1.6.19 dumps by hash table, missing nothing. */
export function dumpsByHash(version: string): boolean {
  return versionAtLeast(version, [1, 6, 19]);
}

/** a, then b[start, end), as one. */
function join(a: Uint8Array, b: Uint8Array, start: number, end: number): Uint8Array {
  if (a.length === 0 && start === end) return NOTHING;
  const both = new Uint8Array(a.length + end - start);
  both.set(a);
  both.set(b.subarray(start, end), a.length);
  return both;
}

function startsKey(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === KEY_IS[0] && bytes[at + 1] === KEY_IS[1] && bytes[at + 2] === KEY_IS[2] && bytes[at + 3] === KEY_IS[3];
}

/** Writes a key that metadump has escaped (bytes other than plain ones as %XX) to `to`; returns its length. */
function unescape(bytes: Uint8Array, start: number, end: number, to: Uint8Array): number {
  let length = 0;
  for (let at = start; at < end && length < to.length; at++) {
    const coded = bytes[at] === PERCENT && at + 2 < end ? hex(bytes[at + 1]!) * 16 + hex(bytes[at + 2]!) : NaN;
    if (Number.isNaN(coded)) to[length++] = bytes[at]!;
    else {
      to[length++] = coded;
      at += 2;
    }
  }
  return length;
}

/** A hexadecimal digit's value, or NaN. */
function hex(byte: number): number {
  return byte >= 48 && byte <= 57 ? byte - 48 : byte >= 65 && byte <= 70 ? byte - 55 : byte >= 97 && byte <= 102 ? byte - 87 : NaN;
}
