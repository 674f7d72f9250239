// When proxies think differently, which is the time that several of them without --strict are told apart by. Looked at
// every few milliseconds, and for each thing that they can differ in by itself.
import type { Proxy } from "../../src/proxy.ts";
import type { Side } from "../../src/replication/pair.ts";
import type { World } from "./world.ts";

const LOOK_US = 5_000;
/** What was under way when they agreed again may still show it: two deadlines, and the way to the client. */
const UNDER_WAY_US = 800_000;

interface Span {
  readonly about: string;
  readonly fromUs: number;
  toUs: number;
}

export class Disagreement {
  /** Begin and end, virtual microseconds. */
  private readonly spans: Span[] = [];
  private open = new Map<string, Span>();
  private stopped = false;

  /** about: what they differ in at this moment. */
  constructor(private readonly world: World, private readonly about: () => Iterable<string>) {
    this.look();
  }

  stop(): void {
    this.stopped = true;
  }

  get longestUs(): number {
    return this.spans.reduce((most, { fromUs, toUs }) => Math.max(most, toUs - fromUs), 0);
  }

  /** When a disagreement began that touches a span of time, or null. */
  touching(fromUs: number, toUs: number): number | null {
    const found = this.spans.find((span) => span.fromUs - LOOK_US <= toUs && span.toUs + UNDER_WAY_US >= fromUs);
    return found === undefined ? null : found.fromUs;
  }

  private look(): void {
    if (this.stopped) return;
    const now = this.world.nowUs, open = new Map<string, Span>();
    for (const about of this.about()) {
      let span = this.open.get(about);
      if (span === undefined) this.spans.push((span = { about, fromUs: now, toUs: now }));
      span.toUs = now;
      open.set(about, span);
    }
    this.open = open;
    this.world.after(LOOK_US, () => this.look());
  }
}

/**
 * What proxies with the same rings differ in: one does not trust a server and another neither knows that by itself nor has
 * read it; or one has read already that it is trusted again and another has not, so that they let different sides lead; or
 * each knows that it lacks something, but not what the other one knows.
 */
export function differingTrust(proxies: readonly Proxy[]): string[] {
  const out: string[] = [];
  const { servers, pairs } = proxies[0]!.pool;
  for (let i = 0; i < servers.length; i++) {
    let trusting = 0, distrusting = 0;
    for (const { pool } of proxies) {
      const server = pool.servers[i]!;
      // Suspect is no complaint, but the reason why writes pass it by.
      if (server.state !== "up" || pool.lacksWrites(server)) distrusting++;
      else if (!server.fenced && !server.doubted) trusting++;
    }
    if (trusting > 0 && distrusting > 0) out.push(servers[i]!.label);
  }
  for (let i = 0; i < pairs.length; i++) if (leadsDiffer(proxies, i) || isLedUnaware(proxies, i)) out.push(`pair ${i}`);
  return out;
}

/** The side that leads a pair, as a proxy sees it, or -1. With --strict who decides is asked for each time, whoever leads. */
function leadOf({ pool }: Proxy, index: number): Side | -1 {
  return pool.strict === null ? pool.pairs[index]!.usualLead : -1;
}

/** A proxy lets a side lead of which another one knows that it lacks something. */
function isLedUnaware(proxies: readonly Proxy[], index: number): boolean {
  for (const proxy of proxies) {
    const side = leadOf(proxy, index);
    if (side === -1) continue;
    for (const { pool } of proxies) if (pool !== proxy.pool && pool.lacksWrites(pool.pairs[index]!.server(side)!)) return true;
  }
  return false;
}

/** Two proxies let different sides of a pair lead. */
function leadsDiffer(proxies: readonly Proxy[], index: number): boolean {
  let first: Side | -1 = -1;
  for (const proxy of proxies) {
    const side = leadOf(proxy, index);
    if (side === -1) continue;
    if (first !== -1 && side !== first) return true;
    first = side;
  }
  return false;
}

/** Keys for which two proxies with the same rings let different sides lead. Where their rings differ one side must lead for all. */
export function* differingLeads(proxies: readonly Proxy[], keys: readonly string[]): Iterable<string> {
  for (const key of keys) {
    const leads = new Map<string, Set<Side>>();
    for (const { pool } of proxies) {
      const pair = pool.pairOf(key), servers = `${pair.primary.label} ${pair.backup!.label}`;
      leads.set(servers, (leads.get(servers) ?? new Set()).add(pair.leadOf(key)));
    }
    if ([...leads.values()].some(({ size }) => size > 1)) yield key;
  }
}

/** Keys that proxies let different servers decide on, whatever their rings are. */
export function* differingServers(proxies: readonly Proxy[], keys: readonly string[]): Iterable<string> {
  for (const key of keys) {
    const leads = new Set(proxies.map(({ pool }) => {
      const pair = pool.pairOf(key);
      return pair.server(pair.leadOf(key))!.label;
    }));
    if (leads.size > 1) yield key;
  }
}
