// What `tandem status` prints of what a proxy answered: pure functions from `stats` lines to a report, and from a
// report to lines.
import type { Stats } from "./ask.ts";
import { barText, durationText, percentText, table } from "./table.ts";

/** In the order of readReport's answers. */
export const QUESTIONS = ["stats", "stats proxy", "stats servers", "stats refill", "stats proxies"] as const;

export interface ServerStatus {
  readonly role: "primary" | "backup";
  readonly address: string;
  readonly state: string;
  readonly reason: string;
  /** For how long it is in this state. */
  readonly seconds: number;
  readonly version: string;
  readonly inFlight: number;
  readonly missedWrites: number;
  /** Which other proxies do not trust it; "" when none: fenced, it does not lead. */
  readonly fencedBy: string;
  /** "drained", or "drained, quiet" once no read is under way there; "" when it is not. */
  readonly drained: string;
}

/** Rows of an answer whose names are "row:number:column" (or "row:column"), in their order. */
export type Rows = readonly Readonly<Record<string, string>>[];

export interface Report {
  readonly address: string;
  readonly tandem: string;
  readonly runtime: string;
  readonly uptimeSeconds: number;
  readonly clients: number;
  readonly servers: readonly ServerStatus[];
  /** How far a change of rings is; "": there is none. */
  readonly transition: string;
  /** Servers being filled; empty when there are none or the proxy does not tell. */
  readonly refill: Rows;
  /** Other proxies on the same servers. */
  readonly proxies: Rows;
  readonly totals: Readonly<Record<Total, number>>;
}

const TOTALS = [
  "cmd_get", "get_hits", "cmd_set", "failover_reads", "single_writes", "unknown_writes", "proxy_errors",
  "missed_writes", "sync_backlog", "sync_copied", "sync_removed", "sync_equal", "resident_bytes",
] as const;
type Total = (typeof TOTALS)[number];

/** The report, or null when who answered is no tandem. */
export function readReport(address: string, answers: readonly Stats[]): Report | null {
  const [general, proxy, servers, refill, proxies] = answers;
  const tandem = proxy?.get("tandem_version");
  if (!general || !proxy || !servers || tandem === undefined) return null;
  const totals = Object.fromEntries(TOTALS.map((name) => [name, Number(proxy.get(name) ?? 0)])) as Record<Total, number>;
  return {
    address, tandem, runtime: proxy.get("runtime") ?? "", uptimeSeconds: Number(general.get("uptime") ?? 0),
    // Not the one that asks.
    clients: Math.max(0, Number(general.get("curr_connections") ?? 1) - 1),
    servers: rowsOf(servers).map(serverOf), transition: (proxy.get("transition") ?? "").replaceAll("_", " "), refill: rowsOf(refill), proxies: rowsOf(proxies), totals,
  };
}

/** True when every server is trusted. */
export function allUp(report: Report): boolean {
  return report.servers.every(({ state, fencedBy }) => state === "up" && fencedBy === "");
}

export function statusLines(report: Report): string[] {
  const { tandem, address, uptimeSeconds, clients, runtime, totals } = report;
  const head = `tandem ${tandem} at ${address}, for ${durationText(uptimeSeconds)}, ${clients} other client${clients === 1 ? "" : "s"}, ${runtime}`;
  const rows = [["", "server", "state", "for", "reason", "version", "in flight", "missed writes"]];
  for (const server of report.servers) {
    rows.push([
      server.role, server.address, [server.state, ...(server.drained === "" ? [] : [server.drained]), ...(server.fencedBy === "" ? [] : [`fenced by ${server.fencedBy}`])].join(", "), durationText(server.seconds), server.reason, server.version,
      String(server.inFlight), String(server.missedWrites),
    ]);
  }
  const lines = [head, "", ...table(rows, "llllllrr"), ""];
  if (report.transition !== "") lines.push(ringsText(report.transition));
  for (const row of report.refill) lines.push(refillLine(row));
  if (report.refill.length > 0 || report.transition !== "") lines.push("");
  if (report.proxies.length > 0) lines.push(...rowsTable(report.proxies), "");
  const copied = totals.sync_copied + totals.sync_removed;
  lines.push(...table([
    ["requests", `get ${totals.cmd_get}${totals.cmd_get === 0 ? "" : ` (hits ${percentText(totals.get_hits, totals.cmd_get)})`}, set ${totals.cmd_set}`],
    ["failures", `reads answered by the other side ${totals.failover_reads}, writes that one side took ${totals.single_writes}, ` +
      `unknown outcomes ${totals.unknown_writes}, errors ${totals.proxy_errors}`],
    ["mending", `missed writes ${totals.missed_writes}, keys queued ${totals.sync_backlog}, copied ${copied}, found equal ${totals.sync_equal}`],
    ["memory", `${Math.round(totals.resident_bytes / 1024 / 1024)} MiB`],
  ], "ll"));
  return lines;
}

/** A change of rings under way; where it waits for somebody, also how long, as far as that is known, and what ends that. */
export function ringsText(transition: string, waitsSeconds = 0): string {
  const bound = `${waitsSeconds === 0 ? "" : `at most ${durationText(waitsSeconds)}, or `}until tandem transition end`;
  return `rings change: ${transition}${transition.includes(" waiting for ") ? ` (${bound})` : ""}`;
}

/** "primary:0:address 10.0.0.1:11211" and so on → one record for each "primary:0", which it holds as "row". */
function rowsOf(stats: Stats | undefined): Rows {
  const rows = new Map<string, Record<string, string>>();
  for (const [name, value] of stats ?? []) {
    const colon = name.lastIndexOf(":");
    if (colon === -1) continue;
    const row = name.slice(0, colon);
    let record = rows.get(row);
    if (record === undefined) rows.set(row, (record = { row }));
    record[name.slice(colon + 1)] = value;
  }
  return [...rows.values()];
}

function serverOf(row: Readonly<Record<string, string>>): ServerStatus {
  return {
    role: row["row"]!.startsWith("backup") ? "backup" : "primary", address: row["address"] ?? "", state: row["state"] ?? "unknown",
    reason: row["reason"] ?? "", seconds: Number(row["state_seconds"] ?? 0), version: row["version"] ?? "",
    inFlight: Number(row["in_flight"] ?? 0), missedWrites: Number(row["missed_writes"] ?? 0),
    drained: row["drained"] === "quiet" ? "drained, quiet" : row["drained"] === "yes" ? "drained" : "",
    fencedBy: row["fenced"] === undefined || row["fenced"] === "no" ? "" : row["fenced"],
  };
}

/** How far one server's refill is. */
function refillLine(row: Readonly<Record<string, string>>): string {
  const done = Number(row["done"] ?? 0), listed = Number(row["listed"] ?? 0);
  const rest = Object.entries(row).filter(([name]) => !["row", "address", "done", "listed", "rate", "eta_seconds"].includes(name));
  const eta = row["eta_seconds"] === undefined ? "" : `, ${durationText(Number(row["eta_seconds"]))} left`;
  const more = rest.map(([name, value]) => `, ${name.replaceAll("_", " ")} ${value}`).join("");
  return `refill of ${row["address"] ?? row["row"]}  ${barText(done, listed)}  ${done} of ${listed} keys, ${row["rate"] ?? 0} a second${eta}${more}`;
}

/** A table with a line for each row and a column for each name that occurs. */
function rowsTable(rows: Rows): string[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "row");
  const cells = rows.map((row) => [row["row"]!, ...names.map((name) => row[name] ?? "")]);
  return table([["other proxy", ...names.map((name) => name.replaceAll("_", " "))], ...cells], `l${"l".repeat(names.length)}`);
}
