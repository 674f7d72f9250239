// The goals, one table: what `bench --check` compares with, and what the chart marks.

import { median } from "./median.ts";
import { type Report, rowsOf } from "./rows.ts";

export interface Goal {
  /** The profile or trial that measures it; "start": the starts; "all": every profile. */
  readonly of: string;
  readonly says: string;
  readonly unit: string;
  readonly most: number;
  /** At least so much instead. */
  readonly least?: number;
  /** What was found; null or NaN: not measured. */
  readonly find: (report: Report) => number | null;
}

export interface Check {
  readonly of: string;
  readonly goal: string;
  readonly outcome: "met" | "missed" | "not measured";
  readonly found: string;
}

const CPU = "CPU per operation over nutcracker's";

export const goals: readonly Goal[] = [
  cpu("small", 0.9),
  cpu("clients-1000", 0.85),
  cpu("pipeline-16", 1),
  cpu("multiget-100", 1),
  cpu("get-1k", 0.95),
  cpu("set-1k", 0.95),
  cpu("mixed-20k", 1),
  cpu("mixed-500k", 1),
  resident("mixed-20k"),
  resident("mixed-500k"),
  { of: "small", says: "CPU with a backup over without", unit: "x", most: 1.15, find: (report) => paired(report, "small", "tandem+backup", "tandem") },
  { of: "small", says: "user time an operation", unit: "us", most: 1.5, find: (report) => rowOf(report, "small", "tandem")?.user ?? null },
  latency("p50"),
  latency("p99"),
  { of: "gc", says: "longest pause at 50,000 operations a second", unit: "ms", most: 5, find: (report) => figure(report, "gc", "tandem", "longest pause") },
  { of: "idle", says: "memory of an idle client", unit: "KiB", most: 1.5, find: (report) => figure(report, "idle", "tandem", "memory each") },
  { of: "burst", says: "10,000 connects answered", unit: "ms", most: 1000, find: (report) => figure(report, "burst", "tandem", "all answered") },
  { of: "burst", says: "connects that the kernel dropped", unit: "", most: 0, find: (report) => figure(report, "burst", "tandem", "dropped") },
  { of: "churn", says: "memory after 100,000 short connections over before", unit: "x", most: 1.1, find: (report) => figure(report, "churn", "tandem", "after over before") },
  { of: "hot-key", says: "server's gets for 1000 of clients", unit: "", most: 1, find: (report) => figure(report, "hot-key", "tandem (on)", "server's gets for 1000 of clients") },
  { of: "workers", says: "CPU per operation of two workers over one's", unit: "x", most: 1.1, find: (report) => figure(report, "workers", "tandem", "two over one") },
  { of: "workers", says: "load that two carry over one's", unit: "x", most: Infinity, least: 1.7, find: (report) => figure(report, "workers", "tandem", "load that two carry over one's") },
  {
    of: "start", says: "first accept", unit: "ms", most: 50,
    find: (report) => {
      const start = report.starts.find((starts) => starts.target === "tandem");
      return start === undefined ? null : median(start.firstAccept);
    },
  },
  { of: "all", says: "wrong or missing answers", unit: "", most: 0, find: (report) => report.results.reduce((sum, result) => sum + result.errors, 0) },
];

function cpu(profile: string, most: number): Goal {
  return { of: profile, says: CPU, unit: "x", most, find: (report) => rowOf(report, profile, "tandem")?.cpuRatio ?? null };
}

function resident(profile: string): Goal {
  return {
    of: profile, says: "resident memory over nutcracker's", unit: "x", most: 1,
    find: (report) => {
      const [own, peer] = [rowOf(report, profile, "tandem"), rowOf(report, profile, "nutcracker")];
      return own === undefined || peer === undefined ? null : own.residentMiB / peer.residentMiB;
    },
  };
}

function latency(what: string): Goal {
  return {
    of: "latency", says: `${what} at a fifth of the load over nutcracker's`, unit: "x", most: 1,
    find: (report) => {
      const [own, peer] = [figure(report, "latency", "tandem", what), figure(report, "latency", "nutcracker", what)];
      return own === null || peer === null ? null : own / peer;
    },
  };
}

function rowOf(report: Report, profile: string, target: string) {
  return rowsOf(report.results).find((row) => row.profile === profile && row.target === target);
}

/** Median over pairs of neighbouring runs of one target's CPU per operation to another's. */
function paired(report: Report, profile: string, target: string, other: string): number | null {
  const runs = (name: string) => report.results.find((result) => result.profile === profile && result.target === name)?.runs;
  const [own, base] = [runs(target), runs(other)];
  if (own === undefined || base === undefined) return null;
  return median(own.map((run, i) => run.cpu / (base[i]?.cpu ?? NaN)));
}

function figure(report: Report, trial: string, target: string, what: string): number | null {
  return report.figures.find((one) => one.trial === trial && one.target === target && one.what === what)?.value ?? null;
}

/** Every goal with what was found. */
export function checksOf(report: Report): Check[] {
  return goals.map(({ of, says, unit, most, least = -Infinity, find }) => {
    const goal = `${says} ${least === -Infinity ? `at most ${most}` : `at least ${least}`}${unit === "" ? "" : ` ${unit}`}`;
    const found = find(report);
    if (found === null || Number.isNaN(found)) return { of, goal, outcome: "not measured", found: "" };
    return { of, goal, outcome: found <= most && found >= least ? "met" : "missed", found: `${round(found)}${unit === "" ? "" : ` ${unit}`}` };
  });
}

function round(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
}
