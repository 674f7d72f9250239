// What may go wrong, by name; each is drawn per run (swarm) and counted when it really happened.
import type { SimHost } from "./host.ts";
import type { Prng } from "./prng.ts";
import type { SimSocket } from "./socket.ts";
import type { Endpoint } from "./wire.ts";
import type { World } from "./world.ts";

/** Faults that a nemesis begins and ends. */
export const TIMED = [
  "crash", // the server's process is killed, and started again later, empty
  "power", // its machine loses power, and comes back later, empty
  "flap", // it is killed and started again, or its port is closed and opened again, time after time
  "hang", // SIGSTOP, SIGCONT
  "deaf", // accepts, reads nothing for a while
  "mute", // executes, never answers on connections of that time
  "garbage", // answers rubbish
  "refuse", // its port is closed to new connections, the present ones are reset
  "unreachable", // no route for new connections, the present ones are reset
  "partition", // nothing gets through in either direction
  "partition_to", // nothing gets to the server
  "partition_from", // nothing comes from the server
  "slow", // every packet takes up to 400 ms longer
  "loss", // packets are lost and sent again
] as const;
/** Faults of one moment. */
export const SUDDEN = [
  "reset", // one connection to the server gets a RST at both ends
  "reset_near", // … at the proxy's end only
  "reset_far", // … at the server's end only
  "reset_all", // all connections to the server
  "fin", // the server ends a connection in order
  "stall", // the proxy's process stands still for up to 100 ms (class B: 1 s)
  "clock", // the proxy's wall clock jumps
] as const;
/** What follows the return of a server that is being filled. */
export const WOUNDS = [
  "crash_target", // it is killed again before it was given all keys
  "crash_source", // the one that its keys come from is killed (class B)
] as const;
/** What the world's settings and the clients do by themselves. */
export const CONSTANT = ["short_write", "fragment", "client_abort", "client_half_close"] as const;

export type FaultKind = (typeof TIMED)[number] | (typeof SUDDEN)[number];
export const NEMESIS_KINDS: readonly FaultKind[] = [...TIMED, ...SUDDEN];
export const ALL_KINDS: readonly string[] = [...NEMESIS_KINDS, ...WOUNDS, "restart", ...CONSTANT];

/** A: one server is impaired at a time, and all is well again before the next fault. B: anything. */
export type FaultClass = "A" | "B";

export interface Targets {
  readonly proxies: readonly SimHost[];
  readonly servers: readonly SimHost[];
}

export interface NemesisOptions {
  readonly cls: FaultClass;
  readonly kinds: readonly FaultKind[];
  /** True when the proxy has recovered from everything (class A waits for it). */
  readonly quiet: () => boolean;
  /** No new fault from here on, virtual microseconds. */
  readonly untilUs: number;
  /** How far apart a resumed process notices its connections, microseconds. */
  readonly spreadUs: number;
  /** A fault between may hit the connections of some proxies only (class A′). */
  readonly uneven?: boolean;
  /** While a server is being given what it has lost: those that it comes from; null otherwise. */
  readonly sources?: (server: SimHost) => readonly SimHost[] | null;
}

/** A random half of all kinds, at least one. */
export function drawKinds(dice: Prng): FaultKind[] {
  // A server that flaps is not trusted for long afterwards, which costs the run much time.
  const kinds = NEMESIS_KINDS.filter((kind) => dice.chance(1, kind === "flap" ? 8 : 2));
  return kinds.length > 0 ? kinds : [dice.pick(NEMESIS_KINDS)];
}

/** How often a returned server is looked at until it is being filled, every 5 ms. */
const WOUND_LOOKS = 600;
/** How long the world is lively before a fault begins, microseconds. */
const WARNING_US = 100_000;
/** … and after one began or ended, and after a server was found to be changed. */
export const STIR_US = 600_000;

export class Nemesis {
  /** Faults begun and not ended. */
  private readonly active = new Set<() => void>();
  private readonly dice: Prng;
  /** Stalls of the proxy so far, microseconds: time by which answers may be late. */
  stalledUs = 0;
  struck = 0;
  /** How often servers went in all flaps. */
  flaps = 0;
  private waited = 0;

  constructor(
    private readonly world: World,
    private readonly targets: Targets,
    private readonly options: NemesisOptions,
  ) {
    this.dice = world.dice.faults;
  }

  /** Class A has one source of faults, class B two that know nothing of each other. */
  start(): void {
    this.later();
    if (this.options.cls === "B") this.later();
  }

  /** Ends every fault. */
  end(): void {
    for (const undo of [...this.active]) undo();
    for (const server of this.targets.servers) {
      server.resume(this.options.spreadUs);
      if (server.process === null) this.restart(server);
    }
    this.clear();
  }

  private later(): void {
    const us = this.dice.range(200_000, 2_000_000);
    this.world.after(us - WARNING_US, () => this.world.stir(WARNING_US + STIR_US));
    this.world.after(us, () => this.strike());
  }

  private strike(): void {
    if (this.world.nowUs >= this.options.untilUs) return;
    if (this.options.cls === "A" && !(this.options.quiet() && this.sound())) {
      // A connection that nobody uses would keep what clings to it for ever.
      if (++this.waited % 40 === 0) this.clear();
      this.world.after(50_000, () => this.strike());
      return;
    }
    if (this.waited > 0) {
      this.waited = 0;
      this.world.stir(WARNING_US + STIR_US);
      this.world.after(WARNING_US, () => this.strike());
      return;
    }
    const server = this.dice.pick(this.targets.servers);
    const kind = this.dice.pick(this.options.kinds);
    const undo = this.begin(kind, server);
    if (undo === null) {
      this.later();
      return;
    }
    this.world.stir(STIR_US);
    this.struck++;
    this.world.fired(kind);
    this.world.trace.event(this.world.nowUs, "fault", server, 0, kind);
    const once = (): void => {
      if (!this.active.delete(once)) return;
      this.world.stir(STIR_US);
      this.world.trace.event(this.world.nowUs, "fault", server, 0, `end of ${kind}`);
      undo();
      this.later();
    };
    this.active.add(once);
    this.world.after(this.lasts(), once);
  }

  /** How long a fault stays: unnoticed, about as long as a deadline, long enough to be given up, or very long. */
  private lasts(): number {
    const [least, most] = this.dice.pick([[1_000, 50_000], [200_000, 800_000], [200_000, 800_000], [600_000, 4_000_000], [4_000_000, 10_000_000]] as const);
    return this.dice.range(least, most);
  }

  /** True when no connection of the proxy still suffers from a fault that is over. */
  sound(): boolean {
    for (const socket of this.sockets()) if (!socket.accepted && !socket.endpoint.sound) return false;
    return true;
  }

  /** Resets the connections to which a past fault clings. */
  private clear(): void {
    for (const socket of this.sockets()) {
      if (!socket.accepted && !socket.endpoint.sound) cut(socket.endpoint.peer, "both");
    }
  }

  private *sockets(): Iterable<SimSocket> {
    for (const { process } of this.targets.proxies) if (process !== null) yield* process.sockets;
  }

  /** Whose connections a fault between hits. */
  private victims(): readonly SimHost[] {
    const { proxies } = this.targets;
    if (this.options.uneven !== true || proxies.length === 1) return proxies;
    const some = proxies.filter(() => this.dice.chance(1, 2));
    return some.length > 0 ? some : [this.dice.pick(proxies)];
  }

  /** Begins a fault; returns what ends it, or null when it could not happen now. */
  private begin(kind: FaultKind, server: SimHost): (() => void) | null {
    const { world, dice } = this;
    const process = server.process;
    const victims = this.victims();
    const there = victims.map((proxy) => world.link(proxy, server));
    const back = victims.map((proxy) => world.link(server, proxy));
    const ways = [...there, ...back];
    const nothing = (): void => {};
    switch (kind) {
      case "crash":
      case "power":
        if (process === null) return null;
        server.crash(kind === "crash" ? "kill" : "power");
        return () => this.restart(server);
      case "flap":
        return process === null || server.refusing ? null : this.flap(server);
      case "hang":
        if (process === null || server.hung) return null;
        server.hang();
        return () => server.resume(this.options.spreadUs);
      case "deaf":
        if (process === null || process.deaf) return null;
        process.deaf = true;
        return () => process.listenAgain(this.options.spreadUs);
      case "mute":
        if (process === null || process.mute) return null;
        process.mute = true;
        for (const socket of process.sockets) if (socket.accepted) socket.silence();
        return () => (process.mute = false);
      case "garbage":
        if (process === null || process.garbage) return null;
        process.garbage = true;
        return () => (process.garbage = false);
      case "refuse":
        if (process === null || server.refusing) return null;
        server.refusing = true;
        this.resetAll(server, "both", this.targets.proxies);
        return () => (server.refusing = false);
      case "unreachable":
        if (there.some((way) => way.noRoute)) return null;
        for (const way of there) way.noRoute = true;
        this.resetAll(server, "both", victims);
        return () => there.forEach((way) => (way.noRoute = false));
      case "partition":
      case "partition_to":
      case "partition_from": {
        const cut = kind === "partition" ? ways : kind === "partition_to" ? there : back;
        for (const way of cut) way.block();
        return () => cut.forEach((way) => way.unblock());
      }
      case "slow": {
        const us = dice.range(5_000, 400_000);
        for (const way of ways) way.slowUs += us;
        return () => ways.forEach((way) => (way.slowUs -= us));
      }
      case "loss": {
        const share = dice.range(100, 2_000);
        for (const way of ways) way.loss += share;
        return () => ways.forEach((way) => (way.loss -= share));
      }
      case "reset":
        return this.resetOne(server, "both", victims) ? nothing : null;
      case "reset_near":
        return this.resetOne(server, "near", victims) ? nothing : null;
      case "reset_far":
        return this.resetOne(server, "far", victims) ? nothing : null;
      case "reset_all":
        return this.resetAll(server, "both", victims) > 0 ? nothing : null;
      case "fin": {
        const sockets = process === null ? [] : [...process.sockets].filter((socket) => socket.accepted && socket.writable);
        if (sockets.length === 0) return null;
        dice.pick(sockets).halfClose();
        return nothing;
      }
      case "stall": {
        const us = dice.skewed(1_000, this.options.cls === "A" ? 100_000 : 1_000_000);
        this.stalledUs += us;
        this.dice.pick(this.targets.proxies).process?.stall(us);
        return nothing;
      }
      case "clock":
        this.dice.pick(this.targets.proxies).skewUs += dice.range(-5_000_000, 5_000_000);
        return nothing;
    }
  }

  private restart(server: SimHost): void {
    if (server.process !== null) return;
    server.restart();
    this.world.fired("restart");
    this.world.trace.event(this.world.nowUs, "fault", server, 0, "restart");
    if (this.options.sources !== undefined && this.dice.chance(1, 4)) this.wound(server, WOUND_LOOKS);
  }

  /** Goes and comes, about once a second, until ended. */
  private flap(server: SimHost): () => void {
    const { world, dice } = this;
    const forgets = dice.chance(1, 2);
    let over = false;
    const come = (): void => {
      if (forgets) this.restart(server);
      else server.refusing = false;
      if (!over) world.after(dice.range(100_000, 1_200_000), go);
    };
    const go = (): void => {
      if (over) return;
      world.stir(STIR_US);
      this.flaps++;
      if (forgets) server.crash("kill");
      else {
        server.refusing = true;
        this.resetAll(server, "both", this.targets.proxies);
      }
      world.after(dice.range(1_000, 400_000), () => {
        if (!over) come();
      });
    };
    go();
    return () => {
      over = true;
      come();
    };
  }

  /** Once it is being filled, it is killed again, or what fills it (where clients may lose what was there alone). */
  private wound(server: SimHost, looks: number): void {
    const { world, dice } = this;
    if (looks === 0 || server.process === null || world.nowUs >= this.options.untilUs) return;
    if (this.options.sources!(server) === null) return void world.after(5_000, () => this.wound(server, looks - 1));
    world.after(dice.skewed(0, 500_000), () => {
      const sources = this.options.sources!(server);
      if (sources === null) return;
      const kind = this.options.cls === "B" && dice.chance(1, 2) ? "crash_source" : "crash_target";
      const victim = kind === "crash_source" ? dice.pick(sources) : server;
      if (victim.process === null || victim.hung) return;
      world.stir(STIR_US);
      world.fired(kind);
      world.trace.event(world.nowUs, "fault", victim, 0, kind);
      victim.crash("kill");
      world.after(dice.range(1_000, 1_000_000), () => this.restart(victim));
    });
  }

  private resetOne(server: SimHost, ends: "both" | "near" | "far", proxies: readonly SimHost[]): boolean {
    const ours = [...server.endpoints].filter((endpoint) => endpoint.queue === null && proxies.includes(endpoint.peer.process.machine));
    if (ours.length === 0) return false;
    cut(this.dice.pick(ours), ends);
    return true;
  }

  private resetAll(server: SimHost, ends: "both" | "near" | "far", proxies: readonly SimHost[]): number {
    const ours = [...server.endpoints].filter((endpoint) => proxies.includes(endpoint.peer.process.machine));
    for (const endpoint of ours) cut(endpoint, ends);
    return ours.length;
  }
}

/** Something between the hosts sends RSTs: at the far (server's) end, the near end, or both. */
function cut(far: Endpoint, ends: "both" | "near" | "far"): void {
  const near = far.peer;
  if (ends !== "near") far.reset();
  if (ends !== "far") near.reset();
}
