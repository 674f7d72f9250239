// Which keys of a returning server must be compared, by what its own dump and those of its peers tell. Where both sides
// of a pair take explicit cas uniques, a key that both list with one version, living for about as long, is the same on
// both: it is left out, so that the work is proportional to the damage.
import { parseUint, textOf } from "../bytes/ascii.ts";
import type { Server } from "../backend/server.ts";
import type { DumpedKeys } from "./dump.ts";
import type { Pair } from "./pair.ts";
import { isVersion } from "./version.ts";

/** Remaining times this close count as equal, seconds; each clock is known to about one. */
const SLACK_S = 2;

/** A key that one side has listed. */
interface Sighting {
  readonly on: Server;
  readonly version: string;
  /** Remaining time, seconds; Infinity: unlimited. */
  readonly remaining: number;
}

export class Listing {
  /** Keys with the one side that has listed them so far; null: they must be compared, whatever follows. */
  private readonly seen = new Map<string, Sighting | null>();

  constructor(private readonly pairOf: (key: string) => Pair) {}

  get size(): number {
    return this.seen.size;
  }

  keys(): Iterator<string> {
    return this.seen.keys();
  }

  /** Where the dump of a server goes. */
  from(on: Server): DumpedKeys {
    const { seen } = this;
    return {
      add: (bytes, start, end, words, from, to) => {
        const key = textOf(bytes, start, end);
        const now = on.explicitCas.works ? sight(on, words, from, to) : null;
        const before = seen.get(key);
        if (before === undefined) seen.set(key, now);
        else if (before !== null && now !== null && this.same(key, before, now)) seen.delete(key);
        else seen.set(key, null);
        return before === undefined;
      },
    };
  }

  private same(key: string, a: Sighting, b: Sighting): boolean {
    if (a.version !== b.version) return false;
    if (a.remaining !== b.remaining && !(Math.abs(a.remaining - b.remaining) <= SLACK_S)) return false;
    const { primary, backup } = this.pairOf(key);
    return (a.on === primary && b.on === backup) || (a.on === backup && b.on === primary);
  }
}

/** What the words ` exp=… la=… cas=… …` in bytes[start, end) tell; null when its unique is no version. */
function sight(on: Server, bytes: Uint8Array, start: number, end: number): Sighting | null {
  let version: string | null = null;
  let remaining = NaN;
  for (let at = start; at < end; ) {
    let stop = ++at;
    while (stop < end && bytes[stop] !== 32) stop++;
    if (begins(bytes, at, stop, CAS)) {
      if (!isVersion(bytes, at + CAS.length, stop)) return null;
      version = textOf(bytes, at + CAS.length, stop);
    } else if (begins(bytes, at, stop, EXP)) {
      const due = parseUint(bytes, at + EXP.length, stop);
      remaining = due === -1 ? (textOf(bytes, at + EXP.length, stop) === "-1" ? Infinity : NaN) : due - on.unixSeconds;
    }
    at = stop;
  }
  return version === null || Number.isNaN(remaining) ? null : { on, version, remaining };
}
const CAS = [99, 97, 115, 61], EXP = [101, 120, 112, 61];

function begins(bytes: Uint8Array, start: number, end: number, word: readonly number[]): boolean {
  if (end - start < word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}
