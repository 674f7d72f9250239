// One client connection: cuts its bytes into requests, hands each to replication with a reply slot, and sends the
// answers in the order of the requests.
//
//   onData ─▶ input [request][request][req…]  ─▶ dispatch ─▶ slots: head ─▶ … ─▶ tail     out ─▶ one write a turn
import { CR, LF } from "../bytes/ascii.ts";
import { free, lend, release } from "../bytes/lent.ts";
import { Outbound, plainCopy } from "../bytes/outbound.ts";
import type { Flushable } from "../bytes/turn.ts";
import type { Socket, SocketHandlers } from "../platform/platform.ts";
import type { Counters } from "../observe/counters.ts";
import {
  BAD_CHUNK, BAD_DELETE, BAD_DELTA, BAD_EXPTIME, BAD_FORMAT, ERROR, RESERVED_KEY, TOO_LARGE,
} from "../protocol/answers.ts";
import { Op } from "../protocol/commands.ts";
import { Found, type RequestReader } from "../protocol/request.ts";
import { LANE_BYTES_HIGH } from "../replication/requests/write.ts";
import type { Client, Slot, Upstream } from "../replication/requests/slot.ts";
import { Upload } from "../replication/requests/upload.ts";
import type { Door } from "./door.ts";
import { dispatch, namesControl } from "./dispatch.ts";

/** Answers that wait beyond this pause the reading of further requests, bytes. */
const BACKLOG_HIGH = 1024 * 1024;
/** Requests of one client under way at once; more wait in its buffers. */
const SLOTS_MAX = 10_000;
/** A value up to this size is gathered before it is forwarded: a slow sender must not hold a lane. */
export const GATHER_BYTES_MAX = 1024 * 1024;
/** A get line may be this long, bytes. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
/** First byte of every request of the binary protocol, and of no text command. */
const BINARY_MAGIC = 0x80;
/** What counts the error lines that tandem says by itself. */
const REFUSALS: ReadonlyMap<Uint8Array, keyof Counters> = new Map<Uint8Array, keyof Counters>([
  [ERROR, "error_unknown_command"], [BAD_FORMAT, "error_bad_format"], [BAD_DELETE, "error_bad_format"], [BAD_DELTA, "error_bad_number"],
  [BAD_EXPTIME, "error_bad_number"], [BAD_CHUNK, "error_bad_chunk"], [RESERVED_KEY, "error_reserved_key"], [TOO_LARGE, "error_too_large"],
]);
/** How long a client that was told goodbye may take to hang up, ms. */
const GOODBYE_MS = 2000;
/** How long a lane may wait for one client that reads slowly, ms; after that its value is kept in memory instead. */
const HOLD_MS = 100;

export class ClientConnection implements SocketHandlers, Flushable, Client {
  joined = false;
  closed = false;
  /** Where it stands among the door's clients; -1: no more. Kept by the door. */
  place = -1;
  readonly door: Door;
  /** The door's: it speaks of a line only until the line's request is made, which the slots of all clients keep to. */
  readonly reader: RequestReader;
  private readonly out: Outbound;
  private socket: Socket | null = null;
  /** Bytes not yet understood: input[inputStart, inputEnd). */
  private input: Uint8Array | null = null;
  private inputStart = 0;
  private inputEnd = 0;
  /** Bytes of input known to hold no line feed. */
  private scanned = 0;
  /** A request with its value being gathered: filled up to inputEnd; complete at its full length. */
  private gathering = false;
  /** Bytes of a refused value still to be read and dropped, its CR LF included. */
  private swallow = 0;
  /** A value that streams to its servers. */
  private upload: Upload | null = null;
  private head: Slot | null = null;
  private tail: Slot | null = null;
  private slots = 0;
  private blocks = 0;
  private paused = false;
  private running = false;
  /** No further request will be read. */
  private ending = false;
  private finished = false;
  private heldLane: Upstream | null = null;

  constructor(door: Door) {
    this.door = door;
    this.reader = door.reader;
    this.out = new Outbound(door.tails);
  }

  get remote(): string {
    return this.socket === null ? "" : this.socket.remote;
  }
  get backlog(): number {
    return this.out.total;
  }

  onOpen(socket: Socket): void {
    this.socket = socket;
    this.askedMs = this.door.turn.nowMs;
    this.door.opened(this);
  }

  onData(bytes: Uint8Array): void {
    if (this.ending) return;
    this.askedMs = this.door.turn.nowMs;
    if (this.gathering) return this.fill(bytes);
    if (this.input === null) {
      lend(bytes);
      this.input = bytes;
      this.inputStart = 0;
      this.inputEnd = bytes.length;
    } else {
      const have = this.inputEnd - this.inputStart;
      const joined = new Uint8Array(have + bytes.length);
      plainCopy(this.input, this.inputStart, this.inputEnd, joined, 0);
      joined.set(bytes, have);
      release(this.input);
      free(bytes);
      lend(joined);
      this.input = joined;
      this.inputStart = 0;
      this.inputEnd = joined.length;
    }
    this.run();
  }

  onDrain(): void {
    this.out.drained();
    this.flush();
  }

  onEnd(): void {
    // What has come whole is still answered, but no more will come; an unfinished value is dropped.
    this.ended = true;
    this.upload?.broken();
    this.maybeFinish();
  }
  private ended = false;

  onClose(): void {
    this.closed = true;
    this.ending = true;
    this.releaseLane();
    this.upload?.broken();
    this.input = null;
    this.out.clear();
    this.door.left(this);
  }

  flush(): void {
    if (this.closed) return;
    this.out.flush(this.socket!);
    if (this.heldLane !== null && this.out.total < BACKLOG_HIGH / 2) this.releaseLane();
    this.regulate();
    this.maybeFinish();
  }

  emit(bytes: Uint8Array, start: number, end: number): void {
    this.out.push(bytes, start, end);
    if (!this.joined) this.door.turn.join(this);
  }

  /** When it said something last, or came, ms. */
  askedMs = 0;

  /** It owes nothing, is owed nothing, and has asked nothing for so long, ms. */
  idleFor(ms: number, nowMs: number): boolean {
    return this.head === null && this.input === null && !this.gathering && this.out.total === 0 && nowMs - this.askedMs >= ms;
  }

  /** Gives a request its place in the order of answers. */
  add(slot: Slot): void {
    this.slots++;
    slot.begunMs = this.door.turn.nowMs;
    if (this.tail === null) {
      this.head = this.tail = slot;
      slot.head = true;
    } else {
      this.tail.next = slot;
      this.tail = slot;
    }
  }

  slotDone(slot: Slot): void {
    if (slot !== this.head) return;
    let next: Slot | null = slot;
    while (next !== null && next.done) {
      this.door.took(this, next);
      next = next.next;
      this.slots--;
      this.head = next;
      next?.promote();
    }
    if (next === null) this.tail = null;
    if (this.blocks > 0 && this.awaitingEmpty !== null && this.head === null) {
      const then = this.awaitingEmpty;
      this.awaitingEmpty = null;
      then();
    }
    if (this.input !== null && this.slots < SLOTS_MAX) this.run();
    if (this.ending || this.ended) this.maybeFinish();
  }

  /** Runs `then` once every earlier request is answered; the client must be blocked. */
  whenEmpty(then: () => void): void {
    if (this.head === null) then();
    else this.awaitingEmpty = then;
  }
  private awaitingEmpty: (() => void) | null = null;

  block(): void {
    this.blocks++;
  }

  resume(): void {
    this.blocks--;
    this.run();
  }

  cut(why: string): void {
    if (this.closed) return;
    this.door.cut(this, why);
    this.ending = true;
    this.out.clear();
    this.socket!.abort();
  }

  awaitRoom(lane: Upstream): void {
    this.block();
    this.door.crowded.push({ client: this, lane });
  }

  /** Called each tick for a client that waits for room on a lane. */
  roomOn(lane: Upstream): boolean {
    if (lane.out.total > LANE_BYTES_HIGH / 2) return false;
    this.resume();
    return true;
  }

  holdLane(lane: Upstream): void {
    if (this.out.total < BACKLOG_HIGH || this.heldLane !== null || !this.out.blocked) return;
    this.heldLane = lane;
    lane.hold(HOLD_MS);
  }

  /** No further requests; what is under way is answered, then the connection ends. */
  finishUp(): void {
    this.ending = true;
    this.input = null;
    this.maybeFinish();
  }

  /** Ends the connection now; tandem is stopping. */
  cutSilently(): void {
    this.ending = true;
    this.socket?.abort();
  }

  private releaseLane(): void {
    this.heldLane?.release();
    this.heldLane = null;
  }

  /** Understands as many requests as may be taken now. */
  private run(): void {
    if (this.running) return;
    this.running = true;
    while (this.input !== null && this.blocks === 0 && this.slots < SLOTS_MAX && !this.ending && this.step());
    this.running = false;
    this.regulate();
    if (this.ended || this.ending) this.maybeFinish();
  }

  /** Takes one request (or part of a value) from the input; false when more bytes are needed. */
  private step(): boolean {
    const input = this.input!;
    const start = this.inputStart, end = this.inputEnd;
    if (this.swallow > 0) {
      const take = Math.min(this.swallow, end - start);
      this.swallow -= take;
      return this.consume(start + take);
    }
    if (this.upload !== null) {
      const taken = this.upload.body(input, start, end);
      if (this.upload.complete) this.upload = null;
      return this.consume(start + taken) && (taken > 0 || this.upload === null);
    }
    const reader = this.reader;
    if (input[start] === BINARY_MAGIC) {
      this.cut("the binary protocol is not spoken");
      return false;
    }
    const found = reader.read(input, start, end, this.scanned);
    if (found !== Found.LINE) {
      this.scanned = end - start;
      if (found === Found.OVERLONG || end - start > LINE_BYTES_MAX) this.cut("a line without end");
      return false;
    }
    this.scanned = 0;
    if (reader.marked && reader.error === null && namesControl(reader, input)) {
      this.door.trace(this, input, start);
      this.refuse(RESERVED_KEY, reader.noreply);
      this.swallow = reader.valueBytes < 0 ? 0 : reader.valueBytes + 2;
      return this.consume(reader.next);
    }
    if (reader.valueBytes < 0 || reader.error !== null) {
      const { next } = reader;
      this.door.trace(this, input, start);
      dispatch(this, input, start); // another client may read its next line in here
      return this.consume(next);
    }
    return this.takeStore(input, start, end);
  }

  /** A line with a value: forwarded when whole, gathered when small, streamed when large, swallowed when too large. */
  private takeStore(input: Uint8Array, start: number, end: number): boolean {
    const reader = this.reader;
    const { valueBytes, next } = reader;
    const whole = next + valueBytes + 2;
    const tooLarge = valueBytes > this.door.itemBytesMax(reader, input);
    const streamed = valueBytes > GATHER_BYTES_MAX && reader.op === Op.SET;
    // What is gathered is read once more.
    if (whole <= end || streamed || tooLarge) this.door.trace(this, input, start);
    if (tooLarge) {
      this.door.refuseTooLarge(reader, input);
      this.refuse(TOO_LARGE, reader.noreply);
      this.swallow = valueBytes + 2;
      return this.consume(next);
    }
    if (whole <= end) {
      if (input[whole - 2] !== CR || input[whole - 1] !== LF) this.refuse(BAD_CHUNK, reader.noreply);
      else dispatch(this, input, start);
      return this.consume(whole);
    }
    if (streamed) {
      this.upload = this.door.startUpload(this, reader, input);
      return this.consume(next);
    }
    const gather = new Uint8Array(whole - start);
    gather.set(input.subarray(start, end));
    release(input);
    lend(gather);
    this.input = gather;
    this.inputStart = 0;
    this.inputEnd = end - start;
    this.gathering = true;
    return false;
  }

  private fill(bytes: Uint8Array): void {
    const gather = this.input!;
    const { length } = bytes;
    const take = Math.min(gather.length - this.inputEnd, length);
    plainCopy(bytes, 0, take, gather, this.inputEnd);
    this.inputEnd += take;
    if (take === length) free(bytes); // all of it was copied
    if (this.inputEnd < gather.length) return;
    this.gathering = false;
    if (take === length) return this.run();
    // The rest of the chunk belongs to later requests.
    this.running = true;
    this.step();
    this.running = false;
    if (this.closed || this.ending) return;
    this.onData(take === 0 ? bytes : bytes.subarray(take));
  }

  /** The input is understood up to `at`; true when more of it is there. */
  private consume(at: number): boolean {
    if (this.input === null) return false;
    if (at < this.inputEnd) {
      this.inputStart = at;
      return true;
    }
    release(this.input);
    this.input = null;
    return false;
  }

  /** Answers the present request with a constant line. */
  answer(line: Uint8Array, mute: boolean): void {
    if (mute) return;
    if (this.head === null) this.emit(line, 0, line.length);
    else this.door.say(this, line);
  }

  /** Answers the present request with one of the error lines that tandem says by itself. */
  refuse(line: Uint8Array, mute: boolean): void {
    this.door.counters[REFUSALS.get(line)!]++;
    this.answer(line, mute);
  }

  /** Reading stops while too much waits, and goes on when it has left. */
  private regulate(): void {
    if (this.socket === null || this.closed) return;
    const full = this.out.total > BACKLOG_HIGH || this.blocks > 0 || this.slots >= SLOTS_MAX;
    if (full && !this.paused) {
      this.paused = true;
      this.socket.pause();
    } else if (!full && this.paused) {
      this.paused = false;
      this.socket.resume();
    }
  }

  private maybeFinish(): void {
    const through = this.ending || (this.ended && (this.input === null || this.blocks === 0));
    if (!through || this.finished || this.closed || this.head !== null || this.out.total > 0) return;
    if (this.joined || this.running) return;
    this.finished = true;
    this.ending = true;
    // Its place is free from here on: who has seen our goodbye may send the next client.
    this.door.left(this);
    this.socket!.finish(GOODBYE_MS);
  }
}
