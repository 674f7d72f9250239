// A scenario is one kind of world to run by seed: it builds hosts, lets them live for a while, and judges.
import { World, type Settings } from "./world.ts";

export interface ScenarioResult {
  /** What was wrong, in words; empty: nothing. */
  readonly violations: readonly string[];
  /** What happened, for the summary: sums over seeds are printed. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface Scenario {
  readonly name: string;
  /** How wires and kernels behave in the world of this seed. */
  settings(seed: number): Partial<Settings>;
  run(world: World): ScenarioResult;
}

export interface SeedReport extends ScenarioResult {
  readonly seed: number;
  /** Equal on every runtime, or the run is not deterministic. */
  readonly hash: string;
  readonly faults: Readonly<Record<string, number>>;
  readonly events: number;
  readonly virtualMs: number;
}

/** Runs one seed of a scenario; an exception of any handler is a violation. say receives the trace in words. */
export function runSeed(scenario: Scenario, seed: number, say?: (line: string) => void): SeedReport {
  const world = new World({ seed, settings: scenario.settings(seed), ...(say === undefined ? {} : { say }) });
  let result: ScenarioResult;
  try {
    result = scenario.run(world);
  } catch (problem) {
    const text = problem instanceof Error ? `${problem.message}\n${problem.stack ?? ""}` : String(problem);
    result = { violations: [`exception at ${world.nowUs / 1000} ms: ${text}`], counts: {} };
  }
  return {
    ...result, seed, hash: world.trace.hash(), faults: world.faults, events: world.trace.count,
    virtualMs: Math.floor(world.nowUs / 1000),
  };
}

/** Sums of counts and faults over seeds, with one hash over all of their hashes. */
export class Summary {
  seeds = 0;
  events = 0;
  readonly counts: Record<string, number> = {};
  readonly faults: Record<string, number> = {};
  readonly failed: SeedReport[] = [];
  private digest = 0x811c9dc5 | 0;

  add(report: SeedReport): void {
    this.seeds++;
    this.events += report.events;
    for (const [name, n] of Object.entries(report.counts)) {
      // Names that end in _max are not summed.
      this.counts[name] = name.endsWith("_max") ? Math.max(this.counts[name] ?? 0, n) : (this.counts[name] ?? 0) + n;
    }
    for (const [name, n] of Object.entries(report.faults)) this.faults[name] = (this.faults[name] ?? 0) + n;
    if (report.violations.length > 0) this.failed.push(report);
    for (let i = 0; i < report.hash.length; i++) this.digest = Math.imul(this.digest ^ report.hash.charCodeAt(i), 0x01000193);
  }

  /** One hash over the hashes of all seeds, in their order. */
  hash(): string {
    return (this.digest >>> 0).toString(16).padStart(8, "0");
  }
}
