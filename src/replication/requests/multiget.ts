// get, gets, gat, gats of many keys: one request per lane, answers merged in the order of the keys as they were asked,
// duplicates included, as memcached does. A server that fails costs its keys one more try on their other side; what
// nobody can answer is a miss, never an error line in the middle.
//
//   keys    a b c d e        lane 1: get a c d   lane 2: get b e
//   cursor  ──▶              an item that is not next waits; an END settles what its lane left out as misses
import type { Lane } from "../../backend/lane.ts";
import { SilentCaller } from "../../backend/caller.ts";
import { END } from "../../protocol/answers.ts";
import { Op } from "../../protocol/commands.ts";
import { Expect, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import type { RequestReader } from "../../protocol/request.ts";
import { equal, textOf } from "../../bytes/ascii.ts";
import { hold, release } from "../../bytes/lent.ts";
import { CRLF, putBytes, putSpace, putVerb } from "../compose.ts";
import { Forget, mustForget } from "./forget.ts";
import { other, type Pair, PRIMARY, type Side } from "../pair.ts";
import type { Pool } from "../pool.ts";
import { TouchOther } from "./read.ts";
import { type Client, Slot } from "./slot.ts";
import { tagItem } from "../tokens.ts";

/** Keys of one gat line, bytes: with the verb and the longest exptime it stays well below 2 KiB. */
const GAT_LINE_BYTES = 1900;
/** State of a key. */
const PENDING = 0, MISS = 1, HIT = 2, COMING = 3;
/** In place of the side asked: no server answers for the key. */
const NOBODY = 2;
/** Of a key that a side which does not lead is asked for first. */
const ASKED = 1, LACKED = 2;

export class MultiGet extends Slot {
  readonly pool: Pool;
  readonly bytes: Uint8Array;
  readonly keyStart: Int32Array;
  readonly keyEnd: Int32Array;
  readonly pairs: Pair[] = [];
  readonly laneIndexes: Uint8Array;
  readonly exptimeStart: number;
  readonly exptimeEnd: number;
  private readonly keys: number;
  private readonly states: Uint8Array;
  /** The side asked, and whether the other one was tried before. */
  private readonly sides: Uint8Array;
  private readonly retried: Uint8Array;
  /** Items that wait for the cursor, by key; one item may have come in several parts. */
  private readonly kept: (Part[] | null)[];
  /** Keys that a side which does not lead was asked for first; null: none. */
  private early: Uint8Array | null = null;
  /** Those of them that it does not hold and that must be asked of their lead. */
  private lacked: number[] = [];
  /** A gat's touches on the other sides. */
  private touches: TouchOther[] | null = null;
  private cursor = 0;
  /** Requests under way, and one while they are being sent. */
  private open = 0;

  constructor(client: Client, pool: Pool, reader: RequestReader, bytes: Uint8Array) {
    super(client, reader.op);
    this.pool = pool;
    this.bytes = bytes;
    const count = (this.keys = reader.keys);
    const touching = reader.op === Op.GAT || reader.op === Op.GATS;
    this.exptimeStart = touching ? reader.at[2]! : 0;
    this.exptimeEnd = touching ? reader.at[3]! : 0;
    this.keyStart = new Int32Array(count);
    this.keyEnd = new Int32Array(count);
    this.laneIndexes = new Uint8Array(count);
    this.states = new Uint8Array(count);
    this.sides = new Uint8Array(count);
    this.retried = new Uint8Array(count);
    this.kept = new Array<Part[] | null>(count).fill(null);
    let at = reader.keysStart;
    for (let i = 0; i < count; i++) {
      at = reader.nextKey(bytes, at);
      this.keyStart[i] = at;
      at = this.keyEnd[i] = reader.nextKeyEnd;
    }
  }

  key(index: number): string {
    return textOf(this.bytes, this.keyStart[index]!, this.keyEnd[index]!);
  }

  override about(): { readonly key: string; readonly servers: string } {
    return { key: `${this.key(0)} and ${this.keys - 1} more`, servers: "" };
  }

  start(): void {
    this.open = 1;
    const { pool, bytes } = this;
    const groups: Fragment[] = [];
    for (let i = 0; i < this.keys; i++) {
      pool.route(bytes, this.keyStart[i]!, this.keyEnd[i]!);
      const pair = pool.pair;
      this.pairs.push(pair);
      this.laneIndexes[i] = pool.laneIndex;
      const ordered = this.exptimeEnd !== 0 || (this.op === Op.GETS && pair.explicit);
      if (ordered && pair.locks.size !== 0 && pair.locks.has(this.key(i))) {
        this.afterLock(i);
        continue;
      }
      if (pair.stale.size !== 0 && mustForget(pair, this.key(i))) {
        this.forget(i);
        continue;
      }
      const lead = this.leadOf(i);
      this.ask(i, this.op === Op.GET && this.asksEarly(i, lead) ? other(lead) : lead, groups);
    }
    this.send(groups);
    this.closed();
  }

  /** The primary on its way back, or a near backup, is asked first: what it lacks is asked of the lead afterwards. */
  private asksEarly(index: number, lead: Side): boolean {
    const pair = this.pairs[index]!;
    if (lead === PRIMARY ? !pair.near : !pair.primary.warming) return false;
    const keyed = { key: this.key(index) };
    if (!(lead === PRIMARY ? pair.mayAskNear(keyed) : pair.mayHold(keyed))) return false;
    if (!pair.server(other(lead))!.lanes[this.laneIndexes[index]!]!.ready) return false;
    (this.early ??= new Uint8Array(this.keys))[index] = ASKED;
    return true;
  }

  private leadOf(index: number): Side {
    const pair = this.pairs[index]!;
    const usual = pair.stale.size === 0 ? pair.usualLead : -1;
    if (usual !== -1) return usual;
    return pair.backup === null ? PRIMARY : pair.leadOf(this.key(index));
  }

  /** Its place is after the command in two steps that holds the key, as for one key (see Read). */
  private afterLock(index: number): void {
    const pair = this.pairs[index]!, key = this.key(index);
    this.open++;
    this.client.block();
    const lockGranted = (): void => {
      this.opened(index);
      pair.unlock(key);
      this.client.resume();
    };
    pair.lock(key, { lockGranted });
  }

  private forget(index: number): void {
    this.open++;
    this.pool.counters.forgotten++;
    const ended = (gone: boolean): void => {
      if (!gone) return this.opened(index);
      this.sides[index] = NOBODY;
      this.missed(index);
      this.closed();
    };
    new Forget(this.pairs[index]!, this.key(index), this.laneIndexes[index]!, ended).start();
  }

  /** Adds a key to the request of its lane, or settles it when nobody can be asked. */
  private ask(index: number, side: Side, groups: Fragment[]): void {
    const pair = this.pairs[index]!;
    let lane = pair.server(side)!.lanes[this.laneIndexes[index]!]!;
    if (!lane.ready) {
      const next = this.alternative(index, side);
      if (next === -1) {
        const opening = this.retried[index]! < 2 ? this.opening(index, side) : null;
        if (opening !== null) return this.waitFor(index, opening);
        this.unanswered(index);
        return;
      }
      side = next;
      lane = pair.server(side)!.lanes[this.laneIndexes[index]!]!;
    }
    this.sides[index] = side;
    const length = this.keyEnd[index]! - this.keyStart[index]! + 1;
    for (const group of groups) {
      if (group.lane !== lane || group.lineBytes + length > this.lineBytesMax) continue;
      group.lineBytes += length;
      group.keys.push(index);
      return;
    }
    groups.push(new Fragment(this, lane, index, length));
  }

  /** memcached reads a get of any length, but hangs up on a gat of more than 2 KiB that does not come in one piece. */
  private get lineBytesMax(): number {
    return this.exptimeEnd === 0 ? Infinity : GAT_LINE_BYTES;
  }

  /** A lane of the key that is being opened, that of the given side first. */
  private opening(index: number, first: Side): Lane | null {
    const opens = (side: Side): Lane | null => {
      const server = this.pairs[index]!.server(side), lane = server?.lanes[this.laneIndexes[index]!];
      return lane !== undefined && !lane.ready && server!.isOpening(lane) ? lane : null;
    };
    return opens(first) ?? opens(other(first));
  }

  /** The lane is being opened and there is no other: the key is asked when it serves. */
  private waitFor(index: number, lane: Lane): void {
    this.open++;
    this.retried[index] = 2;
    lane.wait(new Opening(this, index), 0);
  }

  /** The wait for a lane or a lock ended, or what was stale has changed. */
  opened(index: number): void {
    const groups: Fragment[] = [];
    this.ask(index, this.leadOf(index), groups);
    this.send(groups);
    this.closed();
  }

  /** The other side, if it may answer and was not tried; -1 otherwise. */
  private alternative(index: number, failed: Side): Side | -1 {
    const pair = this.pairs[index]!;
    if (pair.backup === null || this.retried[index] !== 0) return -1;
    this.retried[index] = 1;
    const next = other(failed);
    if (!pair.mayServe(next, pair.stale.size === 0 ? null : this.key(index))) return -1;
    return pair.server(next)!.lanes[this.laneIndexes[index]!]!.ready ? next : -1;
  }

  private send(groups: readonly Fragment[]): void {
    for (const group of groups) {
      this.open++;
      const out = group.lane.out;
      putVerb(out, this.op);
      if (this.exptimeEnd !== 0) out.push(this.bytes, this.exptimeStart, this.exptimeEnd);
      for (let i = 0; i < group.keys.length; i++) {
        const index = group.keys[i]!;
        if (i > 0 || this.exptimeEnd !== 0) putSpace(out);
        out.push(this.bytes, this.keyStart[index]!, this.keyEnd[index]!);
        if (this.exptimeEnd !== 0 && this.pairs[index]!.backup !== null) this.touchOther(index);
      }
      putBytes(out, CRLF);
      if (this.op === Op.GET) group.lane.expectGet(Expect.VALUES, group, 0);
      else group.lane.expect(Expect.VALUES, group, 0);
    }
  }

  private touchOther(index: number): void {
    const { bytes } = this;
    const of = {
      pair: this.pairs[index]!, laneIndex: this.laneIndexes[index]!, bytes,
      keyStart: this.keyStart[index]!, keyEnd: this.keyEnd[index]!, key: this.key(index),
    };
    const touch = new TouchOther(this.pool, of, other(this.sides[index] as Side));
    (this.touches ??= [])[index] = touch;
    touch.start(this.exptimeStart, this.exptimeEnd);
  }

  isKey(index: number, bytes: Uint8Array, start: number, end: number): boolean {
    const keyStart = this.keyStart[index]!;
    const length = this.keyEnd[index]! - keyStart;
    return end - start === length && equal(bytes, start, this.bytes, keyStart, length);
  }

  /** An item (or its beginning) of the key at index came. */
  item(index: number, value: ValueView): void {
    this.touches?.[index]?.leadSaid(true);
    const pair = this.pairs[index]!;
    if (this.early !== null && this.early[index] === LACKED) this.pool.warm(pair, this.key(index), other(this.sides[index] as Side));
    const tagged = value.casEnd !== 0 && pair.backup !== null && !pair.explicit
      ? tagItem(value, pair.server(this.sides[index] as Side)!.casTag) : null;
    this.states[index] = value.partial ? COMING : HIT;
    if (tagged !== null) this.keep(index, tagged, 0, tagged.length);
    else this.keep(index, value.bytes, value.start, value.end);
  }

  /** More of a large item came. */
  more(index: number, bytes: Uint8Array, start: number, end: number, last: boolean, lane: Lane): void {
    if (last) this.states[index] = HIT;
    this.keep(index, bytes, start, end);
    if (this.head && this.cursor === index) this.client.holdLane(lane);
  }

  missed(index: number): void {
    this.touches?.[index]?.leadSaid(false);
    if (this.early !== null && this.early[index] === ASKED) {
      this.early[index] = LACKED;
      this.lacked.push(index);
      return;
    }
    this.states[index] = MISS;
  }

  /** The server of these keys failed; unsettled ones try their other side. */
  failed(indexes: readonly number[], from: number): void {
    const groups: Fragment[] = [];
    for (let i = from; i < indexes.length; i++) {
      const index = indexes[i]!;
      if (this.states[index] === COMING) {
        if (this.cursor === index) {
          this.client.cut("the value that was being sent cannot be finished");
          return this.closed();
        }
        this.kept[index] = null;
      }
      this.states[index] = PENDING;
      if (this.early !== null) this.early[index] = 0;
      const next = this.alternative(index, this.sides[index] as Side);
      if (next !== -1) {
        this.pool.counters.failover_reads++;
        this.ask(index, next, groups);
      } else {
        this.touches?.[index]?.leadLost();
        this.unanswered(index);
      }
    }
    this.send(groups);
    this.closed();
  }

  /** One request is through (or the sending of all). */
  closed(): void {
    if (this.lacked.length > 0) {
      const groups: Fragment[] = [];
      const indexes = this.lacked;
      this.lacked = [];
      for (const index of indexes) {
        const lead = this.leadOf(index);
        // It may have become the lead itself, and hold the key by now: then nobody is known to lack it.
        if (lead === this.sides[index]) this.early![index] = 0;
        this.ask(index, lead, groups);
      }
      this.send(groups);
    }
    this.open--;
    this.advance();
  }

  private keep(index: number, bytes: Uint8Array, start: number, end: number): void {
    if (index === this.cursor) {
      this.say(bytes, start, end);
      if (this.states[index] === HIT) {
        this.count(index);
        this.cursor++;
        this.advance();
      }
      return;
    }
    hold(bytes);
    (this.kept[index] ??= []).push({ bytes, start, end });
    this.advance(); // misses before it may be known by now
  }

  private count(index: number): void {
    const { counters } = this.pool;
    const hit = this.states[index] === HIT;
    if (hit) counters.get_hits++;
    else counters.get_misses++;
    const side = this.sides[index];
    if (side === NOBODY) counters.unserved_misses++;
    else if (side !== PRIMARY) counters[hit ? "backup_hits" : "backup_misses"]++;
  }

  private unanswered(index: number): void {
    this.pool.counters.unanswered_keys++;
    this.sides[index] = NOBODY;
    this.states[index] = MISS;
  }

  /** Says what is next in order, as far as it is known. */
  private advance(): void {
    while (this.cursor < this.keys && this.states[this.cursor] !== PENDING) {
      const index = this.cursor;
      const parts = this.kept[index];
      if (parts !== null && parts !== undefined) {
        this.kept[index] = null;
        for (const { bytes, start, end } of parts) {
          this.say(bytes, start, end);
          release(bytes);
        }
      }
      if (this.states[index] === COMING) return;
      this.count(index);
      this.cursor++;
    }
    if (this.cursor === this.keys && this.open === 0 && !this.done) this.answer(END);
  }
}

interface Part {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** The keys of a multi-get that one lane was asked for, in their order. */
class Fragment extends SilentCaller {
  readonly keys: number[];
  /** Position in keys of the next one whose item may come. */
  private next = 0;

  constructor(private readonly whole: MultiGet, readonly lane: Lane, first: number, public lineBytes: number) {
    super();
    this.keys = [first];
  }

  override get holds(): boolean {
    return true;
  }

  override onValue(_role: number, value: ValueView): boolean {
    const { keys, whole } = this;
    let at = this.next;
    while (at < keys.length && !whole.isKey(keys[at]!, value.bytes, value.keyStart, value.keyEnd)) at++;
    if (at === keys.length) return false;
    for (let i = this.next; i < at; i++) whole.missed(keys[i]!);
    this.next = value.partial ? at : at + 1;
    whole.item(keys[at]!, value);
    return true;
  }

  override onChunk(_role: number, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const index = this.keys[this.next]!;
    if (last) this.next++;
    this.whole.more(index, bytes, start, end, last, this.lane);
  }

  override onReply(_role: number, status: StatusCode): void {
    if (status !== Status.END) return this.whole.failed(this.keys, this.next);
    for (let i = this.next; i < this.keys.length; i++) this.whole.missed(this.keys[i]!);
    this.whole.closed();
  }

  override onFailure(): void {
    this.whole.failed(this.keys, this.next);
  }
}

/** One key of a multi-get waits for a lane. */
class Opening extends SilentCaller {
  constructor(private readonly whole: MultiGet, private readonly index: number) {
    super();
  }
  override onReady(): void {
    this.whole.opened(this.index);
  }
  override onFailure(): void {
    this.whole.opened(this.index);
  }
}
