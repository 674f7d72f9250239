// One ring of primaries with its ring of backups at work: which pair and lane a key belongs to, what a server's coming
// and going means for its pairs, and the tick that drives deadlines, probes and repairs.
import { latin1 } from "../bytes/ascii.ts";
import type { TailPool } from "../bytes/outbound.ts";
import type { Turn } from "../bytes/turn.ts";
import { CasTags } from "../backend/cas_tags.ts";
import type { Lane } from "../backend/lane.ts";
import type { HealthState } from "../backend/health.ts";
import { type BackendWorld, Server, type ServerOwner } from "../backend/server.ts";
import { oldestVersion } from "../backend/server_version.ts";
import type { Counters } from "../observe/counters.ts";
import type { Log } from "../observe/log.ts";
import type { Platform, Timer } from "../platform/platform.ts";
import type { Ring } from "../ring/ring.ts";
import { Board, type BoardWorld } from "./proxies/board.ts";
import { Changes } from "./changes.ts";
import { Comebacks, type Rings } from "./copying/comebacks.ts";
import { CONTROL_PREFIX, controlName } from "./control.ts";
import { Copier } from "./copying/copier.ts";
import { Drains, type DrainWorld } from "./drain.ts";
import { Lease } from "./proxies/lease.ts";
import { Memory } from "./missed/memory.ts";
import type { Complaint } from "./proxies/notice.ts";
import type { PaceLimits } from "./copying/pace.ts";
import type { PoolOptions, PoolServer } from "./pool_options.ts";
import { BACKUP, Pair, PRIMARY, type Room, type Side } from "./pair.ts";
import { Lookout, type LookoutWorld } from "./proxies/lookout.ts";
import { Scrubber, type ScrubWorld } from "./copying/scrub.ts";
import type { Read } from "./requests/read.ts";
import { Sharing } from "./requests/sharing.ts";
import { Siblings, type SiblingsWorld } from "./proxies/siblings.ts";
import { Strict, type StrictWorld, VIEW_MS } from "./proxies/strict.ts";
import type { Steps } from "./proxies/steps.ts";
import type { RingChange } from "./transition.ts";
import { Verifier, type VerifyWorld } from "./copying/verify.ts";
import { VersionClock } from "./version.ts";

/** Granularity of deadlines and probes, ms. */
export const TICK_MS = 20;
/** A tick that comes this late says that we were stopped, not that the servers were slow. */
const LATE_TICK_MS = 100;
/** Versions that are ahead of the wall clock by more are worth a word, ms. */
const AHEAD_MS = 60_000;
/** How often stale entries of reachable pairs are worked off, in ticks. */
const REPAIR_TICKS = 3;

const STATE_WORDS: Record<HealthState, string> = {
  up: "server is up", suspect: "server is suspect", down: "server is down", rejoin: "server rejoins, not trusted yet",
};

export class Pool implements ServerOwner, Rings, BoardWorld, VerifyWorld, StrictWorld, ScrubWorld, DrainWorld, SiblingsWorld, LookoutWorld {
  primaries: readonly Server[];
  backups: readonly Server[];
  servers: readonly Server[];
  /** A place for each primary with each backup. */
  pairs: readonly Pair[] = [];
  readonly copier: Copier;
  /** Servers on their way back. */
  readonly comebacks = new Comebacks(this);
  ack: "both" | "lead" | "any";
  connectTimeoutMs: number;
  /** Of settings and rings. */
  readonly changes = new Changes(this);
  /** Tells this proxy from others: 8 hex digits. */
  readonly proxyId: string;
  readonly versions: VersionClock;
  /** What is known of missed writes beyond our own life; null without hints. */
  readonly memory: Memory | null;
  /** The pair and lane of the key that route() saw last. */
  pair: Pair;
  laneIndex = 0;
  /** Time of this tick, ms. */
  nowMs: number;
  readonly startedMs: number;
  /** Large values on their way. */
  readonly uploads = new Set<{ tick(nowMs: number, timeoutMs: number): void }>();
  /** When a client wrote last, ms; -Infinity: never. */
  wroteMs = -Infinity;
  /** What other proxies say of the servers; null: nobody is asked. */
  readonly board: Board | null;
  readonly scrubber: Scrubber;
  /** Gets that others may follow; null: each asks for itself. */
  readonly sharing: Sharing<Read> | null;
  /** Servers that were taken out of reads by hand. */
  readonly drains = new Drains(this);
  /** The other workers of this proxy; null when there can be none. */
  readonly siblings: Siblings | null;
  /** What --strict and several workers add; null without them. */
  readonly strict: Strict | null;
  /** Looks afterwards at what several proxies write. */
  readonly verifier: Verifier;
  readonly lookout: Lookout;
  /** How long a lead must be the same before anything is repaired, ms: then every proxy has heard of it. */
  readonly settleMs: number;
  /** Called every tick, last. */
  afterTick: () => void = () => {};
  private primaryRing: Ring;
  private backupRing: Ring | null;
  /** The rings hash keys differently, in the midst of a transition. */
  private mixed = false;
  private backupCount = 1;
  private readonly lanes: number;
  private single = false;
  private readonly world: BackendWorld;
  private readonly room: Room;
  private timer: Timer | null = null;
  private ticks = 0;
  private stopping = false;

  constructor(
    private readonly platform: Platform,
    public options: PoolOptions,
    readonly turn: Turn,
    tails: TailPool,
    readonly counters: Counters,
    readonly log: Log,
  ) {
    this.nowMs = this.startedMs = platform.clock.nowMs();
    this.ack = options.ack;
    const id = platform.random.u32();
    // Whoever comes after us must know how many lanes we had.
    this.proxyId = options.lanes.toString(16).padStart(2, "0") + (id >>> 8).toString(16).padStart(6, "0");
    this.versions = new VersionClock(id);
    this.versions.wall(platform.clock.wallSeconds() * 1000);
    this.connectTimeoutMs = options.connectTimeoutMs;
    this.primaryRing = options.primaryRing;
    this.backupRing = options.backupRing;
    this.lanes = options.lanes;
    this.world = {
      net: platform.net, random: platform.random, turn, clock: this, tails,
      connectTimeoutMs: options.connectTimeoutMs, requestTimeoutMs: options.requestTimeoutMs,
      controlPrefix: CONTROL_PREFIX, casTags: new CasTags(),
    };
    this.room = { entries: 0, max: options.comeback.missedKeysMax };
    this.primaries = options.primaries.map((spec) => this.make(spec));
    this.backups = options.backups.map((spec) => this.make(spec));
    this.servers = [...this.primaries, ...this.backups];
    this.pair = this.makePairs();
    this.copier = new Copier(counters, log, options.lanes);
    this.verifier = new Verifier(this, options.lanes);
    this.scrubber = new Scrubber(this, this.backups.length > 0 ? options.proxies.scrubHours : 0);
    this.lookout = new Lookout(this);
    this.board = options.proxies.board && this.backups.length > 0 ? new Board(this, options.proxies.strict) : null;
    this.settleMs = (this.board?.pollMs ?? 0) + VIEW_MS + options.requestTimeoutMs;
    this.siblings = this.board !== null && options.siblings !== null ? new Siblings(this, this.board, options.siblings) : null;
    const agrees = this.board !== null && (options.proxies.strict || this.siblings !== null);
    this.strict = agrees ? new Strict(this, this.board!, options.proxies.strict, this.siblings) : null;
    this.join();
    this.sharing = options.shareGets ? new Sharing() : null;
    this.memory = this.board !== null && options.proxies.hints ? new Memory(this) : null;
    if (this.board !== null) {
      this.board.onDeath = (id, complaints) => this.takeOver(id, complaints);
      this.board.onSilence = () => this.scrubber.soon();
    }
  }

  /** Pairs that are new ask and tell those who agree on them. */
  join(): void {
    for (const pair of this.pairs) {
      pair.strict = this.strict;
      if (this.siblings !== null) pair.onCopied = this.lookout.copied;
    }
  }

  private make({ label, address }: PoolServer): Server {
    return new Server(label, address, this.options.lanes, this.world, this);
  }

  /** A pair for each primary with each backup, known ones where both are known. Returns the first. */
  private makePairs(): Pair {
    const { options, room } = this;
    const known = this.pairs;
    this.mixed = this.backupRing !== null && !this.backupRing.hashesAs(this.primaryRing);
    const pairOf = (primary: Server, backup: Server | null): Pair =>
      known.find((pair) => pair.primary === primary && pair.backup === backup) ?? new Pair(primary, backup, room);
    const backups = this.backups.length === 0 ? [null] : this.backups;
    this.pairs = this.primaries.flatMap((primary) => backups.map((backup) => pairOf(primary, backup)));
    for (const pair of known) pair.retired = !this.pairs.includes(pair);
    this.backupCount = backups.length;
    for (const [index, pair] of this.pairs.entries()) {
      const primary = options.primaries[Math.floor(index / backups.length)]!, backup = options.backups[index % backups.length];
      pair.near = options.near !== "" && primary.zone !== options.near && backup?.zone === options.near;
    }
    this.single = this.pairs.length === 1 && options.lanes === 1;
    return this.pairs[0]!;
  }

  get net() {
    return this.platform.net;
  }
  get random() {
    return this.platform.random;
  }
  get clock() {
    return this.platform.clock;
  }
  get files() {
    return this.platform.files;
  }

  /** Of its servers' memcached; "" when none is known. */
  get oldestVersion(): string {
    return oldestVersion(this.servers.map(({ version }) => version));
  }

  /** Each server has answered once, or was found to be away: whoever asks now is not told that we have just begun. */
  get begun(): boolean {
    return this.servers.every(({ state, health }) => state !== "down" || health.reason !== "starting");
  }

  /** Other settings than before, over the same rings. */
  settle(options: PoolOptions): void {
    this.options = options;
    this.ack = options.ack;
    this.connectTimeoutMs = this.world.connectTimeoutMs = options.connectTimeoutMs;
    this.world.requestTimeoutMs = options.requestTimeoutMs;
    for (const server of this.servers) server.deadlinesChanged();
    this.pair = this.makePairs();
  }

  /** Another ring in the place of one: the servers that it had and has no more, and those that are new. */
  setRing({ side, servers: specs, ring }: RingChange<PoolServer>): { gone: Server[]; fresh: Server[] } {
    const before = side === PRIMARY ? this.primaries : this.backups;
    const after = specs.map((spec) => before.find(({ label }) => label === spec.label) ?? this.make(spec));
    if (side === PRIMARY) {
      this.primaries = after;
      this.primaryRing = ring!;
      this.options = { ...this.options, primaries: specs, primaryRing: ring! };
    } else {
      this.backups = after;
      this.backupRing = ring;
      this.options = { ...this.options, backups: specs, backupRing: ring };
    }
    this.servers = [...this.primaries, ...this.backups];
    this.pair = this.makePairs();
    return { gone: before.filter((server) => !after.includes(server)), fresh: after.filter((server) => !before.includes(server)) };
  }

  start(): void {
    for (const server of this.servers) server.start();
    this.schedule();
  }

  /** Leaves word that we end in order, where that is so; done comes within the time of a request. */
  farewell(done: () => void): void {
    if (this.memory === null || this.stopping) done();
    else this.memory.farewell(done);
  }

  stop(): void {
    this.stopping = true;
    this.timer?.cancel();
    this.comebacks.stop();
    this.scrubber.stop();
    this.changes.stop();
    for (const server of this.servers) server.stop();
  }

  /** Finds the pair and the lane of the key bytes[start, end). */
  route(bytes: Uint8Array, start: number, end: number): void {
    if (this.single) return;
    const hash = this.primaryRing.hash(bytes, start, end);
    const primary = this.primaryRing.ownerOfHash(hash);
    const backup = this.backupRing === null ? 0 : this.backupRing.ownerOfHash(this.mixed ? this.backupRing.hash(bytes, start, end) : hash);
    this.pair = this.pairs[primary * this.backupCount + backup]!;
    // Spread over lanes by other bits than those that chose the server.
    this.laneIndex = this.lanes === 1 ? 0 : (Math.imul(hash, 0x9e3779b1) >>> 16) % this.lanes;
  }

  laneOf(key: string): number {
    const bytes = latin1(key);
    this.route(bytes, 0, bytes.length);
    return this.laneIndex;
  }

  leaseOf(server: Server, early: boolean): Lease | null {
    const { entered, inStep } = this.comebacks;
    return this.board === null ? null : new Lease(server, inStep.has(server) || (early && !entered.has(server)), this.nowMs, this.board);
  }

  pairsOf(server: Server): number {
    return this.comebacks.pairsOf(server);
  }

  get refillLimits(): PaceLimits {
    return this.options.refill;
  }

  pairOf(key: string): Pair {
    const bytes = latin1(key);
    this.route(bytes, 0, bytes.length);
    return this.pair;
  }

  /** A side lacks the newest state of a key; it is copied when it can be. */
  lacks(pair: Pair, key: string, side: Side): void {
    // The request may have begun before the rings changed: who lacks it is told where the key is now.
    const now = pair.retired || this.verifier.moved ? this.pairOf(key) : pair;
    if (now !== pair) {
      const server = pair.server(side);
      if (now.primary !== server && now.backup !== server) return;
      [pair, side] = [now, now.primary === server ? PRIMARY : BACKUP];
    }
    this.learned(pair, key, side);
    this.siblings?.missed(pair, key, side);
  }

  learned(pair: Pair, key: string, side: Side): void {
    pair.mark(key, side);
    const server = pair.server(side);
    if (server !== null && server.leads && pair.overflow[side]) this.comebacks.bringBack(server, "missed writes overflowed");
  }

  /** Runs once it is written down what the other side lacks, or cannot be. */
  whenNoted(pair: Pair, took: Side, laneIndex: number, run: () => void): void {
    if (this.memory === null || pair.backup === null) return run();
    const { hints, state } = this.memory;
    if (state === null || state.file.settled) hints.whenKept(pair.server(took)!, laneIndex, run);
    else hints.whenKept(pair.server(took)!, laneIndex, () => state.file.whenKept(run));
  }

  /** Runs once whatever servers owe is written down, or cannot be. */
  afterNotes(run: () => void): void {
    if (this.memory === null) return run();
    const { hints, state } = this.memory;
    hints.whenAllKept(() => (state === null ? run() : state.file.whenKept(run)));
  }

  recalled(server: Server): boolean {
    return this.memory === null || this.memory.recall.knows(server);
  }

  opening(server: Server, lane: Lane): void {
    this.memory?.hints.opening(server, lane);
  }

  /** A server did a flush_all: what it kept for us is gone too. */
  flushed(server: Server): void {
    this.memory?.hints.lost(server);
  }

  /** As lacks, and at once. */
  repair(pair: Pair, key: string, side: Side): void {
    this.lacks(pair, key, side);
    this.copier.addStale(pair, this.lane);
  }
  /** The lead held a key that the side which was asked first did not: it is copied there now, out of turn. */
  warm(pair: Pair, key: string, side: Side): void {
    if (side === PRIMARY) {
      this.counters.warming_misses++;
      if (pair.full || !pair.mayHold({ key })) return;
    } else {
      this.counters.near_misses++;
      if (pair.full || !pair.mayAskNear({ key })) return;
    }
    this.repair(pair, key, side);
  }
  private readonly lane = (key: string): number => this.laneOf(key);

  /** A server did not get a flush_all; delaySeconds as the client gave it. */
  owesFlush(server: Server, delaySeconds: number): void {
    this.learnedFlush(server, delaySeconds);
    this.siblings?.missedFlush(server, delaySeconds);
  }

  learnedFlush(server: Server, delaySeconds: number): void {
    this.comebacks.owesFlush(server, delaySeconds);
    this.memory?.look();
  }

  get steps(): Steps {
    return this.changes.steps;
  }

  get comparesAll(): boolean {
    return this.siblings?.first ?? true;
  }

  siblingDied(): void {
    this.scrubber.soon();
  }

  soon(run: () => void): void {
    this.platform.afterTurn(run);
  }

  stateChanged(server: Server, from: HealthState, reason: string): void {
    if (this.changes.has(server)) return;
    const bad = server.state === "down" || server.state === "suspect";
    this.log[bad ? "warn" : "info"](STATE_WORDS[server.state], {
      server: server.label, role: this.comebacks.sideOf(server) === PRIMARY ? "primary" : "backup", from, to: server.state, reason,
      missed: this.comebacks.missed(server),
    });
    for (const pair of this.pairs) pair.watchLead(this.nowMs);
    this.memory?.stateChanged(server);
    if (server.state === "down") this.comebacks.left(server);
    this.siblings?.look();
  }

  leadsChanged(): void {
    for (const pair of this.pairs) pair.watchLead(this.nowMs);
    this.board?.soon();
    this.siblings?.look();
  }

  missing(server: Server, reason: string): void {
    if (this.changes.has(server)) return;
    this.comebacks.missing(server, reason);
    this.memory?.recall.missing(server);
  }

  memoryLost(server: Server): void {
    if (this.changes.has(server) || this.backups.length === 0) return;
    this.comebacks.memoryLost(server);
    this.board?.memoryLost(server);
    this.memory?.memoryLost(server);
  }

  arrived(server: Server): void {
    if (this.changes.has(server)) return;
    if (this.memory === null || this.memory.recall.admits(server)) this.comebacks.arrived(server);
  }

  reconnected(server: Server): void {
    if (this.changes.has(server)) return server.trust("leaves");
    this.comebacks.reconnected(server);
  }

  canWait(server: Server): boolean {
    return this.comebacks.canWait(server);
  }
  mustFlush(server: Server): boolean {
    return this.comebacks.flushDue(server);
  }

  lacksWrites(server: Server): boolean {
    return this.comebacks.lacks(server) || (this.siblings !== null && this.comebacks.owes(server));
  }

  /** A proxy died that did not trust some servers. What they lack is not known: they are compared in full. */
  private takeOver(id: string, complaints: readonly Complaint[]): void {
    const bury = (): void => this.board!.bury(id); // from here on we do not trust them
    if (this.memory !== null) return this.memory.died(id, complaints, bury);
    for (const server of this.servers) {
      if (!complaints.some(({ name }) => name === controlName(server.label))) continue;
      this.comebacks.doubt(server, "another proxy died that did not trust it");
    }
    bury();
  }

  private schedule(): void {
    this.timer = this.platform.clock.timer(TICK_MS, () => this.tick());
  }

  private tick(): void {
    if (this.stopping) return;
    const before = this.nowMs;
    const now = (this.nowMs = this.platform.clock.nowMs());
    this.schedule();
    this.readWall();
    // After a pause of ours the answers may lie unread in the kernel, and requests sent since carry deadlines of before.
    if (now - before > LATE_TICK_MS) {
      this.board?.excuse(now - before);
      for (const server of this.servers) server.excuse();
      return;
    }
    for (const server of this.primaries) server.tick(now);
    for (const server of this.backups) server.tick(now);
    this.changes.tick(now);
    for (const upload of [...this.uploads]) upload.tick(now, this.options.requestTimeoutMs);
    this.comebacks.tickFlushes(now);
    this.comebacks.tickPurges();
    if (this.backups.length > 0) this.tickPairs(now);
    this.afterTick();
  }

  private readWall(): void {
    this.versions.wall(this.platform.clock.wallSeconds() * 1000);
    const ahead = this.versions.aheadMs > AHEAD_MS;
    if (ahead && !this.ahead) {
      this.log.warn("the wall clock is behind the versions in use", { seconds: Math.round(this.versions.aheadMs / 1000) });
    }
    this.ahead = ahead;
  }
  private ahead = false;

  private tickPairs(now: number): void {
    this.comebacks.tick(now);
    this.copier.tick(now);
    this.board?.tick(now);
    for (const pair of this.pairs) pair.watchLead(now);
    this.strict?.tick(now);
    this.lookout.tick(now);
    this.verifier.tick(now);
    this.scrubber.tick(now);
    this.sharing?.tick();
    this.memory?.tick(now);
    if (++this.ticks % REPAIR_TICKS === 0) for (const pair of this.pairs) this.copier.addStale(pair, this.lane);
  }
}
