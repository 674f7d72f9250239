// What `stats` answers: the one memcached that clients see (general), and what stands behind it (proxy, servers,
// settings).
import { latin1 } from "../bytes/ascii.ts";
import { Counters } from "../observe/counters.ts";
import { ERROR, RESET } from "../protocol/answers.ts";
import { complaintText } from "../replication/notice.ts";
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
  const answer: Lines = [["tandem_version", door.version], ["runtime", platform.host.runtime]];
  for (const name of Object.keys(counters) as (keyof Counters)[]) answer.push([name, counters[name]]);
  const missed = pool.pairs.reduce((sum, { stale }) => sum + stale.size, 0);
  answer.push(["missed_writes", missed], ["sync_backlog", pool.copier.backlog], ["verify_backlog", pool.verifier.backlog]);
  answer.push(["resident_bytes", platform.host.residentBytes()]);
  return answer;
}

function servers(door: Door): Lines {
  const answer: Lines = [];
  const { pool } = door;
  const now = door.platform.clock.nowMs();
  const missed = (server: Door["pool"]["servers"][number]): number =>
    pool.pairs.reduce((sum, { primary, backup, lacking }) =>
      sum + (primary === server ? lacking[0] : backup === server ? lacking[1] : 0), 0);
  const tell = (role: string, list: Door["pool"]["servers"]): void =>
    list.forEach((server, index) => {
      const name = `${role}:${index}`;
      answer.push([`${name}:address`, server.label], [`${name}:state`, server.state]);
      answer.push([`${name}:reason`, server.health.reason], [`${name}:version`, server.version || "unknown"]);
      answer.push([`${name}:explicit_cas`, server.explicitCas.works ? "yes" : "no"]);
      answer.push([`${name}:state_seconds`, Math.max(0, Math.floor((now - server.sinceMs) / 1000))]);
      answer.push([`${name}:missed_writes`, missed(server)]);
      answer.push([`${name}:cold`, server.cold ? "yes" : "no"]);
      answer.push([`${name}:fenced`, door.pool.board?.fencedBy(server) ?? "no"]);
      answer.push([`${name}:in_flight`, server.lanes.reduce((sum, lane) => sum + lane.inFlight.count, 0)]);
      answer.push([`${name}:queue_bytes`, server.lanes.reduce((sum, lane) => sum + lane.out.total, 0)]);
      answer.push([`${name}:answered`, server.lanes.reduce((sum, lane) => sum + lane.answered, 0)]);
    });
  tell("primary", pool.primaries);
  tell("backup", pool.backups);
  return answer;
}

/** Servers that are being given what they lack: how far they are. */
function refill(door: Door): Lines {
  const answer: Lines = [];
  let row = 0;
  for (const { server, scope, progress, left, perSecond, limit, etaSeconds } of door.pool.comebacks.returning.values()) {
    const name = String(row++);
    answer.push([`${name}:address`, server.label], [`${name}:scope`, scope.replaceAll(" ", "_")]);
    answer.push([`${name}:done`, progress.done], [`${name}:listed`, progress.done + left], [`${name}:bytes`, progress.bytes]);
    answer.push([`${name}:rate`, Math.round(perSecond)], [`${name}:rate_limit`, Math.round(limit)]);
    if (etaSeconds !== null) answer.push([`${name}:eta_seconds`, etaSeconds]);
  }
  return answer;
}

/** Other proxies over the same servers, as their notices tell; ages in ms. */
function proxies(door: Door): Lines {
  const { pool } = door;
  const answer: Lines = [["id", pool.proxyId], ["board", pool.board === null ? "off" : "on"]];
  if (pool.board === null) return answer;
  for (const { id, notice, seenMs, dead } of pool.board.known.values()) {
    const age = Math.round(pool.nowMs - seenMs);
    answer.push([`${id}:state`, dead ? "silent" : "alive"], [`${id}:age_ms`, age]);
    answer.push([`${id}:wrote_ago_ms`, notice.wroteAgoMs < 0 ? "never" : notice.wroteAgoMs + age]);
    answer.push([`${id}:complaints`, complaintText(notice.complaints)]);
  }
  return answer;
}

function settings(door: Door): Lines {
  const { options } = door.pool;
  return [
    ["maxconns", door.clientsMax],
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
