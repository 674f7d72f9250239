// Which keys of a returning server must be compared, by what its own dump and those of its peers tell. Where both sides
// of a pair take explicit cas uniques, a key that both list with one version, living for about as long, is the same on
// both: it is left out, so that the work is proportional to the damage.
//
// Keys stand in one flat array (keyset.ts), each with what its first side told of it:
//
//   [length][key] [state: which server told it, or COMPARE, or ALIKE] [version: its digits] [remaining seconds, 4 bytes]
import { parseUint, textOf } from "../../bytes/ascii.ts";
import type { Server } from "../../backend/server.ts";
import type { DumpedKeys } from "./dump.ts";
import { KeySet } from "./keyset.ts";
import type { Pair } from "../pair.ts";
import { isVersion, VERSION_DIGITS } from "../version.ts";

/** Keys listed at a time; what has more is compared in parts. */
const KEYS_AT_ONCE = 2_000_000;
/** Remaining times this close count as equal, seconds; each clock is known to about one. */
const SLACK_S = 2;
/** States below are indexes of servers: one side has listed the key so far. */
const COMPARE = 255, ALIKE = 254;
const REMAINING = 1 + VERSION_DIGITS, SIGHTING = REMAINING + 4;
/** Remaining time of what does not expire. */
const UNLIMITED = 0x7fffffff;

export class Listing {
  /** Keys that are to be compared as far as is known. */
  size = 0;
  private readonly keyset: KeySet;
  private readonly servers: Server[] = [];
  /** What the line being read tells. */
  private readonly now = new Uint8Array(SIGHTING);

  /** part of parts: see partsFor; of: the servers that are to be listed. */
  constructor(private readonly pairOf: (key: string) => Pair, of: readonly Server[], part = 0, parts = 1) {
    this.keyset = new KeySet(part, parts, SIGHTING, mostItems(of) / parts);
  }

  /** In how many parts the keys of servers that share them are to be listed, by what each says that it holds. */
  static partsFor(servers: readonly Server[]): number {
    return Math.max(1, Math.ceil(mostItems(servers) / KEYS_AT_ONCE));
  }

  *keys(): Iterator<string> {
    const { bytes, end } = this.keyset;
    for (let at = 0; at < end; ) {
      const stop = at + 1 + bytes[at]!;
      if (bytes[stop] !== ALIKE) yield textOf(bytes, at + 1, stop);
      at = stop + SIGHTING;
    }
  }

  /** Where the dump of a server goes. */
  from(on: Server): DumpedKeys {
    const { keyset, now } = this;
    const index = this.servers.push(on) - 1;
    return {
      add: (bytes, start, end, words, from, to) => {
        const at = keyset.place(bytes, start, end);
        if (at === -1) return false;
        const told = index < ALIKE && on.explicitCas.works && sight(on, words, from, to, now);
        now[0] = told ? index : COMPARE;
        const held = keyset.bytes;
        const before = held[at]!;
        if (keyset.fresh || before === ALIKE) {
          held.set(now, at);
          this.size++;
          return keyset.fresh;
        }
        if (before !== COMPARE && told && this.same(textOf(bytes, start, end), at, on)) {
          held[at] = ALIKE;
          this.size--;
        } else held[at] = COMPARE;
        return false;
      },
    };
  }

  /** Whether what stands at `at` and what was told now are the two sides of one pair, alike. */
  private same(key: string, at: number, on: Server): boolean {
    const { now } = this;
    const { bytes } = this.keyset;
    for (let i = 1; i < REMAINING; i++) if (bytes[at + i] !== now[i]) return false;
    const [a, b] = [int32(bytes, at + REMAINING), int32(now, REMAINING)];
    if (a !== b && (a === UNLIMITED || b === UNLIMITED || Math.abs(a - b) > SLACK_S)) return false;
    const other = this.servers[bytes[at]!]!;
    const { primary, backup } = this.pairOf(key);
    return (other === primary && on === backup) || (other === backup && on === primary);
  }
}

function mostItems(servers: readonly Server[]): number {
  return Math.max(...servers.map(({ stats }) => Number(stats.get("curr_items") ?? 0)));
}

/** Notes what the words ` exp=… la=… cas=… …` in bytes[start, end) tell; false when its unique is no version. */
function sight(on: Server, bytes: Uint8Array, start: number, end: number, into: Uint8Array): boolean {
  let versioned = false, timed = false;
  for (let at = start; at < end; ) {
    let stop = ++at;
    while (stop < end && bytes[stop] !== 32) stop++;
    if (begins(bytes, at, stop, CAS)) {
      if (!isVersion(bytes, at + CAS.length, stop)) return false;
      for (let i = 0; i < VERSION_DIGITS; i++) into[1 + i] = bytes[at + CAS.length + i]!;
      versioned = true;
    } else if (begins(bytes, at, stop, EXP)) {
      const due = parseUint(bytes, at + EXP.length, stop);
      timed = due !== -1 || textOf(bytes, at + EXP.length, stop) === "-1";
      putInt32(into, REMAINING, due === -1 ? UNLIMITED : Math.min(due - on.unixSeconds, UNLIMITED - 1));
    }
    at = stop;
  }
  return versioned && timed;
}
const CAS = [99, 97, 115, 61], EXP = [101, 120, 112, 61];

function int32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function putInt32(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >> (8 * i);
}

function begins(bytes: Uint8Array, start: number, end: number, word: readonly number[]): boolean {
  if (end - start < word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}
