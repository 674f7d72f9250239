// From measurements to rows: medians over runs, ratios over pairs of neighbouring runs.

import type { Result, Starts } from "./measure.ts";
import { median } from "./median.ts";
import type { Figure } from "./trial.ts";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly kernel: string;
}

export interface Report {
  readonly date: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: { readonly runs: number; readonly seconds: number; readonly quick: boolean };
  readonly starts: readonly Starts[];
  readonly results: readonly Result[];
  readonly figures: readonly Figure[];
}

export interface Row {
  readonly profile: string;
  readonly target: string;
  /** Medians over the runs; cpu, user and system in microseconds per operation. */
  readonly perSecond: number;
  readonly cpu: number;
  readonly cpuLeast: number;
  readonly cpuMost: number;
  readonly user: number;
  readonly system: number;
  /** Median over pairs of neighbouring runs, to nutcracker under the same profile; null where there is nothing to compare. */
  readonly cpuRatio: number | null;
  readonly perSecondRatio: number | null;
  readonly residentMiB: number;
  readonly errors: number;
}

/** One row for each profile and target. */
export function rowsOf(results: readonly Result[]): Row[] {
  return results.map((result) => {
    const middle = (what: "perSecond" | "cpu" | "user" | "system"): number => median(result.runs.map((run) => run[what]));
    const peer = results.find((other) => other.profile === result.profile && other.target === "nutcracker")?.runs;
    // Run by run, since neighbours in time meet the same disturbances.
    const ratio = (what: "perSecond" | "cpu"): number | null => (peer === undefined ? null : median(result.runs.map((run, i) => run[what] / (peer[i]?.[what] ?? NaN))));
    const proxied = result.target !== "direct"; // its CPU time is the memcached's: nothing to compare
    const cpus = result.runs.map((run) => run.cpu);
    return {
      profile: result.profile,
      target: result.target,
      perSecond: middle("perSecond"),
      cpu: middle("cpu"),
      cpuLeast: Math.min(...cpus),
      cpuMost: Math.max(...cpus),
      user: middle("user"),
      system: middle("system"),
      cpuRatio: proxied ? ratio("cpu") : null,
      perSecondRatio: ratio("perSecond"),
      residentMiB: result.memory.resident / 1024,
      errors: result.errors,
    };
  });
}
