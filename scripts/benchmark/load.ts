// One run of one profile against one port: starts the generator and reads what it says.

import { writeFileSync } from "node:fs";
import { connectionsTo, type Processes } from "./processes.ts";
import type { Profile } from "./profiles.ts";

export interface Load {
  /** Operations (keys, for gets of several) the generator completed. */
  readonly operations: number;
  readonly perSecond: number;
  /** Wrong, missing or refused answers. */
  readonly errors: number;
  readonly firstError: string;
  /** CPU microseconds of the generator itself. */
  readonly generatorCpu: number;
}

/** Runs profile for whole seconds against port. A generator that fails or hangs is reported as an error, not thrown. */
export async function load(processes: Processes, profile: Profile, port: number, seconds: number, scratch: string): Promise<Load> {
  const argv = profile.generator === "memcaslap" ? memcaslap(profile, port, seconds, scratch) : pipeline(profile, port, seconds);
  let open = profile.connections;
  const glance = setTimeout(() => (open = connectionsTo(port)), seconds * 1000 - 100);
  const { output, code, cpu } = await processes.run(argv, (seconds + 10) * 1000);
  clearTimeout(glance);
  const read = profile.generator === "memcaslap" ? withLost(readMemcaslap(output), profile.connections - open) : readPipeline(output);
  if (code !== 0 || read.operations === 0) {
    const last = output.trim().split("\n").at(-1) ?? "";
    return { ...read, errors: Math.max(1, read.errors), firstError: read.firstError || `generator ended with ${code}: ${last.slice(0, 200)}`, generatorCpu: cpu };
  }
  return { ...read, generatorCpu: cpu };
}

function memcaslap(profile: Profile, port: number, seconds: number, scratch: string): string[] {
  const config = `${scratch}/memcaslap-${profile.name}.cnf`;
  const { valueBytes, setShare } = profile;
  writeFileSync(config, `key\n26 26 1\nvalue\n${valueBytes} ${valueBytes} 1\ncmd\n0 ${setShare}\n1 ${1 - setShare}\n`);
  // One thread (it pins each to a processor). -v 1: every value got is compared with what was set; of a get of several
  // keys it only checks that each is found. -w: the smallest window of keys it takes, so that the large profile fits the
  // servers' memory.
  const argv = ["memcaslap", "-s", `127.0.0.1:${port}`, "-F", config, "-T", "1", "-c", String(profile.connections), "-t", `${seconds}s`, "-v", "1", "-w", "1k"];
  if (profile.keysPerGet > 1) argv.push("-d", String(profile.keysPerGet));
  return argv;
}

// memcaslap exits with 0 whatever happened: it counts misses and differing values, and prints an error line it was
// answered as "<51 SERVER_ERROR …" without counting it.
function readMemcaslap(output: string): Omit<Load, "generatorCpu"> {
  const field = (name: RegExp): number => Number(name.exec(output)?.[1] ?? 0);
  const refused = output.split("\n").filter((line) => /^<\d+ /.test(line));
  const misses = field(/^get_misses: (\d+)/m);
  const differing = field(/^verify_failed: (\d+)/m);
  const firstError = refused[0]?.slice(0, 200) ?? (misses > 0 ? `${misses} keys that were set were not found` : differing > 0 ? `${differing} values differed` : "");
  return { operations: field(/ Ops: (\d+)/), perSecond: field(/ TPS: (\d+)/), errors: refused.length + misses + differing, firstError };
}

// memcaslap goes on in silence with fewer connections when some are closed on it: near the end we count them ourselves.
function withLost(read: Omit<Load, "generatorCpu">, lost: number): Omit<Load, "generatorCpu"> {
  return lost <= 0 ? read : { ...read, errors: read.errors + lost, firstError: read.firstError || `${lost} connections were closed` };
}

function pipeline(profile: Profile, port: number, seconds: number): string[] {
  const { connections, inFlight, setShare, valueBytes } = profile;
  return [process.execPath, `${import.meta.dir}/pipeline.ts`, ...[port, connections, inFlight, seconds, setShare, valueBytes].map(String)];
}

function readPipeline(output: string): Omit<Load, "generatorCpu"> {
  const line = output.split("\n").find((text) => text.startsWith("{"));
  if (line === undefined) return { operations: 0, perSecond: 0, errors: 0, firstError: "" };
  return JSON.parse(line) as Omit<Load, "generatorCpu">;
}
