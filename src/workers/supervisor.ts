// One process that serves nobody: it opens the ports, starts workers that accept from them, starts anew those that die,
// and is where they meet. When it dies they end too; a port outlives any worker, so no connection that waits is lost.
import type { ProxyConfig } from "../config/config.ts";
import { ringsDigests } from "../config/fingerprint.ts";
import type { VerbOutcome } from "../observe/admin.ts";
import type { Log } from "../observe/log.ts";
import { type Report, sumReports, type WorkersLost } from "../observe/report.ts";
import type { Address, Child, Platform, Port, Timer } from "../platform/platform.ts";
import { Drains } from "./drains.ts";
import { Generations, type ReloadOutcome } from "./generation.ts";
import { type Committed, decodeWord, encode, type Order, type Word } from "./messages.ts";
import { Ports, type SharedPool } from "./ports.ts";
import { Rounds } from "./rounds.ts";
import { Shares } from "./shares.ts";

/** A worker that died is started again after so long; twice as long each time it dies within HEALTHY_MS. */
const AGAIN_FIRST_MS = 100, AGAIN_MAX_MS = 5000, HEALTHY_MS = 10_000;
/** While rings change no worker is started; how often it is looked, ms. */
const RINGS_LOOK_MS = 100;
/** A worker must be ready within this, and tell of itself within that. */
const READY_MS = 10_000, TELL_MS = 1000;
/** What a worker that was told to leave may take beyond its drain. */
const LEAVE_MS = 2000;
/** How often it is looked at who accepts from what. */
const BALANCE_MS = 100;
/**
 * A worker that is not heard of for so long hangs: it is ended, so that its clients are cut and come back to others. Longer
 * than any pause of its own (garbage collection: 0.01 s) or of a host that is overloaded; each says something twice a second.
 */
const HUNG_MS = 4000;
/** When the supervisor itself stood still for longer, ms, nobody's silence meanwhile counts. */
const LATE_MS = 1000;

export interface SupervisorOptions {
  readonly workers: number;
  readonly config: ProxyConfig;
  /** What one worker can hold with these settings, clients; Infinity when that is not known. */
  readonly clientsPerWorker: (config: ProxyConfig) => number;
  /** The command line of a worker, by its number from 0. */
  readonly args: (worker: number) => readonly string[];
  /** Called once the ports are open and before any worker starts: its last chance to fail, with the reason. */
  readonly bound: () => string | null;
}

export type StartOutcome =
  | { readonly ok: true; readonly addresses: readonly Address[] }
  | { readonly ok: false; readonly reason: string };

interface Worker {
  readonly number: number;
  child: Child | null;
  ready: boolean;
  /** The pools of which it knows what the others know, by number; and whether that was all of them once. */
  met: readonly number[];
  begun: boolean;
  /** Its rings are changing. */
  changing: boolean;
  /** It was not heard of for too long, and is killed. */
  hung: boolean;
  bornMs: number;
  /** When it said something last, ms. */
  heardMs: number;
  againMs: number;
  late: Timer | null;
}

export class Supervisor {
  private readonly workers: Worker[];
  /** In the order of the settings. */
  private pools: readonly SharedPool[] = [];
  private lastPool = 0;
  private readonly ports: Ports;
  /** What a worker begins with. */
  private config: ProxyConfig;
  private readonly rounds: Rounds;
  private readonly generations: Generations;
  private readonly drains: Drains;
  /** Workers that ended though nobody wanted it. */
  private readonly lost: WorkersLost = { died: 0, hung: 0 };
  private balancing: Timer | null = null;
  private started: ((outcome: StartOutcome) => void) | null = null;
  private stopping: (() => void) | null = null;

  constructor(private readonly platform: Platform, private readonly log: Log, private readonly options: SupervisorOptions) {
    this.config = options.config;
    const tell = (worker: number, order: Order): void => this.order(this.workers[worker]!, order);
    this.ports = new Ports(platform, options.workers, tell);
    this.rounds = new Rounds(platform.clock, tell);
    this.drains = new Drains(this.rounds);
    this.generations = new Generations({
      rounds: this.rounds,
      serving: () => (this.workers.every((worker) => this.hasMetAll(worker)) ? this.workers.map(({ number }) => number) : null),
      open: (settings, done) => this.ports.openMore(settings.pools, (problem) => done(problem ?? this.givePorts())),
      shut: () => this.ports.shut(),
      decided: (settings) => this.decided(settings),
      told: () => this.told(),
    });
    this.workers = Array.from({ length: options.workers }, (_, number) => ({ number, child: null, ready: false, met: [], begun: false, changing: false, hung: false, bornMs: 0, heardMs: 0, againMs: AGAIN_FIRST_MS, late: null }));
    this.poolsOf(options.config);
  }

  /** Opens all ports and starts all workers; tells done once all of them accept, or what is wrong. */
  start(done: (outcome: StartOutcome) => void): void {
    this.started = done;
    this.ports.open(this.config.pools, (problem) => {
      if (problem !== null) return this.failStart(problem);
      this.ports.settle(this.pools);
      this.bound();
    });
  }

  private bound(): void {
    const problem = this.options.bound();
    if (problem !== null) return this.failStart(problem);
    for (const worker of this.workers) this.startWorker(worker);
  }

  private failStart(reason: string): void {
    const done = this.started;
    this.started = null;
    this.stop(0, () => done?.({ ok: false, reason }));
  }

  /** Lets all workers answer what was asked for at most drainMs; done once all are gone. Again: at once. */
  stop(drainMs: number, done: () => void): void {
    const before = this.stopping;
    this.stopping = () => {
      before?.();
      done();
    };
    this.balancing?.cancel();
    this.ports.close(true);
    this.letGo({ t: "stop", drainMs });
  }

  /** What clients connect to, for a process that takes our place. */
  readonly portsAreCopies = false;
  handOn(): readonly Port[] {
    return this.ports.all;
  }

  get rings(): Record<string, string> {
    return ringsDigests(this.config.pools);
  }

  get changing(): boolean {
    return this.workers.some(({ changing }) => changing);
  }

  /** Accepts nobody and serves who is there for at most drainMs; done once all workers are gone. */
  retire(drainMs: number, done: () => void): void {
    this.stopping = done;
    this.balancing?.cancel();
    this.ports.close(false);
    this.letGo({ t: "retire", drainMs });
  }

  private letGo(order: Extract<Order, { drainMs: number }>): void {
    const { drainMs } = order;
    for (const worker of this.workers) {
      worker.late?.cancel();
      if (worker.child === null) continue;
      if (!worker.ready) worker.child.kill();
      else {
        this.order(worker, order);
        worker.late = this.platform.clock.timer(drainMs + LEAVE_MS, () => worker.child?.kill());
      }
    }
    this.lookGone();
  }

  /** Ends all workers now. */
  kill(): void {
    for (const { child } of this.workers) child?.kill();
  }

  private lookGone(): void {
    if (this.stopping === null || this.workers.some(({ child }) => child !== null)) return;
    for (const { late } of this.workers) late?.cancel();
    const done = this.stopping;
    this.stopping = null;
    done();
  }

  private get ready(): readonly number[] {
    return this.workers.filter(({ ready }) => ready).map(({ number }) => number);
  }

  /** The sum of what the workers know of themselves; null when none could say. */
  collect(done: (report: Report | null) => void): void {
    const reports = new Map<number, Report>();
    this.rounds.ask(this.ready, TELL_MS, (ask) => ({ t: "tell", ask }), (worker, answer) => {
      if (answer.t === "report") reports.set(worker, answer.report);
    }, () => {
      // By number, so that what comes first in the sum is always the same worker's.
      const told = [...reports].sort(([a], [b]) => a - b).map(([, report]) => report);
      done(told.length === 0 ? null : { ...sumReports(told), workersLost: { ...this.lost } });
    });
  }

  /** Takes a server out of reads in all workers or in none, or puts it back in all. */
  drain(server: string, drained: boolean, done: (outcome: VerbOutcome) => void): void {
    this.drains.drain(this.ready, server, drained, done);
  }

  get drained(): readonly string[] {
    return [...this.drains.drained];
  }

  keepDrained(servers: readonly string[]): void {
    for (const server of servers) this.drains.drained.add(server);
  }

  /** Rings that are to change wait no longer for servers that are away; done(false): there are none. */
  endTransition(done: (changing: boolean) => void): void {
    let changing = false;
    this.rounds.ask(this.ready, TELL_MS, (ask) => ({ t: "hasten", ask }), (_worker, answer) => {
      if (answer.t === "hastened" && answer.changing) changing = true;
    }, () => done(changing));
  }

  /** Other settings, for all workers or for none. */
  reload(config: ProxyConfig, done: (outcome: ReloadOutcome) => void): void {
    if (this.started !== null || this.stopping !== null) return done({ ok: false, reason: "tandem is not serving" });
    this.generations.begin(config, done);
  }

  /** Pools keep their numbers while they are there. */
  private poolsOf(config: ProxyConfig): void {
    const most = this.options.clientsPerWorker(config);
    this.pools = config.pools.map((pool) => {
      const known = this.pools.find((each) => each.config.name === pool.name);
      if (known === undefined) return { id: this.lastPool++, config: pool, shares: new Shares(pool.clientsMax, this.options.workers, most) };
      known.config = pool;
      known.shares.most = most;
      return known;
    });
  }

  private givePorts(): string | null {
    const fails = this.workers.some((worker) => !this.ports.give(worker.number, (place, ports) => worker.child?.give(place, ports) ?? false));
    return fails ? "workers that run cannot be given other ports on this system; restart tandem for that" : null;
  }

  private decided(config: ProxyConfig): (worker: number) => Committed {
    this.config = config;
    this.poolsOf(config);
    const pools = this.pools.map(({ id }) => id);
    const gone = this.ports.settle(this.pools);
    return (worker) => ({ pools, places: this.ports.owners(worker), gone: gone(worker) });
  }

  /** Workers hear of their room in pools that are new, or have another limit. */
  private told(): void {
    for (const { id, config, shares } of this.pools) {
      const room = (worker: number, clients: number): void => this.order(this.workers[worker]!, { t: "room", pool: id, clients });
      for (const worker of this.ready) if (!shares.begun(worker)) room(worker, shares.begin(worker));
      shares.resize(config.clientsMax, room);
    }
    this.settle();
    this.balance();
  }

  private startWorker(worker: Worker): void {
    if (this.stopping !== null) return;
    const { crew, clock } = this.platform;
    // It would begin with rings that the others do not have yet.
    if (this.changing || this.generations.under) return void (worker.late = clock.timer(RINGS_LOOK_MS, () => this.startWorker(worker)));
    worker.bornMs = clock.nowMs();
    const started = crew.start(this.options.args(worker.number), this.ports.begin(worker.number), {
      onText: (text) => this.heard(worker, decodeWord(text)),
      onGone: (code) => this.gone(worker, code),
    });
    if (!started.ok) {
      if (this.started !== null) return this.failStart(`a worker cannot be started: ${started.reason}`);
      this.log.error("a worker cannot be started", { worker: worker.number, reason: started.reason });
      return this.again(worker);
    }
    worker.child = started.child;
    this.order(worker, { t: "begin", number: worker.number, config: this.config, pools: this.pools.map(({ id }) => id), verbosity: this.log.verbosity });
    worker.late = clock.timer(READY_MS, () => {
      this.log.error("a worker does not become ready", { worker: worker.number, pid: started.child.pid });
      started.child.kill();
    });
  }

  private again(worker: Worker): void {
    const { clock } = this.platform;
    if (clock.nowMs() - worker.bornMs > HEALTHY_MS) worker.againMs = AGAIN_FIRST_MS;
    if (this.changing) this.log.info("the worker is started again when the rings have changed", { worker: worker.number });
    worker.late = clock.timer(worker.againMs, () => this.startWorker(worker));
    worker.againMs = Math.min(AGAIN_MAX_MS, worker.againMs * 2);
  }

  private gone(worker: Worker, code: number | null): void {
    const pid = worker.child?.pid ?? 0;
    worker.child = null;
    const wasReady = worker.ready;
    const { hung } = worker;
    worker.ready = worker.begun = worker.changing = worker.hung = false;
    worker.met = [];
    worker.late?.cancel();
    if (wasReady) for (const other of this.workers) if (other.ready) this.order(other, { t: "gone", worker: worker.number });
    this.generations.gone(worker.number);
    this.rounds.gone(worker.number);
    for (const { shares } of this.pools) shares.end(worker.number);
    this.ports.gone(worker.number);
    if (this.stopping !== null) return this.lookGone();
    if (this.started !== null) return this.failStart(`worker ${worker.number} ended before it could work (${code === null ? "by a signal" : `exit code ${code}`})`);
    this.lost[hung ? "hung" : "died"]++;
    this.log.error("a worker died", { worker: worker.number, pid, ...(code === null ? {} : { code }), again_ms: worker.againMs });
    this.again(worker);
    this.settle();
    this.balance();
  }

  private heard(worker: Worker, word: Word): void {
    worker.heardMs = this.platform.clock.nowMs();
    switch (word.t) {
      case "alive": return;
      case "ready": return this.isReady(worker);
      case "met": return this.hasMet(worker, word.pools);
      case "tell": return this.relay(worker, word);
      case "failed": return this.failed(worker, word.reason);
      case "accepting": return this.accepting(worker, word.place);
      case "load":
        for (const [pool, clients] of word.clients) this.sharesOf(pool)?.counted(worker.number, clients);
        return;
      case "full":
        this.sharesOf(word.pool)?.full(worker.number);
        return this.settle();
      case "gave":
        this.sharesOf(word.pool)?.gave(worker.number, word.clients);
        return this.settle();
      case "report": case "drained": case "prepared": case "committed": case "hastened": return this.rounds.answered(worker.number, word);
      case "rings":
        worker.changing = word.changing;
        return;
      case "sum": return this.collect((report) => report !== null && this.order(worker, { t: "summed", ask: word.ask, report }));
      case "reset":
        for (const other of this.workers) if (other !== worker && other.ready) this.order(other, word);
        return;
      case "log": return this.log[word.level](word.message, { worker: worker.number, ...word.fields });
    }
  }

  private isReady(worker: Worker): void {
    for (const other of this.workers) {
      if (!other.ready) continue;
      this.order(other, { t: "joined", worker: worker.number });
      this.order(worker, { t: "joined", worker: other.number });
    }
    this.order(worker, { t: "company" });
    worker.ready = true;
    worker.late?.cancel();
    for (const { id, shares } of this.pools) this.order(worker, { t: "room", pool: id, clients: shares.begin(worker.number) });
    this.drains.tell(worker.number);
  }

  private hasMet(worker: Worker, pools: readonly number[]): void {
    worker.met = pools;
    if (!worker.begun && this.hasMetAll(worker)) {
      worker.begun = true;
      if (this.started === null) this.log.info("a worker started", { worker: worker.number, pid: worker.child!.pid });
    }
    if (this.workers.every(({ begun }) => begun) || this.started === null) this.balance();
  }

  private hasMetAll({ met }: Worker): boolean {
    return this.pools.every(({ id }) => met.includes(id));
  }

  /** Null: the pool is no more, and what is said of it comes too late. */
  private sharesOf(pool: number): Shares | null {
    return this.pools.find(({ id }) => id === pool)?.shares ?? null;
  }

  private relay(from: Worker, { pool, word, to }: Extract<Word, { t: "tell" }>): void {
    for (const other of this.workers) {
      if (other !== from && other.ready && (to === -1 || to === other.number)) this.order(other, { t: "tell it", pool, from: from.number, word });
    }
  }

  private failed(worker: Worker, reason: string): void {
    if (this.started !== null) return this.failStart(reason);
    this.log.error("a worker cannot work", { worker: worker.number, reason });
    worker.child?.kill();
  }

  private accepting(worker: Worker, place: number): void {
    this.ports.accepting(worker.number, place);
    if (this.started === null || !this.ports.held) return;
    const done = this.started;
    this.started = null;
    done({ ok: true, addresses: this.ports.addresses });
  }

  /** Who accepts from what, as it should be now; looked at again after a while. */
  private balance(): void {
    this.balancing?.cancel();
    if (this.stopping !== null) return;
    this.balancing = this.platform.clock.timer(BALANCE_MS, () => {
      this.lookHung();
      this.balance();
    });
    this.ports.balance(this.pools, (pool) => this.workers.map(({ begun, met }) => begun && met.includes(pool)));
  }

  /** Whoever hangs is ended; what follows is as for one that died. */
  private lookHung(): void {
    const now = this.platform.clock.nowMs();
    const late = now - this.lookedMs > LATE_MS;
    this.lookedMs = now;
    for (const worker of this.workers) {
      if (late) worker.heardMs = now;
      const silentMs = now - worker.heardMs;
      if (!worker.ready || worker.hung || silentMs <= HUNG_MS) continue;
      worker.hung = true;
      this.log.error("a worker hangs, it is killed", { worker: worker.number, pid: worker.child!.pid, silent_ms: Math.round(silentMs) });
      worker.child!.kill();
    }
  }
  private lookedMs = 0;

  private settle(): void {
    for (const { id, shares } of this.pools) {
      for (const { worker, clients } of shares.settle((to, room) => this.order(this.workers[to]!, { t: "room", pool: id, clients: room }))) {
        this.order(this.workers[worker]!, { t: "give", pool: id, clients });
      }
    }
  }

  private order(worker: Worker, order: Order): void {
    worker.child?.send(encode(order));
  }
}
