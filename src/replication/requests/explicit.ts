// The commands in two steps where both sides take explicit cas uniques: meta commands that carry a version.
import { latin1 } from "../../bytes/ascii.ts";
import type { Outbound } from "../../bytes/outbound.ts";
import { Op, type OpCode } from "../../protocol/commands.ts";
import { metaFlag, type ValueView } from "../../protocol/reply.ts";
import {
  CRLF, FLAG_C, FLAG_D, FLAG_E, FLAG_F, FLAG_T, putBytes, putFlag, putFlagUnlessZero, putMetaSet, putText, putVersionedSet,
} from "../compose.ts";
import { exptimeOf } from "../copying/sync.ts";

const MA = latin1("ma "), WITH_VALUE = latin1(" v");
const LETTER_F = 102, LETTER_T = 116;
/** The mode of each op's meta command, with its blank; incr and cas need none. */
const MODE: readonly (Uint8Array | undefined)[] = (() => {
  const modes: Uint8Array[] = [];
  modes[Op.ADD] = latin1(" ME");
  modes[Op.REPLACE] = latin1(" MR");
  modes[Op.APPEND] = latin1(" MA");
  modes[Op.PREPEND] = latin1(" MP");
  modes[Op.DECR] = latin1(" MD");
  return modes;
})();

/** A request as its reader found it. */
export interface Request {
  readonly op: OpCode;
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  /** Words after the verb as [start, end) pairs. */
  readonly words: readonly number[];
  /** The data block with its CR LF; 0, 0 without one. */
  readonly dataStart: number;
  readonly dataEnd: number;
}

/** The command itself, for the lead. */
export function putDecision(out: Outbound, request: Request, version: Uint8Array): void {
  const { op, bytes, words, dataStart, dataEnd } = request;
  const counting = dataEnd === 0;
  if (counting) {
    putBytes(out, MA);
    out.push(bytes, request.keyStart, request.keyEnd);
  } else putMetaSet(out, bytes, request.keyStart, request.keyEnd, dataEnd - dataStart - 2);
  const mode = MODE[op];
  if (mode !== undefined) putBytes(out, mode);
  if (counting) putFlag(out, FLAG_D, bytes, words[2]!, words[3]!);
  else if (op !== Op.APPEND && op !== Op.PREPEND) {
    putFlagUnlessZero(out, FLAG_F, bytes, words[2]!, words[3]!);
    putFlagUnlessZero(out, FLAG_T, bytes, words[4]!, words[5]!);
  }
  if (op === Op.CAS) putFlag(out, FLAG_C, bytes, words[8]!, words[9]!);
  putFlag(out, FLAG_E, version, 0, version.length);
  if (counting) putBytes(out, WITH_VALUE);
  putBytes(out, CRLF);
  if (!counting) out.push(bytes, dataStart, dataEnd);
}

/** The request's own data as a plain store, for the other side. */
export function putRequest(out: Outbound, request: Request, version: Uint8Array): void {
  const { bytes, words, dataStart, dataEnd } = request;
  putVersionedSet(
    out, bytes, request.keyStart, request.keyEnd, dataEnd - dataStart - 2, words[2]!, words[3]!, words[4]!, words[5]!, version,
  );
  out.push(bytes, dataStart, dataEnd);
}

/** What was read back, as a store that replaces only an item with the unique `guard`, or any when that is null. */
export function putResult(
  out: Outbound, request: Request, result: ValueView, version: Uint8Array, serverUnixSeconds: number, guard: string | null,
): void {
  const { bytes } = result;
  const at = new Int32Array(2);
  putMetaSet(out, request.bytes, request.keyStart, request.keyEnd, result.dataBytes);
  if (metaFlag(bytes, result.flagsStart, result.flagsEnd, LETTER_F, at)) putFlagUnlessZero(out, FLAG_F, bytes, at[0]!, at[1]!);
  const exptime = metaFlag(bytes, result.flagsStart, result.flagsEnd, LETTER_T, at)
    ? exptimeOf(bytes, at[0]!, at[1]!, serverUnixSeconds) : 0;
  if (exptime !== 0) putText(out, ` T${exptime}`);
  if (guard !== null) {
    const unique = latin1(guard);
    putFlag(out, FLAG_C, unique, 0, unique.length);
  }
  putFlag(out, FLAG_E, version, 0, version.length);
  putBytes(out, CRLF);
  out.push(bytes, result.dataStart, result.end);
}
