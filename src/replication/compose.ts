// Writes the requests that tandem sends to its servers. Always with a reply wanted: noreply is between the client and
// us.
import { latin1, ZERO } from "../bytes/ascii.ts";
import type { Outbound } from "../bytes/outbound.ts";
import { type OpCode } from "../protocol/commands.ts";
import { VERB } from "../protocol/commands.ts";

export const CRLF = latin1("\r\n");
/** Letters of meta flags: cas wanted, delta, cas given, client flags, TTL. */
export const FLAG_C = 67, FLAG_D = 68, FLAG_E = 69, FLAG_F = 70, FLAG_T = 84;
const SPACE = latin1(" "), MS = latin1("ms ");
/** Each verb with its space, by op. */
const VERB_BYTES: readonly Uint8Array[] = VERB.map((verb) => latin1(verb === undefined ? "" : `${verb} `));

export function putBytes(out: Outbound, bytes: Uint8Array): void {
  out.push(bytes, 0, bytes.length);
}

export function putText(out: Outbound, text: string): void {
  putBytes(out, latin1(text));
}

export function putSpace(out: Outbound): void {
  out.push(SPACE, 0, 1);
}

export function putVerb(out: Outbound, op: OpCode): void {
  putBytes(out, VERB_BYTES[op]!);
}

/** `verb key word…\r\n`, words given as [start, end) pairs into bytes. */
export function putLine(out: Outbound, op: OpCode, bytes: Uint8Array, words: readonly number[]): void {
  putVerb(out, op);
  for (let i = 0; i < words.length; i += 2) {
    if (i > 0) putSpace(out);
    out.push(bytes, words[i]!, words[i + 1]!);
  }
  putBytes(out, CRLF);
}

/** The line `ms key length` with flags, exptime and version; the data follows. The words are those of a text set. */
export function putVersionedSet(
  out: Outbound, bytes: Uint8Array, keyStart: number, keyEnd: number, dataBytes: number,
  flagsStart: number, flagsEnd: number, exptimeStart: number, exptimeEnd: number, version: Uint8Array,
): void {
  putMetaSet(out, bytes, keyStart, keyEnd, dataBytes);
  putFlagUnlessZero(out, FLAG_F, bytes, flagsStart, flagsEnd);
  putFlagUnlessZero(out, FLAG_T, bytes, exptimeStart, exptimeEnd);
  putFlag(out, FLAG_E, version, 0, version.length);
  putBytes(out, CRLF);
}

/** Begins `ms key length`; flags and the line end follow, then the data. */
export function putMetaSet(out: Outbound, bytes: Uint8Array, keyStart: number, keyEnd: number, dataBytes: number): void {
  putBytes(out, MS);
  out.push(bytes, keyStart, keyEnd);
  putSpace(out);
  putNumber(out, dataBytes);
}

/** A meta flag with its token bytes[start, end), a blank before it. */
export function putFlag(out: Outbound, letter: number, bytes: Uint8Array, start: number, end: number): void {
  const length = end - start;
  let at = out.reserve(length + 2);
  const { buffer } = out;
  buffer[at++] = 32;
  buffer[at++] = letter;
  for (let i = 0; i < length; i++) buffer[at + i] = bytes[start + i]!;
}

/** The same, left out when the token is "0": flags and exptime are 0 without a word. */
export function putFlagUnlessZero(out: Outbound, letter: number, bytes: Uint8Array, start: number, end: number): void {
  if (end - start !== 1 || bytes[start] !== ZERO) putFlag(out, letter, bytes, start, end);
}

function putNumber(out: Outbound, number: number): void {
  let length = 1;
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) length++;
  const at = out.reserve(length);
  const { buffer } = out;
  for (let i = length - 1, rest = number; i >= 0; i--) {
    const next = Math.floor(rest / 10);
    buffer[at + i] = ZERO + rest - next * 10;
    rest = next;
  }
}
