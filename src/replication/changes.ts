// Other settings for a pool at work: what holds at once, the rings that change one after the other (transition.ts), and
// the servers that leave once nothing is under way on them any more.
import type { Server } from "../backend/server.ts";
import type { Log } from "../observe/log.ts";
import { BACKUP, type Pair, PRIMARY } from "./pair.ts";
import type { Pool } from "./pool.ts";
import type { PoolOptions, PoolServer } from "./pool_options.ts";
import type { IsOld } from "./copying/purge.ts";
import type { Steps } from "./proxies/steps.ts";
import { type Changing, LEFT_UNFILLED, type RingChange, RINGS, Transition } from "./transition.ts";

/** A server that left may have requests under way for so long, ms: a large value at its client's pace. */
const LEAVING_MS = 60_000;
/** What the notice of a deadline may be late, ms. */
const LATE_MS = 100;

export class Changes implements Changing<PoolServer> {
  /** From one set of rings to another; null: none is under way. */
  transition: Transition<PoolServer> | null = null;
  /** The rings before it. */
  private from = "";
  /** Servers of no ring any more, and since when. */
  private readonly leaving = new Map<Server, number>();

  constructor(private readonly pool: Pool) {}

  get primaries(): readonly Server[] {
    return this.pool.primaries;
  }
  get backups(): readonly Server[] {
    return this.pool.backups;
  }
  get pairs(): readonly Pair[] {
    return this.pool.pairs;
  }
  get uploads(): ReadonlySet<object> {
    return this.pool.uploads;
  }
  get log(): Log {
    return this.pool.log;
  }
  /** With a change of sides. */
  get requestMs(): number {
    const { connectTimeoutMs, requestTimeoutMs } = this.pool.options;
    return 2 * (connectTimeoutMs + requestTimeoutMs) + LATE_MS;
  }

  /** Lanes, board and strictness are as before. */
  begin(options: PoolOptions, changes: RingChange<PoolServer>[]): void {
    const { primaries, backups, primaryRing, backupRing, rings } = this.pool.options;
    const zoned = (now: readonly PoolServer[], then: readonly PoolServer[]): PoolServer[] =>
      now.map((server) => then.find(({ label }) => label === server.label) ?? server);
    this.pool.settle({ ...options, primaries: zoned(primaries, options.primaries), backups: zoned(backups, options.backups), primaryRing, backupRing });
    if (changes.length === 0) return;
    if (this.left) this.doubted = []; // what is written down by now is another change
    this.from = rings;
    this.transition = new Transition(this, changes, options.transitionMs);
    this.stepped();
    this.transition.tick(this.pool.nowMs);
  }

  /** Rings are changing, or what an earlier process began is compared. */
  get under(): boolean {
    return this.transition !== null || (this.doubted.length > 0 && !this.left);
  }

  get steps(): Steps {
    const to = this.pool.options.rings;
    return this.transition === null ? { from: to, to, taken: 0 } : { from: this.from, to, taken: this.transition.taken };
  }

  isAhead(steps: number): boolean {
    return this.pool.siblings?.isAhead(steps) === true || this.pool.board?.isAhead(steps) === true;
  }

  laggingWorker(steps: number): string | null {
    return this.pool.siblings?.lagging(steps) ?? null;
  }

  laggingProxy(steps: number): string | null {
    return this.pool.board?.lagging(steps) ?? null;
  }

  stepped(): void {
    this.pool.board?.soon();
    this.pool.siblings?.tell();
  }

  purge({ side, servers, ring, shifts }: RingChange<PoolServer>, sure: boolean): void {
    const { pool } = this;
    const before = side === PRIMARY ? pool.primaries : pool.backups;
    const now = side === PRIMARY ? pool.options.primaryRing : pool.options.backupRing;
    for (const [index, { label }] of servers.entries()) {
      const at = before.findIndex((each) => each.label === label);
      const isOld: IsOld = (bytes, start, end) =>
        ring!.ownerOfHash(ring!.hash(bytes, start, end)) === index && (at === -1 || now!.ownerOfHash(now!.hash(bytes, start, end)) !== at);
      if (at !== -1 && shifts) this.purgeStaying(before[at]!, isOld);
      else if (at === -1 && !sure) this.young.set(label, isOld);
    }
  }
  /** What servers that are not there yet must not hold when they come. */
  private readonly young = new Map<string, IsOld>();

  private purgeStaying(server: Server, isOld: IsOld): void {
    const { comebacks } = this.pool;
    // One that has been away since an earlier change holds what was old then.
    const before = comebacks.purges.get(server);
    comebacks.purges.set(server, before === undefined ? isOld : (bytes, start, end) => isOld(bytes, start, end) || before(bytes, start, end));
    if (server.control.ready) comebacks.purge(server, () => {});
  }

  /** One that is away is purged when it comes. */
  get purging(): boolean {
    return [...this.pool.comebacks.purges.keys()].some(({ control }) => control.ready);
  }

  unfillable(servers: readonly Server[]): string | null {
    const { comebacks } = this.pool;
    for (const server of servers) {
      if (server.leads) continue;
      if (server.state === "down") return `${server.label}, which is down`;
      for (const { server: peer, pair } of comebacks.peersOf(server)) {
        if (peer.state !== "down" || !comebacks.isOwed(server, pair)) continue;
        return `${peer.label}, which is down and holds what ${server.label} is to be given`;
      }
    }
    return null;
  }

  filled(): void {
    this.pool.options.keeper?.filled();
  }

  /** An earlier process ended while these were given what they are to hold. */
  resume(servers: readonly Server[]): void {
    this.doubted = servers;
    this.left = false;
    for (const server of servers) this.pool.comebacks.fill(server, false);
  }
  /** Those of which it is written down that they may lack keys, though no transition fills them. */
  private doubted: readonly Server[] = [];
  /** Nobody waits for them. */
  private left = false;
  private stuckSinceMs: number | null = null;

  leaves(unfilled: readonly Server[]): void {
    this.doubted = unfilled;
    this.left = true;
  }

  private lookDoubted(nowMs: number): void {
    const { doubted, pool } = this;
    if (doubted.length === 0) return;
    if (doubted.every(({ leads }) => leads)) {
      this.doubted = [];
      if (this.transition === null) pool.options.keeper?.over();
      else this.filled();
      return pool.log.info("ring is in place", { ring: this.nameOf(doubted) });
    }
    if (this.left) return;
    const obstacle = this.unfillable(doubted);
    this.stuckSinceMs = obstacle === null ? null : this.stuckSinceMs ?? nowMs;
    if (this.stuckSinceMs !== null && nowMs - this.stuckSinceMs >= pool.options.transitionMs) this.leave(obstacle!);
  }

  private leave(obstacle: string): void {
    this.left = true;
    this.pool.log.warn(LEFT_UNFILLED, { ring: this.nameOf(this.doubted), for: obstacle });
  }

  private nameOf(servers: readonly Server[]): string {
    return RINGS[this.pool.comebacks.sideOf(servers[0]!)];
  }

  /** How far it is, in words; "": no rings are changing. */
  get text(): string {
    if (!this.under) return "";
    if (this.transition !== null) return this.transition.text;
    const obstacle = this.unfillable(this.doubted);
    return `${this.nameOf(this.doubted)} filling${obstacle === null ? "" : `, waiting for ${obstacle}`}`;
  }

  turn(servers: readonly Server[], away: boolean): void {
    for (const server of servers) server.turned = server.doubted = away;
    if (this.pool.siblings === null) this.pool.leadsChanged();
    else this.pool.siblings.refence();
  }

  /** Waits no longer for servers that are away. */
  hasten(): void {
    this.transition?.end(this.pool.nowMs);
    this.lookOver();
    const obstacle = this.under && this.transition === null ? this.unfillable(this.doubted) : null;
    if (obstacle !== null) this.leave(obstacle);
  }

  replaceRing(change: RingChange<PoolServer>): readonly Server[] {
    const { pool } = this;
    const old = pool.pairs;
    this.doubted = []; // they were waited for long enough
    pool.options.keeper?.replaces(change.side);
    const { gone, fresh } = pool.setRing(change);
    for (const server of gone) this.leaving.set(server, pool.nowMs);
    for (const server of fresh) {
      pool.comebacks.enters(server);
      const isOld = this.young.get(server.label);
      if (isOld !== undefined) pool.comebacks.purges.set(server, isOld);
      server.start();
    }
    // What a server lacks it lacks wherever the key is now.
    for (const pair of old) {
      for (const { key, server } of pair.takeMoved((each) => pool.pairOf(each) === pair)) {
        const now = pool.pairOf(key);
        if (now.primary === server) now.mark(key, PRIMARY);
        else if (now.backup === server) now.mark(key, BACKUP);
      }
    }
    // Where that is not known key by key, it may be any key of its.
    for (const pair of old) {
      for (const side of [PRIMARY, BACKUP] as const) if (pair.overflow[side]) pool.comebacks.unlisted(pair.server(side)!);
    }
    pool.copier.reroute((key) => pool.pairOf(key));
    pool.comebacks.ringsChanged(gone);
    pool.board?.serversChanged();
    pool.memory?.serversChanged(fresh);
    pool.join();
    pool.verifier.moved = true;
    this.young.clear();
    pool.strict?.ringsChanged();
    pool.siblings?.ringsChanged();
    pool.scrubber.restart();
    return fresh;
  }

  gains(server: Server): void {
    this.pool.comebacks.gains(server);
  }

  fill(fresh: readonly Server[], gained: readonly Server[], inStep: boolean): void {
    if (this.pool.backups.length > 0) for (const server of [...fresh, ...gained]) this.pool.comebacks.fill(server, inStep);
  }

  /** It is of no ring any more. */
  has(server: Server): boolean {
    return this.leaving.size > 0 && this.leaving.has(server);
  }

  /** Called every tick. */
  tick(now: number): void {
    for (const [server, since] of this.leaving) {
      server.tick(now);
      if ((now - since < this.requestMs || !server.idle) && now - since < LEAVING_MS) continue;
      this.leaving.delete(server);
      server.stop();
      this.pool.memory?.left(server);
      this.pool.strict?.left(server);
    }
    this.lookDoubted(now);
    this.transition?.tick(now);
    this.lookOver();
  }

  private lookOver(): void {
    if (this.transition?.over !== true) return;
    this.transition = null;
    if (this.doubted.length === 0) this.pool.options.keeper?.over();
    this.stepped();
  }

  stop(): void {
    for (const server of this.leaving.keys()) server.stop();
  }
}
