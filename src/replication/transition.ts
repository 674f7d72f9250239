// From one set of rings to another while clients go on, without a cold cache: one ring changes at a time, and the other
// ring, which holds every key as well, answers until the servers that gained keys hold them. Nothing is asked at an old
// place, and nothing old can come up again: what a server came with is compared like anything else.
//
//   waiting: the other side is up and lacks nothing
//     ─▶ purging: what servers that stay hold of keys which they gain is removed: it is old, whoever fails later
//     ─▶ turning: its servers lead nothing; commands that they decide end, and those that wait behind them
//     ─▶ the ring is replaced, servers that gain keys lead nothing ─▶ settling: requests that were under way end
//     ─▶ filling: they are given all that their peers hold ─▶ the other ring
//           └─ one of them, or who is to give it something, is away for too long: it leads nothing until it comes and is filled
//
// Other proxies over the same servers, and the other workers, take each step with us (steps.ts): while one of them uses the
// old ring and another the new one, all read from and decide on the side that stays, and all write there.
//
// Without backups there is nobody else: keys that move are misses, also where an older value of them lies.
import type { Server } from "../backend/server.ts";
import type { Log } from "../observe/log.ts";
import type { Ring } from "../ring/ring.ts";
import { BACKUP, other, type Pair, PRIMARY, type Side } from "./pair.ts";
import { FILLED, REPLACED, SETTLED, TURNED } from "./proxies/steps.ts";

/** A server as the settings name it. */
export interface RingServerSpec {
  readonly label: string;
  readonly weight?: number;
  readonly zone?: string;
}

/** One ring that is to be replaced. */
export interface RingChange<Spec extends RingServerSpec = RingServerSpec> {
  readonly side: Side;
  readonly servers: readonly Spec[];
  /** Null: no such ring any more. */
  readonly ring: Ring | null;
  /** Servers that stay may get keys that were others'. */
  readonly shifts: boolean;
}

/** What a transition needs of its pool. */
export interface Changing<Spec extends RingServerSpec> {
  readonly primaries: readonly Server[];
  readonly backups: readonly Server[];
  readonly pairs: readonly Pair[];
  readonly uploads: ReadonlySet<object>;
  readonly log: Log;
  /** How long a request may be under way, at most, ms. */
  readonly requestMs: number;
  /** Puts it in place; answers with the servers that are new. */
  replaceRing(change: RingChange<Spec>): readonly Server[];
  /**
   * Removes what servers hold of keys that this change gives them; those that are new are compared instead when the other
   * side is sure. purging: while that is under way.
   */
  purge(change: RingChange<Spec>, sure: boolean): void;
  readonly purging: boolean;
  /** Servers lead nothing though they lack nothing, or may lead again. */
  turn(servers: readonly Server[], away: boolean): void;
  /** A server that stays gains keys: it leads nothing until it was compared. */
  gains(server: Server): void;
  /** Servers that are new, and those that gained keys, are given what they are to hold; inStep: by all proxies together. */
  fill(fresh: readonly Server[], gained: readonly Server[], inStep: boolean): void;
  /** Who keeps these servers, which lead nothing yet, from being filled, in words; null: they are being filled. */
  unfillable(servers: readonly Server[]): string | null;
  /** Each server of the ring in place holds what it is to hold. */
  filled(): void;
  /** Nobody waits any longer until these do: they lead nothing before. */
  leaves(unfilled: readonly Server[]): void;
  /** Which other worker, and which other proxy, has taken fewer steps of this change, in words; null: none. */
  laggingWorker(steps: number): string | null;
  laggingProxy(steps: number): string | null;
  /** Another worker or proxy has taken more steps of this change. */
  isAhead(steps: number): boolean;
  /** We have taken another step. */
  stepped(): void;
}

/** What is waited for so long is worth a word, ms. */
const LONG_MS = 1000;

export const TRANSITION_PHASES = ["waiting", "purging", "turning", "settling", "filling"] as const;

/** A ring by the side that it is of. */
export const RINGS = ["primaries", "backups"] as const;
/** Who waits no longer for servers that are to be filled. */
export const LEFT_UNFILLED = "ring changes without waiting any longer: who is not filled leads nothing until he is";

export class Transition<Spec extends RingServerSpec> {
  phase: (typeof TRANSITION_PHASES)[number] = "waiting";
  /** Steps taken (steps.ts), of all rings. */
  taken = 0;
  /** Rings that are through. */
  private through = 0;
  private atMs = 0;
  private turned: readonly Server[] = [];
  private fresh: readonly Server[] = [];
  private gained: readonly Server[] = [];
  private under: ReadonlySet<object> = new Set();
  private waitsFor = "";
  private told = "";
  private waitsSinceMs: number | null = null;
  /** Nobody was left behind in the change of this ring. */
  private inStep = true;

  /** changes: at least one, in the order in which they are made. */
  constructor(
    private readonly pool: Changing<Spec>,
    private readonly changes: RingChange<Spec>[],
    /** How long a change waits for a side that cannot answer, or for others, ms. */
    private waitMs: number,
  ) {}

  get over(): boolean {
    return this.changes.length === 0;
  }

  /** "primaries filling, then backups"; with what is waited for. */
  get text(): string {
    const [now, ...then] = this.changes.map(({ side }) => RINGS[side]);
    const waits = this.waitsFor === "" ? "" : `${this.phase === "waiting" ? "" : ", waiting"} for ${this.waitsFor}`;
    return `${now} ${this.phase}${waits}${then.length > 0 ? `, then ${then.join(", ")}` : ""}`;
  }

  /** Called every tick, and once at the beginning, so that what need not wait is done at once. */
  tick(nowMs: number): void {
    const change = this.changes[0];
    if (change === undefined) return;
    switch (this.phase) {
      case "waiting":
        if (!this.passes(nowMs, this.obstacle())) return;
        if (change.ring !== null) this.pool.purge(change, !this.solitary(change.side) && this.inStep);
        this.phase = "purging";
        return this.tick(nowMs);
      case "purging":
        if (this.pool.purging) return;
        if (this.alone && this.solitary(change.side)) return this.replace(change, nowMs);
        this.phase = "turning";
        this.turned = change.side === PRIMARY ? this.pool.primaries : this.pool.backups;
        this.pool.turn(this.turned, true);
        this.atMs = nowMs + this.pool.requestMs;
        return;
      case "turning":
        if (nowMs < this.atMs) return;
        this.take(TURNED);
        // Where one has replaced it, who waits goes on to read and write where that one does not: there is no way but forward.
        if (this.pool.isAhead(this.taken) || this.passes(nowMs, this.obstacle())) this.replace(change, nowMs);
        return;
      case "settling":
        if (nowMs < this.atMs || [...this.under].some((upload) => this.pool.uploads.has(upload))) return;
        this.take(SETTLED);
        if (!this.passes(nowMs, this.behind())) return;
        this.phase = "filling";
        this.pool.turn(this.turned, false);
        this.turned = [];
        return this.pool.fill(this.fresh, this.gained, this.inStep);
      case "filling": {
        const unfilled = [...this.fresh, ...this.gained].filter(({ leads }) => !leads);
        if (unfilled.length > 0 && !this.givesUp(nowMs, unfilled)) return;
        if (unfilled.length === 0) {
          this.pool.log.info("ring is in place", { ring: RINGS[change.side], ms: Math.round(nowMs - this.atMs) });
          this.pool.filled();
        } else this.pool.leaves(unfilled);
        this.changes.shift();
        this.phase = "waiting";
        this.inStep = true;
        this.waitsNoMore();
        this.take(FILLED);
        this.through++;
        this.tick(nowMs);
      }
    }
  }

  /** Waits no longer for a side that cannot answer or be filled, nor for others: what only they hold are misses from now on. */
  end(nowMs: number): void {
    this.waitMs = 0;
    this.tick(nowMs);
  }

  /** There is no other side that could answer. */
  private solitary(side: Side): boolean {
    return (side === PRIMARY ? this.pool.backups : this.pool.primaries).length === 0;
  }

  /** Nobody else uses the rings that change. */
  private get alone(): boolean {
    return this.pool.laggingWorker(Infinity) === null && this.pool.laggingProxy(Infinity) === null;
  }

  private take(step: number): void {
    const taken = this.through * FILLED + step;
    if (taken === this.taken) return;
    this.taken = taken;
    this.pool.stepped();
  }

  private replace(change: RingChange<Spec>, nowMs: number): void {
    const { pool } = this;
    const { side, shifts } = change;
    const before = side === PRIMARY ? pool.primaries : pool.backups;
    this.under = new Set(pool.uploads);
    this.fresh = pool.replaceRing(change);
    const after = side === PRIMARY ? pool.primaries : pool.backups;
    const alone = this.solitary(side);
    this.gained = !shifts || alone ? [] : after.filter((server) => before.includes(server));
    for (const server of this.gained) pool.gains(server);
    this.atMs = nowMs + (alone ? 0 : pool.requestMs);
    this.phase = "settling";
    this.waitsNoMore();
    this.take(REPLACED);
    pool.log[alone ? "warn" : "info"](alone ? "ring changes; without backups keys that move are misses" : "ring changes", {
      ring: RINGS[side], servers: after.map(({ label }) => label).join(","), filled: [...this.fresh, ...this.gained].map(({ label }) => label).join(",") || "none",
    });
    // Nobody answers for the new ones meanwhile.
    if (alone) this.tick(nowMs);
  }

  /** Who keeps those that gained keys from being given them: that was waited for long enough, they are left to their return. */
  private givesUp(nowMs: number, unfilled: readonly Server[]): boolean {
    const obstacle = this.pool.unfillable(unfilled);
    if (obstacle !== null) return this.passes(nowMs, obstacle);
    this.waitsNoMore();
    return false;
  }

  /** Nothing is in the way, or it was waited for long enough; other workers always come. */
  private passes(nowMs: number, obstacle: string | null): boolean {
    const ring = RINGS[this.changes[0]!.side];
    const worker = this.pool.laggingWorker(this.taken);
    const waitsFor = obstacle ?? worker;
    if (waitsFor !== null) {
      this.waitsFor = waitsFor;
      this.waitsSinceMs ??= nowMs;
      if (worker !== null || nowMs - this.waitsSinceMs < this.waitMs) {
        if (waitsFor !== this.told && nowMs - this.waitsSinceMs >= LONG_MS) {
          this.told = waitsFor;
          this.pool.log.warn("ring change waits", { ring, for: waitsFor, ...(worker === null ? { ended_by: "tandem transition end" } : {}) });
        }
        return false;
      }
      this.inStep = false;
      this.pool.log.warn(
        this.phase === "filling" ? LEFT_UNFILLED : "ring changes without waiting any longer: what is not held elsewhere are misses", { ring, for: waitsFor });
    }
    this.waitsNoMore();
    return true;
  }

  private waitsNoMore(): void {
    this.waitsFor = this.told = "";
    this.waitsSinceMs = null;
  }

  /** Another proxy that was not left behind. */
  private behind(): string | null {
    return this.inStep ? this.pool.laggingProxy(this.taken) : null;
  }

  /** Why this ring cannot change yet: the other side cannot answer for it, or others were not told; null: it can. */
  private obstacle(): string | null {
    const side = this.changes[0]!.side, theirs = other(side);
    for (const server of theirs === BACKUP ? this.pool.backups : this.pool.primaries) {
      if (!server.leads || server.state !== "up") return `${server.label}, which is ${server.state}`;
      if (server.drained) return `${server.label}, which is drained`;
      if (server.fenced) return `${server.label}, which another proxy does not trust`;
      if (server.doubted) return `${server.label}, which another worker does not trust`;
    }
    for (const pair of this.pool.pairs) {
      if (pair.server(theirs) !== null && pair.isBehind(theirs)) return `${pair.server(theirs)!.label}, which lacks writes`;
    }
    return this.behind();
  }
}
