// The processes a benchmark starts: each is remembered and ended by its id, and its CPU time and memory can be read.

import { dlopen, FFIType, ptr } from "bun:ffi";
import { closeSync, openSync, readFileSync } from "node:fs";

export interface Started {
  readonly name: string;
  readonly pid: number;
  /** Ends with the exit code. */
  readonly exited: Promise<number>;
  readonly alive: () => boolean;
  readonly stop: () => Promise<void>;
}

/** CPU time of a process in microseconds. */
export interface Cpu {
  readonly total: number;
  readonly user: number;
  readonly system: number;
}

const libc = dlopen("libc.so.6", { clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 } });

/** All processes of one benchmark. */
export class Processes {
  readonly #running = new Set<Bun.Subprocess>();
  #over = false;

  /** Starts argv with its output going to logPath; throws when the program cannot be executed or after killAll. */
  start(name: string, argv: readonly string[], logPath: string): Started {
    this.#refuseWhenOver();
    const log = openSync(logPath, "a");
    const child = Bun.spawn([...argv], { stdin: "ignore", stdout: log, stderr: log, env: childEnvironment() });
    closeSync(log);
    this.#remember(child);
    return {
      name,
      pid: child.pid,
      exited: child.exited,
      alive: () => child.exitCode === null && child.signalCode === null,
      stop: () => end(child),
    };
  }

  /**
   * Runs argv to its end. Gives what it printed, the exit code (-1: ended by a signal or after timeoutMs) and the CPU
   * microseconds it used.
   */
  async run(argv: readonly string[], timeoutMs: number): Promise<{ output: string; code: number; cpu: number }> {
    this.#refuseWhenOver();
    const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe", env: childEnvironment() });
    this.#remember(child);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    await child.exited;
    clearTimeout(timer);
    return { output: out + err, code: child.exitCode ?? -1, cpu: Number(child.resourceUsage()?.cpuTime.total ?? 0) };
  }

  /** The ids of what still runs. */
  pids(): number[] {
    return [...this.#running].map((child) => child.pid);
  }

  /** Ends all of them at once, lets none start again, and waits until they are gone. */
  async killAll(): Promise<void> {
    this.#over = true;
    const running = [...this.#running];
    for (const child of running) child.kill("SIGKILL");
    await Promise.all(running.map((child) => child.exited));
  }

  #refuseWhenOver(): void {
    if (this.#over) throw new Error("the benchmark is ending");
  }

  #remember(child: Bun.Subprocess): void {
    this.#running.add(child);
    void child.exited.then(() => this.#running.delete(child));
  }
}

// Debug switches of a runtime in our own environment must not reach what is measured.
function childEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "LANG", "TMPDIR"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 2000);
  await child.exited;
  clearTimeout(timer);
}

/**
 * CPU time of process pid so far. The total is its CPU clock, which the scheduler keeps in nanoseconds over all its
 * threads, ended ones included. The kernel samples the split at its ticks: good to a few per cent over some seconds.
 */
export function cpuOf(pid: number): Cpu {
  const clock = (~pid << 3) | 2; // MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of the kernel
  const time = new BigInt64Array(2);
  if (libc.symbols.clock_gettime(clock, ptr(time)) !== 0) throw new Error(`process ${pid} is gone`);
  const total = Number(time[0]) * 1e6 + Number(time[1]) / 1e3;
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { total, user: Number(fields[11]), system: Number(fields[12]) };
}

/** What a process used between two readings; user and system are the total divided as the ticks between them were. */
export function cpuBetween(before: Cpu, after: Cpu): Cpu {
  const total = after.total - before.total;
  const user = after.user - before.user;
  const ticks = user + after.system - before.system;
  const share = ticks > 0 ? user / ticks : 0;
  return { total, user: total * share, system: total * (1 - share) };
}

/** CPU microseconds all processors have been busy since boot. */
export function machineBusy(): number {
  const line = readFileSync("/proc/stat", "latin1").split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) * 10_000; // USER_HZ is 100
}

/** Resident memory in KiB: all of it, and the part no file backs. */
export function memoryOf(pid: number): { resident: number; anonymous: number } {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  return { resident: field("VmRSS"), anonymous: field("RssAnon") };
}

/** A loopback TCP port nobody listens on now. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** How many established connections a loopback port has. */
export function connectionsTo(port: number): number {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const established = "01";
  return readFileSync("/proc/net/tcp", "latin1").split("\n").filter((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[1] === local && fields[3] === established;
  }).length;
}

/** One attempt to connect; false when nothing listens. */
export async function connects(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {}, connectError() {} } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}

/** Waits until someone accepts on port; throws, with the end of the log, when the process dies or 10 s pass. */
export async function listening(child: Started, port: number, logPath: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await connects(port))) {
    if (!child.alive() || performance.now() > deadline) throw await notListening(child, port, logPath);
    await Bun.sleep(2);
  }
}

/** The error to throw when child does not come to listen on port: with the end of its log. */
export async function notListening(child: Started, port: number, logPath: string): Promise<Error> {
  return new Error(`${child.name} does not listen on port ${port}; its last words:\n${await lastWords(logPath)}`);
}

/** The end of a log; empty when there is none. */
export async function lastWords(logPath: string): Promise<string> {
  return (await Bun.file(logPath).text().catch(() => "")).slice(-1000);
}

/** A number of memcached's `stats`; NaN when it has none of that name. */
export async function statOf(port: number, name: string): Promise<number> {
  const answer = await ask(port, "stats", "END\r\n");
  return Number(new RegExp(`^STAT ${name} (\\d+)`, "m").exec(answer)?.[1]);
}

/** Sends one line and gives all that came until an answer ended in `until`; throws after 5 s or when the peer closes. */
export async function ask(port: number, line: string, until = "\r\n"): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let answer = "";
  const timer = setTimeout(() => reject(new Error(`port ${port}: no answer to "${line}"`)), 5000);
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_, bytes) {
        answer += bytes.toString("latin1");
        if (answer.endsWith(until)) resolve(answer);
      },
      close() {
        reject(new Error(`port ${port}: closed instead of answering "${line}"`));
      },
      connectError() {},
    },
  });
  try {
    socket.write(`${line}\r\n`);
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.terminate();
  }
}
