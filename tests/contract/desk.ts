// What the contract's tests are written with: a desk that listens and connects, peers that record what they hear, and
// the invariants that hold in every test (once, in order, never from inside a call). A breach is noted, not thrown:
// an exception inside a handler would only be the platform's business.
import type { Address, Attempt, CloseCause, Clock, Listener, ListenOptions, Socket, SocketHandlers } from "../../src/platform/platform.ts";
import type { World } from "./suite.ts";

/** Any free port. */
export const LOOPBACK: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };
const OPTIONS: ListenOptions = { backlog: 128, reusePort: false, unixMode: 0o700 };

export class Desk {
  /** Breaches of the contract seen so far, in words. */
  readonly violations: string[] = [];
  readonly accepted: Peer[] = [];
  onAccepted: ((peer: Peer) => void) | null = null;
  readonly clock: Clock;
  private readonly peers: Peer[] = [];
  private readonly listeners: Listener[] = [];
  /** The call of ours that is on the stack. */
  private call: string | null = null;

  constructor(readonly world: World) {
    this.clock = world.platform.clock;
  }

  /** Runs one of the contract's calls; a handler heard meanwhile is a violation. */
  inside<T>(call: string, run: () => T): T {
    const outer = this.call;
    this.call = call;
    try {
      return run();
    } finally {
      this.call = outer;
    }
  }

  heard(event: string): void {
    if (this.call !== null) this.violations.push(`${event} from inside ${this.call}`);
    this.world.changed();
  }

  peer(): Peer {
    const peer = new Peer(this);
    this.peers.push(peer);
    return peer;
  }

  connect(address: Address, deadlineMs = 5000, peer: Peer = this.peer()): Peer {
    peer.attempt = this.inside("connect", () => this.world.platform.net.connect(address, deadlineMs, peer));
    return peer;
  }

  async listen(address: Address, options: Partial<ListenOptions> = {}): Promise<Listener> {
    const outcome = this.startListen(address, options);
    await this.world.until("the listener", () => outcome.listener !== null || outcome.cause !== null);
    if (outcome.listener === null) throw new Error(`listen: ${outcome.cause} ${outcome.detail}`);
    return outcome.listener;
  }

  /** The cause of a listen that must fail. */
  async listenFails(address: Address): Promise<CloseCause> {
    const outcome = this.startListen(address);
    await this.world.until("the failure of listen", () => outcome.listener !== null || outcome.cause !== null);
    if (outcome.cause === null) throw new Error("listen did not fail");
    await this.world.pass(10);
    if (outcome.closes !== 1) this.violations.push(`a failed listen said onClose ${outcome.closes} times`);
    return outcome.cause;
  }

  listenBadly(address: Address): void {
    this.startListen(address);
  }

  /** A fresh listener at address and one connection: [the side that connected, the accepted side]. */
  async pair(address: Address, prepare: (near: Peer) => void = () => {}): Promise<[Peer, Peer]> {
    const listener = await this.listen(address);
    const before = this.accepted.length;
    const near = this.peer();
    prepare(near);
    this.connect(listener.address, 5000, near);
    await this.world.until("a pair of sockets", () => near.opened && this.accepted.length > before && this.accepted[before]!.opened);
    return [near, this.accepted[before]!];
  }

  /** Ends what is still open; the tests wait for allClosed afterwards. */
  endAll(): void {
    for (const listener of this.listeners) listener.close();
    for (const peer of this.peers) {
      if (peer.opened && !peer.closed) peer.socket.abort();
      else if (!peer.closed) peer.attempt.abort();
    }
  }

  allClosed(): boolean {
    return this.peers.every((peer) => peer.closed);
  }

  private startListen(address: Address, options: Partial<ListenOptions> = {}) {
    const outcome = { listener: null as Listener | null, cause: null as CloseCause | null, detail: "", closes: 0 };
    this.inside("listen", () =>
      this.world.platform.net.listen(address, { ...OPTIONS, ...options }, {
        onListening: (listener) => {
          outcome.listener = listener;
          this.listeners.push(listener);
          this.heard("onListening");
        },
        onAccept: () => {
          const peer = this.peer();
          this.accepted.push(peer);
          this.heard("onAccept");
          this.onAccepted?.(peer);
          return peer;
        },
        onClose: (cause, detail) => {
          Object.assign(outcome, { cause, detail });
          outcome.closes++;
          this.heard("onClose of a listener");
        },
      }),
    );
    return outcome;
  }
}

/** Records what one connection's owner hears, and lets a test act inside the handlers. */
export class Peer implements SocketHandlers {
  readonly events: string[] = [];
  received = 0;
  drains = 0;
  ends = 0;
  closes = 0;
  cause: CloseCause | null = null;
  detail = "";
  onOpened: ((socket: Socket) => void) | null = null;
  onBytes: ((bytes: Uint8Array) => void) | null = null;
  onDrained: (() => void) | null = null;
  onEnded: (() => void) | null = null;
  attempt: Attempt = { abort() {} };
  private open: Socket | null = null;
  private readonly copies: Uint8Array[] = [];

  constructor(private readonly desk: Desk) {}

  get opened(): boolean {
    return this.open !== null;
  }

  get closed(): boolean {
    return this.closes > 0;
  }

  get socket(): Socket {
    if (this.open === null) throw new Error(`not open: ${this.cause} ${this.detail}`);
    return this.open;
  }

  /** Everything received so far. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.received);
    let at = 0;
    for (const copy of this.copies) {
      all.set(copy, at);
      at += copy.length;
    }
    return all;
  }

  onOpen(socket: Socket): void {
    if (this.open !== null) this.desk.violations.push("onOpen twice");
    this.note("open");
    this.open = socket;
    this.onOpened?.(socket);
  }

  onData(bytes: Uint8Array): void {
    this.note("data");
    if (bytes.length === 0) this.desk.violations.push("onData without bytes");
    if (this.ends > 0) this.desk.violations.push("onData after onEnd");
    this.received += bytes.length;
    this.copies.push(bytes.slice());
    this.onBytes?.(bytes);
  }

  onDrain(): void {
    this.note("drain");
    this.drains++;
    this.onDrained?.();
  }

  onEnd(): void {
    this.note("end");
    if (++this.ends > 1) this.desk.violations.push("onEnd twice");
    this.onEnded?.();
  }

  onClose(cause: CloseCause, detail: string): void {
    this.note("close");
    if (++this.closes > 1) this.desk.violations.push("onClose twice");
    this.cause = cause;
    this.detail = detail;
  }

  private note(event: string): void {
    if (this.closed) this.desk.violations.push(`${event} after onClose`);
    if (this.open === null && event !== "open" && event !== "close") this.desk.violations.push(`${event} before onOpen`);
    this.events.push(event);
    this.desk.heard(event);
  }
}

/** Bytes that tell where in a stream they belong: writes those of [from, from + size) at bytes[at]. */
export function fillPattern(bytes: Uint8Array, at: number, from: number, size: number): void {
  for (let i = 0; i < size; i++) bytes[at + i] = patternAt(from + i);
}

/** Are these the bytes of the pattern from position from on? */
export function isPattern(bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== patternAt(from + i)) return false;
  return true;
}

function patternAt(position: number): number {
  return (position * 31 + (position >> 8) * 7 + (position >> 16)) & 255;
}
