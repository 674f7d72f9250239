// Trial: the same load over one worker and over two, in turns: what an operation costs, and how evenly two share it. On a
// machine whose cores the generator needs too, two workers cannot be seen to carry twice as much; from their cost and
// their shares follows what they carry when each has a core of its own: cost(1) / (cost(2) x share of the busier).

import { readFileSync } from "node:fs";
import { load } from "./load.ts";
import type { Settings } from "./measure.ts";
import { median } from "./median.ts";
import { cpuBetween, cpuOf, type Processes } from "./processes.ts";
import type { Profile } from "./profiles.ts";
import { startTarget } from "./targets.ts";
import type { Figure } from "./trial.ts";

const LOAD: Profile = {
  name: "workers", generator: "memcaslap", connections: 50, inFlight: 1, keysPerGet: 1, setShare: 0.1, valueBytes: 100, servers: 2,
  targets: ["tandem"], says: "",
};

export async function workers(processes: Processes, settings: Settings): Promise<Figure[]> {
  if (settings.tandemCommand.length === 0) return [];
  const figures: Figure[] = [];
  const backups: readonly ("tandem" | "tandem+backup")[] = settings.quick ? ["tandem"] : ["tandem", "tandem+backup"];
  for (const name of backups) {
    const costs = new Map<number, number[]>([[1, []], [2, []]]);
    const [ratios, shares, carried]: [number[], number[], number[]] = [[], [], []];
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
      carried.push(cost.get(1)! / (cost.get(2)! * shares.at(-1)!));
    }
    await one.stop();
    await two.stop();
    const figure = (what: string, unit: string, value: number): void => void figures.push({ trial: "workers", target: name, what, unit, value });
    figure("CPU per operation, one worker", "us", median(costs.get(1)!));
    figure("CPU per operation, two workers", "us", median(costs.get(2)!));
    figure("two over one", "", median(ratios));
    figure("share of the busier worker", "", median(shares));
    figure("load that two carry over one's", "", median(carried));
  }
  return figures;
}

/** The workers of a supervisor; empty for a process that has none. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter((word) => word !== "").map(Number);
}
