// Ports that several processes share, on Bun. Bun can accept from a listening descriptor that it is given, but cannot
// listen without accepting: so a listener is made, its descriptor copied, and the listener stopped in the same turn.
import process from "node:process";
import { chmodSync, linkSync, renameSync } from "node:fs";
import type { BunLibc } from "./bun_host.ts";
import { sameCommand, selfCommand } from "./bun_host.ts";
import { Hand, Taken } from "./bun_hand.ts";
import { FIRST_PORT_FD, HAND_FD, parentChannel, startChild, startHeir } from "./crew_common.ts";
import { causeOf, codeOf, messageOf } from "./host_common.ts";
import type { Address, Crew, Listener, ListenHandlers, Port } from "./platform.ts";

/** The ways to a bound listener that Bun has. */
export interface Binder {
  resolve(host: string): Promise<string[] | string>;
  /** Listens, accepting nobody; throws as Bun.listen does. */
  bindTcp(hostname: string, port: number, reusePort: boolean): Bun.TCPSocketListener<undefined>;
  bindUnix(path: string): Promise<Bun.UnixSocketListener<undefined>>;
}

/** What is needed of the net in use. */
export interface Acceptor {
  /** Runs it after this turn. */
  later(run: () => void): void;
  /** The descriptor of a listener, which from now on leaves its unix socket's file when it is closed; -1: unknown. */
  handOn(listener: Listener): number;
  /** Accepts from a descriptor that listens, which is closed with the listener. */
  acceptFrom(fd: number, address: Address, backlog: number, handlers: ListenHandlers): Listener;
}

/** Bun removes the file of a unix socket's listener that it stops: a second name keeps it. */
export function keepingFile(path: string, stop: () => void): void {
  const kept = `${path}.${process.pid}`;
  linkSync(path, kept);
  stop();
  renameSync(kept, path);
}

class BunPort implements Port {
  private open = true;
  constructor(readonly address: Address, readonly fd: number, private readonly libc: BunLibc) {}
  close(): void {
    if (this.open) this.libc.close(this.fd);
    this.open = false;
  }
}

function fdsOf(ports: readonly Port[]): number[] {
  return ports.map((each) => (each as BunPort).fd);
}

export function createBunCrew(libc: BunLibc, binder: Binder, net: Acceptor): Crew {
  const taken = new Taken(libc.hand, HAND_FD, FIRST_PORT_FD);
  const port = (address: Address, listener: object, backlog: number): BunPort => {
    const fd = "fd" in listener && typeof listener.fd === "number" ? libc.copy(listener.fd) : -1;
    if (fd < 0) throw new Error("the listening socket cannot be copied");
    libc.listen(fd, backlog);
    return new BunPort(address, fd, libc);
  };
  const openTcp = async (address: Address & { kind: "tcp" }, backlog: number, count: number): Promise<readonly BunPort[] | string> => {
    const found = await binder.resolve(address.host);
    if (typeof found === "string") return found;
    const host = found[0]!;
    // Somebody else's ports are no company: alone first, which fails where anybody listens.
    const alone = binder.bindTcp(host, address.port, false);
    const bound: Address = { kind: "tcp", host, port: alone.port };
    alone.stop(true);
    const ports: BunPort[] = [];
    for (let i = 0; i < count; i++) {
      const listener = binder.bindTcp(host, bound.port, true);
      ports.push(port(bound, listener, backlog));
      listener.stop(true);
    }
    return ports;
  };
  const openUnix = async (path: string, backlog: number, mode: number): Promise<readonly BunPort[]> => {
    const listener = await binder.bindUnix(path);
    chmodSync(path, mode);
    const made = port({ kind: "unix", path }, listener, backlog);
    keepingFile(path, () => listener.stop(true));
    return [made];
  };
  const openInherited = async (inherited: readonly number[], backlog: number, count: number): Promise<readonly BunPort[]> => {
    const of = (index: number): BunPort => {
      const bound = libc.inherited[inherited[index % inherited.length]!];
      if (bound === undefined) throw new Error("there is no such inherited socket");
      return port(bound.address, bound, backlog);
    };
    const ports = Array.from({ length: inherited.length > count ? inherited.length : count }, (_, index) => of(index));
    // Held on to, they would keep a port open that the settings no longer have.
    for (const index of inherited) libc.close(libc.inherited[index]!.fd);
    return ports;
  };
  return {
    refusal: libc.works ? "" : "this system's libc cannot be opened",
    open(address, { backlog, unixMode, count, inherited }, done) {
      const opening = inherited.length > 0 ? openInherited(inherited, backlog, count) : address.kind === "tcp" ? openTcp(address, backlog, count) : openUnix(address.path, backlog, unixMode);
      opening.then(
        (ports) => done(typeof ports === "string" ? { ok: false, cause: "not_found", detail: ports } : { ok: true, ports }),
        (error: unknown) => done({ ok: false, cause: causeOf(codeOf(error)), detail: messageOf(error) }),
      );
    },
    portOf(listener) {
      const fd = libc.copy(net.handOn(listener));
      return fd < 0 ? null : new BunPort(listener.address, fd, libc);
    },
    startHeir: (args, ports, handlers) => startHeir(selfCommand(args), fdsOf(ports), handlers),
    start(args, ports, handlers) {
      const hand = Hand.open(libc.hand);
      const started = startChild(sameCommand(args, libc.program), hand?.theirs ?? null, fdsOf(ports), {
        ...handlers,
        onGone: (code) => {
          hand?.close();
          handlers.onGone(code);
        },
      });
      hand?.started(ports.length);
      if (!started.ok) hand?.close();
      return started.ok && hand !== null ? { ok: true, child: { ...started.child, give: (place, more) => hand.give(place, fdsOf(more)) } } : started;
    },
    parent: parentChannel,
    accept(place, address, backlog, handlers) {
      net.later(() => {
        // A copy: to stop accepting closes what the net was given.
        const fd = libc.copy(taken.at(place));
        if (fd < 0) return handlers.onClose("failed", `port ${place} was not given to this process`);
        let listener: Listener;
        try {
          listener = net.acceptFrom(fd, address, backlog, handlers);
        } catch (error) {
          libc.close(fd);
          return handlers.onClose(causeOf(codeOf(error)), messageOf(error));
        }
        handlers.onListening(listener);
      });
    },
    drop: (place) => taken.drop(place),
  };
}
