// Runs add up: what a ledger's lines come to.
import { describe, expect, test } from "bun:test";
import { entriesOf, type Entry, lineOf, tableOf, totals } from "./ledger.ts";

const run = (more: Partial<Entry>): Entry => ({
  commit: "abc", scenario: "pair-a", runtime: "bun", start: 1, seeds: 100, failed: [], events: 1000, seconds: 36, ...more,
});

describe("a ledger", () => {
  test("comes back as it was written", () => {
    const entries = [run({}), run({ start: 101, failed: [120, 130] })];
    expect(entriesOf(entries.map(lineOf).join(""))).toEqual(entries);
  });

  for (const line of ["what", "{}", '{"scenario":"a","start":1,"seeds":2,"events":3,"seconds":4}', '{"scenario":"a","start":"1","seeds":2,"events":3,"seconds":4,"failed":[]}']) {
    test(`names a line that is none: ${line.slice(0, 40)}`, () => {
      expect(() => entriesOf(lineOf(run({})) + line)).toThrow(/^line 2 is no entry/);
    });
  }

  test("counts a seed once per commit and runtime", () => {
    const of = (...entries: Entry[]): number => totals(entries).at(-1)!.seeds;
    expect(of(run({}), run({}))).toBe(100);
    expect(of(run({}), run({ start: 51 }))).toBe(150);
    expect(of(run({ start: 51 }), run({}), run({ start: 20, seeds: 10 }))).toBe(150);
    expect(of(run({}), run({ start: 201 }))).toBe(200);
    expect(of(run({}), run({ commit: "def" }), run({ runtime: "deno" }), run({ scenario: "pair-b" }))).toBe(400);
    expect(of()).toBe(0);
  });

  test("says by scenario and in all what was run and what failed", () => {
    const table = tableOf(totals([run({ failed: [7] }), run({ failed: [7] }), run({ scenario: "calm", commit: "def" })]));
    expect(table).toBe(
      "scenario  seeds  commits  events  hours  failed\n" +
        "calm        100        1    1000   0.01       0\n" +
        "pair-a      100        1    2000   0.02       1\n" +
        "all         200        2    3000   0.03       1\n" +
        "failed: pair-a abc 7\n",
    );
  });
});
