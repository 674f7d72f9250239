// Which of several servers hold which keys, as their dumps tell: each key once, with a bit for each server, in one flat
// array (keyset.ts), so that a command can look at many millions of keys.
//
//   [length][key] [a bit for each server that holds it]
import type { DumpedKeys } from "./dump.ts";
import { KeySet } from "./keyset.ts";

export class Holdings {
  private readonly keyset: KeySet;
  private readonly own: number;

  /** expected: about so many keys. */
  constructor(servers: number, expected = 0) {
    this.own = Math.ceil(servers / 8);
    this.keyset = new KeySet(0, 1, this.own, expected);
  }

  /** Keys that any of the servers holds. */
  get size(): number {
    return this.keyset.size;
  }

  /** Where the keys lie. */
  get bytes(): Uint8Array {
    return this.keyset.bytes;
  }

  /** Where the dump of the server of this index goes. */
  from(index: number): DumpedKeys {
    const { keyset } = this;
    return {
      add: (from, start, end) => {
        const at = keyset.place(from, start, end);
        if (at === -1) return false;
        const byte = at + (index >> 3), bit = 1 << (index & 7);
        const isNew = (keyset.bytes[byte]! & bit) === 0;
        keyset.bytes[byte]! |= bit;
        return isNew;
      },
    };
  }

  /** Where each key begins; its length stands before it. */
  *starts(): Generator<number> {
    const { bytes, end } = this.keyset;
    for (let at = 0; at < end; at += 1 + bytes[at]! + this.own) yield at + 1;
  }

  /** Where the key that begins at start ends. */
  endOf(start: number): number {
    return start + this.bytes[start - 1]!;
  }

  /** Whether the server of this index holds the key that begins at start. */
  holds(start: number, index: number): boolean {
    return (this.bytes[this.endOf(start) + (index >> 3)]! & (1 << (index & 7))) !== 0;
  }
}
