// A proxy that leaves out one of its safeguards is found out: the simulation can fail.
import { describe, expect, test } from "bun:test";
import { type Mood, pairScenario } from "./pair_scenario.ts";
import type { PairWorld } from "./pair_world.ts";
import { runSeed } from "./scenario.ts";

const SEEDS_MAX = 200;

/** The first seed that fails, and how; null when none does. */
function firstFailure(mood: Mood, bend: (pair: PairWorld) => void): string | null {
  const scenario = pairScenario(mood, bend);
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const [violation] = runSeed(scenario, seed).violations;
    if (violation !== undefined) return `seed ${seed}: ${violation}`;
  }
  return null;
}

function found(mood: Mood, bend: (pair: PairWorld) => void): void {
  const failure = firstFailure(mood, bend);
  console.log(failure === null ? "not found out" : failure.split("\n")[0]);
  expect(failure === null).toBe(false);
}

describe("a proxy", () => {
  test("whose abort is a plain close executes bytes of dead connections", () => {
    found("zombie", (pair) => (pair.proxyHost.process!.gentle = true));
  }, 300_000);

  test("without the zombie barrier executes bytes of dead connections", () => {
    found("zombie", (pair) => {
      for (const server of pair.proxy.pool.servers) server.ghosts.add = () => server.ghosts;
    });
  }, 300_000);

  test("that forgets which keys a server lacks serves old values", () => {
    found("A", (pair) => {
      for (const each of pair.proxy.pool.pairs) each.mark = () => {};
    });
  }, 300_000);

  test("that gives two writes one version takes different values for the same", () => {
    found("A", (pair) => {
      pair.proxy.pool.versions.next = () => {};
    });
  }, 300_000);

  test("that trusts a restarted server at once loses what was stored", () => {
    found("A", (pair) => {
      pair.proxy.pool.memoryLost = () => {};
    });
  }, 300_000);
});
