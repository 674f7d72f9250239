// One key of many that nobody can answer for is a miss, never an error in the middle of an answer: such a miss says nothing
// about the key. The proxy counts them, and when it does so tells which misses those are.
import type { Call, History } from "./history.ts";
import type { PairWorld } from "./pair_world.ts";
import type { World } from "./world.ts";

export class Unanswered {
  /** When keys were left unanswered, virtual microseconds. */
  private readonly timesUs: number[] = [];
  private readonly watched = new WeakSet<object>();

  constructor(private readonly world: World, pair: PairWorld) {
    this.watch(pair);
  }

  /** Called anew when proxies were started again. */
  watch({ proxies }: PairWorld): void {
    for (const { pool: { counters } } of proxies) {
      if (this.watched.has(counters)) continue;
      this.watched.add(counters);
      let count = counters.unanswered_keys;
      Object.defineProperty(counters, "unanswered_keys", {
        enumerable: true, configurable: true,
        get: () => count,
        set: (more: number) => {
          count = more;
          this.timesUs.push(this.world.nowUs);
        },
      });
    }
  }

  /** What is missed by a line of many keys while that happened is of unknown outcome. */
  withdraw({ calls }: History): void {
    if (this.timesUs.length === 0) return;
    const lines = new Map<number, number>();
    const line = ({ session, place }: Call): number => session * 2 ** 30 + place;
    for (const call of calls) lines.set(line(call), (lines.get(line(call)) ?? 0) + 1);
    for (const call of calls) {
      if (call.outcome !== "miss" || lines.get(line(call)) === 1) continue;
      if (this.timesUs.some((us) => us >= call.startUs && us <= call.endUs)) call.outcome = "unknown";
    }
  }
}
