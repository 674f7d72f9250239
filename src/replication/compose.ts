// Writes the requests that tandem sends to its servers. Always with a reply wanted: noreply is between the client and
// us.
import { latin1 } from "../bytes/ascii.ts";
import type { Outbound } from "../bytes/outbound.ts";
import { type OpCode } from "../protocol/commands.ts";
import { VERB } from "../protocol/commands.ts";

export const CRLF = latin1("\r\n");
const SPACE = latin1(" ");
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
