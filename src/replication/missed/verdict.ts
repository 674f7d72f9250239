// What the marks of earlier proxies mean for the servers: who lost its memory, who lacks which writes, who must be
// compared as a whole. Doubt means comparing.
import type { Hint, Mark, MarkKind } from "./mark.ts";
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
  /** Why it must be compared as a whole, or null: the hints are all that counts. */
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
  const on = (keeper: string, about: string): FoundMark[] => (byName.get(keeper)?.marks ?? []).filter((one) => one.about === about);
  /** Up to which stamp what a proxy said of a server counts for nothing. */
  const upTo = (keeper: string, about: string, id: string): number =>
    Math.max(voided(keeper, about, id), ...on(about, keeper).map(({ mark }) => mark?.voids.get(id) ?? -1));
  /** The marks on keeper about a server that count. */
  const valid = (keeper: string, about: string): FoundMark[] => on(keeper, about).filter(({ id, mark }) => (mark?.stamp ?? Infinity) > upTo(keeper, about, id));
  const files = filed.filter(({ keeper, about, id, stamp }) => stamp > upTo(keeper, about, id));
  const said = (keeper: string, about: string): Word[] => {
    // That is seen now.
    if (lost.has(about)) return [{ id: "", stamp: Infinity, weight: WEIGHTS.cold }];
    return [...valid(keeper, about).map(wordOfMark), ...files.filter((one) => one.keeper === keeper && one.about === about).map(wordOf)];
  };
  /**
   * Of two that lack something of each other: whether the first one lacks more, as a pair has it that knows of both
   * (Pair.worse). Nobody need have known of both; then this counts if it was said last.
   */
  const worse = (one: string, peer: string): boolean => {
    const ofPeer = said(one, peer);
    return said(peer, one).some(({ id, stamp, weight }) => ofPeer.every((other) => weight > other.weight && (id === other.id || stamp > other.stamp)));
  };
  /** later: it is not the other one that was marked last. */
  const add = (about: string, lack: Lack, later: boolean): void => {
    const all = !lost.has(about) && (worse(about, lack.keeper) || (later && !worse(lack.keeper, about)));
    // Keys count one by one, by their stamps. What a server lacked says what the other one holds, also once all that the
    // first one held is gone: an older word, that it is the other one which lacks the key, does not count then.
    const counts = all ? lack : { ...lack, why: null, flush: false };
    if (counts.why !== null || counts.hints.length > 0) lacks.set(about, [...(lacks.get(about) ?? []), counts]);
  };
  for (const keeper of found) {
    for (const about of keeper.peers) {
      const here = valid(keeper.name, about);
      if (here.length === 0) continue;
      const lack = lackOf(keeper, here);
      const there = valid(about, keeper.name);
      // Each lacks something that the other has, and of one it is not known what: who was marked last is behind.
      const blind = lack.why !== null || there.some(problemOf);
      const later = !blind || there.length === 0 || latest(there) < latest(here) || (latest(there) === latest(here) && !lacks.has(keeper.name));
      add(about, lack, later);
    }
  }
  for (const one of files) {
    const why = whyOf(one, lost.has(one.keeper) ? null : (byName.get(one.keeper) ?? null));
    const there = valid(one.about, one.keeper);
    const later = there.length === 0 || (why === null && !there.some(problemOf)) || latest(there) <= one.stamp;
    add(one.about, { keeper: one.keeper, why, hints: one.hints, flush: one.kind === "flush", filed: one.id }, later);
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

/** What somebody said of a server, and how much of it that server lacks. */
interface Word {
  readonly id: string;
  readonly stamp: number;
  readonly weight: number;
}

/** In the order of Pair.worse. */
const WEIGHTS: Readonly<Record<MarkKind, number>> = { away: 0, keys: 0, compare: 1, cold: 2, flush: 3 };

function wordOf({ id, kind, stamp, problem }: Pick<Filed, "id" | "kind" | "stamp" | "problem">): Word {
  return { id, stamp, weight: problem === null ? WEIGHTS[kind] : Math.max(WEIGHTS[kind], WEIGHTS.compare) };
}

function wordOfMark({ id, mark, problem }: FoundMark): Word {
  return wordOf({ id, kind: mark?.kind ?? "compare", stamp: mark?.stamp ?? Infinity, problem });
}

/** The hints are complete only if their proxy ended in order, or could not write to the server at all. */
function lackOf({ name, ids }: Found, marks: readonly FoundMark[]): Lack {
  let why: string | null = null;
  for (const one of marks) {
    if (why === null) why = problemOf(one);
    if (why === null && one.mark!.kind === "keys" && ids.get(one.id) !== true) why = "the last proxy did not end in order";
  }
  return {
    keeper: name, why, hints: marks.flatMap(({ hints }) => hints),
    flush: marks.some(({ mark }) => mark?.kind === "flush"), filed: "",
  };
}

/** Why what a file says is not all; keeper null: it cannot be asked, or has lost what it knew. */
function whyOf(one: Filed, keeper: Found | null): string | null {
  if (one.problem !== null) return one.problem;
  const unlisted = unlistedOf(one.kind);
  if (unlisted !== null) return unlisted;
  // Every write that was acknowledged is in the file; of one that was not the keeper alone could tell.
  if (one.ended || keeper === null || keeper.marks.some(({ id, about }) => id === one.id && about === one.about)) return null;
  return `marks on ${one.keeper} are missing`;
}

function problemOf({ mark, problem }: FoundMark): string | null {
  if (mark === null) return "a mark is torn";
  if (problem !== null) return problem;
  return unlistedOf(mark.kind);
}

function unlistedOf(kind: MarkKind): string | null {
  if (kind === "cold") return "it was not filled yet";
  return kind === "compare" || kind === "flush" ? "it was not known before" : null;
}

function latest(marks: readonly FoundMark[]): number {
  return marks.reduce((stamp, { mark }) => Math.max(stamp, mark?.stamp ?? Infinity), -1);
}
