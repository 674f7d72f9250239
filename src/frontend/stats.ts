// What `stats` answers: the one memcached that clients see (general), and what stands behind it (proxy, servers,
// settings).
import { latin1 } from "../bytes/ascii.ts";
import { Counters } from "../observe/counters.ts";
import { ERROR, RESET } from "../protocol/answers.ts";
import { reportRings, reportProxies, reportRefills } from "../replication/pool_report.ts";
import type { Door } from "./door.ts";

type Lines = [name: string, value: string | number][];

/** Sums over the primaries that a single memcached would report of itself. */
const SUMMED = ["curr_items", "total_items", "bytes", "limit_maxbytes", "evictions", "threads"] as const;
/** Counters that memcached's own general statistics have under the same name. */
const GENERAL: readonly (keyof Counters)[] = [
  "curr_connections", "total_connections", "rejected_connections", "cmd_get", "cmd_set", "cmd_flush", "cmd_touch",
  "get_hits", "get_misses",
];

/** The whole answer to `stats [words]`. */
export function statsAnswer(door: Door, words: string): Uint8Array {
  switch (words.startsWith("reset ") ? "reset" : words) {
    case "":
      return lines(general(door));
    case "proxy":
      return lines(proxy(door));
    case "servers":
      return lines(servers(door));
    case "refill":
      return lines(refill(door));
    case "proxies":
      return lines(proxies(door));
    case "settings":
      return lines(settings(door));
    case "reset": {
      const connections = door.counters.curr_connections;
      Object.assign(door.counters, new Counters(), { curr_connections: connections });
      return RESET;
    }
    default:
      return ERROR;
  }
}

function general(door: Door): Lines {
  const { platform, counters, pool } = door;
  const cpu = platform.host.cpuSeconds();
  const answer: Lines = [
    ["pid", platform.host.pid],
    ["uptime", Math.floor((platform.clock.nowMs() - door.startedMs) / 1000)],
    ["time", Math.floor(platform.clock.wallSeconds())],
    ["version", door.serverVersion],
    ["pointer_size", 64],
    ["rusage_user", cpu.user.toFixed(6)],
    ["rusage_system", cpu.system.toFixed(6)],
    ["max_connections", door.clientsMax],
  ];
  for (const name of GENERAL) answer.push([name, counters[name]]);
  for (const name of SUMMED) {
    answer.push([name, pool.primaries.reduce((sum, server) => sum + Number(server.stats.get(name) ?? 0), 0)]);
  }
  return answer;
}

function proxy(door: Door): Lines {
  const { counters, pool, platform } = door;
  const answer: Lines = [["tandem_version", door.version], ["runtime", platform.host.runtime], ["fingerprint", pool.options.fingerprint]];
  for (const name of Object.keys(counters) as (keyof Counters)[]) answer.push([name, counters[name]]);
  const missed = pool.pairs.reduce((sum, { stale }) => sum + stale.size, 0);
  answer.push(["missed_writes", missed], ["sync_backlog", pool.copier.backlog], ["verify_backlog", pool.verifier.backlog]);
  answer.push(["resident_bytes", platform.host.residentBytes()]);
  return answer;
}

function servers(door: Door): Lines {
  const answer: Lines = [];
  for (const server of reportRings(door.pool).servers) {
    const name = `${server.role}:${server.index}`;
    answer.push([`${name}:address`, server.address], [`${name}:state`, server.state]);
    answer.push([`${name}:reason`, server.reason], [`${name}:version`, server.version || "unknown"]);
    answer.push([`${name}:explicit_cas`, server.explicitCas ? "yes" : "no"]);
    answer.push([`${name}:state_seconds`, Math.floor(server.stateSeconds)]);
    answer.push([`${name}:missed_writes`, server.missedKeys]);
    answer.push([`${name}:cold`, server.cold ? "yes" : "no"]);
    answer.push([`${name}:fenced`, server.fencedBy || "no"]);
    answer.push([`${name}:in_flight`, server.inFlight]);
    answer.push([`${name}:queue_bytes`, server.queueBytes]);
    answer.push([`${name}:answered`, server.answered]);
  }
  return answer;
}

/** Servers that are being given what they lack: how far they are. */
function refill(door: Door): Lines {
  const answer: Lines = [];
  for (const [row, refill] of reportRefills(door.pool).entries()) {
    const name = String(row);
    answer.push([`${name}:address`, refill.address], [`${name}:scope`, refill.scope.replaceAll(" ", "_")]);
    answer.push([`${name}:done`, refill.done], [`${name}:listed`, refill.listed], [`${name}:bytes`, refill.bytes]);
    answer.push([`${name}:rate`, refill.perSecond], [`${name}:rate_limit`, refill.perSecondMax]);
    if (refill.etaSeconds !== null) answer.push([`${name}:eta_seconds`, refill.etaSeconds]);
  }
  return answer;
}

/** Other proxies over the same servers, as their notices tell; ages in ms. */
function proxies(door: Door): Lines {
  const { id, board, others } = reportProxies(door.pool);
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
