// Records of a state file (state_file.ts): what its proxy knew to be lacking where, in lines that prove themselves.
//
//   <check> tandem state 1 <fingerprint> <proxy>     the first line
//   <check> lacks <n> <stamp> <kind> <keeper> <about>   from here on `about` lacks what `keeper` took; kind as marks have it
//   <check> key <n> <stamp> <key>                    … this key among it
//   <check> whole <n>                                nothing any more
//   <check> end                                      the proxy ended in order
import { fnv1a } from "../../bytes/ascii.ts";
import { type Hint, MARK_KINDS, type MarkKind } from "./mark.ts";

/** What one server lacked that another one took, as the file of one proxy says. */
export interface Filed {
  /** Of the proxy. */
  readonly id: string;
  readonly keeper: string;
  readonly about: string;
  kind: MarkKind;
  /** Of its last record. */
  stamp: number;
  hints: Hint[];
  /** The proxy ended in order. */
  ended: boolean;
  /** Why it cannot be trusted, or null. */
  problem: string | null;
}

/** What a file says. */
export interface FiledState {
  readonly lacks: readonly Filed[];
  /** Some of it is not as it was written, so that more may be missing than the end; or it is not ours. Null: it is well. */
  readonly problem: string | null;
  /** Its last record did not get to the disk in full. */
  readonly torn: boolean;
}

export function header(fingerprint: string, id: string): string {
  return `tandem state 1 ${fingerprint} ${id}`;
}

/** One line; index is its place in the file, from 0. */
export function recordLine(id: string, index: number, record: string): string {
  return `${fnv1a(`${id} ${index} ${record}`).toString(16).padStart(CHECK_CHARACTERS, "0")} ${record}\n`;
}

export function lacksRecord(n: number, stamp: number, kind: MarkKind, keeper: string, about: string): string {
  return `lacks ${n} ${stamp} ${kind} ${keeper} ${about}`;
}

export function keyRecord(n: number, stamp: number, key: string): string {
  return `key ${n} ${stamp} ${key}`;
}

export function wholeRecord(n: number): string {
  return `whole ${n}`;
}

export const END = "end";

/** Reads the file of a proxy; what cannot be trusted says so. */
export function parseState(text: string, id: string, fingerprint: string): FiledState {
  const open = new Map<number, Filed>();
  let ended = false, foreign = false;
  const lines = text.split("\n");
  const rest = lines.pop()!;
  let at = 0;
  for (; at < lines.length; at++) {
    const record = lines[at]!.slice(CHECK_CHARACTERS + 1);
    if (recordLine(id, at, record) !== `${lines[at]}\n`) break;
    if (at === 0) {
      foreign = record !== header(fingerprint, id);
      if (foreign && !new RegExp(`^${header("[0-9a-f]{16}", id)}$`).test(record)) break;
      continue;
    }
    ended = record === END;
    if (!take(record, id, open)) break;
  }
  if (at === 0) return { lacks: [], problem: text === "" ? "is empty" : "is damaged", torn: true };
  // A write that a crash cut off leaves its beginning, which is the end of the file; all else was damaged later.
  const torn = at < lines.length || rest !== "";
  const damaged = at + 1 < lines.length;
  const lacks = [...open.values()];
  for (const each of lacks) {
    each.ended = ended && !torn;
    if (damaged) each.problem = "the state file is damaged";
    if (!foreign) continue;
    each.problem = "the state file was written under other settings";
    each.hints = []; // whose keys they are now is not known
  }
  return { lacks, problem: damaged ? "is damaged" : null, torn };
}

/** False: it is no record. */
function take(record: string, id: string, open: Map<number, Filed>): boolean {
  const [word, number, ...rest] = record.split(" ");
  if (word === END) return true;
  const n = Number(number), filed = open.get(n);
  if (word === "whole") open.delete(n);
  else if (word === "lacks") {
    const [stamp, kindText, keeper, about] = rest as [string, string, string, string];
    const kind = MARK_KINDS.find((each) => each === kindText);
    if (kind === undefined || about === undefined) return false;
    if (filed === undefined) open.set(n, { id, keeper, about, kind, stamp: Number(stamp), hints: [], ended: false, problem: null });
    else Object.assign(filed, { kind, stamp: Number(stamp) });
  } else if (word === "key") {
    const [stamp, key] = rest as [string, string];
    if (key === undefined) return false;
    // It was made up for while the file was written anew.
    if (filed === undefined) return true;
    filed.stamp = Number(stamp);
    filed.hints.push({ stamp: filed.stamp, key });
  } else return false;
  return true;
}

const CHECK_CHARACTERS = 8;
