// The application's side of simulated connections: Socket, connect attempts and listeners as platform.ts words them.
// Everything an owner hears comes out of dispatch(), which only a turn of its process calls.
import type { Attempt, CloseCause, Listener, ListenHandlers, Socket, SocketHandlers, Address, Timer } from "../../src/platform/platform.ts";
import type { SimProcess } from "./process.ts";
import type { Endpoint } from "./wire.ts";

/** Something that a turn of a process serves. */
export interface Ready {
  /** True while it waits in the process's ready list; only the process changes it. */
  queued: boolean;
  dispatch(): void;
}

export class SimSocket implements Socket, Ready {
  queued = false;
  /** onClose has been called or its cause is fixed. */
  private cause: CloseCause | null = null;
  private detail = "";
  private closed = false;
  private opened = false;
  private paused = false;
  private wantsDrain = false;
  private drainReady = false;
  private ended = false;
  private finSent = false;
  private finishing = false;
  private finishTimer: Timer | null = null;
  /** Writes are taken and never leave (a fault: accepted, executed, never answered). */
  private mute = false;
  private lastWriteTurn = -1;
  private readonly biteMax: number;

  constructor(
    private readonly process: SimProcess,
    readonly endpoint: Endpoint,
    private readonly handlers: SocketHandlers,
    /** True for the side that a listener accepted. */
    readonly accepted: boolean,
  ) {
    this.biteMax = process.world.settings.bite(process.world.dice.net);
    endpoint.socket = this;
    process.sockets.add(this);
  }

  get remote(): string {
    return this.endpoint.remote;
  }

  get local(): string {
    return this.endpoint.local;
  }

  get id(): number {
    return this.endpoint.id;
  }

  /** True while this end may still write. */
  get writable(): boolean {
    return this.cause === null && !this.finSent && !this.endpoint.wasReset && this.process.alive;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.writable) return 0;
    const offered = end - start;
    if (offered <= 0) return 0;
    if (this.mute) return offered;
    const world = this.process.world;
    const boundary = !this.wantsDrain && this.lastWriteTurn !== this.process.turns;
    this.lastWriteTurn = this.process.turns;
    if (this.process.garbage && this.accepted && boundary) {
      // Rubbish starts where an answer would: in the middle of a value nobody could tell it from the value.
      this.mute = true;
      const rubbish = world.garbage();
      this.endpoint.out.push(rubbish);
      world.fired("garbage");
      world.trace.bytes(world.nowUs, "wrote", this.process.machine, this.id, rubbish);
      return offered;
    }
    const room = Math.max(0, this.endpoint.out.room);
    let taken = Math.min(offered, room);
    if (taken > 0 && world.settings.shortWrites > 0 && world.dice.net.chance(world.settings.shortWrites, 1000)) {
      taken = world.dice.net.below(taken);
      world.fired("short_write");
      // The room was there: what says that there is room again must come by itself.
      world.after(world.dice.net.range(5, 3000), () => this.allowDrain());
    }
    if (world.trace.verbose) world.trace.written(world.nowUs, this.process.machine, this.id, bytes.subarray(start, start + taken));
    if (taken > 0) this.endpoint.out.push(bytes.slice(start, start + taken));
    if (taken < offered) {
      this.wantsDrain = true;
    }
    return taken;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.wake();
  }

  finish(deadlineMs: number): void {
    if (this.cause !== null || this.finishing) return;
    this.finishing = true;
    this.sendFin();
    this.finishTimer = this.process.ownTimer(deadlineMs, () => this.end("timeout", "the peer did not close in time"));
    this.wake();
  }

  abort(): void {
    if (this.process.gentle) this.finish(600_000);
    else this.end("aborted", "");
  }

  /** FIN while still reading: what Socket cannot ask for, but what a client of the proxy may do. */
  halfClose(): void {
    if (this.writable) this.sendFin();
  }

  /** From now on nothing this side writes leaves. */
  silence(): void {
    this.mute = true;
  }

  /** True when nothing this side writes leaves. */
  get silent(): boolean {
    return this.mute || this.finSent;
  }

  /** The kernel may have something for the owner. */
  wake(): void {
    if (!this.closed) this.process.ready(this);
  }

  /** The peer's kernel took bytes (or the FIN). */
  acknowledged(): void {
    if (this.wantsDrain && this.endpoint.out.room > 0) this.allowDrain();
    if (this.finSent) this.wake();
  }

  dispatch(): void {
    if (this.closed) return;
    if (this.cause !== null) {
      this.close();
      return;
    }
    if (!this.opened) {
      this.opened = true;
      this.say("open", `${this.local}>${this.remote}`);
      this.handlers.onOpen(this);
      this.wake();
      return;
    }
    if (this.process.deaf && this.accepted) {
      this.process.unheard.add(this);
      return;
    }
    if (this.finishing) this.endpoint.in.discard();
    const received = this.endpoint.received;
    if (received.length > 0 && !this.paused) {
      const n = this.bite(received.length);
      const bytes = received.take(n);
      this.process.world.trace.bytes(this.process.world.nowUs, "data", this.process.machine, this.id, bytes);
      this.endpoint.in.transmit();
      if (received.length > 0) this.wake();
      this.handlers.onData(bytes);
    }
    if (this.cause === null && this.drainReady && !this.endpoint.wasReset) {
      this.wantsDrain = this.drainReady = false;
        if (this.writable) {
        this.say("drain", "");
        this.handlers.onDrain();
      }
    }
    if (this.cause === null && this.endpoint.wasReset && (this.endpoint.received.length === 0 || this.paused || this.finishing)) {
      this.end("reset", "connection reset by peer");
    }
    if (this.cause === null && this.endpoint.finReceived && this.endpoint.received.length === 0 && !this.paused && !this.ended) {
      this.ended = true;
      if (!this.finishing) {
        this.say("end", "");
        this.handlers.onEnd();
      }
    }
    if (this.cause === null && this.ended && this.finSent && this.endpoint.out.finAcknowledged) this.end("ended", "");
    else if (this.cause === null && this.finishing && this.endpoint.finReceived && this.endpoint.out.finAcknowledged) this.end("ended", "");
  }

  /** The process that owned it is gone: no handler runs any more. */
  forget(): void {
    this.closed = true;
  }

  private sendFin(): void {
    if (this.finSent) return;
    this.finSent = true;
    this.wantsDrain = this.drainReady = false;
    this.endpoint.out.fin();
  }

  private allowDrain(): void {
    if (!this.wantsDrain || this.closed) return;
    this.drainReady = true;
    this.wake();
  }

  /** Fixes the cause; the owner hears of it in a turn of its own. */
  private end(cause: CloseCause, detail: string): void {
    if (this.cause !== null) return;
    this.cause = cause;
    this.detail = detail;
    this.finishTimer?.cancel();
    if (cause === "ended") this.endpoint.release();
    else this.endpoint.abort();
    this.wake();
  }

  private close(): void {
    this.closed = true;
    this.process.sockets.delete(this);
    this.say("close", this.cause!);
    this.handlers.onClose(this.cause!, this.detail);
  }

  private bite(available: number): number {
    const world = this.process.world;
    if (this.biteMax === 0 || !world.lively) return Math.min(available, 65_536);
    // Much is cut anywhere, and only what is left of it into small pieces: each piece costs a turn.
    const small = world.settings.smallPieces;
    const n = available > 64 && !small
      ? 1 + world.dice.net.below(available - 32)
      : Math.min(available, Math.max(1, available >> (small ? 3 : 2)) + world.dice.net.below(this.biteMax));
    if (n < available) world.fired("fragment");
    return n;
  }

  private say(kind: "open" | "drain" | "end" | "close", text: string): void {
    const world = this.process.world;
    world.trace.event(world.nowUs, kind, this.process.machine, this.id, text);
  }
}

/** A connect in progress. */
export class SimAttempt implements Attempt, Ready {
  queued = false;
  private outcome: CloseCause | "open" | null = null;
  private done = false;
  private detail = "";
  private timer: Timer | null = null;
  /** The client's end once the kernel has made it. */
  endpoint: Endpoint | null = null;

  constructor(
    private readonly process: SimProcess,
    private readonly handlers: SocketHandlers,
  ) {}

  /** True while the outcome is open. */
  get pending(): boolean {
    return this.outcome === null && this.process.alive;
  }

  arm(deadlineMs: number): void {
    this.timer = this.process.ownTimer(deadlineMs, () => this.settle("timeout", "no answer to the connect"));
  }

  /** The server's kernel accepted. */
  established(): void {
    if (!this.pending) {
      // Too late: nobody waits for it here.
      this.endpoint?.abort();
      return;
    }
    this.outcome = "open";
    this.endpoint!.out.greet();
    this.process.ready(this);
  }

  settle(cause: CloseCause, detail: string): void {
    if (!this.pending) return;
    this.outcome = cause;
    this.detail = detail;
    this.endpoint?.abort();
    this.process.ready(this);
  }

  abort(): void {
    // An outcome that the kernel knows but the owner has not heard yet is replaced: the owner gave up.
    if (this.done || !this.process.alive) return;
    this.outcome = "aborted";
    this.detail = "";
    this.endpoint?.abort();
    this.process.ready(this);
  }

  dispatch(): void {
    if (this.done) return;
    this.done = true;
    this.timer?.cancel();
    this.process.attempts.delete(this);
    if (this.outcome === "open") {
      new SimSocket(this.process, this.endpoint!, this.handlers, false).dispatch();
      return;
    }
    const world = this.process.world;
    world.trace.event(world.nowUs, "close", this.process.machine, this.endpoint?.id ?? 0, this.outcome!);
    this.handlers.onClose(this.outcome as CloseCause, this.detail);
  }
}

/** The kernel's queue of connections that wait for their listener's accept. */
export class AcceptQueue implements Ready, Listener {
  queued = false;
  private closed = false;
  private waiting: Endpoint[] = [];
  /** Handshakes whose last step has not come. */
  private half = new Set<Endpoint>();

  constructor(
    private readonly process: SimProcess,
    readonly address: Address,
    readonly key: string,
    private readonly backlog: number,
    private readonly handlers: ListenHandlers,
    readonly reusePort: boolean,
  ) {}

  /** True when one more handshake may begin. */
  get open(): boolean {
    return !this.closed && this.waiting.length + this.half.size < this.backlog;
  }

  begin(endpoint: Endpoint): void {
    endpoint.queue = this;
    this.half.add(endpoint);
  }

  established(endpoint: Endpoint): void {
    if (!this.half.delete(endpoint)) return;
    this.waiting.push(endpoint);
    this.process.ready(this);
  }

  /** True when the handshake of endpoint was completed. */
  knows(endpoint: Endpoint): boolean {
    return !this.half.delete(endpoint);
  }

  dispatch(): void {
    if (this.closed) return;
    const waiting = this.waiting;
    this.waiting = [];
    const world = this.process.world;
    for (const endpoint of waiting) {
      endpoint.queue = null;
      world.trace.event(world.nowUs, "accept", this.process.machine, endpoint.id, endpoint.remote);
      const socket = new SimSocket(this.process, endpoint, this.handlers.onAccept(), true);
      if (this.process.mute) {
        socket.silence();
        world.fired("mute");
      }
      socket.dispatch();
    }
  }

  close(): void {
    if (this.closed) return;
    if (this.address.kind === "unix") this.process.machine.unixPaths.delete(this.address.path);
    this.drop();
  }

  /** close, as the end of the process does it: a unix socket's path stays behind. */
  drop(): void {
    this.closed = true;
    this.process.listeners.delete(this);
    for (const endpoint of this.half) endpoint.abort();
    for (const endpoint of this.waiting) endpoint.abort();
    this.half.clear();
    this.waiting = [];
  }
}
