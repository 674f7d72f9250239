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
export function* differingTrust(proxies: readonly Proxy[]): Iterable<string> {
  for (const [i, { label }] of proxies[0]!.pool.servers.entries()) {
    let trusting = 0, distrusting = 0;
    for (const { pool } of proxies) {
      const server = pool.servers[i]!;
      // Suspect is no complaint, but the reason why writes pass it by.
      if (server.state !== "up" || pool.lacksWrites(server)) distrusting++;
      else if (!server.fenced && !server.doubted) trusting++;
    }
    if (trusting > 0 && distrusting > 0) yield label;
  }
  for (const i of proxies[0]!.pool.pairs.keys()) if (leadersOf(proxies, i).size > 1 || isLedUnaware(proxies, i)) yield `pair ${i}`;
}

/** A proxy lets a side lead of which another one knows that it lacks something. */
function isLedUnaware(proxies: readonly Proxy[], index: number): boolean {
  return proxies.some(({ pool }) => {
    const pair = pool.pairs[index]!, side = pool.strict === null ? pair.usualLead : -1;
    return side !== -1 && proxies.some((other) => other.pool !== pool && other.pool.lacksWrites(other.pool.pairs[index]!.server(side)!));
  });
}

/** The sides that lead a pair, as each proxy sees it. With --strict who decides is asked for each time, whoever leads. */
function leadersOf(proxies: readonly Proxy[], index: number): Set<number> {
  const sides = new Set<number>();
  for (const { pool } of proxies) {
    const side = pool.strict === null ? pool.pairs[index]!.usualLead : -1;
    if (side !== -1) sides.add(side);
  }
  return sides;
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
