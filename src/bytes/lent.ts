// Large arrays that sockets bring go back to the allocator as soon as their last byte has left, so that the next one lies
// in memory that the processor still has at hand. Left to the collector they cost values of 20 and 500 KiB a tenth of
// their CPU time, and half of the resident memory.
//
//   lend ─▶ each one that keeps a part: hold ─▶ … ─▶ release ─▶ the last one frees it       keep: the collector's, as any other
//
// A release too few costs nothing but that. A hold too few costs the bytes: who is not sure says keep.
//
// Where the platform has lent an array itself (its home), it gets it back and reads into the same memory again.

/** From here on it pays, bytes. */
export const LENT_BYTES_MIN = 16 * 1024;

/** holders: how many keep a part of it; none: it was not lent. */
interface Lent extends Uint8Array {
  holders?: number;
  /** Of platform.ts. */
  home?: { back(bytes: Uint8Array): void };
}

/** The caller holds the array, and nobody else does. */
export function lend(bytes: Uint8Array): void {
  if (bytes.length >= LENT_BYTES_MIN) (bytes as Lent).holders = 1;
}

/** One more keeps a part of the array, and will release it. */
export function hold(bytes: Uint8Array): void {
  if (bytes.length >= LENT_BYTES_MIN && (bytes as Lent).holders !== undefined) (bytes as Lent).holders!++;
}

/** One of those that hold it needs it no more. */
export function release(bytes: Uint8Array): void {
  if (bytes.length >= LENT_BYTES_MIN && (bytes as Lent).holders !== undefined && --(bytes as Lent).holders! === 0) free(bytes);
}

/** Somebody keeps it without counting. */
export function keep(bytes: Uint8Array): void {
  if (bytes.length >= LENT_BYTES_MIN) (bytes as Lent).holders = Infinity;
}

/** It stands in an array that is larger than it, and that others could use: who waits long takes a copy. */
export function borrowed(bytes: Uint8Array): boolean {
  return bytes.length >= LENT_BYTES_MIN && (bytes as Lent).home !== undefined;
}

/** Nobody holds any of it. */
export function free(bytes: Uint8Array): void {
  if (bytes.length < LENT_BYTES_MIN) return; // before the buffer: to ask a small array for it makes one
  const { home } = bytes as Lent;
  if (home !== undefined) return home.back(bytes);
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) buffer.transfer(0);
}
