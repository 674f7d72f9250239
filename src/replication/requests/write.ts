// set, delete, touch: writes that need no decision. Both sides get them at once, in the same order as every other
// request on the key (one lane per key and server); the client hears its lead's word.
//
//   client ─▶ P ‖ B ─▶ both decided ─▶ answer            one failed ─▶ stale[key] = that side, answer the other's word
import { indexOf, SPACE, textOf } from "../../bytes/ascii.ts";
import { hold, LENT_BYTES_MIN, release } from "../../bytes/lent.ts";
import type { Outbound } from "../../bytes/outbound.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import { storeAnswer } from "../../protocol/answers.ts";
import { Op } from "../../protocol/commands.ts";
import { Expect, type ExpectCode, Status, type StatusCode } from "../../protocol/reply.ts";
import type { RequestReader } from "../../protocol/request.ts";
import { CRLF, putBytes, putLine, putSpace, putText, putVerb, putVersionedSet } from "../compose.ts";
import { Forget, mustForget } from "./forget.ts";
import { Keyed, leadFor } from "./keyed.ts";
import { holdsData, holdsVersion, type Proof } from "../proxies/strict.ts";
import { VERSION_DIGITS } from "../version.ts";
import { BACKUP, other, PRIMARY, type Side } from "../pair.ts";
import type { Pool } from "../pool.ts";
import type { Client } from "./slot.ts";

/** What became of the write on one side. */
export const Fate = { NONE: 0, PENDING: 1, APPLIED: 2, REFUSED: 3, UNKNOWN: 4, UNSENT: 5 } as const;
export type FateCode = (typeof Fate)[keyof typeof Fate];

export class Write extends Keyed {
  protected readonly lineStart: number;
  protected readonly plain: boolean;
  /** Start and end of each word after the verb, and of the data block with its CR LF (0, 0 without one). */
  protected readonly words: readonly number[];
  protected readonly dataStart: number;
  protected readonly dataEnd: number;
  protected readonly fates: [FateCode, FateCode] = [Fate.NONE, Fate.NONE];
  protected pending = 0;
  protected lead: Side = PRIMARY;
  protected waited = false;
  /** The set carries a version of ours. */
  private explicit = false;
  /** It waits for a lane; the client's later requests wait behind it. */
  private parked = false;
  /** It holds the key's lock. */
  protected locked = false;
  /** Only the side that lacks the key is there: whoever decides on the key must know first whether that side took it. */
  private alone = false;
  /** The answering side's line. */
  private line: Uint8Array | null = null;
  private replySide: Side = PRIMARY;

  constructor(client: Client, pool: Pool, reader: RequestReader, bytes: Uint8Array, lineStart: number) {
    super(client, pool, reader, bytes);
    hold(bytes);
    this.lineStart = lineStart;
    this.plain = reader.plain;
    pool.wroteMs = pool.nowMs;
    const at = reader.at;
    this.dataStart = this.dataEnd = 0;
    if (reader.valueBytes >= 0) {
      this.dataStart = reader.next;
      this.dataEnd = reader.next + reader.valueBytes + 2;
      this.words = this.plain ? NO_WORDS : [at[2]!, at[3]!, at[4]!, at[5]!, at[6]!, at[7]!];
    } else if (this.op === Op.TOUCH) this.words = [at[2]!, at[3]!, at[4]!, at[5]!];
    else this.words = [at[2]!, at[3]!];
    if (this.plain && this.dataEnd === 0) this.dataEnd = reader.next;
  }

  start(): void {
    if (this.forgetFirst()) return;
    const locks = this.pair.locks;
    if (locks.size !== 0 && locks.has(this.key)) {
      this.client.block();
      this.pair.lock(this.key, this);
      return;
    }
    this.place();
  }

  /** A delete or touch must not speak of a copy that does not count: the stale one goes first. */
  private forgetFirst(): boolean {
    const { pair } = this;
    if (this.forgot || this.op === Op.SET || pair.stale.size === 0 || !mustForget(pair, this.key)) return false;
    this.forgot = true;
    this.pool.counters.forgotten++;
    this.client.block();
    const forgotten = (): void => {
      this.start();
      this.client.resume();
    };
    new Forget(pair, this.key, this.laneIndex, forgotten).start();
    return true;
  }
  private forgot = false;

  /** The two-step command before us is through; once placed in the lanes our order is fixed. */
  lockGranted(): void {
    this.locked = true;
    this.place();
    if (!this.alone) this.unlock();
    this.client.resume();
  }

  protected unlock(): void {
    if (!this.locked) return;
    this.locked = false;
    this.pair.unlock(this.key);
  }

  protected place(): void {
    const pair = this.pair;
    this.lead = leadFor(pair, this);
    this.explicit = this.op === Op.SET && pair.explicit;
    if (this.explicit) this.pool.versions.next();
    const { strict } = this.pool;
    if (strict !== null && strict.remembers) {
      if (this.op !== Op.TOUCH) this.serial = strict.wrote(this.key);
      this.written = this.explicit ? textOf(this.pool.versions.digits, 0, VERSION_DIGITS) : "";
    }
    // Counted before anything is sent: a side may fail at once.
    this.pending = pair.backup === null ? 1 : 2;
    if (this.pending === 1) return this.send(PRIMARY);
    pair.writes(this);
    this.alone = false;
    const absent = !this.lane(PRIMARY).ready ? PRIMARY : !this.lane(BACKUP).ready ? BACKUP : -1;
    if (absent !== -1 && this.lane(other(absent)).ready) {
      const entry = pair.stale.get(this.key);
      // Noted first, so that the note is in the lane before the write.
      if (entry === undefined) this.pool.lacks(pair, this.key, absent);
      else if (entry.side !== absent) {
        this.alone = true;
        this.locked ||= pair.lock(this.key, this);
      }
    }
    this.send(PRIMARY);
    this.send(BACKUP);
    if (this.fates[PRIMARY] === Fate.UNSENT) this.lonely(PRIMARY);
  }

  /** The set with the version drawn last, which both sides keep as its cas unique. */
  private putExplicit(out: Outbound): void {
    const { bytes, words } = this;
    const found = words.length === 0;
    // A plain line has single blanks: its words are found again where they were not kept.
    const flagsStart = found ? this.keyEnd + 1 : words[2]!;
    const flagsEnd = found ? indexOf(bytes, SPACE, flagsStart, this.dataStart) : words[3]!;
    const exptimeStart = found ? flagsEnd + 1 : words[4]!;
    const exptimeEnd = found ? indexOf(bytes, SPACE, exptimeStart, this.dataStart) : words[5]!;
    const dataBytes = this.dataEnd - this.dataStart - 2;
    const { digits } = this.pool.versions;
    putVersionedSet(
      out, bytes, this.keyStart, this.keyEnd, dataBytes, flagsStart, flagsEnd, exptimeStart, exptimeEnd, digits,
    );
    out.push(bytes, this.dataStart, this.dataEnd);
  }

  protected send(side: Side): void {
    const lane = this.lane(side);
    if (!lane.ready) return this.decided(side, Fate.UNSENT, this.absence(side));
    this.fates[side] = Fate.PENDING;
    const out = lane.out;
    if (this.explicit) this.putExplicit(out);
    else if (this.plain) out.push(this.bytes, this.lineStart, this.dataEnd);
    else if (this.dataEnd === 0) putLine(out, this.op, this.bytes, this.words);
    else {
      putVerb(out, this.op);
      for (let i = 0; i < 6; i += 2) {
        out.push(this.bytes, this.words[i]!, this.words[i + 1]!);
        putSpace(out);
      }
      putText(out, String(this.dataEnd - this.dataStart - 2));
      putBytes(out, CRLF);
      out.push(this.bytes, this.dataStart, this.dataEnd);
    }
    lane.expect(this.explicit ? Expect.META_STORE : EXPECT[this.op]!, this, side);
    if (out.total > LANE_BYTES_HIGH) this.client.awaitRoom(lane);
  }

  override get holds(): boolean {
    return true;
  }

  override onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    const side = role as Side;
    const refused = status >= Status.ERROR && status <= Status.SERVER_ERROR;
    if (this.line === null || side === this.lead) {
      this.line = storeAnswer(status) ?? bytes.slice(start, end);
      this.replySide = side;
    }
    if (this.op === Op.TOUCH && status === Status.NOT_FOUND) this.misses++;
    this.decided(side, refused ? Fate.REFUSED : Fate.APPLIED, null);
  }
  /** Sides that a touch did not find the item on. */
  private misses = 0;

  override onFailure(role: number, reason: FailureReason, sent: boolean): void {
    if (this.parked) return this.onReady(role); // another may be open by now
    // Who waited for an answer has no patience left for a connection.
    if (reason === "request_timeout") this.waited = true;
    this.decided(role as Side, sent ? Fate.UNKNOWN : Fate.UNSENT, reason);
  }

  /** The lane we waited for serves. */
  override onReady(_role: number): void {
    this.parked = false;
    this.start(); // the key may be locked by now
    this.client.resume();
  }

  protected decided(side: Side, fate: FateCode, reason: FailureReason | null): void {
    this.fates[side] = fate;
    if (reason !== null) this.blame(side, reason);
    if (--this.pending === 0) {
      this.settle();
      return this.unlock();
    }
    if (reason !== null) this.lonely(side);
    // --ack lead | any: the client need not wait for the other side.
    const ack = this.pool.ack;
    if (fate === Fate.APPLIED && !this.done && (ack === "any" || (ack === "lead" && side === this.lead))) this.speak();
  }

  /** One side lacks it and the other has it under way: later requests on the key belong behind it, on that side. */
  private lonely(lacking: Side): void {
    const { pair } = this;
    if (this.fates[other(lacking)] === Fate.PENDING && !pair.stale.has(this.key)) this.pool.lacks(pair, this.key, lacking);
  }

  protected settle(): void {
    const pair = this.pair;
    if (pair.backup === null) {
      const fate = this.fates[PRIMARY];
      if (fate !== Fate.APPLIED && fate !== Fate.REFUSED) return this.none();
      this.through();
      return this.speak();
    }
    const lead = this.lead, replica = other(lead);
    const led = this.fates[lead], copied = this.fates[replica];
    const leadAnswered = led === Fate.APPLIED || led === Fate.REFUSED;
    const replicaAnswered = copied === Fate.APPLIED || copied === Fate.REFUSED;
    if (leadAnswered && replicaAnswered) return this.bothAnswered(led, copied);
    if (!leadAnswered && !replicaAnswered) return this.none();
    const took = leadAnswered ? lead : replica;
    if (this.op !== Op.SET && took === replica && (pair.stale.get(this.key)?.side === replica || pair.isCold(replica))) {
      // Its word is about a stale copy. A touch does not make that the newest; a delete leaves nothing to be stale.
      if (this.op === Op.TOUCH) pair.touchEntry(this.key);
      else this.pool.lacks(pair, this.key, lead);
      if (!this.done) this.fail("outcome unknown");
      return;
    }
    this.pool.counters.single_writes++;
    this.pool.lacks(pair, this.key, other(took));
    this.pool.whenNoted(pair, took, this.laneIndex, () => this.settled(took));
  }

  /** One side took it, and that the other lacks it is written down there. */
  private settled(took: Side): void {
    const { strict, comebacks } = this.pool;
    // Nobody leads a server that is still to be filled: who else lacks what it lacks, all are given later.
    if (strict === null || this.done || comebacks.isHeld(this.server(other(took)))) return this.speak();
    if (this.serial === 0 && this.op !== Op.TOUCH) this.serial = strict.wrote(this.key);
    strict.settle(this.pair, this.key, this.laneIndex, took, this.serial, this.proof(), (ok) => (ok ? this.speak() : this.fail("outcome unknown")));
  }

  /** Strict: how to tell that a side holds what was written. */
  private proof(): Proof {
    if (this.op === Op.DELETE) return (held) => held === null;
    if (this.op === Op.TOUCH || this.fates[this.replySide] === Fate.REFUSED) return () => true;
    return this.written !== "" ? holdsVersion(this.written) : holdsData(this.bytes, this.dataStart, this.dataEnd);
  }
  /** Strict: its number among our writes. A touch has none: what it found may be another's. */
  private serial = 0;
  /** Strict: the version that the set carried, or "". */
  protected written = "";

  /** Every side has answered: the bytes are needed no more. */
  private through(): void {
    if (this.bytes.length >= LENT_BYTES_MIN) void this.key; // it is read from them when first asked for
    release(this.bytes);
  }

  private bothAnswered(led: FateCode, copied: FateCode): void {
    const pair = this.pair, replica = other(this.lead);
    this.through();
    if (this.serial !== 0) this.pool.strict!.tookBoth(this.key, this.serial);
    if (led === Fate.REFUSED && copied === Fate.APPLIED) {
      // A refused set removed the lead's old value; the replica must not keep what the lead does not have.
      this.pool.counters.unreplicable++;
      this.pool.repair(pair, this.key, replica);
    } else if (led === Fate.APPLIED && copied === Fate.REFUSED) {
      this.pool.counters.unreplicable++;
      if (this.op !== Op.SET) this.pool.repair(pair, this.key, replica);
    } else if (this.misses === 1) {
      // Only one has it: near its end, or evicted. The replica becomes like the lead, or a copy would outlive it.
      this.pool.repair(pair, this.key, replica);
    }
    if (this.pool.lookout.watched) this.pool.lookout.wrote(pair, this.key, this.laneIndex);
    // A stale entry stays, though both sides are alike now: a copy under way may still undo this on one of them, and
    // will find that out. Only the copier clears.
    this.speak();
  }

  /** No side took it. */
  private none(): void {
    const pair = this.pair;
    const sent = this.fates[0] === Fate.UNKNOWN || this.fates[1] === Fate.UNKNOWN;
    if (!sent) {
      const opening = this.waited || this.done ? -1 : this.opening(this.lead);
      if (opening === -1) return this.fail("no server can take it");
      this.waited = this.parked = true;
      this.pending = 1;
      this.client.block();
      return this.lane(opening).wait(this, opening);
    }
    this.pool.counters.unknown_writes++;
    if (pair.stale.has(this.key)) pair.touchEntry(this.key);
    else this.pool.lacks(pair, this.key, other(this.lead));
    if (!this.done) this.fail("outcome unknown");
  }

  protected speak(): void {
    if (this.done) return;
    if (this.fates[this.replySide] === Fate.REFUSED) {
      this.refused(this.line!, 0);
      if (this.mute) this.pool.counters.noreply_failed++;
    }
    this.answer(this.line!);
  }
}

/** A lane with more bytes waiting pauses the clients that feed it. */
export const LANE_BYTES_HIGH = 4 * 1024 * 1024;
const NO_WORDS: readonly number[] = [];
const EXPECT: readonly ExpectCode[] = (() => {
  const table: ExpectCode[] = [];
  table[Op.SET] = Expect.STORE;
  table[Op.DELETE] = Expect.DELETE;
  table[Op.TOUCH] = Expect.TOUCH;
  return table;
})();
