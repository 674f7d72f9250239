// Names of the items that tandem keeps on the memcacheds for itself: none of them is a client's.
import { equal, fnv1a, latin1 } from "../bytes/ascii.ts";

/** Begins the key of every item of tandem's own. */
export const CONTROL_PREFIX = "__tandem:";
/** The ids of the proxies that use a server, blank separated. */
export const ROSTER = `${CONTROL_PREFIX}roster`;
/** A server's label stands in keys as it is, up to this length. */
const LABEL_BYTES_MAX = 80;

const PREFIX_BYTES = latin1(CONTROL_PREFIX);

/** Whether bytes[start, end) is the key of an item of tandem's own. */
export function isControlAt(bytes: Uint8Array, start: number, end: number): boolean {
  const length = PREFIX_BYTES.length;
  return end - start >= length && equal(bytes, start, PREFIX_BYTES, 0, length);
}

/** The key of what a proxy has posted. */
export function boardKey(id: string): string {
  return `${CONTROL_PREFIX}b:${id}`;
}

/** What stands for a server in control items. */
export function controlName(label: string): string {
  return label.length <= LABEL_BYTES_MAX && /^[\x21-\x7e]+$/.test(label) ? label : hash16(label);
}

/** 16 hex digits that tell texts apart; not meant against forgery. */
function hash16(text: string): string {
  const half = (seed: number): string => fnv1a(text, seed).toString(16).padStart(8, "0");
  return half(0x811c9dc5) + half(0x01234567);
}
