// Marks: what a proxy leaves on a server that takes writes which another one misses, so that the proxy that comes after
// it knows. A mark lies beside the data that it speaks of and shares its fate. It proves itself: what was torn or
// comes from somewhere else is seen.
//
//   __tandem:m:<lacking server>:<proxy>:<lane>    tandem 1 <stamp> <kind> <from>-<to> (<proxy>=<stamp>),… <check>
//   __tandem:h:<lacking server>:<proxy>:<lane>.<n>  hints, from <= n < to: (<check> <stamp> <key> ⏎)…
//   __tandem:c:<proxy>:<lane>                     our end of that lane, as the server sees it
//   __tandem:w                                    a certificate: this server holds all that it should. It goes with the
//                                                 server's memory; it lists those that have one too, so that this is seen
import { fnv1a } from "../../bytes/ascii.ts";
import { CONTROL_PREFIX, controlName } from "../control.ts";

/**
 * away: the server cannot be reached, and all that it misses is in the hints, also what was under way. keys: it is being
 * written, and the hints hold all else. compare: what it misses is not known in full. cold: it lost its memory, or is
 * new, and was not filled yet. flush: it missed a flush_all.
 */
export const MARK_KINDS = ["away", "keys", "compare", "cold", "flush"] as const;
export type MarkKind = (typeof MARK_KINDS)[number];

export interface Mark {
  /** Higher than those of all marks that its proxy wrote or read before. */
  readonly stamp: number;
  readonly kind: MarkKind;
  /** Chunks of hints that go with it: from <= n < to. */
  readonly from: number;
  readonly to: number;
  /**
   * By proxy: the marks of it on the lacking server about this one, up to this stamp, count for nothing: what they
   * speak of was made up for.
   */
  readonly voids: ReadonlyMap<string, number>;
}

/** The certificate of a server that a proxy trusts: names of those with a certificate, blank separated. */
export const WHOLE = `${CONTROL_PREFIX}w`;

export function markKey(lacking: string, id: string, lane: number): string {
  return `${CONTROL_PREFIX}m:${controlName(lacking)}:${id}:${lane}`;
}

/** lane: its number, or b and the number of a connection for large values. */
export function connectionKey(id: string, lane: string): string {
  return `${CONTROL_PREFIX}c:${id}:${lane}`;
}

export function chunkKey(lacking: string, id: string, lane: number, n: number): string {
  return `${CONTROL_PREFIX}h:${controlName(lacking)}:${id}:${lane}.${n}`;
}

/** A missed write: of several hints of one key the one with the highest stamp counts. */
export interface Hint {
  readonly stamp: number;
  readonly key: string;
}

/** One hint; index is its place in the chunk. */
export function hintText(chunk: string, index: number, { stamp, key }: Hint): string {
  return `${checkOf(`${chunk} ${index} ${stamp} ${key}`)} ${stamp} ${key}\n`;
}

/** Every hint of a chunk, or null when some of it is not as it was written there. */
export function parseChunk(chunk: string, text: string): Hint[] | null {
  if (!text.endsWith("\n")) return null;
  const hints: Hint[] = [];
  for (const [index, line] of text.slice(0, -1).split("\n").entries()) {
    const blank = line.indexOf(" ", CHECK_CHARACTERS + 1);
    const hint = { stamp: Number(line.slice(CHECK_CHARACTERS + 1, blank)), key: line.slice(blank + 1) };
    if (blank === -1 || `${line}\n` !== hintText(chunk, index, hint)) return null;
    hints.push(hint);
  }
  return hints;
}

export function markText(key: string, { stamp, kind, from, to, voids }: Mark): string {
  const list = [...voids].map(([id, upTo]) => `${id}=${upTo}`).join(",");
  const text = `tandem 1 ${stamp} ${kind} ${from}-${to} ${list === "" ? "-" : list}`;
  return `${text} ${checkOf(key + text)}`;
}

/** Null when it is not whole, or not the mark of this key. */
export function parseMark(key: string, text: string): Mark | null {
  const match = /^(tandem 1 (\d{1,16}) ([a-z]+) (\d{1,9})-(\d{1,9}) (-|[0-9a-f]{8}=\d{1,16}(?:,[0-9a-f]{8}=\d{1,16})*)) ([0-9a-f]{8})$/.exec(text);
  if (match === null || match[7] !== checkOf(key + match[1]!)) return null;
  const kind = MARK_KINDS.find((each) => each === match[3]);
  if (kind === undefined) return null;
  const voids = new Map<string, number>();
  if (match[6] !== "-") for (const each of match[6]!.split(",")) voids.set(each.slice(0, 8), Number(each.slice(9)));
  return { stamp: Number(match[2]), kind, from: Number(match[4]), to: Number(match[5]), voids };
}

const CHECK_CHARACTERS = 8;
function checkOf(text: string): string {
  return fnv1a(text).toString(16).padStart(CHECK_CHARACTERS, "0");
}
