// The other end of the supervisor's channel: what a worker is told to do with its proxy, and what it asks for.
import type { ProxyConfig } from "../config/config.ts";
import type { VerbOutcome } from "../observe/admin.ts";
import type { Log, LogFields } from "../observe/log.ts";
import type { Report } from "../observe/report.ts";
import type { Address, Channel, Platform } from "../platform/platform.ts";
import { type Committed, decodeOrder, encode, type Order, type Word } from "./messages.ts";

/** How often the number of clients is told, ms; only when it has changed. */
const LOAD_MS = 50;
/** A worker that has nothing to say says so this often, ms: the supervisor takes a silent one for hung. */
const ALIVE_MS = 500;

/** What a worker's proxy can be told. */
export interface WorkingProxy {
  /** Connects to its servers; accepts nobody yet. */
  begin(): void;
  /** Accepts clients of a pool from the port at this place; accepting is called once it does. */
  accept(place: number, pool: number, address: Address, accepting: () => void, failed: (reason: string) => void): void;
  leave(place: number): void;
  /** So many more clients may come, or fewer when below 0; 0: those that wait are told that there is no room. */
  addRoom(pool: number, clients: number): void;
  /** Gives back room that is not used, at most so much; returns how much. */
  giveRoom(pool: number, clients: number): number;
  /** Another worker has come, or is gone, or has something to say. */
  joined(worker: number): void;
  gone(worker: number): void;
  heard(pool: number, from: number, word: unknown): void;
  /** Pools of which all workers that came before have told what they knew, and whose servers have answered or are known to be away. */
  met(): readonly number[];
  /** Clients of each pool. */
  clients(): readonly (readonly [pool: number, clients: number])[];
  report(): Report;
  resetCounters(pool: number): void;
  /** Why it cannot take these settings while it is one of several workers; null: it can. Nothing changes. */
  problemWith(config: ProxyConfig): string | null;
  /** Takes settings that it has no problem with; returns what changed, in words. */
  take(config: ProxyConfig, committed: Committed): string[];
  /** Lets go of ports that it does not accept from. */
  drop(places: readonly number[]): void;
  /** Rings are changing; hasten: they wait no longer for servers that are away. */
  readonly changing: boolean;
  hasten(): void;
  /** Takes a server out of reads, or puts it back; force: whatever its peers are. */
  drainNow(server: string, drained: boolean, force: boolean): VerbOutcome;
  stop(drainMs: number, done: () => void): void;
  retire(drainMs: number, done: () => void): void;
}

/** What a worker's proxy needs of the others. */
export interface Company {
  /** Which of the workers we are, from 0. */
  readonly number: number;
  /** The numbers of the pools that it begins with. */
  readonly pools: readonly number[];
  /** A client of this pool waits for room. */
  full(pool: number): void;
  /** What all workers know; done may never be called when this process is about to end. */
  sum(done: (report: Report) => void): void;
  /** Something for the same pool of all others, or of one; -1: all. */
  tell(pool: number, word: unknown, to: number): void;
  /** Counters of this pool begin again, everywhere else. */
  reset(pool: number): void;
}

export class WorkerEnd implements Company {
  private readonly channel: Channel | null;
  private proxy: WorkingProxy | null = null;
  private readonly asks = new Map<number, (report: Report) => void>();
  private lastAsk = 0;
  number = 0;
  pools: readonly number[] = [];
  private told = "";

  /** leave ends the process: 0 after a stop, 1 when the supervisor is gone. */
  constructor(
    private readonly platform: Platform,
    private readonly make: (config: ProxyConfig, log: Log, company: Company) => WorkingProxy,
    private readonly leave: (code: number) => void,
  ) {
    this.channel = platform.crew.parent({
      onText: (text) => this.heard(decodeOrder(text)),
      onGone: () => this.leave(1),
    });
  }

  /** Nobody started this process as a worker. */
  get alone(): boolean {
    return this.channel === null;
  }

  /** The supervisor's log. */
  private log(verbosity: number): Log {
    const to = (level: "info" | "warn" | "error" | "debug") => (message: string, fields: LogFields = {}): void =>
      this.say({ t: "log", level, message, fields });
    return { verbosity, info: to("info"), warn: to("warn"), error: to("error"), debug: verbosity > 0 ? to("debug") : () => {} };
  }

  private begin({ number, config, pools, verbosity }: Extract<Order, { t: "begin" }>): void {
    this.number = number;
    this.pools = pools;
    this.proxy = this.make(config, this.log(verbosity), this);
    this.proxy.begin();
    this.say({ t: "ready" });
    this.tellLoad();
  }

  full(pool: number): void {
    this.say({ t: "full", pool });
  }

  sum(done: (report: Report) => void): void {
    this.asks.set(++this.lastAsk, done);
    this.say({ t: "sum", ask: this.lastAsk });
  }

  tell(pool: number, word: unknown, to: number): void {
    this.say({ t: "tell", pool, word, to });
  }

  reset(pool: number): void {
    this.say({ t: "reset", pool });
  }

  /** It was asked to leave by somebody else than the supervisor. */
  stop(drainMs: number): void {
    if (this.proxy === null) this.leave(0);
    else this.proxy.stop(drainMs, () => this.leave(0));
  }

  private heard(order: Order): void {
    if (order.t === "begin") return this.begin(order);
    const { proxy } = this;
    if (proxy === null) throw new Error(`${order.t} before begin`);
    switch (order.t) {
      case "accept":
        return proxy.accept(
          order.place, order.pool, order.address,
          () => this.say({ t: "accepting", place: order.place }), (reason) => this.say({ t: "failed", reason }),
        );
      case "leave": return proxy.leave(order.place);
      case "room": return proxy.addRoom(order.pool, order.clients);
      case "give": return this.say({ t: "gave", pool: order.pool, clients: proxy.giveRoom(order.pool, order.clients) });
      case "tell": return this.say({ t: "report", ask: order.ask, report: proxy.report() });
      case "summed": {
        const done = this.asks.get(order.ask);
        this.asks.delete(order.ask);
        return done?.(order.report);
      }
      case "joined": return proxy.joined(order.worker);
      case "company":
        this.introduced = true;
        return this.lookMet(proxy);
      case "gone":
        proxy.gone(order.worker);
        return this.lookMet(proxy);
      case "tell it":
        proxy.heard(order.pool, order.from, order.word);
        return this.met ? undefined : this.lookMet(proxy);
      case "reset": return proxy.resetCounters(order.pool);
      case "drain": return this.say({ t: "drained", ask: order.ask, outcome: proxy.drainNow(order.server, order.drained, order.force) });
      case "prepare":
        this.prepared = order.config;
        return this.say({ t: "prepared", ask: order.ask, reason: proxy.problemWith(order.config) });
      case "commit": {
        const changes = proxy.take(this.prepared!, order);
        this.met = false;
        this.pools = order.pools;
        this.tellRings(proxy);
        return this.say({ t: "committed", ask: order.ask, changes });
      }
      case "hasten": {
        const { changing } = proxy;
        proxy.hasten();
        return this.say({ t: "hastened", ask: order.ask, changing });
      }
      case "forget":
        this.prepared = null;
        return proxy.drop(order.gone);
      case "stop": return this.stop(order.drainMs);
      case "retire": return proxy.retire(order.drainMs, () => this.leave(0));
    }
  }

  private saidMs = 0;
  private prepared: ProxyConfig | null = null;

  private lookMet(proxy: WorkingProxy): void {
    if (this.met || !this.introduced) return;
    const pools = proxy.met();
    this.met = pools.length === this.pools.length;
    const text = pools.join();
    if (text !== this.toldMet) this.say({ t: "met", pools });
    this.toldMet = text;
  }
  private introduced = false;
  private met = false;
  private toldMet = "";

  private tellRings({ changing }: WorkingProxy): void {
    if (changing !== this.toldChanging) this.say({ t: "rings", changing });
    this.toldChanging = changing;
  }
  private toldChanging = false;

  private tellLoad(): void {
    this.lookMet(this.proxy!);
    this.tellRings(this.proxy!);
    const clients = this.proxy!.clients();
    const text = clients.join(";");
    if (text !== this.told) this.say({ t: "load", clients });
    this.told = text;
    if (this.platform.clock.nowMs() - this.saidMs >= ALIVE_MS) this.say({ t: "alive" });
    this.platform.clock.timer(LOAD_MS, () => this.tellLoad());
  }

  private say(word: Word): void {
    this.saidMs = this.platform.clock.nowMs();
    this.channel?.send(encode(word));
  }
}
