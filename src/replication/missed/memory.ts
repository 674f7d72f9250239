// What this pool's proxy knows of missed writes, beyond its own life: marks as it works (hints.ts), what earlier ones
// left when it starts (recall.ts), and what follows from that.
import type { Server } from "../../backend/server.ts";
import type { Complaint } from "../proxies/notice.ts";
import { controlName } from "../control.ts";
import { Hints, type HintsAround, put } from "./hints.ts";
import { chunkKey, type MarkKind, markKey } from "./mark.ts";
import { BACKUP, other, type Pair, PRIMARY, type Side } from "../pair.ts";
import type { Pool } from "../pool.ts";
import { endsOf, lanesOf, Recall, type RecallAround } from "./recall.ts";
import type { StateAround } from "./state_file.ts";
import type { Filed } from "./state_record.ts";
import { States } from "./states.ts";
import type { Peer } from "../copying/returning.ts";
import type { Lack, Verdict } from "./verdict.ts";

/** Whoever posts longer than this after we came lives, ms. */
const LIVES_MS = 900;

export class Memory implements HintsAround, RecallAround, StateAround {
  readonly hints: Hints;
  readonly recall: Recall;
  /** What is written down on our own disk; null: nothing is. */
  readonly state: States | null;
  private last = 0;
  /** By "keeper about", and proxy: up to which stamp marks on `about` about `keeper` are void. */
  private readonly voids = new Map<string, Map<string, number>>();
  /** What was followed already. */
  private readonly followed = new Set<string>();
  /** Proxies that are dead for certain. */
  private readonly dead = new Map<string, Left>();
  private readonly peers = new Map<Server, Peer[]>();

  constructor(private readonly pool: Pool) {
    this.meet();
    this.hints = new Hints(this);
    this.recall = new Recall(this);
    this.state = pool.options.proxies.stateDir === "" ? null : new States(this, pool.options.proxies.stateDir, pool.options.name);
    this.listen();
  }

  /** Servers came or went; those who left are known until their last requests have ended. */
  serversChanged(fresh: readonly Server[]): void {
    for (const server of fresh) this.recall.takes(server);
    this.meet();
    this.hints.serversChanged();
    this.state?.file.serversChanged();
    this.listen();
  }

  /** Nothing is under way any more on a server that left. */
  left(server: Server): void {
    this.peers.delete(server);
    this.hints.forget(server);
    this.recall.forget(server);
  }

  private meet(): void {
    for (const server of this.pool.servers) this.peers.set(server, this.pool.comebacks.peersOf(server));
  }

  private listen(): void {
    const missed = (pair: Pair, key: string, side: Side): void => {
      this.hints.missed(pair, key, side);
      this.state?.file.missed(pair, key, side);
    };
    for (const pair of this.pool.pairs) pair.onMissed = missed;
  }

  get proxyId(): string {
    return this.pool.proxyId;
  }
  get servers(): readonly Server[] {
    return this.pool.servers;
  }
  get pairs(): readonly Pair[] {
    return this.pool.pairs;
  }
  get files() {
    return this.pool.files;
  }
  get fingerprint(): string {
    return this.pool.options.fingerprint;
  }
  get requestTimeoutMs(): number {
    return this.pool.options.requestTimeoutMs;
  }
  soon(run: () => void): void {
    this.pool.soon(run);
  }
  filed(id?: string): readonly Filed[] {
    return this.state?.filed(id) ?? [];
  }
  /** What an earlier proxy wrote down cannot be read: which side lacks what is not known. */
  damaged(): void {
    this.pool.scrubber.now();
  }
  /** A proxy before us: whether nothing of it can be wanted any more. */
  isOver(id: string): boolean {
    return this.recall.hasDecided && (this.dead.has(id) || !this.pool.board!.known.has(id));
  }
  madeUp({ keeper, about }: Filed): boolean {
    return this.pool.pairs.some((pair) => {
      const { primary, backup } = pair;
      if (backup === null || primary.state !== "up" || backup.state !== "up") return false;
      const names = [controlName(primary.label), controlName(backup.label)];
      return names.includes(keeper) && names.includes(about) && this.lacking(pair, PRIMARY) === null && this.lacking(pair, BACKUP) === null;
    });
  }
  get log() {
    return this.pool.log;
  }
  get nowMs(): number {
    return this.pool.nowMs;
  }
  get patienceMs(): number {
    return (this.pool.options.requestTimeoutMs * 2) / 3;
  }
  peersOf(server: Server): Peer[] {
    return this.peers.get(server)!;
  }
  sideOf(server: Server): Side {
    return this.pool.comebacks.sideOf(server);
  }
  laneOf(key: string): number {
    return this.pool.laneOf(key);
  }

  lacking(pair: Pair, side: Side): MarkKind | null {
    const { comebacks } = this.pool;
    const server = pair.server(side)!;
    if (comebacks.owedFlush.has(server)) return "flush";
    if (pair.isCold(side)) return "cold";
    if (pair.overflow[side] || comebacks.unknown.has(server)) return "compare";
    return pair.lacking[side] > 0 ? "keys" : null;
  }

  stamp(): number {
    this.last = Math.max(this.last + 1, Math.floor(this.pool.clock.wallSeconds() * 1000));
    return this.last;
  }

  voided(keeper: Server, about: Server): ReadonlyMap<string, number> {
    const known = this.voidsOf(controlName(keeper.label), controlName(about.label));
    const pair = this.peersOf(keeper).find(({ server }) => server === about)!.pair;
    // It lacks nothing now, and whatever others said about it was heard.
    if (!this.recall.knows(about) || this.lacking(pair, this.sideOf(keeper)) !== null) return known;
    known.set(this.proxyId, this.last);
    const name = controlName(keeper.label);
    const voids = (id: string, stamp: number): void => void known.set(id, Math.max(stamp, known.get(id) ?? 0));
    for (const one of this.recall.marksOn(about)) if (one.about === name && one.mark !== null) voids(one.id, one.mark.stamp);
    // A file outlives the marks beside it where their server loses its memory.
    for (const one of this.filed()) if (one.about === name && one.keeper === controlName(about.label)) voids(one.id, one.stamp);
    return known;
  }

  voidedUpTo(keeper: string, about: string, id: string): number {
    return this.voidsOf(about, keeper).get(id) ?? -1;
  }

  private voidsOf(keeper: string, about: string): Map<string, number> {
    const name = `${keeper} ${about}`;
    let known = this.voids.get(name);
    if (known === undefined) this.voids.set(name, (known = new Map()));
    return known;
  }

  arrived(server: Server): void {
    this.pool.comebacks.arrived(server);
  }

  /** Something may be lacking that was not before. */
  look(): void {
    this.hints.look();
    this.state?.file.look();
  }

  stateChanged(server: Server): void {
    if (server.state === "up") this.hints.certify(server);
  }

  tick(now: number): void {
    this.recall.tick(now);
    this.hints.tick(now);
    this.state?.tick(now);
    for (const [id, left] of this.dead) {
      for (const server of this.servers) {
        if (left.ends.has(server) || !server.lanes[0]!.ready || !this.recall.knows(server)) continue;
        if (!left.marks.has(server)) {
          left.marks.add(server);
          this.eraseMarks(server, id);
        }
        if (!this.pool.board!.isForgotten(id, server)) continue;
        left.ends.add(server);
        erase(server, endsOf(id));
      }
    }
  }

  recalled(verdict: Verdict, servers: readonly Server[]): void {
    const { comebacks } = this.pool;
    const late = servers.length === 1 && this.servers.some((server) => server.state !== "down");
    const unclean = [...this.recall.ids.values()].includes(false);
    for (const keeper of this.servers) this.inherit(keeper);
    for (const name of this.recall.vouched) this.hints.certified.add(name);
    for (const server of this.servers) {
      const name = controlName(server.label);
      if (verdict.lost.has(name)) {
        if (!this.follow(`${name} lost`)) continue;
        this.log.warn("server lost its memory while no proxy looked", { server: server.label });
        comebacks.memoryLost(server);
        this.hurry(server);
        if (server.state !== "down") comebacks.bringBack(server, "restarted");
        continue;
      }
      const all = verdict.known.has(name) && this.peersOf(server).every((peer) => this.recall.knows(peer.server));
      const lacks = verdict.lacks.get(name) ?? [];
      for (const lack of lacks) this.lacked(server, lack);
      if (all) {
        comebacks.vouched.add(server);
        comebacks.unknown.delete(server);
      }
      if (!all && late && servers.includes(server) && lacks.every(({ why }) => why === null)) {
        const good = [...verdict.lacks.values()].flat().some(({ keeper }) => keeper === name) || verdict.lost.size > 0;
        // Others have served meanwhile; what was under way when the last proxy died may be here alone, or not here.
        if (good) comebacks.unknown.delete(server);
        else if (unclean) comebacks.unknown.add(server);
      }
    }
    this.restore(verdict);
  }

  private lacked(server: Server, { keeper, why, flush, filed }: Lack, of = ""): void {
    if (why === null || !this.follow(`${of} ${server.label} ${keeper} ${filed}`)) return;
    this.log.warn("what a server missed is not known, all of it is compared", { server: server.label, on: keeper, reason: why });
    if (flush) this.pool.comebacks.owesFlush(server, 0);
    this.pool.comebacks.doubt(server, "missed writes");
  }

  /** A server lost its memory, what it kept for us too. */
  memoryLost(server: Server): void {
    this.hints.lost(server);
    this.hurry(server);
  }

  /** What it held its peers alone hold: nobody can wait for them. */
  private hurry(server: Server): void {
    for (const peer of this.peersOf(server)) this.recall.hurry(peer.server);
  }

  /** Keys that are known to be missed; of two hints of a key, on both sides perhaps, the later counts. */
  private restore(verdict: Verdict, of = ""): void {
    const { pool } = this;
    const newest = new Map<string, { readonly stamp: number; readonly pair: Pair; readonly side: Side }>();
    const counts = new Map<Server, number>();
    for (const server of this.servers) {
      const side = this.sideOf(server), name = controlName(server.label);
      for (const { keeper, hints, filed } of verdict.lacks.get(name) ?? []) {
        if (hints.length === 0 || !this.follow(`hints ${of} ${name} ${keeper} ${filed}`)) continue;
        for (const { stamp, key } of hints) {
          const pair = pool.pairOf(key);
          // Not of this pair: the rings were others then. What we know ourselves is younger.
          if (pair.server(side) !== server || controlName(pair.server(other(side))!.label) !== keeper || pair.stale.has(key)) continue;
          if (stamp > (newest.get(key)?.stamp ?? -1)) newest.set(key, { stamp, pair, side });
          this.last = Math.max(this.last, stamp);
        }
      }
    }
    for (const [key, { pair, side }] of newest) {
      pair.mark(key, side);
      const server = pair.server(side)!;
      counts.set(server, (counts.get(server) ?? 0) + 1);
    }
    for (const [server, keys] of counts) this.log.info("missed writes were known to an earlier proxy", { server: server.label, keys });
  }

  /** What is said on a server, others said before us. */
  private inherit(keeper: Server): void {
    for (const { about, mark } of this.recall.marksOn(keeper)) {
      if (mark === null) continue;
      this.last = Math.max(this.last, mark.stamp);
      const known = this.voidsOf(controlName(keeper.label), about);
      for (const [id, upTo] of mark.voids) known.set(id, Math.max(upTo, known.get(id) ?? 0));
    }
  }

  private follow(what: string): boolean {
    if (this.followed.has(what)) return false;
    this.followed.add(what);
    return true;
  }

  lives(id: string): boolean {
    const neighbour = this.pool.board!.known.get(id);
    // Copies of one notice on several servers are read within a poll.
    return neighbour !== undefined && !neighbour.dead && neighbour.seenMs - neighbour.firstMs > LIVES_MS;
  }

  /** Before us, and gone when we came; whether it ended in order. */
  gone(id: string, ended: boolean): void {
    this.dead.set(id, new Left());
    this.pool.board!.departed(id);
    if (!ended) this.pool.scrubber.soon(0);
  }

  /** A proxy is dead. done: from here on we do not trust what it did not trust, or know all that is missed there. */
  died(id: string, complaints: readonly Complaint[], done: () => void): void {
    if (this.dead.has(id)) return done();
    // It lived when we came, and has done what we have not read.
    this.recall.reread(id, (verdict, told) => {
      for (const server of this.servers) {
        const name = controlName(server.label);
        const all = verdict.known.has(name) && this.peersOf(server).every((peer) => told.has(peer.server));
        for (const lack of verdict.lacks.get(name) ?? []) this.lacked(server, lack, id);
        if (!all && complaints.some((each) => each.name === name)) this.pool.comebacks.doubt(server, "another proxy died that did not trust it");
      }
      this.restore(verdict, id);
      this.dead.set(id, new Left());
      done();
    });
  }

  /** Nothing is left of what an earlier proxy said; ours was said before. */
  private eraseMarks(server: Server, id: string): void {
    const keys: string[] = [];
    for (const { server: about } of this.peersOf(server)) for (let i = 0; i < lanesOf(id); i++) keys.push(markKey(about.label, id, i));
    for (const { id: of, about, lane: index, mark } of this.recall.marksOn(server)) {
      if (of === id) for (let n = mark?.from ?? 0; n < (mark?.to ?? 0); n++) keys.push(chunkKey(about, id, index, n));
    }
    erase(server, keys);
  }

  /** Waits until nothing is under way and leaves word of it; done comes within the time of a request. */
  farewell(done: () => void): void {
    const { board, clock, options, scrubber } = this.pool;
    const untilMs = clock.nowMs() + options.requestTimeoutMs;
    let over = false;
    const once = (): void => {
      if (over) return;
      over = true;
      timer.cancel();
      done();
    };
    const look = (): void => {
      const leftMs = untilMs - clock.nowMs();
      if (leftMs <= 0 || scrubber.owed) return once();
      if (!this.idle) timer = clock.timer(10, look);
      else {
        timer = clock.timer(leftMs, once);
        let open = 2;
        const told = (): void => void (--open === 0 && once());
        if (this.state === null) told();
        else this.state.file.end(told);
        board!.farewell(told);
      }
    };
    let timer = clock.timer(0, look);
  }

  /** Nothing is under way. */
  get idle(): boolean {
    const { pool } = this;
    return pool.uploads.size === 0 && pool.pairs.every((pair) => pair.locks.size === 0) &&
      pool.servers.every((server) => server.lanes.every((lane) => lane.inFlight.count === 0));
  }
}

/** Where nothing is left of a proxy. */
class Left {
  /** Servers on which its marks were erased. */
  readonly marks = new Set<Server>();
  /** And what said where its connections came from: it tells who comes next that it is gone, as long as a notice says that it lives. */
  readonly ends = new Set<Server>();
}

function erase(server: Server, keys: readonly string[]): void {
  for (const key of keys) put(server.lanes[0]!, `md ${key}\r\n`, () => {});
}
