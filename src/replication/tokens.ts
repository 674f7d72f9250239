// cas uniques as clients see them while there are two sides: the server's own number below, a tag of the server and
// its incarnation above, so that a unique read from one side (or from an earlier life of it) can never match the other.
//
//   unique = tag (15 bits) << 47 | native (47 bits)
import { NATIVE_BITS } from "../backend/cas_tags.ts";
import { latin1, textOf } from "../bytes/ascii.ts";
import { parseUint64 } from "../protocol/numbers.ts";
import type { ValueView } from "../protocol/reply.ts";

const NATIVE_MAX = (1n << NATIVE_BITS) - 1n;

/** The item with its unique tagged, as a fresh array; a partial item as far as it has come. */
export function tagItem(value: ValueView, tag: bigint): Uint8Array {
  const { bytes } = value;
  const native = BigInt(textOf(bytes, value.casStart, value.casEnd));
  // A native unique of more than 47 bits was set by someone else's explicit cas: its token never matches.
  const unique = native > NATIVE_MAX ? tag : tag | native;
  const cas = latin1(unique.toString());
  const headLength = value.casStart - value.start;
  const rest = value.end - value.dataStart;
  const item = new Uint8Array(headLength + cas.length + 2 + rest);
  item.set(bytes.subarray(value.start, value.casStart));
  item.set(cas, headLength);
  item[headLength + cas.length] = 13;
  item[headLength + cas.length + 1] = 10;
  item.set(bytes.subarray(value.dataStart, value.end), headLength + cas.length + 2);
  return item;
}

/** The native unique when the client's carries this tag, else null: it cannot match. */
export function nativeUnique(bytes: Uint8Array, start: number, end: number, tag: bigint): string | null {
  const unique = parseUint64(bytes, start, end);
  if (unique === null || unique >> NATIVE_BITS << NATIVE_BITS !== tag) return null;
  const native = unique & NATIVE_MAX;
  return native === 0n ? null : native.toString();
}
