// Net of a simulated process: names, handshakes and listeners over World's links.
import type { Address, Attempt, CloseCause, ListenHandlers, ListenOptions, Net, SocketHandlers } from "../../src/platform/platform.ts";
import type { SimHost } from "./host.ts";
import type { SimProcess } from "./process.ts";
import { AcceptQueue, SimAttempt } from "./socket.ts";
import { Endpoint, Pipe } from "./wire.ts";
import type { World } from "./world.ts";

const SYN_RETRY_US = 1_000_000;

export class SimNet implements Net {
  constructor(private readonly process: SimProcess) {}

  listen(address: Address, options: ListenOptions, handlers: ListenHandlers): void {
    const process = this.process;
    const host = process.machine;
    const fail = (cause: CloseCause, detail: string): void => {
      process.ready({ queued: false, dispatch: () => handlers.onClose(cause, detail) });
    };
    if (address.kind === "tcp" && resolve(process.world, host, address.host) !== host && !isAny(address.host)) {
      fail("failed", `${address.host}: not an address of this host`);
      return;
    }
    if (address.kind === "unix" && !host.directories.has(address.path.slice(0, address.path.lastIndexOf("/")))) {
      fail("not_found", `${address.path}: no such directory`);
      return;
    }
    const bound: Address = address.kind === "tcp" && address.port === 0 ? { kind: "tcp", host: address.host, port: host.port() } : address;
    const key = keyOf(bound);
    for (const other of process.listeners) {
      if (other.key === key && !(other.reusePort && options.reusePort)) {
        fail("in_use", `${key}: already in use`);
        return;
      }
    }
    const queue = new AcceptQueue(process, bound, key, options.backlog, handlers, options.reusePort);
    process.listeners.add(queue);
    if (bound.kind === "unix") host.unixPaths.add(bound.path);
    process.world.trace.event(process.world.nowUs, "listen", host, 0, key);
    process.ready({
      queued: false,
      dispatch: () => {
        if (process.listeners.has(queue)) handlers.onListening(queue);
      },
    });
  }

  connect(address: Address, deadlineMs: number, handlers: SocketHandlers): Attempt {
    const process = this.process;
    const attempt = new SimAttempt(process, handlers);
    if (!process.alive) return attempt;
    process.attempts.add(attempt);
    attempt.arm(deadlineMs);
    const host = process.machine;
    const target = address.kind === "unix" ? host : resolve(process.world, host, address.host);
    process.world.trace.event(process.world.nowUs, "connect", host, 0, keyOf(address));
    if (target === null) attempt.settle("not_found", `${keyOf(address)}: no such name`);
    else if (address.kind === "unix" && !host.unixPaths.has(address.path)) attempt.settle("not_found", `${address.path}: no such socket`);
    else if (process.world.link(host, target).noRoute) attempt.settle("unreachable", "no route to host");
    else new Handshake(process, attempt, host, target, address).syn(0);
    return attempt;
  }
}

/** The three steps between two kernels, each of which may be lost. */
class Handshake {
  private client: Endpoint | null = null;

  constructor(
    private readonly process: SimProcess,
    private readonly attempt: SimAttempt,
    private readonly from: SimHost,
    private readonly to: SimHost,
    private readonly address: Address,
  ) {}

  syn(tries: number): void {
    if (!this.attempt.pending) return;
    const link = this.process.world.link(this.from, this.to);
    this.process.world.at(link.arrivalUs(), () => {
      if (!this.attempt.pending) return;
      const lost = link.down || link.loses();
      const process = this.to.process;
      const queue = lost ? null : this.listener();
      if (!lost && (process === null || queue === null)) this.answer(() => this.attempt.settle("refused", "connection refused"));
      else if (queue !== null && queue.open) this.accept(process!, queue);
      // Lost, or the listener's queue is full: the client's kernel tries again.
      else this.process.world.after(SYN_RETRY_US * 2 ** tries, () => this.syn(tries + 1));
    });
  }

  private listener(): AcceptQueue | null {
    const key = keyOf(this.address);
    const process = this.to.process;
    if (process === null || this.to.refusing) return null;
    const found = [...process.listeners].filter((queue) => queue.key === key && reaches(this.from, this.to, queue.address));
    if (found.length === 0) return null;
    return found.length === 1 ? found[0]! : this.process.world.dice.net.pick(found);
  }

  private accept(process: SimProcess, queue: AcceptQueue): void {
    const world = this.process.world;
    const { settings, dice } = world;
    const unix = this.address.kind === "unix";
    const loop = this.from === this.to;
    const near = unix ? "unix" : `${loop ? "127.0.0.1" : this.from.ip}:${this.from.port()}`;
    const far = this.address.kind === "unix" ? "unix" : `${loop ? "127.0.0.1" : this.to.ip}:${this.address.port}`;
    const id = world.nextConnection();
    const [receiveLeast, receiveMost] = settings.receiveBuffer;
    const [sendLeast, sendMost] = settings.sendBuffer;
    const client = new Endpoint(id, this.process, dice.net.range(receiveLeast, receiveMost), near, far);
    const server = new Endpoint(id, process, dice.net.range(receiveLeast, receiveMost), far, near);
    const there = world.link(this.from, this.to);
    const back = world.link(this.to, this.from);
    const up = new Pipe(world, client, server, there, back, dice.net.range(sendLeast, sendMost));
    const down = new Pipe(world, server, client, back, there, dice.net.range(sendLeast, sendMost));
    client.join(up, down);
    server.join(down, up);
    this.client = client;
    queue.begin(server);
    this.to.endpoints.add(server);
    this.from.endpoints.add(client);
    this.attempt.endpoint = client;
    this.answer(() => this.attempt.established());
  }

  /** A packet of the server's kernel to the client's, again after a while when it is lost. */
  private answer(arrived: () => void, tries = 0): void {
    const back = this.process.world.link(this.to, this.from);
    this.process.world.at(back.arrivalUs(), () => {
      if (!this.process.alive) this.client?.abort();
      else if (!back.down && !back.loses()) arrived();
      else if (this.attempt.pending) this.process.world.after(SYN_RETRY_US * 2 ** tries, () => this.answer(arrived, tries + 1));
    });
  }
}

function isAny(host: string): boolean {
  return host === "" || host === "0.0.0.0" || host === "::" || host === "*";
}

function isLoop(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** The host that a name or literal address means when `from` asks, or null. */
function resolve(world: World, from: SimHost, name: string): SimHost | null {
  return isLoop(name) ? from : world.lookUp(name);
}

/** True when a listener bound to `bound` hears connections from `from`. */
function reaches(from: SimHost, to: SimHost, bound: Address): boolean {
  return from === to || bound.kind === "unix" || !isLoop(bound.host);
}

function keyOf(address: Address): string {
  return address.kind === "unix" ? `unix:${address.path}` : `tcp:${address.port}`;
}
