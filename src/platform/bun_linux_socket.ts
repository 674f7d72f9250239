// One connection on Linux: the contract's Socket over a descriptor in bun_linux_loop.ts.
//
//   CONNECTING ─▶ OPEN ──finish──▶ FINISHING ──both FINs──▶ CLOSED        CLOSED: onClose is on its way, or came
//       └───────────┴──abort, reset, failure, deadline──┴────▶┘
//
// It is told once of what is new (edge-triggered): what one read leaves, and what waits while it is paused, it must
// remember itself.
import { causeOf, endText } from "./host_common.ts";
import { EAGAIN } from "./bun_linux_calls.ts";
import { FAILED, HUNG_UP, type Loop, PEER_ENDED, READABLE, type Ready, WRITABLE } from "./bun_linux_loop.ts";
import type { CloseCause, Socket, SocketHandlers, Timer } from "./platform.ts";

/** What a socket needs of the net it belongs to. */
export interface SocketOwner {
  readonly loop: Loop;
  /** Open sockets and pending connects: what holds descriptors. */
  sockets: number;
}

/** Who waits for a connect. */
export interface Dialled {
  /** It is open: true when its owner is to hear of it. */
  settle(): boolean;
  failed(cause: CloseCause, detail: string): void;
}

/** Its address as text; an IPv4 one as a number, of which the port is the last 16 bits. */
export type Peer = string | number;

const CONNECTING = 0, OPEN = 1, FINISHING = 2, CLOSED = 3;

export class LinuxSocket implements Socket, Ready {
  private state = CONNECTING;
  private paused = false;
  /** A write was short: the owner is owed one onDrain. */
  private blocked = false;
  private writeFailed = false;
  private ended = false;
  /** The peer will send nothing more: who has read a part must look for the end by himself. */
  private last = false;
  /** It has failed, which reading may not tell: after the peer's FIN it goes on to say that nothing comes. */
  private failed = false;
  private hungry = false;
  /** The last read brought more than a small array takes. */
  private much = false;
  private deadline: Timer | null = null;
  private localText = "";

  constructor(
    private readonly net: SocketOwner,
    private readonly fd: number,
    private readonly handlers: SocketHandlers,
    private readonly peer: Peer,
    private readonly dialled: Dialled | null,
  ) {
    net.sockets++;
    net.loop.add(fd, this, true);
  }

  opened(): void {
    this.state = OPEN;
    this.handlers.onOpen(this);
  }

  // Made when it is asked for: kept, it were an eighth of what an idle client costs.
  get remote(): string {
    const { peer } = this;
    return typeof peer === "string" ? peer : `${[peer / 2 ** 40, peer / 2 ** 32, peer / 2 ** 24, peer / 2 ** 16].map((part) => Math.floor(part) & 255).join(".")}:${peer % 2 ** 16}`;
  }

  get local(): string {
    if (this.localText === "" && this.state !== CLOSED) {
      this.localText = endText(this.net.loop.calls.local(this.fd));
    }
    return this.localText;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.state !== OPEN || start === end) return 0;
    const taken = this.net.loop.calls.send(this.fd, bytes, start, end);
    if (taken === end - start) return taken;
    this.blocked = true;
    if (taken >= 0) return taken;
    // The peer is gone, but its last words may still be unread.
    this.writeFailed = true;
    this.again();
    return 0;
  }

  pause(): void {
    if (this.state === OPEN) this.paused = true;
  }

  resume(): void {
    if (!this.paused || this.state !== OPEN) return;
    this.paused = false;
    this.again();
  }

  finish(deadlineMs: number): void {
    if (this.state !== OPEN) return;
    this.state = FINISHING;
    // Not close(): with unread input the kernel makes it a RST that eats our last words.
    this.net.loop.calls.shut(this.fd);
    this.deadline = this.net.loop.clock.timer(deadlineMs, () => this.kill("timeout", "the peer did not close"));
    this.again();
  }

  abort(): void {
    this.kill("aborted", "");
  }

  /** Ends it now with a RST; the owner hears cause. */
  kill(cause: CloseCause, detail: string): void {
    if (this.state === CLOSED) return;
    const { calls } = this.net.loop;
    this.leave(cause, detail);
    calls.reset(this.fd);
  }

  /** Nobody waits for this connect any more. */
  giveUp(): void {
    if (this.state === CONNECTING) this.forget();
  }

  ready(events: number): void {
    if (this.state === CONNECTING) return this.connected(events);
    if ((events & WRITABLE) !== 0 && this.blocked && this.state === OPEN && !this.writeFailed) {
      this.blocked = false;
      this.handlers.onDrain();
    }
    if ((events & (PEER_ENDED | HUNG_UP | FAILED)) !== 0) {
      this.last = true;
      if ((events & FAILED) !== 0) this.failed = true;
      // What waits is lost with a reset in any case.
      if (this.failed && this.state === OPEN && (this.paused || this.ended)) return this.broken();
    }
    if ((events & (READABLE | PEER_ENDED | HUNG_UP | FAILED)) !== 0) this.read();
  }

  more(): void {
    this.hungry = false;
    this.read();
  }

  /** A handler threw. The connection's state is unknown, so it ends, and its owner's log shows why. */
  threw(error: unknown): void {
    this.kill("failed", error instanceof Error ? error.stack ?? error.message : String(error));
  }

  private again(): void {
    if (this.hungry) return;
    this.hungry = true;
    this.net.loop.again(this);
  }

  private read(): void {
    if (this.paused && this.state === OPEN && !this.writeFailed) return;
    if (this.state === CLOSED || (this.ended && !this.writeFailed && this.state === OPEN)) return;
    const { loop } = this.net;
    const { calls } = loop;
    const input = this.much ? loop.largeInput : loop.input;
    const length = calls.call.recv(this.fd, input.at, input.size, 0);
    if (length > 0) {
      this.much = length >= loop.input.size;
      if (length === input.size || this.last) this.again();
      if (this.state !== OPEN || this.paused) return; // discarded
      return this.handlers.onData(input.take(length));
    }
    if (length === 0) return this.peerEnded();
    const errno = calls.errno();
    if (errno !== EAGAIN) this.kill(causeOf(calls.nameOf(errno)), calls.nameOf(errno));
    else if (this.writeFailed) this.kill("reset", "write failed");
  }

  private broken(): void {
    const { calls } = this.net.loop;
    const errno = calls.errorOf(this.fd);
    if (errno === 0) this.kill("reset", "");
    else this.kill(causeOf(calls.nameOf(errno)), calls.nameOf(errno));
  }

  private peerEnded(): void {
    // After a failed write the reset shows itself to read as an end.
    if (this.writeFailed) return this.kill("reset", "write failed");
    if (this.failed) return this.broken();
    if (this.state === FINISHING) return this.close();
    this.ended = true;
    this.handlers.onEnd();
  }

  private close(): void {
    const { calls } = this.net.loop;
    this.leave("ended", "");
    calls.call.close(this.fd);
  }

  private connected(events: number): void {
    if ((events & (WRITABLE | FAILED | HUNG_UP)) === 0) return;
    const { calls } = this.net.loop;
    const errno = calls.errorOf(this.fd);
    if (errno !== 0) {
      this.forget();
      const name = calls.nameOf(errno);
      return this.dialled!.failed(causeOf(name), name);
    }
    if (!this.dialled!.settle()) return this.forget();
    this.opened();
    // What came with it is in the same event.
    if (this.state !== CLOSED) this.ready(events & ~WRITABLE);
  }

  /** The end of a connect that nobody is told of. */
  private forget(): void {
    this.state = CLOSED;
    this.net.sockets--;
    this.net.loop.remove(this.fd, false);
    this.net.loop.calls.reset(this.fd);
  }

  /** Its descriptor is closed next; the owner hears of it after this turn. */
  private leave(cause: CloseCause, detail: string): void {
    this.state = CLOSED;
    this.deadline?.cancel();
    this.net.sockets--;
    this.net.loop.remove(this.fd, false);
    this.net.loop.after(() => this.handlers.onClose(cause, detail));
  }
}
