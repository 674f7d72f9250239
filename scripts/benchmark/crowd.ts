// Trials with very many connections: what each costs in memory, how fast a burst of them is let in, and whether their
// memory comes back.

import type { Settings } from "./measure.ts";
import type { Processes } from "./processes.ts";
import { startTarget } from "./targets.ts";
import { connectionsMax, type Figure, generate } from "./trial.ts";

/** 28,000 ports lead to one address: 50,000 connections need several. */
const ADDRESSES = 4;

/** One answer of crowd_client.ts: figures by what they are. */
type Found = Readonly<Record<string, readonly [value: number, unit: string]>>;

/** Where one process may not have so many descriptors, the clients are shared out to several proxies, at the same time. */
export async function idle(processes: Processes, settings: Settings): Promise<Figure[]> {
  const count = settings.quick ? 5000 : 50_000;
  const parts = Math.ceil(count / connectionsMax());
  const each = Math.ceil(count / parts);
  const found = await Promise.all(Array.from({ length: parts }, () => crowd(processes, settings, "idle", each, settings.quick ? 2 : 8)));
  const merged = new Map<string, Figure>();
  for (const figure of found.flat()) {
    const value = (merged.get(figure.what)?.value ?? 0) + (figure.what === "memory each" ? figure.value / parts : figure.value);
    merged.set(figure.what, { ...figure, value });
  }
  return [...merged.values(), { trial: "idle", target: "tandem", what: "processes", unit: "", value: parts }];
}

export function burst(processes: Processes, settings: Settings): Promise<Figure[]> {
  return crowd(processes, settings, "burst", Math.min(10_000, connectionsMax()), 1);
}

export function churn(processes: Processes, settings: Settings): Promise<Figure[]> {
  return settings.quick ? crowd(processes, settings, "churn", 5000, 3) : crowd(processes, settings, "churn", 100_000, 60);
}

async function crowd(processes: Processes, settings: Settings, trial: string, count: number, seconds: number): Promise<Figure[]> {
  if (settings.tandemCommand.length === 0) return [];
  const flags = ["-n", String(connectionsMax() + 500)];
  for (let i = 2; i <= ADDRESSES; i++) flags.push("-l", `127.0.0.${i}`);
  const target = await startTarget(processes, "tandem", settings.tandemCommand, settings.scratch, 2, flags);
  try {
    const words = [trial, target.port, target.measured.pid, count, seconds, ADDRESSES];
    const found = await generate<Found>(processes, "crowd_client.ts", words, (seconds + 120) * 1000);
    return Object.entries(found).map(([what, [value, unit]]) => ({ trial, target: "tandem", what, unit, value }));
  } finally {
    await target.stop();
  }
}
