// What a key is hashed with before it is looked up: bytes[start, end) → an integer of so many bits. All but md5 bug for bug as
// magent and twemproxy have them, which are built for x86: where they read a key's bytes as C's signed char, so do we.
import { Md5 } from "./md5.ts";

/** How many bits a hash has: one that is narrower than the circle gives all keys to the first servers on it. */
export const HASH_BITS = {
  md5: 32, one_at_a_time: 32, crc16: 32, crc32: 15, crc32a: 32, fnv1_64: 32, fnv1a_64: 32, fnv1_32: 32, fnv1a_32: 32, hsieh: 32,
  murmur: 32, jenkins: 32, djb2: 31,
} as const;
export type KeyHash = keyof typeof HASH_BITS;

/** Not negative. Allocates nothing. */
export type Hasher = (bytes: Uint8Array, start: number, end: number) => number;

const HASHERS: Readonly<Record<Exclude<KeyHash, "md5">, Hasher>> = {
  one_at_a_time: oneAtATime, crc16, crc32: libmemcachedCrc32, crc32a: crc32, fnv1_64: fnv1of64, fnv1a_64: fnv1aOf64, fnv1_32: fnv1of32,
  fnv1a_32: fnv1aOf32, hsieh, murmur, jenkins, djb2,
};

export function keyHasher(hash: KeyHash): Hasher {
  if (hash !== "md5") return HASHERS[hash];
  const md5 = new Md5();
  return (bytes, start, end) => md5.first(bytes, start, end);
}

/** magent's hash without -k: djb2 with the highest bit stripped. */
function djb2(bytes: Uint8Array, start: number, end: number): number {
  let hash = 5381;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 33) + signed(bytes[i]!)) | 0;
  return hash & 0x7fffffff;
}

function signed(byte: number): number {
  return (byte << 24) >> 24;
}

// FNV as twemproxy has it. Of its two hashes of 64 bits the lower 32 are taken, in which the upper ones of start and prime take
// no part: neighbouring keys land close together.

function fnv1of64(bytes: Uint8Array, start: number, end: number): number {
  return fnv1(0x84222325 | 0, 0x1b3, bytes, start, end);
}

function fnv1of32(bytes: Uint8Array, start: number, end: number): number {
  return fnv1(0x811c9dc5 | 0, 0x01000193, bytes, start, end);
}

function fnv1aOf64(bytes: Uint8Array, start: number, end: number): number {
  return fnv1a(0x84222325 | 0, 0x1b3, bytes, start, end);
}

function fnv1aOf32(bytes: Uint8Array, start: number, end: number): number {
  return fnv1a(0x811c9dc5 | 0, 0x01000193, bytes, start, end);
}

function fnv1(hash: number, prime: number, bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) hash = Math.imul(hash, prime) ^ signed(bytes[i]!);
  return hash >>> 0;
}

function fnv1a(hash: number, prime: number, bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ signed(bytes[i]!), prime);
  return hash >>> 0;
}

/** Bob Jenkins' first one. */
function oneAtATime(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let i = start; i < end; i++) {
    hash = (hash + signed(bytes[i]!)) | 0;
    hash = (hash + (hash << 10)) | 0;
    hash ^= hash >>> 6;
  }
  hash = (hash + (hash << 3)) | 0;
  hash ^= hash >>> 11;
  return (hash + (hash << 15)) >>> 0;
}

/** Of each byte its remainder after eight steps. */
function remainders(step: (rest: number) => number, shift: number): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte << shift;
    for (let bit = 0; bit < 8; bit++) rest = step(rest);
    return rest;
  });
}

const CRC16 = remainders((rest) => ((rest << 1) ^ (rest & 0x8000 ? 0x1021 : 0)) & 0xffff, 8);
const CRC32 = remainders((rest) => (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0), 0);

/** Never cut to 16 bits: what is shifted out of them stays above. */
function crc16(bytes: Uint8Array, start: number, end: number): number {
  let rest = 0;
  for (let i = start; i < end; i++) rest = (rest << 8) ^ CRC16[((rest >>> 8) ^ bytes[i]!) & 0xff]!;
  return rest >>> 0;
}

function crc32(bytes: Uint8Array, start: number, end: number): number {
  let rest = -1;
  for (let i = start; i < end; i++) rest = (rest >>> 8) ^ CRC32[(rest ^ bytes[i]!) & 0xff]!;
  return ~rest >>> 0;
}

/** libmemcached's crc, of which it takes 15 bits. */
function libmemcachedCrc32(bytes: Uint8Array, start: number, end: number): number {
  return (crc32(bytes, start, end) >>> 16) & 0x7fff;
}

/** Paul Hsieh's SuperFastHash; signed is only the last byte of three. */
function hsieh(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  let at = start;
  for (; end - at >= 4; at += 4) {
    hash = (hash + pair(bytes, at)) | 0;
    hash = (hash << 16) ^ (pair(bytes, at + 2) << 11) ^ hash;
    hash = (hash + (hash >>> 11)) | 0;
  }
  switch (end - at) {
    case 3:
      hash = (hash + pair(bytes, at)) | 0;
      hash ^= hash << 16;
      hash ^= signed(bytes[at + 2]!) << 18;
      hash = (hash + (hash >>> 11)) | 0;
      break;
    case 2:
      hash = (hash + pair(bytes, at)) | 0;
      hash ^= hash << 11;
      hash = (hash + (hash >>> 17)) | 0;
      break;
    case 1:
      hash = (hash + bytes[at]!) | 0;
      hash ^= hash << 10;
      hash = (hash + (hash >>> 1)) | 0;
  }
  hash ^= hash << 3;
  hash = (hash + (hash >>> 5)) | 0;
  hash ^= hash << 4;
  hash = (hash + (hash >>> 17)) | 0;
  hash ^= hash << 25;
  return (hash + (hash >>> 6)) >>> 0;
}

function pair(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

/** Four bytes, little endian; beyond the end they are 0. */
function word(bytes: Uint8Array, at: number, end: number): number {
  if (end - at >= 4) return pair(bytes, at) | (pair(bytes, at + 2) << 16);
  let value = 0;
  for (let i = 0; at + i < end; i++) value |= bytes[at + i]! << (8 * i);
  return value;
}

/** MurmurHash2, its seed made of the length. */
function murmur(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  let hash = Math.imul(0xdeadbeef, length) ^ length;
  let at = start;
  for (; end - at >= 4; at += 4) {
    const mixed = Math.imul(word(bytes, at, end), 0x5bd1e995);
    hash = Math.imul(hash, 0x5bd1e995) ^ Math.imul(mixed ^ (mixed >>> 24), 0x5bd1e995);
  }
  if (at < end) hash = Math.imul(hash ^ word(bytes, at, end), 0x5bd1e995);
  hash = Math.imul(hash ^ (hash >>> 13), 0x5bd1e995);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Bob Jenkins' lookup3, begun with 13. */
function jenkins(bytes: Uint8Array, start: number, end: number): number {
  let a = (0xdeadbeef + (end - start) + 13) | 0;
  let b = a, c = a;
  let at = start;
  for (; end - at > 12; at += 12) {
    a = (a + word(bytes, at, end)) | 0;
    b = (b + word(bytes, at + 4, end)) | 0;
    c = (c + word(bytes, at + 8, end)) | 0;
    a = ((a - c) | 0) ^ turned(c, 4); c = (c + b) | 0;
    b = ((b - a) | 0) ^ turned(a, 6); a = (a + c) | 0;
    c = ((c - b) | 0) ^ turned(b, 8); b = (b + a) | 0;
    a = ((a - c) | 0) ^ turned(c, 16); c = (c + b) | 0;
    b = ((b - a) | 0) ^ turned(a, 19); a = (a + c) | 0;
    c = ((c - b) | 0) ^ turned(b, 4); b = (b + a) | 0;
  }
  a = (a + word(bytes, at, end)) | 0;
  b = (b + word(bytes, at + 4, end)) | 0;
  c = (c + word(bytes, at + 8, end)) | 0;
  c = ((c ^ b) - turned(b, 14)) | 0;
  a = ((a ^ c) - turned(c, 11)) | 0;
  b = ((b ^ a) - turned(a, 25)) | 0;
  c = ((c ^ b) - turned(b, 16)) | 0;
  a = ((a ^ c) - turned(c, 4)) | 0;
  b = ((b ^ a) - turned(a, 14)) | 0;
  return ((c ^ b) - turned(b, 24)) >>> 0;
}

function turned(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
