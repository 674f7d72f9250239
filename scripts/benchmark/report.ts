// What is read of a report: tables, lines, Markdown.

import { type Check, checksOf } from "./goals.ts";
import type { Result, Starts } from "./measure.ts";
import { median } from "./median.ts";
import { type Report, type Row, rowsOf } from "./rows.ts";
import type { Figure } from "./trial.ts";

/** One line of a check. */
export function checkLine({ of, goal, outcome, found }: Check): string {
  return `check: ${of}: ${goal}: ${outcome}${found === "" ? "" : ` (${found})`}`;
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

/** The table of what trials found. */
export function figureTable(figures: readonly Figure[]): string {
  const value = (number: number): string => (Number.isInteger(number) ? String(number) : number.toFixed(3));
  return table([["trial", "target", "what", "found"], ...figures.map((one) => [one.trial, one.target, one.what, `${value(one.value)} ${one.unit}`.trim()])]);
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
    report.results.length > 0 ? resultTable(report.results) : "",
    report.figures.length > 0 ? figureTable(report.figures) : "",
    report.starts.length > 0 ? startTable(report.starts) : "",
    disturbance(report.results),
    checksOf(report).map((one) => `- ${checkLine(one)}`).join("\n"),
    Object.entries(report.versions).map(([name, version]) => `${name}: ${version}`).join(" · "),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
