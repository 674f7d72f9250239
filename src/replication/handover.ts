// From one ring to another where there are no backups, without a cold cache: for a while each key that moves is at two
// places, as if the new ring were one of backups. Its old place leads, writes reach both, and the new place is given
// all that the old one holds; then the new one leads, and takes over. A key that stays is at its one place throughout.
//
//   settling: requests that are under way at one place alone end
//     ─▶ filling: what moves is copied to its new place, from which what lies there from an earlier time is removed first
//     ─▶ filled: for as long as the settings say, so that other proxies over these servers may be told meanwhile: they
//        all read from the old place, and those who know write to both
//     ─▶ purging: only where a new place did not get all writes and is not waited for any longer
//     ─▶ turning: the new place leads, commands that the old one decides end; back where it missed something meanwhile
//     ─▶ pausing: no client is read, so that nothing is under way ─▶ the new ring is the ring
//
// The pause is for servers of both rings: what a client asked of one over its connection as a new place must not be
// overtaken by what it asks next over the other one. It is a round trip long.
import type { Server } from "../backend/server.ts";
import type { Log } from "../observe/log.ts";
import type { Pair } from "./pair.ts";
import { BACKUP } from "./pair.ts";
import type { RingChange, RingServerSpec } from "./transition.ts";

/** What a handover needs of its pool. */
export interface HandingOver<Spec extends RingServerSpec> {
  readonly primaries: readonly Server[];
  readonly backups: readonly Server[];
  readonly pairs: readonly Pair[];
  readonly uploads: ReadonlySet<object>;
  readonly log: Log;
  /** How long a request may be under way, at most, ms. */
  readonly requestMs: number;
  /** The new ring stands beside the old one. */
  stand(change: RingChange<Spec>): readonly Server[];
  fill(fresh: readonly Server[], gained: readonly Server[], inStep: boolean): void;
  /** Who keeps these servers, which lead nothing yet, from being filled, in words; null: they are being filled. */
  unfillable(servers: readonly Server[]): string | null;
  /** These are given nothing more: what they hold counts, and what does not is removed, or will be when they come. */
  leaveOff(change: RingChange<Spec>, servers: readonly Server[]): void;
  readonly purging: boolean;
  turn(servers: readonly Server[], away: boolean): void;
  /** No client is read, or all are again. */
  halt(halted: boolean): void;
  /** The new ring takes over. */
  takeOver(change: RingChange<Spec>): void;
}

/** What is waited for so long is worth a word, ms. */
const LONG_MS = 1000;
/** No client waits longer than this for what others have under way, ms. */
const PAUSE_MS = 100;
/** What new places miss although nobody waits for them is removed so often before the turn. */
const AGAIN_MAX = 3;

export class Handover<Spec extends RingServerSpec> {
  phase: "settling" | "filling" | "filled" | "purging" | "turning" | "pausing" | "over" = "settling";
  /** No other proxy waits for these (steps.ts). */
  readonly taken = 0;
  private under: ReadonlySet<object> = new Set();
  private fresh: readonly Server[] = [];
  private begunMs = 0;
  private atMs = 0;
  private nowMs = 0;
  private ended = false;
  /** All keys that move were at both places once. */
  private filled = false;
  /** How often what was missed was removed. */
  private again = 0;
  /** Servers that lack something are waited for no longer. */
  private leftOff = false;
  private waitsFor = "";
  private told = "";
  private waitsSinceMs: number | null = null;

  /** waitMs: how long both places are kept, at least, and how long a server that is away is waited for. */
  constructor(private readonly pool: HandingOver<Spec>, private readonly change: RingChange<Spec>, private readonly waitMs: number) {}

  get over(): boolean {
    return this.phase === "over";
  }

  /** "primaries filling"; with what is waited for. */
  get text(): string {
    const { phase } = this;
    if (phase === "filled") return `primaries filled, old places are kept for ${Math.ceil(Math.max(0, this.begunMs + this.waitMs - this.nowMs) / 1000)} s`;
    return `primaries ${phase}${this.waitsFor === "" ? "" : `, waiting for ${this.waitsFor}`}`;
  }

  /** Both places are kept no longer: what is not at its new one is a miss from now on. */
  end(nowMs: number): void {
    this.ended = true;
    this.tick(nowMs);
  }

  /** Called every tick, and once at the beginning. */
  tick(nowMs: number): void {
    this.nowMs = nowMs;
    const { pool } = this;
    switch (this.phase) {
      case "settling":
        if (this.fresh.length === 0) return this.begin();
        if (nowMs < this.atMs || this.busy) return;
        this.phase = "filling";
        return pool.fill(this.fresh, [], false);
      case "filling":
      case "filled":
        return this.look();
      case "purging":
        return pool.purging ? undefined : this.turn();
      case "turning":
        if (nowMs < this.atMs || this.busy || this.missed()) return;
        this.phase = "pausing";
        this.atMs = nowMs + PAUSE_MS;
        pool.halt(true);
        return this.tick(nowMs);
      case "pausing":
        if (nowMs < this.atMs && this.underWay) return;
        if (this.missed()) return pool.halt(false);
        this.phase = "over";
        pool.takeOver(this.change);
        pool.halt(false);
        pool.log.info("ring is in place", { ring: "primaries", ms: Math.round(nowMs - this.begunMs) });
    }
  }

  private begin(): void {
    const { pool, change, nowMs } = this;
    this.begunMs = nowMs;
    this.wait();
    this.fresh = pool.stand(change);
    pool.log.info("ring changes", { ring: "primaries", servers: change.servers.map(({ label }) => label).join(","), old_places: `kept for ${this.waitMs / 1000} s` });
  }

  /** Until whatever is under way now has ended. */
  private wait(): void {
    this.under = new Set(this.pool.uploads);
    this.atMs = this.nowMs + this.pool.requestMs;
  }

  private get busy(): boolean {
    return [...this.under].some((upload) => this.pool.uploads.has(upload));
  }

  /** A new place has missed something since the turn: it is given that first, or what is old there is removed. */
  private missed(): boolean {
    const { pool, lacking } = this;
    if (lacking.length === 0) return false;
    if (this.leftOff) {
      pool.leaveOff(this.change, lacking);
      if (!pool.purging || ++this.again > AGAIN_MAX) return false;
    }
    this.phase = this.leftOff ? "purging" : "filling";
    pool.turn(pool.primaries, false);
    return true;
  }

  /** Anything but large values, which have connections of their own. */
  private get underWay(): boolean {
    const { primaries, backups, pairs } = this.pool;
    const idle = ({ lanes }: Server): boolean => lanes.every(({ inFlight, out }) => inFlight.count === 0 && out.total === 0);
    return ![...primaries, ...backups].every(idle) || pairs.some(({ locks }) => locks.size > 0);
  }

  private look(): void {
    const { pool, nowMs } = this;
    const lacking = this.lacking;
    const obstacle = lacking.length === 0 ? null : pool.unfillable(lacking);
    this.waitsFor = obstacle ?? "";
    if (obstacle === null) this.waitsSinceMs = null;
    else this.tell(obstacle);
    if (lacking.length === 0) {
      if (!this.filled) pool.log.info("ring is filled", { ring: "primaries", ms: Math.round(nowMs - this.begunMs) });
      this.phase = "filled";
      this.filled = true;
      if (this.ended || nowMs - this.begunMs >= this.waitMs) this.turn();
      return;
    }
    this.phase = "filling";
    if (!this.ended && (obstacle === null || nowMs - this.waitsSinceMs! < this.waitMs)) return;
    pool.log.warn("ring changes without waiting any longer: what is not held elsewhere are misses", { ring: "primaries", for: obstacle ?? "keys that are copied" });
    this.waitsFor = "";
    this.phase = "purging";
    this.leftOff = true;
    pool.leaveOff(this.change, lacking);
    this.tick(nowMs);
  }

  private tell(obstacle: string): void {
    this.waitsSinceMs ??= this.nowMs;
    if (obstacle === this.told || this.nowMs - this.waitsSinceMs < LONG_MS) return;
    this.told = obstacle;
    this.pool.log.warn("ring change waits", { ring: "primaries", for: obstacle, ended_by: "tandem transition end" });
  }

  /** Servers of the new ring that do not hold all that they are to hold. */
  private get lacking(): readonly Server[] {
    const { pairs, backups } = this.pool;
    return backups.filter((server) => !server.leads || server.state !== "up" || pairs.some((pair) => pair.backup === server && pair.isBehind(BACKUP)));
  }

  private turn(): void {
    this.phase = "turning";
    this.pool.turn(this.pool.primaries, true);
    this.wait();
  }
}
