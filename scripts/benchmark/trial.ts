// A measurement that is no load profile: it starts what it needs, and ends with figures that have a name and a unit.

import { readFileSync } from "node:fs";
import type { Settings } from "./measure.ts";
import type { Processes } from "./processes.ts";

export interface Figure {
  readonly trial: string;
  readonly target: string;
  readonly what: string;
  readonly unit: string;
  readonly value: number;
}

export interface Trial {
  readonly name: string;
  readonly says: string;
  readonly run: (processes: Processes, settings: Settings) => Promise<Figure[]>;
}

/** Runs one of our generators (a file beside this one) as a process of its own and reads the line of JSON it prints last. */
export async function generate<T>(processes: Processes, file: string, words: readonly (string | number)[], timeoutMs: number): Promise<T> {
  const argv = [process.execPath, `${import.meta.dir}/${file}`, ...words.map(String)];
  const { output, code } = await processes.run(argv, timeoutMs);
  const line = output.trim().split("\n").at(-1) ?? "";
  if (code !== 0 || !line.startsWith("{")) throw new Error(`${file} ended with ${code}: ${output.trim().slice(-400)}`);
  return JSON.parse(line) as T;
}

/** Connections that one process can hold here. */
export function connectionsMax(): number {
  const limit = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1]);
  return limit - DESCRIPTORS_KEPT;
}
/** Descriptors a process needs besides. */
const DESCRIPTORS_KEPT = 1000;
