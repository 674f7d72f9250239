// The Deno platform: Deno.listen and Deno.connect behind platform.ts. What Deno does otherwise than the contract says
// is put right here and in deno_socket.ts; what it cannot do it refuses by name.
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import type { Address, Attempt, CloseCause, ListenHandlers, ListenOptions, Net, Platform, SocketHandlers } from "./platform.ts";
import { causeOf, codeOf, describe, HostRandom, hostClock, messageOf, socketCeiling } from "./host_common.ts";
import { createDenoCrew, createDenoHost, DenoReset } from "./deno_host.ts";
import { HostFiles } from "./host_files.ts";
import { DenoSocket, type SocketOwner } from "./deno_socket.ts";

/** How long accepting rests after it failed, ms. */
const ACCEPT_REST_MS = 50;

class DenoAttempt implements Attempt {
  private done = false;
  private readonly signal = new AbortController();
  private readonly deadline: ReturnType<typeof setTimeout>;

  constructor(
    private readonly net: DenoNet,
    private readonly address: Address,
    deadlineMs: number,
    private readonly handlers: SocketHandlers,
  ) {
    const late = `connect to ${describe(address)} took too long`;
    this.deadline = setTimeout(() => this.fail("timeout", late), deadlineMs);
    net.sockets++;
    void this.start();
  }

  abort(): void {
    if (!this.settle()) return;
    this.signal.abort();
    this.net.later(() => this.handlers.onClose("aborted", ""));
  }

  /** True for the one who may tell the owner. */
  private settle(): boolean {
    if (this.done) return false;
    this.done = true;
    clearTimeout(this.deadline);
    return true;
  }

  private fail(cause: CloseCause, detail: string): void {
    if (!this.settle()) return;
    this.signal.abort();
    this.handlers.onClose(cause, detail);
  }

  private async start(): Promise<void> {
    let connection: Deno.Conn;
    try {
      connection = await dial(this.address, this.signal.signal);
    } catch (error) {
      this.net.sockets--;
      return this.fail(causeOfError(error), `${describe(this.address)}: ${messageOf(error)}`);
    }
    if (this.settle()) return new DenoSocket(this.net, connection, this.handlers).open();
    this.net.sockets--;
    this.net.reset(connection);
    connection.close();
  }
}

async function dial(address: Address, signal?: AbortSignal): Promise<Deno.Conn> {
  if (address.kind === "unix") return await Deno.connect({ transport: "unix", path: address.path });
  return await Deno.connect({ hostname: address.host, port: address.port, signal });
}

/** Deno has no code for a name that does not resolve, only a sentence. */
function causeOfError(error: unknown): CloseCause {
  return messageOf(error).startsWith("failed to lookup address") ? "not_found" : causeOf(codeOf(error));
}

class DenoNet implements Net, SocketOwner {
  sockets = 0;
  /** Accept loops of closed listeners: until they end the kernel still has their address. */
  private readonly closing = new Set<Promise<void>>();

  constructor(private readonly ceiling: number, private readonly libc: DenoReset) {}

  later(run: () => void): void {
    setImmediate(run);
  }

  reset(connection: Deno.Conn): void {
    this.libc.reset(connection);
  }

  connect(address: Address, deadlineMs: number, handlers: SocketHandlers): Attempt {
    return new DenoAttempt(this, address, deadlineMs, handlers);
  }

  listen(address: Address, options: ListenOptions, handlers: ListenHandlers): void {
    this.later(() => void this.startListen(address, options, handlers));
  }

  private async startListen(address: Address, options: ListenOptions, handlers: ListenHandlers): Promise<void> {
    // Without the flag Deno would end the process at the option's mere mention; listenDatagram comes with the flag.
    if (options.reusePort && !("listenDatagram" in Deno)) return handlers.onClose("denied", "reusePort needs deno --unstable-net");
    if (typeof options.inherited === "number") {
      return handlers.onClose("failed", "Deno cannot take over the sockets of a service manager (LISTEN_FDS): start it without socket activation");
    }
    let listener: Deno.Listener;
    try {
      listener = await this.bind(address, options);
    } catch (error) {
      return handlers.onClose(causeOfError(error), `${describe(address)}: ${messageOf(error)}`);
    }
    const { addr } = listener;
    const bound: Address = addr.transport === "tcp" ? { kind: "tcp", host: addr.hostname, port: addr.port } : address;
    let open = true;
    const accepting = this.accept(listener, handlers, () => open);
    handlers.onListening({
      address: bound,
      close: () => {
        if (!open) return;
        open = false;
        listener.close();
        this.closing.add(accepting);
        void accepting.then(() => this.closing.delete(accepting));
      },
    });
  }

  private async bind(address: Address, options: ListenOptions): Promise<Deno.Listener> {
    try {
      return bindNow(address, options);
    } catch (error) {
      if (causeOfError(error) !== "in_use") throw error;
      if (address.kind === "unix") {
        // A file left by a dead process is in the way of a new one; only a socket that refuses is surely that.
        if (!lstatSync(address.path).isSocket() || !(await refuses(address))) throw error;
        unlinkSync(address.path);
      } else {
        if (this.closing.size === 0) throw error;
        await Promise.all(this.closing);
      }
      return bindNow(address, options);
    }
  }

  private async accept(listener: Deno.Listener, handlers: ListenHandlers, open: () => boolean): Promise<void> {
    while (open()) {
      let connection: Deno.Conn;
      try {
        connection = await listener.accept();
      } catch (error) {
        // A client that is gone again is no reason to rest; out of descriptors is, and so is what we do not know.
        if (open() && causeOf(codeOf(error)) !== "reset") await new Promise((resolve) => setTimeout(resolve, ACCEPT_REST_MS));
        continue;
      }
      if (!open() || this.sockets >= this.ceiling) connection.close();
      else {
        this.sockets++;
        new DenoSocket(this, connection, handlers.onAccept()).open();
      }
    }
  }
}

function bindNow(address: Address, options: ListenOptions): Deno.Listener {
  if (address.kind === "tcp") {
    const { backlog: tcpBacklog, reusePort } = options;
    const asked = { hostname: address.host, port: address.port, tcpBacklog };
    return Deno.listen(reusePort ? Object.assign(asked, { reusePort }) : asked);
  }
  const listener = Deno.listen({ transport: "unix", path: address.path });
  chmodSync(address.path, options.unixMode);
  return listener;
}

/** Does a connect to this unix socket find nobody there? */
function refuses(address: Address): Promise<boolean> {
  return dial(address).then(
    (probe) => {
      probe.close();
      return false;
    },
    (error: unknown) => codeOf(error) === "ECONNREFUSED",
  );
}

/**
 * The platform of a process that runs on Deno. Sockets of two platforms in one process know nothing of each other.
 * Throws when Deno was not given the right to call libc (--allow-ffi), without which abort would not reset.
 */
export function createDenoPlatform(): Platform {
  const libc = new DenoReset();
  const host = createDenoHost(libc);
  return {
    net: new DenoNet(socketCeiling(host.fdLimit()), libc),
    clock: hostClock,
    random: new HostRandom(),
    crew: createDenoCrew(),
    host,
    files: new HostFiles(),
    // Deno runs immediates after all reads that one poll found ready, and those asked for meanwhile a turn later.
    afterTurn: (run) => void setImmediate(run),
    copy: null,
  };
}
