// A proxy that forgets with its process, or believes what it finds without proof, is found out when it is restarted.
import { describe, expect, test } from "bun:test";
import type { Verdict } from "../../src/replication/verdict.ts";
import type { PairWorld } from "./pair_world.ts";
import { restartScenario } from "./restart_scenario.ts";
import { runSeed } from "./scenario.ts";

const SEEDS_MAX = 60;

/** from: where to begin to look, for those that take long. */
function found(bend: (pair: PairWorld) => void, from = 1, disk = false): void {
  const scenario = restartScenario(bend, disk);
  for (let seed = from; seed < from + SEEDS_MAX; seed++) {
    const [violation] = runSeed(scenario, seed).violations;
    if (violation === undefined) continue;
    console.log(`seed ${seed}: ${violation.split("\n")[0]}`);
    return;
  }
  expect("found out").toBe("not found out");
}

/** Changes what each proxy concludes from what earlier ones left. */
function believing(change: (verdict: Verdict) => void): (pair: PairWorld) => void {
  return (pair) => {
    const memory = pair.proxy.pool.memory!;
    const recalled = memory.recalled.bind(memory);
    memory.recalled = (verdict, servers) => {
      change(verdict);
      recalled(verdict, servers);
    };
  };
}

describe("a proxy", () => {
  test("that writes nothing down and reads nothing serves old values after a restart", () => {
    found((pair) => Object.assign(pair.proxy.pool, { memory: null }), 5);
  }, 300_000);

  test("that does not believe marks serves old values", () => {
    found(believing((verdict) => verdict.lacks.clear()), 5);
  }, 300_000);

  test("that trusts hints whether they are complete or not serves old values", () => {
    found(believing(({ lacks }) => {
      for (const all of lacks.values()) all.forEach((lack, i) => void (all[i] = lack.why?.startsWith("hints") === true ? { ...lack, why: null } : lack));
    }), 20);
  }, 300_000);

  test("that answers a write and writes the hint later loses it with its process", () => {
    found((pair) => {
      const { hints } = pair.proxy.pool.memory!;
      const missed = hints.missed.bind(hints);
      hints.missed = (of, key, side) => pair.world.after(400_000, () => missed(of, key, side));
    });
  }, 300_000);

  test("that does not notice a restart which nobody saw loses what was stored", () => {
    found(believing((verdict) => verdict.lost.clear()), 15);
  }, 300_000);

  test("that does not read what it wrote to its disk serves old values when the server that took them is restarted too", () => {
    found((pair) => Object.assign(pair.proxy.pool.memory!, { filed: () => [] }), 1, true);
  }, 300_000);

  test("that takes a mark back before the last key is copied serves old values", () => {
    found((pair) => {
      const memory = pair.proxy.pool.memory!;
      const lacking = memory.lacking.bind(memory);
      memory.lacking = (of, side) => {
        const lacks = lacking(of, side);
        return lacks === "keys" ? null : lacks;
      };
    }, 5);
  }, 300_000);
});
