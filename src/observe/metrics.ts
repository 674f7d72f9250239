// What Prometheus is told: one table of metrics, each a view of the report. prom-client writes the text; the numbers are
// counted by the proxy itself, and a scrape only reads them.
import type { Registry } from "prom-client";
import { ERRORS } from "./counters.ts";
import { BOUNDS_US, type LatencyReport } from "./latency.ts";
import type { PoolReport, Report, ServerReport } from "./report.ts";

type Labels = Readonly<Record<string, string>>;
/** One line: labels and value; name when it is not the metric's own (parts of a histogram). */
interface Sample {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
}

export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  samples(report: Report): readonly Sample[];
}

const STATES: readonly ServerReport["state"][] = ["up", "suspect", "rejoin", "down"];
const PEER_STATES = ["agrees", "drifts", "silent", "unknown"] as const;
const LEADS = ["primary", "backup", "none", "mixed"] as const;

/** Every second bound: powers of two from 16 µs to 33 s. */
const SHOWN = BOUNDS_US.map((_, index) => index).filter((index) => index % 2 === 0);

const server = (pool: PoolReport, each: ServerReport): Labels => ({ pool: pool.name, server: each.address, role: each.role });

function ofPools(of: (pool: PoolReport) => number): Metric["samples"] {
  return ({ pools }) => pools.map((pool) => ({ labels: { pool: pool.name }, value: of(pool) }));
}

function ofServers(of: (each: ServerReport) => number): Metric["samples"] {
  return ({ pools }) => pools.flatMap((pool) => pool.servers.map((each) => ({ labels: server(pool, each), value: of(each) })));
}

function byReason(of: (each: ServerReport) => Readonly<Record<string, number>>): Metric["samples"] {
  return ({ pools }) => pools.flatMap((pool) => pool.servers.flatMap((each) =>
    Object.entries(of(each)).map(([reason, value]) => ({ labels: { ...server(pool, each), reason }, value }))));
}

/** name_bucket with le in seconds, name_sum and name_count. */
function histogram(name: string, labels: Labels, latency: LatencyReport): Sample[] {
  const samples: Sample[] = [];
  let below = 0, next = 0;
  for (const index of SHOWN) {
    while (next <= index) below += latency.buckets[next++] ?? 0;
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: String(BOUNDS_US[index]! / 1e6) }, value: below });
  }
  samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: latency.count });
  samples.push({ metricName: `${name}_sum`, labels, value: latency.sumMs / 1000 });
  samples.push({ metricName: `${name}_count`, labels, value: latency.count });
  return samples;
}

function ofRefills(of: (refill: PoolReport["refills"][number]) => number | null): Metric["samples"] {
  return ({ pools }) => pools.flatMap((pool) => pool.refills.flatMap((refill) => {
    const value = of(refill);
    return value === null ? [] : [{ labels: { pool: pool.name, server: refill.address, scope: refill.scope }, value }];
  }));
}

function row(name: string, type: Metric["type"], help: string, samples: Metric["samples"]): Metric {
  return { name: `tandem_${name}`, type, help, samples };
}

export const METRICS: readonly Metric[] = [
  row("build_info", "gauge", "1; what was built, and what runs it", ({ build, runtime }) =>
    [{ labels: { version: build.version, commit: build.commit, target: build.target, runtime }, value: 1 }]),
  row("pool_info", "gauge", "1; how a pool places, and the fingerprint of what decides placement and replication", ({ pools }) =>
    pools.map((pool) => ({ labels: { pool: pool.name, ring: pool.ring, fingerprint: pool.fingerprint }, value: 1 }))),
  row("up_seconds", "gauge", "since the start of the process", ({ uptimeSeconds }) => [{ labels: {}, value: uptimeSeconds }]),
  row("ready", "gauge", "1: it listens, and one server of each pair serves", (report) => [{ labels: {}, value: isReady(report) ? 1 : 0 }]),
  row("workers", "gauge", "processes that serve clients", ({ workers }) => [{ labels: {}, value: workers.length }]),
  row("workers_lost_total", "counter", "workers that were started again, by why: died, hung (nothing was heard of them)", ({ workersLost }) =>
    Object.entries(workersLost).map(([why, value]) => ({ labels: { why }, value: Number(value) }))),
  row("cpu_seconds_total", "counter", "CPU time by worker and mode", ({ workers }) => workers.flatMap((each, index) => [
    { labels: { worker: String(index), mode: "user" }, value: each.cpuUserSeconds },
    { labels: { worker: String(index), mode: "system" }, value: each.cpuSystemSeconds },
  ])),
  row("resident_bytes", "gauge", "resident memory by worker", ({ workers }) =>
    workers.map((each, index) => ({ labels: { worker: String(index) }, value: each.residentBytes }))),
  row("clients", "gauge", "clients connected", ofPools((pool) => pool.clients.now)),
  row("clients_max", "gauge", "clients that may be connected", ofPools((pool) => pool.clients.max)),
  row("events_total", "counter", "counters of `stats proxy`, by their names there", ({ pools }) => pools.flatMap((pool) =>
    Object.entries(pool.counters).filter(([name]) => name !== "curr_connections").map(([event, value]) => ({ labels: { pool: pool.name, event }, value })))),
  row("reads_total", "counter", "keys read, by who answered (none: no server could) and whether it had them", ({ pools }) => pools.flatMap((pool) =>
    readsOf(pool.counters).map(({ source, result, value }) => ({ labels: { pool: pool.name, source, result }, value })))),
  row("errors_total", "counter", "requests that ended in an error line, noreply ones included, by its first word and why", ({ pools }) => pools.flatMap((pool) =>
    ERRORS.map(({ counter, answer, reason }) => ({ labels: { pool: pool.name, answer, reason }, value: pool.counters[counter] ?? 0 })))),
  row("command_seconds", "histogram", "from the arrival of a client's command until its answer is handed over", ({ pools }) =>
    pools.flatMap((pool) => Object.entries(pool.commands).flatMap(([command, latency]) =>
      histogram("tandem_command_seconds", { pool: pool.name, command }, latency)))),
  row("server_seconds", "histogram", "from the sending of a request to a server until its answer, by kind", ({ pools }) =>
    pools.flatMap((pool) => pool.servers.flatMap((each) => Object.entries(each.latency).flatMap(([kind, latency]) =>
      histogram("tandem_server_seconds", { ...server(pool, each), kind }, latency))))),
  row("server_failed_requests_total", "counter", "requests that a server did not answer, by reason", byReason(({ failed }) => failed)),
  row("server_lost_connections_total", "counter", "connections that ended or could not be made, by reason", byReason(({ lost }) => lost)),
  row("server_state", "gauge", "1 for the state that a server is in", ({ pools }) => pools.flatMap((pool) => pool.servers.flatMap((each) =>
    STATES.map((state) => ({ labels: { ...server(pool, each), state }, value: each.state === state ? 1 : 0 }))))),
  row("server_state_seconds", "gauge", "for how long a server is in its state", ofServers((each) => each.stateSeconds)),
  row("server_fenced", "gauge", "1: another proxy does not trust it", ofServers((each) => (each.fencedBy === "" ? 0 : 1))),
  row("server_drained", "gauge", "1: it was taken out of reads by hand", ofServers((each) => (each.drained ? 1 : 0))),
  row("server_cold", "gauge", "1: it lost its memory and was not filled since", ofServers((each) => (each.cold ? 1 : 0))),
  row("server_in_flight", "gauge", "requests under way", ofServers((each) => each.inFlight)),
  row("server_queue_bytes", "gauge", "bytes that wait to be sent to it", ofServers((each) => each.queueBytes)),
  row("server_missed_keys", "gauge", "keys whose newest write it lacks", ofServers((each) => each.missedKeys)),
  row("server_missed_known", "gauge", "0: it lacks more keys than could be remembered", ofServers((each) => (each.missedKnown ? 1 : 0))),
  row("server_ring_share", "gauge", "its share of its ring, 0 to 1", ofServers((each) => each.share)),
  row("server_items", "gauge", "items, as it told itself lately", ofServers((each) => each.items)),
  row("server_bytes", "gauge", "bytes of its items, as it told itself lately", ofServers((each) => each.bytes)),
  row("server_bytes_max", "gauge", "its memory limit, as it told itself lately", ofServers((each) => each.bytesMax)),
  row("server_evictions", "gauge", "evictions since its start, as it told itself lately", ofServers((each) => each.evictions)),
  row("pair_lead", "gauge", "1 for the side that answers for the pair's keys", ({ pools }) => pools.flatMap((pool) => pool.pairs.flatMap((pair) =>
    LEADS.map((lead) => ({ labels: { pool: pool.name, primary: pair.primary, backup: pair.backup, lead }, value: pair.lead === lead ? 1 : 0 }))))),
  row("missed_keys", "gauge", "keys with a write that one side missed", ofPools((pool) => pool.missedKeys)),
  row("sync_backlog", "gauge", "copies that wait", ofPools((pool) => pool.syncBacklog)),
  row("verify_backlog", "gauge", "comparisons after a write that wait", ofPools((pool) => pool.verifyBacklog)),
  row("refill_done_keys", "gauge", "keys that a returning server was given", ofRefills((refill) => refill.done)),
  row("refill_listed_keys", "gauge", "keys that it is to be given, those done included", ofRefills((refill) => refill.listed)),
  row("refill_keys_per_second", "gauge", "the rate of that", ofRefills((refill) => refill.perSecond)),
  row("refill_eta_seconds", "gauge", "until it is through, at this rate", ofRefills((refill) => refill.etaSeconds)),
  row("peer_state", "gauge", "1 for what is known of a proxy elsewhere that should place alike", ({ pools }) => pools.flatMap((pool) =>
    pool.peers.flatMap((peer) => PEER_STATES.map((state) => ({ labels: { pool: pool.name, peer: peer.address, state }, value: peer.state === state ? 1 : 0 }))))),
  row("other_proxies", "gauge", "other proxies over the same servers, by state", ({ pools }) => pools.flatMap((pool) =>
    (["alive", "silent"] as const).map((state) =>
      ({ labels: { pool: pool.name, state }, value: pool.proxies.others.filter((each) => each.state === state).length })))),
];

/** Keys read, by who answered: the hits and misses of the counters, split. */
export function readsOf(counters: Readonly<Record<string, number>>): { source: string; result: "hit" | "miss"; value: number }[] {
  const of = (name: string): number => counters[name] ?? 0;
  return [
    { source: "primary", result: "hit", value: of("get_hits") - of("backup_hits") },
    { source: "primary", result: "miss", value: of("get_misses") - of("backup_misses") - of("unserved_misses") },
    { source: "backup", result: "hit", value: of("backup_hits") },
    { source: "backup", result: "miss", value: of("backup_misses") },
    { source: "none", result: "miss", value: of("unserved_misses") },
  ];
}

/** It listens, and for each pair one server serves. */
export function isReady(report: Report): boolean {
  if (report.state !== "serving") return false;
  return report.pools.every(({ servers, pairs }) => {
    const serving = new Set(servers.filter(({ state }) => state !== "down").map(({ address }) => address));
    return pairs.every(({ primary, backup }) => serving.has(primary) || serving.has(backup));
  });
}

export interface MetricsText {
  readonly type: string;
  readonly text: string;
}

export async function metricsText(report: Report): Promise<MetricsText> {
  // Loaded at the first scrape: it has no part in the start.
  const { Registry } = await import("prom-client");
  const registry = new Registry();
  for (const { name, type, help, samples } of METRICS) {
    const get = () => Promise.resolve({ name, help, type, aggregator: "sum", values: [...samples(report)] });
    registry.registerMetric({ name, get } as unknown as Parameters<Registry["registerMetric"]>[0]);
  }
  return { type: registry.contentType, text: await registry.metrics() };
}
