// Listening and connecting on Linux: the contract's Net over bun_linux_loop.ts.
import { chmodSync, unlinkSync } from "node:fs";
import type { Acceptor } from "./bun_crew.ts";
import { causeOf, codeOf, describe, endText, messageOf } from "./host_common.ts";
import type { Inherited } from "./host_service.ts";
import { LinuxSocket, type SocketOwner } from "./bun_linux_socket.ts";
import type { Loop, Ready } from "./bun_linux_loop.ts";
import type { Address, Attempt, CloseCause, Listener, ListenHandlers, ListenOptions, Net, SocketHandlers, Timer } from "./platform.ts";

/** Connections accepted a turn, from one port: the others of the turn wait no longer for them. */
const ACCEPTS_MAX = 256;

/** What is not the kernel's. */
export interface NetHelp {
  readonly inherited: readonly Inherited[];
  /** The addresses of a host name; a string says why there are none. */
  resolve(host: string): Promise<string[] | string>;
  /** What make makes at path; a file there that nobody answers at is removed for it. */
  replacingStale<T>(path: string, make: () => T): Promise<T>;
}

export class LinuxNet implements Net, SocketOwner, Acceptor {
  sockets = 0;

  constructor(readonly loop: Loop, private readonly help: NetHelp, readonly ceiling: number) {}

  connect(address: Address, deadlineMs: number, handlers: SocketHandlers): Attempt {
    return new LinuxAttempt(this, this.help, address, deadlineMs, handlers);
  }

  listen(address: Address, options: ListenOptions, handlers: ListenHandlers): void {
    this.loop.after(() => {
      this.open(address, options, handlers).then(
        (listener) => listener !== null && handlers.onListening(listener),
        (error: unknown) => handlers.onClose(causeOf(codeOf(error)), messageOf(error)),
      );
    });
  }

  private async open(address: Address, { backlog, reusePort, unixMode, inherited }: ListenOptions, handlers: ListenHandlers): Promise<LinuxListener | null> {
    const { calls } = this.loop;
    if (typeof inherited === "number") {
      const found = this.help.inherited[inherited];
      if (found === undefined) throw new Error(`there is no inherited socket ${inherited}`);
      return this.acceptFrom(found.fd, found.address, backlog, handlers);
    }
    if (address.kind === "unix") {
      const fd = await this.help.replacingStale(address.path, () => calls.listen(address, backlog, false));
      chmodSync(address.path, unixMode);
      return new LinuxListener(this, fd, address, handlers, address.path);
    }
    const found = await this.help.resolve(address.host);
    if (typeof found === "string") {
      handlers.onClose("not_found", `${describe(address)}: ${found}`);
      return null;
    }
    const host = found[0]!;
    const fd = calls.listen({ kind: "tcp", host, port: address.port }, backlog, reusePort);
    const bound = calls.local(fd);
    return new LinuxListener(this, fd, { kind: "tcp", host, port: bound?.kind === "tcp" ? bound.port : address.port }, handlers, null);
  }

  later(run: () => void): void {
    this.loop.after(run);
  }

  handOn(listener: Listener): number {
    return (listener as LinuxListener).handOn();
  }

  acceptFrom(fd: number, address: Address, backlog: number, handlers: ListenHandlers): LinuxListener {
    this.loop.calls.adopt(fd, address.kind, backlog);
    return new LinuxListener(this, fd, address, handlers, null);
  }
}

class LinuxListener implements Listener, Ready {
  private open = true;

  constructor(
    private readonly net: LinuxNet,
    readonly fd: number,
    readonly address: Address,
    private readonly handlers: ListenHandlers,
    /** The file of a unix socket that we made, and remove. */
    private file: string | null,
  ) {
    net.loop.add(fd, this, false);
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.net.loop.remove(this.fd, true);
    this.net.loop.calls.call.close(this.fd);
    try {
      if (this.file !== null) unlinkSync(this.file);
    } catch {
      // It is gone already.
    }
  }

  /** Somebody else listens here too from now on: its file stays. */
  handOn(): number {
    this.file = null;
    return this.fd;
  }

  ready(): void {
    const { net } = this;
    const { calls } = net.loop;
    for (let i = 0; i < ACCEPTS_MAX && this.open; i++) {
      const fd = calls.accept(this.fd);
      if (fd < 0) return;
      // Above the limit accept would fail and spin: what is refused here leaves descriptors for it.
      if (net.sockets >= net.ceiling) calls.reset(fd);
      else {
        const peer = this.address.kind === "unix" ? "unix" : calls.peer();
        const socket = new LinuxSocket(net, fd, this.handlers.onAccept(), peer, null);
        try {
          socket.opened();
        } catch (error) {
          socket.threw(error);
        }
      }
    }
  }

  more(): void {}

  /** onAccept threw: who came is not served. */
  threw(error: unknown): void {
    setImmediate(() => {
      throw error;
    });
  }
}

class LinuxAttempt implements Attempt {
  private done = false;
  private targets: Address[] = [];
  private pending: LinuxSocket | null = null;
  private readonly dueMs: number;
  private readonly deadline: Timer;
  private step: Timer | null = null;

  constructor(
    private readonly net: LinuxNet,
    private readonly help: NetHelp,
    private readonly address: Address,
    deadlineMs: number,
    private readonly handlers: SocketHandlers,
  ) {
    const { clock } = net.loop;
    this.dueMs = clock.nowMs() + deadlineMs;
    this.deadline = clock.timer(deadlineMs, () => this.fail("timeout", `connect to ${describe(address)} took too long`));
    net.loop.after(() => void this.start());
  }

  abort(): void {
    if (!this.settle()) return;
    this.pending?.giveUp();
    this.net.loop.after(() => this.handlers.onClose("aborted", ""));
  }

  settle(): boolean {
    if (this.done) return false;
    this.done = true;
    this.deadline.cancel();
    this.step?.cancel();
    return true;
  }

  private fail(cause: CloseCause, detail: string): void {
    if (!this.settle()) return;
    this.pending?.giveUp();
    this.handlers.onClose(cause, detail);
  }

  private async start(): Promise<void> {
    const { address } = this;
    if (address.kind === "unix") this.targets = [address];
    else {
      const found = await this.help.resolve(address.host);
      if (typeof found === "string") return this.fail("not_found", found);
      this.targets = found.map((host) => ({ kind: "tcp", host, port: address.port }));
    }
    this.next("failed", "no address");
  }

  /** Tries the next address, or ends with the cause of the last. Each gets an equal part of the time that is left. */
  private next(cause: CloseCause, detail: string): void {
    if (this.done) return;
    this.step?.cancel();
    const target = this.targets.shift();
    if (target === undefined) return this.fail(cause, detail);
    const { clock, calls } = this.net.loop;
    if (this.targets.length > 0) {
      const share = (this.dueMs - clock.nowMs()) / (this.targets.length + 1);
      this.step = clock.timer(Math.max(1, share), () => this.nextAfter("timeout", "no answer"));
    }
    const failed = (why: CloseCause, what: string): void => this.next(why, `${describe(this.address)}: ${what}`);
    try {
      this.pending = new LinuxSocket(this.net, calls.connect(target), this.handlers, endText(target), { settle: () => this.settle(), failed });
    } catch (error) {
      failed(causeOf(codeOf(error)), messageOf(error));
    }
  }

  private nextAfter(cause: CloseCause, detail: string): void {
    this.pending?.giveUp();
    this.next(cause, detail);
  }
}
