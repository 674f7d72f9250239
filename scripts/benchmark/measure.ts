// The measurements: runs of a profile over all targets in turn, and starts of a proxy.

import { load } from "./load.ts";
import { ask, connects, cpuBetween, cpuOf, freePort, lastWords, machineBusy, memoryOf, notListening, type Processes } from "./processes.ts";
import type { Profile } from "./profiles.ts";
import { logOf, memcacheds, nutcracker, startTarget, tandem, type StartProxy, type Target, type TargetName } from "./targets.ts";

export interface Settings {
  readonly runs: number;
  /** Length of one run, in whole seconds. */
  readonly seconds: number;
  /** Length of the run before the first that counts, made by our own generator (it has no gets of several keys). */
  readonly warmupSeconds: number;
  readonly starts: number;
  /** A glance: trials are made small. */
  readonly quick: boolean;
  readonly tandemCommand: readonly string[];
  readonly targets: readonly TargetName[];
  readonly scratch: string;
}

export interface Run {
  readonly perSecond: number;
  /** CPU microseconds of the measured process per operation. */
  readonly cpu: number;
  readonly user: number;
  readonly system: number;
  /** Share of one processor that processes outside this benchmark used meanwhile. */
  readonly elsewhere: number;
}

export interface Result {
  readonly profile: string;
  readonly target: TargetName;
  readonly runs: readonly Run[];
  readonly errors: number;
  readonly firstError: string;
  /** Resident KiB of the measured process at the end: all, and the part no file backs. */
  readonly memory: { readonly resident: number; readonly anonymous: number };
}

export interface Starts {
  readonly target: TargetName;
  /** Milliseconds from the start of the process to the first connection accepted, one for each start. */
  readonly firstAccept: readonly number[];
  /** Milliseconds to the first get answered through the proxy. */
  readonly firstAnswer: readonly number[];
  /** Resident KiB after the first answer, of the last start. */
  readonly memory: { readonly resident: number; readonly anonymous: number };
}

/** Measures every target `runs` times in turn (A B C A B C …), each over fresh servers and after a warm-up. */
export async function measure(processes: Processes, profile: Profile, settings: Settings): Promise<Result[]> {
  const lanes: { target: Target; runs: Run[]; errors: number; firstError: string }[] = [];
  for (const name of profile.targets.filter((target) => settings.targets.includes(target))) {
    const target = await startTarget(processes, name, settings.tandemCommand, settings.scratch, profile.servers);
    lanes.push({ target, runs: [], errors: 0, firstError: "" });
  }
  const warmup: Profile = { ...profile, generator: "pipeline" };
  const note = (lane: (typeof lanes)[number], errors: number, firstError: string): void => {
    lane.errors += errors;
    lane.firstError ||= firstError;
  };
  const warm = async (lane: (typeof lanes)[number]): Promise<void> => {
    await lane.target.flush();
    const { errors, firstError } = await load(processes, warmup, lane.target.port, settings.warmupSeconds, settings.scratch);
    note(lane, errors, firstError);
  };
  await Promise.all(lanes.map(warm)); // at once: nothing is measured yet
  for (let round = 0; round < settings.runs; round++) {
    for (const lane of lanes) {
      const { run, errors, firstError } = await oneRun(processes, profile, lane.target, settings.seconds, settings.scratch);
      lane.runs.push(run);
      note(lane, errors, firstError);
    }
  }
  const results = lanes.map(({ target, ...found }) => ({ profile: profile.name, target: target.name, ...found, memory: memoryOf(target.measured.pid) }));
  for (const { target } of lanes) await target.stop();
  return results;
}

async function oneRun(processes: Processes, profile: Profile, target: Target, seconds: number, scratch: string): Promise<{ run: Run; errors: number; firstError: string }> {
  await target.flush();
  const pids = [process.pid, ...processes.pids()];
  const ours = (): number => pids.reduce((sum, pid) => sum + cpuOf(pid).total, 0);
  const [began, oursBefore, busyBefore, before] = [performance.now(), ours(), machineBusy(), cpuOf(target.measured.pid)];
  const { operations, perSecond, errors, firstError, generatorCpu } = await load(processes, profile, target.port, seconds, scratch);
  if (!target.measured.alive()) throw new Error(`${target.name} died under profile ${profile.name} (${firstError}); its last words:\n${await lastWords(target.logPath)}`);
  const used = cpuBetween(before, cpuOf(target.measured.pid));
  const elsewhere = machineBusy() - busyBefore - (ours() - oursBefore) - generatorCpu;
  const wall = (performance.now() - began) * 1000;
  const each = (microseconds: number): number => (operations > 0 ? microseconds / operations : NaN);
  const run = { perSecond, cpu: each(used.total), user: each(used.user), system: each(used.system), elsewhere: Math.max(0, elsewhere / wall) };
  return { run, errors, firstError };
}

/** Starts nutcracker and tandem again and again, in turn, over the same two servers. */
export async function measureStarts(processes: Processes, settings: Settings): Promise<Starts[]> {
  const servers = await memcacheds(processes, 2, settings.scratch);
  const proxies: { target: TargetName; start: StartProxy; firstAccept: number[]; firstAnswer: number[]; memory: Starts["memory"] }[] = [];
  const add = (target: TargetName, start: StartProxy): void => void proxies.push({ target, start, firstAccept: [], firstAnswer: [], memory: { resident: 0, anonymous: 0 } });
  if (settings.targets.includes("nutcracker")) add("nutcracker", nutcracker(processes, servers.ports, settings.scratch));
  if (settings.targets.includes("tandem")) add("tandem", tandem(processes, settings.tandemCommand, servers.ports, [], settings.scratch));
  for (let i = 0; i < settings.starts; i++) {
    for (const proxy of proxies) {
      const port = freePort();
      const began = performance.now();
      const child = proxy.start(port);
      // No pause between attempts: a refused connect costs some tens of microseconds, and the other processor is free.
      while (!(await connects(port))) {
        if (!child.alive() || performance.now() - began > 10_000) throw await notListening(child, port, logOf(settings.scratch, port));
      }
      proxy.firstAccept.push(performance.now() - began);
      await ask(port, "get bench:start");
      proxy.firstAnswer.push(performance.now() - began);
      proxy.memory = memoryOf(child.pid);
      await child.stop();
    }
  }
  await Promise.all(servers.children.map((child) => child.stop()));
  return proxies.map(({ target, firstAccept, firstAnswer, memory }) => ({ target, firstAccept, firstAnswer, memory }));
}
