// What memcached says about an item's size: its bytes with the header, and the slab class they would lie in. Nothing
// is allocated in slabs here; the numbers are for "too large", for eviction and for the dump.

/** A larger item is stored in pieces, which memcached never counts up or down. */
export const CHUNK_MAX = 512 * 1024;
const HEADER = 48;
const CAS = 8;

/** Bytes of an item: its header, key and value, the value with its CR LF. */
export function itemSize(keyLength: number, flags: number, valueLength: number): number {
  return HEADER + CAS + keyLength + 1 + (flags === 0 ? 0 : 4) + valueLength;
}

/** Chunk sizes of the classes 1, 2, 3 … with the default factor of 1.25. */
const CLASSES: readonly number[] = classes();

function classes(): number[] {
  const sizes = [];
  for (let size = HEADER + 48; size < CHUNK_MAX / 1.25 && sizes.length < 62; ) {
    if (size % 8 !== 0) size += 8 - (size % 8);
    sizes.push(size);
    size = Math.floor(size * 1.25);
  }
  return [...sizes, CHUNK_MAX];
}

/** The slab class of an item of size bytes, from 1. */
export function slabClass(size: number): number {
  for (let i = 0; i < CLASSES.length; i++) if (size <= CLASSES[i]!) return i + 1;
  return CLASSES.length;
}
