// A server that comes back is written at once but not read before it holds what its peers hold. This is its way:
//
//   arrived ─▶ owed flush_all ─▶ list of missed writes complete? yes: those
//                                 its memory is lost: peer by peer all that they hold (refill.ts), after a
//                                 comparison of what it came with, if it is not empty
//                                 else: its own keys and those of its peers, compared (listing.ts)     ─▶ trusted
import { latin1 } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import type { Server } from "../../backend/server.ts";
import type { Counters } from "../../observe/counters.ts";
import type { Log } from "../../observe/log.ts";
import type { Clock } from "../../platform/platform.ts";
import { Expect, Status, type StatusCode } from "../../protocol/reply.ts";
import { isControlAt } from "../control.ts";
import type { Copier } from "./copier.ts";
import { Dump, type DumpedKeys, dumpsByHash, type DumpWorld } from "./dump.ts";
import type { Lease } from "../proxies/lease.ts";
import { Listing } from "./listing.ts";
import { Pace, type PaceLimits } from "./pace.ts";
import type { Pair, Side } from "../pair.ts";
import { type Progress, Refill } from "./refill.ts";

/** Until keys that could not be listed are asked for again, ms: at first, and at most. */
const AGAIN_MS = 200, AGAIN_MAX_MS = 5000;
/** How often progress is logged, ms. */
const TELL_MS = 5000;
export const FLUSH_ALL = latin1("flush_all\r\n");
/** A refill begins copies every 2 ms, a comparison every tick; so much of what they may do is made up for later, ms. */
const STEP_BURST_MS = 5, TICK_BURST_MS = 25;
/** Keys handed to the copier at a time. */
const BATCH = 512;

/** One peer of a returning server with the pair they form. */
export interface Peer {
  readonly server: Server;
  readonly pair: Pair;
}

/** What a returning server needs of its pool. */
export interface Around extends DumpWorld {
  readonly clock: Clock;
  readonly copier: Copier;
  readonly counters: Counters;
  readonly log: Log;
  readonly refillLimits: PaceLimits;
  /** Finds the pair and the lane of the key bytes[start, end), which are then `pair` and `laneIndex`. */
  route(bytes: Uint8Array, start: number, end: number): void;
  readonly pair: Pair;
  readonly laneIndex: number;
  /** Lane of a key, and the pair it belongs to. */
  laneOf(key: string): number;
  pairOf(key: string): Pair;
  /** In how many pairs a server is. */
  pairsOf(server: Server): number;
  /** So that one of several proxies copies to a server; null: they do not know of each other. early: see lease.ts. */
  leaseOf(server: Server, early: boolean): Lease | null;
}

/** Missed writes; all keys of its peers, since its memory is lost; or all keys of both sides, compared. */
export type Scope = "missed writes" | "refill" | "comparison";

export class Returning {
  readonly scope: Scope;
  readonly progress: Progress = { listed: 0, done: 0, bytes: 0 };
  private iterator: Iterator<string> | null = null;
  private dumps: Dump[] = [];
  private refill: Refill | null = null;
  private open = 0;
  private listed = false;
  /** Which part of the keys is listed and compared, and of how many; 0: not known yet. */
  private part = 0;
  private parts = 0;
  /** Clients' keys that it came with when its memory was lost. */
  private strange = 0;
  private atMs = 0;
  private stopped = false;
  /** How often keys could not be listed since they could. */
  private refusals = 0;
  private readonly begunMs: number;
  /** Stale entries it had on arrival. */
  private readonly missed: number;
  private readonly pace: Pace;
  private toldMs: number;
  /** Of what is not our own knowledge alone. */
  private readonly lease: Lease | null;

  /**
   * full: every key of its pairs is compared; otherwise its stale entries are enough. foreign: it may hold keys that
   * did not come from its peers. owesFlush: it missed a flush_all.
   */
  constructor(
    readonly server: Server,
    private readonly side: Side,
    private readonly peers: readonly Peer[],
    full: boolean,
    private readonly foreign: boolean,
    private owesFlush: boolean,
    private readonly around: Around,
    private readonly done: (scope: Scope, keys: number, ms: number) => void,
    /** Another proxy copies to it meanwhile: this one is to begin anew. */
    private readonly lost: () => void,
  ) {
    this.scope = !full ? "missed writes" : server.cold ? "refill" : "comparison";
    this.missed = peers.reduce((sum, { pair }) => sum + pair.lacking[side], 0);
    this.toldMs = this.begunMs = around.clock.nowMs();
    const early = this.scope === "refill" && !peers.some(({ pair }) => pair.overflow[side]);
    this.lease = this.scope === "missed writes" ? null : around.leaseOf(server, early);
    this.pace = new Pace(around.refillLimits, this.scope === "refill" ? STEP_BURST_MS : TICK_BURST_MS, this.begunMs);
  }

  /** Keys copied or found equal per second so far, on average. */
  get perSecond(): number {
    const seconds = (this.around.clock.nowMs() - this.begunMs) / 1000;
    return seconds > 0 ? this.progress.done / seconds : 0;
  }

  /** Keys that must still be looked at, as far as is known: listed ones, and what peers not listed yet say they hold. */
  get left(): number {
    let left = this.peers.reduce((sum, { pair }) => sum + pair.lacking[this.side], 0) + this.progress.listed - this.progress.done;
    if (this.scope !== "refill") return left;
    for (const peer of this.unlisted) left += Number(peer.server.stats.get("curr_items") ?? 0) / this.around.pairsOf(peer.server);
    return Math.round(left);
  }
  private readonly unlisted = new Set<Peer>();

  /** Seconds until it is through at the present rate; null when that is not known. */
  get etaSeconds(): number | null {
    const perSecond = this.perSecond;
    return perSecond > 0 ? Math.ceil(this.left / perSecond) : null;
  }

  /** The present limit, keys a second. */
  get limit(): number {
    return this.pace.rate;
  }

  /** It left again, or was stopped. */
  stop(): void {
    if (!this.stopped) this.lease?.end(false);
    this.stopped = true;
    this.refill?.stop();
    for (const dump of this.dumps) dump.abort();
    this.around.copier.drop((job) => job.generation === 0 && job.pair.server(job.to) === this.server);
  }

  /** Called every tick while it is not trusted. */
  tick(nowMs: number): void {
    if (this.stopped) return;
    this.tell(nowMs);
    const { lease } = this;
    if (lease !== null && !this.owesFlush) {
      lease.tick(nowMs, this.listing ? nowMs : this.progress.listed + this.progress.done);
      if (this.waits && this.working) return this.lost();
    }
    if (nowMs < this.atMs) return;
    if (this.owesFlush) return this.flush();
    if (this.waits || (lease?.done !== true && !this.copied(nowMs))) return;
    if (this.peers.some(({ pair }) => pair.lacking[this.side] > 0)) return;
    for (const { pair } of this.peers) pair.overflow[this.side] = false;
    this.stopped = true;
    lease?.end(true);
    this.done(this.scope, this.scope === "missed writes" ? this.missed : this.progress.done, nowMs - this.begunMs);
  }

  /** Another proxy copies to it: what it does need not be done twice. */
  get waits(): boolean {
    return this.lease !== null && !this.lease.mine && !this.lease.done;
  }

  private get listing(): boolean {
    return this.dumps.length > 0 || this.refill?.listing === true;
  }

  private get working(): boolean {
    return this.refill !== null || this.listing || this.iterator !== null;
  }

  /** Everything that its peers hold is there, as far as it does not come from missed writes that we know of. */
  private copied(nowMs: number): boolean {
    // What it holds by itself comes first: a refill only adds to it.
    if ((this.scope === "comparison" || this.foreign) && this.scope !== "missed writes" && !this.compared(nowMs)) return false;
    return this.scope !== "refill" || this.refilled();
  }

  /** The flush_all it missed comes first. */
  private flush(): void {
    const lane = this.server.lanes[0]!;
    if (!lane.ready) return;
    this.atMs = Infinity;
    lane.out.push(FLUSH_ALL, 0, FLUSH_ALL.length);
    lane.expect(Expect.OK, new Told((flushed) => {
      this.owesFlush = this.server.unflushed = !flushed;
      this.atMs = 0;
    }), 0);
  }

  /** Peer by peer: what is done stays done while the server keeps its memory. True when all are through. */
  private refilled(): boolean {
    if (this.refill !== null) return false;
    this.unlisted.clear();
    for (const each of this.peers) if (!each.pair.filled[this.side]) this.unlisted.add(each);
    const [peer] = this.unlisted;
    if (peer === undefined) return true;
    // A peer that is away may hold what this one lacks.
    if (peer.server.state === "down") return false;
    const ended = (problem: string | null): void => {
      this.refill = null;
      if (problem !== null) return this.cannotList(peer.server, problem);
      this.refusals = 0;
      peer.pair.filled[this.side] = true;
    };
    this.refill = new Refill(this.server, this.side, peer, this.around, this.pace, this.progress, () => void this.unlisted.delete(peer), ended);
    this.refill.start();
    return false;
  }

  private cannotList(on: Server, problem: string): void {
    this.around.log.warn("keys cannot be listed, trying again", { server: this.server.label, of: on.label, reason: problem });
    // A peer may refuse for good (memcached -X).
    this.atMs = this.around.clock.nowMs() + Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** this.refusals++);
  }

  private compared(nowMs: number): boolean {
    if (!this.listed) {
      if (!this.peers.some(({ server }) => server.state === "down")) this.list();
      return false;
    }
    if (!this.feed(nowMs)) return false;
    if (this.part + 1 >= this.parts) return true;
    this.part++;
    this.listed = false;
    return false;
  }

  private list(): void {
    this.atMs = Infinity;
    // What only it holds may have been deleted meanwhile.
    const from = this.scope === "comparison" ? [...this.peers.map(({ server }) => server), this.server] : [this.server];
    if (this.parts === 0) this.parts = Listing.partsFor(from);
    const keys = new Listing((key) => this.around.pairOf(key), from, this.part, this.parts);
    this.open = from.length;
    let failed: { server: Server; problem: string } | null = null;
    const ended = (server: Server) => (problem: string | null): void => {
      if (this.stopped) return;
      if (problem !== null) failed = { server, problem };
      if (--this.open > 0) return;
      this.dumps = [];
      if (failed !== null) return this.cannotList(failed.server, failed.problem);
      this.atMs = this.refusals = 0;
      this.listed = true;
      this.progress.listed += keys.size;
      if (this.scope === "refill") this.cameWith(keys.size);
      this.iterator = keys.keys();
    };
    this.dumps = from.map((server) => new Dump(this.around, server.address, dumpsByHash(server.version), clientsOnly(keys.from(server)), ended(server)));
    for (const dump of this.dumps) dump.start();
  }

  private cameWith(keys: number): void {
    this.strange += keys;
    if (this.part + 1 < this.parts || this.strange === 0) return;
    this.around.log.warn("server was restarted and is not empty", { server: this.server.label, keys: this.strange });
  }

  /** How far it is, now and then. */
  private tell(nowMs: number): void {
    if (nowMs - this.toldMs < TELL_MS) return;
    this.toldMs = nowMs;
    const { progress, etaSeconds } = this;
    this.around.log.info("server is being synchronised", {
      server: this.server.label, scope: this.scope, ...(this.waits ? { by: "another proxy" } : {}), keys: progress.done, left: this.left, per_second: Math.round(this.perSecond),
      ...(etaSeconds === null ? {} : { eta_s: etaSeconds }),
    });
  }

  /** Hands keys to the copier as it works them off; true when all are settled. */
  private feed(nowMs: number): boolean {
    let allowed = this.iterator === null ? 0 : this.pace.allowed(nowMs);
    while (this.iterator !== null && this.open < BATCH && allowed > 0) {
      const { value: key, done } = this.iterator.next();
      if (done === true) {
        this.iterator = null;
        break;
      }
      const pair = this.around.pairOf(key);
      if (pair.server(this.side) !== this.server) {
        this.progress.listed--;
        continue;
      }
      this.open++;
      allowed--;
      this.pace.began();
      const settled = (): void => {
        this.open--;
        this.progress.done++;
      };
      this.around.copier.add({ pair, key, laneIndex: this.around.laneOf(key), to: this.side, generation: 0, settled });
    }
    return this.iterator === null && this.open === 0;
  }
}

/** Without the items that tandem keeps for itself: they are each server's own. */
function clientsOnly(keys: DumpedKeys): DumpedKeys {
  return { add: (bytes, start, end, words, from, to) => !isControlAt(bytes, start, end) && keys.add(bytes, start, end, words, from, to) };
}

/** Tells whether one command was answered with OK. */
export class Told extends SilentCaller {
  constructor(private readonly done: (ok: boolean) => void) {
    super();
  }
  override onReply(_role: number, status: StatusCode): void {
    this.done(status === Status.OK);
  }
  override onFailure(): void {
    this.done(false);
  }
}
