// Once a day, and after a proxy died, all keys are compared, slowly: what somebody changed on one server alone, past the
// proxies, or what a proxy left half done when it died, is found and made alike. One primary with its backups at a time.
//
//   due ─▶ dumps of the primary and of each backup ─▶ keys that may differ (listing.ts) ─▶ verifier ─▶ next primary
import { textOf } from "../../bytes/ascii.ts";
import type { Server } from "../../backend/server.ts";
import type { Counters } from "../../observe/counters.ts";
import type { Log } from "../../observe/log.ts";
import { isControlAt } from "../control.ts";
import { Dump, dumpsByHash, type DumpedKeys, type DumpWorld } from "./dump.ts";
import { Listing } from "./listing.ts";
import type { Pair } from "../pair.ts";
import type { Verifier } from "./verify.ts";

/** Keys compared in one tick, at most: 2000 a second. */
const KEYS_A_TICK = 40;
/** Comparisons that may wait for it: clients' own come first. */
const BACKLOG_MAX = 1000;
/** After a listing that failed, ms. */
const AGAIN_MS = 60_000;
/** After a proxy's death the dust settles first, ms. */
const SOON_MS = 5000;
const HOUR_MS = 3_600_000;

export interface ScrubWorld extends DumpWorld {
  readonly nowMs: number;
  readonly primaries: readonly Server[];
  readonly pairs: readonly Pair[];
  readonly verifier: Verifier;
  readonly counters: Counters;
  readonly log: Log;
  laneOf(key: string): number;
  pairOf(key: string): Pair;
  /** Of several workers one compares for all. */
  readonly comparesAll: boolean;
}

/** A primary and its backups while they are compared. */
interface Round {
  readonly primary: Server;
  readonly part: number;
  readonly parts: number;
  readonly toList: Server[];
  readonly listing: Listing;
  dump: Dump | null;
  keys: Iterator<string> | null;
  /** Keys under comparison. */
  open: number;
}

export class Scrubber {
  private dueMs: number;
  private primaries: Server[] = [];
  private round: Round | null = null;
  private compared = 0;
  private found = 0;
  private begunMs = 0;

  /** everyHours 0: never. */
  constructor(private readonly world: ScrubWorld, private readonly everyHours: number) {
    this.dueMs = everyHours === 0 ? Infinity : world.nowMs + everyHours * HOUR_MS;
  }

  /** All keys are to be compared soon; not with a period of 0, nor when another worker does it. */
  soon(inMs = SOON_MS): void {
    if (this.everyHours === 0 || !this.world.comparesAll) return;
    this.dueMs = Math.min(this.dueMs, this.world.nowMs + inMs);
    this.owed = true;
  }
  /** All keys are to be compared as soon as servers can, whatever the period is. */
  now(): void {
    this.dueMs = this.world.nowMs;
    this.owed = true;
  }
  /** What is to be compared soon is not compared yet. */
  owed = false;

  /** Servers came or went: what is under way is given up, and comes again in its turn. */
  restart(): void {
    const { dueMs } = this;
    this.stop();
    this.dueMs = dueMs;
  }

  stop(): void {
    this.round?.dump?.abort();
    this.dueMs = Infinity;
    this.round = null;
    this.primaries = [];
  }

  /** Called every tick. */
  tick(now: number): void {
    if (this.round !== null) return this.feed(this.round);
    if (this.primaries.length === 0) {
      if (now < this.dueMs) return;
      this.dueMs = this.everyHours === 0 ? Infinity : now + this.everyHours * HOUR_MS;
      if (!this.owed && !this.world.comparesAll) return;
      this.primaries = [...this.world.primaries];
      this.compared = 0;
      this.found = this.world.counters.divergences;
      this.begunMs = now;
    }
    // A server that is on its way back is compared anyway.
    const next = this.primaries.findIndex((primary) => this.pairsOf(primary).every(({ backup }) => primary.state === "up" && backup!.state === "up"));
    if (next === -1) return;
    const [primary] = this.primaries.splice(next, 1);
    this.begin(primary!, 0, Listing.partsFor([primary!, ...this.pairsOf(primary!).map(({ backup }) => backup!)]));
  }

  private begin(primary: Server, part: number, parts: number): void {
    const servers = [primary, ...this.pairsOf(primary).map(({ backup }) => backup!)];
    const listing = new Listing((key) => this.world.pairOf(key), servers, part, parts);
    this.round = { primary, part, parts, toList: servers, listing, dump: null, keys: null, open: 0 };
    this.list(this.round);
  }

  private pairsOf(primary: Server): readonly Pair[] {
    return this.world.pairs.filter((pair) => pair.primary === primary);
  }

  private list(round: Round): void {
    const server = round.toList.shift();
    if (server === undefined) {
      round.keys = round.listing.keys();
      return;
    }
    round.dump = new Dump(this.world, server.address, dumpsByHash(server.version), this.only(round, server), (problem) => {
      round.dump = null;
      if (this.round !== round) return;
      if (problem === null) return this.list(round);
      this.world.log.warn("keys cannot be listed, comparing all again later", { server: server.label, reason: problem });
      this.round = null;
      this.primaries = [];
      this.dueMs = Math.min(this.dueMs, this.world.nowMs + (this.owed ? SOON_MS : AGAIN_MS));
    });
    round.dump.start();
  }

  /** Keys of this round's primary. */
  private only({ primary, listing }: Round, server: Server): DumpedKeys {
    const all = listing.from(server);
    return {
      add: (bytes, start, end, words, from, to) =>
        !isControlAt(bytes, start, end) && this.world.pairOf(textOf(bytes, start, end)).primary === primary &&
        all.add(bytes, start, end, words, from, to),
    };
  }

  private feed(round: Round): void {
    if (round.keys === null) return;
    const { world } = this;
    for (let i = 0; i < KEYS_A_TICK && world.verifier.backlog < BACKLOG_MAX; i++) {
      const { value: key, done } = round.keys.next();
      if (done === true) {
        if (round.open > 0) return;
        return round.part + 1 < round.parts ? this.begin(round.primary, round.part + 1, round.parts) : this.ended();
      }
      this.compared++;
      round.open++;
      world.verifier.wrote(world.pairOf(key), key, world.laneOf(key), () => void round.open--);
    }
  }

  private ended(): void {
    this.round = null;
    if (this.primaries.length > 0) return;
    this.owed = false;
    const { world } = this;
    world.log.info("all keys are compared", {
      differing: this.compared, repaired: world.counters.divergences - this.found, ms: Math.round(world.nowMs - this.begunMs),
    });
  }
}
