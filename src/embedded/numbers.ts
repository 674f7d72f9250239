// Numbers as memcached's safe_strto* functions take them: C's strtol with its white space and signs, 64 bits wide,
// then cut to the width of the field. That is why flags of 4294967297 are 1 and a lifetime of 4294967296 is 0.

const U64 = 2n ** 64n;
const I63 = 2n ** 63n;
// White space, a sign, digits, and then the end, white space or a NUL (values, unlike tokens, can hold one).
const DECIMAL = /^[\t-\r ]*([+-]?)([0-9]+)(?:[\t-\r \0]|$)/;

/** 1 to 9 plain digits, the common case, or -1. */
function short(text: string): number {
  if (text.length === 0 || text.length > 9) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** safe_strtoull: null when it is no number. A minus wraps around, but only into the lower half, as memcached has it. */
export function parseU64(text: string): bigint | null {
  const plain = short(text);
  if (plain !== -1) return BigInt(plain);
  const match = DECIMAL.exec(text);
  if (match === null) return null;
  const magnitude = BigInt(match[2]!);
  if (magnitude >= U64) return null;
  if (match[1] !== "-") return magnitude;
  const wrapped = BigInt.asUintN(64, -magnitude);
  return wrapped >= I63 ? null : wrapped;
}

/** safe_strtoul: the low 32 bits of parseU64, or null. */
export function parseU32(text: string): number | null {
  const plain = short(text);
  if (plain !== -1) return plain;
  const wide = parseU64(text);
  return wide === null ? null : Number(BigInt.asUintN(32, wide));
}

/** safe_strtol: a signed 64-bit number cut to 32 bits, or null. */
export function parseI32(text: string): number | null {
  const plain = short(text);
  if (plain !== -1) return plain;
  const match = DECIMAL.exec(text);
  if (match === null) return null;
  const magnitude = BigInt(match[2]!);
  const value = match[1] === "-" ? -magnitude : magnitude;
  if (value >= I63 || value < -I63) return null;
  return Number(BigInt.asIntN(32, value));
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base 64 of a text of characters 0-255, with padding. */
export function encodeBase64(text: string): string {
  let out = "";
  for (let i = 0; i < text.length; i += 3) {
    const left = text.length - i;
    const bits = (text.charCodeAt(i) << 16) | (left > 1 ? text.charCodeAt(i + 1) << 8 : 0) | (left > 2 ? text.charCodeAt(i + 2) : 0);
    out += ALPHABET[bits >> 18]! + ALPHABET[(bits >> 12) & 63]!;
    out += left > 1 ? ALPHABET[(bits >> 6) & 63]! : "=";
    out += left > 2 ? ALPHABET[bits & 63]! : "=";
  }
  return out;
}

/** The decoder memcached carries: foreign characters are skipped, the rest must be whole groups of four; null if not. */
export function decodeBase64(text: string): string | null {
  const digits = [...text].filter((c) => c === "=" || ALPHABET.includes(c));
  if (digits.length === 0 || digits.length % 4 !== 0) return null;
  let out = "";
  for (let i = 0; i < digits.length; i += 4) {
    const group = digits.slice(i, i + 4);
    const padding = group.filter((c) => c === "=").length;
    if (padding > 2) return null;
    let bits = 0;
    for (const c of group) bits = (bits << 6) | (c === "=" ? 0 : ALPHABET.indexOf(c));
    const bytes = String.fromCharCode(bits >> 16, (bits >> 8) & 255, bits & 255);
    out += bytes.slice(0, 3 - padding);
    if (padding > 0) break;
  }
  return out === "" ? null : out;
}
