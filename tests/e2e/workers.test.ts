// Several workers of one binary that share ports: what clients and the operator see of them.
import { afterEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, NoReply } from "../support/client.ts";
import { type Spawned, spawnMemcached } from "../support/memcached.ts";
import { spawnTandem, type Tandem, tandemPath } from "../support/tandem.ts";
import { standsStill } from "../support/program.ts";
import { workersOf } from "../support/workers.ts";

const open: (Client | Spawned)[] = [];
function held<T extends Client | Spawned>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) {
    if ("stop" in thing) await thing.stop();
    else thing.close();
  }
});

async function pair(args: readonly string[]): Promise<Tandem> {
  const primary = held(await spawnMemcached()), backup = held(await spawnMemcached());
  return held(await spawnTandem(["-s", `127.0.0.1:${primary.port}`, "-b", `127.0.0.1:${backup.port}`, ...args]));
}

async function stats(client: Client, words = ""): Promise<Map<string, string>> {
  client.send(`stats${words}\r\n`);
  const found = new Map<string, string>();
  for (;;) {
    const line = await client.line(5000);
    if (line === "END") return found;
    const [, name, value] = /^STAT (\S+) (.*)$/.exec(line)!;
    found.set(name!, value!);
  }
}

/** A client that holds a place: it was answered. Null: there was no room, and it was told so. */
async function enter(port: number): Promise<Client | null> {
  const client = held(await Client.open(port));
  client.send("mn\r\n");
  const line = await client.line(5000);
  if (line === "MN") return client;
  expect(line).toBe("ERROR Too many open connections");
  return null;
}

test("the limit of clients is exact in sum, whoever accepts them, and any worker answers the sums", async () => {
  const tandem = await pair(["--workers", "2", "-n", "21"]);
  expect(workersOf(tandem.pid).length).toBe(2);
  const clients: Client[] = [];
  for (let i = 0; i < 21; i++) clients.push((await enter(tandem.port))!);
  expect(clients).not.toContain(null);
  expect(await enter(tandem.port)).toBe(null);
  clients.forEach((client, index) => client.send(`set k${index} 0 0 1\r\nx\r\n`));
  for (const client of clients) expect(await client.line(5000)).toBe("STORED");
  // Both workers answer alike.
  for (const client of clients) {
    const general = await stats(client);
    expect([general.get("curr_connections"), general.get("cmd_set"), general.get("max_connections"), general.get("rejected_connections")]).toEqual(["21", "21", "21", "1"]);
  }
  expect(await clients[3]!.ask("stats reset\r\n")).toBe("RESET");
  // A place that is left can be had again, at once, from any worker.
  const left = clients.pop()!;
  left.send("quit\r\n");
  await left.closed;
  const late = (await enter(tandem.port))!;
  expect((await stats(late)).get("cmd_set")).toBe("0");
}, 30_000);

test("a worker that dies is started again; clients of the others notice nothing, and none is refused", async () => {
  const tandem = await pair(["--workers", "2"]);
  const clients = await Promise.all(Array.from({ length: 12 }, async () => (await enter(tandem.port))!));
  const before = workersOf(tandem.pid);
  process.kill(before[0]!, "SIGKILL");
  let gone = 0;
  const late: Client[] = [];
  for (let i = 0; i < 12; i++) late.push((await enter(tandem.port))!); // while it is down
  for (const client of clients) {
    try {
      expect(await client.ask("mn\r\n")).toBe("MN");
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      gone++;
    }
  }
  expect(gone).toBeLessThan(12);
  await tandem.said(/INFO a worker started worker=\d pid=(\d+)/);
  const after = workersOf(tandem.pid);
  expect(after.length).toBe(2);
  expect(after).toContain(before[1]!);
  expect(tandem.log()).toMatch(/ERROR a worker died worker=\d pid=\d+ again_ms=100/);
}, 30_000);

test("a worker that hangs is found and replaced, and its clients are cut", async () => {
  const dir = mkdtempSync(join(tmpdir(), "tandem-hung-"));
  try {
    const tandem = await pair(["--workers", "2", "--admin", join(dir, "admin")]);
    const clients = await Promise.all(Array.from({ length: 12 }, async () => (await enter(tandem.port))!));
    const [hung, other] = workersOf(tandem.pid) as [number, number];
    process.kill(hung, "SIGSTOP");
    const ends = await Promise.all(clients.map((client) => client.ask("mn\r\n", 15_000).then((line) => line, (error: unknown) => (error instanceof NoReply ? "cut" : String(error)))));
    expect([...new Set(ends)].sort()).toEqual(["MN", "cut"]);
    await tandem.said(new RegExp(`ERROR a worker hangs, it is killed worker=\\d pid=${hung} silent_ms=\\d+[^]*ERROR a worker died[^]*INFO a worker started`));
    const after = workersOf(tandem.pid);
    expect([after.length, after.includes(other), after.includes(hung)]).toEqual([2, true, false]);
    const metrics = execFileSync("curl", ["-s", "--unix-socket", join(dir, "admin"), "http://tandem/metrics"], { encoding: "utf8" });
    expect(metrics).toContain('tandem_workers_lost_total{why="hung"} 1\n');
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 30_000);

test("while no worker gets round to it as many connections wait in its ports as the kernel allows", async () => {
  const tandem = await pair(["--workers", "2"]);
  const workers = workersOf(tandem.pid);
  for (const pid of workers) await standsStill(pid);
  // Beyond what may wait the kernel answers none, until the workers are found to hang, after 4 s.
  const began = performance.now();
  const many = await Promise.all(Array.from({ length: 1500 }, () => Client.open(tandem.port)));
  const tookMs = performance.now() - began;
  for (const pid of workers) process.kill(pid, "SIGCONT");
  expect(await many[0]!.ask("mn\r\n", 10_000)).toBe("MN");
  for (const client of many) client.close();
  expect(tookMs).toBeLessThan(3000);
}, 30_000);

test("SIGINT ends several workers in order; none is left of -d and -u either", async () => {
  const dir = mkdtempSync(join(tmpdir(), "tandem-workers-"));
  chmodSync(dir, 0o777);
  try {
    const first = await pair(["--workers", "2"]);
    const client = held(await Client.open(first.port));
    expect(await client.ask("set k 0 0 1\r\nx\r\n")).toBe("STORED");
    const workers = workersOf(first.pid);
    first.kill("SIGINT");
    await first.exited;
    expect(first.log()).toContain("stopping signal=SIGINT");
    expect(workers.filter(runs)).toEqual([]);

    if (process.getuid!() !== 0) return console.log("-u with workers is not tested: it needs root");
    const primary = held(await spawnMemcached()), socket = join(dir, "socket");
    const args = ["-d", "-u", "nobody", "--workers", "2", "-s", `127.0.0.1:${primary.port}`, "-f", socket, "--pid-file", join(dir, "pid"), "--log-file", join(dir, "log"), "--admin", "off", "-p", "0"];
    // Where the new user may not look: workers are started from there all the same.
    const own = join(dir, "own"), program = join(own, "tandem");
    mkdirSync(own, { mode: 0o700 });
    copyFileSync(tandemPath(), program);
    execFileSync(program, args, { stdio: "pipe" });
    const pid = Number(readFileSync(join(dir, "pid"), "utf8"));
    const all = [pid, ...workersOf(pid)];
    try {
      expect(all.map((each) => /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/status`, "utf8"))![1])).toEqual(["65534", "65534", "65534"]);
      expect(execFileSync("python3", ["-c", SAYS_MN, socket], { encoding: "utf8" })).toBe("MN\r\n");
    } finally {
      process.kill(pid, "SIGINT");
    }
    for (let tries = 0; all.some(runs); tries++) {
      if (tries > 1000) throw new Error(readFileSync(join(dir, "log"), "utf8"));
      await new Promise((resolve) => setTimeout(resolve, 10)); // nobody tells us of another's child
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 30_000);

const SAYS_MN = `
import socket, sys
client = socket.socket(socket.AF_UNIX); client.connect(sys.argv[1]); client.sendall(b"mn\\r\\n"); print(client.recv(100).decode(), end="")`;

test("SIGTERM lets all workers answer and ends them; none outlives its supervisor", async () => {
  const dir = mkdtempSync(join(tmpdir(), "tandem-workers-"));
  try {
    const tandem = await pair(["--workers", "2", "-f", join(dir, "socket"), "--pid-file", join(dir, "pid")]);
    expect(readFileSync(join(dir, "pid"), "utf8")).toBe(`${tandem.pid}\n`);
    const workers = workersOf(tandem.pid);
    tandem.kill("SIGTERM");
    await tandem.exited;
    expect(workers.filter((pid) => existsSync(`/proc/${pid}/exe`))).toEqual([]);
    expect([existsSync(join(dir, "socket")), existsSync(join(dir, "pid"))]).toEqual([false, false]);
    const other = await pair(["--workers", "2"]);
    const orphans = workersOf(other.pid);
    other.kill("SIGKILL");
    await other.exited;
    for (let tries = 0; orphans.some(runs); tries++) {
      if (tries > 300) throw new Error("a worker outlives its supervisor");
      await new Promise((resolve) => setTimeout(resolve, 10)); // nobody tells us of another's child
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 30_000);

function runs(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
