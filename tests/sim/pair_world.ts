// The whole of it: memcacheds, one proxy (or several) over them and clients, each on a host of its own.
import { Proxy } from "../../src/proxy.ts";
import type { ComebackConfig, ProxyConfig, RingFlavour, ServerSpec } from "../../src/config/config.ts";
import type { Log, LogFields } from "../../src/observe/log.ts";
import type { Company } from "../../src/workers/worker.ts";
import { SimClient } from "./client.ts";
import { History } from "./history.ts";
import type { SimHost } from "./host.ts";
import { type Habits, Knowledge, MixedLoad } from "./load.ts";
import { MEMCACHED_PORT, MemcachedHost } from "./memcached_host.ts";
import type { World } from "./world.ts";

export const PROXY_PORT = 11211;
/** Of each proxy's machine. */
export const STATE_DIR = "/run";

export interface Shape {
  readonly primaries: number;
  readonly backups: number;
  readonly clients: number;
  readonly lanes: number;
  /** Servers of each side that no ring has at first. */
  readonly spare?: number;
  /** 1 when not said. */
  readonly proxies?: number;
  readonly strict?: boolean;
  /** Otherwise every other seed: nothing may differ for clients. */
  readonly shareGets?: boolean;
  /** The proxies are workers of one: they have a channel to each other. */
  readonly workers?: boolean;
  /** "on" when not said where there are several proxies, else "auto", as the product's default. */
  readonly verify?: "on" | "auto";
  /** Of the primaries and of the backups. */
  readonly versions: readonly [string, string];
  /** How wrong the wall clock of each server may be, seconds. */
  readonly skewSeconds?: number;
  /** How much too fast or too slow the clocks of servers and proxies may run, of a million. */
  readonly driftPpm?: number;
  /** The product's defaults when not said. */
  readonly comeback?: ComebackConfig;
  /** Proxies write what servers lack to their own disks too. */
  readonly disk?: boolean;
  /** Keys a second that a server is given that lost its memory; many when not said. */
  readonly refillRate?: number;
}

/** Which servers a proxy's rings are made of. */
export interface Over {
  readonly primaries: readonly MemcachedHost[];
  readonly backups: readonly MemcachedHost[];
  readonly ring: RingFlavour;
}

/** Deadlines of the product's defaults, ms. */
export const CONNECT_TIMEOUT_MS = 300;
export const REQUEST_TIMEOUT_MS = 300;

export class PairWorld {
  readonly primaries: MemcachedHost[] = [];
  readonly backups: MemcachedHost[] = [];
  readonly history = new History();
  readonly known = new Knowledge();
  readonly clients: SimClient[] = [];
  readonly proxyHosts: SimHost[] = [];
  readonly proxies: Proxy[] = [];
  /** Until then ended connections are no fault of the proxy: its process or machine died. */
  excusedUntilUs = 0;
  /** How many proxies listen. */
  private listening = 0;
  private readonly sessions = { last: 0 };

  constructor(
    readonly world: World,
    readonly shape: Shape,
    private readonly habits: Habits,
  ) {
    const shortStats = world.dice.hosts.chance(7, 8);
    const memcached = (name: string, version: string): MemcachedHost => {
      const host = world.host(name);
      const most = shape.skewSeconds ?? 0;
      if (most > 0) host.skewUs = world.dice.hosts.range(-most, most) * 1_000_000;
      this.drift(host);
      return new MemcachedHost(host, { version, shortStats });
    };
    const spare = shape.spare ?? 0;
    for (let i = 0; i < shape.primaries + spare; i++) this.primaries.push(memcached(`p${i}`, shape.versions[0]));
    for (let i = 0; i < shape.backups + spare; i++) this.backups.push(memcached(`b${i}`, shape.versions[1]));
    for (let i = 0; i < (shape.proxies ?? 1); i++) this.startProxy(i);
    if (shape.workers === true) this.introduce();
  }

  /** The first proxy. */
  get proxyHost(): SimHost {
    return this.proxyHosts[0]!;
  }
  get proxy(): Proxy {
    return this.proxies[0]!;
  }
  /** Every proxy listens. */
  get serving(): boolean {
    return this.listening === this.proxyHosts.length;
  }

  /** One proxy is gone: it does not listen any more. */
  died(): void {
    this.listening--;
    this.excusedUntilUs = Infinity;
  }

  /** No proxy has anything to find out about another that is gone. */
  settled(): boolean {
    return this.proxies.every(({ pool }) => !pool.scrubber.owed && pool.verifier.backlog === 0 && (pool.board?.known.size ?? 0) === 0);
  }

  private startProxy(i: number): void {
    const host = this.world.host(proxyName(i));
    this.drift(host);
    this.proxyHosts.push(host);
    host.start((process) => {
      const proxy = (this.proxies[i] = new Proxy(process, this.config(), this.log(i), undefined, this.shape.workers === true ? this.companyOf(i) : null));
      proxy.start((outcome) => {
        if (!outcome.ok) throw new Error(`the proxy does not start: ${outcome.reason}`);
        this.world.note(`the ${proxyName(i)} serves`);
        this.listening++;
      });
    });
  }

  private drift(host: SimHost): void {
    const most = this.shape.driftPpm ?? 0;
    if (most > 0) host.rate = 1 + this.world.dice.hosts.range(-most, most) / 1_000_000;
  }

  /** What worker i has of the others: texts arrive in order, after a while of their own. */
  private companyOf(i: number): Company {
    const arrivals = new Map<number, number>();
    // A channel keeps order, though timers may be late by more or less: each delivers what has waited longest.
    const waiting = new Map<number, string[]>();
    return {
      number: i,
      pools: [0],
      full: () => {},
      sum: () => {},
      reset: () => {},
      tell: (pool, word, to) => {
        const text = JSON.stringify(word);
        for (const [j, host] of this.proxyHosts.entries()) {
          if (j === i || (to !== -1 && to !== j)) continue;
          const us = Math.max(arrivals.get(j) ?? 0, this.world.nowUs + this.world.dice.hosts.range(30, 3_000));
          arrivals.set(j, us);
          const queue = waiting.get(j) ?? [];
          waiting.set(j, queue);
          queue.push(text);
          host.process?.ownTimer((us - this.world.nowUs) / 1000, () => this.proxies[j]!.heard(pool, i, JSON.parse(queue.shift()!)));
        }
      },
    };
  }

  /** Workers hear of each other. */
  private introduce(): void {
    for (const [i, proxy] of this.proxies.entries()) {
      proxy.addRoom(0, 100);
      for (const j of this.proxies.keys()) if (i !== j) proxy.joined(j);
    }
  }

  get servers(): MemcachedHost[] {
    return [...this.primaries, ...this.backups];
  }

  /** True when every server is trusted, nothing is known to be lacking and nothing is being copied. */
  quiet(): boolean {
    return this.proxies.every(({ pool }) =>
      pool.servers.every((server) => server.state === "up" && !server.cold && !server.fenced && !server.doubted) && pool.pairs.every((pair) => pair.stale.size === 0 && pair.locks.size === 0));
  }

  /** A server is being given what it lost, as one proxy sees it: by whom; null when it is not. */
  sources(host: SimHost): readonly SimHost[] | null {
    const sides = [this.primaries, this.backups];
    const label = `${host.ip}:${MEMCACHED_PORT}`;
    const filled = this.proxies.some(({ pool }) => pool.servers.some((server) => server.label === label && server.cold && server.state === "rejoin"));
    if (!filled) return null;
    return sides.find((side) => !side.some((one) => one.host === host))!.map((one) => one.host);
  }

  /** Why quiet() does not hold. */
  unquiet(): string {
    return this.proxies.map(({ pool }) => {
      const servers = pool.servers.map((server) => `${server.label} ${server.state} (${server.health.reason})${server.cold ? " cold" : ""}${server.fenced ? " fenced" : ""}${server.doubted ? " doubted" : ""}`);
      const pairs = pool.pairs.map((pair) => `${pair.stale.size} stale, ${pair.locks.size} locked`);
      return `${servers.join(", ")}; ${pairs.join(", ")}`;
    }).join(" | ");
  }

  startClients(): void {
    for (let i = 1; i <= this.shape.clients; i++) {
      this.world.host(`client${i}`).start((process) => {
        const load = new MixedLoad(this.world, this.habits, this.known, this.history);
        const to = { host: proxyName(i % this.proxyHosts.length), port: PROXY_PORT };
        this.clients.push(new SimClient(process, to, load, this.history, this.sessions, () => this.world.nowUs < this.excusedUntilUs));
      });
    }
  }

  /** The settings of a proxy: over all servers, or over some of them, placed by some software's ring. */
  config(over: Over = { primaries: this.primaries.slice(0, this.shape.primaries), backups: this.backups.slice(0, this.shape.backups), ring: "libketama" }): ProxyConfig {
    const spec = ({ host }: MemcachedHost): ServerSpec => ({
      address: { kind: "tcp", host: host.ip, port: MEMCACHED_PORT }, weight: 1, name: null, label: `${host.ip}:${MEMCACHED_PORT}`,
    });
    return {
      pools: [{
        listen: [{ kind: "tcp", host: "0.0.0.0", port: PROXY_PORT }],
        unixMode: 0o700,
        clientsMax: 100,
        name: "pool", ring: over.ring, hashTag: "",
        primaries: over.primaries.map(spec), backups: over.backups.map(spec),
        lanes: this.shape.lanes, ack: "both", connectTimeoutMs: CONNECT_TIMEOUT_MS, requestTimeoutMs: REQUEST_TIMEOUT_MS,
        itemBytesMax: 1024 * 1024, slowMs: 0, refill: { keysPerSecond: this.shape.refillRate ?? 25_000, bytesPerSecond: 1 << 25 }, proxies: { board: true, hints: true, stateDir: this.shape.disk === true ? STATE_DIR : "", scrubHours: 24, strict: this.shape.strict ?? false, verify: this.shape.verify ?? (this.proxyHosts.length > 1 ? "on" : "auto") },
        shareGets: this.shape.shareGets ?? this.world.seed % 2 === 0,
        comeback: this.shape.comeback ?? { rejoin: "wait", missedKeysMax: 500_000 }, region: { zone: "", read: "primary", peers: [] }, transitionSeconds: 3600,
      }],
    };
  }

  /** The proxy's log goes into the trace. */
  private log(i: number): Log {
    const line = (level: string) => (message: string, fields: LogFields = {}) => {
      this.world.stir(0);
      const words = Object.entries(fields).map(([name, value]) => ` ${name}=${value}`);
      this.world.note(`${this.proxyHosts.length > 1 ? `${proxyName(i)} ` : ""}${level} ${message}${words.join("")}`);
    };
    return { verbosity: 0, info: line("info"), warn: line("warn"), error: line("error"), debug: () => {} };
  }
}

function proxyName(i: number): string {
  return i === 0 ? "proxy" : `proxy${i + 1}`;
}
