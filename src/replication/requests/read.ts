// get, gets, gat, gats of one key: asked of the key's lead; when the lead does not answer, of the other side, unless
// that one lacks the newest state.
import type { Lane } from "../../backend/lane.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import { SilentCaller } from "../../backend/caller.ts";
import { END } from "../../protocol/answers.ts";
import { Op } from "../../protocol/commands.ts";
import { Expect, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import type { RequestReader } from "../../protocol/request.ts";
import { CRLF, putBytes, putLine, putSpace, putVerb } from "../compose.ts";
import { Forget, mustForget } from "./forget.ts";
import { Keyed, leadFor } from "./keyed.ts";
import { other, PRIMARY, type Side } from "../pair.ts";
import type { Pool } from "../pool.ts";
import type { Client } from "./slot.ts";
import { tagItem } from "../tokens.ts";

const BOTH = 3;

export class Read extends Keyed {
  private readonly lineStart: number;
  /** After the line feed when the line may be forwarded as it is, else 0. */
  private readonly lineEnd: number;
  private readonly exptimeStart: number;
  private readonly exptimeEnd: number;
  private touch: TouchOther | null = null;
  private tried = 0;
  private waited = false;
  /** It waits for a lane. */
  private parked = false;
  private forgot = false;
  private hit = false;
  /** A side that does not lead is asked first: the primary on its way back, or a near backup. Then that it lacked it. */
  private early = false;
  private lacked = false;
  /** The item has come to its end: only END is missing. */
  private whole = false;
  /** Gets of the same key that hear the answer to this one. */
  private followers: Read[] | null = null;

  constructor(client: Client, pool: Pool, reader: RequestReader, bytes: Uint8Array, lineStart: number) {
    super(client, pool, reader, bytes);
    this.lineStart = lineStart;
    this.lineEnd = reader.plain ? reader.next : 0;
    const touching = reader.op === Op.GAT || reader.op === Op.GATS;
    this.exptimeStart = touching ? reader.at[2]! : 0;
    this.exptimeEnd = touching ? reader.at[3]! : 0;
  }

  start(): void {
    if (this.exptimeEnd !== 0) this.pool.wroteMs = this.pool.nowMs;
    // A gat changes the item on both sides: its place is after the command in two steps that holds the key. So is that
    // of a gets, where the unique that such a command leaves at first is not always the one that stays.
    const ordered = this.exptimeEnd !== 0 || (this.op === Op.GETS && this.pair.explicit);
    if (!ordered || this.pair.locks.size === 0 || !this.pair.locks.has(this.key)) return this.place();
    this.client.block();
    this.pair.lock(this.key, this);
  }

  lockGranted(): void {
    this.place();
    this.pair.unlock(this.key);
    this.client.resume();
  }

  private place(): void {
    const pair = this.pair;
    if (pair.stale.size !== 0 && mustForget(pair, this.key)) {
      this.pool.counters.forgotten++;
      return new Forget(pair, this.key, this.laneIndex, (gone) => this.forgotten(gone)).start();
    }
    const lead = leadFor(pair, this);
    this.early = this.op === Op.GET && (lead !== PRIMARY ? pair.mayHold(this) : pair.near && pair.mayAskNear(this)) && this.lane(other(lead)).ready;
    this.ask(this.early ? other(lead) : lead);
  }

  /** Each step may take a deadline: what is known to be gone is not asked for once more. */
  private forgotten(gone: boolean): void {
    if (!gone) return this.ask(leadFor(this.pair, this));
    this.pool.counters.get_misses++;
    this.pool.counters.unserved_misses++;
    this.answer(END);
  }

  private ask(side: Side): void {
    const lane = this.lane(side);
    if (!lane.ready) return this.onFailure(side, this.absence(side));
    const { sharing } = this.pool;
    if (sharing !== null && this.op === Op.GET) {
      const leader = sharing.leader(this, lane);
      if (leader !== null) {
        this.pool.counters.shared_gets++;
        (leader.followers ??= []).push(this);
        return;
      }
    }
    const out = lane.out;
    if (this.lineEnd !== 0) out.push(this.bytes, this.lineStart, this.lineEnd);
    else {
      putVerb(out, this.op);
      if (this.exptimeEnd !== 0) {
        out.push(this.bytes, this.exptimeStart, this.exptimeEnd);
        putSpace(out);
      }
      out.push(this.bytes, this.keyStart, this.keyEnd);
      putBytes(out, CRLF);
    }
    if (this.op === Op.GET) return lane.expectGet(Expect.VALUES, this, side);
    lane.expect(Expect.VALUES, this, side);
    if (this.exptimeEnd !== 0 && this.pair.backup !== null) {
      this.touch = new TouchOther(this.pool, this, other(side));
      this.touch.start(this.exptimeStart, this.exptimeEnd);
    }
  }

  override get holds(): boolean {
    return true;
  }

  override onValue(side: number, value: ValueView): boolean {
    if (!this.took(side, value)) return false;
    if (this.followers !== null) for (const one of this.followers) one.took(side, value);
    return true;
  }

  private took(side: number, value: ValueView): boolean {
    if (this.hit || !this.isKey(value.bytes, value.keyStart, value.keyEnd)) return false;
    this.hit = true;
    this.whole = !value.partial;
    if (value.casEnd !== 0 && this.pair.backup !== null && !this.pair.explicit) {
      const item = tagItem(value, this.server(side as Side).casTag);
      this.say(item, 0, item.length);
    } else this.say(value.bytes, value.start, value.end);
    return true;
  }

  override onChunk(side: number, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.followers !== null) for (const one of this.followers) one.onChunk(side, bytes, start, end, last);
    this.whole = last;
    this.say(bytes, start, end);
    if (this.head) this.client.holdLane(this.lane(side as Side));
  }

  override onReply(side: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    const { followers } = this;
    this.followers = null;
    this.replied(side, status, bytes, start, end);
    if (followers !== null) for (const one of followers) one.replied(side, status, bytes, start, end);
  }

  private replied(side: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    if (status === Status.END) {
      if (this.early && !this.hit) {
        this.early = false;
        // It may have become the lead itself, and hold the key by now: then nobody is known to lack it.
        const lead = leadFor(this.pair, this);
        this.lacked = lead !== side;
        return this.ask(lead);
      }
      if (this.lacked && this.hit) this.pool.warm(this.pair, this.key, other(side as Side));
      const counters = this.pool.counters;
      this.touch?.leadSaid(this.hit);
      if (this.hit) counters.get_hits++;
      else counters.get_misses++;
      if (side !== PRIMARY) counters[this.hit ? "backup_hits" : "backup_misses"]++;
      this.say(bytes, start, end);
      return this.finish();
    }
    this.early = this.lacked = false;
    // The server could not answer this one: perhaps the other can.
    const next = this.alternative(side as Side);
    if (next !== -1 && this.restart()) return this.ask(next);
    this.touch?.leadLost();
    this.refused(bytes, start);
    this.say(bytes, start, end);
    this.finish();
  }

  override onFailure(role: number, reason: FailureReason): void {
    const { followers } = this;
    this.followers = null;
    this.failed(role, reason);
    // Each goes on by itself; together again where they wait in one batch.
    if (followers !== null) for (const one of followers) one.failed(role, reason);
  }

  private failed(role: number, reason: FailureReason): void {
    const side = role as Side;
    this.early = this.lacked = false;
    this.blame(side, reason);
    if (this.parked) {
      // Another lane may be open by now. Who waited a whole deadline has patience for one answer, not for two.
      this.parked = false;
      this.tried = reason === "connect_timeout" ? BOTH : 0;
      return this.start();
    }
    if (this.whole) {
      this.touch?.leadSaid(true);
      return this.answer(END);
    }
    if (!this.restart()) {
      this.touch?.leadSaid(true);
      this.client.cut("the value that was being sent cannot be finished");
      return this.finish();
    }
    const next = this.alternative(side);
    if (next !== -1) {
      this.pool.counters.failover_reads++;
      return this.ask(next);
    }
    if (!this.forgot && this.pair.stale.size !== 0 && mustForget(this.pair, this.key)) {
      this.forgot = true;
      return this.start();
    }
    const opening = this.waited || reason === "request_timeout" ? -1 : this.opening(side);
    if (opening === -1) {
      this.touch?.leadLost();
      return this.fail("no server can answer");
    }
    this.waited = this.parked = true;
    this.lane(opening).wait(this, opening);
  }

  override onReady(): void {
    this.parked = false;
    this.tried = 0;
    this.start();
  }

  /** The other side, when it may answer and was not asked yet; -1 otherwise. */
  private alternative(failed: Side): Side | -1 {
    this.tried |= 1 << failed;
    if (this.pair.backup === null) return -1;
    const next = other(failed);
    if ((this.tried & (1 << next)) !== 0) return -1;
    if (!this.pair.mayServe(next, this.pair.stale.size === 0 ? null : this.key)) return -1;
    return this.lane(next).ready ? next : -1;
  }

  /** Takes the answer so far back; false when some of it has left. */
  private restart(): boolean {
    this.hit = this.whole = false;
    return this.unsay();
  }
}

/** The other side's part of a gat: the same touch, answered to nobody; when only one side has the item, it is repaired. */
export class TouchOther extends SilentCaller {
  private leadHas: boolean | null = null;
  private has: boolean | null = null;
  private unknown = false;

  constructor(
    private readonly pool: Pool,
    private readonly of: {
      readonly pair: Keyed["pair"]; readonly laneIndex: number; readonly bytes: Uint8Array;
      readonly keyStart: number; readonly keyEnd: number; readonly key: string;
    },
    private readonly side: Side,
  ) {
    super();
  }

  start(exptimeStart: number, exptimeEnd: number): void {
    const { pair, bytes, keyStart, keyEnd } = this.of;
    const lane: Lane = pair.server(this.side)!.lanes[this.of.laneIndex]!;
    if (!lane.ready) return this.onFailure();
    putLine(lane.out, Op.TOUCH, bytes, [keyStart, keyEnd, exptimeStart, exptimeEnd]);
    lane.expect(Expect.TOUCH, this, 0);
  }

  override onReply(_role: number, status: StatusCode): void {
    this.has = status === Status.TOUCHED;
    this.compare();
  }

  leadSaid(has: boolean): void {
    this.leadHas = has;
    this.compare();
  }

  /** The lead does not answer, and nobody is asked in its place: the two are compared once both can be reached. */
  leadLost(): void {
    this.unknown = true;
    this.compare();
  }

  /** A touch turns no lead: which of them is right about the key is as it was. */
  private alone(): void {
    const { pair, key, laneIndex } = this.of;
    if (pair.stale.has(key)) return pair.touchEntry(key); // a copy under way may have missed the touch
    this.pool.verifier.wrote(pair, key, laneIndex);
  }

  private compare(): void {
    if (this.unknown && this.has) return this.alone();
    if (this.has === null || this.leadHas === null) return;
    if (this.has === this.leadHas) {
      if (this.has && this.pool.verifier.active) this.pool.verifier.wrote(this.of.pair, this.of.key, this.of.laneIndex);
      return;
    }
    this.pool.repair(this.of.pair, this.of.key, this.side);
  }

  override onFailure(): void {
    this.pool.lacks(this.of.pair, this.of.key, this.side);
  }
}
