// One client of an embedded server: cuts its input into lines and values, runs them in order, and sends the answers
// in one write a turn. Input in any pieces gives the same answers.
//
//   onData ─▶ input (unread from `at`) ─▶ line held in part │ value being filled │ bytes to swallow ─▶ command
//   answers ─▶ out ─▶ one write at the end of the turn; above OUT_HIGH nothing more is read until it has drained
import { indexOf, textOf, LF, CR } from "../bytes/ascii.ts";
import { Outbound, plainCopy, type TailPool } from "../bytes/outbound.ts";
import type { Flushable, Turn } from "../bytes/turn.ts";
import type { CloseCause, Socket, SocketHandlers } from "../platform/platform.ts";
import type { ConnectionView, Engine, Session } from "./engine.ts";
import type { Item } from "./store.ts";
import { runLine } from "./text.ts";

/** Answers waiting above this stop the reading, bytes. */
const OUT_HIGH = 1024 * 1024;
/** A longer line that is not a get or gets ends the connection, bytes. */
const LINE_MAX = 2048;
/** Blanks before such a long get that are still forgiven. */
const BLANKS_MAX = 100;
/** How long a peer may take to close after we have, ms. */
const FINISH_MS = 2000;
/** The first byte of memcached's binary protocol. */
const BINARY = 0x80;
const REFUSAL = "ERROR Too many open connections\r\n";
const EMPTY = new Uint8Array(0);

type Mode = "line" | "value" | "swallow" | "dump" | "closing" | "closed";

/** What a connection needs of its server. */
export interface Home {
  readonly engine: Engine;
  readonly turn: Turn;
  readonly pool: TailPool;
  readonly text: typeof textOf;
  /** Takes a new connection in and gives it a file number; null when there are too many. */
  enter(connection: Connection): number | null;
  leave(connection: Connection): void;
}

export class Connection implements SocketHandlers, Session, Flushable, ConnectionView {
  joined = false;
  fd = 0;
  lastCommand = 0;
  private readonly out: Outbound;
  private readonly sink = {
    write: (bytes: Uint8Array, start: number, end: number): number => {
      const taken = this.socket!.write(bytes, start, end);
      this.home.engine.counters.bytes_written += taken;
      return taken;
    },
  };
  private socket: Socket | null = null;
  private mode: Mode = "line";
  private input: Uint8Array = EMPTY;
  private at = 0;
  /** A line that has not ended yet: line[0, lineUsed). */
  private line: Uint8Array = EMPTY;
  private lineUsed = 0;
  private value: Uint8Array = EMPTY;
  private valueUsed = 0;
  private onValue: (value: Uint8Array) => void = () => {};
  private swallowing = 0;
  private afterSwallow = "";
  private dumping: { items: Iterator<Item>; line: (item: Item) => string; last: string } | null = null;
  private paused = false;
  private ended = false;
  private running = false;
  private fresh = true;

  constructor(private readonly home: Home) {
    this.out = new Outbound(home.pool);
  }

  get remote(): string {
    return this.socket?.remote ?? "";
  }

  get local(): string {
    return this.socket?.local ?? "";
  }

  /** memcached's word for what this connection is doing; half a line still counts as waiting for input there. */
  get state(): string {
    if (this.running) return "conn_parse_cmd";
    if (this.mode === "dump") return "conn_watch";
    if (this.out.blocked || this.at < this.input.length) return "conn_mwrite";
    if (this.mode === "value") return "conn_nread";
    if (this.mode === "swallow") return "conn_swallow";
    if (this.mode === "closing") return "conn_closing";
    return this.fresh ? "conn_new_cmd" : "conn_read";
  }

  onOpen(socket: Socket): void {
    this.socket = socket;
    this.lastCommand = this.home.engine.time.now();
    const fd = this.home.enter(this);
    if (fd === null) {
      this.write(REFUSAL);
      this.close();
    } else {
      this.fd = fd;
    }
  }

  onData(bytes: Uint8Array): void {
    if (this.mode === "closing" || this.mode === "closed") return;
    this.home.engine.counters.bytes_read += bytes.length;
    if (this.fresh && bytes[0] === BINARY) return this.close();
    this.fresh = false;
    if (this.at < this.input.length) {
      const both = new Uint8Array(this.input.length - this.at + bytes.length);
      both.set(this.input.subarray(this.at));
      both.set(bytes, this.input.length - this.at);
      this.input = both;
    } else {
      this.input = bytes;
    }
    this.at = 0;
    this.run();
  }

  onDrain(): void {
    this.out.drained();
    this.flush();
    if (this.mode === "dump") this.pump();
    if (!this.out.blocked) this.run();
  }

  onEnd(): void {
    this.ended = true;
    this.closeIfEnded();
  }

  onClose(_cause: CloseCause, _detail: string): void {
    if (this.dumping !== null) this.home.engine.dumping = false;
    this.dumping = null;
    this.mode = "closed";
    this.input = this.line = this.value = EMPTY;
    this.at = this.lineUsed = 0;
    this.out.clear();
    this.home.leave(this);
  }

  /** Sends what waits; called by the turn. */
  flush(): void {
    if (this.mode === "closed" || !this.out.flush(this.sink)) return;
    if (this.mode === "closing") {
      this.mode = "closed";
      this.home.leave(this);
      this.socket!.finish(FINISH_MS);
    }
  }

  // What commands may do (Session).

  write(text: string): void {
    if (text === "") return;
    const at = this.out.reserve(text.length);
    const buffer = this.out.buffer;
    for (let i = 0; i < text.length; i++) buffer[at + i] = text.charCodeAt(i);
    this.home.turn.join(this);
  }

  writeValue(value: Uint8Array): void {
    this.out.push(value, 0, value.length);
    this.home.turn.join(this);
  }

  readValue(length: number, done: (value: Uint8Array) => void): void {
    this.mode = "value";
    this.value = new Uint8Array(length);
    this.valueUsed = 0;
    this.onValue = done;
  }

  swallow(length: number, line: string | null): void {
    this.mode = "swallow";
    this.swallowing = length;
    this.afterSwallow = line === null ? "" : line + "\r\n";
  }

  dump(items: Iterator<Item>, line: (item: Item) => string, last: string): void {
    this.home.engine.dumping = true;
    this.dumping = { items, line, last };
    this.mode = "dump";
    this.pump();
  }

  close(): void {
    if (this.mode === "closed") return;
    this.mode = "closing";
    this.input = EMPTY;
    this.at = 0;
    this.home.turn.join(this);
  }

  // Input.

  private run(): void {
    while (this.at < this.input.length && !this.crowded()) {
      if (this.mode === "line") this.takeLine();
      else if (this.mode === "value") this.takeValue();
      else if (this.mode === "swallow") this.takeSwallowed();
      else break;
    }
    if (this.at === this.input.length) {
      this.input = EMPTY;
      this.at = 0;
    }
    const wait = this.mode === "dump" || this.out.blocked && this.out.total > OUT_HIGH;
    if (wait !== this.paused && this.mode !== "closed") {
      this.paused = wait;
      if (wait) this.socket!.pause();
      else this.socket!.resume();
    }
    this.closeIfEnded();
  }

  /** True when so much waits to be sent that no more may be read, after trying to send it. */
  private crowded(): boolean {
    if (this.out.total <= OUT_HIGH) return false;
    this.flush();
    return this.out.total > OUT_HIGH;
  }

  private closeIfEnded(): void {
    if (this.ended && this.at === this.input.length && this.mode !== "dump") this.close();
  }

  private takeLine(): void {
    const lf = indexOf(this.input, LF, this.at, this.input.length);
    const end = lf === -1 ? this.input.length : lf;
    if (this.lineUsed > 0 || lf === -1) {
      this.hold(this.at, end);
      this.at = lf === -1 ? end : lf + 1;
      if (lf !== -1) {
        const used = this.lineUsed;
        this.lineUsed = 0;
        this.runOne(this.line, 0, used);
      } else if (tooLong(this.line, 0, this.lineUsed)) {
        this.close();
      }
      return;
    }
    const start = this.at;
    this.at = lf + 1;
    this.runOne(this.input, start, lf);
  }

  private hold(start: number, end: number): void {
    const need = this.lineUsed + end - start;
    if (need > this.line.length) {
      const wider = new Uint8Array(Math.max(256, need, 2 * this.line.length));
      wider.set(this.line.subarray(0, this.lineUsed));
      this.line = wider;
    }
    for (let i = start; i < end; i++) this.line[this.lineUsed + i - start] = this.input[i]!;
    this.lineUsed = need;
  }

  private runOne(bytes: Uint8Array, start: number, end: number): void {
    if (tooLong(bytes, start, end)) return this.close();
    if (end > start && bytes[end - 1] === CR) end--;
    this.lastCommand = this.home.engine.time.now();
    const text = this.home.text(bytes, start, end);
    if (this.line.length > 4 * LINE_MAX) this.line = EMPTY;
    this.running = true;
    runLine(this.home.engine, this, text);
    this.running = false;
  }

  private takeValue(): void {
    const count = Math.min(this.value.length - this.valueUsed, this.input.length - this.at);
    plainCopy(this.input, this.at, this.at + count, this.value, this.valueUsed);
    this.at += count;
    this.valueUsed += count;
    if (this.valueUsed < this.value.length) return;
    const value = this.value;
    this.value = EMPTY;
    this.mode = "line";
    this.onValue(value);
  }

  private takeSwallowed(): void {
    const count = Math.min(this.swallowing, this.input.length - this.at);
    this.at += count;
    this.swallowing -= count;
    if (this.swallowing > 0) return;
    this.mode = "line";
    this.write(this.afterSwallow);
  }

  /** Writes the dump until it is through or the kernel is full. */
  private pump(): void {
    const dumping = this.dumping;
    if (dumping === null) return;
    while (!this.out.blocked) {
      const next = dumping.items.next();
      if (next.done === true) {
        this.write(dumping.last);
        this.dumping = null;
        this.home.engine.dumping = false;
        this.mode = "line";
        return;
      }
      this.write(dumping.line(next.value));
      if (this.out.total > OUT_HIGH) this.flush();
    }
  }
}

/** memcached's rule for a line that has not ended after 2 KiB: only a get or gets may be that long. */
function tooLong(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start <= LINE_MAX) return false;
  let at = start;
  while (at < end && bytes[at] === 32) at++;
  if (at - start > BLANKS_MAX) return true;
  const word = textOf(bytes, at, at + 5);
  return !word.startsWith("get ") && word !== "gets ";
}
