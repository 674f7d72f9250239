// What `tandem status` prints of a report of the admin interface: the servers of each pool and what goes on, with rates
// where there is an earlier report to hold it against. Pure functions from reports to lines.
import { type LatencyReport, latencySince, NO_LATENCY, percentileMs, sumLatencies } from "../observe/latency.ts";
import { ERRORS } from "../observe/counters.ts";
import { isReady, readsOf } from "../observe/metrics.ts";
import type { PoolReport, RefillReport, Report, ServerReport } from "../observe/report.ts";
import { ringsText } from "./status_report.ts";
import { barText, durationText, percentText, table } from "./table.ts";

const EVENTS_SHOWN = 6;
/** Begin and end of a colour: states that are well, that pass, that are not. */
const COLOURS: Readonly<Record<string, string>> = { up: "\x1b[32m", suspect: "\x1b[33m", rejoin: "\x1b[33m", down: "\x1b[31m" };
const PLAIN = "\x1b[0m";

/** True when every server is trusted. */
export function allTrusted({ pools }: Report): boolean {
  return pools.every(({ servers }) => servers.every(({ state, fencedBy }) => state === "up" && fencedBy === ""));
}

/** before: the report of an earlier look at the same proxy; null: there is none. */
export function liveLines(place: string, report: Report, before: Report | null): string[] {
  const { build, runtime, workers, uptimeSeconds, pools } = report;
  const same = before !== null && before.time < report.time && before.uptimeSeconds < uptimeSeconds && before.pools.length === pools.length ? before : null;
  const seconds = same === null ? 0 : report.time - same.time;
  const state = isReady(report) ? "ready" : report.state === "serving" ? "a pair is lost" : report.state;
  const lines = [
    `tandem ${build.version} at ${place}, ${state}, for ${durationText(uptimeSeconds)}, ${counted(workers.length, "worker")}, ${memoryText(report)}, ${runtime}`,
  ];
  pools.forEach((pool, index) => lines.push("", ...poolLines(pool, same?.pools[index] ?? null, seconds)));
  const events = report.events.slice(-EVENTS_SHOWN);
  if (events.length > 0) lines.push("", ...events.map(({ time, message, fields }) => `${clockText(time)}  ${message}${fieldsText(fields)}`));
  return lines;
}

/** The same lines with the servers' states in colour. */
export function coloured(lines: readonly string[]): string[] {
  return lines.map((line) => (/^(primary|backup) /.test(line)
    ? line.replace(/ (up|suspect|rejoin|down)(?=[ ,])/, (_, word: string) => ` ${COLOURS[word]!}${word}${PLAIN}`) : line));
}

function poolLines(pool: PoolReport, before: PoolReport | null, seconds: number): string[] {
  const { clients, listening, name, ring, fingerprint } = pool;
  const head = `pool ${name} at ${listening.join(", ")}: ${counted(clients.now, "client")} of ${clients.max}, ring ${ring}, fingerprint ${fingerprint}`;
  const rate = before === null ? "requests" : "a second";
  const rows = [["", "server", "state", "for", "reason", "version", rate, "p50 ms", "p99 ms", "failed", "in flight", "missed writes"]];
  pool.servers.forEach((server, index) => rows.push(serverRow(server, before?.servers[index], seconds)));
  const lines = [head, "", ...table(rows, "llllllrrrrrr"), ""];
  if (pool.transition !== "") lines.push(ringsText(pool.transition, pool.transitionSeconds));
  for (const refill of pool.refills) lines.push(refillText(refill));
  if (pool.refills.length > 0 || pool.transition !== "") lines.push("");
  const commands = Object.entries(pool.commands).map(([command, latency]) => timesRow(command, latency, before?.commands[command], seconds));
  if (commands.length > 0) lines.push(...table([["command", rate, "p50 ms", "p99 ms", "p99.9 ms"], ...commands], "lrrrr"), "");
  const since = (name: string): number => (pool.counters[name] ?? 0) - (before?.counters[name] ?? 0);
  const errors = ERRORS.map(({ counter, answer, reason }) => ({ count: since(counter), text: `${answer} ${reason} ${since(counter)}` })).filter(({ count }) => count > 0);
  const reads = readsOf(Object.fromEntries(Object.keys(pool.counters).map((name) => [name, Math.max(0, since(name))])));
  const of = (source: string, result: string): number => reads.find((each) => each.source === source && each.result === result)?.value ?? 0;
  const hits = (source: string): string => `${percentText(of(source, "hit"), of(source, "hit") + of(source, "miss"))} of ${of(source, "hit") + of(source, "miss")}`;
  const unserved = of("none", "miss");
  const when = before === null ? "since the start" : `in the last ${Math.round(seconds)} s`;
  lines.push(...table([
    ["hits", `primaries ${hits("primary")}, backups ${hits("backup")}${unserved === 0 ? "" : `, ${unserved} keys that no server answered`} ${when}`],
    ["failures", `reads answered by the other side ${since("failover_reads")}, writes that one side took ${since("single_writes")}, ` +
      `unknown outcomes ${since("unknown_writes")}, errors ${since("proxy_errors")} ${when}`],
    ...(errors.length === 0 ? [] : [["answers", `${errors.map(({ text }) => text).join(", ")} ${when}`]]),
    ["mending", `missed writes ${pool.missedKeys}, keys queued ${pool.syncBacklog}, copied ${(pool.counters["sync_copied"] ?? 0) + (pool.counters["sync_removed"] ?? 0)}, found equal ${pool.counters["sync_equal"] ?? 0}`],
    ...pool.proxies.others.map(({ id, state, complaints }) => ["proxy", `${id} ${state}, ${complaints === "none" ? "trusts all" : `does not trust ${complaints}`}`]),
    ...pool.peers.map(({ address, state, fingerprint: theirs }) => ["peer", `${address} ${state}${theirs === "" ? "" : ` ${theirs}`}`]),
  ], "ll"));
  return lines;
}

function serverRow(server: ServerReport, before: ServerReport | undefined, seconds: number): string[] {
  const was = before?.address === server.address ? before : undefined;
  const times = sumLatencies(Object.entries(server.latency).filter(([kind]) => kind !== "other")
    .map(([kind, latency]) => latencySince(latency, was?.latency[kind] ?? NO_LATENCY)));
  const failed = Object.values(server.failed).reduce((sum, count) => sum + count, 0);
  const drained = !server.drained ? "" : server.quiet ? "drained, quiet" : "drained";
  const marks = [server.state, drained, server.cold ? "cold" : "", server.warming ? "warming" : "", server.fencedBy === "" ? "" : `fenced by ${server.fencedBy}`].filter((mark) => mark !== "");
  return [
    server.role, server.address, marks.join(", "), durationText(server.stateSeconds), server.reason, server.version || "unknown",
    ...timesRow("", times, undefined, was === undefined ? 0 : seconds).slice(1, 4), String(failed), String(server.inFlight),
    `${server.missedKeys}${server.missedKnown ? "" : "+"}`,
  ];
}

/** seconds: 0 when there is no earlier report: then numbers are totals. */
function timesRow(name: string, latency: LatencyReport, before: LatencyReport | undefined, seconds: number): string[] {
  const times = seconds === 0 ? latency : latencySince(latency, before ?? NO_LATENCY);
  const ms = (percent: number): string => (times.count === 0 ? "-" : millisecondsText(percentileMs(times, percent)));
  return [name, String(seconds === 0 ? times.count : Math.round(times.count / seconds)), ms(50), ms(99), ms(99.9)];
}

function refillText({ address, scope, done, listed, perSecond, etaSeconds }: RefillReport): string {
  const eta = etaSeconds === null ? "" : `, ${durationText(etaSeconds)} left`;
  return `refill of ${address}  ${barText(done, listed)}  ${done} of ${listed} keys, ${perSecond} a second${eta}, ${scope}`;
}

function millisecondsText(ms: number): string {
  return ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : String(Math.round(ms));
}

function memoryText({ workers }: Report): string {
  return `${Math.round(workers.reduce((sum, { residentBytes }) => sum + residentBytes, 0) / 1024 / 1024)} MiB`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function clockText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 19) + "Z";
}

function fieldsText(fields: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(fields).map(([name, value]) => ` ${name}=${value}`).join("");
}
