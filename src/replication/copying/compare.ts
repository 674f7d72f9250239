// Compares what the two sides of pairs hold of many keys, key by key, at a given rate, and mends what differs where
// it is told to. A difference only counts when it is seen twice with nothing written to the key in between: a write
// that is on its way to the second side is none.
//
//   key ─▶ look (both sides at once) ─▶ equal: told
//            ▲                     └──▶ differs ─▶ a pause, another look ─▶ the same as before? told, or Sync ─▶ told
//            └──────────── changed meanwhile: again, a few times ◀──────────┘
import { SilentCaller } from "../../backend/caller.ts";
import { Expect, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import { putText } from "../compose.ts";
import { addChunk, differenceOf, type Held, heldFrom } from "./held.ts";
import { BACKUP, type Pair, PRIMARY, type Side } from "../pair.ts";
import { Sync, type SyncOutcome } from "./sync.ts";

/**
 * What a comparison of one key came to. only_primary, only_backup: the other side has none. changing: it was written
 * between any two looks. failed: a side did not answer.
 */
export const VERDICTS = ["equal", "only_primary", "only_backup", "value", "flags", "times", "changing", "failed"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** One key and where it is kept. */
export interface Place {
  readonly key: string;
  readonly pair: Pair;
  readonly laneIndex: number;
}

/** Pause before the second look, ms; each further one is so much longer. */
const PAUSE_MS = 60;
const LOOKS_MAX = 8;
/** Keys that may wait for their next look; no new ones are begun above it. */
const WAITING_MAX = 2048;
/** How much of a second's keys may begin at once after a pause. */
const BURST_S = 0.1;

/** Reads one key on both sides. */
export class Look extends SilentCaller {
  private readonly held: [Held | null, Held | null] = [null, null];
  private open = 2;
  private failed = false;

  /** done: the verdict, and the cas uniques of both sides ("12 -": the backup has none). */
  constructor(private readonly place: Place, private readonly done: (verdict: Verdict, uniques: string) => void) {
    super();
  }

  start(): void {
    const { pair, key, laneIndex } = this.place;
    const sides: readonly Side[] = [PRIMARY, BACKUP];
    const lanes = sides.map((side) => pair.server(side)!.lanes[laneIndex]!);
    if (!lanes.every((lane) => lane.ready)) return this.done("failed", "");
    for (const side of sides) {
      putText(lanes[side]!.out, `mg ${key} v f t c\r\n`);
      lanes[side]!.expect(Expect.META, this, side);
    }
  }

  override onValue(side: number, value: ValueView): boolean {
    this.held[side as Side] = heldFrom(value);
    if (!value.partial) this.answered();
    return true;
  }

  override onChunk(side: number, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    addChunk(this.held[side as Side]!, bytes, start, end);
    if (last) this.answered();
  }

  override onReply(_side: number, status: StatusCode): void {
    if (status !== Status.EN) this.failed = true;
    this.answered();
  }

  override onFailure(): void {
    this.failed = true;
    this.answered();
  }

  private answered(): void {
    if (--this.open > 0) return;
    const [primary, backup] = this.held;
    const uniques = `${primary?.cas ?? "-"} ${backup?.cas ?? "-"}`;
    if (this.failed) this.done("failed", "");
    else if (primary === null || backup === null) {
      this.done(primary === backup ? "equal" : backup === null ? "only_primary" : "only_backup", uniques);
    } else this.done(differenceOf(primary, backup) ?? "equal", uniques);
  }
}

export interface ComparisonOptions {
  /** New keys a second; 0: as fast as they are answered. */
  readonly keysPerSecond: number;
  /** Keys under way at a time. */
  readonly underWayMax: number;
  /** A difference is looked at again before it counts; without, the first look is believed. */
  readonly twice: boolean;
  /** Whether a key with this verdict is copied from its lead to the other side. */
  mends(verdict: Verdict): boolean;
  /** A key is settled; mended: copied, removed, refused or failed, or null when Sync was not asked. */
  told(place: Place, verdict: Verdict, mended: SyncOutcome | null): void;
  /** Every key is settled, or after stop() those that were under way. */
  ended(): void;
}

/** A key under way. */
interface Case {
  readonly place: Place;
  looks: number;
  verdict: Verdict;
  uniques: string;
  atMs: number;
}

export class Comparison {
  private waiting: Case[] = [];
  private running = 0;
  private exhausted = false;
  private stopped = false;
  private over = false;
  private credit = 0;
  private nowMs: number;
  private starting = false;

  constructor(
    nowMs: number,
    private readonly places: Iterator<Place>,
    private readonly options: ComparisonOptions,
  ) {
    this.nowMs = nowMs;
  }

  /** Called every tick. */
  tick(nowMs: number): void {
    const { keysPerSecond } = this.options;
    this.credit = Math.min(this.credit + ((nowMs - this.nowMs) / 1000) * keysPerSecond, Math.max(1, keysPerSecond * BURST_S));
    this.nowMs = nowMs;
    const due = this.waiting.filter(({ atMs }) => atMs <= nowMs);
    if (due.length > 0) this.waiting = this.waiting.filter(({ atMs }) => atMs > nowMs);
    for (const each of due) this.look(each);
    this.run();
  }

  /** Begins no more keys; those that wait for another look are not told. */
  stop(): void {
    this.stopped = this.exhausted = true;
    this.waiting = [];
    this.run();
  }

  private run(): void {
    // A key that fails at once ends inside this loop: it must not begin the loop again.
    if (this.starting) return;
    this.starting = true;
    const { keysPerSecond, underWayMax } = this.options;
    while (!this.exhausted && this.running < underWayMax && this.waiting.length < WAITING_MAX) {
      if (keysPerSecond > 0 && this.credit < 1) break;
      const next = this.places.next();
      if (next.done === true) {
        this.exhausted = true;
        break;
      }
      this.credit--;
      this.look({ place: next.value, looks: 0, verdict: "equal", uniques: "", atMs: 0 });
    }
    this.starting = false;
    if (!this.exhausted || this.running > 0 || this.waiting.length > 0 || this.over) return;
    this.over = true;
    this.options.ended();
  }

  private look(each: Case): void {
    this.running++;
    each.looks++;
    new Look(each.place, (verdict, uniques) => this.looked(each, verdict, uniques)).start();
  }

  private looked(each: Case, verdict: Verdict, uniques: string): void {
    this.running--;
    const still = each.looks > 1 && each.uniques === uniques;
    each.verdict = verdict;
    each.uniques = uniques;
    if (verdict === "equal") this.settle(each, "equal", null);
    else if (verdict === "failed") this.again(each, "failed");
    else if (this.options.twice && !still) this.again(each, "changing");
    else if (this.options.mends(verdict)) this.mend(each);
    else this.settle(each, verdict, null);
  }

  private mend(each: Case): void {
    const { pair, key, laneIndex } = each.place;
    this.running++;
    new Sync(pair, key, laneIndex, pair.leadOf(key), (outcome) => {
      this.running--;
      // Found equal by what Sync compares, or not done: only another look can tell.
      if (outcome === "failed" || outcome === "turned" || outcome === "equal") this.again(each, each.verdict, "failed");
      else this.settle(each, each.verdict, outcome);
    }).start();
  }

  /** Another look later; when there were enough of them, this is how it ends. */
  private again(each: Case, verdict: Verdict, mended: SyncOutcome | null = null): void {
    if (this.stopped) return this.run();
    if (each.looks >= LOOKS_MAX) return this.settle(each, verdict, mended);
    each.atMs = this.nowMs + PAUSE_MS * each.looks;
    this.waiting.push(each);
    this.run();
  }

  private settle({ place }: Case, verdict: Verdict, mended: SyncOutcome | null): void {
    this.options.told(place, verdict, mended);
    this.run();
  }
}
