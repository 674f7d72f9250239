// Trials of time: what the proxy adds to an answer when it is not busy, and how long its garbage collector stops it.

import { readFileSync } from "node:fs";
import type { Settings } from "./measure.ts";
import { median } from "./median.ts";
import type { Processes } from "./processes.ts";
import { startTarget, type Target, type TargetName } from "./targets.ts";
import { type Figure, generate } from "./trial.ts";

const CONNECTIONS = 50;
/** Share of what nutcracker can carry. */
const LOAD = 0.2;
const COLLECTOR_RATE = 50_000;

interface Times {
  readonly operations: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly most: number;
  readonly errors: number;
}

function times(processes: Processes, target: Target, rate: number, seconds: number): Promise<Times> {
  return generate<Times>(processes, "open_loop.ts", [target.port, CONNECTIONS, rate, seconds], (seconds + 15) * 1000);
}

/** Percentiles at one rate for all targets, medians over runs in turn. */
export async function latency(processes: Processes, settings: Settings): Promise<Figure[]> {
  const names = settings.targets.filter((name) => name !== "tandem+backup");
  const targets: Target[] = [];
  for (const name of names) targets.push(await startTarget(processes, name, settings.tandemCommand, settings.scratch));
  const found = new Map<TargetName, Times[]>(names.map((name) => [name, []]));
  const asGuide = targets.find(({ name }) => name === "nutcracker") ?? targets[0]!;
  const most = await times(processes, asGuide, 0, settings.quick ? 1 : 3);
  const rate = Math.round((most.perSecond * LOAD) / 100) * 100;
  for (let round = 0; round <= settings.runs; round++) {
    for (const target of targets) {
      const run = await times(processes, target, rate, round === 0 ? 1 : settings.seconds);
      if (run.errors > 0) throw new Error(`latency: ${run.errors} wrong answers through ${target.name}`);
      if (round > 0) found.get(target.name)!.push(run);
    }
  }
  for (const target of targets) await target.stop();
  const figures: Figure[] = [{ trial: "latency", target: "all", what: "rate", unit: "/s", value: rate }];
  for (const [target, runs] of found) {
    for (const what of ["p50", "p99", "p999"] as const) {
      figures.push({ trial: "latency", target, what, unit: "ms", value: median(runs.map((run) => run[what])) });
    }
  }
  return figures;
}

/** The collector says of itself when it stopped the program and how long (the engine's own log). */
export async function collector(processes: Processes, settings: Settings): Promise<Figure[]> {
  if (settings.tandemCommand.length === 0) return [];
  const target = await startTarget(processes, "tandem", ["env", "BUN_JSC_logGC=1", ...settings.tandemCommand], settings.scratch);
  await times(processes, target, COLLECTOR_RATE, settings.quick ? 1 : 3);
  const begins = readFileSync(target.logPath, "latin1").length;
  const run = await times(processes, target, COLLECTOR_RATE, settings.quick ? 3 : 60);
  const log = readFileSync(target.logPath, "latin1").slice(begins);
  await target.stop();
  const pauses = [...log.matchAll(/ p=([\d.]+)ms/g)].map((match) => Number(match[1]));
  const figure = (what: string, unit: string, value: number): Figure => ({ trial: "gc", target: "tandem", what, unit, value });
  return [
    figure("rate", "/s", run.perSecond),
    figure("pauses", "", pauses.length),
    figure("longest pause", "ms", Math.max(0, ...pauses)),
    figure("median pause", "ms", pauses.length === 0 ? 0 : median(pauses)),
    figure("p99", "ms", run.p99),
    figure("p999", "ms", run.p999),
    figure("wrong answers", "", run.errors),
  ];
}
