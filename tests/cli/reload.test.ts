// What a reload may change, and in which order rings are replaced.
import { describe, expect, test } from "bun:test";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { reloadProblem, reloadText, ringChanges, sharedProblem } from "../../src/cli/reload.ts";
import { poolFlags } from "../../src/cli/settings.ts";
import type { PoolConfig } from "../../src/config/config.ts";
import { readPool } from "../../src/config/flags.ts";
import { problemLine, type Problem } from "../../src/config/problem.ts";

function pool(...args: string[]): PoolConfig {
  const line = parseCommandLine(args);
  if (!line.ok) throw new Error(problemLine(line.problem));
  const problems: Problem[] = [];
  const read = readPool(poolFlags({ flags: line.value.flags, name: "main", place: "-s" }, "tandem"), problems);
  if (problems.length > 0) throw new Error(problems.map(problemLine).join("\n"));
  return read;
}
const PAIR = ["-s", "a:1", "-s", "b:1", "-b", "x:1", "-b", "y:1"];
/** "primaries shifts: a:1 b:1", one a ring. */
const changes = (before: string[], after: string[]): string[] => ringChanges(pool(...before), pool(...after)).map(({ side, servers, ring, shifts }) =>
  `${side === 0 ? "primaries" : "backups"}${shifts ? " shift" : ""}: ${servers.map(({ label }) => label).join(" ") || "none"}${ring === null ? " (no ring)" : ""}`);

describe("rings", () => {
  test("do not change with what does not place", () => {
    expect(changes(PAIR, [...PAIR, "--timeout", "5", "--ack", "any", "-p", "5", "-n", "7"])).toEqual([]);
  });
  test("a server more takes keys, and moves none between the others", () => {
    expect(changes(PAIR, [...PAIR, "-s", "c:1"])).toEqual(["primaries: a:1 b:1 c:1"]);
    expect(changes(PAIR, [...PAIR, "-b", "z:1"])).toEqual(["backups: x:1 y:1 z:1"]);
  });
  test("all else moves keys between servers that stay", () => {
    expect(changes(PAIR, ["-s", "a:1", "-b", "x:1", "-b", "y:1"])).toEqual(["primaries shift: a:1"]);
    expect(changes(PAIR, ["-s", "a:1", "-s", "b:1:2", "-b", "x:1", "-b", "y:1"])).toEqual(["primaries shift: a:1 b:1"]);
    expect(changes(PAIR, [...PAIR, "-s", "c:1:2"])).toEqual(["primaries shift: a:1 b:1 c:1"]);
    expect(changes([...PAIR, "--ring", "magent-modulo"], [...PAIR, "-s", "c:1", "--ring", "magent-modulo"])).toEqual(["primaries shift: a:1 b:1 c:1"]);
  });
  test("both sides change one after the other, primaries first", () => {
    expect(changes(PAIR, [...PAIR, "--ring", "twemproxy"])).toEqual(["primaries shift: a:1 b:1", "backups shift: x:1 y:1"]);
    expect(changes(PAIR, [...PAIR, "--hash-tag", "{}"])).toEqual(["primaries shift: a:1 b:1", "backups shift: x:1 y:1"]);
  });
  test("first backups are filled before the primaries change, last ones leave after that", () => {
    expect(changes(["-s", "a:1"], ["-s", "a:1", "-s", "b:1", "-b", "x:1"])).toEqual(["backups: x:1", "primaries: a:1 b:1"]);
    expect(changes(["-s", "a:1", "-s", "b:1", "-b", "x:1"], ["-s", "a:1"])).toEqual(["primaries shift: a:1", "backups shift: none (no ring)"]);
  });
});

describe("what cannot change while it runs", () => {
  const problem = (before: string[], after: string[], inTransition = false): string => reloadProblem(pool(...before), pool(...after), inTransition) ?? "taken";
  test("is refused by name", () => {
    expect(problem(PAIR, [...PAIR, "--lanes", "2"])).toBe("pool main: lanes cannot change from 1 to 2 while tandem runs; restart it for that");
    expect(problem(PAIR, [...PAIR, "--board", "off"])).toMatch(/board cannot change from on to off/);
    expect(problem(PAIR, [...PAIR, "--strict"])).toMatch(/strict cannot change from false to true/);
    expect(problem([...PAIR, "-f", "/x"], [...PAIR, "-f", "/x", "--unix-mode", "777"])).toMatch(/unix_mode cannot change from 700 to 777/);
    expect(problem([...PAIR, "-f", "/x"], [...PAIR, "-f", "/y", "--unix-mode", "777"])).toBe("taken");
    expect(problem([...PAIR, "-f", "/x"], PAIR)).toBe("taken");
    expect(problem(PAIR, [...PAIR, "-f", "/x"])).toBe("taken");
    expect(problem(PAIR, [...PAIR, "--unix-mode", "777", "--timeout", "5", "--rejoin", "fast"])).toBe("taken");
  });
  test("rings neither in the midst of a change, nor with strict, nor by a server that changes sides", () => {
    expect(problem(PAIR, [...PAIR, "-s", "c:1"], true)).toMatch(/still changing from the last time/);
    expect(problem(PAIR, [...PAIR, "--timeout", "5"], true)).toBe("taken");
    expect(problem([...PAIR, "--strict"], [...PAIR, "-s", "c:1", "--strict"])).toMatch(/cannot change while tandem runs with strict/);
    expect(problem(PAIR, ["-s", "a:1", "-s", "x:1", "-b", "y:1"])).toMatch(/x:1 was a backup and cannot change sides in one step/);
  });
});

test("several workers change all but whether there are backups, of which they hear of each other", () => {
  const problem = (before: string[], after: string[]): string => sharedProblem([pool(...before)], [pool(...after)]) ?? "taken";
  expect(problem(PAIR, [...PAIR, "-s", "c:1", "--ring", "twemproxy", "--timeout", "5"])).toBe("taken");
  expect(problem(["-s", "a:1"], ["-s", "a:1", "-s", "c:1"])).toBe("taken");
  expect(problem(PAIR, [...PAIR, "-p", "5", "-n", "5"])).toBe("taken");
  expect(sharedProblem([pool(...PAIR)], [])).toBe(null);
  expect(sharedProblem([], [pool(...PAIR)])).toBe(null);
  expect(problem(PAIR, ["-s", "a:1", "-s", "b:1"])).toBe("pool main: backups cannot change from x:1, y:1 to none while several workers run; allowed: at least one; restart tandem for that");
  expect(problem(["-s", "a:1"], ["-s", "a:1", "-b", "x:1"])).toBe("pool main: backups cannot change from none to x:1 while several workers run; allowed: none; restart tandem for that");
  // Without the board they do not hear of each other.
  expect(problem([...PAIR, "--board", "off"], [...PAIR, "-s", "c:1", "--board", "off"])).toMatch(/servers and rings cannot change .* with board = "off"; restart tandem for that/);
});

test("what changes is told in words", () => {
  expect(reloadText(pool(...PAIR), pool(...PAIR))).toEqual([]);
  expect(reloadText(pool(...PAIR), pool(...PAIR, "-s", "c:1", "--ack", "any", "-p", "5", "--timeout", "5"))).toEqual([
    "main: primaries also c:1:1", "main: ack any instead of both", "main: listens also on 0.0.0.0:5", "main: listens no more on 0.0.0.0:11211", "main: timeout",
  ]);
  expect(reloadText(pool(...PAIR), pool(...PAIR, "-n", "5", "-f", "/s"))).toEqual(["main: listens also on /s", "main: max_clients 5 instead of 4096"]);
});
