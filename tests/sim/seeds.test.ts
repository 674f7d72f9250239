// Every scenario by seed: none may fail, and over all of them each kind of fault must have fired.
// TANDEM_SIM_SEEDS: how many seeds of pair-a and pair-b (default 200); of the others a part of that;
// TANDEM_SIM_START: the first one (default 1).
import { describe, expect, test } from "bun:test";
import process from "node:process";
import { ALL_KINDS } from "./faults.ts";
import { runSeed, Summary } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

const SEEDS = Number(process.env["TANDEM_SIM_SEEDS"] ?? 200);
const START = Number(process.env["TANDEM_SIM_START"] ?? 1);

/** One of so many seeds, by what a world costs; one of three where nothing is said. */
const SHARE: Readonly<Record<string, number>> = {
  "pair-a": 1, "pair-b": 1, "pair-drift": 10, "two-a": 10, "two-strict": 10, "two-workers": 10, "rings": 10, "restart-a": 20, "restart-disk": 20,
  "two-death": 20, "pair-fast": 20, "two-drift": 20, "four-a": 20, "four-strict": 20, "four-workers": 20,
  "rings-workers": 40, "rings-two": 40, "rings-faults": 40,
};

describe(`seeds ${START} to ${START + SEEDS - 1}`, () => {
  const fired = new Set<string>();

  for (const scenario of SCENARIOS) {
    test(`${scenario.name}: no violation`, () => {
      const summary = new Summary();
      const seeds = Math.ceil(SEEDS / (SHARE[scenario.name] ?? 3));
      for (let seed = START; seed < START + seeds; seed++) {
        const report = runSeed(scenario, seed);
        summary.add(report);
        const again = `./scripts/sim --seed ${seed} --scenario ${scenario.name} --trace`;
        expect(report.violations.length === 0 ? "" : `${again}\n${report.violations.join("\n")}`).toBe("");
      }
      for (const kind of Object.keys(summary.faults)) fired.add(kind);
      console.log(`${scenario.name}: ${seeds} seeds, hash ${summary.hash()}, faults ${JSON.stringify(summary.faults)}, ${JSON.stringify(summary.counts)}`);
    }, 600_000);
  }

  test("each kind of fault fired", () => {
    expect(ALL_KINDS.filter((kind) => !fired.has(kind))).toEqual([]);
  });
});
