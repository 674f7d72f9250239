// What takes items away though no server fails: flush_all, and items that a server pushes out for room. What was there
// may be missed from then on; after a flush_all it must be, but for what was put on a server within the same second.
import { type Load, type Request, SimClient } from "./client.ts";
import type { CallKind } from "./history.ts";
import { PROXY_PORT, type PairWorld } from "./pair_world.ts";
import { Prng } from "./prng.ts";
import type { World } from "./world.ts";

/** memcached looks at whole seconds where the unique of an item was given to it, microseconds. */
const SECOND_US = 1_000_000;
const LOOK_US = 50_000;

/** Drawn for one world in 8. */
export function drawLosses(seed: number): { readonly flushes: boolean; readonly evictions: boolean } | null {
  const dice = new Prng(seed ^ 0x105e);
  if (!dice.chance(1, 8)) return null;
  const flushes = dice.chance(2, 3);
  return { flushes, evictions: !flushes || dice.chance(1, 2) };
}

export class Losses {
  flushes = 0;
  evictions = 0;
  private readonly dice: Prng;
  private readonly flushed: { readonly fromUs: number; readonly toUs: number; readonly weak: boolean }[] = [];
  private readonly evicted = new Map<string, number[]>();
  /** When something was last being copied, which is then as young as what clients write. */
  private copiedUs = -Infinity;

  constructor(private readonly world: World, private readonly pair: PairWorld, private readonly keys: readonly string[], private readonly untilUs: number) {
    this.dice = new Prng(world.seed ^ 0x105f);
  }

  start(kinds: { readonly flushes: boolean; readonly evictions: boolean }): void {
    this.look();
    if (kinds.evictions) this.evict();
    if (!kinds.flushes) return;
    this.world.host("flusher").start((process) => {
      const to = { host: "proxy", port: PROXY_PORT };
      this.pair.clients.push(new SimClient(process, to, this.load(), this.pair.history, { last: FLUSHER_SESSIONS }, () => false));
    });
  }

  /** What was written at one time may be missed at another. */
  lost(writtenUs: number, missedUs: number, key: string): boolean {
    if (this.evicted.get(key)?.some((us) => us >= writtenUs && us <= missedUs) === true) return true;
    return this.flushed.some(({ fromUs, toUs }) => writtenUs <= toUs && missedUs >= fromUs);
  }

  /** At the end a key may be missing on one side: it was pushed out there, or written while there was a flush_all. */
  oneSided(key: string): boolean {
    if (this.evicted.has(key)) return true;
    const last = this.pair.history.calls.findLast((call) => call.key === key && !READS.includes(call.kind));
    return this.flushed.some(({ fromUs, toUs, weak }) => weak || (last !== undefined && last.startUs <= toUs && last.endUs >= fromUs - 2 * SECOND_US));
  }

  private look(): void {
    const copying = this.pair.proxies.some(({ pool }) => pool.pairs.some(({ primary, backup, stale }) =>
      primary.state !== "down" && backup!.state !== "down" && (stale.size > 0 || primary.state === "rejoin" || backup!.state === "rejoin")));
    if (copying) this.copiedUs = this.world.nowUs;
    this.world.after(LOOK_US, () => this.look());
  }

  private evict(): void {
    this.world.after(this.dice.range(50_000, 1_500_000), () => {
      if (this.world.nowUs >= this.untilUs) return;
      this.evict();
      const { server } = this.dice.pick(this.pair.servers);
      if (server === null) return;
      const items = [...server.engine.store.dump()];
      if (items.length === 0) return;
      const item = this.dice.pick(items);
      server.engine.store.unlink(item);
      this.evictions++;
      this.world.note(`${item.key} is pushed out`);
      const times = this.evicted.get(item.key);
      if (times === undefined) this.evicted.set(item.key, [this.world.nowUs]);
      else times.push(this.world.nowUs);
    });
  }

  /** Says flush_all now and then, on a connection of its own: one call for each key. */
  private load(): Load {
    return {
      burst: () => {
        if (this.pair.known.stopped) return null;
        return this.world.nowUs >= this.untilUs ? [] : [this.request()];
      },
      pauseUs: () => (this.pair.known.stopped ? 1 : this.dice.range(300_000, this.world.lively ? 1_500_000 : 5_000_000)),
      learned: () => {},
      mood: () => "wait",
    };
  }

  private request(): Request {
    const { history } = this.pair;
    return {
      text: "flush_all\r\n", verb: "flush_all", keys: this.keys, noreply: false,
      begin: (session, place, startUs) => {
        this.flushes++;
        const weak = startUs - this.copiedUs < 2 * SECOND_US;
        const calls = this.keys.map((key) =>
          history.begin({ session, place, key, noreply: false, startUs, kind: "flush" as const, value: weak ? "weak" : "", flags: 0, ttl: 0, expected: null }));
        // Its end is not known yet: the first call's.
        const [first] = calls;
        this.flushed.push({ fromUs: startUs, weak, get toUs() { return first!.endUs; } });
        return calls;
      },
    };
  }
}

/** Its sessions are numbered far from those of others. */
const FLUSHER_SESSIONS = 1_000_000;
const READS: readonly CallKind[] = ["get", "gat", "touch", "flush"];
