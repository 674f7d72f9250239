// Marks prove themselves: what was torn, changed or comes from elsewhere counts as torn. And what they mean together.
import { describe, expect, test } from "bun:test";
import { type Hint, type Mark, type MarkKind, markKey, markText, parseMark } from "../../../src/replication/missed/mark.ts";
import type { Filed } from "../../../src/replication/missed/state_record.ts";
import { type Found, type FoundMark, judge, type Verdict } from "../../../src/replication/missed/verdict.ts";

const KEY = markKey("10.0.0.1:11211", "040badca", 1);
const MARK: Mark = { stamp: 1767225607476, kind: "flush", from: 3, to: 5, voids: new Map([["040badca", 12], ["010badf0", 1767225607475]]) };

describe("a mark", () => {
  test("is read as it was written", () => {
    expect(parseMark(KEY, markText(KEY, MARK))).toEqual(MARK);
    const bare: Mark = { ...MARK, kind: "compare", voids: new Map() };
    expect(parseMark(KEY, markText(KEY, bare))).toEqual(bare);
  });
  test("counts for nothing when any of it is missing, changed or of another key", () => {
    const text = markText(KEY, MARK);
    for (let cut = 0; cut < text.length; cut++) expect(parseMark(KEY, text.slice(0, cut))).toBeNull();
    for (let at = 0; at < text.length; at++) {
      expect(parseMark(KEY, text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1))).toBeNull();
    }
    expect(parseMark(markKey("10.0.0.1:11211", "040badca", 0), text)).toBeNull();
  });
  test("of a server with a long name has a key that memcached takes", () => {
    expect(markKey(`/${"very".repeat(30)}/long.sock`, "ff0badca", 254).length <= 250).toBe(true);
  });
});

const about = (name: string, stamp: number, id = "01aaaaaa", voids: Record<string, number> = {}, kind: MarkKind = "compare", hints: Hint[] = []): FoundMark => ({
  id, lane: 0, about: name, mark: { stamp, kind, from: 0, to: 0, voids: new Map(Object.entries(voids)) }, hints, problem: null,
});
const grave = (kind: MarkKind, name: string, stamp: number, hints: Hint[] = [], id = "01aaaaaa"): FoundMark => about(name, stamp, id, {}, kind, hints);
const filed = (kind: MarkKind, name: string, stamp: number, hints: Hint[] = [], id = "01aaaaaa"): Filed => ({
  id, keeper: name === "P" ? "B" : "P", about: name, kind, stamp, hints, ended: false, problem: null,
});
const found = (name: string, marks: FoundMark[] = [], whole = true, vouches = ["P", "B"]): Found => ({
  name, peers: [name === "P" ? "B" : "P"], whole, vouches: whole ? vouches : [], marks, ids: new Map(marks.map(({ id }) => [id, false])),
});
const none = (): number => -1;
/** "P lost, B lacks what P has" and so on. */
function say({ lost, lacks }: Verdict): string {
  return [...[...lost].map((name) => `${name} lost`), ...[...lacks].flatMap(([name, all]) => all.map(({ keeper, why, hints }) => `${name} lacks ${why === null ? hints.map(({ key }) => key).join(" ") : "what"} ${keeper} has`))].join(", ");
}

describe("what marks mean", () => {
  const rows: readonly [string, readonly Found[], string][] = [
    ["nobody was here", [found("P", [], false), found("B", [], false)], ""],
    ["nothing was missed", [found("P"), found("B")], ""],
    ["one was restarted while nobody looked", [found("P", [], false), found("B")], "P lost"],
    ["one was restarted, and the proxy that saw it is gone as well", [found("P", [], false), found("B", [about("P", 5)])], "P lost"],
    ["another proxy is just beginning: it has not certified one of them yet", [found("P", [], false), found("B", [], true, ["B"])], ""],
    ["the backup took writes that the primary missed", [found("P"), found("B", [about("P", 5)])], "P lacks what B has"],
    ["the only one that answers took writes", [found("B", [about("P", 5)])], "P lacks what B has"],
    ["later it was the other way round: the older mark was void by then", [found("P", [about("B", 9, "01aaaaaa", { "01aaaaaa": 9 })]), found("B", [about("P", 5)])], "B lacks what P has"],
    ["… and does not come back when the younger is void too", [found("P", [about("B", 9, "01aaaaaa", { "01aaaaaa": 9 })]), found("B", [about("P", 12, "01bbbbbb", { "01aaaaaa": 9, "01bbbbbb": 11 }), about("P", 5)])], "P lacks what B has"],
    ["a mark of somebody else is not void by it", [found("P", [about("B", 9, "01aaaaaa", { "01aaaaaa": 9 })]), found("B", [about("P", 20, "01cccccc")])], "P lacks what B has"],
    ["each lacks something: who was marked last is behind", [found("P", [about("B", 9)]), found("B", [about("P", 5)])], "B lacks what P has"],
    ["a certificate was evicted, but a mark shows that memory was kept", [found("P", [about("B", 9)], false), found("B")], "B lacks what P has"],
    ["a torn mark counts as the latest", [found("P", [{ ...about("B", 0), mark: null }]), found("B", [about("P", 5)])], "B lacks what P has"],
  ];
  for (const [what, all, verdict] of rows) test(what, () => expect(say(judge(all, none))).toBe(verdict));

  const k = (stamp: number): Hint[] => [{ stamp, key: "k" }];
  const graver: readonly [string, readonly Found[], readonly Filed[], string][] = [
    // restart-disk 1585: what the proxy knew was in its marks, but not that one server was empty; the order in which its connections opened said the contrary.
    ["one was being filled, and the other one lacked some keys: those are led by the one, and nothing else", [found("P", [grave("cold", "B", 8)]), found("B", [grave("keys", "P", 9, k(7))], false)], [], "B lacks what P has, P lacks k B has"],
    ["… whichever was marked last", [found("P", [grave("cold", "B", 9)]), found("B", [grave("keys", "P", 8, k(7))], false)], [], "B lacks what P has, P lacks k B has"],
    ["… though it was not known either what the other one lacked", [found("P", [grave("cold", "B", 8)]), found("B", [grave("compare", "P", 9)], false)], [], "B lacks what P has"],
    ["… and a file said so of it", [found("P", [grave("cold", "B", 8)]), found("B", [grave("keys", "P", 9)], false)], [filed("compare", "P", 10, k(7))], "B lacks what P has, P lacks k B has"],
    ["… and only the file says so of the one", [found("B", [grave("keys", "P", 9, k(7))], false)], [filed("cold", "B", 8)], "P lacks k B has, B lacks what P has"],
    ["one lacked more than could be listed, the other one some keys", [found("P", [grave("compare", "B", 8)]), found("B", [grave("keys", "P", 9, k(7))])], [], "B lacks what P has, P lacks k B has"],
    ["one owed a flush_all, and the other one was being filled", [found("P", [grave("cold", "B", 9)]), found("B", [grave("flush", "P", 8)], false)], [], "P lacks what B has"],
    ["both were being filled: who was marked last is behind", [found("P", [grave("cold", "B", 8)], false), found("B", [grave("cold", "P", 9)], false)], [], "P lacks what B has"],
    ["each lacked some keys when their proxy was killed, one of them both in turn", [found("P", [grave("keys", "B", 9, k(8))]), found("B", [grave("keys", "P", 7, k(6))])], [], "B lacks what P has, P lacks k B has"],
    ["another proxy spoke later, and had filled it", [found("P", [grave("cold", "B", 8)]), found("B", [grave("compare", "P", 9, [], "01bbbbbb")])], [], "P lacks what B has"],
  ];
  for (const [what, all, files, verdict] of graver) test(what, () => expect(say(judge(all, none, files))).toBe(verdict));

  test("what a server lacked that has lost its memory since still says that the other one has it", () => {
    const all = [found("P"), found("B", [], false)];
    const { lost, lacks } = judge(all, none, [filed("away", "P", 6, k(6), "01bbbbbb"), filed("compare", "B", 9, k(9))]);
    expect([[...lost], lacks.get("P")?.map(({ why, hints }) => [why, hints]), lacks.get("B")?.map(({ why, hints }) => [why, hints])]).toEqual([["B"], [[null, k(6)]], [[null, k(9)]]]);
  });

  test("of a server that is compared as a whole the keys are told too: they may be younger than what is said of the other one", () => {
    const { lacks } = judge([found("P", [grave("keys", "B", 9, k(8))]), found("B", [grave("keys", "P", 7, k(6))])], none);
    expect([lacks.get("P")?.map(({ hints }) => hints), lacks.get("B")?.map(({ hints }) => hints)]).toEqual([[k(6)], [k(8)]]);
  });

  test("what we know ourselves makes marks void", () => {
    const all = [found("P"), found("B", [about("P", 5)])];
    expect(say(judge(all, (keeper, of, id) => (keeper === "B" && of === "P" && id === "01aaaaaa" ? 5 : -1)))).toBe("");
  });
});
