// One memcached as we see it: its lanes, a control connection that asks how it is once a second, its identity and
// its health. Says when it comes and goes; what that means for keys is replication's trade.
import type { TailPool } from "../bytes/outbound.ts";
import type { Turn } from "../bytes/turn.ts";
import type { Latency } from "../observe/latency.ts";
import type { Address, Net, Random } from "../platform/platform.ts";
import type { StatusCode } from "../protocol/reply.ts";
import type { CasTags } from "./cas_tags.ts";
import { ExplicitCas } from "./explicit_cas.ts";
import { Handshake, type Introduced } from "./handshake.ts";
import { Health, type HealthState } from "./health.ts";
import { newLatency } from "./kinds.ts";
import { type CoarseClock, Lane, type LaneOwner } from "./lane.ts";
import { FAILURE_REASONS, type FailureReason } from "./reasons.ts";

const CONTROL_TIMEOUT_MS = 2000;
/** Large values move at their client's pace; whoever moves them watches the server. */
const BULK_TIMEOUT_MS = 60_000;
const PROBE_MS = 1000;
/** Answers a server that was down must give before its lanes open. */
const RISE_ANSWERS = 3;

/** What every backend of one proxy shares. */
export interface BackendWorld {
  readonly net: Net;
  readonly random: Random;
  readonly turn: Turn;
  readonly clock: CoarseClock;
  readonly tails: TailPool;
  connectTimeoutMs: number;
  requestTimeoutMs: number;
  /** Begins the keys of items of our own. */
  readonly controlPrefix: string;
  readonly casTags: CasTags;
}

/** Who decides what a server's coming and going means. */
export interface ServerOwner {
  /** After each change of state; reason: a failure reason, or what brought it back. */
  stateChanged(server: Server, from: HealthState, reason: string): void;
  /** It could not be reached when we began. */
  missing(server: Server, reason: FailureReason): void;
  /** Another incarnation answers than before: what it held is gone. */
  memoryLost(server: Server): void;
  /** Its lanes are open after it was down (or for the first time); the owner calls admit. */
  arrived(server: Server): void;
  /** Its lanes are open again after a failure that did not take it down. */
  reconnected(server: Server): void;
  /** A lane of it is about to serve: what is pushed now is the first that goes over it. */
  opening(server: Server, lane: Lane): void;
  /** True when it is to do a flush_all before any lane of it serves again. */
  mustFlush(server: Server): boolean;
  /** True when its peers can carry its keys while it proves itself. */
  canWait(server: Server): boolean;
}

export class Server implements LaneOwner, Introduced {
  readonly health = new Health();
  readonly lanes: Lane[] = [];
  readonly ghosts = new Set<string>();
  /** Trusted to answer reads and decide conditional commands: up or suspect, and not cold. */
  leads = false;
  /** Admitted together with others: its lanes serve when all of them are admitted. */
  held = false;
  /** It lost its memory and was not filled since. */
  cold = false;
  /** It missed a flush_all that it has not done yet: nothing that it holds counts. */
  unflushed = false;
  /** Another proxy does not trust it: it is written, and read when its peer is down, but does not lead. */
  fenced = false;
  /** The operator took it out of reads, here or at another proxy: it has all that is written, and leads nothing. */
  drainedHere = false;
  drainedElsewhere = false;
  /** Another worker of this proxy does not trust it, or its ring is about to change: likewise. */
  doubted = false;
  /** Its ring is about to change. */
  turned = false;
  /**
   * It came back empty and has had every write since: what it holds may be read already, what it lacks its peers may
   * hold. Set by whoever brings it back.
   */
  warming = false;
  /** "start second/pid" of the process that answers, or null before the first answer. */
  incarnation: string | null = null;
  /** What cas uniques of this incarnation carry in their upper bits; never 0. */
  casTag = 0n;
  /** The largest item it takes, bytes; 0 while unknown. */
  itemBytesMax = 0;
  version = "";
  /** Its latest answer to `stats`. */
  stats = new Map<string, string>();
  /** How long requests took on its lanes, and on those for large values. */
  readonly latency = newLatency();
  readonly bulkLatency = newLatency();
  /** Requests without an answer, and connections that ended or could not be made, by reason. */
  readonly failed = noneByReason();
  readonly lost = noneByReason();
  /** Whether writes may carry a cas unique of ours. */
  readonly explicitCas: ExplicitCas;
  /** When it came into its present state, ms on our clock. */
  sinceMs: number;
  /** Its clock (Unix seconds) less ours (monotonic seconds). */
  private clockOffset = 0;
  /** The connection that asks how it is; items of our own go over it as well. */
  readonly control: Lane;
  private readonly controlHandshake: Handshake;
  private readonly handshakes = new Map<Lane, Handshake>();
  /** Extra connections for large values, and those of them that are free. */
  private readonly bulk = new Set<Lane>();
  private readonly bulkFree: Lane[] = [];
  /** The control connection has told who answers on it. */
  private controlKnown = false;
  private nextProbeAt = 0;
  private riseAnswers = 0;
  private riseBegan = 0;
  private lanesAsked = false;
  private stopping = false;
  /** Lanes that passed the handshake and did not fail since. */
  private introducedLanes = new Set<Lane>();

  constructor(
    readonly label: string,
    readonly address: Address,
    lanes: number,
    private readonly world: BackendWorld,
    private readonly owner: ServerOwner,
  ) {
    this.explicitCas = new ExplicitCas(world.controlPrefix);
    this.sinceMs = world.clock.nowMs;
    this.control = this.makeLane(CONTROL_TIMEOUT_MS, newLatency());
    this.controlHandshake = new Handshake(this, this.control, true);
    for (let i = 0; i < lanes; i++) {
      const lane = this.makeLane(world.requestTimeoutMs, this.latency);
      this.lanes.push(lane);
      this.handshakes.set(lane, new Handshake(this, lane, false));
    }
  }

  private makeLane(timeoutMs: number, latency: Latency): Lane {
    const { world } = this;
    return new Lane(
      this, world.net, world.turn, world.clock, this.address, world.connectTimeoutMs, timeoutMs, world.tails,
      latency,
    );
  }

  /** A connection for one large value, ready or being opened; return it with giveBack, or fail it. */
  borrow(): Lane {
    const free = this.bulkFree.pop();
    if (free !== undefined) return free;
    const lane = this.makeLane(this.world.requestTimeoutMs, this.bulkLatency);
    this.bulk.add(lane);
    this.handshakes.set(lane, new Handshake(this, lane, false));
    lane.connect();
    return lane;
  }

  giveBack(lane: Lane): void {
    if (lane.ready) this.bulkFree.push(lane);
  }

  get drained(): boolean {
    return this.drainedHere || this.drainedElsewhere;
  }

  /** The world's deadlines have changed: for its clients' lanes from now on, for others when they are opened. */
  deadlinesChanged(): void {
    const { connectTimeoutMs, requestTimeoutMs } = this.world;
    this.control.connectTimeoutMs = connectTimeoutMs;
    for (const lane of this.lanes) {
      lane.connectTimeoutMs = connectTimeoutMs;
      lane.requestTimeoutMs = requestTimeoutMs;
    }
  }

  /** Nothing is under way on it. */
  get idle(): boolean {
    for (const lane of [...this.lanes, ...this.bulk]) if (lane.inFlight.count > 0 || lane.out.total > 0) return false;
    return true;
  }

  get state(): HealthState {
    return this.health.state;
  }
  /** The time on its clock, Unix seconds; good to about a second. */
  get unixSeconds(): number {
    return this.clockOffset + this.nowMs / 1000;
  }
  get nowMs(): number {
    return this.world.clock.nowMs;
  }

  start(): void {
    this.control.connect();
  }

  stop(): void {
    this.stopping = true;
    this.control.fail("stopping");
    for (const lane of this.lanes) lane.fail("stopping");
    for (const lane of this.bulk) lane.fail("stopping");
  }

  /** We were stopped for a while: silence until now says nothing about it. */
  excuse(): void {
    for (const lane of this.handshakes.keys()) lane.excuse();
    this.control.excuse();
  }

  /** Called every tick. */
  tick(now: number): void {
    this.control.expire(now);
    this.controlHandshake.tick(now);
    for (const [lane, handshake] of this.handshakes) {
      lane.expire(now);
      handshake.tick(now);
    }
    if (this.stopping || now < this.nextProbeAt) return;
    if (!this.control.alive) {
      this.nextProbeAt = now + this.health.nextProbeMs(this.world.random.u32());
      this.control.connect();
    } else if (this.control.ready) {
      this.nextProbeAt = now + PROBE_MS;
      this.controlHandshake.begin();
    }
  }

  /** The lane is not ready but may soon be: worth waiting for when there is no other. */
  isOpening(lane: Lane): boolean {
    return this.state === "down" ? this.health.reason === "starting" : lane.alive;
  }

  /** It may serve from now on: to the full ("up"), or written but not trusted ("rejoin"). */
  admit(state: "up" | "rejoin", reason: string): void {
    this.health.recovered();
    this.control.requestTimeoutMs = CONTROL_TIMEOUT_MS;
    this.become(state, reason);
    if (this.held) return;
    this.prepare();
    this.release();
  }

  /** Its lanes may be used, but nobody who waits for them knows yet. */
  prepare(): void {
    for (const lane of this.lanes) if (this.introducedLanes.has(lane)) this.open(lane);
  }

  /** Those who wait for its lanes go on. */
  release(): void {
    for (const lane of this.opened.splice(0)) if (lane.ready) lane.serve();
  }
  private readonly opened: Lane[] = [];

  private open(lane: Lane): void {
    if (lane.ready) return;
    lane.ready = true;
    this.opened.push(lane);
    this.owner.opening(this, lane);
  }

  /** Takes it out of service; probing begins. */
  goDown(reason: FailureReason): void {
    const wasDown = this.state === "down";
    const now = this.nowMs;
    if (!wasDown) this.health.down(now);
    // It must answer as clients need it before it is trusted again, when there is somebody to wait with.
    if (this.owner.canWait(this)) this.control.requestTimeoutMs = this.world.requestTimeoutMs;
    this.nextProbeAt = reason === "restarted" ? now : now + this.health.nextProbeMs(this.world.random.u32());
    this.riseAnswers = 0;
    this.lanesAsked = false;
    this.introducedLanes.clear();
    if (!wasDown) this.become("down", reason);
    else if (this.incarnation === null) {
      this.health.reason = reason;
      this.owner.missing(this, reason);
    }
    this.control.fail("down");
    for (const lane of this.lanes) lane.fail("down");
    for (const lane of this.bulk) lane.fail("down");
  }

  laneOpened(lane: Lane): void {
    if (lane === this.control) {
      this.controlKnown = false;
      this.controlHandshake.begin();
    } else this.handshakes.get(lane)!.begin();
  }

  laneClosed(lane: Lane, reason: FailureReason, established: boolean, unanswered: boolean, questions: number): void {
    this.lost[reason]++;
    if (lane !== this.control) this.failed[reason] += questions;
    const introduced = this.introducedLanes.delete(lane);
    if (unanswered && established) this.ghosts.add(lane.local);
    if (this.bulk.delete(lane)) {
      this.handshakes.delete(lane);
      const free = this.bulkFree.indexOf(lane);
      if (free !== -1) this.bulkFree.splice(free, 1);
      // What it left unanswered may still be executed: no other lane may be used before the barrier has seen it gone.
      if (unanswered && reason !== "abandoned") for (const each of this.lanes) if (each.ready) each.fail(reason);
      return;
    }
    if (this.stopping || reason === "down") return;
    if (this.state === "down") return this.goDown(reason);
    if (!established) return this.goDown(reason);
    if (lane === this.control) {
      if (reason === "request_timeout") return this.goDown("silent");
      // One new attempt; a server that never tells who it is would be asked again and again without a pause.
      return this.controlKnown ? lane.connect() : this.goDown(reason);
    }
    if (!introduced) return this.goDown(reason === "request_timeout" ? "silent" : reason);
    const tooMany = this.health.strike(lane.answered > lane.answeredBeforeServing);
    // Several lanes that hang at once are one hang.
    const hangs = reason === "request_timeout" && this.state !== "suspect" && this.health.hung(this.nowMs);
    if (tooMany || (hangs && this.owner.canWait(this))) return this.goDown(reason);
    if (this.state === "up") this.become("suspect", reason);
    lane.connect();
  }

  identified(lane: Lane, stats: Map<string, string>): boolean {
    const started = Number(stats.get("time")) - Number(stats.get("uptime"));
    const pid = stats.get("pid");
    if (!Number.isSafeInteger(started) || pid === undefined) {
      lane.fail("handshake");
      return false;
    }
    const incarnation = `${started}/${pid}`;
    this.stats = stats;
    // It tells whole seconds: half of one more is the best guess.
    this.clockOffset = Number(stats.get("time")) + 0.5 - this.nowMs / 1000;
    this.version = stats.get("version") ?? "";
    if (incarnation === this.incarnation) return true;
    if (this.incarnation !== null && this.state !== "down") {
      this.goDown("restarted");
      return false;
    }
    const lost = this.incarnation !== null;
    this.incarnation = incarnation;
    this.casTag = this.world.casTags.of(this.label, incarnation);
    // Its old process is gone, and the requests that waited in it.
    this.ghosts.clear();
    if (lost) this.owner.memoryLost(this);
    return true;
  }

  settingsRead(settings: Map<string, string>): Uint8Array | null {
    this.itemBytesMax = Number(settings.get("item_size_max") ?? 0);
    return this.explicitCas.ask(this.incarnation!, this.version, settings);
  }

  explicitAnswered(status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    this.explicitCas.answered(status, bytes, start, end);
  }

  introduced(lane: Lane): void {
    if (lane === this.control) return this.controlAnswered();
    if (this.bulk.has(lane)) {
      lane.requestTimeoutMs = BULK_TIMEOUT_MS;
      this.open(lane);
      const own = lane.inFlight.count;
      this.release();
      // Whoever wanted it may have given up.
      if (lane.inFlight.count === own) this.bulkFree.push(lane);
      return;
    }
    this.introducedLanes.add(lane);
    if (this.state !== "down") {
      if (this.owner.mustFlush(this)) return this.goDown("unflushed");
      this.open(lane);
      this.release();
      if (this.state === "suspect" && this.lanes.every((each) => each.ready)) this.owner.reconnected(this);
      return;
    }
    if (this.introducedLanes.size === this.lanes.length) this.owner.arrived(this);
  }

  /** Suspicion is lifted, or synchronisation is through. */
  trust(reason: string): void {
    this.cold = false;
    this.become("up", reason);
  }

  /** From suspect: it serves again but lacks some keys. */
  distrust(reason: string): void {
    this.become("rejoin", reason);
  }

  private controlAnswered(): void {
    const now = this.nowMs;
    this.control.ready = this.controlKnown = true;
    if (this.state !== "down") {
      if (this.nextProbeAt <= now) this.nextProbeAt = now + PROBE_MS;
      return;
    }
    if (this.lanesAsked) {
      this.nextProbeAt = now + PROBE_MS;
      return;
    }
    if (this.riseAnswers++ === 0) this.riseBegan = now;
    const riseMs = this.health.reason === "starting" || !this.owner.canWait(this) ? 0 : this.health.riseMs;
    if (riseMs === 0 || (this.riseAnswers >= RISE_ANSWERS && now - this.riseBegan >= riseMs)) {
      this.lanesAsked = true;
      this.nextProbeAt = now + PROBE_MS;
      for (const lane of this.lanes) lane.connect();
    } else this.nextProbeAt = now + this.health.nextProofMs(this.world.random.u32());
  }

  private become(state: HealthState, reason: string): void {
    const from = this.state;
    this.health.state = state;
    this.health.reason = reason;
    this.leads = (state === "up" || state === "suspect") && !this.cold;
    if (from === state) return;
    this.sinceMs = this.nowMs;
    this.owner.stateChanged(this, from, reason);
  }
}

function noneByReason(): Record<FailureReason, number> {
  return Object.fromEntries(FAILURE_REASONS.map((reason) => [reason, 0])) as Record<FailureReason, number>;
}
