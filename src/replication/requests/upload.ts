// A set whose value is too large to hold: it streams to both sides over connections of their own, so that a slow
// client keeps nobody else waiting. The last two bytes are held back: until they arrive the servers change nothing.
//
//   client ─▶ header, body… ─▶ P' ‖ B'      body complete ─▶ lock key ─▶ fence P ‖ B ─▶ CR LF ─▶ P' ‖ B' ─▶ settle
import { CR, latin1, LF, textOf } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import type { Lane } from "../../backend/lane.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import { BAD_CHUNK } from "../../protocol/answers.ts";
import { Expect } from "../../protocol/reply.ts";
import type { RequestReader } from "../../protocol/request.ts";
import { CRLF, putBytes, putSpace, putText, putVerb, putVersionedSet } from "../compose.ts";
import { leadFor } from "./keyed.ts";
import { BACKUP, PRIMARY, type Side } from "../pair.ts";
import type { Pool } from "../pool.ts";
import type { Client } from "./slot.ts";
import { Fate, LANE_BYTES_HIGH, Write } from "./write.ts";

const MN = latin1("mn\r\n");
/** A client that sends nothing of its value for this long is cut off, ms. */
const CLIENT_STALL_MS = 10_000;

export class Upload extends Write {
  /** All bytes of the value have come. */
  complete = false;
  private readonly bulk: [Lane | null, Lane | null] = [null, null];
  private readonly valueBytes: number;
  private remaining: number;
  private lastBytes = 0;
  private committed = false;
  private blocking = false;
  private movedMs: number;

  constructor(client: Client, pool: Pool, reader: RequestReader, bytes: Uint8Array) {
    super(client, pool, reader, bytes, 0);
    this.valueBytes = reader.valueBytes;
    this.remaining = reader.valueBytes + 2;
    this.header = [reader.at[2]!, reader.at[3]!, reader.at[4]!, reader.at[5]!, reader.at[6]!, reader.at[7]!];
    this.movedMs = pool.nowMs;
    this.waited = true; // what was streamed cannot be sent again later
  }
  private readonly header: readonly number[];
  /** What both sides keep as its cas unique, or null when one of them cannot. */
  private version: Uint8Array | null = null;

  override start(): void {
    this.lead = leadFor(this.pair, this);
    this.pending = this.pair.backup === null ? 1 : 2;
    if (this.pair.explicit) {
      this.version = this.pool.versions.draw();
      this.written = textOf(this.version, 0, this.version.length);
    }
    this.pool.uploads.add(this);
    this.send(PRIMARY);
    if (this.pair.backup !== null) this.send(BACKUP);
    if (!this.waiting) return;
    this.blocking = true;
    this.client.block();
  }

  protected override send(side: Side): void {
    const server = this.server(side);
    if (server.state === "down") return this.decided(side, Fate.UNSENT, "down");
    this.fates[side] = Fate.PENDING;
    const lane = (this.bulk[side] = server.borrow());
    if (lane.ready) this.sendHeader(side, lane);
    else lane.wait(this, side);
  }

  private sendHeader(side: Side, lane: Lane): void {
    const { out } = lane;
    const { bytes, header, version } = this;
    // A lane that was waited for may belong to another process than when the version was drawn.
    const explicit = version !== null && this.server(side).explicitCas.works;
    if (explicit) {
      const [keyStart, keyEnd, flagsStart, flagsEnd, exptimeStart, exptimeEnd] = header as readonly [number, number, number, number, number, number];
      putVersionedSet(
        out, bytes, keyStart, keyEnd, this.valueBytes, flagsStart, flagsEnd, exptimeStart, exptimeEnd, version,
      );
    } else {
      putVerb(out, this.op);
      for (let i = 0; i < 6; i += 2) {
        out.push(bytes, header[i]!, header[i + 1]!);
        putSpace(out);
      }
      putText(out, `${this.valueBytes}\r\n`);
    }
    lane.expect(explicit ? Expect.META_STORE : Expect.STORE, this, side);
    lane.moved();
  }

  override onReady(role: number): void {
    this.sendHeader(role as Side, this.bulk[role as Side]!);
    if (!this.waiting) this.unblock();
  }

  /** Some lane is still being opened: no body can be taken. */
  get waiting(): boolean {
    return this.bulk.some((lane) => lane !== null && !lane.ready);
  }

  /** The next bytes of the value; all are taken. */
  body(bytes: Uint8Array, start: number, end: number): number {
    const take = Math.min(this.remaining, end - start);
    const to = start + take;
    this.movedMs = this.pool.nowMs;
    // The final CR LF stays here until commit().
    const held = Math.max(0, 2 - (this.remaining - take));
    const send = Math.max(start, to - held);
    for (let i = send; i < to; i++) this.lastBytes = ((this.lastBytes << 8) | bytes[i]!) & 0xffff;
    this.remaining -= take;
    for (const lane of this.bulk) {
      if (lane === null) continue;
      if (send > start) lane.out.push(bytes, start, send);
      lane.moved();
      if (lane.out.total > LANE_BYTES_HIGH) this.client.awaitRoom(lane);
    }
    if (this.remaining === 0) this.bodyComplete();
    return take;
  }

  /** The client left. */
  broken(): void {
    if (this.complete) return;
    this.complete = true;
    this.abandon();
    this.unblock();
    if (!this.done) this.finish();
  }

  /** Called every tick. */
  tick(nowMs: number, timeoutMs: number): void {
    for (const lane of this.bulk) if (lane !== null && lane.ready && lane.stuckFor(timeoutMs)) lane.fail("request_timeout");
    if (this.committed && nowMs - this.movedMs > timeoutMs) {
      for (const lane of this.bulk) lane?.fail("request_timeout");
    }
    if (!this.complete && !this.waiting && nowMs - this.movedMs > CLIENT_STALL_MS) {
      this.client.cut("a value stopped coming");
      this.broken();
    }
  }

  override onReply(role: number, ...rest: [status: never, bytes: Uint8Array, start: number, end: number]): void {
    const lane = this.bulk[role as Side]!;
    // Refused at the header: the rest of the value is not wanted on that connection.
    if (this.committed) this.giveLane(role as Side);
    else {
      this.bulk[role as Side] = null;
      lane.fail("abandoned");
    }
    super.onReply(role, ...rest);
  }

  override onFailure(role: number, reason: FailureReason, sent: boolean): void {
    this.bulk[role as Side] = null;
    super.onFailure(role, reason, sent && this.committed);
    if (!this.complete && !this.waiting) this.unblock();
  }

  override lockGranted(): void {
    this.locked = true;
    if (this.pending > 0) return this.fence();
    this.unlock(); // every side failed while we waited
  }

  protected override settle(): void {
    this.pool.uploads.delete(this);
    super.settle();
    this.unlock();
    this.unblock();
  }

  private bodyComplete(): void {
    this.complete = true;
    if (this.pending === 0) return; // refused or failed on every side already
    if (this.lastBytes !== ((CR << 8) | LF)) {
      this.abandon();
      this.pool.counters.error_bad_chunk++;
      return this.answer(BAD_CHUNK);
    }
    // Later requests of this client come after it.
    this.blocking = true;
    this.client.block();
    if (this.pair.backup === null) return this.fence();
    if (this.pair.lock(this.key, this)) this.lockGranted();
  }

  /** Waits until everything before us on the key's own lanes is answered: both sides then see one order. */
  private fence(): void {
    let open = 1;
    const passed = (): void => {
      if (--open === 0) this.commit();
    };
    for (const side of [PRIMARY, BACKUP] as const) {
      const lane = this.pair.server(side)?.lanes[this.laneIndex];
      if (lane === undefined || !lane.ready) continue;
      open++;
      lane.out.push(MN, 0, MN.length);
      lane.expect(Expect.NOOP, new Passed(passed), 0);
    }
    passed();
  }

  private commit(): void {
    this.committed = true;
    this.movedMs = this.pool.nowMs;
    for (const lane of this.bulk) {
      if (lane === null) continue;
      putBytes(lane.out, CRLF);
      lane.moved();
    }
  }

  /** Ends the transfer with nothing stored anywhere. */
  private abandon(): void {
    this.pool.uploads.delete(this);
    for (const side of [PRIMARY, BACKUP] as const) {
      const lane = this.bulk[side];
      this.bulk[side] = null;
      this.abandoned = true;
      lane?.fail("abandoned");
    }
  }
  private abandoned = false;

  protected override decided(...args: Parameters<Write["decided"]>): void {
    if (!this.abandoned) super.decided(...args);
  }

  private giveLane(side: Side): void {
    this.server(side).giveBack(this.bulk[side]!);
    this.bulk[side] = null;
  }

  private unblock(): void {
    if (!this.blocking) return;
    this.blocking = false;
    this.client.resume();
  }
}

/** A fence was passed, or its lane failed and with it everything before it. */
class Passed extends SilentCaller {
  constructor(private readonly passed: () => void) {
    super();
  }
  override onReply(): void {
    this.passed();
  }
  override onFailure(): void {
    this.passed();
  }
}
