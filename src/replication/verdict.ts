// What the marks of earlier proxies mean for the servers: who lost its memory, who lacks writes. Doubt means comparing.
import type { Mark } from "./mark.ts";

/** A mark as it was found on a server; mark null: it is torn. */
export interface FoundMark {
  readonly id: string;
  /** The lacking server. */
  readonly about: string;
  readonly mark: Mark | null;
}

/** What one server told. */
export interface Found {
  readonly name: string;
  /** It has a certificate. */
  readonly whole: boolean;
  /** Servers that had one when its own was written. */
  readonly vouches: readonly string[];
  readonly marks: readonly FoundMark[];
}

export interface Lack {
  /** The server that holds what is missed. */
  readonly keeper: string;
  readonly why: string;
  readonly flush: boolean;
}

export interface Verdict {
  /** Servers that lost their memory since. */
  readonly lost: Set<string>;
  /** By server that lacks writes. */
  readonly lacks: Map<string, Lack>;
}

/** voided: what is known by ourselves: up to which stamp marks of id on keeper about another one are void. */
export function judge(found: readonly Found[], voided: (keeper: string, about: string, id: string) => number): Verdict {
  const lost = new Set<string>(), lacks = new Map<string, Lack>();
  const vouched = new Set(found.flatMap(({ vouches }) => vouches));
  // A mark on it would be gone too.
  for (const { name, whole, marks } of found) if (!whole && marks.length === 0 && vouched.has(name)) lost.add(name);
  const byName = new Map(found.map((each) => [each.name, each]));
  /** The latest stamp of what keeper holds and about lacks; -1: nothing. */
  const latest = (keeper: string, about: string): number => {
    let stamp = -1;
    for (const one of byName.get(keeper)?.marks ?? []) {
      if (one.about !== about) continue;
      const at = one.mark?.stamp ?? Infinity;
      const back = (byName.get(about)?.marks ?? []).filter((other) => other.about === keeper);
      const upTo = Math.max(voided(keeper, about, one.id), ...back.map(({ mark }) => mark?.voids.get(one.id) ?? -1));
      if (at > upTo) stamp = Math.max(stamp, at);
    }
    return stamp;
  };
  for (const { name, marks } of found) {
    for (const { about, mark } of marks) {
      const here = latest(name, about);
      if (here === -1 || lost.has(about)) continue;
      const there = latest(about, name);
      // Each lacks what the other has, and nobody knows which keys: who was marked last is behind.
      if (there > here || (there === here && lacks.has(name))) continue;
      const both = there === -1 ? "" : "; so does its peer, as an older mark says";
      const why = mark === null ? `a mark on ${name} is torn` : `it missed writes, says ${name}${both}`;
      const flush = mark?.kind === "flush" || lacks.get(about)?.flush === true;
      lacks.set(about, { keeper: name, why, flush });
    }
  }
  return { lost, lacks };
}
