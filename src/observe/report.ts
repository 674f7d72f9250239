// What one proxy knows of itself, as plain data that JSON can carry: `stats`, /status, /metrics and `tandem status`
// read nothing else. Names and units are kept stable: programs of other people read /status.
import { type LatencyReport, sumLatencies } from "./latency.ts";
import type { LogFields } from "./log.ts";

/** What was built. */
export interface BuildReport {
  /** "0.1.0" */
  readonly version: string;
  /** The commit, with "-dirty" when the tree had changes; "source" when run without a build. */
  readonly commit: string;
  /** "linux-x64" */
  readonly target: string;
}

export interface Report {
  readonly build: BuildReport;
  readonly runtime: string;
  /** When it was made, seconds since 1970. */
  readonly time: number;
  readonly uptimeSeconds: number;
  /** serving; draining: no new clients, answers under way are given; starting: not yet listening. */
  readonly state: "starting" | "serving" | "draining";
  /** The processes that this report is the sum of. */
  readonly workers: readonly WorkerReport[];
  /** Workers that ended though nobody wanted it since the start of the supervisor. */
  readonly workersLost: Readonly<WorkersLost>;
  readonly pools: readonly PoolReport[];
  /** What changed lately, oldest first. */
  readonly events: readonly EventReport[];
}

export interface WorkersLost {
  died: number;
  /** Killed, since nothing was heard of them. */
  hung: number;
}

export interface WorkerReport {
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly clients: number;
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  readonly residentBytes: number;
}

/** A line of the log, of those that concern a server or another proxy. */
export interface EventReport {
  /** Seconds since 1970. */
  readonly time: number;
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/** One pool with its clients. */
export interface PoolReport extends RingsReport {
  readonly name: string;
  /** Where its clients connect: "127.0.0.1:11211". */
  readonly listening: readonly string[];
  readonly clients: { readonly now: number; readonly max: number };
  /** How long a change of rings waits for whoever is away, at each step. */
  readonly transitionSeconds: number;
  /** Everything of observe/counters.ts. */
  readonly counters: Readonly<Record<string, number>>;
  /** What clients asked for, from the arrival of a request until its answer was handed over; only those that came. */
  readonly commands: Readonly<Record<string, LatencyReport>>;
  /** Other proxies that this one compares itself with. */
  readonly peers: readonly PeerReport[];
}

export interface PeerReport {
  readonly address: string;
  /** unknown: not asked yet; silent: it did not answer; drifts: it places or replicates differently. */
  readonly state: "unknown" | "silent" | "agrees" | "drifts";
  /** "" while none is known. */
  readonly fingerprint: string;
}

/** What stands behind the clients of a pool. */
export interface RingsReport {
  readonly ring: string;
  /** Equal where placement and replication are: 16 hex digits. */
  readonly fingerprint: string;
  /** Rings that are changing, in words: "primaries filling, then backups"; "" when none is. */
  readonly transition: string;
  readonly ack: string;
  /** Primaries first, each role in the order of the settings. */
  readonly servers: readonly ServerReport[];
  readonly pairs: readonly PairReport[];
  /** Servers that are being given what they lack. */
  readonly refills: readonly RefillReport[];
  readonly proxies: ProxiesReport;
  /** Keys with a write that one side missed. */
  readonly missedKeys: number;
  /** Copies, and comparisons after a write, that wait. */
  readonly syncBacklog: number;
  readonly verifyBacklog: number;
}

export type Role = "primary" | "backup";

export interface ServerReport {
  readonly role: Role;
  /** Among the servers of its role. */
  readonly index: number;
  readonly address: string;
  /** Of its ring: 0 to 1. */
  readonly share: number;
  readonly state: "up" | "suspect" | "down" | "rejoin";
  /** Why it is in this state: a failure reason, or what brought it back. */
  readonly reason: string;
  /** For how long. */
  readonly stateSeconds: number;
  /** memcached's; "" when unknown. */
  readonly version: string;
  /** It takes cas uniques of ours. */
  readonly explicitCas: boolean;
  /** It lost its memory and was not filled since. */
  readonly cold: boolean;
  /** It is on its way back, and read for what it holds already. */
  readonly warming: boolean;
  /** Other proxies that do not trust it, in words; "" when none. */
  readonly fencedBy: string;
  /** Taken out of reads by hand, here or at another proxy. */
  readonly drained: boolean;
  /** Drained here, and no read is under way there any more. */
  readonly quiet: boolean;
  /** Keys whose newest write it lacks; false: there are more than could be remembered. */
  readonly missedKeys: number;
  readonly missedKnown: boolean;
  readonly inFlight: number;
  readonly queueBytes: number;
  /** Answers on the present connections. */
  readonly answered: number;
  /** From the sending of a request until its answer, by kind of request; only kinds that came. */
  readonly latency: Readonly<Record<string, LatencyReport>>;
  /** Requests without an answer, and connections that ended or could not be made, by reason. */
  readonly failed: Readonly<Record<string, number>>;
  readonly lost: Readonly<Record<string, number>>;
  /** As it told itself lately; 0 when unknown. */
  readonly items: number;
  readonly bytes: number;
  readonly bytesMax: number;
  readonly evictions: number;
}

export interface PairReport {
  readonly primary: string;
  /** "" without backups. */
  readonly backup: string;
  /** Who answers for keys that neither side lacks; mixed: workers differ. */
  readonly lead: Role | "none" | "mixed";
  readonly leadSeconds: number;
  /** Keys that each side lacks. */
  readonly primaryLacks: number;
  readonly backupLacks: number;
}

export interface RefillReport {
  readonly address: string;
  /** "missed writes", "refill" or "comparison". */
  readonly scope: string;
  readonly done: number;
  /** Done and still to do, as far as is known. */
  readonly listed: number;
  readonly bytes: number;
  readonly perSecond: number;
  readonly perSecondMax: number;
  /** Null while it cannot be told. */
  readonly etaSeconds: number | null;
}

export interface ProxiesReport {
  readonly id: string;
  readonly board: boolean;
  readonly others: readonly {
    readonly id: string;
    readonly state: "alive" | "silent";
    readonly ageMs: number;
    /** Null: it never wrote. */
    readonly wroteAgoMs: number | null;
    /** Whom it does not trust, in words. */
    readonly complaints: string;
  }[];
}

const EVENTS_MAX = 200;
const WORST_FIRST: readonly ServerReport["state"][] = ["down", "rejoin", "suspect", "up"];

/**
 * The reports of several workers of one proxy as the report of one. They have the same settings, so servers and
 * pairs stand in the same order; where they see a server differently the worst view counts. RangeError without any.
 */
export function sumReports(reports: readonly Report[]): Report {
  const [first] = reports;
  if (first === undefined) throw new RangeError("no reports to sum up");
  if (reports.length === 1) return first;
  return {
    ...first,
    time: most(reports, (each) => each.time), uptimeSeconds: most(reports, (each) => each.uptimeSeconds),
    state: reports.find(({ state }) => state !== "serving")?.state ?? "serving",
    workers: reports.flatMap((each) => each.workers),
    // While other settings are being taken one may have pools that another one has not.
    pools: first.pools.map(({ name }) => sumPools(reports.flatMap((each) => each.pools.filter((pool) => pool.name === name)))),
    events: reports.flatMap((each) => each.events).sort((a, b) => a.time - b.time).slice(-EVENTS_MAX),
  };
}

function sumPools(pools: readonly PoolReport[]): PoolReport {
  const first = pools[0]!;
  return {
    ...first,
    listening: [...new Set(pools.flatMap((pool) => pool.listening))],
    clients: { now: sum(pools, (pool) => pool.clients.now), max: sum(pools, (pool) => pool.clients.max) },
    counters: sumRecords(pools.map((pool) => pool.counters)), commands: sumLatencyRecords(pools.map((pool) => pool.commands)),
    transition: transitionOf(pools.map(({ transition }) => transition)),
    // For a moment in a change of rings they do not have the same ones.
    servers: first.servers.map(({ address }) => sumServers(pools.flatMap((pool) => pool.servers.filter((each) => each.address === address)))),
    pairs: first.pairs.map((pair) => sumPairs(pools.flatMap((pool) => pool.pairs.filter((each) => each.primary === pair.primary && each.backup === pair.backup)))),
    refills: sumRefills(pools.flatMap((pool) => pool.refills)), proxies: sumProxies(pools.map((pool) => pool.proxies)),
    missedKeys: sum(pools, (pool) => pool.missedKeys), syncBacklog: sum(pools, (pool) => pool.syncBacklog),
    verifyBacklog: sum(pools, (pool) => pool.verifyBacklog),
  };
}

function sumServers(servers: readonly ServerReport[]): ServerReport {
  const worst = servers.reduce((a, b) => (WORST_FIRST.indexOf(b.state) < WORST_FIRST.indexOf(a.state) ? b : a));
  return {
    ...worst,
    version: servers.find(({ version }) => version !== "")?.version ?? "", explicitCas: servers.every(({ explicitCas }) => explicitCas),
    cold: servers.some(({ cold }) => cold), warming: servers.some(({ warming }) => warming),
    fencedBy: [...new Set(servers.map(({ fencedBy }) => fencedBy).filter((by) => by !== ""))].join(", "),
    drained: servers.some(({ drained }) => drained), quiet: servers.every(({ quiet }) => quiet),
    missedKeys: sum(servers, (each) => each.missedKeys), missedKnown: servers.every(({ missedKnown }) => missedKnown),
    inFlight: sum(servers, (each) => each.inFlight), queueBytes: sum(servers, (each) => each.queueBytes),
    answered: sum(servers, (each) => each.answered), latency: sumLatencyRecords(servers.map(({ latency }) => latency)),
    failed: sumRecords(servers.map(({ failed }) => failed)), lost: sumRecords(servers.map(({ lost }) => lost)),
    items: most(servers, (each) => each.items), bytes: most(servers, (each) => each.bytes),
    bytesMax: most(servers, (each) => each.bytesMax), evictions: most(servers, (each) => each.evictions),
  };
}

function sumPairs(pairs: readonly PairReport[]): PairReport {
  const first = pairs[0]!;
  return {
    ...first, lead: pairs.every(({ lead }) => lead === first.lead) ? first.lead : "mixed",
    leadSeconds: Math.min(...pairs.map(({ leadSeconds }) => leadSeconds)),
    primaryLacks: sum(pairs, (pair) => pair.primaryLacks), backupLacks: sum(pairs, (pair) => pair.backupLacks),
  };
}

function sumRefills(refills: readonly RefillReport[]): RefillReport[] {
  const byAddress = new Map<string, RefillReport[]>();
  for (const each of refills) byAddress.set(each.address, [...(byAddress.get(each.address) ?? []), each]);
  return [...byAddress.values()].map((same) => ({
    ...same[0]!, done: sum(same, (each) => each.done), listed: sum(same, (each) => each.listed), bytes: sum(same, (each) => each.bytes),
    perSecond: sum(same, (each) => each.perSecond), perSecondMax: sum(same, (each) => each.perSecondMax),
    etaSeconds: same.some(({ etaSeconds }) => etaSeconds === null) ? null : most(same, (each) => each.etaSeconds ?? 0),
  }));
}

/** What the latest notice says of each, and nobody who is one of us. */
function sumProxies(proxies: readonly ProxiesReport[]): ProxiesReport {
  const others = new Map<string, ProxiesReport["others"][number]>();
  for (const each of proxies.flatMap((one) => one.others)) {
    if (proxies.some(({ id }) => id === each.id)) continue;
    if (each.ageMs < (others.get(each.id)?.ageMs ?? Infinity)) others.set(each.id, each);
  }
  return { ...proxies[0]!, others: [...others.values()] };
}

function sum<T>(list: readonly T[], of: (each: T) => number): number {
  return list.reduce((total, each) => total + of(each), 0);
}

function most<T>(list: readonly T[], of: (each: T) => number): number {
  return list.reduce((largest, each) => Math.max(largest, of(each)), 0);
}

function sumRecords(records: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const record of records) for (const [name, count] of Object.entries(record)) total[name] = (total[name] ?? 0) + count;
  return total;
}

function sumLatencyRecords(records: readonly Readonly<Record<string, LatencyReport>>[]): Record<string, LatencyReport> {
  const names = new Set(records.flatMap((record) => Object.keys(record)));
  return Object.fromEntries([...names].map((name) => [name, sumLatencies(records.flatMap((record) => record[name] ?? []))]));
}

/** Of workers that are not equally far: the word of one that waits says more. */
function transitionOf(texts: readonly string[]): string {
  return texts.find((text) => text.includes("waiting for")) ?? texts.find((text) => text !== "") ?? "";
}
