// All keys that one peer of a server without memory holds, copied to it: listed in parts that fit into memory, then
// copied at the pace that the settings and the servers allow.
//
//   for each part: dump of the peer ─▶ keys ─▶ Fill (the plain case) ─▶ copier (what else comes up)
import type { Server } from "../../backend/server.ts";
import type { Timer } from "../../platform/platform.ts";
import { isControlAt } from "../control.ts";
import { Dump, dumpsByHash } from "./dump.ts";
import { Fill, type FillOwner } from "./fill.ts";
import { KeySet } from "./keyset.ts";
import type { Pair, Side } from "../pair.ts";
import type { Pace } from "./pace.ts";
import type { Around, Peer } from "./returning.ts";

/** Keys listed at a time: about 100 MB when they are 40 bytes long. */
const KEYS_AT_ONCE = 2_000_000;
/** How often copies are begun, ms: few at a time, so that clients' requests find room between them. */
const STEP_MS = 2;
/** While so many keys wait for a closer look no more are begun. */
const ODDS_MAX = 4096;
/** Every so many keys one is timed. */
const TIMED = 16;

/** How far it is. */
export interface Progress {
  listed: number;
  done: number;
  /** Bytes of the values copied. */
  bytes: number;
}

export class Refill implements FillOwner {
  private readonly fill: Fill;
  private readonly parts: number;
  private part = 0;
  private keys: KeySet | null = null;
  private dump: Dump | null = null;
  /** Where in the keys' bytes the next one stands. */
  private next = 0;
  private begun = 0;
  /** Keys left to the copier and not settled. */
  private odds = 0;
  private timer: Timer | null = null;
  private stopped = false;

  /** done(null): the server has all that the peer held; done(why): keys could not be listed. */
  constructor(
    private readonly server: Server,
    private readonly side: Side,
    private readonly peer: Peer,
    private readonly around: Around,
    private readonly pace: Pace,
    private readonly progress: Progress,
    /** The names of all keys (or of the first part) are known. */
    private readonly listed: () => void,
    private readonly done: (problem: string | null) => void,
  ) {
    this.fill = new Fill(side, this);
    this.parts = Math.max(1, Math.ceil(itemsOf(peer) / KEYS_AT_ONCE));
  }

  start(): void {
    this.list();
  }

  /** Keys are being listed. */
  get listing(): boolean {
    return this.dump !== null;
  }

  stop(): void {
    this.stopped = true;
    this.dump?.abort();
    this.timer?.cancel();
  }

  private list(): void {
    const keys = (this.keys = new KeySet(this.part, this.parts, 0, itemsOf(this.peer) / this.parts));
    const { server } = this.peer;
    const sink = {
      add: (bytes: Uint8Array, start: number, end: number): boolean => this.concerns(bytes, start, end) && keys.add(bytes, start, end),
    };
    this.dump = new Dump(this.around, server.address, dumpsByHash(server.version), sink, (problem) => {
      this.dump = null;
      if (problem !== null) return this.end(problem);
      this.progress.listed += keys.size;
      this.next = 0;
      this.listed();
      this.pump();
    });
    this.dump.start();
  }

  /** Begins as many copies as may begin now. */
  private pump(): void {
    if (this.stopped) return;
    const keys = this.keys!;
    const now = this.around.clock.nowMs();
    // While one of the two is away nothing can be copied: the keys wait for it.
    const away = this.server.state === "down" || this.peer.server.state === "down";
    let allowed = away || this.odds > ODDS_MAX ? 0 : Math.min(this.pace.allowed(now), this.fill.room);
    while (allowed > 0 && this.next < keys.end) {
      const start = this.next + 1;
      const end = start + keys.bytes[this.next]!;
      this.next = end;
      allowed--;
      this.around.route(keys.bytes, start, end);
      this.pace.began();
      const timed = this.begun++ % TIMED === 0;
      this.fill.begin(this.around.pair, this.around.laneIndex, keys.bytes, start, end, timed ? now : 0);
    }
    if (this.next >= keys.end && this.fill.running === 0 && this.odds === 0) return this.partDone();
    this.timer = this.around.clock.timer(STEP_MS, () => this.pump());
  }

  /** A client's key, and of the pair of the two. */
  private concerns(bytes: Uint8Array, start: number, end: number): boolean {
    if (isControlAt(bytes, start, end)) return false;
    this.around.route(bytes, start, end);
    return this.around.pair === this.peer.pair;
  }

  private partDone(): void {
    this.keys = null;
    if (++this.part < this.parts) return this.list();
    this.end(null);
  }

  private end(problem: string | null): void {
    if (this.stopped) return;
    this.stop();
    this.done(problem);
  }

  filled(begunMs: number, bytes: number): void {
    this.progress.done++;
    this.progress.bytes += bytes;
    this.pace.moved(bytes);
    this.around.counters.sync_copied++;
    if (begunMs !== 0) this.pace.took(this.around.clock.nowMs() - begunMs);
  }

  copies(pair: Pair, keyed: { readonly key: string }): boolean {
    return this.around.copier.copies(pair, keyed);
  }

  claim(pair: Pair, key: string): number {
    return this.around.copier.claim(pair, key, this.side);
  }

  release(pair: Pair, key: string, generation: number, alike: boolean): void {
    this.around.copier.release(pair, key, this.side, generation, alike);
  }

  odd(pair: Pair, key: string, laneIndex: number): void {
    if (this.stopped) return;
    this.odds++;
    const settled = (): void => {
      this.odds--;
      this.progress.done++;
    };
    this.around.copier.add({ pair, key, laneIndex, to: this.side, generation: 0, settled });
  }
}

/** How many items a peer says that it holds; not all of them need be of this pair. */
function itemsOf({ server }: Peer): number {
  return Number(server.stats.get("curr_items") ?? 0);
}
