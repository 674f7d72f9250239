// Trial: the same load over one worker and over two, in turns: what an operation costs, and how evenly two share it. Then
// what each carries: on a machine whose cores the generator needs too, two workers cannot be seen to carry twice as much,
// so each worker is held to a fifth of a core. That they are the limit then is measured as well.

import { readFileSync } from "node:fs";
import { Cage } from "./cage.ts";
import { load } from "./load.ts";
import type { Settings } from "./measure.ts";
import { median } from "./median.ts";
import { cpuBetween, cpuOf, type Processes } from "./processes.ts";
import type { Profile } from "./profiles.ts";
import { startTarget, type Target } from "./targets.ts";
import type { Figure } from "./trial.ts";

const LOAD: Profile = {
  name: "workers", generator: "memcaslap", connections: 50, inFlight: 1, keysPerGet: 1, setShare: 0.1, valueBytes: 100, servers: 2,
  targets: ["tandem"], says: "",
};

/** Of a core, for each worker: both and what else takes part then fit two cores. */
const PART = 0.2;

export async function workers(processes: Processes, settings: Settings): Promise<Figure[]> {
  if (settings.tandemCommand.length === 0) return [];
  const figures: Figure[] = [];
  const backups: readonly ("tandem" | "tandem+backup")[] = settings.quick ? ["tandem"] : ["tandem", "tandem+backup"];
  for (const name of backups) {
    const costs = new Map<number, number[]>([[1, []], [2, []]]);
    const [ratios, shares]: [number[], number[]] = [[], []];
    const one = await startTarget(processes, name, settings.tandemCommand, settings.scratch, 2, ["--workers", "1"]);
    const two = await startTarget(processes, name, settings.tandemCommand, settings.scratch, 2, ["--workers", "2"]);
    const seconds = settings.quick ? 1 : 2;
    for (let run = 0; run < (settings.quick ? 1 : 5); run++) {
      const cost = new Map<number, number>();
      for (const [count, target] of [[1, one], [2, two]] as const) {
        const pids = [target.measured.pid, ...childrenOf(target.measured.pid)];
        const before = pids.map(cpuOf);
        const { operations, errors, firstError } = await load(processes, LOAD, target.port, seconds, settings.scratch);
        if (errors > 0) throw new Error(`--workers ${count}: ${firstError}`);
        const used = pids.map((pid, index) => cpuBetween(before[index]!, cpuOf(pid)).total);
        const total = used.reduce((sum, each) => sum + each, 0);
        cost.set(count, total / operations);
        costs.get(count)!.push(total / operations);
        if (count === 2) shares.push(Math.max(...used.slice(1)) / total);
        await target.flush();
      }
      ratios.push(cost.get(2)! / cost.get(1)!);
    }
    const figure = (what: string, unit: string, value: number): void => void figures.push({ trial: "workers", target: name, what, unit, value });
    figure("CPU per operation, one worker", "us", median(costs.get(1)!));
    figure("CPU per operation, two workers", "us", median(costs.get(2)!));
    figure("two over one", "", median(ratios));
    figure("share of the busier worker", "", median(shares));
    try {
      for (const [what, unit, value] of await carried(processes, settings, one, two, seconds)) figure(what, unit, value);
    } catch (error) {
      console.error(`bench: workers cannot be held to a part of a core here, so what two carry is not measured: ${(error as Error).message}`);
    }
    await one.stop();
    await two.stop();
  }
  return figures;
}

/** What one worker carries and what two do when each has but PART of a core, in turns: figures with their units. */
async function carried(processes: Processes, settings: Settings, one: Target, two: Target, seconds: number): Promise<[string, string, number][]> {
  const cages = new Map<Target, Cage[]>([[one, []], [two, []]]);
  const [ones, twos, ratios, limits, generators]: [number[], number[], number[], number[], number[]] = [[], [], [], [], []];
  try {
    for (const [target, held] of cages) {
      const workers = childrenOf(target.measured.pid);
      for (const pid of workers.length === 0 ? [target.measured.pid] : workers) held.push(Cage.hold(pid, PART));
    }
    for (let run = 0; run < (settings.quick ? 1 : 5); run++) {
      for (const [target, held] of cages) {
        const before = held.map((cage) => cage.periods);
        const { perSecond, errors, firstError, generatorCpu } = await load(processes, LOAD, target.port, seconds, settings.scratch);
        if (errors > 0) throw new Error(firstError);
        (target === one ? ones : twos).push(perSecond);
        for (const [index, cage] of held.entries()) {
          const { ran, held: back } = cage.periods;
          limits.push((back - before[index]!.held) / (ran - before[index]!.ran));
        }
        generators.push(generatorCpu / (seconds * 1e6));
        await target.flush();
      }
      ratios.push(twos.at(-1)! / ones.at(-1)!);
    }
  } finally {
    for (const held of cages.values()) for (const cage of held) cage.release();
  }
  return [
    ["operations a second, one worker of 0.2 cores", "", median(ones)],
    ["operations a second, two workers of 0.2 cores each", "", median(twos)],
    ["load that two carry over one's", "", median(ratios)],
    ["periods in which a worker was at its limit, least", "%", 100 * Math.min(...limits)],
    ["generator's core in use, most", "%", 100 * Math.max(...generators)],
  ];
}

/** The workers of a supervisor; empty for a process that has none. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter((word) => word !== "").map(Number);
}
