// Numbers as memcached's safe_strtol family reads them: C's strtol on a word, whole range checked, so that tandem
// accepts and refuses exactly what the servers would. Only unusual spellings come here; plain digits are read in place.
import { textOf } from "../bytes/ascii.ts";

const INT64_MAX = 9223372036854775807n;
const UINT64_MAX = 18446744073709551615n;

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}

/** The integer that C's strtoll/strtoull finds at the start of a word, or null when memcached would refuse it. */
function scan(bytes: Uint8Array, start: number, end: number): { value: bigint; negative: boolean } | null {
  let at = start;
  while (at < end && isSpace(bytes[at]!)) at++;
  const sign = bytes[at];
  if (at < end && (sign === 43 || sign === 45)) at++;
  const digits = at;
  while (at < end && bytes[at]! >= 48 && bytes[at]! <= 57) at++;
  if (at === digits) return null;
  if (at < end && !isSpace(bytes[at]!)) return null;
  return { value: BigInt(textOf(bytes, digits, at)), negative: sign === 45 };
}

/** A signed 64-bit number (exptime), or null. */
export function parseInt64(bytes: Uint8Array, start: number, end: number): bigint | null {
  const found = scan(bytes, start, end);
  if (found === null || found.value > INT64_MAX + (found.negative ? 1n : 0n)) return null;
  return found.negative ? -found.value : found.value;
}

/** An unsigned 64-bit number (delta, cas unique), or null. A minus sign is refused unless the number is zero. */
export function parseUint64(bytes: Uint8Array, start: number, end: number): bigint | null {
  const found = scan(bytes, start, end);
  if (found === null || found.value > UINT64_MAX) return null;
  if (!found.negative) return found.value;
  // strtoull wraps a negative number; memcached refuses it only while the wrapped value looks negative.
  const wrapped = (UINT64_MAX + 1n - found.value) & UINT64_MAX;
  return wrapped > INT64_MAX ? null : wrapped;
}
