// ASCII on byte arrays without strings: what the readers and writers of memcached's protocols share.

export const CR = 13, LF = 10, SPACE = 32, ZERO = 48, NINE = 57, MINUS = 45;

/** Up to here a loop makes a text faster than one call; and as many bytes as one call is given. */
const LOOP_TEXT_BYTES = 20, APPLY_BYTES = 4096;

/** The bytes of a text of characters 0–255, one each. */
export function latin1(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/** bytes[start, end) as a text of characters 0–255: reversible, so any key can name a map entry. */
export function textOf(bytes: Uint8Array, start: number, end: number): string {
  let out = "";
  if (end - start <= LOOP_TEXT_BYTES) {
    for (let i = start; i < end; i++) out += String.fromCharCode(bytes[i]!);
    return out;
  }
  // Each character added makes a longer chain of pieces, which costs when it is read.
  for (let i = start; i < end; i += APPLY_BYTES) {
    out += String.fromCharCode.apply(null, bytes.subarray(i, i + APPLY_BYTES < end ? i + APPLY_BYTES : end) as unknown as number[]);
  }
  return out;
}

/** Index of the first `byte` in bytes[start, end), or -1. */
export function indexOf(bytes: Uint8Array, byte: number, start: number, end: number): number {
  // Lines are short: a plain loop wins below ~64 bytes, the built-in above.
  const near = start + 64 < end ? start + 64 : end;
  for (let i = start; i < near; i++) if (bytes[i] === byte) return i;
  if (near === end) return -1;
  const at = bytes.indexOf(byte, near);
  return at === -1 || at >= end ? -1 : at;
}

/** True when a[aStart, aStart+length) equals b[bStart, bStart+length). */
export function equal(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}

/** bytes[start, end) as an unsigned decimal of at most 15 digits, or -1 when it is not one. */
export function parseUint(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end || end - start > 15) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** FNV-1a of a text of characters 0–255, 32 bits. */
export function fnv1a(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ (text.charCodeAt(i) & 0xff), 0x01000193) >>> 0;
  return hash;
}
