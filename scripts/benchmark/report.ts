// From measurements to what is read: medians, ratios, the table and the goals.

import type { Result, Starts } from "./measure.ts";

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

export interface Check {
  readonly goal: string;
  readonly outcome: "met" | "missed" | "not measured";
  readonly found: string;
}

const cpuRatioGoal = 1.1;
const firstAcceptGoalMs = 50;

/** The middle of values, or NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? NaN) + upper) / 2;
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

/** What the project wants, and what was found. */
export function checksOf(report: Report): Check[] {
  const small = rowsOf(report.results).find((row) => row.profile === "small" && row.target === "tandem");
  const start = report.starts.find((starts) => starts.target === "tandem");
  const errors = report.results.reduce((sum, result) => sum + result.errors, 0);
  return [
    check(`CPU per operation at most ${cpuRatioGoal} x nutcracker, one in flight`, small?.cpuRatio ?? null, cpuRatioGoal, (found) => `${found.toFixed(2)} x`),
    check(`first accept within ${firstAcceptGoalMs} ms`, start === undefined ? null : median(start.firstAccept), firstAcceptGoalMs, (found) => `${found.toFixed(0)} ms`),
    check("no wrong or missing answer", errors, 0, (found) => `${found} errors`),
  ];
}

function check(goal: string, found: number | null, most: number, say: (found: number) => string): Check {
  if (found === null || Number.isNaN(found)) return { goal, outcome: "not measured", found: "" };
  return { goal, outcome: found <= most ? "met" : "missed", found: say(found) };
}

/** One line of a check. */
export function checkLine({ goal, outcome, found }: Check): string {
  return `check: ${goal}: ${outcome}${found === "" ? "" : ` (${found})`}`;
}

const heading = ["profile", "target", "ops/s", "CPU us/op", "least-most", "user", "system", "CPU ratio", "ops ratio", "RSS MiB", "errors"];
const startHeading = ["start", "first accept ms", "least-most", "first answer ms", "RSS MiB", "anonymous MiB"];

function cells(row: Row): string[] {
  const ratio = (value: number | null): string => (value === null ? "" : value.toFixed(2));
  const spread = `${row.cpuLeast.toFixed(2)}-${row.cpuMost.toFixed(2)}`;
  const counts = [row.perSecond.toFixed(0), row.cpu.toFixed(2), spread, row.user.toFixed(2), row.system.toFixed(2)];
  return [row.profile, row.target, ...counts, ratio(row.cpuRatio), ratio(row.perSecondRatio), row.residentMiB.toFixed(1), String(row.errors)];
}

function startCells(starts: Starts): string[] {
  const spread = `${Math.min(...starts.firstAccept).toFixed(1)}-${Math.max(...starts.firstAccept).toFixed(1)}`;
  const { resident, anonymous } = starts.memory;
  const medians = [median(starts.firstAccept).toFixed(1), spread, median(starts.firstAnswer).toFixed(1)];
  return [starts.target, ...medians, (resident / 1024).toFixed(1), (anonymous / 1024).toFixed(1)];
}

/** Cells under headings, as a Markdown table that is also aligned for a terminal. */
export function table(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  const pad = (cell: string, column: number): string => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0));
  const text = lines.map((line) => `| ${line.map(pad).join(" | ")} |`);
  const rule = `|${widths.map((width, column) => (column < 2 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [text[0], rule, ...text.slice(1)].join("\n");
}

/** The table of results. */
export function resultTable(results: readonly Result[]): string {
  return table([heading, ...rowsOf(results).map(cells)]);
}

/** The table of starts. */
export function startTable(starts: readonly Starts[]): string {
  return table([startHeading, ...starts.map(startCells)]);
}

/** A sentence when other processes disturbed the runs by more than a tenth of a processor, else nothing. */
export function disturbance(results: readonly Result[]): string {
  const most = Math.max(0, ...results.flatMap((result) => result.runs.map((run) => run.elsewhere)));
  return most > 0.1 ? `note: other processes used up to ${(most * 100).toFixed(0)} % of a processor during a run` : "";
}

/** The whole report as Markdown; profiles: a name and a sentence for each. */
export function markdown(report: Report, profiles: readonly { readonly name: string; readonly says: string }[]): string {
  const { machine, settings } = report;
  const parts = [
    "# Benchmark",
    `${report.date}, ${machine.processor}, ${machine.cores} cores, ${machine.memoryMiB} MiB, Linux ${machine.kernel}. Medians of runs of ${settings.seconds} s (${settings.runs} of each target, in turn)${settings.quick ? ": --quick, a glance and not a figure to quote" : ""}.`,
    `CPU is the proxy process's own ("direct": the memcached's); the ratios are medians over pairs of neighbouring runs, to nutcracker: of CPU per operation, less is better; of operations a second, more is better. Generator, proxies and servers share the ${machine.cores} cores.`,
    profiles.map((profile) => `- ${profile.name}: ${profile.says}`).join("\n"),
    resultTable(report.results),
    report.starts.length > 0 ? startTable(report.starts) : "",
    disturbance(report.results),
    checksOf(report).map((one) => `- ${checkLine(one)}`).join("\n"),
    Object.entries(report.versions).map(([name, version]) => `${name}: ${version}`).join(" · "),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
