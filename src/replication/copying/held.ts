// What one server holds of one key, as read by `mg key v f t c`: gathered from its pieces, and compared with what
// another one holds.
import { equal, latin1, textOf } from "../../bytes/ascii.ts";
import { metaFlag, type ValueView } from "../../protocol/reply.ts";
import { isVersion } from "../version.ts";

/** Remaining times this close count as equal, seconds. */
const TTL_SLACK_S = 2;
const LETTER_C = 99, LETTER_F = 102, LETTER_T = 116;

export interface Held {
  readonly cas: string;
  readonly flags: string;
  /** Remaining time, seconds; -1: unlimited. */
  readonly ttl: number;
  readonly data: Uint8Array;
  /** Data bytes there so far (a large item comes in pieces); its CR LF included at the end. */
  filled: number;
}

/** What an answer's value tells, as far as it has come: value.partial says whether chunks follow. */
export function heldFrom(value: ValueView): Held {
  const { bytes } = value;
  const flag = (letter: number): string => flagText(bytes, value.flagsStart, value.flagsEnd, letter);
  const have = Math.min(value.end, value.dataStart + value.dataBytes + 2) - value.dataStart;
  let data: Uint8Array;
  if (value.partial) {
    data = new Uint8Array(value.dataBytes + 2);
    data.set(bytes.subarray(value.dataStart, value.dataStart + have));
  } else data = bytes.subarray(value.dataStart, value.dataStart + have);
  return { cas: flag(LETTER_C), flags: flag(LETTER_F), ttl: Number(flag(LETTER_T)), data, filled: have };
}

/** What the line `HD c… t…` in bytes[start, end) tells: all but flags and value. */
export function heldWithoutValue(bytes: Uint8Array, start: number, end: number): Held {
  const flag = (letter: number): string => flagText(bytes, start + 2, end - 2, letter);
  return { cas: flag(LETTER_C), flags: "", ttl: Number(flag(LETTER_T)), data: NOTHING, filled: 0 };
}
const NOTHING = new Uint8Array(0);

function flagText(bytes: Uint8Array, start: number, end: number, letter: number): string {
  const at = new Int32Array(2);
  return metaFlag(bytes, start, end, letter, at) ? textOf(bytes, at[0]!, at[1]!) : "";
}

/** The next bytes of a value that came partial. */
export function addChunk(held: Held, bytes: Uint8Array, start: number, end: number): void {
  held.data.set(bytes.subarray(start, end), held.filled);
  held.filled += end - start;
}

/** In what two items of one key differ first, or null when they are the same. cas uniques are each server's own. */
export function differenceOf(a: Held, b: Held): "value" | "flags" | "times" | null {
  if (a.data.length !== b.data.length || !equal(a.data, 0, b.data, 0, a.data.length)) return "value";
  if (a.flags !== b.flags) return "flags";
  return sameTime(a.ttl, b.ttl) ? null : "times";
}

/**
 * True when both sides hold one version, which was drawn for one value, and for about the same time. Native uniques say
 * nothing: two servers count by themselves.
 */
export function sameVersion(a: Held, b: Held): boolean {
  return a.cas === b.cas && hasVersion(a) && sameTime(a.ttl, b.ttl);
}

/** Whether its unique was drawn by a proxy. */
export function hasVersion({ cas }: Held): boolean {
  const unique = latin1(cas);
  return isVersion(unique, 0, unique.length);
}

/** Whether two remaining times (seconds, -1: unlimited) count as equal. */
export function sameTime(a: number, b: number): boolean {
  return a === -1 || b === -1 ? a === b : Math.abs(a - b) <= TTL_SLACK_S;
}
