// The binary run to its end, and what is needed to run one in strange places: for tests of the program itself. Its
// servers in the sense of a proxy that answers are in tandem.ts.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** How long it may take to say what is waited for, ms: less than a test may take, so that it fails with what was said. */
const SAID_MS = 20_000;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  /** How it is to call itself; the file stays the same. */
  readonly argv0?: string;
}

export interface Running {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves once what came on stdout and stderr so far matches; rejects when the process ends before, or in 20 s. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<Ended>;
}

/** Starts command; it is killed when this process ends. */
export function start(command: string, args: readonly string[], options: RunOptions = {}): Running {
  const ids = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid };
  const name = options.argv0 === undefined ? {} : { argv0: options.argv0 };
  const child = spawn(command, [...args], {
    cwd: options.cwd ?? process.cwd(), env: { ...process.env, ...options.env }, stdio: ["ignore", "pipe", "pipe"],
    ...ids, ...name,
  });
  const text = { stdout: "", stderr: "" };
  const heard = new Set<() => void>();
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (chunk: Uint8Array) => {
      text[stream] += new TextDecoder().decode(chunk);
      for (const each of heard) each();
    });
  }
  const atExit = (): void => void child.kill("SIGKILL");
  process.once("exit", atExit);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      process.removeListener("exit", atExit);
      resolve({ code, signal, ...text });
    });
  });
  const said = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const all = (): string => text.stdout + text.stderr;
      const settle = (): void => {
        clearTimeout(late);
        heard.delete(look);
      };
      const look = (): void => {
        const match = pattern.exec(all());
        if (match === null) return;
        settle();
        resolve(match);
      };
      const fail = (how: string): void => {
        settle();
        reject(new Error(`${how} before it said ${pattern}: ${all()}`));
      };
      const late = setTimeout(() => fail(`${SAID_MS} ms went by`), SAID_MS);
      heard.add(look);
      look();
      void ended.then((end) => fail(`ended with ${end.code}`), reject);
    });
  return { pid: child.pid ?? 0, kill: (signal) => void child.kill(signal), said, ended };
}

/** Runs command to its end. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return start(command, args, options).ended;
}

/** One row of /proc/PID/status as its words, or null when the process is gone. */
export function statusRow(pid: number, name: string): string[] | null {
  if (!isAlive(pid)) return null;
  const row = new RegExp(`^${name}:\\s*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return row === null ? null : row[1]!.trim().split(/\s+/);
}

/** False for a process that is gone or only waits to be reaped. */
export function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}/status`) && !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
}

/** Sends SIGSTOP and resolves when every thread stands still: until then one may still take and answer a request. */
export async function standsStill(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  const state = (task: string): string => readFileSync(`/proc/${pid}/task/${task}/stat`, "latin1").split(") ").at(-1)![0]!;
  while (!readdirSync(`/proc/${pid}/task`).every((task) => state(task) === "T")) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Resolves when pid, a process that is nobody's child here, is gone: the kernel reports that to its parent only. */
export async function gone(pid: number, deadlineMs: number): Promise<boolean> {
  const started = performance.now();
  while (isAlive(pid)) {
    if (performance.now() - started > deadlineMs) return false;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return true;
}

/** The files that a dynamic ELF program needs to start, by `ldd`: its libraries and its interpreter. */
export async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run("ldd", [program]);
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]!);
}
