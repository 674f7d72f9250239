// The compiled binary as a child process for end-to-end tests, and what the kernel says of it. Which binary:
// TANDEM_BIN, or dist/tandem of this checkout.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { resolve as resolvePath } from "node:path";
import { Client } from "./client.ts";
import { freePort, type Spawned } from "./memcached.ts";

/** How long the binary may take until it serves, ms. */
const READY_MS = 20_000;

/** For tests of what is answered, not of when: a machine that is busy with something else is no fault of a server. */
export const PATIENT: readonly string[] = ["--timeout", "5000", "--connect-timeout", "5000"];

/** For tests in which one server must soon be found to hang, and no other one be taken for such because it is slow. */
export const STEADY: readonly string[] = ["--timeout", "1000", "--connect-timeout", "1000"];

export interface Tandem extends Spawned {
  /** Everything it has written to stdout and stderr so far. */
  log(): string;
  /**
   * Resolves with the first match in what it has written since `from` (a length of log()), as soon as it is there.
   * Rejects with the log after deadlineMs.
   */
  said(pattern: RegExp, from?: number, deadlineMs?: number): Promise<RegExpExecArray>;
}

/** The path of the binary under test; throws with what to do when it is not there. */
export function tandemPath(): string {
  const path = resolvePath(process.env["TANDEM_BIN"] ?? "dist/tandem");
  if (!existsSync(path)) throw new Error(`${path} does not exist: run scripts/build, or set TANDEM_BIN`);
  return path;
}

/**
 * Starts `tandem -l 127.0.0.1 -p PORT args…` on a free port, without an admin interface unless args say where, and
 * waits until it answers and all its servers are up, or
 * have the states asked for ("down up"; "any": at once). env: beside our own environment.
 * Rejects with its output when it does not come up.
 */
export async function spawnTandem(args: readonly string[], states = "", env: Readonly<Record<string, string>> = {}): Promise<Tandem> {
  const port = await freePort();
  const all = ["-l", "127.0.0.1", "-p", String(port), ...(args.includes("--admin") ? [] : ["--admin", "off"]), ...args];
  const child = spawn(tandemPath(), all, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  let log = "";
  const heard = new Set<() => void>();
  const said = (pattern: RegExp, from = 0, deadlineMs = READY_MS): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(log.slice(from));
        if (match === null) return;
        clearTimeout(late);
        heard.delete(look);
        resolve(match);
      };
      const late = setTimeout(() => {
        heard.delete(look);
        reject(new Error(`did not say ${pattern} in ${deadlineMs} ms, but\n${log.slice(from)}`));
      }, deadlineMs);
      heard.add(look);
      look();
    });
  const keep = (chunk: Uint8Array): void => {
    if (log.length < 1_000_000) log += new TextDecoder().decode(chunk);
    for (const look of heard) look();
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const exited = new Promise<void>((done) => {
    child.once("exit", () => done());
    child.once("error", () => done());
  });
  const kill = (signal: NodeJS.Signals = "SIGKILL"): void => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  };
  const atExit = (): void => kill();
  process.once("exit", atExit);
  void exited.then(() => process.removeListener("exit", atExit));
  const stop = async (): Promise<void> => {
    kill();
    await exited;
  };
  const outcome = await Promise.race([answersReady(port, states), exited.then(() => "exited")]);
  if (outcome !== "ready" || child.pid === undefined) {
    await stop();
    throw new Error(`tandem ${all.join(" ")}: ${outcome}\n${log.trim()}`);
  }
  return { host: "127.0.0.1", port, pid: child.pid, kill, stop, exited, log: () => log, said };
}

/** Waits until it answers, and then until it says that all its servers are up. */
async function answersReady(port: number, wanted: string): Promise<string> {
  const started = performance.now();
  let last = "no answer";
  while (performance.now() - started < READY_MS) {
    try {
      const client = await Client.open(port);
      try {
        if (!(await client.ask("version\r\n", 1000)).startsWith("VERSION ")) continue;
        const states = await serverStates(client);
        last = `servers are ${states.join(", ")}`;
        if (wanted === "any" || (wanted === "" ? states.every((state) => state === "up") : states.join(" ") === wanted)) return "ready";
      } finally {
        // Its place among the clients must be free again when the test begins.
        client.send("quit\r\n");
        await client.closed;
      }
    } catch {
      // Nothing reports that a child has begun to listen: a refused connect is asked again a moment later.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  return last;
}

/** What `stats servers` says of each server: "up", "down" and so on. */
export async function serverStates(client: Client): Promise<string[]> {
  const states: string[] = [];
  client.send("stats servers\r\n");
  for (;;) {
    const line = await client.line(1000);
    if (line === "END") return states;
    const found = /^STAT \S+:state (.*)$/.exec(line);
    if (found !== null) states.push(found[1]!);
  }
}

/** Whether a process has the socket that talks from this TCP port of loopback. */
export function talksFrom(pid: number, port: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = readFileSync("/proc/net/tcp", "latin1").split("\n").map((line) => line.trim().split(/\s+/));
  const inodes = new Set(lines.filter((words) => words[1] === local).map((words) => `socket:[${words[9]}]`));
  let fds: string[];
  try {
    fds = readdirSync(`/proc/${pid}/fd`);
  } catch {
    // It has ended meanwhile, and talks to nobody.
    return false;
  }
  return fds.some((fd) => {
    try {
      return inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
    } catch {
      return false; // closed since it was listed
    }
  });
}

/** Resident bytes of a process now. */
export function residentBytes(pid: number): number {
  return statusKb(pid, "VmRSS") * 1024;
}

/** The highest residentBytes since the process began or since resetPeak. */
export function peakResidentBytes(pid: number): number {
  return statusKb(pid, "VmHWM") * 1024;
}

/** Lets peakResidentBytes begin anew. */
export function resetPeak(pid: number): void {
  Bun.spawnSync(["sh", "-c", `echo 5 > /proc/${pid}/clear_refs`]);
}

function statusKb(pid: number, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  if (found === null) throw new Error(`/proc/${pid}/status has no ${name}`);
  return Number(found[1]);
}
