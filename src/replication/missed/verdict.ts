// What the marks of earlier proxies mean for the servers: who lost its memory, who lacks which writes, who must be
// compared as a whole. Doubt means comparing.
import type { Hint, Mark } from "./mark.ts";
import type { Filed } from "./state_record.ts";

/** A mark as it was found on a server; mark null: it is torn. */
export interface FoundMark {
  readonly id: string;
  readonly lane: number;
  /** The lacking server. */
  readonly about: string;
  readonly mark: Mark | null;
  /** What the chunks say that go with it. */
  readonly hints: Hint[];
  /** Why they are not complete, or null. */
  problem: string | null;
}

/** What one server told. */
export interface Found {
  readonly name: string;
  readonly peers: readonly string[];
  /** It has a certificate. */
  readonly whole: boolean;
  /** Servers that had one when its own was written. */
  readonly vouches: readonly string[];
  readonly marks: readonly FoundMark[];
  /** Proxies that were here, and whether each ended in order. */
  readonly ids: ReadonlyMap<string, boolean>;
}

/** What a server lacks that another one has. */
export interface Lack {
  readonly keeper: string;
  readonly hints: readonly Hint[];
  /** Why it must be compared as a whole, or null: the hints are all. */
  readonly why: string | null;
  readonly flush: boolean;
  /** Said by the file of this proxy; "": by the keeper. */
  readonly filed: string;
}

export interface Verdict {
  /** Servers that lost their memory since. */
  readonly lost: Set<string>;
  /** By server that lacks writes, of each of its peers that has some. */
  readonly lacks: Map<string, Lack[]>;
  /** Servers of which is known all that they lack, also of what was under way when a proxy died. */
  readonly known: Set<string>;
}

/**
 * voided: what is known by ourselves: up to which stamp marks of id on keeper about another one are void. filed: what
 * proxies wrote down on their own disks.
 */
export function judge(found: readonly Found[], voided: (keeper: string, about: string, id: string) => number, filed: readonly Filed[] = []): Verdict {
  const lost = new Set<string>(), lacks = new Map<string, Lack[]>(), known = new Set<string>();
  const vouched = new Set(found.flatMap(({ vouches }) => vouches));
  // A mark on it would be gone too.
  for (const { name, whole, marks } of found) if (!whole && marks.length === 0 && vouched.has(name)) lost.add(name);
  const byName = new Map(found.map((each) => [each.name, each]));
  /** The marks on keeper about a server that count. */
  const valid = (keeper: string, about: string): FoundMark[] => (byName.get(keeper)?.marks ?? []).filter((one) => {
    if (one.about !== about || lost.has(about)) return false;
    const back = (byName.get(about)?.marks ?? []).filter((other) => other.about === keeper);
    return (one.mark?.stamp ?? Infinity) > Math.max(voided(keeper, about, one.id), ...back.map(({ mark }) => mark?.voids.get(one.id) ?? -1));
  });
  for (const keeper of found) {
    for (const about of keeper.peers) {
      const here = valid(keeper.name, about);
      if (here.length === 0) continue;
      const lack = lackOf(keeper, here);
      const there = valid(about, keeper.name);
      // Each lacks something that the other has, and of one it is not known what: who was marked last is behind.
      const blind = lack.why !== null || there.some(problemOf);
      if (blind && there.length > 0 && (latest(there) > latest(here) || (latest(there) === latest(here) && lacks.has(keeper.name)))) continue;
      lacks.set(about, [...(lacks.get(about) ?? []), lack]);
    }
  }
  for (const one of filed) {
    if (lost.has(one.about)) continue;
    const back = (byName.get(one.about)?.marks ?? []).filter(({ about }) => about === one.keeper);
    if (one.stamp <= Math.max(voided(one.keeper, one.about, one.id), ...back.map(({ mark }) => mark?.voids.get(one.id) ?? -1))) continue;
    const why = lost.has(one.keeper) ? whyOf(one, null) : whyOf(one, byName.get(one.keeper) ?? null);
    const there = valid(one.about, one.keeper);
    const lack: Lack = { keeper: one.keeper, why, hints: one.hints, flush: one.kind === "flush", filed: one.id };
    const behind = there.length > 0 && (why !== null || there.some(problemOf)) && latest(there) > one.stamp;
    // Keys count one by one, by their stamps.
    lacks.set(one.about, [...(lacks.get(one.about) ?? []), behind ? { ...lack, why: null, flush: false } : lack]);
  }
  for (const name of new Set(found.flatMap(({ peers }) => peers))) {
    const keepers = found.filter(({ peers }) => peers.includes(name));
    // Where a proxy died that said nothing, what it had under way may have got to one side alone.
    const told = keepers.every((keeper) => keeper.whole && [...keeper.ids].every(([id, ended]) =>
      ended || keeper.marks.some((one) => one.id === id && one.about === name && one.mark?.kind === "away")));
    if (told && !lost.has(name) && (lacks.get(name) ?? []).every(({ why }) => why === null)) known.add(name);
  }
  return { lost, lacks, known };
}

/** Hints that are complete only if their proxy ended in order, or could not write to the server at all. */
function lackOf({ name, ids }: Found, marks: readonly FoundMark[]): Lack {
  let why: string | null = null;
  for (const one of marks) {
    if (why === null) why = problemOf(one);
    if (why === null && one.mark!.kind === "keys" && ids.get(one.id) !== true) why = "the last proxy did not end in order";
  }
  return {
    keeper: name, why, hints: why === null ? marks.flatMap(({ hints }) => hints) : [],
    flush: marks.some(({ mark }) => mark?.kind === "flush"), filed: "",
  };
}

/** Why what a file says is not all; keeper null: it cannot be asked, or has lost what it knew. */
function whyOf(one: Filed, keeper: Found | null): string | null {
  if (one.problem !== null) return one.problem;
  if (one.kind === "compare" || one.kind === "flush") return "it was not known before";
  // Every write that was acknowledged is in the file; of one that was not the keeper alone could tell.
  if (one.ended || keeper === null || keeper.marks.some(({ id, about }) => id === one.id && about === one.about)) return null;
  return `marks on ${one.keeper} are missing`;
}

function problemOf({ mark, problem }: FoundMark): string | null {
  if (mark === null) return "a mark is torn";
  if (problem !== null) return problem;
  return mark.kind === "compare" || mark.kind === "flush" ? "it was not known before" : null;
}

function latest(marks: readonly FoundMark[]): number {
  return marks.reduce((stamp, { mark }) => Math.max(stamp, mark?.stamp ?? Infinity), -1);
}
