// Runs simulated worlds by seed and says which failed and how to see it again. Called by scripts/sim, on either runtime.
import process from "node:process";
import { ALL_KINDS } from "../tests/sim/faults.ts";
import { runSeed, Summary } from "../tests/sim/scenario.ts";
import { scenario, SCENARIOS } from "../tests/sim/scenarios.ts";

const USAGE = `usage: scripts/sim [--seeds N] [--start S] [--scenario NAME] [--runtime bun|deno] [--keep-going]
       scripts/sim --seed N [--trace] [--scenario NAME] [--runtime bun|deno]
scenarios: ${SCENARIOS.map((one) => one.name).join(", ")}`;

interface Wish {
  seeds: number;
  start: number;
  seed: number | null;
  trace: boolean;
  name: string;
  keepGoing: boolean;
}

function refuse(problem: string): never {
  process.stderr.write(`${problem}\n${USAGE}\n`);
  process.exit(2);
}

function read(argv: readonly string[]): Wish {
  const wish: Wish = { seeds: 100, start: 1, seed: null, trace: false, name: SCENARIOS[0]!.name, keepGoing: false };
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
    else if (flag === "--keep-going") wish.keepGoing = true;
    else if (flag === "--scenario") wish.name = argv[++i] ?? "";
    else refuse(`${flag}: unknown`);
  }
  return wish;
}

function table(title: string, numbers: Readonly<Record<string, number>>): string {
  const names = Object.keys(numbers).sort();
  return `${title}: ${names.map((name) => `${name} ${numbers[name]}`).join(", ")}\n`;
}

const wish = read(process.argv.slice(2));
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

const summary = new Summary();
const startMs = performance.now();
for (let seed = wish.start; seed < wish.start + wish.seeds; seed++) {
  const report = runSeed(chosen, seed);
  summary.add(report);
  if (report.violations.length === 0) continue;
  process.stdout.write(`seed ${seed} failed: ${report.violations[0]}\n  see it again: ${again(seed)} --trace\n`);
  if (!wish.keepGoing) break;
}
const seconds = (performance.now() - startMs) / 1000;
process.stdout.write(table("faults fired", summary.faults) + table("counts", summary.counts));
const silent = ALL_KINDS.filter((kind) => summary.faults[kind] === undefined);
if (silent.length > 0) process.stdout.write(`never fired: ${silent.join(", ")}\n`);
process.stdout.write(
  `${chosen.name} on ${runtime}: seeds ${wish.start} to ${wish.start + summary.seeds - 1}, ${summary.failed.length} failed, ${summary.events} events, ` +
    `hash ${summary.hash()}, ${seconds.toFixed(1)} s, ${(summary.seeds / seconds).toFixed(1)} seeds/s\n`,
);
process.exit(summary.failed.length > 0 ? 1 : 0);
