// What `tandem ring explain`, `ring show` and `ring diff` print: pure functions from pools and keys to lines. The
// pools are checked already (ringProblem); rings.ts reads the words.
import { latin1, textOf } from "../bytes/ascii.ts";
import type { PoolConfig, ServerSpec } from "../config/config.ts";
import { buildRing, ringServers, type Ring } from "../ring/ring.ts";
import { percentText, table } from "./table.ts";

/** Keys of the sample when `ring diff` is given none. */
export const SAMPLE_KEYS = 100_000;

/** A ring with the servers that its indexes mean. */
interface Side {
  readonly ring: Ring;
  readonly servers: readonly ServerSpec[];
}

/** One line a key below a header: its hash, and on each ring the server and the point by which it was found. */
export function ringExplain(pool: PoolConfig, keys: Iterable<Uint8Array>): string[] {
  const primaries = primarySide(pool);
  const backups = backupSide(pool);
  const point = primaries.ring.circle ? "point" : "slot";
  const rows = [["key", "hash", "primary", point, ...(backups === null ? [] : ["backup", point])]];
  for (const key of keys) {
    const hash = primaries.ring.hash(key, 0, key.length);
    const row = [keyText(key), hex(hash)];
    for (const side of [primaries, backups]) if (side !== null) row.push(ownerLabel(side, hash), pointText(side.ring, hash));
    rows.push(row);
  }
  return table(rows, "llllll");
}

/** Of each ring's servers the weight, the points and the share of all hashes, and how uneven the ring is. */
export function ringShow(pool: PoolConfig): string[] {
  const lines = [`ring ${pool.ring}${pool.hashTag === "" ? "" : `, hash tag ${pool.hashTag}`}`];
  const backups = backupSide(pool);
  lines.push("", ...showSide("primary", primarySide(pool)));
  if (backups !== null) lines.push("", ...showSide("backup", backups));
  return lines;
}

/**
 * How many of the keys (null: a generated sample of SAMPLE_KEYS) another server owns in newPool than in oldPool, from
 * where to where. A server is the same when its label is.
 */
export function ringDiff(oldPool: PoolConfig, newPool: PoolConfig, keys: Iterable<Uint8Array> | null): string[] {
  const primaries = new Moves(primarySide(oldPool), primarySide(newPool));
  const oldBackups = backupSide(oldPool);
  const newBackups = backupSide(newPool);
  const backups = oldBackups === null || newBackups === null ? null : new Moves(oldBackups, newBackups);
  let total = 0;
  for (const key of keys ?? sampleKeys()) {
    total++;
    primaries.count(key);
    backups?.count(key);
  }
  const what = keys === null ? "sample keys" : "keys";
  const lines = primaries.lines("primary", total, what);
  if (backups !== null) lines.push("", ...backups.lines("backup", total, what));
  else if (oldBackups !== null) lines.push("", "backups: none any more");
  else if (newBackups !== null) lines.push("", "backups: none before");
  return lines;
}

/** Counts what moves between two rings. */
class Moves {
  /** counts[from * after's size + to]: keys owned by `from` before and by `to` after. */
  private readonly counts: Float64Array;

  constructor(private readonly before: Side, private readonly after: Side) {
    this.counts = new Float64Array(before.ring.size * after.ring.size);
  }

  count(key: Uint8Array): void {
    const from = this.before.ring.ownerOfHash(this.before.ring.hash(key, 0, key.length));
    const to = this.after.ring.ownerOfHash(this.after.ring.hash(key, 0, key.length));
    this.counts[from * this.after.ring.size + to]!++;
  }

  lines(role: string, total: number, what: string): string[] {
    const rows: [string, string, number][] = [];
    this.before.servers.forEach((from, i) => {
      this.after.servers.forEach((to, j) => {
        const count = this.counts[i * this.after.ring.size + j]!;
        if (count > 0 && from.label !== to.label) rows.push([from.label, to.label, count]);
      });
    });
    rows.sort((a, b) => b[2] - a[2]);
    const moved = sum(rows);
    const lines = [`${role}: ${moved} of ${total} ${what} move (${percentText(moved, total)})`];
    if (moved === 0) return lines;
    lines.push(...table([["from", "to", "keys", "of all"],
      ...rows.map(([from, to, count]) => [from, to, String(count), percentText(count, total)])], "llrr"));
    // Where all weights are equal, a ring that grew or shrank moves nothing between servers that stayed; with others a
    // few percent, because every server's number of points is a share of all weights.
    const old = new Set(this.before.servers.map((server) => server.label));
    const young = new Set(this.after.servers.map((server) => server.label));
    const between = sum(rows.filter(([from, to]) => young.has(from) && old.has(to)));
    lines.push(`between servers that are in both rings: ${between} (${percentText(between, total)})`);
    return lines;
  }
}

function sum(rows: readonly [string, string, number][]): number {
  return rows.reduce((all, [, , count]) => all + count, 0);
}

function primarySide(pool: PoolConfig): Side {
  return { ring: buildRing(pool.ring, ringServers(pool.primaries), pool.hashTag), servers: pool.primaries };
}

function backupSide(pool: PoolConfig): Side | null {
  if (pool.backups.length === 0) return null;
  return { ring: buildRing(pool.ring, ringServers(pool.backups), pool.hashTag), servers: pool.backups };
}

function showSide(role: string, side: Side): string[] {
  const points = side.ring.pointCounts();
  const shares = side.ring.shares();
  const weights = side.servers.reduce((all, server) => all + server.weight, 0);
  const rows = [[role, "weight", side.ring.circle ? "points" : "slots", "share", "of its weight"]];
  let busiest = 0;
  const over = (i: number): number => shares[i]! / (side.servers[i]!.weight / weights);
  side.servers.forEach((server, i) => {
    if (over(i) > over(busiest)) busiest = i;
    const label = server.name === null ? server.label : `${server.label} ${server.name}`;
    rows.push([label, String(server.weight), String(points[i]!), percentText(shares[i]!, 1), over(i).toFixed(2)]);
  });
  return [...table(rows, "lrrrr"), `busiest for its weight: ${side.servers[busiest]!.label}, ${over(busiest).toFixed(2)} times the fair share`];
}

function ownerLabel(side: Side, hash: number): string {
  return side.servers[side.ring.ownerOfHash(hash)]!.label;
}

function pointText(ring: Ring, hash: number): string {
  return ring.circle ? hex(ring.pointOfHash(hash)) : `${ring.pointOfHash(hash)} of ${ring.places}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** A key as people read it: its UTF-8, or \xNN for each byte that is not printable ASCII when it is none. */
export function keyText(key: Uint8Array): string {
  const text = textOf(key, 0, key.length);
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  try {
    const escaped = [...key].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    const decoded = decodeURIComponent(escaped);
    if (!/[\x00-\x1f\x7f-\x9f]/.test(decoded)) return decoded;
  } catch {
    // Not UTF-8: shown byte by byte.
  }
  return text.replace(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Keys that differ early, so that hashes which hardly mix the last characters are not made to look worse than they are. */
function* sampleKeys(): Generator<Uint8Array> {
  for (let i = 0; i < SAMPLE_KEYS; i++) yield latin1(`${hex(Math.imul(i, 0x9e3779b1) >>> 0)}:sample`);
}
