// Real servers for tests: memcached and nutcracker as child processes on loopback. Each is ready when it has itself
// answered a question (its version and its own pid: a stranger on the port does not count), and is ended by its pid. node: modules only, so Bun and Deno can both use it.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, accessSync, constants } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve as resolvePath } from "node:path";

/** How long a server may take to answer its first question, ms. */
const READY_MS = 20_000;
/** How long one try may wait for its answer, ms: a stranger on the port must not hold us until READY_MS. */
const ANSWER_MS = 1_000;

/** Whether text is the whole answer of the process pid. */
type Answer = (text: string, pid: number) => boolean;

/** A child process that serves on host:port (or on a unix socket: then port is 0 and host is its path). */
export interface Spawned {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Sends a signal now (default SIGKILL) and does not wait; a no-op once the process is gone. */
  kill(signal?: NodeJS.Signals): void;
  /** Ends the process, stopped or not, and waits until it is gone. Idempotent. */
  stop(): Promise<void>;
  /** Resolves when the process is gone, whoever ended it. */
  readonly exited: Promise<void>;
}

/** As servers are named on a command line. */
export function label({ host, port }: Spawned): string {
  return `${host}:${port}`;
}

/** Where the program is, or null when this machine does not have it. */
export function findProgram(name: string): string | null {
  for (const dir of [...(process.env["PATH"] ?? "").split(":"), "/usr/bin", "/usr/sbin", "/usr/local/bin"]) {
    if (dir === "") continue;
    try {
      accessSync(join(dir, name), constants.X_OK);
      return join(dir, name);
    } catch {
      continue;
    }
  }
  return null;
}

/** Which memcached: the machine's own (1.6.18 on Debian 12), or the newer one that is fetched for tests (1.6.38). */
export type Which = "installed" | "newer";

const NEWER_DIR = "node_modules/.cache/memcached-trixie";
let newer: readonly string[] | null | undefined;

/**
 * The command that runs the newer memcached, fetched at the first call on this machine (some seconds); null when it
 * cannot be had, which is then said in one line. For test.skipIf.
 */
export function newerMemcached(): readonly string[] | null {
  if (newer === undefined) {
    const found = spawnSync("tests/support/newer_memcached.sh", [resolvePath(NEWER_DIR)], { encoding: "utf8" });
    newer = found.status === 0 ? found.stdout.trim().split("\n") : null;
    if (newer === null) console.log(`not run: tests with a newer memcached, since ${(found.stderr || String(found.error)).trim().split("\n")[0]}`);
  }
  return newer;
}

function commandOf(which: Which): readonly string[] {
  if (which === "newer") {
    const command = newerMemcached();
    if (command === null) throw new Error("a test with the newer memcached must be skipped when newerMemcached() is null");
    return command;
  }
  const program = findProgram("memcached");
  if (program === null) throw new Error("memcached is not installed");
  return [program];
}

/** Ports come in blocks; below the range from which the kernel takes the ports of outgoing connections. */
const BLOCK = { first: 12_000, length: 100, count: 200 };
let untried: number[] = [];

/**
 * A TCP port of host on which nobody listens, never the same twice in one process, nor one that another test process
 * has had: while the server there is down on purpose, a stranger's must not stand on its port. A busy test cannot lose
 * it to a client socket either.
 */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (;;) {
    if (untried.length === 0) untried = await claimBlock();
    const port = untried.pop()!;
    if (await canListen(host, port)) return port;
  }
}

/** The ports of a block that is this process's own: it listens on the block's first as long as it lives. */
async function claimBlock(): Promise<number[]> {
  for (;;) {
    const first = BLOCK.first + BLOCK.length * Math.floor(Math.random() * BLOCK.count);
    const claim = createServer();
    const claimed = await new Promise<boolean>((resolve) => {
      claim.once("error", () => resolve(false));
      claim.listen({ host: "127.0.0.1", port: first, exclusive: true }, () => resolve(true));
    });
    if (!claimed) continue;
    claim.unref();
    return Array.from({ length: BLOCK.length - 1 }, (_none, at) => first + 1 + at);
  }
}

/** True when host:port can be listened on now. */
export function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Starts a memcached, the installed one unless told otherwise, and waits until it answers `version` and `stats` with its own pid. Without a port it takes a free one. args are added to
 * the command line; "-s PATH" among them makes it serve a unix socket instead. Rejects with its stderr when it
 * does not come up.
 */
export async function spawnMemcached(
  opts: { args?: string[]; port?: number; host?: string; which?: Which } = {},
): Promise<Spawned> {
  const [program, ...loading] = commandOf(opts.which ?? "installed") as [string, ...string[]];
  const extra = opts.args ?? [];
  const socketAt = extra.indexOf("-s");
  const user = process.getuid?.() === 0 ? ["-u", "root"] : [];
  const question = "version\r\nstats\r\n";
  const answer = (text: string, pid: number): boolean => text.startsWith("VERSION ") && text.includes(`STAT pid ${pid}\r\n`);
  if (socketAt !== -1) return start(program, [...loading, ...user, ...extra], extra[socketAt + 1]!, 0, question, answer);
  const host = opts.host ?? "127.0.0.1";
  return onPort(opts.port, host, (port) =>
    start(program, [...loading, "-l", host, "-p", String(port), "-U", "0", ...user, ...extra], host, port, question, answer));
}

/**
 * Starts Debian's nutcracker (twemproxy) with one memcached pool and waits until it answers. `pool` holds the
 * pool's YAML settings besides listen, for example { hash: "md5", hash_tag: '"{}"' }; servers are in nutcracker's
 * own words, "127.0.0.1:11311:1" or "127.0.0.1:11311:1 name".
 */
export async function spawnNutcracker(
  servers: readonly string[], pool: Readonly<Record<string, string>> = {}, opts: { port?: number; host?: string } = {},
): Promise<Spawned> {
  const program = findProgram("nutcracker");
  if (program === null) throw new Error("nutcracker is not installed");
  const host = opts.host ?? "127.0.0.1";
  const dir = mkdtempSync(join(tmpdir(), "tandem-nutcracker-"));
  try {
    const spawned = await onPort(opts.port, host, async (port) => {
      if (!(await canListen(host, port))) throw new Error(`${host}:${port} is taken`);
      const conf = join(dir, `${port}.yml`);
      const settings = Object.entries(pool).map(([name, value]) => `  ${name}: ${value}\n`).join("");
      writeFileSync(conf, `pool:\n  listen: ${host}:${port}\n${settings}  servers:\n${servers.map((s) => `   - ${s}\n`).join("")}`);
      // Its statistics listen on 0.0.0.0:22222 unless told otherwise.
      const stats = await freePort(host);
      const args = ["-c", conf, "-a", host, "-s", String(stats), "-v", "2"];
      return start(program, args, host, port, "get tandem-ready\r\n", (text) => text.endsWith("\r\n"));
    });
    void spawned.exited.then(() => rmSync(dir, { recursive: true, force: true }));
    return spawned;
  } catch (problem) {
    rmSync(dir, { recursive: true, force: true });
    throw problem;
  }
}

/** With a port: one try on it. Without: a free port, and another one when somebody else took it meanwhile. */
async function onPort(port: number | undefined, host: string, run: (port: number) => Promise<Spawned>): Promise<Spawned> {
  if (port !== undefined) return run(port);
  for (let tries = 1; ; tries++) {
    try {
      return await run(await freePort(host));
    } catch (problem) {
      if (tries === 3) throw problem;
    }
  }
}

async function start(
  program: string, args: string[], host: string, port: number, question: string, answer: Answer,
): Promise<Spawned> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const pid = child.pid ?? 0;
  let gone = pid === 0;
  let stderr = "";
  child.stderr!.on("data", (chunk: Uint8Array) => {
    if (stderr.length < 4096) stderr += new TextDecoder().decode(chunk);
  });
  // By pid, not child.kill: under Deno a child that was sent SIGSTOP counts as ended for child.kill.
  const kill = (signal: NodeJS.Signals = "SIGKILL"): void => {
    if (!gone) process.kill(pid, signal);
  };
  const atExit = (): void => kill();
  process.once("exit", atExit);
  const exited = new Promise<void>((resolve) => {
    const end = (): void => {
      gone = true;
      process.removeListener("exit", atExit);
      resolve();
    };
    child.once("exit", end);
    child.once("error", end);
  });
  const stop = async (): Promise<void> => {
    kill();
    await exited;
  };
  const settled = new AbortController();
  const ready = answers(host, port, question, (text) => answer(text, pid), settled.signal);
  const slow = setTimeout(() => settled.abort(), READY_MS);
  const outcome = await Promise.race([ready, exited.then(() => "it exited" as const)]);
  clearTimeout(slow);
  settled.abort();
  if (outcome !== true) {
    await stop();
    throw new Error(`${program} ${args.join(" ")} did not come up: ${stderr.trim() || outcome}`);
  }
  return { host, port, pid, kill, stop, exited };
}

/** Asks until the whole answer is as expected; "no answer" when the signal ends it first. */
async function answers(
  host: string, port: number, question: string, good: (text: string) => boolean, until: AbortSignal,
): Promise<true | "no answer"> {
  while (!until.aborted) {
    if (await answersOnce(host, port, question, good, until)) return true;
    // Nothing reports that a child has begun to listen: a refused connect is asked again a moment later.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return "no answer";
}

function answersOnce(
  host: string, port: number, question: string, good: (text: string) => boolean, until: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = port === 0 ? connect({ path: host }) : connect({ host, port });
    const slow = setTimeout(() => finish(false), ANSWER_MS);
    let text = "";
    const finish = (outcome: boolean): void => {
      clearTimeout(slow);
      until.removeEventListener("abort", giveUp);
      socket.destroy();
      resolve(outcome);
    };
    const giveUp = (): void => finish(false);
    until.addEventListener("abort", giveUp);
    socket.on("connect", () => socket.write(question));
    socket.on("error", () => finish(false));
    socket.on("close", () => finish(false));
    socket.on("data", (chunk: Uint8Array) => {
      text += new TextDecoder().decode(chunk);
      if (good(text)) finish(true);
    });
  });
}
