// tandem resync and tandem verify as far as no server is needed: what they are asked, what is chosen, what is printed.
import { describe, expect, test } from "bun:test";
import { latin1 } from "../../src/bytes/ascii.ts";
import { type Flags, parseCommandLine } from "../../src/cli/parse.ts";
import { Progress, progressText } from "../../src/cli/progress.ts";
import { readResync, Tally } from "../../src/cli/resync.ts";
import { readVerify, sampled, sizeOf } from "../../src/cli/verify.ts";
import { Findings } from "../../src/cli/verify_report.ts";
import { type Checked, problemLine } from "../../src/config/problem.ts";
import type { Place, Verdict } from "../../src/replication/copying/compare.ts";
import { Pair } from "../../src/replication/pair.ts";
import type { SyncOutcome } from "../../src/replication/copying/sync.ts";
import { FakePlatform } from "../support/fake_platform.ts";
import { Table } from "../replication/table.ts";

/** No command line here names a file. */
const NO_FILES = new FakePlatform().host;

function flags(...args: string[]): Flags {
  const line = parseCommandLine(args);
  if (!line.ok) throw new Error(problemLine(line.problem));
  return line.value.flags;
}
const said = <T>(checked: Checked<T>): string => (checked.ok ? "ok" : problemLine(checked.problem));

describe("asked rightly or not", () => {
  test("resync", () => {
    const read = (...args: string[]): string => said(readResync(NO_FILES, flags("resync", ...args), "tandem"));
    expect(read("--from", "a:1", "--to", "/s")).toBe("ok");
    expect(read("--to", "a:1")).toBe("--from: not given; allowed: --from HOST:PORT --to HOST:PORT");
    expect(read("--from", "a:1")).toBe("--to: not given; allowed: --from HOST:PORT --to HOST:PORT");
    expect(read("--from", "a:1", "--to", "A:1")).toBe("--to A:1: is the server of --from too; allowed: another server");
    expect(read("--from", "a", "--to", "a:11211")).toBe("--to a:11211: is the server of --from too; allowed: another server");
    expect(read("--from", "a:1:2", "--to", "b:1")).toBe("--from a:1:2: is more than an address; allowed: host:port or /socket");
    expect(read("--from", "a:1", "--to", "b:99999")).toBe("--to b:99999: has no such port; allowed: a port of 1 to 65535");
    expect(read("--from", "a:1", "--to", "b:1", "-s", "c:1")).toBe("--to b:1: is none of the -s and -b servers; allowed: one of them");
    expect(read("--from", "a:1", "--to", "b:1", "-b", "b:1")).toBe("-s: no server given; allowed: at least one -s host:port, or -c file");
    expect(read("--from", "a:1", "--to", "b:1", "-s", "c:1", "-b", "b:1")).toBe("ok");
  });
  test("verify", () => {
    const read = (...args: string[]): string => said(readVerify(NO_FILES, flags("verify", "-s", "a:1", ...args), "tandem"));
    expect(read("-b", "b:1")).toBe("ok");
    expect(read()).toBe("-b: no backup given; allowed: at least one -b host:port");
    for (const sample of ["1", "500", "5%", "0.5%", "100%"]) expect(read("-b", "b:1", "--sample", sample)).toBe("ok");
    for (const sample of ["0", "0%", "101%", "1.5", "x", "5 %", "-1"]) {
      expect(read("-b", "b:1", `--sample=${sample}`)).toMatch(/^--sample .*: is no sample; allowed: /);
    }
    expect(read("-b", "b:1", "--delete")).toBe("--delete: given without --repair; allowed: --repair --delete");
    expect(read("-b", "b:1", "--list", "--json")).toBe("--list: contradicts --json; allowed: one of them");
  });
});

test("with rings, each key belongs to one server of a ring", () => {
  const belongs = ["a:1", "b:1", "c:1"].map((to) => {
    const read = readResync(NO_FILES, flags("resync", "--from", "x:1", "--to", to, "-s", "a:1", "-s", "b:1", "-b", "c:1"), "tandem");
    if (!read.ok) throw new Error("unread");
    return read.value.belongs;
  });
  let left = 0;
  for (let i = 0; i < 1000; i++) {
    const [a, b, c] = belongs.map((test) => test(latin1(`key:${i}`), 0, `key:${i}`.length));
    expect([a !== b, c]).toEqual([true, true]);
    if (a) left++;
  }
  expect([left > 300, left < 700]).toEqual([true, true]);
});

test("a sample has the size asked for, each key once, in order, and every key its chance", () => {
  const { random } = new FakePlatform();
  const all = Array.from({ length: 200 }, (_, i) => i);
  const hits = all.map(() => 0);
  for (let round = 0; round < 500; round++) {
    const chosen = [...sampled(all, all.length, 10, random)];
    expect([chosen.length, chosen.toSorted((a, b) => a - b)]).toEqual([10, chosen]);
    expect(new Set(chosen).size).toBe(10);
    for (const i of chosen) hits[i]!++;
  }
  // 25 expected of each; no key is favoured.
  expect([Math.min(...hits) > 5, Math.max(...hits) < 55]).toEqual([true, true]);
  expect([...sampled(all, 200, 200, random)]).toEqual(all);
  expect([...sampled([], 0, 0, random)]).toEqual([]);
  expect([sizeOf({ percent: 5 }, 200), sizeOf({ percent: 5 }, 3), sizeOf({ percent: 5 }, 0), sizeOf({ keys: 1000 }, 200), sizeOf({ keys: 7 }, 200), sizeOf(null, 200)])
    .toEqual([10, 1, 0, 200, 7, 200]);
});

test("progress", () => {
  expect([progressText(0, 10, 0), progressText(500, 1000, 4000), progressText(1000, 1000, 500), progressText(0, 0, 0)]).toEqual([
    "[--------------------]   0 %  0 of 10 keys, 0 a second",
    "[##########----------]  50 %  500 of 1000 keys, 125 a second, 4 s left",
    "[####################] 100 %  1000 of 1000 keys, 2000 a second",
    "[####################] 100 %  0 of 0 keys, 0 a second",
  ]);
});

describe("resync tells", () => {
  const KEYS: readonly (readonly [Verdict, SyncOutcome | null])[] = [
    ["equal", null], ["only_primary", "copied"], ["only_primary", "refused"], ["value", "copied"], ["flags", "copied"],
    ["times", "failed"], ["only_backup", null], ["failed", null],
  ];
  test("what became of each key", () => {
    const tally = new Tally();
    for (const [verdict, mended] of KEYS) tally.add(verdict, mended);
    expect(tally.lines({ from: "a:1", to: "b:1", dry: false, removes: false }, { ended: "whole", settled: 8, total: 8, ms: 1500 })).toEqual([
      "a:1 -> b:1: 8 keys compared in 1 s",
      "equal       1",
      "copied      3  missing 1, other value 1, other flags 1, other time 0",
      "left alone  1  only b:1 has them; --delete removes them",
      "refused     1  too large for b:1, or it is out of memory",
      "not copied  2  no answer",
    ]);
    expect(tally.left(false)).toBe(3);
  });
  test("what would become of it, and that it was interrupted", () => {
    const tally = new Tally();
    for (const [verdict] of KEYS) tally.add(verdict, null);
    expect(tally.lines({ from: "a:1", to: "b:1", dry: true, removes: true }, { ended: "interrupted", settled: 8, total: 20, ms: 1500 })).toEqual([
      "a:1 -> b:1 (dry run: nothing is changed): 8 of 20 keys compared in 1 s; run it again to go on",
      "equal          1",
      "to be copied   5  missing 2, other value 1, other flags 1, other time 1",
      "to be removed  1  only b:1 has them",
      "not copied     1  no answer",
    ]);
    expect(tally.left(true)).toBe(6);
  });
  test("keys that only the target has are no failure", () => {
    const tally = new Tally();
    tally.add("only_backup", null);
    expect([tally.left(false), tally.left(true)]).toEqual([0, 0]);
  });
});

describe("verify tells", () => {
  const t = new Table();
  const [primary, backup] = t.proxy.pool.servers;
  const findings = (exchanged: boolean): Findings => {
    const found = new Findings(["p0:1", "b0:1"], 1, exchanged);
    const place: Place = { key: "k", pair: exchanged ? new Pair(backup!, primary!) : t.pair, laneIndex: 0 };
    const words = ([
      ["equal", null], ["only_primary", null], ["only_backup", "removed"], ["value", "copied"], ["flags", "refused"],
      ["times", null], ["changing", null], ["failed", null],
    ] as const).map(([verdict, mended]) => found.add(place, verdict, mended));
    const sides = exchanged ? ["only_backup", "only_primary"] : ["only_primary", "only_backup"];
    expect(words).toEqual(["", ...sides, "value", "flags", "times", "changing", "failed"]);
    return found;
  };
  const run = { ended: "whole", settled: 8, total: 8, ms: 2500 } as const;

  test("counts by pair", () => {
    const found = findings(false);
    found.misplaced(1);
    expect(found.left).toBe(5); // three differences, one without an answer, one misplaced
    expect(found.lines({ repair: true, removes: true, sampled: true }, run)).toEqual([
      "primary  backup  compared  equal  only primary  only backup  value  flags  times  changing  mended  left",
      "p0:1     b0:1           8      1             1            1      1      1      1         1       2     4",
      "8 sample keys compared in 2 s, 5 not as they should be",
      "1 keys on b0:1 belong to other servers",
    ]);
    expect(found.json({ repair: true, removes: true, sampled: false }, run)).toEqual({
      ended: "whole", compared: 8, keys: 8, sampled: false, seconds: 2.5, left: 5,
      pairs: [{
        primary: "p0:1", backup: "b0:1", compared: 8, equal: 1, changing: 1, mended: 2, failed: 1, left: 4,
        differences: { only_primary: 1, only_backup: 1, value: 1, flags: 1, times: 1 },
      }],
      misplaced: [{ server: "b0:1", keys: 1 }],
    });
  });
  test("with the backup's word, the sides keep their names", () => {
    expect(findings(true).lines({ repair: true, removes: false, sampled: false }, { ...run, ended: "interrupted", total: 9 })).toEqual([
      "primary  backup  compared  equal  only primary  only backup  value  flags  times  changing  mended  left",
      "p0:1     b0:1           8      1             1            1      1      1      1         1       2     4",
      "8 of 9 keys compared in 2 s, 4 not as they should be",
      "1 keys that only the primary holds were left alone; --delete removes them",
    ]);
  });
});

describe("progress goes to stderr", () => {
  const shown = (terminal: boolean): { progress: Progress; platform: FakePlatform; said: () => string } => {
    const platform = new FakePlatform();
    let text = "";
    platform.host.isTerminal = () => terminal;
    platform.host.stderr = (more) => void (text += more);
    const said = (): string => {
      const all = text;
      text = "";
      return all;
    };
    return { progress: new Progress(platform), platform, said };
  };
  test("drawn over on a terminal, and gone at the end", () => {
    const { progress, platform, said } = shown(true);
    progress.listed(1);
    expect(said()).toBe("");
    platform.pass(200);
    progress.listed(7);
    expect(said()).toBe("\r\x1b[K7 keys listed");
    progress.begin(10);
    platform.pass(1000);
    progress.show(5);
    expect(said()).toBe("\r\x1b[K[##########----------]  50 %  5 of 10 keys, 5 a second, 1 s left");
    progress.show(6);
    progress.end();
    progress.end();
    expect(said()).toBe("\r\x1b[K");
  });
  test("a line now and then elsewhere", () => {
    const { progress, platform, said } = shown(false);
    progress.begin(10);
    platform.pass(4000);
    progress.show(4);
    expect(said()).toBe("");
    platform.pass(1000);
    progress.show(5);
    progress.end();
    expect(said()).toBe("[##########----------]  50 %  5 of 10 keys, 1 a second, 5 s left\n");
  });
});
