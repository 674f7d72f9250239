// Which servers are on their way back, and what each of them must do before it is trusted: the bookkeeping around
// returning.ts. Decides on arrival whether a server may serve at once, owes a flush_all, or lacks keys.
import type { Server } from "../../backend/server.ts";
import type { Log } from "../../observe/log.ts";
import { Expect } from "../../protocol/reply.ts";
import { BACKUP, type Pair, PRIMARY, type Side } from "../pair.ts";
import { type IsOld, Purge } from "./purge.ts";
import { type Around, FLUSH_ALL, type Peer, Returning, Told } from "./returning.ts";

/** The servers and pairs of the pool around it. */
export interface Rings extends Around {
  readonly primaries: readonly Server[];
  readonly backups: readonly Server[];
  readonly pairs: readonly Pair[];
  readonly options: { readonly comeback: { readonly rejoin: "wait" | "fast" } };
  readonly log: Log;
  /** Time of this tick, ms. */
  readonly nowMs: number;
}

export class Comebacks {
  /** Those that are being brought back. */
  readonly returning = new Map<Server, Returning>();
  /** Servers that could not be reached when we began: what they hold is unknown. */
  readonly unknown = new Set<Server>();
  /** Servers of which earlier proxies said all that they lack: the rest is as their peers have it. */
  readonly vouched = new Set<Server>();
  /** Those that were said to be out of reach. */
  private readonly away = new Set<Server>();
  /** Servers that lost what they held, and held something when they came: another memcached's, or stored past us. */
  private readonly foreign = new Set<Server>();
  /** Servers that came into the rings, and are not trusted yet: other proxies' rings may have had them before. */
  readonly entered = new Set<Server>();
  /** All proxies gave it the same keys at once: what one of them copies to it since then counts for all. */
  readonly inStep = new Set<Server>();
  /** Servers that get every write by now, and are not filled before all writes do that are under way anywhere. */
  private readonly held = new Set<Server>();
  /** Servers that may hold old values of keys which are to be theirs, and which those are. */
  readonly purges = new Map<Server, IsOld>();
  private readonly purging = new Map<Server, Purge>();
  /** A flush_all that a server missed: when it takes effect, ms on our clock. */
  readonly owedFlush = new Map<Server, number>();
  /** Servers that are asked for it. */
  private readonly flushing = new Set<Server>();

  constructor(private readonly pool: Rings) {}

  stop(): void {
    for (const returning of this.returning.values()) returning.stop();
    for (const purge of this.purging.values()) purge.stop();
  }

  /** It went down again. */
  left(server: Server): void {
    this.returning.get(server)?.stop();
    this.returning.delete(server);
    this.inStep.delete(server);
    server.warming = false;
  }

  missing(server: Server, reason: string): void {
    if (this.away.has(server)) return;
    this.away.add(server);
    if (!this.vouched.has(server)) this.unknown.add(server);
    this.pool.log.warn("server cannot be reached", { server: server.label, reason });
  }

  arrived(server: Server, coldBecause = "restarted"): void {
    if (this.purges.has(server)) return this.purge(server, () => this.arrived(server, coldBecause));
    // Before that nothing it says counts, and nothing it is given stays.
    if (this.flushDue(server)) {
      return this.flushNow(server, () => {
        if (this.pool.backups.length > 0) this.flushedElsewhere(server);
        this.arrived(server, "missed a flush_all");
      });
    }
    if (this.pool.backups.length === 0) return server.admit("up", "answers");
    const peersLead = this.peersOf(server).some((peer) => peer.server.leads);
    const lacks = this.lacks(server);
    const first = server.health.reason === "starting" && !this.unknown.has(server);
    if (!server.cold && (first || !peersLead) && !this.overflowed(server)) {
      // Nobody knows better than it does; what it is known to lack is led by the others key by key.
      return server.admit("up", "answers");
    }
    if (!server.cold && !lacks && !this.unknown.has(server)) {
      return server.admit("up", "missed nothing");
    }
    server.admit("rejoin", server.cold ? coldBecause : "missed writes");
    this.bringBack(server, "returned");
  }

  /**
   * Removes what is old on a server that answers; then: it is done, or cannot be. One that goes away arrives again; one
   * that only lost its connections for a moment is tried again by tickPurges.
   */
  purge(server: Server, then: () => void): void {
    const purge = new Purge(server, this.pool, this.purges.get(server)!, (outcome) => {
      if (this.purging.get(server) !== purge) return;
      this.purging.delete(server);
      if (!server.control.ready) return;
      this.purges.delete(server);
      if (typeof outcome === "string") this.pool.log.error("old values cannot be removed from a server that is given their keys", { server: server.label, reason: outcome });
      else if (outcome > 0) this.pool.log.info("old values are removed from a server that is given their keys", { server: server.label, keys: outcome });
      then();
    });
    this.purging.set(server, purge);
    purge.start();
  }

  reconnected(server: Server): void {
    if (!this.lacks(server)) return server.trust("reconnected");
    server.distrust("missed writes");
    this.bringBack(server, "reconnected");
  }

  canWait(server: Server): boolean {
    const peers = this.peersOf(server);
    return peers.length > 0 && peers.every((peer) => peer.server.leads);
  }

  /** Another process answers than before: what it held is gone. */
  memoryLost(server: Server): void {
    if (this.pool.backups.length === 0) return;
    this.startsOver(server);
    // Other proxies may have been faster to post what is theirs: whose items these are, their names tell.
    if (Number(server.stats.get("curr_items") ?? 0) > 0) this.foreign.add(server);
  }

  /** What it held does not count any more. */
  private startsOver(server: Server): void {
    server.cold = true;
    this.foreign.delete(server);
    const side = this.sideOf(server);
    for (const { pair } of this.peersOf(server)) pair.filled[side] = false;
  }

  /** Its peers did the flush_all: what they lacked before is gone, and what they hold of it is newer. */
  private flushedElsewhere(server: Server): void {
    this.startsOver(server);
    const side = this.sideOf(server);
    for (const { server: peer, pair } of this.peersOf(server)) {
      if (peer.unflushed || (peer.state === "down" && this.flushDue(peer))) continue;
      for (const [key, entry] of pair.stale) if (entry.side !== side) pair.mark(key, side);
    }
  }

  /** Takes it out of the lead until it holds what its peers hold; begins anew when that was under way. */
  bringBack(server: Server, why: string): void {
    if (server.leads) server.distrust(why);
    this.returning.get(server)?.stop();
    if (this.held.has(server)) return;
    const side = this.sideOf(server);
    const peers = this.peersOf(server);
    const flush = this.flushDue(server);
    if (flush) this.flushedElsewhere(server); // what it held before the flush must not be served
    server.unflushed = flush;
    const full = server.cold || this.unknown.has(server) || this.overflowed(server);
    server.warming = server.cold && !flush && !this.foreign.has(server) && this.pool.options.comeback.rejoin === "fast";
    const overflows = this.overflows(server);
    const returning = new Returning(server, side, peers, full, this.foreign.has(server), flush, this.pool, (scope, keys, ms) => {
      this.returning.delete(server);
      // A write that it missed meanwhile may be of a key that was compared before.
      if (this.overflows(server) !== overflows) return this.doubt(server, "missed writes overflowed");
      server.warming = false;
      if (flush) this.owedFlush.delete(server);
      this.unknown.delete(server);
      this.foreign.delete(server);
      this.entered.delete(server);
      this.inStep.delete(server);
      this.pool.log.info("server is synchronised", {
        server: server.label, scope, keys, ms: Math.round(ms),
      });
      server.trust("synchronised");
    }, () => {
      this.pool.log.info("another proxy copies to the server", { server: server.label });
      this.bringBack(server, why);
    });
    this.returning.set(server, returning);
  }

  /** What it lacks is not known: it is compared in full before it is trusted again. */
  doubt(server: Server, why: string): void {
    this.inStep.delete(server);
    this.unlisted(server);
    if (server.state !== "down") this.bringBack(server, why);
  }

  /** It is in the rings, and not filled yet. */
  isHeld(server: Server): boolean {
    return this.held.has(server);
  }

  /** It has been given keys, and is to hold what its peers hold of them; inStep: see there. */
  fill(server: Server, inStep: boolean): void {
    this.held.delete(server);
    if (inStep) this.inStep.add(server);
    // A new one is filled as what it is: empty, or somebody else's.
    if (!server.cold) this.unlisted(server);
    if (server.state === "rejoin") this.bringBack(server, "gained keys");
  }

  /** What it lacks is not known key by key. */
  unlisted(server: Server): void {
    const side = this.sideOf(server);
    for (const { pair } of this.peersOf(server)) {
      pair.overflow[side] = true;
      pair.filled[side] = false;
    }
  }

  /** A new server: whatever it holds already is compared, and what its peers hold is copied, before it leads. */
  enters(server: Server): void {
    if (this.pool.backups.length === 0) return;
    server.cold = true;
    this.foreign.add(server);
    this.entered.add(server);
    this.held.add(server);
  }

  /** Keys become its that were others': it leads nothing until fill() has had it compared. */
  gains(server: Server): void {
    this.held.add(server);
    this.unlisted(server);
    this.returning.get(server)?.stop(); // what it was being given is not all by now
    if (server.leads) server.distrust("gains keys");
  }

  /** Rings have changed: what is under way begins anew, and those who left are forgotten. */
  ringsChanged(gone: readonly Server[]): void {
    for (const server of gone) {
      this.left(server);
      this.unknown.delete(server);
      this.foreign.delete(server);
      this.entered.delete(server);
      this.held.delete(server);
      this.purges.delete(server);
      this.purging.delete(server);
      this.owedFlush.delete(server);
    }
    for (const server of [...this.returning.keys()]) this.bringBack(server, "rings changed");
  }

  /** A server did not get a flush_all; delaySeconds as the client gave it. */
  owesFlush(server: Server, delaySeconds: number): void {
    this.owedFlush.set(server, this.pool.nowMs + delaySeconds * 1000);
  }

  /** Called every tick: flushes that are due. */
  tickFlushes(now: number): void {
    // Delayed ones take effect on the other servers now.
    for (const [server, atMs] of this.owedFlush) {
      if (now < atMs || server.state !== "up" || !server.lanes[0]!.ready) continue;
      if (this.pool.backups.length === 0) this.flushNow(server, () => {});
      else this.bringBack(server, "missed a flush_all"); // what was stored since is filled in again from its peers
    }
  }

  /** Called every tick. */
  tick(now: number): void {
    if (this.returning.size > 0) for (const returning of [...this.returning.values()]) returning.tick(now);
  }

  /** Called every tick: removals that were broken off. */
  tickPurges(): void {
    for (const server of this.purges.keys()) {
      if (server.state !== "down" && server.control.ready && !this.purging.has(server)) this.purge(server, () => {});
    }
  }

  sideOf(server: Server): Side {
    return this.pool.primaries.includes(server) ? PRIMARY : BACKUP;
  }

  /** Those that share keys with it. */
  peersOf(server: Server): Peer[] {
    const side = this.sideOf(server);
    const peers: Peer[] = [];
    for (const pair of this.pool.pairs) {
      const peer = pair.server(side === PRIMARY ? BACKUP : PRIMARY);
      if (pair.server(side) === server && peer !== null) peers.push({ server: peer, pair });
    }
    return peers;
  }

  pairsOf(server: Server): number {
    return Math.max(1, this.peersOf(server).length);
  }

  /** Which writes it missed is not known in full. */
  overflowed(server: Server): boolean {
    const side = this.sideOf(server);
    return this.peersOf(server).some(({ pair }) => pair.overflow[side]);
  }

  /** Its peer in this pair holds what it is still to be given. */
  isOwed(server: Server, pair: Pair): boolean {
    const side = this.sideOf(server);
    return pair.isBehind(side) || (server.cold && !pair.filled[side]);
  }

  /** How often missed writes of it did not fit. */
  private overflows(server: Server): number {
    const side = this.sideOf(server);
    return this.peersOf(server).reduce((sum, { pair }) => sum + pair.overflows[side], 0);
  }

  /** Keys known to be stale on it. */
  missed(server: Server): number {
    const side = this.sideOf(server);
    return this.peersOf(server).reduce((sum, { pair }) => sum + pair.lacking[side], 0);
  }

  /** Some of what it holds is known to be old, or may be. */
  lacks(server: Server): boolean {
    const side = this.sideOf(server);
    for (const pair of this.pool.pairs) {
      if (pair.server(side) === server && pair.backup !== null && pair.isBehind(side)) return true;
    }
    return false;
  }

  /** Does the flush_all that a server missed; it stays owed when that fails. */
  private flushNow(server: Server, done: () => void): void {
    if (this.flushing.has(server)) return;
    this.flushing.add(server);
    const lane = server.lanes[0]!;
    lane.out.push(FLUSH_ALL, 0, FLUSH_ALL.length);
    lane.expect(Expect.OK, new Told((ok) => {
      this.flushing.delete(server);
      if (!ok) return server.goDown("unflushed");
      if (this.flushDue(server)) this.owedFlush.delete(server);
      done();
    }), 0);
  }

  /** A flush_all that it missed is still to be done. */
  owes(server: Server): boolean {
    return this.owedFlush.has(server);
  }

  /** That takes effect by now. */
  flushDue(server: Server): boolean {
    return (this.owedFlush.get(server) ?? Infinity) <= this.pool.nowMs;
  }
}
