// One connection on Bun: the contract's Socket over Bun's, and Bun's events over the contract's handlers.
//
//   OPEN ──finish──▶ FINISHING ──both FINs──▶ CLOSED        CLOSED: onClose is on its way, or came
//    └───────abort, reset, failure, deadline────▶┘
import type { CloseCause, Socket, SocketHandlers } from "./platform.ts";
import { addressText, causeOf, codeOf, messageOf } from "./host_common.ts";

export type Raw = Bun.Socket<BunSocket>;

/** What a socket needs of the net it belongs to. */
export interface SocketOwner {
  /** Open sockets and pending connects: what holds descriptors. */
  sockets: number;
  /** Runs it after the current turn: never inside a call of the owner's. */
  later(run: () => void): void;
}

/** What a socket needs of the connect that makes it. */
export interface Opening {
  readonly kind: "tcp" | "unix";
  /** True for the one who may tell the owner. A socket that opens after this is ended unseen. */
  settle(): boolean;
}

const OPEN = 0;
const FINISHING = 1;
const CLOSED = 2;

export class BunSocket implements Socket {
  /** The peer's port; -1 for a unix socket. */
  private port = -1;
  /** True while data goes to the owner: open and not paused. The one question of the hot path. */
  flowing = false;
  state = OPEN;
  handlers: SocketHandlers;
  raw: Raw | null = null;
  /** The connect that made it; null for an accepted one. */
  readonly attempt: Opening | null;
  private readonly net: SocketOwner;
  private paused = false;
  /** A write was short: the owner is owed one onDrain. Bun also says drain unasked, after every pause. */
  private blocked = false;
  private writeFailed = false;
  private ended = false;
  private deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(net: SocketOwner, handlers: SocketHandlers, attempt: Opening | null) {
    this.net = net;
    this.handlers = handlers;
    this.attempt = attempt;
  }

  opened(raw: Raw, kind: "tcp" | "unix"): void {
    this.raw = raw;
    this.flowing = true;
    // Asked for once, Bun knows the address for good; the port only while the connection lives.
    if (kind === "tcp") this.port = raw.remoteAddress === undefined ? 0 : raw.remotePort;
    this.handlers.onOpen(this);
  }

  // Texts are made when they are asked for: kept, they were an eighth of what an idle client costs.
  get remote(): string {
    return this.port === -1 ? "unix" : addressText(this.raw!.remoteAddress, this.port);
  }

  get local(): string {
    return this.port === -1 ? "unix" : addressText(this.raw!.localAddress, this.raw!.localPort);
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.state !== OPEN) return 0;
    const taken = this.raw!.write(bytes, start, end - start);
    if (taken === end - start) return taken;
    this.blocked = true;
    if (taken >= 0) return taken;
    this.failWrite();
    return 0;
  }

  pause(): void {
    if (this.paused || this.state !== OPEN) return;
    this.paused = true;
    this.flowing = false;
    this.raw!.pause();
  }

  resume(): void {
    if (!this.paused || this.state !== OPEN) return;
    this.paused = false;
    this.raw!.resume();
    this.flowing = true;
  }

  finish(deadlineMs: number): void {
    if (this.state !== OPEN) return;
    this.state = FINISHING;
    this.flowing = false;
    // While paused the peer's FIN would go unnoticed.
    if (this.paused) this.raw!.resume();
    // Not end(): that would close at once, and with unread input the kernel makes it a RST that eats our last words.
    this.raw!.shutdown();
    this.deadline = setTimeout(() => this.kill("timeout", "the peer did not close"), deadlineMs);
  }

  abort(): void {
    this.kill("aborted", "");
  }

  /** Ends it now with a RST (terminate sets SO_LINGER 0); the owner hears cause. */
  kill(cause: CloseCause, detail: string): void {
    if (this.state === CLOSED) return;
    this.die(cause, detail);
    this.raw?.terminate();
  }

  /**
   * Data that must not go to the owner. While finishing it is discarded. While paused Bun delivers none, but when a
   * RST comes it delivers what was queued, just before its close: the reset has lost those bytes in any case.
   */
  unwanted(): void {
    if (this.state === OPEN) this.kill("reset", "reset while paused");
  }

  drained(): void {
    if (!this.blocked || this.writeFailed || this.state !== OPEN) return;
    this.blocked = false;
    this.handlers.onDrain();
  }

  peerEnded(): void {
    // After a failed write the reset shows itself to read as an end.
    if (this.ended || this.writeFailed || this.state !== OPEN) return;
    this.ended = true;
    this.handlers.onEnd();
  }

  /** Bun has closed it. */
  closed(error: Error | undefined): void {
    if (error !== undefined) this.die(causeOf(codeOf(error)), messageOf(error));
    else if (this.writeFailed) this.die("reset", "write failed");
    else if (this.state === FINISHING) this.die("ended", "");
    else this.die("reset", "closed by the runtime");
  }

  /** A connect came through after its owner was told otherwise. */
  closeUnseen(raw: Raw): void {
    this.state = CLOSED;
    this.net.sockets--;
    raw.terminate();
  }

  private die(cause: CloseCause, detail: string): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.flowing = false;
    clearTimeout(this.deadline);
    this.net.sockets--;
    this.net.later(() => this.handlers.onClose(cause, detail));
  }

  // The peer is gone, but its last words may still be unread: one more poll delivers them, then it ends.
  private failWrite(): void {
    if (this.writeFailed) return;
    this.writeFailed = true;
    this.net.later(() => this.net.later(() => this.kill("reset", "write failed")));
  }
}

/** Bun's events, shared by all sockets of a platform; listeners replace open. */
export function createEvents() {
  return {
    binaryType: "uint8array" as const,
    open(raw: Raw): void {
      const attempt = raw.data.attempt!;
      if (attempt.settle()) raw.data.opened(raw, attempt.kind);
      else raw.data.closeUnseen(raw);
    },
    data(raw: Raw, bytes: Uint8Array): void {
      const socket = raw.data;
      if (socket.flowing) socket.handlers.onData(bytes);
      else socket.unwanted();
    },
    drain(raw: Raw): void {
      raw.data.drained();
    },
    end(raw: Raw): void {
      raw.data.peerEnded();
    },
    // Undefined: an accepted socket that was refused in open.
    close(raw: Raw, error?: Error): void {
      (raw.data as BunSocket | undefined)?.closed(error);
    },
    connectError(): void {},
    // A handler threw. The connection's state is unknown, so it ends, and its owner's log shows why.
    error(raw: Raw, error: Error): void {
      (raw.data as BunSocket | undefined)?.kill("failed", error.stack ?? error.message);
    },
  };
}
