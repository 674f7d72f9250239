// The Bun platform: Bun.listen and Bun.connect behind platform.ts. What Bun does otherwise than the contract says is
// put right here and in bun_socket.ts, each place with its reason; nothing above knows of it.
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import type { Address, Attempt, CloseCause, Listener, ListenHandlers, ListenOptions, Net, Platform, SocketHandlers } from "./platform.ts";
import { causeOf, codeOf, describe, HostRandom, hostClock, messageOf, socketCeiling } from "./host_common.ts";
import { BunSocket, createEvents, type Opening, type Raw, type SocketOwner } from "./bun_socket.ts";
import { HostFiles } from "./host_files.ts";
import { type Acceptor, type Binder, createBunCrew, keepingFile } from "./bun_crew.ts";
import { LinuxCalls } from "./bun_linux_calls.ts";
import { Loop } from "./bun_linux_loop.ts";
import { LinuxNet } from "./bun_linux_net.ts";
import { BunLibc, createBunHost } from "./bun_host.ts";

/** The address a connect goes on with when the name has several. */
type Target = { readonly unix: string } | { readonly hostname: string; readonly port: number };

class BunAttempt implements Attempt, Opening {
  readonly kind: "tcp" | "unix";
  private done = false;
  private targets: Target[] = [];
  /** Counts the targets tried, so that a late failure of an earlier one is known for what it is. */
  private tried = 0;
  private readonly deadline: ReturnType<typeof setTimeout>;
  private step: ReturnType<typeof setTimeout> | undefined;
  private readonly dueMs: number;

  constructor(
    private readonly net: BunNet,
    private readonly address: Address,
    deadlineMs: number,
    private readonly handlers: SocketHandlers,
  ) {
    this.kind = address.kind;
    this.dueMs = performance.now() + deadlineMs;
    this.deadline = setTimeout(() => this.fail("timeout", `connect to ${describe(address)} took too long`), deadlineMs);
    void this.start();
  }

  abort(): void {
    if (this.settle()) this.net.later(() => this.handlers.onClose("aborted", ""));
  }

  settle(): boolean {
    if (this.done) return false;
    this.done = true;
    clearTimeout(this.deadline);
    clearTimeout(this.step);
    return true;
  }

  private fail(cause: CloseCause, detail: string): void {
    if (this.settle()) this.handlers.onClose(cause, detail);
  }

  private async start(): Promise<void> {
    const address = this.address;
    if (address.kind === "unix") this.targets = [{ unix: address.path }];
    else {
      const found = await resolve(address.host);
      if (typeof found === "string") return this.fail("not_found", found);
      this.targets = found.map((hostname) => ({ hostname, port: address.port }));
    }
    this.next("failed", "no address");
  }

  /** Tries the next address, or ends with the cause of the last. Each gets an equal part of the time that is left. */
  private next(cause: CloseCause, detail: string): void {
    if (this.done) return;
    clearTimeout(this.step);
    const target = this.targets.shift();
    if (target === undefined) return this.fail(cause, detail);
    const turn = ++this.tried;
    if (this.targets.length > 0) {
      const share = (this.dueMs - performance.now()) / (this.targets.length + 1);
      this.step = setTimeout(() => this.next("timeout", "no answer"), Math.max(1, share));
    }
    const socket = new BunSocket(this.net, this.handlers, this);
    this.net.sockets++;
    // There is no way to give up a pending connect: a late one is ended in open.
    this.dial(target, socket).catch((error: unknown) => {
      this.net.sockets--;
      if (turn === this.tried) this.next(causeOf(codeOf(error)), `${describe(this.address)}: ${messageOf(error)}`);
    });
  }

  // A refusal comes twice, as connectError (from inside Bun.connect when the socket is unix) and as a rejection: only
  // the rejection is heard.
  private async dial(target: Target, socket: BunSocket): Promise<void> {
    const common = { allowHalfOpen: true, socket: this.net.events, data: socket };
    if ("unix" in target) await Bun.connect({ ...target, ...common });
    else await Bun.connect({ ...target, ...common });
  }
}

/** The addresses of a host name, asked anew (Bun.connect itself remembers answers for 30 s); a string says why none. */
async function resolve(host: string): Promise<string[] | string> {
  if (host.includes(":") || /^[\d.]+$/.test(host)) return [host];
  try {
    const found = await Bun.dns.lookup(host, { backend: "libc", socketType: "tcp" });
    return [...new Set(found.map((one) => one.address))];
  } catch (error) {
    return messageOf(error);
  }
}

/** For a listener that is stopped before anybody can come. */
const NOBODY = { data(): void {} };

class BunNet implements Net, SocketOwner, Binder, Acceptor {
  sockets = 0;
  readonly events = createEvents();
  readonly ceiling: number;

  constructor(private readonly libc: BunLibc) {
    this.ceiling = socketCeiling(libc.fdLimit());
  }

  later(run: () => void): void {
    setImmediate(run);
  }

  connect(address: Address, deadlineMs: number, handlers: SocketHandlers): Attempt {
    return new BunAttempt(this, address, deadlineMs, handlers);
  }

  listen(address: Address, options: ListenOptions, handlers: ListenHandlers): void {
    this.later(() => {
      if (typeof options.inherited === "number") this.listenInherited(options.inherited, options, handlers);
      else if (address.kind === "unix") void this.listenUnix(address.path, options, handlers);
      else void this.listenTcp(address, options, handlers);
    });
  }

  private async listenTcp(address: Address & { kind: "tcp" }, options: ListenOptions, handlers: ListenHandlers): Promise<void> {
    const found = await resolve(address.host);
    if (typeof found === "string") return handlers.onClose("not_found", `${describe(address)}: ${found}`);
    const hostname = found[0]!;
    const { reusePort } = options;
    let listener: Bun.TCPSocketListener<BunSocket>;
    try {
      const asked = { hostname, port: address.port, reusePort, allowHalfOpen: true, socket: this.listening("tcp", handlers) };
      listener = Bun.listen<BunSocket>(asked);
    } catch (error) {
      return handlers.onClose(causeOf(codeOf(error)), messageOf(error));
    }
    this.backlog(listener, options.backlog);
    const bound: Address = { kind: "tcp", host: hostname, port: listener.port };
    handlers.onListening(this.made(bound, listener));
  }

  /** Bun.listen takes a descriptor that listens already, which its types do not tell. */
  private listenInherited(index: number, options: ListenOptions, handlers: ListenHandlers): void {
    const inherited = this.libc.inherited[index];
    if (inherited === undefined) return handlers.onClose("failed", `there is no inherited socket ${index}`);
    const { fd, address } = inherited;
    try {
      const asked = { unix: "", fd, allowHalfOpen: true, socket: this.listening(address.kind, handlers) };
      const { unix: _, ...byDescriptor } = asked;
      const listener = Bun.listen<BunSocket>(byDescriptor as typeof asked);
      this.backlog(listener, options.backlog);
      handlers.onListening(this.made(address, listener));
    } catch (error) {
      handlers.onClose(causeOf(codeOf(error)), messageOf(error));
    }
  }

  private async listenUnix(path: string, options: ListenOptions, handlers: ListenHandlers): Promise<void> {
    const asked = { unix: path, allowHalfOpen: true, socket: this.listening("unix", handlers) };
    let listener: Bun.UnixSocketListener<BunSocket>;
    try {
      listener = await replacingStale(path, () => Bun.listen<BunSocket>(asked));
      chmodSync(path, options.unixMode);
    } catch (error) {
      return handlers.onClose(causeOf(codeOf(error)), messageOf(error));
    }
    this.backlog(listener, options.backlog);
    handlers.onListening(this.made({ kind: "unix", path }, listener, true));
  }

  /** ours: Bun made the file of its unix socket, and removes it. */
  private made(address: Address, raw: { stop(closeActive: boolean): void }, ours = false): Listener {
    const made = {
      address, raw, kept: false,
      close: (): void => {
        if (ours && made.kept && address.kind === "unix") keepingFile(address.path, () => raw.stop(false));
        else raw.stop(false);
      },
    };
    return made;
  }

  handOn(listener: Listener): number {
    const made = listener as ReturnType<BunNet["made"]> & { readonly raw: object; kept: boolean };
    made.kept = true;
    return "fd" in made.raw && typeof made.raw.fd === "number" ? made.raw.fd : -1;
  }

  resolve(host: string): Promise<string[] | string> {
    return resolve(host);
  }

  bindTcp(hostname: string, port: number, reusePort: boolean): Bun.TCPSocketListener<undefined> {
    const asked = { hostname, port, reusePort, allowHalfOpen: true, socket: NOBODY };
    return Bun.listen<undefined>(asked);
  }

  bindUnix(path: string): Promise<Bun.UnixSocketListener<undefined>> {
    return replacingStale(path, () => Bun.listen<undefined>({ unix: path, allowHalfOpen: true, socket: NOBODY }));
  }

  acceptFrom(fd: number, address: Address, backlog: number, handlers: ListenHandlers): Listener {
    // Bun's types do not know that listen takes a descriptor.
    const asked = { fd, allowHalfOpen: true, socket: this.listening(address.kind, handlers) };
    const listener = Bun.listen<BunSocket>(asked as unknown as Bun.TCPSocketListenOptions<BunSocket>);
    this.libc.listen(fd, backlog); // Bun has listened with its own
    return { address, close: () => listener.stop(false) };
  }

  private listening(kind: "tcp" | "unix", handlers: ListenHandlers) {
    const open = (raw: Raw): void => {
      // Above the limit accept would fail and spin: what is refused here leaves descriptors for it.
      if (this.sockets >= this.ceiling) return raw.terminate();
      this.sockets++;
      const socket = new BunSocket(this, handlers.onAccept(), null);
      raw.data = socket;
      socket.opened(raw, kind);
    };
    return { ...this.events, open };
  }

  /** Bun listens with a backlog of 512 whatever is asked; a second listen(2) on the same socket changes it. */
  private backlog(listener: object, backlog: number): void {
    if ("fd" in listener && typeof listener.fd === "number") this.libc.listen(listener.fd, backlog);
  }
}

/** What make makes, which listens on a unix socket; a file that nobody answers at is removed for it. */
async function replacingStale<T>(path: string, make: () => T): Promise<T> {
  try {
    return make();
  } catch (error) {
    // A file left by a dead process is in the way of a new one; only a socket that refuses is surely that.
    if (codeOf(error) !== "EADDRINUSE" || !lstatSync(path).isSocket() || !(await refuses(path))) throw error;
    unlinkSync(path);
    return make();
  }
}

/** Does a connect to this unix socket find nobody there? */
function refuses(path: string): Promise<boolean> {
  return Bun.connect({ unix: path, socket: { data() {}, connectError() {} } }).then(
    (probe) => {
      probe.terminate();
      return false;
    },
    (error: unknown) => codeOf(error) === "ECONNREFUSED",
  );
}

/** Works on any Uint8Array. */
const nativeCopy = Buffer.prototype.copy;

/** Linux's own sockets, a third of the user time of Bun's; null where they cannot be had, or Bun's are asked for. */
function linuxNet(libc: BunLibc, { ceiling }: BunNet, wanted: boolean): LinuxNet | null {
  const calls = wanted ? LinuxCalls.open() : null;
  const loop = calls === null ? null : Loop.over(calls);
  return loop === null ? null : new LinuxNet(loop, { inherited: libc.inherited, resolve, replacingStale }, ceiling);
}

/** The platform of a process that runs on Bun. Sockets of two platforms in one process know nothing of each other. */
export function createBunPlatform(sockets: "fastest" | "bun" = "fastest"): Platform {
  const libc = new BunLibc();
  const bun = new BunNet(libc);
  const linux = linuxNet(libc, bun, sockets === "fastest");
  return {
    net: linux ?? bun,
    crew: createBunCrew(libc, bun, linux ?? bun),
    clock: linux?.loop.clock ?? hostClock,
    random: new HostRandom(),
    host: createBunHost(libc),
    files: new HostFiles(),
    // Bun runs immediates after all sockets that one poll found ready, and those asked for meanwhile a turn later.
    afterTurn: linux === null ? (run) => void setImmediate(run) : (run) => linux.loop.after(run),
    // 20 ns at any length, where set(subarray()) takes 50 and leaves an object behind.
    copy: (source, start, end, target, at) => void nativeCopy.call(source as Buffer, target, at, start, end),
  };
}
