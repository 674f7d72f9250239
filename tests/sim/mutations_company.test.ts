// Proxies that leave out one of the safeguards between them are found out: the simulation can fail.
import { describe, expect, test } from "bun:test";
import type { Notice } from "../../src/replication/notice.ts";
import { companyScenario, type Kind } from "./company_scenario.ts";
import type { PairWorld } from "./pair_world.ts";
import { runSeed } from "./scenario.ts";

const SEEDS_MAX = 200;

/** Some seed from first on fails. */
function found(first: number, bend: (pair: PairWorld) => void, kind: Kind = "two-a"): void {
  const scenario = companyScenario(kind, bend);
  let failure: string | undefined;
  for (let seed = first; seed < first + SEEDS_MAX && failure === undefined; seed++) {
    const [violation] = runSeed(scenario, seed).violations;
    if (violation !== undefined) failure = `seed ${seed}: ${violation.split("\n")[0]}`;
  }
  console.log(failure ?? "not found out");
  expect(failure === undefined).toBe(false);
}

describe("proxies over the same servers", () => {
  test("that do not fence what another one distrusts stay of two minds", () => {
    found(1, ({ proxies }) => {
      for (const { pool } of proxies) pool.board!.read = () => {};
    });
  }, 300_000);

  test("that are workers and answer before the others know show what was replaced", () => {
    found(1, ({ proxies }) => {
      for (const { pool } of proxies) Object.assign(pool.siblings!, { knows: () => true, learn: () => {} });
    }, "two-workers");
  }, 300_000);

  test("that do not verify leave both sides different", () => {
    found(1, ({ proxies }) => {
      for (const { pool } of proxies) pool.verifier.wrote = () => {};
    });
  }, 300_000);

  test("that take any copy of a notice for the newest are misled by an old one", () => {
    found(1, ({ proxies }) => {
      for (const { pool } of proxies) {
        const board = pool.board!;
        const read = board.read.bind(board);
        let seq = 10 ** 14;
        board.read = (wall, id, notice: Notice | null) => read(wall, id, notice === null || id === pool.proxyId ? notice : { ...notice, seq: ++seq });
      }
    });
  }, 300_000);
});
