// add, replace, append, prepend, cas, incr, decr: commands whose outcome depends on what is stored. The lead decides
// alone; the other side then gets the lead's result, never the command. The key is locked meanwhile, so each is applied
// at most once and in one order.
//
//   lock ─▶ lead: command (+ read-back of the result) ─▶ other side: set result ─▶ answer, unlock
//
// Where both sides take explicit cas uniques the command carries a version, and so does the result that the other side
// gets. A read-back without a version (memcached loses it when a number grows by a digit) is stamped with one first.
import { latin1, textOf } from "../../bytes/ascii.ts";
import type { Lane } from "../../backend/lane.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import { EXISTS, NOT_FOUND, storeAnswer } from "../../protocol/answers.ts";
import { Op } from "../../protocol/commands.ts";
import { Expect, metaFlag, Status, type StatusCode, ValueView } from "../../protocol/reply.ts";
import type { RequestReader } from "../../protocol/request.ts";
import { CRLF, putBytes, putSpace, putText, putVerb } from "../compose.ts";
import { putDecision, putRequest, putResult } from "./explicit.ts";
import { Forget, mustForget } from "./forget.ts";
import { Keyed, leadFor } from "./keyed.ts";
import { type LockWaiter, other, PRIMARY, type Side } from "../pair.ts";
import type { Pool } from "../pool.ts";
import type { Client } from "./slot.ts";
import { exptimeOf, Sync } from "../copying/sync.ts";
import { holdsData, holdsVersion, type Proof } from "../proxies/strict.ts";
import { nativeUnique } from "../tokens.ts";
import { isVersion } from "../version.ts";

const Asked = { COMMAND: 0, RESULT: 1, COPY: 2, PRESENCE: 3, STAMP: 4 } as const;
const MG = latin1("mg ");
const RESULT_FLAGS = latin1(" v f t\r\n"), RESULT_FLAGS_AND_UNIQUE = latin1(" v f t c\r\n");
const LETTER_C = 99, LETTER_F = 102, LETTER_T = 116;
/** An item's bytes beside its data, at most: nearer to a server's limit it may be too large. */
const ITEM_OVERHEAD = 512;
export class Decide extends Keyed {
  /** Words after the verb as [start, end) pairs. */
  readonly words: readonly number[];
  readonly dataStart: number;
  readonly dataEnd: number;
  private lead: Side = PRIMARY;
  private waited = false;
  /** It waits for a lane; the client's later requests wait behind it. */
  private parked = false;
  private locked = false;
  /** Who waited for the key when it began to wait for a lane. */
  private followers: readonly LockWaiter[] = [];
  /** The lead's verdict. */
  private verdict: Uint8Array | null = null;
  private verdictStart = 0;
  private verdictEnd = 0;
  private applied = false;
  /** The pair takes explicit cas uniques. */
  private explicit = false;
  /** What the command carried, or the stamp; null without one. */
  private version: Uint8Array | null = null;
  /** The result while the lead is asked to stamp it. */
  private unstamped: ValueView | null = null;

  constructor(client: Client, pool: Pool, reader: RequestReader, bytes: Uint8Array) {
    super(client, pool, reader, bytes);
    const words = reader.op === Op.CAS ? 6 : reader.valueBytes >= 0 ? 5 : 3;
    const places: number[] = [];
    for (let i = 2; i < words * 2; i++) places.push(reader.at[i]!);
    this.words = places;
    this.dataStart = reader.valueBytes >= 0 ? reader.next : 0;
    this.dataEnd = reader.valueBytes >= 0 ? reader.next + reader.valueBytes + 2 : 0;
  }

  start(): void {
    if (this.pair.backup === null) return this.begin();
    this.pool.wroteMs = this.pool.nowMs;
    this.locked = true;
    if (this.pair.lock(this.key, this)) return this.begin();
    this.client.block();
  }

  lockGranted(): void {
    this.begin(); // before the client's later requests
    this.client.resume();
  }

  private begin(): void {
    const { strict } = this.pool;
    if (strict !== null && this.pair.backup !== null) {
      this.pair.decided.delete(this.key); // nothing of it is under way here, or any more
      if (!strict.mayDecide(this.pair)) return strict.hold(this.pair, (ok) => (ok ? this.begin() : this.undecided()));
      this.pair.decided.add(this.key);
    }
    if (this.pair.stale.size !== 0 && mustForget(this.pair, this.key)) {
      this.pool.counters.forgotten++;
      return new Forget(this.pair, this.key, this.laneIndex, () => this.ask(leadFor(this.pair, this))).start();
    }
    this.ask(leadFor(this.pair, this));
  }

  private ask(side: Side): void {
    this.lead = side;
    const lane = this.lane(side);
    if (!lane.ready) return this.onFailure(Asked.COMMAND, this.absence(side), false);
    const { out } = lane;
    const { bytes, words } = this;
    this.explicit = this.pair.explicit;
    this.version = null;
    if (this.explicit && !this.nearLimit(side)) {
      this.askExplicit(lane);
      return this.askResult(lane);
    }
    let native: string | null = null;
    if (this.op === Op.CAS && this.pair.backup !== null && !this.explicit) {
      native = nativeUnique(bytes, words[8]!, words[9]!, this.server(side).casTag);
      if (native === null) {
        // The unique is of another server or an earlier life: it cannot match. Is there anything to differ from?
        putBytes(out, MG);
        out.push(bytes, this.keyStart, this.keyEnd);
        putBytes(out, CRLF);
        return lane.expect(Expect.META, this, Asked.PRESENCE);
      }
    }
    putVerb(out, this.op);
    const plainWords = this.dataEnd === 0 ? words.length : 6;
    for (let i = 0; i < plainWords; i += 2) {
      if (i > 0) putSpace(out);
      out.push(bytes, words[i]!, words[i + 1]!);
    }
    if (this.dataEnd !== 0) putText(out, ` ${this.dataEnd - this.dataStart - 2}`);
    if (native !== null) putText(out, ` ${native}`);
    else if (this.op === Op.CAS) {
      putSpace(out);
      out.push(bytes, words[8]!, words[9]!);
    }
    putBytes(out, CRLF);
    if (this.dataEnd !== 0) out.push(bytes, this.dataStart, this.dataEnd);
    lane.expect(this.dataEnd !== 0 ? Expect.STORE : Expect.NUMBER, this, Asked.COMMAND);
    this.askResult(lane);
  }

  /** In the same packet: what the command made of the item, for the other side. */
  private askResult(lane: Lane): void {
    if (this.pair.backup === null || this.copiesRequest) return;
    putBytes(lane.out, MG);
    lane.out.push(this.bytes, this.keyStart, this.keyEnd);
    putBytes(lane.out, this.explicit ? RESULT_FLAGS_AND_UNIQUE : RESULT_FLAGS);
    lane.expect(Expect.META, this, Asked.RESULT);
  }

  /** The request itself holds the whole result (add, replace, cas), and its unique is known. */
  private get copiesRequest(): boolean {
    if (this.explicit && this.version === null) return false;
    return this.op === Op.ADD || this.op === Op.REPLACE || this.op === Op.CAS;
  }

  /**
   * A meta command that is too large for the server removes the old value, whatever its mode; the text commands of
   * here do not. So those that may be too large are sent as text, and stamped afterwards.
   */
  private nearLimit(side: Side): boolean {
    const limit = this.server(side).itemBytesMax;
    return limit !== 0 && this.dataEnd - this.dataStart + this.keyEnd - this.keyStart + ITEM_OVERHEAD > limit;
  }

  private askExplicit(lane: Lane): void {
    this.version = this.pool.versions.draw();
    putDecision(lane.out, this, this.version);
    lane.expect(this.dataEnd === 0 ? Expect.META : Expect.META_STORE, this, Asked.COMMAND);
  }

  override onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    switch (role) {
      case Asked.COMMAND:
        this.decided(storeAnswer(status), bytes, start, end);
        this.applied = status === Status.STORED || status === Status.NUMBER || status === Status.HD;
        if (this.applied && this.pool.strict !== null) this.serial = this.pool.strict.wrote(this.key);
        if (status >= Status.ERROR && status <= Status.SERVER_ERROR) this.refused(bytes, start);
        // The lead may have removed what it had no room to replace.
        if (this.version !== null && status === Status.SERVER_ERROR) this.pool.repair(this.pair, this.key, other(this.lead));
        if (this.pair.backup === null) return this.conclude();
        if (!this.copiesRequest) return; // the read-back follows
        return this.applied ? this.copy(null) : this.conclude();
      case Asked.RESULT:
        if (!this.applied) return this.conclude();
        // Not there any more (expired or evicted at once), or not told: the other side must not keep an older one.
        return this.copyByRead();
      case Asked.COPY:
        if (status !== Status.STORED && status !== Status.HD) this.pool.counters.unreplicable++; // refused: it dropped its old copy
        else if (this.serial !== 0) this.pool.strict!.tookBoth(this.key, this.serial);
        if (this.pool.lookout.watched) this.pool.lookout.wrote(this.pair, this.key, this.laneIndex);
        return this.conclude();
      case Asked.STAMP:
        if (status === Status.HD) return this.copy(this.unstamped);
        return this.copyByRead(); // somebody wrote in between, or it went
      case Asked.PRESENCE:
        this.verdict = status === Status.HD ? EXISTS : NOT_FOUND;
        this.verdictEnd = this.verdict.length;
        return this.conclude();
    }
  }

  override onValue(role: number, value: ValueView): boolean {
    if (role === Asked.COMMAND && this.version !== null) {
      // incr and decr: the number alone is the answer.
      this.decided(null, value.bytes, value.dataStart, value.end);
      this.applied = true;
      if (this.pool.strict !== null) this.serial = this.pool.strict.wrote(this.key);
      return true;
    }
    if (role !== Asked.RESULT) return false;
    if (!this.applied) this.conclude();
    else if (value.partial) {
      this.copyByRead(); // too large to hold
    } else if (this.explicit) this.copyStamped(value);
    else this.copy(value);
    return true;
  }

  private decided(answer: Uint8Array | null, bytes: Uint8Array, start: number, end: number): void {
    this.verdict = answer ?? bytes;
    this.verdictStart = answer === null ? start : 0;
    this.verdictEnd = answer === null ? end : answer.length;
  }

  /** The other side gets the result with the lead's unique, once that is a version. */
  private copyStamped(result: ValueView): void {
    const { bytes } = result;
    const at = new Int32Array(2);
    const found = metaFlag(bytes, result.flagsStart, result.flagsEnd, LETTER_C, at);
    const [start, end] = [at[0]!, at[1]!];
    if (found && isVersion(bytes, start, end)) {
      this.version = bytes.slice(start, end);
      this.pool.versions.saw(bytes, start, end);
      return this.copy(result);
    }
    const unstamped = (this.unstamped = Object.assign(new ValueView(), result));
    this.version = this.pool.versions.draw();
    const lane = this.lane(this.lead);
    if (!lane.ready) return this.onFailure(Asked.STAMP, this.absence(this.lead), false);
    putResult(lane.out, this, unstamped, this.version, this.server(this.lead).unixSeconds, textOf(bytes, start, end));
    lane.expect(Expect.META_STORE, this, Asked.STAMP);
  }

  override onFailure(role: number, reason: FailureReason, sent: boolean): void {
    if (role === Asked.COPY) {
      this.pool.lacks(this.pair, this.key, other(this.lead));
      this.pool.counters.single_writes++;
      const { strict, comebacks } = this.pool;
      return this.pool.whenNoted(this.pair, this.lead, this.laneIndex, () => {
        if (strict === null || comebacks.isHeld(this.server(other(this.lead)))) return this.conclude();
        strict.settle(this.pair, this.key, this.laneIndex, this.lead, this.serial, this.proof(), (ok) => (ok ? this.conclude() : this.unsettled()));
      });
    }
    if (role === Asked.STAMP) {
      // Its result is in hand: the other side gets it with the version, and then knows better.
      this.pool.lacks(this.pair, this.key, this.lead);
      return this.copy(this.unstamped);
    }
    if (role === Asked.RESULT) {
      if (this.verdict === null || this.copying) return; // dealt with by the command itself, or by its copy
      if (!this.applied) return this.conclude();
      // The lead took it, and nobody has read it since: those that asked have failed with the lane. To tell the client
      // would be to promise what only this lead holds.
      this.blame(this.lead, reason);
      return this.unknown();
    }
    this.blame(this.lead, reason);
    if (this.parked) return this.onReady(); // another may be open by now
    // Who waited for an answer has no patience left for a connection.
    if (reason === "request_timeout") this.waited = true;
    if (!sent || role === Asked.PRESENCE) return this.elsewhere(this.lead);
    this.unknown();
  }

  /** The lane we waited for serves. */
  override onReady(): void {
    this.parked = false;
    if (this.pair.backup !== null) {
      this.locked = true;
      const { followers } = this;
      this.followers = [];
      if (!this.pair.lock(this.key, this, followers)) return;
    }
    this.lockGranted();
  }

  /** Nothing was sent to the lead. The other side holds the last acknowledged state: it may decide. */
  private elsewhere(side: Side): void {
    const { pair } = this;
    const next = other(side);
    if (pair.backup !== null && this.server(next).leads && pair.mayServe(next, this.key) && this.lane(next).ready) {
      this.pool.lacks(pair, this.key, side);
      return this.pool.strict === null ? this.ask(next) : this.begin();
    }
    const opening = this.waited ? -1 : this.opening(side);
    if (opening === -1) return this.undecided();
    this.waited = this.parked = true;
    this.client.block();
    this.lane(opening).wait(this, Asked.COMMAND);
    if (!this.locked) return;
    // Nothing of it is under way. What was asked before it waits for the lane as well, and must find the key free; what was
    // asked after it stays behind.
    this.locked = false;
    if (this.pool.strict !== null) pair.decided.delete(this.key);
    this.followers = pair.yieldLock(this.key);
  }

  private undecided(): void {
    this.fail("no server can decide it");
    this.release();
  }

  /** Strict: the lead executed it, and what else it holds by now was not settled. What the other side lacked is marked, or mended already. */
  private unsettled(): void {
    this.pool.counters.unknown_writes++;
    this.pair.touchEntry(this.key);
    this.fail("outcome unknown");
    this.release();
  }

  /** The lead may have executed it. It is settled here, once, which state counts; the command is never sent again. */
  private unknown(): void {
    const { pair, lead } = this;
    this.pool.counters.unknown_writes++;
    if (pair.backup !== null) {
      if (pair.stale.has(this.key)) pair.touchEntry(this.key);
      else this.pool.lacks(pair, this.key, this.server(other(lead)).leads ? lead : other(lead));
    }
    this.fail("outcome unknown");
    this.release();
  }

  /** The other side gets the result: the request's own data, or what was read back. */
  private copy(result: ValueView | null): void {
    const side = other(this.lead);
    if (this.pool.strict !== null && result !== null) this.result = result.bytes.slice(result.dataStart, result.end);
    const lane = this.lane(side);
    if (!lane.ready) return this.onFailure(Asked.COPY, this.absence(side), false);
    const { out } = lane;
    if (this.version !== null && this.pair.explicit) {
      if (result === null) putRequest(out, this, this.version);
      else putResult(out, this, result, this.version, this.server(side).unixSeconds, null);
      return lane.expect(Expect.META_STORE, this, Asked.COPY);
    }
    putVerb(out, Op.SET);
    out.push(this.bytes, this.keyStart, this.keyEnd);
    putSpace(out);
    if (result === null) {
      out.push(this.bytes, this.words[2]!, this.words[3]!);
      putSpace(out);
      out.push(this.bytes, this.words[4]!, this.words[5]!);
      putText(out, ` ${this.dataEnd - this.dataStart - 2}\r\n`);
      out.push(this.bytes, this.dataStart, this.dataEnd);
    } else {
      const at = new Int32Array(2);
      const { bytes } = result;
      if (!metaFlag(bytes, result.flagsStart, result.flagsEnd, LETTER_F, at)) at.fill(0);
      out.push(bytes, at[0]!, at[1]!);
      const exptime = metaFlag(bytes, result.flagsStart, result.flagsEnd, LETTER_T, at)
        ? exptimeOf(bytes, at[0]!, at[1]!, this.server(side).unixSeconds) : 0;
      putText(out, ` ${exptime} ${result.dataBytes}\r\n`);
      out.push(bytes, result.dataStart, result.end);
    }
    lane.expect(Expect.STORE, this, Asked.COPY);
  }

  /** Strict: how to tell that the lead still holds the result. */
  private proof(): Proof {
    if (this.version !== null) return holdsVersion(textOf(this.version, 0, this.version.length));
    return this.result === null ? holdsData(this.bytes, this.dataStart, this.dataEnd) : holdsData(this.result, 0, this.result.length);
  }
  private serial = 0;
  private result: Uint8Array | null = null;

  /** The result has to be read again to be copied. The client is told once both sides hold the same. */
  private copyByRead(): void {
    this.copying = true;
    const { pair, pool, key } = this;
    pool.lacks(pair, key, other(this.lead));
    new Sync(pair, key, this.laneIndex, this.lead, (outcome) => {
      if (outcome !== "failed" && outcome !== "turned") return this.conclude();
      // It may have been seen by now: the lead stays lead.
      pool.counters.unknown_writes++;
      this.fail("outcome unknown");
      this.release();
    }).start();
  }
  private copying = false;

  private conclude(): void {
    const failed = this.mute && !this.applied && this.verdict !== null && this.verdict[this.verdictStart] === 83;
    if (failed) this.pool.counters.noreply_failed++;
    this.say(this.verdict!, this.verdictStart, this.verdictEnd);
    this.finish();
    this.release();
  }

  private release(): void {
    if (!this.locked) return;
    this.locked = false;
    if (this.pool.strict !== null) this.pair.decided.delete(this.key);
    this.pair.unlock(this.key);
  }
}
