// The benchmark's command: reads the flags, runs profiles and starts, prints the tables, writes dist/bench.json, .md and .svg.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { measure, measureStarts, type Result, type Settings, type Starts } from "./benchmark/measure.ts";
import { Processes } from "./benchmark/processes.ts";
import { chart } from "./benchmark/chart.ts";
import { checksOf } from "./benchmark/goals.ts";
import { long, profiles, trials } from "./benchmark/profiles.ts";
import { checkLine, disturbance, figureTable, markdown, resultTable, startTable } from "./benchmark/report.ts";
import { type Report, rowsOf } from "./benchmark/rows.ts";
import { targetNames } from "./benchmark/targets.ts";
import type { Figure } from "./benchmark/trial.ts";

const help = `scripts/bench [flags] [PROFILE ...]: tandem beside nutcracker and a direct memcached; all profiles by default
  --list               the profiles, and no run
  --check              says which goals are missed; with one missed the exit code is 1
  --quick              one short run each, under a minute in all: what takes long is left out unless it is named
  --keep               what is not run now keeps its figures of the last bench.json
  --runs N             runs of each target that count (default 5)
  --seconds N          length of a run, 1 to 20 (default 4)
  --tandem-cmd WORDS   what to start in place of dist/tandem
  --out DIR            where bench.json, .md and .svg go (default dist)`;

const binary = "dist/tandem";

function fail(line: string): never {
  console.error(`bench: ${line}`);
  process.exit(2);
}

function readFlags() {
  const options = {
    list: { type: "boolean" },
    quick: { type: "boolean" },
    check: { type: "boolean" },
    keep: { type: "boolean" },
    help: { type: "boolean", short: "h" },
    runs: { type: "string" },
    seconds: { type: "string" },
    "tandem-cmd": { type: "string" },
    out: { type: "string", default: "dist" },
  } as const;
  try {
    return parseArgs({ args: Bun.argv.slice(2), options, allowPositionals: true });
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function count(flag: string, text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) fail(`--${flag} ${text}: a whole number from 1 to ${most} is needed`);
  return value;
}

const { values, positionals } = readFlags();
if (values.help) {
  console.log(help);
  process.exit(0);
}
if (values.list) {
  for (const { name, says } of [...profiles, ...trials]) console.log(`${name.padEnd(12)} ${says}`);
  process.exit(0);
}
const names = ["start", ...[...profiles, ...trials].map(({ name }) => name)];
for (const name of positionals) if (!names.includes(name)) fail(`no profile "${name}"; there are ${names.join(", ")}`);
const quick = values.quick ?? false;
const wanted = ({ name }: { readonly name: string }): boolean => (positionals.length === 0 ? !(quick && long.includes(name)) : positionals.includes(name));
const chosen = profiles.filter(wanted);
const tried = trials.filter(wanted);

const packages = { memcached: "memcached", nutcracker: "nutcracker", memcaslap: "libmemcached-tools" };
const absent = Object.entries(packages).filter(([program]) => Bun.which(program) === null);
if (absent.length > 0) fail(`missing ${absent.map(([program]) => program).join(", ")}; as root: apt-get install ${absent.map(([, name]) => name).join(" ")}`);

const tandemCommand = values["tandem-cmd"]?.split(" ").filter((word) => word !== "") ?? (existsSync(binary) ? [`${process.cwd()}/${binary}`] : []);
if (tandemCommand.length === 0) console.log(`${binary} is not there (scripts/build makes it): nutcracker and direct memcached only`);

const processes = new Processes();
const scratch = mkdtempSync(`${tmpdir()}/bench-`);
let leaving = false;

/** Ends the benchmark once: the first caller's code counts, whatever fails because of it. */
async function leave(code: number, line = ""): Promise<void> {
  if (leaving) return;
  leaving = true;
  await processes.killAll();
  if (line !== "") console.error(`bench: ${line}`);
  rmSync(scratch, { recursive: true, force: true });
  process.exit(code);
}
process.on("SIGINT", () => void leave(130));
process.on("SIGTERM", () => void leave(143));
process.on("SIGHUP", () => void leave(129));

const settings: Settings = {
  runs: count("runs", values.runs, quick ? 1 : 5, 100),
  seconds: count("seconds", values.seconds, quick ? 1 : 4, 20),
  warmupSeconds: quick ? 1 : 2,
  starts: quick ? 3 : 11,
  quick,
  tandemCommand,
  targets: targetNames.filter((name) => (tandemCommand.length > 0 || !name.startsWith("tandem")) && !(quick && name === "direct")),
  scratch,
};

async function firstLine(argv: readonly string[]): Promise<string> {
  const { output } = await processes.run(argv, 5000);
  return output.trim().split("\n")[0]?.trim() ?? "";
}

/** The last report, of which all counts but what is measured now. */
function lastReport(): Pick<Report, "starts" | "results" | "figures"> {
  const path = `${values.out}/bench.json`;
  if (!(values.keep ?? false) || !existsSync(path)) return { starts: [], results: [], figures: [] };
  return JSON.parse(readFileSync(path, "utf8")) as Report;
}

async function main(): Promise<boolean> {
  const versions: Record<string, string> = {
    memcached: await firstLine(["memcached", "-V"]),
    nutcracker: await firstLine(["nutcracker", "--version"]),
    memcaslap: await firstLine(["memcaslap", "-V"]),
    bun: Bun.version,
  };
  if (tandemCommand.length > 0) versions.tandem = await firstLine([...tandemCommand, "version"]);

  let starts: Starts[] = [];
  if (wanted({ name: "start" })) {
    starts = await measureStarts(processes, settings);
    console.log(`${startTable(starts)}\n`);
  }
  const results: Result[] = [];
  for (const profile of chosen) {
    console.log(`${profile.name}: ${profile.says}`);
    const found = await measure(processes, profile, settings);
    console.log(`${resultTable(found)}\n`);
    for (const { target, errors, firstError } of found) if (errors > 0) console.log(`error: ${profile.name}, ${target}: ${errors} errors, the first: ${firstError}`);
    results.push(...found);
  }
  const figures: Figure[] = [];
  for (const trial of tried) {
    console.log(`${trial.name}: ${trial.says}`);
    const found = await trial.run(processes, settings);
    console.log(`${figureTable(found)}\n`);
    figures.push(...found);
  }

  const last = lastReport();
  const inOrder = <T>(items: readonly T[], nameOf: (item: T) => string): T[] => [...items].sort((a, b) => names.indexOf(nameOf(a)) - names.indexOf(nameOf(b)));
  const allResults = inOrder([...last.results.filter(({ profile }) => !wanted({ name: profile })), ...results], ({ profile }) => profile);
  const allFigures = inOrder([...last.figures.filter(({ trial }) => !wanted({ name: trial })), ...figures], ({ trial }) => trial);
  const processor = cpus()[0]?.model ?? "unknown";
  const machine = { processor, cores: cpus().length, memoryMiB: Math.round(totalmem() / 2 ** 20), kernel: release() };
  const report: Report = {
    date: new Date().toISOString(), machine, versions, settings: { runs: settings.runs, seconds: settings.seconds, quick },
    starts: starts.length > 0 ? starts : last.starts, results: allResults, figures: allFigures,
  };
  const checks = checksOf(report);
  mkdirSync(values.out, { recursive: true });
  await Bun.write(`${values.out}/bench.json`, `${JSON.stringify({ ...report, rows: rowsOf(allResults), checks }, null, 2)}\n`);
  await Bun.write(`${values.out}/bench.md`, markdown(report, [...profiles, ...trials]));
  await Bun.write(`${values.out}/bench.svg`, chart(report));
  const note = disturbance(results);
  if (note !== "") console.log(note);
  for (const check of checks) console.log(checkLine(check));
  console.log(`written: ${values.out}/bench.json ${values.out}/bench.md ${values.out}/bench.svg`);
  const missed = checks.filter(({ outcome }) => outcome === "missed");
  if (values.check ?? false) console.log(missed.length === 0 ? "no goal is missed" : `${missed.length} goals are missed`);
  return results.every((result) => result.errors === 0) && !((values.check ?? false) && missed.length > 0);
}

try {
  const clean = await main();
  await leave(clean ? 0 : 1);
} catch (error) {
  await leave(2, error instanceof Error ? error.message : String(error));
}
