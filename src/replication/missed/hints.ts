// Writes marks and hints (mark.ts): what a server misses is said on the servers that take the writes, in the same lane
// and before them, so that it shares their fate and survives this proxy. They go when nothing is missed any more; where
// that cannot be said at once it stays owed.
//
//   a key is lacking ─▶ [mark, when a chunk begins] [hint] [the write] ─one lane─▶ the server that takes it ─▶ the answer
import { SilentCaller } from "../../backend/caller.ts";
import type { Lane } from "../../backend/lane.ts";
import type { Server } from "../../backend/server.ts";
import type { Log } from "../../observe/log.ts";
import { Expect, Status, type StatusCode } from "../../protocol/reply.ts";
import { putText } from "../compose.ts";
import { controlName, ROSTER } from "../control.ts";
import { chunkKey, connectionKey, hintText, type Mark, type MarkKind, markKey, markText, WHOLE } from "./mark.ts";
import { other, type Pair, type Side } from "../pair.ts";
import type { Peer } from "../copying/returning.ts";

/** How often marks are written again, so that no server takes them for unused, and how often they are looked at, ms. */
const REFRESH_MS = 1000, LOOK_MS = 100;
const CHUNK_BYTES_MAX = 8 * 1024;
/** Chunks about one server through one lane at most: 16 MiB, some 400,000 keys. */
const CHUNKS_MAX = 2048;
/** Connections for large values whose ends are written down at a time. */
export const BULK_SLOTS = 8;

/** What hints need of their pool. */
export interface HintsAround {
  readonly proxyId: string;
  readonly servers: readonly Server[];
  readonly log: Log;
  peersOf(server: Server): Peer[];
  sideOf(server: Server): Side;
  laneOf(key: string): number;
  /** What a server lacks in a pair; null: nothing. */
  lacking(pair: Pair, side: Side): MarkKind | null;
  /** A number higher than all before. */
  stamp(): number;
  /** By proxy: up to where its marks on a server about its peer are void. */
  voided(keeper: Server, about: Server): ReadonlyMap<string, number>;
}

/** What is said through one lane about one peer. */
interface Said {
  marked: boolean;
  /** Chunks of hints: from <= n < to. */
  from: number;
  to: number;
  /** Of the last chunk. */
  bytes: number;
  hints: number;
  /** Some hint was not taken: the chunks are not all. */
  broken: boolean;
}

function nothingSaid(): Said {
  return { marked: false, from: 0, to: 0, bytes: 0, hints: 0, broken: false };
}

/** One lane of one server. */
class LaneLog {
  readonly peers = new Map<Peer, Said>();
  /** Marks sent and answered so far. */
  sent = 0;
  kept = 0;
  /** Those who wait until everything up to this count is kept, in order. */
  readonly waiting: { count: number; run: () => void }[] = [];

  constructor(readonly server: Server, readonly index: number, peers: readonly Peer[]) {
    for (const peer of peers) this.peers.set(peer, nothingSaid());
  }

  /** What was said about a pair that stays stands. */
  meet(peers: readonly Peer[]): void {
    const before = [...this.peers];
    this.peers.clear();
    for (const peer of peers) this.peers.set(peer, before.find(([known]) => known.pair === peer.pair)?.[1] ?? nothingSaid());
  }

  get lane(): Lane {
    return this.server.lanes[this.index]!;
  }
}

export class Hints {
  private readonly lanes = new Map<Server, LaneLog[]>();
  private refreshAt = 0;
  private lookAt = 0;
  private bulks = 0;

  constructor(private readonly around: HintsAround) {
    this.serversChanged();
  }

  /** Servers came or went: nothing more is said about pairs that are no more. */
  serversChanged(): void {
    const { around } = this;
    for (const [server, logs] of this.lanes) if (!around.servers.includes(server)) for (const { peers } of logs) peers.clear();
    for (const server of around.servers) {
      const peers = around.peersOf(server), logs = this.lanes.get(server);
      if (logs === undefined) this.lanes.set(server, server.lanes.map((_, index) => new LaneLog(server, index, peers)));
      else for (const log of logs) log.meet(peers);
    }
  }

  /** A server that left has nothing under way. */
  forget(server: Server): void {
    this.lanes.delete(server);
  }

  /** The pair has a new entry (or one too many): side lacks the key, the other side has what counts. */
  missed(pair: Pair, key: string, side: Side): void {
    const at = this.lanes.get(pair.server(other(side))!)![this.around.laneOf(key)]!;
    for (const [peer, said] of at.peers) {
      if (peer.pair !== pair) continue;
      // All of it is written when the lane opens.
      if (!at.lane.ready) said.marked = true;
      else if (pair.stale.has(key) && !said.broken) this.note(at, peer, said, key);
      else if (!said.marked || !said.broken) {
        said.broken = true; // too many to be listed
        this.say(at, peer);
      }
    }
  }

  private note(at: LaneLog, peer: Peer, said: Said, key: string): void {
    const begins = !said.marked || said.from === said.to || said.bytes >= CHUNK_BYTES_MAX;
    if (begins && said.to - said.from >= CHUNKS_MAX) return this.breaks(at, peer, "too many");
    if (begins) {
      said.to++;
      said.bytes = said.hints = 0;
      this.say(at, peer);
    }
    const chunk = chunkKey(peer.server.label, this.around.proxyId, at.index, said.to - 1);
    const hint = hintText(chunk, said.hints++, { stamp: this.around.stamp(), key });
    said.bytes += hint.length;
    this.send(at, peer, store(chunk, hint, begins ? "T0" : "MA"));
  }

  /** Writes all that a server misses of this lane anew: some of it may not have arrived, or was not written. */
  private rewrite(at: LaneLog, peer: Peer, said: Said): void {
    const { around } = this;
    const side = around.sideOf(peer.server);
    const old = { from: said.from, to: said.to };
    said.from = said.to;
    said.broken = false;
    const chunks: string[] = [];
    let text = "", hints = 0;
    if (around.lacking(peer.pair, side) === "keys") {
      for (const [key, entry] of peer.pair.stale) {
        if (entry.side !== side || around.laneOf(key) !== at.index) continue;
        if (text === "" || text.length >= CHUNK_BYTES_MAX) {
          if (text !== "") chunks.push(text);
          text = "";
          hints = 0;
        }
        text += hintText(chunkKey(peer.server.label, around.proxyId, at.index, said.to + chunks.length), hints++, { stamp: around.stamp(), key });
      }
      if (text !== "") chunks.push(text);
    }
    const first = said.to;
    said.to += chunks.length;
    said.bytes = text.length;
    said.hints = hints;
    if (chunks.length > CHUNKS_MAX) said.broken = true;
    for (const [i, each] of chunks.entries()) this.send(at, peer, store(chunkKey(peer.server.label, around.proxyId, at.index, first + i), each));
    this.say(at, peer);
    this.removeChunks(at, peer, old.from, old.to);
  }

  private removeChunks(at: LaneLog, peer: Peer, from: number, to: number): void {
    for (let n = from; n < to; n++) put(at.lane, `md ${chunkKey(peer.server.label, this.around.proxyId, at.index, n)}\r\n`, () => {});
  }

  private breaks(at: LaneLog, peer: Peer, reason: string): void {
    const said = at.peers.get(peer)!;
    if (!said.broken) this.around.log.warn("missed writes are not listed any more, all will be compared", { server: peer.server.label, on: at.server.label, reason });
    said.broken = true;
    this.say(at, peer);
  }

  /** Runs once the marks on their way over a lane have arrived or failed. */
  whenKept(keeper: Server, laneIndex: number, run: () => void): void {
    const at = this.lanes.get(keeper)![laneIndex]!;
    if (at.kept === at.sent) return run();
    at.waiting.push({ count: at.sent, run });
  }

  /** As whenKept, for all servers. */
  whenAllKept(run: () => void): void {
    let open = 1;
    const kept = (): void => void (--open === 0 && run());
    for (const [server, logs] of this.lanes) {
      for (const { index } of logs) {
        open++;
        this.whenKept(server, index, kept);
      }
    }
    kept();
  }

  /** The lane is about to serve: where it ends, and what its server's peers lack, are the first that go over it. */
  opening(server: Server, lane: Lane): void {
    const index = server.lanes.indexOf(lane);
    const name = index === -1 ? `b${this.bulks++ % BULK_SLOTS}` : String(index);
    put(lane, store(connectionKey(this.around.proxyId, name), lane.local), () => {});
    if (index === -1) return;
    if (index === 0) this.enrol(server);
    if (index === 0) this.certify(server);
    const at = this.lanes.get(server)![index]!;
    for (const [peer, said] of at.peers) if (said.marked || (index === 0 && this.whole(peer))) this.rewrite(at, peer, said);
    // It is written from now on: what is under way to it is not in the hints.
    for (const { server: keeper } of this.around.peersOf(server)) {
      const there = this.lanes.get(keeper)![index];
      if (there === undefined || !there.lane.ready) continue;
      for (const [peer, said] of there.peers) if (peer.server === server && said.marked) this.say(there, peer);
    }
  }

  /** What a server kept for us is gone: it was flushed, or its memory is lost. */
  lost(keeper: Server): void {
    for (const at of this.lanes.get(keeper)!) {
      for (const [peer, said] of at.peers) if (said.marked && at.lane.ready) this.rewrite(at, peer, said);
    }
    this.enrol(keeper);
    this.certify(keeper);
  }

  /** Whoever comes after us looks on the roster for those who left marks; the board writes us in as well. */
  private enrol(server: Server): void {
    if (server.lanes[0]!.ready) put(server.lanes[0]!, store(ROSTER, ` ${this.around.proxyId}`, "ME T0"), () => {});
  }

  /** What the server holds may be trusted, also by those who come after us. */
  certify(server: Server): void {
    const lane = server.lanes[0]!;
    if (server.cold || server.state === "down" || !lane.ready) return;
    const name = controlName(server.label);
    put(lane, store(WHOLE, [...this.certified].join(" ")), (ok) => {
      if (!ok || this.certified.has(name)) return;
      // Only now: whoever reads that it had one, and finds none, knows that its memory is lost.
      this.certified.add(name);
      for (const each of this.around.servers) this.certify(each);
    });
  }
  /** Names of servers with a certificate. */
  readonly certified = new Set<string>();

  /** Called every tick. */
  tick(now: number): void {
    if (now < this.lookAt) return;
    this.lookAt = now + LOOK_MS;
    const refresh = now >= this.refreshAt;
    if (refresh) this.refreshAt = now + REFRESH_MS;
    this.look(refresh);
  }

  /** Says what is not said yet, and takes back what is made up for; refresh: says all of it again. */
  look(refresh = false): void {
    for (const [server, logs] of this.lanes) {
      if (refresh) this.certify(server);
      for (const at of logs) if (at.lane.ready) for (const [peer, said] of at.peers) this.renew(at, peer, said, refresh);
    }
  }

  private renew(at: LaneLog, peer: Peer, said: Said, refresh: boolean): void {
    const lacks = this.around.lacking(peer.pair, this.around.sideOf(peer.server)) !== null;
    if (said.marked && !lacks) {
      said.marked = false;
      put(at.lane, `md ${markKey(peer.server.label, this.around.proxyId, at.index)}\r\n`, () => {});
      this.removeChunks(at, peer, said.from, said.to);
      said.from = said.to;
      said.broken = false;
    } else if (said.marked ? refresh : at.index === 0 && this.whole(peer)) this.say(at, peer);
  }

  /** It lacks more than what some entries name. */
  private whole({ pair, server }: Peer): boolean {
    const lacks = this.around.lacking(pair, this.around.sideOf(server));
    return lacks !== null && lacks !== "keys";
  }

  private say(at: LaneLog, peer: Peer): void {
    const { around } = this;
    const said = at.peers.get(peer)!;
    said.marked = true;
    if (!at.lane.ready) return; // said when it opens
    const key = markKey(peer.server.label, around.proxyId, at.index);
    const mark: Mark = { stamp: around.stamp(), kind: this.kind(peer, said), from: said.from, to: said.to, voids: around.voided(at.server, peer.server) };
    this.send(at, peer, store(key, markText(key, mark)));
  }

  private kind({ pair, server }: Peer, said: Said): MarkKind {
    const lacks = this.around.lacking(pair, this.around.sideOf(server)) ?? "keys";
    if (lacks !== "keys") return lacks;
    // Whatever was under way to a lane that has failed is noted by now.
    return said.broken ? "compare" : server.lanes.some((lane) => lane.ready) ? "keys" : "away";
  }

  private send(at: LaneLog, peer: Peer, command: string): void {
    at.sent++;
    put(at.lane, command, (kept) => {
      at.kept++;
      if (!kept && at.lane.ready && !at.peers.get(peer)!.broken) this.breaks(at, peer, "was refused");
      while (at.waiting.length > 0 && at.waiting[0]!.count <= at.kept) at.waiting.shift()!.run();
    });
  }
}

/** `ms key` with a text. */
export function store(key: string, text: string, flags = "T0"): string {
  return `ms ${key} ${text.length} ${flags}\r\n${text}\r\n`;
}

/** done hears whether the command was answered with HD. */
export function put(lane: Lane, command: string, done: (ok: boolean) => void): void {
  putText(lane.out, command);
  lane.expect(Expect.META, new Kept(done), 0);
}

class Kept extends SilentCaller {
  constructor(private readonly done: (ok: boolean) => void) {
    super();
  }
  override onReply(_role: number, status: StatusCode): void {
    this.done(status === Status.HD);
  }
  override onFailure(): void {
    this.done(false);
  }
}
