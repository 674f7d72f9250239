// What a pool knows of its servers, pairs, refills and other proxies, as plain data.
import { latenciesOf } from "../backend/kinds.ts";
import type { Server } from "../backend/server.ts";
import type { PairReport, ProxiesReport, RefillReport, RingsReport, Role, ServerReport } from "../observe/report.ts";
import { complaintText } from "./proxies/notice.ts";
import { BACKUP, type Pair, PRIMARY } from "./pair.ts";
import type { Pool } from "./pool.ts";

export function reportRings(pool: Pool): RingsReport {
  const { options } = pool;
  const shares = { primary: options.primaryRing.shares(), backup: options.backupRing?.shares() ?? [] };
  const reports = (role: Role, servers: readonly Server[]): ServerReport[] =>
    servers.map((server, index) => reportServer(pool, server, role, index, shares[role][index]!));
  return {
    ring: options.primaryRing.flavour, fingerprint: options.fingerprint, transition: pool.changes.text, ack: pool.ack,
    servers: [...reports("primary", pool.primaries), ...reports("backup", pool.backups)],
    pairs: pool.pairs.map((pair) => reportPair(pool, pair)),
    refills: reportRefills(pool), proxies: reportProxies(pool),
    missedKeys: pool.pairs.reduce((sum, { stale }) => sum + stale.size, 0),
    syncBacklog: pool.copier.backlog, verifyBacklog: pool.verifier.backlog,
  };
}

function reportServer(pool: Pool, server: Server, role: Role, index: number, share: number): ServerReport {
  const told = (stat: string): number => Number(server.stats.get(stat) ?? 0);
  const sum = (of: (lane: Server["lanes"][number]) => number): number => server.lanes.reduce((total, lane) => total + of(lane), 0);
  return {
    role, index, address: server.label, share, state: server.state, reason: server.health.reason,
    stateSeconds: Math.max(0, (pool.clock.nowMs() - server.sinceMs) / 1000), version: server.version,
    explicitCas: server.explicitCas.works, cold: server.cold, warming: server.warming, fencedBy: pool.board?.fencedBy(server) ?? "",
    drained: server.drained, quiet: pool.drains.isQuiet(server),
    missedKeys: pool.comebacks.missed(server), missedKnown: !pool.comebacks.overflowed(server),
    inFlight: sum((lane) => lane.inFlight.count), queueBytes: sum((lane) => lane.out.total), answered: sum((lane) => lane.answered),
    latency: latenciesOf(server.latency, server.bulkLatency), failed: counted(server.failed), lost: counted(server.lost),
    items: told("curr_items"), bytes: told("bytes"), bytesMax: told("limit_maxbytes"), evictions: told("evictions"),
  };
}

/** Those that occurred. */
function counted(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

function reportPair(pool: Pool, pair: Pair): PairReport {
  const lead = pair.usualLead;
  return {
    primary: pair.primary.label, backup: pair.backup?.label ?? "", lead: lead === -1 ? "none" : lead === PRIMARY ? "primary" : "backup",
    leadSeconds: Math.max(0, (pool.clock.nowMs() - Math.max(pair.leadSinceMs, pool.startedMs)) / 1000),
    primaryLacks: pair.lacking[PRIMARY], backupLacks: pair.lacking[BACKUP],
  };
}

export function reportRefills(pool: Pool): RefillReport[] {
  return [...pool.comebacks.returning.values()].map(({ server, scope, progress, left, perSecond, limit, etaSeconds }) => ({
    address: server.label, scope, done: progress.done, listed: progress.done + left, bytes: progress.bytes,
    perSecond: Math.round(perSecond), perSecondMax: Math.round(limit), etaSeconds,
  }));
}

export function reportProxies({ board, proxyId, nowMs }: Pool): ProxiesReport {
  const others = [...(board?.known.values() ?? [])].map(({ id, notice, seenMs, dead }) => {
    const ageMs = Math.round(nowMs - seenMs);
    const wroteAgoMs = notice.wroteAgoMs < 0 ? null : notice.wroteAgoMs + ageMs;
    return { id, state: dead ? "silent" as const : "alive" as const, ageMs, wroteAgoMs, complaints: complaintText(notice.complaints) };
  });
  return { id: proxyId, board: board !== null, others };
}
