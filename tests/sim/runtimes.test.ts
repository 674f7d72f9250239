// One seed is one run on both runtimes: the same trace hashes come out of Bun and of Deno.
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { SCENARIOS } from "./scenarios.ts";

/** Worlds that are much like others, and take long. */
const SEEDS = 25, FEW = 2;
const LONG = ["pair-drift", "pair-fast", "two-drift", "four-a", "four-strict", "four-workers", "rings-workers", "rings-two", "rings-faults"];
const SCRIPT = new URL("../../scripts/sim", import.meta.url).pathname;

/** The hash over the traces of the seeds, and the exit code, as scripts/sim reports them on a runtime. */
function hashOn(runtime: string, scenario: string): string {
  const args = ["--seeds", String(LONG.includes(scenario) ? FEW : SEEDS), "--scenario", scenario, "--keep-going", "--runtime", runtime];
  const { stdout, stderr } = spawnSync(SCRIPT, args, { encoding: "utf8" });
  const hash = /hash ([0-9a-f]{8}),/.exec(stdout);
  if (hash === null) throw new Error(`no hash from ${runtime}: ${stdout}${stderr}`);
  return hash[1]!;
}

describe("the same seeds on Bun and on Deno", () => {
  for (const { name } of SCENARIOS) {
    test(`${name}: have the same hash`, () => {
      expect(hashOn("deno", name)).toBe(hashOn("bun", name));
    }, 120_000);
  }
});
