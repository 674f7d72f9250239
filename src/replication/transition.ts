// From one set of rings to another while clients go on, without a cold cache: one ring changes at a time, and the other
// ring, which holds every key as well, answers until the servers that gained keys hold them. Nothing is asked at an old
// place, and nothing old can come up again: what a server came with is compared like anything else.
//
//   waiting: the other side is up and lacks nothing ─▶ the ring is replaced; servers that gain keys lead nothing
//   settling: requests that were under way end ─▶ filling: they are given all that their peers hold ─▶ the other ring
//
// Without backups there is nobody else: keys that move are misses.
import type { Server } from "../backend/server.ts";
import type { Log } from "../observe/log.ts";
import type { Ring } from "../ring/ring.ts";
import { BACKUP, other, type Pair, PRIMARY, type Side } from "./pair.ts";

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
  /** Puts it in place; answers with the servers that are new and not started yet. */
  replaceRing(change: RingChange<Spec>): readonly Server[];
  /** A server that stays gains keys: it leads nothing until it was compared. */
  gains(server: Server): void;
  fill(server: Server): void;
}

export const TRANSITION_PHASES = ["waiting", "settling", "filling"] as const;

const ROLES = ["primaries", "backups"] as const;

export class Transition<Spec extends RingServerSpec> {
  phase: (typeof TRANSITION_PHASES)[number] = "waiting";
  private atMs = 0;
  private fresh: readonly Server[] = [];
  private gained: readonly Server[] = [];
  private under: ReadonlySet<object> = new Set();
  private told = "";
  private waitsSinceMs: number | null = null;

  /** changes: at least one, in the order in which they are made. */
  constructor(
    private readonly pool: Changing<Spec>,
    private readonly changes: RingChange<Spec>[],
    /** How long a change waits for a side that cannot answer, ms. */
    private waitMs: number,
  ) {}

  get over(): boolean {
    return this.changes.length === 0;
  }

  /** "primaries filling, then backups"; with what is waited for. */
  get text(): string {
    const [now, ...then] = this.changes.map(({ side }) => ROLES[side]);
    const waits = this.phase === "waiting" ? ` for ${this.obstacle() ?? "nothing"}` : "";
    return `${now} ${this.phase}${waits}${then.length > 0 ? `, then ${then.join(", ")}` : ""}`;
  }

  /** Called every tick, and once at the beginning, so that what need not wait is done at once. */
  tick(nowMs: number): void {
    const change = this.changes[0];
    if (change === undefined) return;
    if (this.phase === "waiting") {
      const obstacle = this.obstacle();
      if (obstacle === null) return this.begin(change, nowMs);
      this.waitsSinceMs ??= nowMs;
      if (nowMs - this.waitsSinceMs < this.waitMs) return this.tell(obstacle);
      this.pool.log.warn("ring changes without waiting any longer: what is not held elsewhere are misses", { ring: ROLES[change.side], for: obstacle });
      this.begin(change, nowMs);
    } else if (this.phase === "settling") {
      if (nowMs < this.atMs || [...this.under].some((upload) => this.pool.uploads.has(upload))) return;
      this.phase = "filling";
      for (const server of this.fresh) server.start();
      for (const server of this.gained) this.pool.fill(server);
    } else if ([...this.fresh, ...this.gained].every(({ leads }) => leads)) {
      this.pool.log.info("ring is in place", { ring: ROLES[change.side], ms: Math.round(nowMs - this.atMs) });
      this.changes.shift();
      this.phase = "waiting";
      this.told = "";
      this.waitsSinceMs = null;
      this.tick(nowMs);
    }
  }

  /** Waits no longer for a side that cannot answer: what only it holds are misses from now on. */
  end(nowMs: number): void {
    this.waitMs = 0;
    this.tick(nowMs);
  }

  private begin(change: RingChange<Spec>, nowMs: number): void {
    const { pool } = this;
    const { side, shifts } = change;
    const before = side === PRIMARY ? pool.primaries : pool.backups;
    this.under = new Set(pool.uploads);
    this.fresh = pool.replaceRing(change);
    const after = side === PRIMARY ? pool.primaries : pool.backups;
    const alone = (side === PRIMARY ? pool.backups : pool.primaries).length === 0;
    this.gained = !shifts || alone ? [] : after.filter((server) => before.includes(server));
    for (const server of this.gained) pool.gains(server);
    this.atMs = nowMs + (alone ? 0 : pool.requestMs);
    this.phase = "settling";
    pool.log[alone ? "warn" : "info"](alone ? "ring changes; without backups keys that move are misses" : "ring changes", {
      ring: ROLES[side], servers: after.map(({ label }) => label).join(","), filled: [...this.fresh, ...this.gained].map(({ label }) => label).join(",") || "none",
    });
    // Nobody answers for the new ones meanwhile.
    if (alone) this.tick(nowMs);
  }

  /** Why the other side cannot answer for this one yet; null: it can. */
  private obstacle(): string | null {
    const side = this.changes[0]!.side, theirs = other(side);
    for (const server of theirs === BACKUP ? this.pool.backups : this.pool.primaries) {
      if (!server.leads || server.state !== "up") return `${server.label}, which is ${server.state}`;
      if (server.drained) return `${server.label}, which is drained`;
      if (server.fenced) return `${server.label}, which another proxy does not trust`;
    }
    for (const pair of this.pool.pairs) {
      if (pair.server(theirs) !== null && (pair.lacking[theirs] > 0 || pair.overflow[theirs])) return `${pair.server(theirs)!.label}, which lacks writes`;
    }
    return null;
  }

  private tell(obstacle: string): void {
    if (obstacle === this.told) return;
    this.told = obstacle;
    this.pool.log.warn("ring change waits", { ring: ROLES[this.changes[0]!.side], for: obstacle });
  }
}
