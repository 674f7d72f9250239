// When proxies think differently of a server: one does not trust it and another neither knows that by itself nor has
// read it; or one has read already that it is trusted again and another has not, so that they let different sides lead;
// or each knows that it lacks something, but not what the other one knows. Looked at every few milliseconds.
import type { Proxy } from "../../src/proxy.ts";
import type { World } from "./world.ts";

const LOOK_US = 5_000;
/** What was under way when they agreed again may still show it: two deadlines, and the way to the client. */
const UNDER_WAY_US = 800_000;

export class Disagreement {
  /** Begin and end, virtual microseconds. */
  private readonly spans: { fromUs: number; toUs: number }[] = [];
  private open = false;
  private stopped = false;

  constructor(private readonly world: World, private readonly proxies: readonly Proxy[]) {
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
    const now = this.world.nowUs;
    if (!this.disagree()) this.open = false;
    else if (this.open) this.spans.at(-1)!.toUs = now;
    else {
      this.open = true;
      this.spans.push({ fromUs: now, toUs: now });
    }
    this.world.after(LOOK_US, () => this.look());
  }

  private disagree(): boolean {
    const count = this.proxies[0]!.pool.servers.length;
    for (let i = 0; i < count; i++) {
      let trusting = 0, distrusting = 0;
      for (const { pool } of this.proxies) {
        const server = pool.servers[i]!;
        // Suspect is no complaint, but the reason why writes pass it by.
        if (server.state !== "up" || pool.lacksWrites(server)) distrusting++;
        else if (!server.fenced && !server.doubted) trusting++;
      }
      if (trusting > 0 && distrusting > 0) return true;
    }
    return this.proxies[0]!.pool.pairs.some((_pair, i) => this.leadersOf(i).size > 1 || this.isLedUnaware(i));
  }

  /** A proxy lets a side lead of which another one knows that it lacks something. */
  private isLedUnaware(index: number): boolean {
    return this.proxies.some(({ pool }) => {
      const pair = pool.pairs[index]!, side = pool.strict === null ? pair.usualLead : -1;
      return side !== -1 && this.proxies.some((other) => other.pool !== pool && other.pool.lacksWrites(other.pool.pairs[index]!.server(side)!));
    });
  }

  /** The sides that lead a pair, as each proxy sees it. With --strict who decides is asked for each time, whoever leads. */
  private leadersOf(index: number): Set<number> {
    const sides = new Set<number>();
    for (const { pool } of this.proxies) {
      const side = pool.strict === null ? pool.pairs[index]!.usualLead : -1;
      if (side !== -1) sides.add(side);
    }
    return sides;
  }
}
