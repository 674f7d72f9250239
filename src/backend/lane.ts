// One connection to one memcached. Requests of a turn leave in one write; answers come in the order of the in-flight
// FIFO and are told to whoever asked. Doubt means close: a reply that cannot be matched ends the connection with a
// reason, and with it every question under way.
//
//   out: [request][request]…  ──one write a turn──▶ server ──▶ onData: header, gather, stream ──▶ FIFO head's caller
import { CR, indexOf, LF } from "../bytes/ascii.ts";
import { keep, lend, release } from "../bytes/lent.ts";
import { Outbound, plainCopy, type TailPool } from "../bytes/outbound.ts";
import type { Flushable, Turn } from "../bytes/turn.ts";
import type { Latency } from "../observe/latency.ts";
import type { Address, Attempt, CloseCause, Net, Socket, SocketHandlers } from "../platform/platform.ts";
import { Expect, type ExpectCode, mayAnswer, Status, statusOf, ValueView } from "../protocol/reply.ts";
import type { Caller } from "./caller.ts";
import { Gather } from "./gather.ts";
import { InFlight } from "./inflight.ts";
import { KIND_OF } from "./kinds.ts";
import type { FailureReason } from "./reasons.ts";

/** A reply line longer than this is malformed (memcached's longest are STAT lines). */
const LINE_BYTES_MAX = 16 * 1024;
/** An item up to this size is gathered before it is told, so that a reset in its middle can fail over cleanly. */
export const GATHER_BYTES_MAX = 1024 * 1024 + 512;

/** From here on an item is a transfer of its own: while it moves, its deadline is not the requests' one. */
const LARGE_BYTES = 64 * 1024;

/** The proxy's time, read once a tick: good to TICK_MS, free to ask. */
export interface CoarseClock {
  readonly nowMs: number;
}

/** What a lane tells the server it belongs to. */
export interface LaneOwner {
  /** Connected; nothing was sent yet. */
  laneOpened(lane: Lane): void;
  /**
   * The connection or the attempt ended; called before the questions under way fail. established: it had been open.
   * unanswered: some request had been sent and not answered. questions: how many fail with it.
   */
  laneClosed(lane: Lane, reason: FailureReason, established: boolean, unanswered: boolean, questions: number): void;
}

interface Waiting {
  caller: Caller;
  role: number;
  deadline: number;
}

export class Lane implements Flushable {
  joined = false;
  /** Client traffic may use it: connected, identity known, barrier passed. Set by the owner. */
  ready = false;
  readonly out: Outbound;
  readonly inFlight = new InFlight();
  /** Our address on the present or last connection, as the server sees it. */
  local = "";
  /** Answers on the present or last connection, and how many of them came before it served. */
  answered = 0;
  answeredBeforeServing = 0;
  /** The connection whose events count, or null. */
  connection: SocketHandlers | null = null;
  /** Gets placed at the same epoch are in one batch that has not left, with nothing but gets between them. */
  epoch = 0;
  private socket: Socket | null = null;
  private attempt: Attempt | null = null;
  private readonly view = new ValueView();
  /** The beginning of a line whose end has not come. */
  private held: Uint8Array | null = null;
  /** An item of which not all is there. */
  private gather: Gather | null = null;
  /** Bytes of a streamed item still to come, its CR LF included. */
  private streaming = 0;
  private lastByte = 0;
  private heldUntil = 0;
  /** When a large transfer last moved: while it does, those behind it are not the server's fault. */
  private progressMs = -Infinity;
  private waiting: Waiting[] = [];

  constructor(
    private readonly owner: LaneOwner,
    private readonly net: Net,
    private readonly turn: Turn,
    private readonly clock: CoarseClock,
    readonly address: Address,
    public connectTimeoutMs: number,
    /** How long a request may wait for its answer, ms. */
    public requestTimeoutMs: number,
    tails: TailPool,
    /** How long its requests took, a row for each of KINDS. */
    private readonly latency: Latency,
  ) {
    this.out = new Outbound(tails);
  }

  /** Open or being opened. */
  get alive(): boolean {
    return this.connection !== null;
  }

  connect(): void {
    if (this.alive) return;
    this.connection = new Connection(this);
    this.attempt = this.net.connect(this.address, this.connectTimeoutMs, this.connection);
  }

  /** The request whose bytes were just pushed to `out` waits for this kind of answer. */
  expect(expect: ExpectCode, caller: Caller, role: number): void {
    this.epoch++;
    this.expectGet(expect, caller, role);
  }

  /** As expect, for a request that changes nothing: what was asked before it may still be shared. */
  expectGet(expect: ExpectCode, caller: Caller, role: number): void {
    const out = this.out;
    this.inFlight.push(caller, role, expect, this.clock.nowMs + this.requestTimeoutMs, out.taken + out.total, this.turn.nowMs);
    if (!this.joined) this.turn.join(this);
  }

  /** The caller hears onReady when the lane serves, or onFailure when it fails or the deadline passes. */
  wait(caller: Caller, role: number): void {
    this.waiting.push({ caller, role, deadline: this.clock.nowMs + this.requestTimeoutMs });
  }

  /** When bytes last moved on behalf of a large transfer, ms; its mover says so. */
  moved(): void {
    this.progressMs = this.clock.nowMs;
    if (!this.joined) this.turn.join(this);
  }

  /** We were away: what waits may have been answered long ago, and is judged anew from now on. */
  excuse(): void {
    this.progressMs = this.clock.nowMs;
  }

  /** The server has taken nothing for longer than ms though something waits for it. */
  stuckFor(ms: number): boolean {
    return this.out.total > 0 && this.clock.nowMs - this.progressMs > ms;
  }

  /** The owner found the lane fit for client traffic. */
  serve(): void {
    this.ready = true;
    this.answeredBeforeServing = this.answered;
    const waiting = this.waiting;
    this.waiting = [];
    for (const { caller, role } of waiting) caller.onReady(role);
  }

  /** Stops reading for a slow client, for at most ms; others on this lane wait, so it is kept short. */
  hold(ms: number): void {
    if (this.heldUntil !== 0 || this.socket === null) return;
    this.heldUntil = this.clock.nowMs + ms;
    this.socket.pause();
  }

  release(): void {
    if (this.heldUntil === 0) return;
    this.heldUntil = 0;
    this.progressMs = this.clock.nowMs;
    this.socket?.resume();
  }

  /** Looks at the oldest deadline; called every tick. */
  expire(now: number): void {
    if (this.heldUntil !== 0) {
      if (now >= this.heldUntil) this.release();
      return;
    }
    if (this.inFlight.count > 0 && now > this.inFlight.deadline && now > this.progressMs + this.requestTimeoutMs) {
      return this.fail("request_timeout");
    }
    while (this.waiting.length > 0 && now > this.waiting[0]!.deadline) {
      const { caller, role } = this.waiting.shift()!;
      caller.onFailure(role, "connect_timeout", false);
    }
  }

  /** Ends the connection with a RST, so that nothing unsent is delivered late; every question under way fails. */
  fail(reason: FailureReason): void {
    if (!this.alive) return this.failWaiting(reason);
    this.epoch++;
    const socket = this.socket;
    const established = socket !== null;
    const attempt = this.attempt;
    // Those that begin to wait below wait for the next connection.
    const waiting = this.waiting;
    this.waiting = [];
    this.connection = this.socket = this.attempt = null;
    this.ready = false;
    attempt?.abort();
    const left = this.out.taken;
    const count = this.inFlight.count;
    this.out.clear();
    this.held = this.gather = null;
    this.streaming = this.heldUntil = 0;
    this.progressMs = -Infinity;
    this.owner.laneClosed(this, reason, established, count > 0 && left > 0, count);
    socket?.abort();
    let begin = this.inFlight.settledOffset;
    // Who hears it may end the lane again, which is being opened by now: then all have heard.
    for (let i = 0; i < count && this.inFlight.count > 0; i++) {
      const { caller, role, endOffset } = this.inFlight;
      this.inFlight.pop();
      caller.onFailure(role, reason, begin < left);
      begin = endOffset;
    }
    for (const { caller, role } of waiting) caller.onFailure(role, reason, false);
  }

  private failWaiting(reason: FailureReason): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const { caller, role } of waiting) caller.onFailure(role, reason, false);
  }

  flush(): void {
    this.epoch++;
    if (this.socket !== null) this.out.flush(this.socket);
  }

  opened(socket: Socket): void {
    this.attempt = null;
    this.socket = socket;
    this.local = socket.local;
    this.answered = 0;
    this.out.reset();
    this.inFlight.settledOffset = 0;
    this.owner.laneOpened(this);
  }

  drained(): void {
    if (this.out.total > LARGE_BYTES) this.progressMs = this.clock.nowMs;
    this.out.drained();
    this.flush();
  }

  closed(cause: CloseCause): void {
    this.fail(this.socket === null ? CONNECT_REASON[cause] : CLOSE_REASON[cause]);
  }

  data(chunk: Uint8Array): void {
    lend(chunk);
    let at = 0;
    if (this.held !== null || this.gather !== null || this.streaming > 0) at = this.resume(chunk);
    const end = chunk.length;
    while (at < end && this.socket !== null) at = this.readLine(chunk, at, end);
    release(chunk);
  }

  /** Continues what the last chunk left unfinished; returns where whole lines begin. */
  private resume(chunk: Uint8Array): number {
    if (this.streaming > 0) return this.stream(chunk, 0);
    if (this.gather !== null) return this.fill(chunk, 0);
    const held = this.held!;
    const lf = indexOf(chunk, LF, 0, chunk.length);
    const take = lf === -1 ? chunk.length : lf + 1;
    if (held.length + take > LINE_BYTES_MAX) {
      this.fail("malformed_reply");
      return chunk.length;
    }
    const line = new Uint8Array(held.length + take);
    line.set(held);
    plainCopy(chunk, 0, take, line, held.length);
    this.held = null;
    if (lf === -1) {
      this.held = line;
      return chunk.length;
    }
    this.readLine(line, 0, line.length);
    // The line may have begun an item whose data is in this chunk.
    if (this.socket !== null && this.gather !== null) return this.fill(chunk, take);
    if (this.socket !== null && this.streaming > 0) return this.stream(chunk, take);
    return take;
  }

  /** Reads one line (and, for an item, its data as far as it is there); returns where the next one begins. */
  private readLine(bytes: Uint8Array, start: number, end: number): number {
    const lf = indexOf(bytes, LF, start, end);
    if (lf === -1) {
      if (end - start > LINE_BYTES_MAX) this.fail("malformed_reply");
      else this.held = bytes.slice(start, end);
      return end;
    }
    if (this.inFlight.count === 0) {
      this.fail("unasked_reply");
      return end;
    }
    const textEnd = lf > start && bytes[lf - 1] === CR ? lf - 1 : lf;
    const status = statusOf(bytes, start, textEnd);
    const { expect, caller, role } = this.inFlight;
    if (!mayAnswer(expect, status)) {
      this.fail("unexpected_reply");
      return end;
    }
    if (status === Status.VALUE || status === Status.VA) return this.readItem(status, bytes, start, textEnd, lf + 1, end);
    if (status === Status.STAT) {
      if (!caller.holds) keep(bytes);
      caller.onLine(role, bytes, start, textEnd);
      return lf + 1;
    }
    this.settle();
    if (!caller.holds) keep(bytes);
    caller.onReply(role, status, bytes, start, lf + 1);
    // A store called a bad command: the server may now read its data block as commands.
    const bad = status === Status.ERROR || status === Status.CLIENT_ERROR;
    if (bad && (expect === Expect.STORE || expect === Expect.META_STORE)) this.fail("refused_command");
    return lf + 1;
  }

  /** The oldest question has its answer. */
  private settle(): void {
    const { inFlight } = this;
    this.latency.add(KIND_OF[inFlight.expect]!, this.turn.nowMs - inFlight.begun);
    inFlight.pop();
    this.answered++;
  }

  private readItem(
    status: number, bytes: Uint8Array, start: number, textEnd: number, dataStart: number, end: number,
  ): number {
    const view = this.view;
    if (!view.readHeader(status === Status.VA ? Status.VA : Status.VALUE, bytes, start, textEnd, dataStart)) {
      this.fail("malformed_reply");
      return end;
    }
    const size = view.itemBytes;
    if (start + size <= end) {
      this.tellItem(status, bytes, start, size);
      return start + size;
    }
    if (size <= GATHER_BYTES_MAX) {
      this.gather = new Gather(size, status, status === Status.VALUE && this.inFlight.caller.holds);
      return this.gather.add(bytes, start, end);
    }
    view.partial = true;
    view.end = end;
    this.streaming = size - (end - start);
    this.lastByte = bytes[end - 1]!;
    const { caller, role } = this.inFlight;
    if (!caller.holds) keep(bytes);
    if (!caller.onValue(role, view)) this.fail("foreign_key");
    return end;
  }

  /** A whole item lies in bytes[start, start + size); the view knows its header. */
  private tellItem(status: number, bytes: Uint8Array, start: number, size: number): void {
    const end = start + size;
    if (bytes[end - 2] !== CR || bytes[end - 1] !== LF) return this.fail("malformed_reply");
    this.view.partial = false;
    this.view.end = end;
    const { caller, role } = this.inFlight;
    if (status === Status.VA) this.settle();
    if (!caller.holds) keep(bytes);
    if (caller.onValue(role, this.view)) return;
    this.fail("foreign_key");
    // Its question is no longer among those that failed with the lane.
    if (status === Status.VA) caller.onFailure(role, "foreign_key", true);
  }

  private fill(chunk: Uint8Array, from: number): number {
    const gather = this.gather!;
    const to = gather.add(chunk, from, chunk.length);
    if (gather.size > LARGE_BYTES) this.progressMs = this.clock.nowMs;
    if (gather.complete) {
      this.gather = null;
      if (gather.whole === null) this.tellParts(gather);
      else {
        this.readHeader(gather.status, gather.whole, 0, gather.size);
        this.tellItem(gather.status, gather.whole, 0, gather.size);
      }
    }
    return to;
  }

  private readHeader(status: number, bytes: Uint8Array, start: number, end: number): void {
    const lf = indexOf(bytes, LF, start, end);
    const textEnd = bytes[lf - 1] === CR ? lf - 1 : lf;
    this.view.readHeader(status === Status.VA ? Status.VA : Status.VALUE, bytes, start, textEnd, lf + 1);
  }

  /** A whole item in parts: told as a streamed one, but at once. */
  private tellParts(gather: Gather): void {
    if (!gather.endsWell) return this.fail("malformed_reply");
    const { parts } = gather, first = parts[0]!;
    this.readHeader(Status.VALUE, first.bytes, first.start, first.end);
    this.view.partial = true;
    this.view.end = first.end;
    const { caller, role } = this.inFlight;
    if (!caller.onValue(role, this.view)) return this.fail("foreign_key");
    for (let i = 1; i < parts.length; i++) {
      const { bytes, start, end } = parts[i]!;
      caller.onChunk(role, bytes, start, end, i === parts.length - 1);
    }
    for (const { bytes } of parts) release(bytes);
  }

  private stream(chunk: Uint8Array, from: number): number {
    const take = Math.min(this.streaming, chunk.length - from);
    if (take === 0) return from;
    const to = from + take;
    const last = take === this.streaming;
    if (last && (chunk[to - 1] !== LF || (take > 1 ? chunk[to - 2] : this.lastByte) !== CR)) {
      this.fail("malformed_reply");
      return chunk.length;
    }
    this.lastByte = chunk[to - 1]!;
    this.streaming -= take;
    this.progressMs = this.clock.nowMs;
    const { caller, role, expect } = this.inFlight;
    if (last && expect === Expect.META) this.settle();
    if (!caller.holds) keep(chunk);
    caller.onChunk(role, chunk, from, to, last);
    return to;
  }
}

/** One connection's events, told to its lane while it is the lane's current one: a lane outlives its connections. */
class Connection implements SocketHandlers {
  constructor(private readonly lane: Lane) {}
  onOpen(socket: Socket): void {
    if (this.lane.connection === this) this.lane.opened(socket);
    else socket.abort();
  }
  onData(bytes: Uint8Array): void {
    if (this.lane.connection === this) this.lane.data(bytes);
  }
  onDrain(): void {
    if (this.lane.connection === this) this.lane.drained();
  }
  onEnd(): void {
    if (this.lane.connection === this) this.lane.fail("closed");
  }
  onClose(cause: CloseCause): void {
    if (this.lane.connection === this) this.lane.closed(cause);
  }
}

const CONNECT_REASON: Record<CloseCause, FailureReason> = {
  ended: "closed", reset: "reset", refused: "refused", unreachable: "unreachable", not_found: "not_found",
  timeout: "connect_timeout", aborted: "failed", in_use: "failed", denied: "failed", failed: "failed",
};
const CLOSE_REASON: Record<CloseCause, FailureReason> = { ...CONNECT_REASON, timeout: "reset" };
