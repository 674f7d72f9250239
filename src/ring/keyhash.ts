// The two key hashes besides MD5, bug for bug. Both read a key's bytes as C's signed char, as the originals do on x86.

/**
 * twemproxy's fnv1a_64 of bytes[start, end), in [0, 2^32): its 64-bit constants cut to 32 bits, so neighbouring keys
 * land close together; a ring that takes over from twemproxy must do the same.
 */
export function fnv1a64(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x84222325 | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ ((bytes[i]! << 24) >> 24), 0x1b3);
  return hash >>> 0;
}

/** magent's hash of bytes[start, end) without -k: djb2 with the highest bit stripped, in [0, 2^31). */
export function djb2(bytes: Uint8Array, start: number, end: number): number {
  let hash = 5381;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 33) + ((bytes[i]! << 24) >> 24)) | 0;
  return hash & 0x7fffffff;
}
