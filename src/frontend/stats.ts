// What `stats` answers: the one memcached that clients see (general), and what stands behind it (proxy, servers,
// settings).
import { latin1 } from "../bytes/ascii.ts";
import { Counters } from "../observe/counters.ts";
import { ERROR, RESET } from "../protocol/answers.ts";
import type { Report, RingsReport, WorkerReport } from "../observe/report.ts";
import { Op } from "../protocol/commands.ts";
import { reportRings } from "../replication/pool_report.ts";
import { type Client, Slot } from "../replication/requests/slot.ts";
import type { Door } from "./door.ts";

type Lines = [name: string, value: string | number][];

/** Sums over the primaries that a single memcached would report of itself. */
const SUMMED = ["curr_items", "total_items", "bytes", "limit_maxbytes", "evictions", "threads"] as const;
/** Counters that memcached's own general statistics have under the same name. */
const GENERAL: readonly (keyof Counters)[] = [
  "curr_connections", "total_connections", "rejected_connections", "cmd_get", "cmd_set", "cmd_flush", "cmd_touch",
  "get_hits", "get_misses",
];

/** What one process knows, or the sum of what all workers know. */
export interface Seen {
  readonly counters: Readonly<Record<string, number>>;
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  readonly residentBytes: number;
  readonly rings: RingsReport;
}

/** What this process alone knows. */
function own(door: Door): Seen {
  const { host } = door.platform;
  const cpu = host.cpuSeconds();
  return {
    counters: { ...door.counters }, cpuUserSeconds: cpu.user, cpuSystemSeconds: cpu.system, residentBytes: host.residentBytes(),
    rings: reportRings(door.pool),
  };
}

/** What a report tells of one of its pools; null: nothing. */
export function seenIn({ pools, workers }: Report, name: string): Seen | null {
  const pool = pools.find((each) => each.name === name);
  if (pool === undefined) return null;
  const sum = (of: (worker: WorkerReport) => number): number => workers.reduce((total, worker) => total + of(worker), 0);
  const { counters, ...rings } = pool;
  return {
    counters, rings, cpuUserSeconds: sum((each) => each.cpuUserSeconds), cpuSystemSeconds: sum((each) => each.cpuSystemSeconds),
    residentBytes: sum((each) => each.residentBytes),
  };
}

/** The answer to `stats [words]`, which comes when all that are asked have said what they know. */
export class Stats extends Slot {
  constructor(client: Client, private readonly door: Door, private readonly words: string) {
    super(client, Op.STATS);
  }

  start(): void {
    const { door, words } = this;
    if (door.askAll === null || ALONE.includes(words)) return this.answer(statsAnswer(door, words, own(door)));
    door.askAll((seen) => this.answer(statsAnswer(door, words, seen ?? own(door))));
  }
}

/** What needs nobody else. */
const ALONE: readonly string[] = ["settings", "reset"];

function statsAnswer(door: Door, words: string, seen: Seen): Uint8Array {
  switch (words.startsWith("reset ") ? "reset" : words) {
    case "":
      return lines(general(door, seen));
    case "proxy":
      return lines(proxy(door, seen));
    case "servers":
      return lines(servers(seen.rings));
    case "refill":
      return lines(refill(seen.rings));
    case "proxies":
      return lines(proxies(seen.rings));
    case "settings":
      return lines(settings(door));
    case "reset":
      resetCounters(door);
      door.resetOthers();
      return RESET;
    default:
      door.counters.error_unknown_command++;
      return ERROR;
  }
}

/** Counters of what happened begin at 0; clients that are here are still here. */
export function resetCounters(door: Door): void {
  const connections = door.counters.curr_connections;
  Object.assign(door.counters, new Counters(), { curr_connections: connections });
}

function general(door: Door, seen: Seen): Lines {
  const { platform, pool } = door;
  const answer: Lines = [
    ["pid", platform.host.pid],
    ["uptime", Math.floor((platform.clock.nowMs() - door.startedMs) / 1000)],
    ["time", Math.floor(platform.clock.wallSeconds())],
    ["version", door.serverVersion],
    ["pointer_size", 64],
    ["rusage_user", seen.cpuUserSeconds.toFixed(6)],
    ["rusage_system", seen.cpuSystemSeconds.toFixed(6)],
    ["max_connections", door.clientsMax],
  ];
  for (const name of GENERAL) answer.push([name, seen.counters[name] ?? 0]);
  for (const name of SUMMED) {
    answer.push([name, pool.primaries.reduce((sum, server) => sum + Number(server.stats.get(name) ?? 0), 0)]);
  }
  answer.push(["tandem_fingerprint", pool.options.fingerprint]);
  return answer;
}

function proxy(door: Door, { counters, rings, residentBytes }: Seen): Lines {
  const answer: Lines = [["tandem_version", door.version], ["runtime", door.platform.host.runtime], ["fingerprint", door.pool.options.fingerprint]];
  if (rings.transition !== "") answer.push(["transition", rings.transition.replaceAll(" ", "_")]);
  for (const [name, count] of Object.entries(counters)) answer.push([name, count]);
  answer.push(["missed_writes", rings.missedKeys], ["sync_backlog", rings.syncBacklog], ["verify_backlog", rings.verifyBacklog]);
  answer.push(["resident_bytes", residentBytes]);
  return answer;
}

function servers(rings: RingsReport): Lines {
  const answer: Lines = [];
  for (const server of rings.servers) {
    const name = `${server.role}:${server.index}`;
    answer.push([`${name}:address`, server.address], [`${name}:state`, server.state]);
    answer.push([`${name}:reason`, server.reason], [`${name}:version`, server.version || "unknown"]);
    answer.push([`${name}:explicit_cas`, server.explicitCas ? "yes" : "no"]);
    answer.push([`${name}:state_seconds`, Math.floor(server.stateSeconds)]);
    answer.push([`${name}:missed_writes`, server.missedKeys]);
    answer.push([`${name}:cold`, server.cold ? "yes" : "no"]);
    answer.push([`${name}:fenced`, server.fencedBy || "no"]);
    answer.push([`${name}:drained`, server.drained ? (server.quiet ? "quiet" : "yes") : "no"]);
    answer.push([`${name}:in_flight`, server.inFlight]);
    answer.push([`${name}:queue_bytes`, server.queueBytes]);
    answer.push([`${name}:answered`, server.answered]);
  }
  return answer;
}

/** Servers that are being given what they lack: how far they are. */
function refill(rings: RingsReport): Lines {
  const answer: Lines = [];
  for (const [row, refill] of rings.refills.entries()) {
    const name = String(row);
    answer.push([`${name}:address`, refill.address], [`${name}:scope`, refill.scope.replaceAll(" ", "_")]);
    answer.push([`${name}:done`, refill.done], [`${name}:listed`, refill.listed], [`${name}:bytes`, refill.bytes]);
    answer.push([`${name}:rate`, refill.perSecond], [`${name}:rate_limit`, refill.perSecondMax]);
    if (refill.etaSeconds !== null) answer.push([`${name}:eta_seconds`, refill.etaSeconds]);
  }
  return answer;
}

/** Other proxies over the same servers, as their notices tell; ages in ms. */
function proxies(rings: RingsReport): Lines {
  const { id, board, others } = rings.proxies;
  const answer: Lines = [["id", id], ["board", board ? "on" : "off"]];
  for (const each of others) {
    answer.push([`${each.id}:state`, each.state], [`${each.id}:age_ms`, each.ageMs]);
    answer.push([`${each.id}:wrote_ago_ms`, each.wroteAgoMs ?? "never"], [`${each.id}:complaints`, each.complaints]);
  }
  return answer;
}

function settings(door: Door): Lines {
  const { options } = door.pool;
  return [
    ["maxconns", door.clientsMax],
    ["placement", options.placement],
    ["ring", options.primaryRing.flavour],
    ["primaries", options.primaries.map(({ label }) => label).join(",")],
    ["backups", options.backups.map(({ label }) => label).join(",")],
    ["lanes", options.lanes],
    ["ack", options.ack],
    ["rejoin", options.comeback.rejoin],
    ["missed_keys_max", options.comeback.missedKeysMax],
    ["board", options.proxies.board ? "on" : "off"],
    ["strict", options.proxies.strict ? "yes" : "no"],
    ["scrub_hours", options.proxies.scrubHours],
    ["verify", options.proxies.verify],
    ["connect_timeout_ms", options.connectTimeoutMs],
    ["request_timeout_ms", options.requestTimeoutMs],
    ["item_size_max", options.itemBytesMax],
    ["cas_enabled", "yes"],
    ["verbosity", door.log.verbosity],
  ];
}

function lines(answer: Lines): Uint8Array {
  return latin1(answer.map(([name, value]) => `STAT ${name} ${value}\r\n`).join("") + "END\r\n");
}
