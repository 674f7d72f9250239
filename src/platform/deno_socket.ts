// One connection on Deno: the contract's Socket over reads and writes that are promises. One read and one write are
// on their way at a time; what is written meanwhile is copied, up to a bound.
//
//   OPEN ──finish──▶ FINISHING ──both FINs──▶ CLOSED        CLOSED: onClose is on its way, or came
//    └───────abort, reset, failure, deadline────▶┘
import type { CloseCause, Socket, SocketHandlers } from "./platform.ts";
import { addressText, causeOf, codeOf, messageOf } from "./host_common.ts";

/** How many bytes are copied while a write is on its way; the rest must wait for onDrain. */
const QUEUE_BYTES = 64 * 1024;
const READ_BYTES = 16 * 1024;
const READ_BYTES_MAX = 256 * 1024;

const OPEN = 0;
const FINISHING = 1;
const CLOSED = 2;

/** What a socket needs of the net it belongs to. */
export interface SocketOwner {
  /** Open sockets: what holds descriptors. */
  sockets: number;
  /** Runs it after the current turn: never inside a call of the owner's. */
  later(run: () => void): void;
  /** Makes the close that follows a RST. */
  reset(connection: Deno.Conn): void;
}

export class DenoSocket implements Socket {
  readonly remote: string;
  readonly local: string;
  private state = OPEN;
  private paused = false;
  private reading = false;
  private buffer = new Uint8Array(READ_BYTES);
  /** What a read brought while paused. Nothing more is read until it is delivered. */
  private held: Uint8Array | null = null;
  private ended = false;
  private writing = false;
  private queue: Uint8Array[] = [];
  private queued = 0;
  private blocked = false;
  private writeFailed = false;
  private finSent = false;
  private deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly net: SocketOwner,
    private readonly connection: Deno.Conn,
    private readonly handlers: SocketHandlers,
  ) {
    this.remote = addrText(connection.remoteAddr);
    this.local = addrText(connection.localAddr);
    try {
      if ("setNoDelay" in connection) (connection as Deno.TcpConn).setNoDelay(true);
    } catch {
      // It was reset already: the first read says so.
    }
  }

  /** Tells the owner and begins to read. */
  open(): void {
    this.guard(() => this.handlers.onOpen(this));
    this.read();
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.state !== OPEN) return 0;
    const taken = Math.min(end - start, QUEUE_BYTES - this.queued);
    if (taken < end - start) this.blocked = true;
    if (taken === 0) return 0;
    this.queue.push(bytes.slice(start, start + taken));
    this.queued += taken;
    if (!this.writing) void this.send();
    return taken;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.held === null) this.read();
    else this.net.later(() => this.release());
  }

  finish(deadlineMs: number): void {
    if (this.state !== OPEN) return;
    this.state = FINISHING;
    this.paused = false;
    this.held = null;
    this.deadline = setTimeout(() => this.kill("timeout", "the peer did not close"), deadlineMs);
    if (!this.writing) void this.sendFin();
    this.read();
  }

  abort(): void {
    this.kill("aborted", "");
  }

  /** Ends it now with a RST; the owner hears cause. */
  private kill(cause: CloseCause, detail: string): void {
    if (this.state === CLOSED) return;
    this.net.reset(this.connection);
    this.die(cause, detail);
  }

  private die(cause: CloseCause, detail: string): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.held = null;
    this.queue = [];
    clearTimeout(this.deadline);
    try {
      this.connection.close();
    } catch {
      // Deno closed it already after an error.
    }
    this.net.sockets--;
    this.net.later(() => this.handlers.onClose(cause, detail));
  }

  /** Runs a handler. When it throws, the connection's state is unknown: it ends, and its owner's log shows why. */
  private guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.kill("failed", error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  private read(): void {
    if (this.reading || this.paused || this.ended || this.state === CLOSED) return;
    this.reading = true;
    this.connection.read(this.buffer).then(
      (count) => {
        this.reading = false;
        if (count === null) this.peerEnded();
        else this.arrived(count);
        this.read();
      },
      (error: unknown) => {
        this.reading = false;
        this.die(this.writeFailed ? "reset" : causeOf(codeOf(error)), messageOf(error));
      },
    );
  }

  private arrived(count: number): void {
    if (this.state !== OPEN || count === 0) return;
    const bytes = this.takeBytes(count);
    if (this.paused || this.held !== null) this.held = bytes;
    else this.guard(() => this.handlers.onData(bytes));
  }

  /** The first count bytes of the read buffer as the owner's own: a copy, or the buffer itself when it is well filled. */
  private takeBytes(count: number): Uint8Array {
    const size = this.buffer.length;
    if (count < size / 2) return this.buffer.slice(0, count);
    const bytes = this.buffer.subarray(0, count);
    this.buffer = new Uint8Array(count === size ? Math.min(size * 2, READ_BYTES_MAX) : size);
    return bytes;
  }

  private release(): void {
    const bytes = this.held;
    if (bytes === null || this.paused || this.state !== OPEN) return;
    this.held = null;
    this.guard(() => this.handlers.onData(bytes));
    this.read();
  }

  private peerEnded(): void {
    this.ended = true;
    if (this.writeFailed) this.die("reset", "write failed");
    else if (this.state === FINISHING) this.endWhenDone();
    else if (this.state === OPEN) this.guard(() => this.handlers.onEnd());
  }

  private async send(): Promise<void> {
    this.writing = true;
    try {
      for (let bytes = this.queue.shift(); bytes !== undefined; bytes = this.queue.shift()) {
        for (let at = 0; at < bytes.length; ) {
          const count = await this.connection.write(at === 0 ? bytes : bytes.subarray(at));
          at += count;
          this.queued -= count;
        }
      }
    } catch (error) {
      this.failWrite(messageOf(error));
      return;
    }
    this.writing = false;
    if (this.state === FINISHING) return this.sendFin();
    if (!this.blocked || this.state !== OPEN) return;
    this.blocked = false;
    this.guard(() => this.handlers.onDrain());
  }

  // The peer is gone, but its last words may still be unread: the reads go on until they meet the end.
  private failWrite(detail: string): void {
    this.writeFailed = true;
    if (this.paused || this.ended || this.held !== null) this.die("reset", detail);
  }

  private async sendFin(): Promise<void> {
    try {
      await this.connection.closeWrite();
    } catch {
      // The peer reset it: the read says so.
    }
    this.finSent = true;
    this.endWhenDone();
  }

  private endWhenDone(): void {
    if (this.ended && this.finSent && this.state === FINISHING) this.die("ended", "");
  }
}

function addrText(addr: Deno.Addr): string {
  return addr.transport === "tcp" ? addressText(addr.hostname, addr.port) : "unix";
}
