// Copies keys into a side that lost its memory, many at a time: what it does not hold needs no look at it first. Only
// the plain case is handled here; whatever else comes up is left to sync.ts, key by key.
//
//   mg on the source ─▶ ms ME on the target ‖ mg on the source once more ─▶ unchanged: copied · else: sync.ts
//
// Why nothing older can stay on the target: it is only added to (ME). What this proxy writes to the key enters both lanes
// in one order: before the add, then the add is refused or the second look sees the change; or after it, and wins.
import { latin1, textOf } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import { Expect, metaFlag, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import { CRLF, putBytes, putText } from "../compose.ts";
import { sameTime } from "./held.ts";
import { leadFor } from "../requests/keyed.ts";
import { type Filling, other, type Pair, type Side } from "../pair.ts";
import { exptimeOf } from "./sync.ts";

/** Keys under way at a time. */
export const FILL_KEYS = 256;
const LETTER_C = 99, LETTER_F = 102, LETTER_T = 116;
const Asked = { SOURCE: 0, TARGET: 1, AGAIN: 2 } as const;
const ROLES = 4;
const MG = latin1("mg "), MS = latin1("ms ");
const WHOLE = latin1(" v f t c u\r\n"), LOOK = latin1(" t c u\r\n");

/** One key under way. */
class Place {
  pair!: Pair;
  laneIndex = 0;
  bytes: Uint8Array = CRLF;
  start = 0;
  end = 0;
  /** When its copy began, ms; 0: its time is not taken. */
  begunMs = 0;
  /** Questions without an answer. */
  pending = 0;
  /** Something was not as expected. */
  odd = false;
  /** Of the entry that it has meanwhile, where the target is read already; -1: none. */
  generation = -1;
  cas = "";
  ttl = 0;
  valueBytes = 0;

  /** The key, for maps. */
  get key(): string {
    return textOf(this.bytes, this.start, this.end);
  }

  is(key: string): boolean {
    const { bytes, start, end } = this;
    if (key.length !== end - start) return false;
    for (let i = end - start - 1; i >= 0; i--) if (bytes[start + i] !== key.charCodeAt(i)) return false;
    return true;
  }
}

export interface FillOwner {
  /** The key is being copied by somebody else. */
  copies(pair: Pair, keyed: { readonly key: string }): boolean;
  /** As the copier's. */
  claim(pair: Pair, key: string): number;
  release(pair: Pair, key: string, generation: number, alike: boolean): void;
  /** A key was copied; begunMs as it was given, bytes: of its value. */
  filled(begunMs: number, bytes: number): void;
  /** A key that must be looked at on both sides. */
  odd(pair: Pair, key: string, laneIndex: number): void;
}

/** Copies keys of one pair. */
export class Fill extends SilentCaller implements Filling {
  private readonly places: Place[] = [];
  private readonly free: number[] = [];
  private readonly at = new Int32Array(2);

  constructor(private readonly to: Side, private readonly owner: FillOwner) {
    super();
    for (let i = FILL_KEYS - 1; i >= 0; i--) {
      this.places.push(new Place());
      this.free.push(i);
    }
  }

  get running(): number {
    return FILL_KEYS - this.free.length;
  }

  get room(): number {
    return this.free.length;
  }

  has(key: string): boolean {
    for (const place of this.places) if (place.pending > 0 && place.is(key)) return true;
    return false;
  }

  overtaken(key: string | null): void {
    for (const place of this.places) if (place.pending > 0 && (key === null || place.is(key))) place.odd = true;
  }

  /** Begins to copy the key bytes[start, end), which must not change; only while there is room. */
  begin(pair: Pair, laneIndex: number, bytes: Uint8Array, start: number, end: number, begunMs: number): void {
    const index = this.free.pop()!;
    const place = this.places[index]!;
    place.pair = pair;
    place.laneIndex = laneIndex;
    place.bytes = bytes;
    place.start = start;
    place.end = end;
    place.begunMs = begunMs;
    place.odd = false;
    if (this.running === 1) pair.fills.add(this);
    // A copy of another origin may have looked at the target already, and would take what is added for what it has seen.
    const copied = this.owner.copies(pair, place);
    // A target that is read while it is filled must not be believed before the second look.
    place.generation = !copied && pair.server(this.to)!.warming ? this.owner.claim(pair, place.key) : -1;
    place.pending = 1;
    if (copied) return this.fails(place, index);
    this.ask(place, index, WHOLE, Asked.SOURCE);
  }

  private ask(place: Place, index: number, flags: Uint8Array, role: number): void {
    const lane = place.pair.server(other(this.to))!.lanes[place.laneIndex]!;
    if (!lane.ready) return this.fails(place, index);
    putBytes(lane.out, MG);
    lane.out.push(place.bytes, place.start, place.end);
    putBytes(lane.out, flags);
    lane.expect(Expect.META, this, index * ROLES + role);
  }

  override onValue(role: number, value: ValueView): boolean {
    if (role % ROLES !== Asked.SOURCE) return false;
    const index = (role - Asked.SOURCE) / ROLES;
    const place = this.places[index]!;
    if (value.partial) return true; // it comes in pieces, and is left to sync.ts when its last has come
    this.copy(place, index, value);
    return true;
  }

  override onChunk(role: number, _bytes: Uint8Array, _start: number, _end: number, last: boolean): void {
    if (!last) return;
    const index = Math.floor(role / ROLES);
    this.fails(this.places[index]!, index);
  }

  private copy(place: Place, index: number, value: ValueView): void {
    const { pair } = place;
    const target = pair.server(this.to)!;
    const lane = target.lanes[place.laneIndex]!;
    if (place.odd || !lane.ready || leadFor(pair, place) === this.to) return this.fails(place, index);
    const { bytes, flagsStart, flagsEnd } = value;
    const { at } = this;
    if (!metaFlag(bytes, flagsStart, flagsEnd, LETTER_C, at)) return this.fails(place, index);
    place.cas = textOf(bytes, at[0]!, at[1]!);
    if (!metaFlag(bytes, flagsStart, flagsEnd, LETTER_T, at)) return this.fails(place, index);
    place.ttl = Number(textOf(bytes, at[0]!, at[1]!));
    const exptime = exptimeOf(bytes, at[0]!, at[1]!, target.unixSeconds);
    if (!metaFlag(bytes, flagsStart, flagsEnd, LETTER_F, at)) return this.fails(place, index);
    const { out } = lane;
    putBytes(out, MS);
    out.push(place.bytes, place.start, place.end);
    putText(out, ` ${value.dataBytes} ME T${exptime} ${pair.explicit ? `E${place.cas} ` : ""}F`);
    out.push(bytes, at[0]!, at[1]!);
    putBytes(out, CRLF);
    out.push(bytes, value.dataStart, value.end);
    place.valueBytes = value.dataBytes;
    place.pending = 2;
    lane.expect(Expect.META, this, index * ROLES + Asked.TARGET);
    this.ask(place, index, LOOK, Asked.AGAIN);
  }

  override onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    const index = Math.floor(role / ROLES);
    const place = this.places[index]!;
    if (status !== Status.HD || role % ROLES === Asked.SOURCE) place.odd = true;
    else if (role % ROLES === Asked.AGAIN && !this.unchanged(place, bytes, start + 2, end - 2)) place.odd = true;
    this.answered(place, index);
  }

  private unchanged(place: Place, bytes: Uint8Array, start: number, end: number): boolean {
    const { at } = this;
    if (!metaFlag(bytes, start, end, LETTER_C, at) || textOf(bytes, at[0]!, at[1]!) !== place.cas) return false;
    return metaFlag(bytes, start, end, LETTER_T, at) && sameTime(Number(textOf(bytes, at[0]!, at[1]!)), place.ttl);
  }

  override onFailure(role: number, _reason: FailureReason): void {
    const index = Math.floor(role / ROLES);
    this.fails(this.places[index]!, index);
  }

  private fails(place: Place, index: number): void {
    place.odd = true;
    this.answered(place, index);
  }

  private answered(place: Place, index: number): void {
    if (--place.pending > 0) return;
    this.free.push(index);
    if (this.running === 0) place.pair.fills.delete(this);
    if (place.generation !== -1) this.owner.release(place.pair, place.key, place.generation, !place.odd);
    if (place.odd) this.owner.odd(place.pair, place.key, place.laneIndex);
    else this.owner.filled(place.begunMs, place.valueBytes);
    place.bytes = CRLF;
  }
}
