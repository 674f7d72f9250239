// Who is trusted for a key, by the states of both sides and the key's entry; locks; entries.
import { describe, expect, test } from "bun:test";
import { Pair, type Side } from "../../src/replication/pair.ts";
import type { Server } from "../../src/backend/server.ts";

/** What a pair looks at of a server, in short: state, "cold" when it lost its memory, "owing" when it is still to do a flush_all. */
type Look = "up" | "suspect" | "down" | "rejoin" | "cold" | "owing";

function server(look: Look): Server {
  const cold = look === "cold" || look === "owing";
  const state = cold ? "rejoin" : look;
  const seen = { state, cold, unflushed: look === "owing", leads: look === "up" || look === "suspect" };
  return seen as Partial<Server> as Server;
}

// primary, backup, entry of the key: -, P (the primary lacks it) or B; then the lead, and whether P and B may answer.
const TABLE: readonly string[] = [
  "up       up       - P  PB",
  "up       up       P B  .B",
  "up       up       B P  P.",
  "suspect  up       - P  PB",
  "suspect  up       P B  .B",
  "down     up       - B  .B",
  "down     up       P B  .B",
  "down     up       B P  ..",
  "rejoin   up       - B  PB",
  "rejoin   up       P B  .B",
  "rejoin   up       B P  P.",
  "cold     up       - B  .B",
  "cold     up       B P  ..",
  "up       down     - P  P.",
  "up       down     P B  ..",
  "up       rejoin   - P  PB",
  "up       cold     - P  P.",
  "down     down     - B  ..",
  "down     rejoin   - B  .B",
  "down     suspect  - B  .B",
  "down     cold     - B  .B",
  "cold     down     - P  P.",
  "rejoin   down     - P  P.",
  "rejoin   rejoin   - P  PB",
  "cold     rejoin   - B  .B",
  "rejoin   cold     - P  P.",
  "cold     owing    - P  ..",
  "owing    cold     - B  ..",
  "owing    rejoin   - B  .B",
  "suspect  suspect  - P  PB",
  "suspect  suspect  B P  P.",
];

test("leads and substitutes by state", () => {
  for (const row of TABLE) {
    const [primary, backup, entry] = row.split(/ +/) as [Look, Look, string];
    const pair = new Pair(server(primary), server(backup));
    if (entry !== "-") pair.mark("k", entry === "P" ? 0 : 1);
    const may = ([0, 1] as const).map((side) => (pair.mayServe(side, "k") ? "PB"[side] : ".")).join("");
    expect(`${primary.padEnd(9)}${backup.padEnd(9)}${entry} ${"PB"[pair.leadOf("k")]}  ${may}`).toBe(row);
  }
});

test("without a backup the primary leads, whatever its state", () => {
  for (const look of ["up", "suspect", "down", "rejoin"] as const) {
    const pair = new Pair(server(look), null);
    pair.mark("k", 0);
    expect([pair.leadOf("k"), pair.stale.size, pair.mayServe(1, "k")]).toEqual([0, 0, false]);
  }
});

test("neither is trusted: who lacks more than is known of the pair's keys does not lead, whatever its peers of other pairs think", () => {
  for (const [primary, backup, overflow, lead] of [
    ["rejoin", "rejoin", 0, 1], ["rejoin", "rejoin", 1, 0], ["rejoin", "down", 0, 0], ["down", "rejoin", 1, 1], ["cold", "rejoin", 1, 1], ["rejoin", "cold", 0, 0],
  ] as const) {
    const pair = new Pair(server(primary), server(backup));
    pair.overflow[overflow] = true;
    expect([primary, backup, overflow, pair.leadOf("k")]).toEqual([primary, backup, overflow, lead]);
  }
});

test("neither is trusted: nothing is copied from who lacks more to the other", () => {
  for (const [primary, backup, overflow, to, held] of [
    ["cold", "rejoin", 1, 1, false], ["cold", "rejoin", 1, 0, true], ["rejoin", "cold", 0, 0, false], ["rejoin", "rejoin", 0, 1, false],
    ["rejoin", "rejoin", 0, 0, true], ["owing", "cold", 1, 1, false], ["cold", "up", 1, 0, true], ["up", "rejoin", 1, 1, true],
  ] as const) {
    const pair = new Pair(server(primary), server(backup));
    pair.overflow[overflow] = true;
    const lead = pair.leadOf("k");
    expect([primary, backup, overflow, to, pair.hold("k", to) !== 0]).toEqual([primary, backup, overflow, to, held]);
    expect(pair.leadOf("k")).toBe(lead);
  }
});

test("both lost their memory: each is given what the other has by now", () => {
  for (const to of [0, 1] as const) {
    const pair = new Pair(server("cold"), server("cold"));
    expect(pair.leadOf("k")).toBe(1);
    expect([pair.hold("k", to) !== 0, pair.leadOf("k")]).toEqual([true, to === 0 ? 1 : 0]);
  }
});

test("a side whose list overflowed is not read while the other is there", () => {
  const pair = new Pair(server("suspect"), server("rejoin"));
  pair.overflow[1] = true;
  expect(pair.mayServe(1, "k")).toBe(false);
  const alone = new Pair(server("down"), server("rejoin"));
  alone.overflow[1] = true;
  expect(alone.mayServe(1, "k")).toBe(true);
});

describe("entries", () => {
  test("marking turns the side and renews the generation; the counts follow", () => {
    const pair = new Pair(server("up"), server("up"));
    pair.mark("a", 0);
    pair.mark("b", 0);
    const first = pair.stale.get("a")!.generation;
    pair.mark("a", 1);
    expect([pair.stale.get("a")!.side, pair.stale.get("a")!.generation > first, pair.lacking]).toEqual([1, true, [1, 1]]);
    pair.clear("a");
    pair.clear("a");
    pair.clear("nothing");
    expect(pair.lacking).toEqual([1, 0]);
  });
  test("beyond what is remembered the side is to be compared as a whole", () => {
    const pair = new Pair(server("up"), server("up"), { entries: 0, max: 10 });
    for (let i = 0; i < 10; i++) pair.mark(`${i}`, 1);
    expect(pair.overflow).toEqual([false, false]);
    pair.mark("one more", 1);
    pair.mark("7", 0);
    expect([pair.overflow, pair.stale.size, pair.lacking]).toEqual([[false, true], 10, [1, 9]]);
  });
});

test("a lock passes from one to the next in the order of asking", () => {
  const pair = new Pair(server("up"), server("up"));
  const heard: string[] = [];
  const waiter = (name: string) => ({ lockGranted: () => void heard.push(name) });
  expect([pair.lock("k", waiter("a")), pair.lock("k", waiter("b")), pair.lock("k", waiter("c")), pair.lock("j", waiter("d"))])
    .toEqual([true, false, false, true]);
  pair.unlock("k");
  expect(heard).toEqual(["b"]);
  pair.unlock("k");
  pair.unlock("k");
  expect([heard, [...pair.locks.keys()]]).toEqual([["b", "c"], ["j"]]);
});

const SIDES: readonly Side[] = [0, 1];
test("the two sides are each other's other", () => {
  for (const side of SIDES) expect(new Pair(server("up"), server("down")).server(side)!.state).toBe(side === 0 ? "up" : "down");
});

test("strict: a side that others distrust waits for the other one while we have just begun", () => {
  const starting = { ...server("down"), health: { reason: "starting" } }, fenced = { ...server("up"), fenced: true };
  for (const distrusted of [0, 1] as const) {
    const sides = distrusted === 0 ? [fenced, starting] : [starting, fenced];
    const pair = new Pair(sides[0] as Server, sides[1] as Server);
    pair.strict = { distrusts: () => false, wellKnown: () => true };
    expect([pair.usualLead, pair.leadOf("k"), pair.mayServe(distrusted, null)]).toEqual([-1, (1 - distrusted) as Side, false]);
    starting.health.reason = "connect_timeout";
    expect([pair.usualLead, pair.leadOf("k"), pair.mayServe(distrusted, null)]).toEqual([distrusted, distrusted, true]);
    starting.health.reason = "starting";
  }
});

test("strict: a side that is not well known waits for the other one while we have just begun, also to answer in its place", () => {
  const starting = { ...server("down"), health: { reason: "starting" } }, trusted = server("up");
  for (const side of [0, 1] as const) {
    const sides = side === 0 ? [trusted, starting] : [starting, trusted];
    const pair = new Pair(sides[0] as Server, sides[1] as Server);
    pair.strict = { distrusts: () => false, wellKnown: () => false };
    expect([pair.usualLead, pair.leadOf("k"), pair.mayServe(side, null)]).toEqual([-1, (1 - side) as Side, false]);
  }
});
