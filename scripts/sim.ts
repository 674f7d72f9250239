// Runs simulated worlds by seed and says which failed and how to see it again. Called by scripts/sim, on either runtime.
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import process from "node:process";
import { ALL_KINDS } from "../tests/sim/faults.ts";
import { entriesOf, lineOf, tableOf, totals } from "../tests/sim/ledger.ts";
import { findOut, MUTATIONS } from "../tests/sim/mutations.ts";
import { runSeed, Summary } from "../tests/sim/scenario.ts";
import { scenario, SCENARIOS } from "../tests/sim/scenarios.ts";

const USAGE = `usage: scripts/sim [--seeds N] [--start S] [--scenario NAME] [--runtime bun|deno] [--keep-going]
                   [--jobs N] [--ledger FILE]
       scripts/sim --seed N [--trace] [--scenario NAME] [--runtime bun|deno]
       scripts/sim --total FILE
       scripts/sim --mutations
--jobs: that many processes share the seeds; --ledger: appends what was run (dist/sim.ledger is ignored by git);
--total: what a ledger adds up to; --mutations: breaks the proxy in every known way, each of which must be found out
scenarios: ${SCENARIOS.map((one) => one.name).join(", ")}`;

interface Wish {
  seeds: number;
  start: number;
  seed: number | null;
  trace: boolean;
  name: string;
  keepGoing: boolean;
  jobs: number;
  ledger: string | null;
  total: string | null;
  mutations: boolean;
}

/** A run that is stopped has its seeds in the ledger, but for the last few: ms between entries. */
const ENTRY_MS = 30_000;

function refuse(problem: string): never {
  process.stderr.write(`${problem}\n${USAGE}\n`);
  process.exit(2);
}

function read(argv: readonly string[]): Wish {
  const wish: Wish = { seeds: 100, start: 1, seed: null, trace: false, name: SCENARIOS[0]!.name, keepGoing: false, jobs: 1, ledger: null, total: null, mutations: false };
  for (let i = 0; i < argv.length; i++) {
    const flag = argv[i]!;
    const number = (): number => {
      const value = Number(argv[++i]);
      if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) refuse(`${flag}: ${argv[i]} is not a whole number below 2^32`);
      return value;
    };
    if (flag === "--seeds") wish.seeds = number();
    else if (flag === "--start") wish.start = number();
    else if (flag === "--seed") wish.seed = number();
    else if (flag === "--trace") wish.trace = true;
    else if (flag === "--mutations") wish.mutations = true;
    else if (flag === "--keep-going") wish.keepGoing = true;
    else if (flag === "--jobs") wish.jobs = Math.max(1, number());
    else if (flag === "--ledger" || flag === "--total") {
      const file = argv[++i];
      if (file === undefined) refuse(`${flag}: a file is wanted`);
      wish[flag === "--ledger" ? "ledger" : "total"] = file;
    } else if (flag === "--scenario") wish.name = argv[++i] ?? "";
    else refuse(`${flag}: unknown`);
  }
  return wish;
}

function table(title: string, numbers: Readonly<Record<string, number>>): string {
  const names = Object.keys(numbers).sort();
  return `${title}: ${names.map((name) => `${name} ${numbers[name]}`).join(", ")}\n`;
}

const wish = read(process.argv.slice(2));
if (wish.total !== null) {
  let text = "";
  try {
    text = readFileSync(wish.total, "utf8");
  } catch (problem) {
    refuse(`--total: ${(problem as Error).message}`);
  }
  process.stdout.write(tableOf(totals(entriesOf(text))));
  process.exit(0);
}
if (wish.mutations) {
  let missed = 0;
  for (const mutation of MUTATIONS) {
    const beganMs = performance.now();
    const found = findOut(mutation);
    if (found === null) missed++;
    const how = found === null ? `NOT FOUND OUT in ${mutation.within} seeds` : `seed ${found.seed}: ${found.violation}`;
    process.stdout.write(`${((performance.now() - beganMs) / 1000).toFixed(1).padStart(6)} s  a proxy ${mutation.name}\n          ${how}\n`);
  }
  process.stdout.write(`${MUTATIONS.length} mutations, ${missed} not found out\n`);
  process.exit(missed === 0 ? 0 : 1);
}
const chosen = scenario(wish.name);
if (chosen === null) refuse(`--scenario: ${wish.name} is not known`);
const runtime = "Deno" in globalThis ? "deno" : "bun";
const again = (seed: number): string => `./scripts/sim --seed ${seed} --scenario ${chosen.name} --runtime ${runtime}`;

if (wish.seed !== null) {
  const out: string[] = [];
  const report = runSeed(chosen, wish.seed, wish.trace ? (line) => out.push(line) : undefined);
  for (let i = 0; i < out.length; i += 1000) process.stdout.write(`${out.slice(i, i + 1000).join("\n")}\n`);
  for (const violation of report.violations) process.stdout.write(`VIOLATION ${violation}\n`);
  process.stdout.write(table("faults", report.faults) + table("counts", report.counts));
  process.stdout.write(`seed ${report.seed}: hash ${report.hash}, ${report.events} events, ${report.virtualMs} virtual ms, ${report.violations.length} violations\n`);
  process.exit(report.violations.length > 0 ? 1 : 0);
}

if (wish.jobs > 1) await share(wish.jobs);

/** Processes of their own run a part of the seeds each; ends this one when they are through. */
async function share(jobs: number): Promise<never> {
  const beganMs = performance.now();
  const runs: Promise<boolean>[] = [];
  for (let job = 0; job < jobs; job++) {
    const from = Math.floor((wish.seeds * job) / jobs), to = Math.floor((wish.seeds * (job + 1)) / jobs);
    const args = ["--start", String(wish.start + from), "--seeds", String(to - from), "--scenario", wish.name, "--runtime", runtime];
    if (wish.keepGoing) args.push("--keep-going");
    if (wish.ledger !== null) args.push("--ledger", wish.ledger);
    const child = spawn("scripts/sim", args, { stdio: "inherit" });
    runs.push(new Promise((resolve) => child.on("close", (code) => resolve(code === 0))));
  }
  const good = (await Promise.all(runs)).filter((one) => one).length;
  const seconds = (performance.now() - beganMs) / 1000;
  process.stdout.write(
    `${wish.seeds} seeds in ${jobs} processes, ${jobs - good} of them with failures, ${seconds.toFixed(1)} s, ${(wish.seeds / seconds).toFixed(1)} seeds/s\n`,
  );
  process.exit(good === jobs ? 0 : 1);
}

/** The commit that runs, with a mark when files differ from it. */
function commit(): string {
  const git = (...args: string[]): string => spawnSync("git", args, { encoding: "utf8" }).stdout.trim();
  return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "src", "tests/sim") === "" ? "" : "+");
}

const summary = new Summary();
const startMs = performance.now();
const running = wish.ledger === null ? "" : commit();
let noted = { seeds: 0, events: 0, failed: 0, ms: startMs };

/** Appends to the ledger what was run since the last entry. */
function note(): void {
  const nowMs = performance.now();
  if (wish.ledger === null || summary.seeds === noted.seeds) return;
  appendFileSync(wish.ledger, lineOf({
    commit: running, scenario: chosen!.name, runtime, start: wish.start + noted.seeds, seeds: summary.seeds - noted.seeds,
    failed: summary.failed.slice(noted.failed).map(({ seed }) => seed), events: summary.events - noted.events,
    seconds: Math.round(nowMs - noted.ms) / 1000,
  }));
  noted = { seeds: summary.seeds, events: summary.events, failed: summary.failed.length, ms: nowMs };
}

for (let seed = wish.start; seed < wish.start + wish.seeds; seed++) {
  const report = runSeed(chosen, seed);
  summary.add(report);
  if (performance.now() - noted.ms > ENTRY_MS) note();
  if (report.violations.length === 0) continue;
  process.stdout.write(`seed ${seed} failed: ${report.violations[0]}\n  see it again: ${again(seed)} --trace\n`);
  if (!wish.keepGoing) break;
}
note();
const seconds = (performance.now() - startMs) / 1000;
process.stdout.write(table("faults fired", summary.faults) + table("counts", summary.counts));
const silent = ALL_KINDS.filter((kind) => summary.faults[kind] === undefined);
if (silent.length > 0) process.stdout.write(`never fired: ${silent.join(", ")}\n`);
process.stdout.write(
  `${chosen.name} on ${runtime}: seeds ${wish.start} to ${wish.start + summary.seeds - 1}, ${summary.failed.length} failed, ${summary.events} events, ` +
    `hash ${summary.hash()}, ${seconds.toFixed(1)} s, ${(summary.seeds / seconds).toFixed(1)} seeds/s\n`,
);
process.exit(summary.failed.length > 0 ? 1 : 0);
