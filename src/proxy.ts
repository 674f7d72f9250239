// Wires one proxy together from its settings: turn, pools with their doors, listeners. Starts, takes other settings,
// drains, stops; or does so as one of several workers, as their supervisor says.
import { plainCopy, TailPool } from "./bytes/outbound.ts";
import { Turn } from "./bytes/turn.ts";
import type { PoolConfig, ProxyConfig } from "./config/config.ts";
import { Peers } from "./cli/peers.ts";
import { Places, WorkerPorts } from "./cli/listening.ts";
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
import type { Address, Platform, Port } from "./platform/platform.ts";
import { type DrainOutcome, drainServer } from "./replication/drain.ts";
import { PRIMARY } from "./replication/pair.ts";
import { Pool } from "./replication/pool.ts";
import type { SiblingWord } from "./replication/proxies/siblings.ts";
import { reportRings } from "./replication/pool_report.ts";
import type { Committed } from "./workers/messages.ts";
import type { Company, WorkingProxy } from "./workers/worker.ts";

/** A client of a proxy that retires is shown out when it has asked nothing for so long; how often that is looked at; what
 * those that are left when the time is over may take for their last answers. All in ms. */
const IDLE_MS = 5000, RETIRE_LOOK_MS = 100, LAST_MS = 2000;
/** How long servers may take to answer first, and how often that is looked at, ms. */
const BEGUN_MS = 3000, BEGUN_LOOK_MS = 10;
/** How often it is looked whether clients have left, ms. */
const LOOK_MS = 10;

export type StartOutcome =
  | { readonly ok: true; readonly addresses: readonly Address[] }
  | { readonly ok: false; readonly reason: string };

export type ReloadOutcome =
  | { readonly ok: true; readonly changes: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/** One pool with the door through which its clients come. */
export interface Service {
  /** Among several workers; else its place at the start. */
  readonly id: number;
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

/**
 * How long clients of a pool that is no more may wait for the answers under way, ms; how long it answers other workers
 * afterwards, whose clients may wait a little longer.
 */
const GONE_MS = 5000, LATER_MS = 1000;

export class Proxy implements WorkingProxy {
  /** In the order of the configuration; at least one. */
  services: readonly Service[];
  private readonly places: Places;
  /** What it accepts from as a worker. */
  private readonly ports: WorkerPorts;
  /** Pools that are no more, until their clients have their answers. */
  private readonly ending = new Set<Service>();
  /** The other workers that there are, by number. */
  private readonly others = new Set<number>();
  private readonly startedMs: number;
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
    this.startedMs = platform.clock.nowMs();
    this.ports = new WorkerPorts(platform);
    this.places = new Places(platform);
    this.recent = new Recent(log, () => platform.clock.wallSeconds());
    this.turn = new Turn((run) => platform.afterTurn(run), () => platform.clock.nowMs());
    this.tails = new TailPool(platform.copy ?? plainCopy);
    const several = config.pools.length > 1;
    this.services = config.pools.map((pool, index) => this.serve(pool, company?.pools[index] ?? index, several ? poolLog(this.recent, pool.name) : this.recent));
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

  private serve(config: PoolConfig, id: number, log: Log): Service {
    const counters = new Counters();
    const { company } = this;
    const kept = KeptRings.of(config, this.platform.host, log);
    const start = kept?.startOf(config) ?? null;
    const given = poolOptions(start?.primaries ?? config, kept);
    const options = start === null ? given : { ...given, backupRing: poolOptions(start.backups, null).backupRing };
    const siblings = company === null ? null : {
      number: company.number, say: (word: SiblingWord): void => company.tell(id, word, "ack" in word ? word.to : -1),
    };
    const pool = new Pool(this.platform, { ...options, siblings }, this.turn, this.tails, counters, log);
    const door = new Door(this.platform, pool, this.turn, this.tails, counters, log, config.clientsMax, this.build.version);
    pool.afterTick = () => door.tick();
    if (company !== null) {
      door.room = 0;
      door.askRoom = () => company.full(id);
      door.askAll = (done) => company.sum((report) => done(seenIn(report, config.name)));
      door.resetOthers = () => company.reset(id);
    }
    if (start !== null) this.resume(pool, start, config, kept, log);
    const peers = new Peers(this.platform, config.region.peers, pool.options, counters, log);
    return { id, config, pool, door, counters, log, peers, kept, listening: [] };
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
    this.places.bind(wanted, inherited, (problem) => {
      if (problem !== null) {
        this.stop(0, () => {});
        return done({ ok: false, reason: problem });
      }
      this.started = true;
      for (const { peers } of this.services) peers.start();
      this.places.settle(this.services);
      done({ ok: true, addresses: this.places.addresses });
    });
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
    const wanted = config.pools.flatMap((pool) => {
      const more = pool.listen.filter((address) => !this.places.has(address));
      return more.map((address) => ({ service: serviceOf(pool.name), address, unixMode: pool.unixMode }));
    });
    this.reloading = true;
    this.places.bind(wanted, [], (problem) => {
      this.reloading = false;
      if (problem !== null) return done({ ok: false, reason: problem });
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

  take(config: ProxyConfig, committed: Committed | null = null): string[] {
    const changes: string[] = [];
    const before = this.services;
    this.services = config.pools.map((pool, index) => {
      const service = before.find((each) => each.config.name === pool.name);
      if (service !== undefined) {
        changes.push(...reloadText(service.config, pool));
        this.renew(service, pool);
        return service;
      }
      changes.push(`${pool.name}: new, at ${pool.listen.map(addressText).join(", ")}`);
      const young = this.serve(pool, committed?.pools[index] ?? index, poolLog(this.recent, pool.name));
      young.pool.start();
      for (const worker of this.others) young.pool.siblings?.joined(worker);
      if (this.looksAtPeers) young.peers.start();
      return young;
    });
    if (committed !== null) this.ports.settle(committed, this.services);
    if (this.company === null) this.places.settle(this.services);
    for (const gone of before.filter((service) => !this.services.includes(service))) {
      changes.push(`${gone.config.name}: gone`);
      this.ending.add(gone);
      gone.door.addRoom(0); // nobody gives it any more
      this.end([gone], GONE_MS, () => this.ending.delete(gone), this.company === null ? 0 : LATER_MS);
    }
    return changes;
  }

  drop(places: readonly number[]): void {
    this.ports.drop(places);
  }

  /** One of several workers is enough to look at other proxies. */
  private get looksAtPeers(): boolean {
    return (this.company?.number ?? 0) === 0;
  }

  private renew(service: Service, config: PoolConfig): void {
    const rings = ringChanges(service.config, config);
    if (rings.length > 0) service.kept?.begins(service.config, config);
    const options = poolOptions(config, service.kept);
    service.config = config;
    // What of it is a worker's own he is told.
    if (this.company === null) service.door.room += config.clientsMax - service.door.clientsMax;
    service.door.clientsMax = config.clientsMax;
    service.door.slowMs = config.slowMs || Infinity;
    service.peers.stop();
    service.peers = new Peers(this.platform, config.region.peers, options, service.counters, service.log);
    if (this.looksAtPeers) service.peers.start();
    service.pool.changes.begin(options, rings);
  }

  get rings(): Record<string, string> {
    return ringsDigests(this.services.map(({ config }) => config));
  }

  get drained(): readonly string[] {
    return [...new Set(this.services.flatMap(({ pool }) => pool.drains.servers.map(({ label }) => label)))];
  }

  keepDrained(servers: readonly string[]): void {
    for (const server of servers) this.drainNow(server, true, true);
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
  begin(): void {
    for (const { pool, peers } of this.services) {
      pool.start();
      if (this.looksAtPeers) peers.start();
    }
    this.started = true;
  }

  joined(worker: number): void {
    this.others.add(worker);
    for (const { pool } of this.services) pool.siblings?.joined(worker);
  }

  gone(worker: number): void {
    this.others.delete(worker);
    for (const { pool } of [...this.services, ...this.ending]) pool.siblings?.gone(worker);
  }

  heard(pool: number, from: number, word: unknown): void {
    this.serviceOf(pool)?.pool.siblings?.heard(from, word as SiblingWord); // of the same binary
  }

  /** Undefined: it is no more, and whoever speaks of it does not know yet. */
  private serviceOf(id: number): Service | undefined {
    return [...this.services, ...this.ending].find((service) => service.id === id);
  }

  met(): readonly number[] {
    const now = this.platform.clock.nowMs();
    return this.services.filter(({ pool }) => (pool.begun || now - pool.startedMs > BEGUN_MS) && (pool.siblings?.met ?? true)).map(({ id }) => id);
  }

  accept(place: number, pool: number, address: Address, accepting: () => void, failed: (reason: string) => void): void {
    const service = this.serviceOf(pool);
    if (service !== undefined) this.ports.accept(place, service, address, accepting, failed); // else the port goes too
  }

  leave(place: number): void {
    this.ports.leave(place);
  }

  addRoom(pool: number, clients: number): void {
    this.serviceOf(pool)?.door.addRoom(clients);
  }

  giveRoom(pool: number, clients: number): number {
    return this.serviceOf(pool)?.door.giveRoom(clients) ?? 0;
  }

  clients(): readonly (readonly [pool: number, clients: number])[] {
    return this.services.map(({ id, door }) => [id, door.clients.length]);
  }

  resetCounters(pool: number): void {
    const service = this.serviceOf(pool);
    if (service !== undefined) resetCounters(service.door);
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
    const uptimeSeconds = (clock.nowMs() - this.startedMs) / 1000;
    const cpu = host.cpuSeconds();
    const pools = this.services.map(({ config, pool, door, counters, peers, listening }) => ({
      name: config.name, listening: listening.map(addressText), clients: { now: door.clients.length, max: door.room }, transitionSeconds: config.transitionSeconds,
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
    const ports = this.places.listeners.map((listener) => this.platform.crew.portOf(listener));
    return ports.every((port) => port !== null) ? ports : null;
  }

  /**
   * Accepts nobody and goes on to serve who is there: who asks nothing for a while is shown out, and after drainMs all
   * are. done once nobody is left.
   */
  retire(drainMs: number, done: () => void): void {
    this.acceptNobody();
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
    this.acceptNobody();
    this.end(this.services, drainMs, done);
  }

  private acceptNobody(): void {
    this.places.close();
    this.ports.close();
  }

  /** laterMs: for so long after drainMs, whatever happened, the pools go on without clients. */
  private end(services: readonly Service[], drainMs: number, done: () => void, laterMs = 0): void {
    for (const { door, peers } of services) {
      peers.stop();
      door.drain();
    }
    const began = this.platform.clock.nowMs();
    const look = (): void => {
      const clients = services.reduce((sum, { door }) => sum + door.clients.length, 0);
      const ms = this.platform.clock.nowMs() - began;
      if (laterMs > 0 && ms >= drainMs) for (const { door } of services) door.close();
      if ((clients > 0 && ms < drainMs) || (laterMs > 0 && ms < drainMs + laterMs)) {
        this.platform.clock.timer(LOOK_MS, look);
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
