// Wires one proxy together from its settings: turn, pools with their doors, listeners. Starts, takes other settings,
// drains, stops; or does so as one of several workers, as their supervisor says.
import { plainCopy, TailPool } from "./bytes/outbound.ts";
import { Turn } from "./bytes/turn.ts";
import type { PoolConfig, ProxyConfig } from "./config/config.ts";
import { Peers } from "./cli/peers.ts";
import { KeptRings } from "./cli/kept_rings.ts";
import { poolOptions } from "./cli/pool_setup.ts";
import { reloadProblem, reloadText, ringChanges, sharedProblem } from "./cli/reload.ts";
import { ringsDigests } from "./config/fingerprint.ts";
import { assignInherited } from "./config/inherited.ts";
import { addressText } from "./config/servers.ts";
import { Door } from "./frontend/door.ts";
import { resetCounters, seenIn } from "./frontend/stats.ts";
import { Counters } from "./observe/counters.ts";
import type { Log } from "./observe/log.ts";
import { poolLog, Recent } from "./observe/recent.ts";
import type { BuildReport, Report } from "./observe/report.ts";
import type { Address, CloseCause, Listener, Platform, Port, Socket, SocketHandlers } from "./platform/platform.ts";
import { type DrainOutcome, drainServer } from "./replication/drain.ts";
import { PRIMARY } from "./replication/pair.ts";
import { Pool } from "./replication/pool.ts";
import type { SiblingWord } from "./replication/proxies/siblings.ts";
import { reportRings } from "./replication/pool_report.ts";
import type { Company, WorkingProxy } from "./workers/worker.ts";

/** A client of a proxy that retires is shown out when it has asked nothing for so long; how often that is looked at; what
 * those that are left when the time is over may take for their last answers. All in ms. */
const IDLE_MS = 5000, RETIRE_LOOK_MS = 100, LAST_MS = 2000;
/** How long servers may take to answer first, and how often that is looked at, ms. */
const BEGUN_MS = 3000, BEGUN_LOOK_MS = 10;
/** Connections the kernel may hold before we accept them. */
const BACKLOG = 4096;

export type StartOutcome =
  | { readonly ok: true; readonly addresses: readonly Address[] }
  | { readonly ok: false; readonly reason: string };

export type ReloadOutcome =
  | { readonly ok: true; readonly changes: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/** One pool with the door through which its clients come. */
export interface Service {
  config: PoolConfig;
  readonly pool: Pool;
  readonly door: Door;
  readonly counters: Counters;
  readonly log: Log;
  peers: Peers;
  readonly kept: KeptRings | null;
  /** Where its clients connect, once they can. */
  listening: readonly Address[];
}

/** Where we listen, and for whom. */
interface Place {
  /** As the settings say it: a port 0 is still 0. */
  readonly wanted: Address;
  readonly listener: Listener;
  service: Service | null;
}

/** How long clients of a pool that is no more may wait for the answers under way, ms. */
const GONE_MS = 5000;

export class Proxy implements WorkingProxy {
  /** In the order of the configuration; at least one. */
  services: readonly Service[];
  private places: Place[] = [];
  /** What a worker accepts from, by place. */
  private readonly ports = new Map<number, Listener>();
  private readonly recent: Recent;
  private readonly turn: Turn;
  private readonly tails: TailPool;
  private reloading = false;
  private started = false;
  private stopping = false;

  constructor(
    private readonly platform: Platform,
    config: ProxyConfig,
    log: Log,
    private readonly build: BuildReport = { version: "source", commit: "source", target: "" },
    /** The other workers, when it is one of several. */
    private readonly company: Company | null = null,
  ) {
    this.recent = new Recent(log, () => platform.clock.wallSeconds());
    this.turn = new Turn((run) => platform.afterTurn(run), () => platform.clock.nowMs());
    this.tails = new TailPool(platform.copy ?? plainCopy);
    const several = config.pools.length > 1;
    this.services = config.pools.map((pool, index) => this.serve(pool, index, several ? poolLog(this.recent, pool.name) : this.recent));
  }

  /** The first pool and what belongs to it: the only one, mostly. */
  get pool(): Pool {
    return this.services[0]!.pool;
  }
  get door(): Door {
    return this.services[0]!.door;
  }
  get counters(): Counters {
    return this.services[0]!.counters;
  }

  private serve(config: PoolConfig, index: number, log: Log): Service {
    const counters = new Counters();
    const { company } = this;
    const kept = KeptRings.of(config, this.platform.host, log);
    const start = kept?.startOf(config) ?? null;
    const given = poolOptions(start?.primaries ?? config, kept);
    const options = start === null ? given : { ...given, backupRing: poolOptions(start.backups, null).backupRing };
    const siblings = company === null ? null : {
      number: company.number, say: (word: SiblingWord): void => company.tell(index, word, "ack" in word ? word.to : -1),
    };
    const pool = new Pool(this.platform, { ...options, siblings }, this.turn, this.tails, counters, log);
    const door = new Door(this.platform, pool, this.turn, this.tails, counters, log, config.clientsMax, this.build.version);
    pool.afterTick = () => door.tick();
    if (company !== null) {
      door.room = 0;
      door.askRoom = () => company.full(index);
      door.askAll = (done) => company.sum((report) => done(seenIn(report, index)));
      door.resetOthers = () => company.reset(index);
    }
    if (start !== null) this.resume(pool, start, config, kept, log);
    const peers = new Peers(this.platform, config.region.peers, pool.options, counters, log);
    return { config, pool, door, counters, log, peers, kept, listening: [] };
  }

  /** Goes on with a change of rings in which an earlier process ended. */
  private resume(pool: Pool, start: NonNullable<ReturnType<KeptRings["startOf"]>>, config: PoolConfig, kept: KeptRings | null, log: Log): void {
    this.resumes = true;
    const doubted = start.doubted === null ? [] : start.doubted === PRIMARY ? pool.primaries : pool.backups;
    log.warn("goes on with a change of rings in which the last process ended", { compared: doubted.map(({ label }) => label).join(",") || "none" });
    pool.changes.resume(doubted);
    pool.changes.begin(poolOptions(config, kept), ringChanges(start.primaries, config, start.backups));
  }
  /** Who serves from a side that is in doubt before the other one is there would serve what is old. */
  private resumes = false;

  /**
   * Binds every address at once, so that a taken port is known first, and tells done when all listen. Clients that
   * come before the servers have answered wait for them, or are told what is wrong. patient: binds when the servers have
   * answered, or are known to be away.
   */
  start(done: (outcome: StartOutcome) => void, patient = false): void {
    if (patient || this.resumes) {
      // Somebody else serves until we can.
      for (const { pool } of this.services) pool.start();
      return this.whenBegun(() => this.listen(done));
    }
    this.listen(done);
    for (const { pool } of this.services) pool.start();
  }

  private whenBegun(then: () => void): void {
    const { clock } = this.platform;
    const untilMs = clock.nowMs() + BEGUN_MS;
    const look = (): void => {
      if (this.stopping) return;
      if (this.begun || clock.nowMs() > untilMs) then();
      else clock.timer(BEGUN_LOOK_MS, look);
    };
    look();
  }

  /** Its servers have answered, or are known to be away. */
  private get begun(): boolean {
    return this.services.every(({ pool }) => pool.begun);
  }

  private listen(done: (outcome: StartOutcome) => void): void {
    const wanted = this.services.flatMap((service) => service.config.listen.map((address) => ({ service, address, unixMode: service.config.unixMode })));
    const inherited = assignInherited(wanted.map(({ address }) => address), this.platform.host.inherited);
    if (typeof inherited === "string") {
      return done({ ok: false, reason: `${inherited} was bound for this process (LISTEN_FDS), which is not to listen there` });
    }
    this.bind(wanted, inherited, (bound) => {
      if (typeof bound === "string") {
        this.stop(0, () => {});
        return done({ ok: false, reason: bound });
      }
      this.places = bound;
      this.started = true;
      for (const { peers } of this.services) peers.start();
      this.tellListening();
      done({ ok: true, addresses: bound.map(({ listener }) => listener.address) });
    });
  }

  /** All of these addresses, or none and why. */
  private bind(
    wanted: readonly { readonly service: Service | null; readonly address: Address; readonly unixMode: number }[],
    inherited: readonly (number | null)[],
    done: (bound: Place[] | string) => void,
  ): void {
    const bound: Place[] = [];
    let open = wanted.length;
    let failed = false;
    if (open === 0) return done(bound);
    for (const [index, { service, address, unixMode }] of wanted.entries()) {
      let place: Place | null = null;
      this.platform.net.listen(address, { backlog: BACKLOG, reusePort: false, unixMode, inherited: inherited[index] ?? null }, {
        onListening: (listener) => {
          if (failed) return listener.close();
          bound[index] = place = { wanted: address, listener, service };
          if (--open === 0) done(bound);
        },
        // Bound for a pool that is not there yet: whoever is that quick is shown out, and comes again.
        onAccept: () => place?.service?.door.accept() ?? new Nobody(),
        onClose: (cause, detail) => {
          if (failed || this.stopping || open === 0) return;
          failed = true;
          for (const each of bound) each?.listener.close();
          done(`cannot listen on ${addressText(address)}: ${LISTEN_WORDS[cause] ?? (detail === "" ? cause : detail)}`);
        },
      });
    }
  }

  private tellListening(): void {
    for (const service of this.services) {
      service.listening = service.config.listen.flatMap((address) =>
        this.places.filter((place) => place.service === service && addressText(place.wanted) === addressText(address)).map(({ listener }) => listener.address));
    }
  }

  /**
   * Takes other settings, all of them or, with the reason, none: new addresses are bound first, then everything changes at
   * once. Servers that stay keep their connections, and so do clients; those of a pool that is gone get their answers.
   * Rings change one after the other (replication/transition.ts).
   */
  reload(config: ProxyConfig, done: (outcome: ReloadOutcome) => void): void {
    if (!this.started || this.stopping || this.reloading) {
      return done({ ok: false, reason: this.reloading ? "another reload is under way" : "tandem is not serving" });
    }
    const problem = this.problemWith(config);
    if (problem !== null) return done({ ok: false, reason: problem });
    const serviceOf = (name: string): Service | null => this.services.find((service) => service.config.name === name) ?? null;
    const known = new Set(this.places.map(({ wanted }) => addressText(wanted)));
    const wanted = config.pools.flatMap((pool) =>
      pool.listen.filter((address) => !known.has(addressText(address))).map((address) => ({ service: serviceOf(pool.name), address, unixMode: pool.unixMode })));
    this.reloading = true;
    this.bind(wanted, [], (bound) => {
      this.reloading = false;
      if (typeof bound === "string") return done({ ok: false, reason: bound });
      this.places.push(...bound);
      done({ ok: true, changes: this.take(config) });
    });
  }

  problemWith(config: ProxyConfig): string | null {
    if (this.company !== null) {
      const problem = sharedProblem(this.services.map((service) => service.config), config.pools);
      if (problem !== null) return problem;
    }
    for (const pool of config.pools) {
      const service = this.services.find((each) => each.config.name === pool.name);
      const problem = service === undefined ? null : reloadProblem(service.config, pool, service.pool.changes.under);
      if (problem !== null) return problem;
    }
    return null;
  }

  take(config: ProxyConfig): string[] {
    const changes: string[] = [];
    const before = this.services;
    this.services = config.pools.map((pool) => {
      const service = before.find((each) => each.config.name === pool.name);
      if (service !== undefined) {
        changes.push(...reloadText(service.config, pool));
        this.renew(service, pool);
        return service;
      }
      changes.push(`${pool.name}: new`);
      const young = this.serve(pool, config.pools.indexOf(pool), poolLog(this.recent, pool.name));
      young.pool.start();
      young.peers.start();
      return young;
    });
    const owners = new Map(this.services.flatMap((service) => service.config.listen.map((address) => [addressText(address), service])));
    this.places = this.places.filter((place) => {
      place.service = owners.get(addressText(place.wanted)) ?? null;
      if (place.service === null) place.listener.close();
      return place.service !== null;
    });
    if (this.company === null) this.tellListening();
    for (const gone of before.filter((service) => !this.services.includes(service))) {
      changes.push(`${gone.config.name}: gone`);
      this.end([gone], GONE_MS, () => {});
    }
    return changes;
  }

  private renew(service: Service, config: PoolConfig): void {
    const rings = ringChanges(service.config, config);
    if (rings.length > 0) service.kept?.begins(service.config, config);
    const options = poolOptions(config, service.kept);
    service.config = config;
    service.door.room += config.clientsMax - service.door.clientsMax; // workers: no difference
    service.door.clientsMax = config.clientsMax;
    service.door.slowMs = config.slowMs || Infinity;
    service.peers.stop();
    service.peers = new Peers(this.platform, config.region.peers, options, service.counters, service.log);
    if ((this.company?.number ?? 0) === 0) service.peers.start();
    service.pool.changes.begin(options, rings);
  }

  get rings(): Record<string, string> {
    return ringsDigests(this.services.map(({ config }) => config));
  }

  get changing(): boolean {
    return this.services.some(({ pool }) => pool.changes.under);
  }

  hasten(): void {
    for (const { pool } of this.services) pool.changes.hasten();
  }

  /** Rings that are to change wait no longer for servers that are away; whether there are any. */
  endTransition(done: (changing: boolean) => void): void {
    const { changing } = this;
    this.hasten();
    done(changing);
  }

  /** As one of several workers: connects to its servers, and lets clients in as the others leave room. */
  begin(number: number): void {
    for (const { pool, peers } of this.services) {
      pool.start();
      // One of us is enough to look at other proxies.
      if (number === 0) peers.start();
    }
    this.started = true;
  }

  joined(worker: number): void {
    for (const { pool } of this.services) pool.siblings?.joined(worker);
  }

  gone(worker: number): void {
    for (const { pool } of this.services) pool.siblings?.gone(worker);
  }

  heard(pool: number, from: number, word: unknown): void {
    this.services[pool]!.pool.siblings?.heard(from, word as SiblingWord); // of the same binary
  }

  met(): boolean {
    return (this.begun || this.platform.clock.nowMs() - this.door.startedMs > BEGUN_MS) && this.services.every(({ pool }) => pool.siblings?.met ?? true);
  }

  accept(place: number, pool: number, address: Address, accepting: () => void, failed: (reason: string) => void): void {
    const service = this.services[pool]!;
    this.platform.crew.accept(place, address, {
      onListening: (listener) => {
        if (this.stopping) return listener.close();
        this.ports.set(place, listener);
        if (!service.listening.some((each) => addressText(each) === addressText(address))) service.listening = [...service.listening, address];
        accepting();
      },
      onAccept: () => service.door.accept(),
      onClose: (cause, detail) => failed(`cannot accept on ${addressText(address)}: ${detail === "" ? cause : detail}`),
    });
  }

  leave(place: number): void {
    this.ports.get(place)?.close();
    this.ports.delete(place);
  }

  addRoom(pool: number, clients: number): void {
    this.services[pool]!.door.addRoom(clients);
  }

  giveRoom(pool: number, clients: number): number {
    return this.services[pool]!.door.giveRoom(clients);
  }

  clients(): readonly number[] {
    return this.services.map(({ door }) => door.clients.length);
  }

  resetCounters(pool: number): void {
    resetCounters(this.services[pool]!.door);
  }

  collect(done: (report: Report) => void): void {
    done(this.report());
  }

  drain(label: string, drained: boolean, done: (outcome: DrainOutcome) => void): void {
    done(this.drainNow(label, drained, false));
  }

  /** Takes a server out of reads, or puts it back, in every pool that has it; force: whatever its peers are. */
  drainNow(label: string, drained: boolean, force: boolean): DrainOutcome {
    return drainServer(this.services.map(({ pool }) => pool), label, drained, force);
  }

  /** What it knows of itself now. */
  report(): Report {
    const { clock, host } = this.platform;
    const uptimeSeconds = (clock.nowMs() - this.door.startedMs) / 1000;
    const cpu = host.cpuSeconds();
    const pools = this.services.map(({ config, pool, door, counters, peers, listening }) => ({
      name: config.name, listening: listening.map(addressText), clients: { now: door.clients.length, max: door.room },
      counters: { ...counters }, commands: door.latencies(), peers: peers.report(), ...reportRings(pool),
    }));
    const worker = {
      pid: host.pid, uptimeSeconds, clients: pools.reduce((sum, { clients }) => sum + clients.now, 0), cpuUserSeconds: cpu.user,
      cpuSystemSeconds: cpu.system, residentBytes: host.residentBytes(),
    };
    return {
      build: { ...this.build, target: this.build.target === "" ? host.target : this.build.target },
      runtime: host.runtime, time: clock.wallSeconds(), uptimeSeconds,
      state: this.stopping ? "draining" : this.started ? "serving" : "starting", workers: [worker], workersLost: { died: 0, hung: 0 }, pools, events: this.recent.events,
    };
  }

  /** What it listens on, for a process that takes its place; null: this runtime cannot hand it on. */
  readonly portsAreCopies = true;
  handOn(): readonly Port[] | null {
    const ports = this.places.map(({ listener }) => this.platform.crew.portOf(listener));
    return ports.every((port) => port !== null) ? ports : null;
  }

  /**
   * Accepts nobody and goes on to serve who is there: who asks nothing for a while is shown out, and after drainMs all
   * are. done once nobody is left.
   */
  retire(drainMs: number, done: () => void): void {
    for (const listener of [...this.places.map(({ listener }) => listener), ...this.ports.values()]) listener.close();
    const { clock } = this.platform;
    const untilMs = clock.nowMs() + drainMs;
    const look = (): void => {
      if (this.stopping) return; // told to leave sooner
      for (const { door } of this.services) door.dismissIdle(IDLE_MS);
      const left = this.services.some(({ door }) => door.clients.length > 0);
      if (left && clock.nowMs() < untilMs) clock.timer(RETIRE_LOOK_MS, look);
      else this.stop(LAST_MS, done);
    };
    look();
  }

  /** Stops accepting, lets clients have the answers under way for at most drainMs, then ends everything. */
  stop(drainMs: number, done: () => void): void {
    this.stopping = true;
    for (const listener of [...this.places.map((place) => place.listener), ...this.ports.values()]) listener.close();
    this.end(this.services, drainMs, done);
  }

  private end(services: readonly Service[], drainMs: number, done: () => void): void {
    for (const { door, peers } of services) {
      peers.stop();
      door.drain();
    }
    const began = this.platform.clock.nowMs();
    const look = (): void => {
      const clients = services.reduce((sum, { door }) => sum + door.clients.length, 0);
      if (clients > 0 && this.platform.clock.nowMs() - began < drainMs) {
        this.platform.clock.timer(10, look);
        return;
      }
      let open = services.length;
      for (const { door, pool } of services) {
        door.close();
        pool.farewell(() => {
          pool.stop();
          if (--open === 0) done();
        });
      }
    };
    look();
  }
}

/** Whoever comes before there is a pool for him. */
class Nobody implements SocketHandlers {
  onOpen(socket: Socket): void {
    socket.abort();
  }
  onData(): void {}
  onDrain(): void {}
  onEnd(): void {}
  onClose(): void {}
}

const LISTEN_WORDS: Partial<Record<CloseCause, string>> = {
  in_use: "something listens there already", denied: "not permitted", not_found: "no such address or directory",
};
