// Trial: a thousand connections ask for the same key again and again; how many gets reach its server.

import type { Settings } from "./measure.ts";
import { cpuBetween, cpuOf, type Processes, statOf } from "./processes.ts";
import { startTarget } from "./targets.ts";
import { type Figure, generate } from "./trial.ts";

const CONNECTIONS = 1000;

export async function hotKey(processes: Processes, settings: Settings): Promise<Figure[]> {
  if (settings.tandemCommand.length === 0) return [];
  const figures: Figure[] = [];
  for (const word of ["off", "on"]) {
    const target = await startTarget(processes, "tandem", settings.tandemCommand, settings.scratch, 1, ["--share-gets", word]);
    const server = target.servers[0]!;
    const gets = (): Promise<number> => statOf(server, "cmd_get");
    const [before, cpuBefore] = [await gets(), cpuOf(target.measured.pid)];
    const asked = await generate<{ operations: number; rounds: number }>(processes, "hot_key_client.ts", [target.port, CONNECTIONS, settings.quick ? 1 : 4, target.measured.pid], 30_000);
    const { total } = cpuBetween(cpuBefore, cpuOf(target.measured.pid));
    const seen = (await gets()) - before;
    await target.stop();
    const figure = (what: string, unit: string, value: number): void => void figures.push({ trial: "hot-key", target: `tandem (${word})`, what, unit, value });
    figure("gets of clients", "", asked.operations);
    figure("gets at the server", "", seen);
    figure("server's gets for 1000 of clients", "", (seen * 1000) / asked.operations);
    figure("CPU per get", "us", total / asked.operations);
  }
  return figures;
}
