// A server that comes back is written at once but not read before it holds what its peers hold. This is its way:
//
//   arrived ─▶ owed flush_all ─▶ list of missed writes complete? yes: those · no: every key of its pairs, from dumps
//           ─▶ trusted
import { latin1 } from "../bytes/ascii.ts";
import { SilentCaller } from "../backend/caller.ts";
import type { Server } from "../backend/server.ts";
import type { Log } from "../observe/log.ts";
import type { Clock } from "../platform/platform.ts";
import { Expect, Status, type StatusCode } from "../protocol/reply.ts";
import { CONTROL_PREFIX } from "./control.ts";
import type { Copier } from "./copier.ts";
import { Dump, type DumpWorld } from "./dump.ts";
import { Listing } from "./listing.ts";
import type { Pair, Side } from "./pair.ts";

const AGAIN_MS = 200;
/** How often progress is logged, ms. */
const TELL_MS = 5000;
export const FLUSH_ALL = latin1("flush_all\r\n");
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
  readonly log: Log;
  /** Lane of a key, and the pair it belongs to. */
  laneOf(key: string): number;
  pairOf(key: string): Pair;
}

export class Returning {
  private iterator: Iterator<string> | null = null;
  private dumps: Dump[] = [];
  private open = 0;
  private listed = false;
  private atMs = 0;
  private stopped = false;
  private readonly begunMs: number;
  /** Stale entries it had on arrival. */
  private readonly missed: number;
  private listedKeys = 0;
  private toldMs: number;
  private compared = 0;

  /**
   * full: every key of its pairs is compared; otherwise its stale entries are enough. owesFlush: it missed a flush_all.
   */
  constructor(
    readonly server: Server,
    private readonly side: Side,
    private readonly peers: readonly Peer[],
    private readonly full: boolean,
    private owesFlush: boolean,
    private readonly around: Around,
    private readonly done: (compared: number, ms: number, missed: number) => void,
  ) {
    this.missed = peers.reduce((sum, { pair }) => sum + pair.lacking[side], 0);
    this.toldMs = around.clock.nowMs();
    this.begunMs = around.clock.nowMs();
  }

  /** It left again, or was stopped. */
  stop(): void {
    this.stopped = true;
    for (const dump of this.dumps) dump.abort();
    this.around.copier.drop((job) => job.generation === 0 && job.pair.server(job.to) === this.server);
  }

  /** Called every tick while it is not trusted. */
  tick(nowMs: number): void {
    if (this.stopped || nowMs < this.atMs) return;
    if (this.owesFlush) return this.flush();
    if (this.full && !this.listed) {
      // A peer that is away may hold what this one lacks.
      if (this.peers.some(({ server }) => server.state === "down")) return;
      return this.list();
    }
    if (this.full && !this.feed()) return this.tell(nowMs);
    if (this.peers.some(({ pair }) => pair.lacking[this.side] > 0)) return;
    for (const { pair } of this.peers) pair.overflow[this.side] = false;
    this.stopped = true;
    this.done(this.compared, nowMs - this.begunMs, this.missed);
  }

  /** The flush_all it missed comes first. */
  private flush(): void {
    const lane = this.server.lanes[0]!;
    if (!lane.ready) return;
    this.atMs = Infinity;
    lane.out.push(FLUSH_ALL, 0, FLUSH_ALL.length);
    lane.expect(Expect.OK, new Told((flushed) => {
      this.owesFlush = !flushed;
      this.atMs = 0;
    }), 0);
  }

  private list(): void {
    this.atMs = Infinity;
    const keys = new Listing((key) => this.around.pairOf(key));
    const from = this.peers.map(({ server }) => server);
    // What only it still holds may have been deleted meanwhile.
    if (!this.server.cold) from.push(this.server);
    this.open = from.length;
    let problem = "";
    const ended = (server: Server) => (why: string | null): void => {
      if (this.stopped) return;
      if (why !== null) problem = `${server.label}: ${why}`;
      if (--this.open > 0) return;
      this.dumps = [];
      if (problem !== "") {
        this.around.log.warn("keys cannot be listed, trying again", { server: this.server.label, reason: problem });
        this.atMs = this.around.clock.nowMs() + AGAIN_MS;
        return;
      }
      this.atMs = 0;
      this.listed = true;
      this.listedKeys = keys.size;
      this.iterator = keys.keys();
    };
    this.dumps = from.map((server) => new Dump(this.around, server.address, dumpsByHash(server.version), keys.from(server), ended(server)));
    for (const dump of this.dumps) dump.start();
  }

  /** How far it is, now and then. */
  private tell(nowMs: number): void {
    if (nowMs - this.toldMs < TELL_MS) return;
    this.toldMs = nowMs;
    const { label } = this.server;
    this.around.log.info("server is being synchronised", { server: label, keys: this.compared, listed: this.listedKeys });
  }

  /** Hands keys to the copier as it works them off; true when all are settled. */
  private feed(): boolean {
    while (this.iterator !== null && this.open < BATCH) {
      const { value: key, done } = this.iterator.next();
      if (done === true) {
        this.iterator = null;
        break;
      }
      if (key.startsWith(CONTROL_PREFIX)) continue; // no client's, and each server's own
      const pair = this.around.pairOf(key);
      if (pair.server(this.side) !== this.server) continue;
      this.open++;
      this.compared++;
      const settled = (): void => void this.open--;
      this.around.copier.add({ pair, key, laneIndex: this.around.laneOf(key), to: this.side, generation: 0, settled });
    }
    return this.iterator === null && this.open === 0;
  }
}

/** memcached ≥ 1.6.19 dumps by hash table, missing nothing. */
export function dumpsByHash(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.\-+ ]/).map(Number);
  return major > 1 || (major === 1 && (minor > 6 || (minor === 6 && patch >= 19)));
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
