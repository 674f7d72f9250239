// Two proxies that write to the same key at the same moment can leave its two servers different for good: each applies
// the writes in its own order. So whoever wrote looks afterwards, off the client's path, whether both sides hold the
// same, and makes the other side like the lead when they do not. Whichever write came last is looked at after both.
//
//   both sides took it ─▶ compare (sync.ts) ─▶ equal: done · repaired: again, a little later · not now: queue
//                            ▲             └──▶ differs ─▶ until no request is in flight that was ─┐
//                            └─────────── the same difference still: repaired ◀─────────────────────┘
//
// What the other side holds and the lead does not may be a write that is still in flight to the lead. Written over, it would
// be answered as taken by both, and once the lead fails the value before it would be read. So a difference must stand for as
// long as a request may take: then whoever wrote it has both answers, or has marked the side that did not answer.
//
// What fails here changes nothing but the queue: never a stale entry, never the lead. Nothing is repaired before the
// pair's lead has been the same for a while: proxies of different opinion would otherwise swap values for ever.
import type { Counters } from "../../observe/counters.ts";
import type { Random } from "../../platform/platform.ts";
import type { Pair } from "../pair.ts";
import { Sync, type SyncOutcome } from "./sync.ts";

/** Keys that wait or are being compared, at most; those beyond are left to the scrubber. */
const KEYS_MAX = 100_000;
/** Comparisons under way at a time, for each lane. */
const RUNNING_PER_LANE = 32;
/** Until a comparison that could not be made is tried again, ms; random up to twice that. */
const RETRY_MS = 50;
/** A request's deadline is looked at once a tick: by how much it may be late, ms. */
const LATE_MS = 50;

export interface Doubt {
  readonly pair: Pair;
  readonly key: string;
  readonly laneIndex: number;
  /** Not before, ms. */
  atMs: number;
  /** Another write came while it was being compared. */
  again: boolean;
  rounds: number;
  /** How the sides differed when they were compared last; "": they did not, or nobody has looked. */
  seen: string;
  /** Told once both sides are known to be alike, or nobody looks any more. */
  settled: (() => void) | null;
}

export interface VerifyWorld {
  readonly nowMs: number;
  /** How long a pair's lead must be the same before anything is repaired, ms. */
  readonly settleMs: number;
  readonly options: { readonly requestTimeoutMs: number };
  readonly random: Random;
  readonly counters: Counters;
  pairOf(key: string): Pair;
}

export class Verifier {
  /** Whether writes are looked at; decided once a tick. */
  active = false;
  /** The rings were others once: a key may be in another pair than it was when it was written. */
  moved = false;
  private readonly doubts = new Map<Pair, Map<string, Doubt>>();
  private readonly waiting: Doubt[] = [];
  private running = 0;
  private size = 0;

  constructor(private readonly world: VerifyWorld, private readonly lanes: number) {}

  /** Keys that are not yet known to be alike. */
  get backlog(): number {
    return this.size;
  }

  /** Both sides took a write of this key, or it is to be looked at anyway. settled: see Doubt. */
  wrote(pair: Pair, key: string, laneIndex: number, settled: (() => void) | null = null): void {
    let keys = this.doubts.get(pair);
    if (keys === undefined) this.doubts.set(pair, (keys = new Map()));
    const known = keys.get(key);
    if (known !== undefined) {
      known.again = true;
      return settled?.();
    }
    if (this.size >= KEYS_MAX) {
      this.world.counters.verify_dropped++;
      return settled?.();
    }
    const doubt: Doubt = { pair, key, laneIndex, atMs: 0, again: false, rounds: 0, seen: "", settled };
    keys.set(key, doubt);
    this.size++;
    if (!this.begin(doubt)) this.waiting.push(doubt);
  }

  /** Called every tick. */
  tick(now: number): void {
    // Those that may not begin yet keep their order.
    const { waiting } = this;
    if (waiting.length === 0) return;
    let kept = 0;
    for (let i = 0; i < waiting.length; i++) {
      const doubt = waiting[i]!;
      if (doubt.atMs > now || !this.begin(doubt)) waiting[kept++] = doubt;
    }
    waiting.length = kept;
  }

  private begin(doubt: Doubt): boolean {
    const { pair, key } = doubt;
    if (this.running >= RUNNING_PER_LANE * this.lanes) return false;
    // Where it was before nobody writes it any more: what is there is old. Where it is now it was copied or compared since.
    if (this.moved && this.world.pairOf(key) !== pair) {
      this.drop(doubt);
      return true;
    }
    pair.watchLead(this.world.nowMs); // what was read of others since the last tick may have turned it
    if (this.world.nowMs - pair.leadSinceMs < this.world.settleMs) return false;
    // The copier makes them alike where one is known to be stale.
    if (pair.stale.has(key) || pair.primary.state !== "up" || pair.backup!.state !== "up") return false;
    doubt.again = false;
    this.running++;
    this.world.counters.verified++;
    const lead = pair.leadOf(key);
    const sync = new Sync(pair, key, doubt.laneIndex, lead, (outcome) => {
      doubt.seen = outcome === "differs" ? sync.difference : "";
      this.ended(doubt, outcome);
    }, doubt.seen);
    sync.start();
    return true;
  }

  /** A comparison is through. */
  ended(doubt: Doubt, outcome: SyncOutcome): void {
    this.running--;
    const { world } = this;
    const repaired = outcome === "copied" || outcome === "removed";
    if (repaired) world.counters.divergences++;
    if ((outcome === "equal" || outcome === "refused") && !doubt.again) return this.drop(doubt);
    if (outcome === "differs") {
      doubt.rounds = 0;
      doubt.atMs = world.nowMs + world.options.requestTimeoutMs + LATE_MS;
      return void this.waiting.push(doubt);
    }
    // Proxies that collide must not collide again.
    const wait = repaired || doubt.again ? 0 : RETRY_MS;
    doubt.rounds = doubt.again ? 0 : doubt.rounds + 1;
    doubt.atMs = world.nowMs + wait + (world.random.u32() % (RETRY_MS * Math.min(4, 1 + doubt.rounds)));
    this.waiting.push(doubt);
  }

  private drop({ pair, key, settled }: Doubt): void {
    this.doubts.get(pair)!.delete(key);
    this.size--;
    settled?.();
  }
}
