// A primary and a backup that together keep some keys: which of them is trusted for a key (its lead), which keys one
// of them lacks (the stale map, which overrides everything), and which keys are locked by a command in two steps.
import type { FailureReason } from "../backend/reasons.ts";
import type { Server } from "../backend/server.ts";

/** Index of a server in its pair. */
export const PRIMARY = 0, BACKUP = 1;
export type Side = 0 | 1;

export interface Stale {
  /** The side that lacks the newest acknowledged state of the key. */
  side: Side;
  /** Grows with each marking, so that a copy begun before a new marking does not clear it. */
  generation: number;
}

/** What --strict asks before a side may lead. */
export interface Strictness {
  /** We ourselves do not trust it in full. */
  distrusts(server: Server): boolean;
  /** Whether anybody distrusts the side is known up to now. */
  wellKnown(pair: Pair, side: Side): boolean;
}

/** Copies of a key that are under way. */
export interface Copying {
  copies: number;
  /** Grows with each write of a client that enters the lanes meanwhile. */
  writes: number;
}

/** What fills a side with keys of the pair, while some are under way. */
export interface Filling {
  /** Whether the key is among them. */
  has(key: string): boolean;
  /** A client has written the key, or any (null): what is known of it is old. */
  overtaken(key: string | null): void;
}

/** Who waits for a key's lock. */
export interface LockWaiter {
  lockGranted(): void;
}

/** How many entries the stale maps of all pairs hold, and may hold before a side is given up for a full comparison. */
export interface Room {
  entries: number;
  readonly max: number;
}

export class Pair {
  readonly stale = new Map<string, Stale>();
  /** Stale entries of each side. */
  readonly lacking: [number, number] = [0, 0];
  /** Side whose entries did not fit any more: it must be compared as a whole. */
  readonly overflow: [boolean, boolean] = [false, false];
  /** Side that was given all keys of the pair since it lost its memory; its server may still be cold in other pairs. */
  readonly filled: [boolean, boolean] = [false, false];
  /** How often that has happened. */
  readonly overflows: [number, number] = [0, 0];
  /** Locked keys with those that wait. */
  readonly locks = new Map<string, LockWaiter[]>();
  /** Keys that are being copied, and keys on which a command in two steps is under way, with how many there are. */
  readonly syncing = new Map<string, Copying>();
  readonly decided = new Set<string>();
  /** What fills a side, while keys are under way. */
  readonly fills = new Set<Filling>();
  /** Since when the usual lead is the present one, ms, as seen once a tick. */
  leadSinceMs = -Infinity;
  private ledBy: Side | -1 = -1;
  /** What else must hold before a side leads; null: nothing. */
  strict: Strictness | null = null;
  /** The backup stands where we do and the primary does not: a get asks the backup first, while both are trusted. */
  near = false;
  /** Told of each new entry of a missed write and of each that has turned: side lacks the key. */
  onMissed: ((pair: Pair, key: string, side: Side) => void) | null = null;
  /** Told of each copy that changed a side, or may have. */
  onCopied: ((key: string) => void) | null = null;
  /** The rings have changed and it keeps no keys any more. */
  retired = false;
  private generation = 0;

  constructor(
    readonly primary: Server,
    readonly backup: Server | null,
    private readonly room: Room = { entries: 0, max: 500_000 },
  ) {}

  server(side: Side): Server | null {
    return side === PRIMARY ? this.primary : this.backup;
  }

  /** Both sides take explicit cas uniques: each write gives its version to both, so that tokens hold on either. */
  get explicit(): boolean {
    return this.backup !== null && this.primary.explicitCas.works && this.backup.explicitCas.works;
  }

  /** Trusted for keys without a stale entry; -1 when neither side is. */
  get usualLead(): Side | -1 {
    const { primary, backup } = this;
    const first = this.firstLead;
    if (first !== -1) return first;
    // What others say of both is no reason to trust neither; that we have just begun is one to wait for the other.
    if (primary.leads) return this.isUnmet(BACKUP) ? -1 : PRIMARY;
    return backup !== null && backup.leads && !this.isUnmet(PRIMARY) ? BACKUP : -1;
  }

  /** Strict: we have just begun, and whether the side can be reached is not known yet. */
  isUnmet(side: Side): boolean {
    if (this.strict === null) return false;
    const server = this.server(side);
    return server !== null && server.state === "down" && server.health.reason === "starting";
  }

  /** Trusted by everybody; -1 when neither side is. */
  private get firstLead(): Side | -1 {
    const { primary, backup, strict } = this;
    if (primary.leads && !primary.fenced && !primary.doubted && !primary.drained && (strict === null || (!strict.distrusts(primary) && strict.wellKnown(this, PRIMARY)))) return PRIMARY;
    return backup !== null && backup.leads && !backup.fenced && !backup.doubted && !backup.drained && (strict === null || (!strict.distrusts(backup) && strict.wellKnown(this, BACKUP))) ? BACKUP : -1;
  }

  /** Called every tick and after each change of trust. */
  watchLead(nowMs: number): void {
    const lead = this.usualLead;
    if (lead === this.ledBy) return;
    this.ledBy = lead;
    this.leadSinceMs = nowMs;
  }

  /** It is known to lack something, or may lack anything. */
  isBehind(side: Side): boolean {
    return this.lacking[side] > 0 || this.overflow[side];
  }

  /** Which keys a side lacks is not known: it lost its memory and was not given all of them since. */
  isCold(side: Side): boolean {
    return this.server(side)!.cold && !this.filled[side];
  }

  /** The side whose word counts for a key. */
  leadOf(key: string): Side {
    // Strict: a side that lacks anything does not lead at all, so that all proxies decide on one side.
    if (this.strict !== null && this.firstLead !== -1) return this.firstLead as Side;
    const entry = this.stale.get(key);
    if (entry !== undefined) return other(entry.side);
    const usual = this.usualLead;
    if (usual !== -1) return usual;
    // Nobody is fully trusted: whoever can be reached, else the peer of the one that is worse.
    const { primary, backup } = this;
    if (backup === null) return PRIMARY;
    if (primary.state === "down") return this.isUnmet(PRIMARY) ? PRIMARY : BACKUP;
    if (backup.state === "down") return this.isUnmet(BACKUP) ? BACKUP : PRIMARY;
    const { worse } = this;
    return worse !== -1 ? other(worse) : primary.cold ? BACKUP : PRIMARY;
  }

  /** Of two sides: the one that is still to be flushed, the cold one, or the one that lacks more than is known; -1: neither. */
  private get worse(): Side | -1 {
    const { primary, overflow } = this;
    const backup = this.backup!;
    if (primary.unflushed !== backup.unflushed) return primary.unflushed ? PRIMARY : BACKUP;
    if (primary.cold !== backup.cold) return primary.cold ? PRIMARY : BACKUP;
    if (!primary.cold && overflow[PRIMARY] !== overflow[BACKUP]) return overflow[PRIMARY] ? PRIMARY : BACKUP;
    return -1;
  }

  /**
   * For a key that the backup leads: whether the primary, on its way back, would be right about it if it held it. What
   * it does not hold the backup may hold.
   */
  mayHold(keyed: { readonly key: string }): boolean {
    const { primary } = this;
    if (!primary.warming || primary.fenced || primary.doubted || primary.drained || this.overflow[PRIMARY]) return false;
    return this.stale.size === 0 || !this.stale.has(keyed.key);
  }

  /**
   * For a key that the primary leads, when the backup is near: whether the backup is right about it. What it does not
   * hold (each side evicts for itself) the primary may hold.
   */
  mayAskNear(keyed: { readonly key: string }): boolean {
    const backup = this.backup!;
    if (backup.state !== "up" || !backup.leads || backup.fenced || backup.doubted || backup.drained || this.overflow[BACKUP]) return false;
    // A command in two steps has reached the primary alone so far.
    if (this.locks.size !== 0 && this.locks.has(keyed.key)) return false;
    return this.stale.size === 0 || !this.stale.has(keyed.key);
  }

  /** Commands in two steps that are under way. */
  get deciding(): number {
    return this.decided.size;
  }

  /** No more entries fit. */
  get full(): boolean {
    return this.room.entries >= this.room.max;
  }

  /** Whether a side may answer for a key in the lead's absence: not when it lacks the newest state. */
  mayServe(side: Side, key: string | null): boolean {
    const server = this.server(side);
    if (server === null || server.state === "down") return false;
    if (key !== null && this.stale.get(key)?.side === side) return false;
    // What it lacks, the other one is about to tell.
    if (this.isUnmet(other(side))) return false;
    // Which keys it lacks is not known in full while it is cold or fenced, or its list has overflowed.
    return (!server.cold && !server.fenced && !server.doubted && !this.overflow[side]) || this.server(other(side))!.state === "down";
  }

  /** Side lacks the newest acknowledged state of the key. */
  mark(key: string, side: Side): void {
    if (this.backup === null) return;
    const entry = this.stale.get(key);
    if (entry !== undefined) {
      this.lacking[entry.side]--;
      this.lacking[side]++;
      const turned = entry.side !== side;
      entry.side = side;
      entry.generation = ++this.generation;
      if (turned) this.onMissed?.(this, key, side);
      return;
    }
    if (this.full) {
      this.overflow[side] = true;
      this.filled[side] = false;
      this.overflows[side]++;
      this.onMissed?.(this, key, side);
      return;
    }
    this.add(key, side);
    this.onMissed?.(this, key, side);
  }

  private add(key: string, side: Side): number {
    this.room.entries++;
    this.lacking[side]++;
    this.stale.set(key, { side, generation: ++this.generation });
    return this.generation;
  }

  /**
   * For a copy about to begin of a key that side may lack: an entry of its generation, which the copier clears, so that
   * meanwhile nothing that side says about the key counts. 0 when it is the other side that lacks it, or may lack more:
   * a server whose keys are compared because of one peer must not be made like another that has none. Has no bound: few
   * copies run at a time.
   */
  hold(key: string, side: Side): number {
    const entry = this.stale.get(key);
    if (entry !== undefined) return entry.side === side ? (entry.generation = ++this.generation) : 0;
    if (this.usualLead === -1 && this.worse === other(side)) return 0;
    return this.add(key, side);
  }

  /** Takes out the entries of keys that are others' from now on, each with the server that lacks it. */
  takeMoved(isMine: (key: string) => boolean): { readonly key: string; readonly server: Server }[] {
    const moved: { key: string; server: Server }[] = [];
    for (const [key, { side }] of this.stale) {
      if (isMine(key)) continue;
      moved.push({ key, server: this.server(side)! });
      this.clear(key);
    }
    return moved;
  }

  /** The outcome of a write is unknown: copies begun before it must not clear the entry. */
  touchEntry(key: string): void {
    const entry = this.stale.get(key);
    if (entry !== undefined) entry.generation = ++this.generation;
  }

  /** Both sides were found alike after the entry was made; for the copier, which alone can know. */
  clear(key: string): void {
    const entry = this.stale.get(key);
    if (entry === undefined) return;
    this.room.entries--;
    this.lacking[entry.side]--;
    this.stale.delete(key);
  }

  /** Takes the lock and returns true, or queues the waiter and returns false; followers wait behind it. */
  lock(key: string, waiter: LockWaiter, followers: readonly LockWaiter[] = []): boolean {
    const queue = this.locks.get(key);
    if (queue === undefined) {
      this.locks.set(key, [...followers]);
      return true;
    }
    queue.push(waiter, ...followers);
    return false;
  }

  /**
   * A client's write of the key enters the lanes, or a flush_all (null): what a copy under way has read of it is old by the time
   * that it would add it.
   */
  writes(keyed: { readonly key: string } | null): void {
    if (this.syncing.size === 0 && this.fills.size === 0) return;
    const key = keyed === null ? null : keyed.key;
    for (const fill of this.fills) fill.overtaken(key);
    if (key === null) for (const copying of this.syncing.values()) copying.writes++;
    else {
      const copying = this.syncing.get(key);
      if (copying !== undefined) copying.writes++;
    }
  }

  isFilled(key: string): boolean {
    for (const fill of this.fills) if (fill.has(key)) return true;
    return false;
  }

  /** Gives the lock back for a while: those that wait are to follow when it is taken again. */
  yieldLock(key: string): LockWaiter[] {
    const queue = this.locks.get(key)!;
    this.locks.delete(key);
    return queue;
  }

  /** Passes the lock to the next waiter, who holds it from then on. */
  unlock(key: string): void {
    const queue = this.locks.get(key)!;
    const next = queue.shift();
    if (next === undefined) this.locks.delete(key);
    else next.lockGranted();
  }
}

export function other(side: Side): Side {
  return side === PRIMARY ? BACKUP : PRIMARY;
}

/** "primary 10.0.0.1:11211 down, backup 10.0.0.2:11211 request_timeout": for error lines. */
export function describe(pair: Pair, why: readonly (FailureReason | null)[] | null): string {
  const say = (role: string, server: Server, reason: FailureReason | null): string =>
    `${role} ${server.label} ${server.state === "down" ? `down: ${server.health.reason}` : (reason ?? server.state)}`;
  const primary = say("primary", pair.primary, why?.[PRIMARY] ?? null);
  return pair.backup === null ? primary : `${primary}, ${say("backup", pair.backup, why?.[BACKUP] ?? null)}`;
}
