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
  // In one piece: this is what every set costs.
  let digits = 1;
  for (let rest = dataBytes; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  const flags = isZero(bytes, flagsStart, flagsEnd) ? 0 : flagsEnd - flagsStart;
  const exptime = isZero(bytes, exptimeStart, exptimeEnd) ? 0 : exptimeEnd - exptimeStart;
  const length = 3 + keyEnd - keyStart + 1 + digits + (flags && flags + 2) + (exptime && exptime + 2) + 2 + version.length + 2;
  let at = out.reserve(length);
  const { buffer } = out;
  buffer[at] = 109; // ms
  buffer[at + 1] = 115;
  buffer[at + 2] = 32;
  at += 3;
  for (let i = keyStart; i < keyEnd; i++) buffer[at++] = bytes[i]!;
  buffer[at] = 32;
  at = writeNumber(buffer, at + 1, dataBytes, digits);
  if (flags !== 0) at = writeFlag(buffer, at, FLAG_F, bytes, flagsStart, flagsEnd);
  if (exptime !== 0) at = writeFlag(buffer, at, FLAG_T, bytes, exptimeStart, exptimeEnd);
  at = writeFlag(buffer, at, FLAG_E, version, 0, version.length);
  buffer[at] = 13;
  buffer[at + 1] = 10;
}

/** Begins `ms key length`; flags and the line end follow, then the data. */
export function putMetaSet(out: Outbound, bytes: Uint8Array, keyStart: number, keyEnd: number, dataBytes: number): void {
  putBytes(out, MS);
  out.push(bytes, keyStart, keyEnd);
  putText(out, ` ${dataBytes}`);
}

/** A meta flag with its token bytes[start, end), a blank before it. */
export function putFlag(out: Outbound, letter: number, bytes: Uint8Array, start: number, end: number): void {
  const at = out.reserve(end - start + 2);
  writeFlag(out.buffer, at, letter, bytes, start, end);
}

/** The same, left out when the token is "0": flags and exptime are 0 without a word. */
export function putFlagUnlessZero(out: Outbound, letter: number, bytes: Uint8Array, start: number, end: number): void {
  if (!isZero(bytes, start, end)) putFlag(out, letter, bytes, start, end);
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === 1 && bytes[start] === ZERO;
}

/** Writes ` ` letter token and returns where it ends. */
function writeFlag(buffer: Uint8Array, at: number, letter: number, bytes: Uint8Array, start: number, end: number): number {
  buffer[at] = 32;
  buffer[at + 1] = letter;
  at += 2;
  for (let i = start; i < end; i++) buffer[at++] = bytes[i]!;
  return at;
}

/** Writes a number of so many digits and returns where it ends. */
function writeNumber(buffer: Uint8Array, at: number, number: number, digits: number): number {
  for (let i = at + digits - 1, rest = number; i >= at; i--) {
    const next = Math.floor(rest / 10);
    buffer[i] = ZERO + rest - next * 10;
    rest = next;
  }
  return at + digits;
}
