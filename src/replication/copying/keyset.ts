// A large set of keys, each once, in a few flat arrays: a million keys of 20 bytes cost 40 MB and no work for the
// garbage collector. Keys are only added; `part` of `parts` keeps those of one share by hash, so that more keys than
// may be held at a time are listed in several goes. A key may have some bytes of its owner's behind it.
//
//   bytes: [length][key][own][length][key][own]…      table: hash ─▶ where a key stands in bytes, plus 1; 0: nowhere

const LENGTH_MAX = 255;
/** Room is taken at once for so many keys as are expected and some more, and so long ones, bytes: not touched it costs nothing. */
const MORE = 1.1, EXPECTED_LENGTH = 40;
const BYTES_LEAST = 4096, SLOTS_LEAST = 1024;

export class KeySet {
  /** Keys held. */
  size = 0;
  bytes: Uint8Array;
  /** Where the next key goes: the end of what is held. */
  end = 0;
  /** Whether the key that place() found last was not held before. */
  fresh = false;
  private table: Uint32Array;

  /**
   * own: how many bytes, 0 at first, stand behind each key for its owner. expected: how many keys will be added; each time
   * that there are twice as many, all that are held find new places, and a million of them take a tenth of a second.
   */
  constructor(private readonly part = 0, private readonly parts = 1, private readonly own = 0, expected = 0) {
    const keys = Math.ceil(expected * MORE);
    this.bytes = new Uint8Array(Math.max(BYTES_LEAST, keys * (1 + EXPECTED_LENGTH + own)));
    let slots = SLOTS_LEAST;
    while (slots < keys * 2) slots *= 2;
    this.table = new Uint32Array(slots);
  }

  /** Bytes of memory that it takes. */
  get footprint(): number {
    return this.bytes.length + this.table.byteLength;
  }

  /** Adds the key from[start, stop), at most 255 bytes; false when it is held already or is of another part. */
  add(from: Uint8Array, start: number, stop: number): boolean {
    return this.place(from, start, stop) !== -1 && this.fresh;
  }

  /** As add; tells where in `bytes`, until the next key is added, the key's own bytes stand, or -1 when it is not taken. */
  place(from: Uint8Array, start: number, stop: number): number {
    const hash = hashOf(from, start, stop);
    if (this.parts > 1 && (hash >>> 8) % this.parts !== this.part) return -1;
    const length = stop - start;
    if (length > LENGTH_MAX) return -1;
    this.fresh = false;
    const mask = this.table.length - 1;
    let slot = hash & mask;
    for (let at = this.table[slot]!; at !== 0; at = this.table[slot]!) {
      if (this.holds(at - 1, from, start, length)) return at + length;
      slot = (slot + 1) & mask;
    }
    const needed = 1 + length + this.own;
    if (this.end + needed > this.bytes.length) {
      const wide = new Uint8Array(this.bytes.length * 2);
      wide.set(this.bytes);
      this.bytes = wide;
    }
    this.table[slot] = this.end + 1;
    this.bytes[this.end] = length;
    const to = this.end + 1;
    for (let i = 0; i < length; i++) this.bytes[to + i] = from[start + i]!;
    this.end += needed;
    this.fresh = true;
    if (++this.size * 2 > this.table.length) this.widen();
    return to + length;
  }

  private holds(at: number, from: Uint8Array, start: number, length: number): boolean {
    const { bytes } = this;
    if (bytes[at] !== length) return false;
    for (let i = 0; i < length; i++) if (bytes[at + 1 + i] !== from[start + i]) return false;
    return true;
  }

  private widen(): void {
    const wide = new Uint32Array(this.table.length * 2);
    const mask = wide.length - 1;
    for (let at = 0; at < this.end; at += this.bytes[at]! + 1 + this.own) {
      let slot = hashOf(this.bytes, at + 1, at + 1 + this.bytes[at]!) & mask;
      while (wide[slot] !== 0) slot = (slot + 1) & mask;
      wide[slot] = at + 1;
    }
    this.table = wide;
  }
}

/** FNV-1a with its bits mixed once more: keys often differ in their last digits only. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}
