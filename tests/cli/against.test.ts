// What check --against prints of several proxies.
import { expect, test } from "bun:test";
import { comparison, type Compared } from "../../src/cli/against.ts";

const side = (label: string, placement: string, servers: Record<string, string> | null): Compared =>
  ({ label, placement, fingerprint: placement, servers: servers === null ? null : new Map(Object.entries(servers)) });

test("who agrees has nothing to tell", () => {
  const { lines, differ } = comparison([side("t.toml", "ring=a", null), side("x:1", "ring=a", { "s:1": "up", "b:1": "up" })]);
  expect(differ).toBe(false);
  expect(lines.at(-1)).toBe("all agree");
  expect(lines[2]).toMatch(/^x:1 +ring=a +2 up$/);
});

test("a server that is down for all is told, but is no difference", () => {
  const { lines, differ } = comparison([side("x:1", "p", { "s:1": "down (refused)" }), side("y:1", "p", { "s:1": "down (silent)" })]);
  expect([differ, lines[1]!.includes("0 up, s:1 down (refused)")]).toEqual([false, true]);
});

test("other settings, and servers that only some can reach, are differences", () => {
  const { lines, differ } = comparison([
    side("x:1", "ring=a primaries=s:1:1", { "s:1": "up" }), side("y:1", "ring=b primaries=s:1:1,t:1:1", { "s:1": "down (refused)" }),
  ]);
  expect(differ).toBe(true);
  expect(lines.slice(3)).toEqual([
    "y:1 differs from x:1: ring b instead of a", "y:1 differs from x:1: primaries also t:1:1", "s:1 is up for x:1, down (refused) for y:1",
  ]);
});
