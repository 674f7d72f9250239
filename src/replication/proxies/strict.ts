// --strict: no read through one proxy is older than what another one has acknowledged, and two proxies never decide on
// different sides. What it takes:
//
//   own distrust fences for ourselves too · the primary leads only while the board of its peer was read just now ·
//   a write that one side took is acknowledged once everybody must have read that the other side is fenced, and only
//   if the side that took it still holds it · conditional commands wait while a change of lead is that young
//
// The time that everybody needs: a poll, the age of a view that counts, and a request under way. Nobody waits without
// end: what is not settled in time is answered as unknown.
import { equal } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import type { Server } from "../../backend/server.ts";
import { Expect, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import type { Board } from "./board.ts";
import { putText } from "../compose.ts";
import { addChunk, type Held, heldFrom, heldWithoutValue } from "../copying/held.ts";
import { BACKUP, other, type Pair, PRIMARY, type Side, type Strictness } from "../pair.ts";
import type { Siblings } from "./siblings.ts";

/** How old a view of the board may be that counts, ms. */
export const VIEW_MS = 500;
/** What a wait may last beyond the time that everybody needs, ms. */
const PATIENCE_MS = 1500;

/** For how long our writes are remembered, at least, ms: longer than any of them may take to be settled. */
const REMEMBER_MS = 30_000;

/** A write that one side took, or a command that waits for the lead. */
interface Wait {
  readonly untilMs: number;
  /** Null while there is nothing to say; then it is over. */
  look(): boolean | null;
  readonly done: (ok: boolean) => void;
}

/** Whether what a side holds shows that a write is there. */
export type Proof = (held: Held | null) => boolean;

interface Latest {
  readonly serial: number;
  /** Null: not known yet, or which sides took it is not. Once it is settled nothing of the write itself is kept. */
  proof: Proof | null;
}

/** It was there. */
const THERE: Proof = () => true;

export interface StrictWorld {
  readonly nowMs: number;
  readonly settleMs: number;
  readonly servers: readonly Server[];
  readonly pairs: readonly Pair[];
}

export class Strict implements Strictness {
  private waits: Wait[] = [];
  /** Our latest write of each key, of late and before; what is older is settled. */
  private late = new Map<string, Latest>();
  private before = new Map<string, Latest>();
  private serial = 0;
  private turnMs = 0;
  private readonly pairsOf = new Map<Server, { readonly pair: Pair; readonly side: Side }[]>();

  /**
   * timed: other proxies must have read what we post, which takes its time. siblings: other workers of ours, who are told.
   * At least one of them.
   */
  constructor(
    private readonly world: StrictWorld, private readonly board: Board,
    private readonly timed: boolean, private readonly siblings: Siblings | null,
  ) {
    if (siblings !== null) siblings.onHeard = () => this.look();
    this.ringsChanged();
  }

  /** Those who left are known until their last requests have ended. */
  ringsChanged(): void {
    for (const server of this.world.servers) this.pairsOf.set(server, []);
    for (const pair of this.world.pairs) {
      this.pairsOf.get(pair.primary)!.push({ pair, side: PRIMARY });
      this.pairsOf.get(pair.backup!)!.push({ pair, side: BACKUP });
    }
  }

  /** Nothing is under way on it any more. */
  left(server: Server): void {
    this.pairsOf.delete(server);
  }

  /** We complain about it. */
  distrusts(server: Server): boolean {
    if (server.state === "down" || server.state === "rejoin" || server.cold) return true;
    const pairs = this.pairsOf.get(server);
    if (pairs === undefined) return true; // it has left the rings
    for (let i = 0; i < pairs.length; i++) {
      const { pair, side } = pairs[i]!;
      if (pair.isBehind(side)) return true;
    }
    return false;
  }

  /**
   * Nobody can have told us on the other side, within the time that counts, that this one is not to be trusted. A backup
   * leads where the primary cannot: of that one it is enough that we have met it, or cannot.
   */
  wellKnown(pair: Pair, side: Side): boolean {
    if (!this.timed) return true; // our siblings tell us
    if (side === BACKUP) return !pair.isUnmet(PRIMARY);
    const backup = pair.backup!;
    if (backup.state !== "down") return this.fresh(backup);
    // Its peer is away: any other server carries the same notices. One that we are just meeting may be the only one.
    let others = pair.isUnmet(BACKUP);
    for (const server of this.world.servers) {
      if (server === pair.primary || server.state === "down") continue;
      if (this.fresh(server)) return true;
      others = true;
    }
    return !others;
  }

  private fresh(server: Server): boolean {
    return this.world.nowMs - this.board.viewMs(server) < VIEW_MS;
  }

  /** A conditional command may be sent to the pair's lead. */
  mayDecide(pair: Pair): boolean {
    return (this.siblings === null || this.siblings.mayDecide(pair)) && (!this.timed || this.mayDecideNow(pair));
  }

  private mayDecideNow(pair: Pair): boolean {
    const { nowMs, settleMs } = this.world;
    pair.watchLead(nowMs);
    if (nowMs - pair.leadSinceMs < settleMs) return false;
    const lead = pair.usualLead;
    if (lead === -1) return true; // it fails by itself
    const replica = pair.server(other(lead))!;
    return !this.distrusts(replica) || this.known(replica);
  }

  /** Tells done once a conditional command may be sent; false: it took too long. */
  hold(pair: Pair, done: (ok: boolean) => void): void {
    this.waits.push({ untilMs: this.deadline(), look: () => (this.mayDecide(pair) ? true : null), done });
  }

  /** A write of ours is sent; returns its number. Earlier ones of the key need not be there any more. */
  wrote(key: string): number {
    // Among siblings alone it is taken for lost when a later write of ours has replaced it: that is not worth a map of all.
    if (!this.timed) return 0;
    this.late.set(key, { serial: ++this.serial, proof: null });
    return this.serial;
  }

  /** Both sides took a write of ours, of this number: it need not be there any more. */
  tookBoth(key: string, serial: number): void {
    this.proves(key, serial, THERE);
  }

  private proves(key: string, serial: number, proof: Proof | null): void {
    const latest = this.latest(key);
    if (latest !== undefined && latest.serial === serial) latest.proof = proof;
  }

  private latest(key: string): Latest | undefined {
    return this.late.get(key) ?? this.before.get(key);
  }

  /** A later write of ours than the one of this number is there. */
  private isReplaced(key: string, serial: number, held: Held | null): boolean {
    const latest = this.latest(key);
    return latest !== undefined && latest.serial > serial && latest.proof !== null && latest.proof(held);
  }

  /**
   * One side took a write of ours, of this number (0: none that could take another's place), that the other lacks. done(true)
   * once everybody must know, and that side holds it still (or a later write of ours); done(false): not known in time, or it
   * is gone, or others distrust that side. A later one of which that is not known is no proof: another proxy may have removed both.
   */
  settle(
    pair: Pair, key: string, laneIndex: number, took: Side, serial: number,
    proof: Proof, done: (ok: boolean) => void,
  ): void {
    this.proves(key, serial, proof);
    const lacking = pair.server(other(took))!, holder = pair.server(took)!;
    if (this.timed) this.board.soon();
    const told = this.siblings?.latest ?? 0;
    const known = (): boolean => (!this.timed || this.known(lacking)) && (this.siblings === null || this.siblings.knows(told));
    // Others distrust the side that took it, and may be making it like the one that we distrust.
    const disputed = (): boolean => this.timed && holder.fenced;
    let asked = false;
    let verdict: boolean | null = null;
    const look = (): boolean | null => {
      if (asked) return verdict;
      // Repaired meanwhile: both sides have it, or what replaced it.
      if (!known() && pair.stale.get(key)?.side === other(took)) return null;
      if (disputed()) return null;
      asked = true;
      new StillThere(pair, key, laneIndex, took, (held) => {
        verdict = held !== "failed" && !disputed() && (proof(held) || this.isReplaced(key, serial, held));
        if (!this.timed) this.look();
      }).start();
      return verdict;
    };
    const settled = (ok: boolean): void => {
      this.proves(key, serial, ok ? THERE : null);
      done(ok);
    };
    this.waits.push({ untilMs: this.deadline(), look, done: settled });
  }

  /** Called every tick. */
  tick(now: number): void {
    this.siblings?.look();
    this.look();
    if (now < this.turnMs) return;
    this.turnMs = now + REMEMBER_MS;
    this.before = this.late;
    this.late = new Map();
  }

  /** Ends the waits that may end. */
  private look(): void {
    if (this.looking || this.waits.length === 0) return;
    this.looking = true;
    const now = this.world.nowMs;
    const over: [Wait, boolean][] = [];
    const waits = this.waits;
    this.waits = [];
    const kept = waits.filter((wait) => {
      const verdict = wait.look() ?? (now > wait.untilMs ? false : null);
      if (verdict === null) return true;
      over.push([wait, verdict]);
      return false;
    });
    this.waits = [...kept, ...this.waits];
    this.looking = false;
    for (const [wait, verdict] of over) wait.done(verdict);
  }
  private looking = false;

  /** Whether what was written must be known by its version. */
  get remembers(): boolean {
    return this.timed;
  }

  /** All our siblings know what we know now; done(false): not in time. */
  whenKnown(done: (ok: boolean) => void): void {
    const { siblings } = this;
    if (siblings === null) return done(true);
    const told = siblings.latest;
    this.waits.push({ untilMs: this.deadline(), look: () => (siblings.knows(told) ? true : null), done });
  }

  private deadline(): number {
    return this.world.nowMs + this.world.settleMs + PATIENCE_MS;
  }

  /** Our complaint about a server stands for so long that everybody has read it. */
  private known(server: Server): boolean {
    return this.world.nowMs - this.board.postedMs(server) >= this.world.settleMs;
  }
}

/** Reads what a side holds of a key now. */
class StillThere extends SilentCaller {
  private held: Held | null = null;

  constructor(
    private readonly pair: Pair,
    private readonly key: string,
    private readonly laneIndex: number,
    private readonly side: Side,
    private readonly done: (held: Held | null | "failed") => void,
  ) {
    super();
  }

  start(): void {
    const lane = this.pair.server(this.side)!.lanes[this.laneIndex]!;
    if (!lane.ready) return this.done("failed");
    putText(lane.out, `mg ${this.key} v f t c\r\n`);
    lane.expect(Expect.META, this, 0);
  }

  override onValue(_role: number, value: ValueView): boolean {
    this.held = heldFrom(value);
    if (!value.partial) this.done(this.held);
    return true;
  }
  override onChunk(_role: number, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    addChunk(this.held!, bytes, start, end);
    if (last) this.done(this.held);
  }
  override onReply(_role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    if (status === Status.EN) this.done(null);
    else this.done(status === Status.HD ? heldWithoutValue(bytes, start, end) : "failed");
  }
  override onFailure(): void {
    this.done("failed");
  }
}

/** Whether a side holds the version, or a later one of somebody's. */
export function holdsVersion(version: string): Proof {
  return (held) => held !== null && held.cas.length === version.length && held.cas >= version;
}

/** Whether a side holds bytes[start, end), CR LF included. */
export function holdsData(bytes: Uint8Array, start: number, end: number): Proof {
  return (held) => held !== null && held.data.length === end - start && equal(held.data, 0, bytes, start, end - start);
}
