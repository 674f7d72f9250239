// An upgrade under load: another process takes over the listening sockets, and neither a connection nor an answer is lost.
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "../support/client.ts";
import { freePort, type Spawned, spawnMemcached } from "../support/memcached.ts";
import { tandemPath } from "../support/tandem.ts";

const open: (Client | Spawned)[] = [];
const started = new Set<number>();
function held<T extends Client | Spawned>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const pid of started) if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
  started.clear();
  for (const thing of open.splice(0).reverse()) {
    if ("stop" in thing) await thing.stop();
    else thing.close();
  }
});

interface Running {
  readonly port: number;
  readonly dir: string;
  readonly child: ChildProcess;
  /** The primary and the backup, as tandem calls them. */
  readonly servers: readonly [string, string];
  log(): string;
}

/** tandem from a copy of its own, which can be replaced, with a pid file. */
async function run(flags: readonly string[], logFile = ""): Promise<Running> {
  const dir = mkdtempSync(join(tmpdir(), "tandem-upgrade-"));
  chmodSync(dir, 0o755); // as /usr/bin is to others
  copyFileSync(tandemPath(), join(dir, "tandem"));
  const [primary, backup] = [held(await spawnMemcached()), held(await spawnMemcached())];
  const port = await freePort(), admin = await freePort();
  const args = ["-l", "127.0.0.1", "-p", String(port), "-f", join(dir, "socket"), "-s", `127.0.0.1:${primary.port}`, "-b", `127.0.0.1:${backup.port}`,
    "--pid-file", join(dir, "pid"), "--drain", "20s", "--admin", `127.0.0.1:${admin}`, ...flags, ...(logFile === "" ? [] : ["--log-file", join(dir, logFile)])];
  writeFileSync(join(dir, "admin"), `127.0.0.1:${admin}`);
  const child = spawn(join(dir, "tandem"), args, { stdio: ["ignore", "pipe", "pipe"] });
  started.add(child.pid!);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Uint8Array) => (log += new TextDecoder().decode(bytes)));
  const whole = (): string => (logFile !== "" && existsSync(join(dir, logFile)) ? readFileSync(join(dir, logFile), "utf8") : log);
  await until(() => /INFO server is up .*\n(.*\n)*.*INFO server is up/.test(whole()), whole);
  return { port, dir, child, servers: [`127.0.0.1:${primary.port}`, `127.0.0.1:${backup.port}`], log: whole };
}

async function until(holds: () => boolean, what: () => string): Promise<void> {
  const limit = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`in vain\n${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20)); // another process's doings are seen by looking
  }
}

/** Clients that connect, write and read their own key, and leave, again and again; some stay for as long as they may. */
class Visitors {
  refused = 0;
  unanswered = 0;
  readonly mistakes: string[] = [];
  visits = 0;
  private stopping = false;
  private readonly running: Promise<void>[] = [];

  constructor(private readonly port: number, count: number) {
    for (let i = 0; i < count; i++) this.running.push(this.come(i));
  }

  private async come(i: number): Promise<void> {
    for (let round = 0; !this.stopping; round++) {
      let client: Client;
      try {
        client = await Client.open(this.port);
      } catch {
        this.refused++;
        continue;
      }
      try {
        for (let asked = 0; asked < 1 + (i % 5) * 20; asked++) {
          const value = `${i}.${round}.${asked}`;
          client.send(`set visitor${i} 0 0 ${value.length}\r\n${value}\r\nget visitor${i}\r\n`);
          const stored = await client.line(5000);
          if (stored !== "STORED") this.mistakes.push(stored);
          const { values } = await client.values(5000);
          const read = new TextDecoder().decode(values[0]?.bytes);
          if (read !== value) this.mistakes.push(`${value}: ${read}`);
        }
        client.send("quit\r\n");
        await client.closed;
        this.visits++;
      } catch {
        this.unanswered++;
      }
      client.close();
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.running);
  }
}

for (const [name, flags] of [["one process", []], ["two workers", ["--workers", "2"]]] as const) {
  describe(name, () => {
    test("under load not one connection is refused and no request is lost; who stays is served on for a while", async () => {
      const { port, dir, child, log } = await run(flags);
      try {
        const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
        const stays = held(await Client.open(port));
        let answers = 0, left = false;
        const staying = (async () => {
          while (!left) {
            const answer = await stays.ask("mn\r\n").catch(() => null);
            if (answer === null) break;
            if (answer === "MN") answers++;
            await new Promise((resolve) => setTimeout(resolve, 100)); // now and then
          }
        })();
        const visitors = new Visitors(port, 10);
        const before = Number(readFileSync(join(dir, "pid"), "utf8"));
        expect(before).toBe(child.pid!);
        await new Promise((resolve) => setTimeout(resolve, 500)); // a while of load before
        // A new binary in the place of the old one.
        copyFileSync(tandemPath(), join(dir, "new"));
        renameSync(join(dir, "new"), join(dir, "tandem"));
        const { stdout: said } = await promisify(execFile)(join(dir, "tandem"), ["upgrade", "--admin", readFileSync(join(dir, "admin"), "utf8")]);
        expect(said).toMatch(/ serves after \d+ ms; the one before finishes its clients\n$/);
        const heir = Number(readFileSync(join(dir, "pid"), "utf8"));
        started.add(heir);
        expect(heir).not.toBe(before);
        const enough = answers + 10;
        await until(() => answers >= enough || stays.isClosed, log);
        left = true;
        await staying;
        stays.send("quit\r\n");
        expect(answers).toBeGreaterThanOrEqual(enough);
        // Its last client has left: so does it.
        expect(await exited).toBe(0);
        await new Promise((resolve) => setTimeout(resolve, 500)); // a while of load after
        await visitors.stop();
        expect([visitors.refused, visitors.unanswered, visitors.mistakes]).toEqual([0, 0, []]);
        expect(visitors.visits).toBeGreaterThan(50);
        console.log(`${name}: ${visitors.visits} connections, none refused, nothing lost`);
        expect(existsSync(join(dir, "socket"))).toBe(true);
        expect(log()).toMatch(new RegExp(`INFO a new process serves, this one finishes its clients pid=${heir} `));
        process.kill(heir, "SIGTERM");
        await until(() => !existsSync(join(dir, "pid")), log);
      } catch (error) {
        console.log(log());
        throw error;
      } finally {
        rmSync(dir, { recursive: true });
      }
    }, 40_000);
  });
}

for (const workers of [1, 2]) {
  test(`a server that was taken out of reads by hand stays out, with ${workers} worker${workers > 1 ? "s" : ""}`, async () => {
    const { dir, child, log, servers: [primary] } = await run(["--workers", String(workers)]);
    try {
      const admin = readFileSync(join(dir, "admin"), "utf8");
      const command = async (...words: string[]): Promise<string> => (await promisify(execFile)(tandemPath(), words)).stdout;
      await until(() => log().split("INFO server is up ").length > 2 * workers, log);
      await command("drain", primary, "--admin", admin);
      await command("upgrade", "--admin", admin);
      started.add(Number(readFileSync(join(dir, "pid"), "utf8")));
      // The one before says so too, to those who share the servers with it, until it has gone.
      await until(() => child.exitCode !== null, log);
      const drained = async (): Promise<boolean> => new RegExp(`^primary +${primary} +up, drained`, "m").test(await command("status", admin));
      expect(await drained()).toBe(true);
      await command("undrain", primary, "--admin", admin);
      expect(await drained()).toBe(false);
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 40_000);
}

test("after -u too, with a log that root opened", async () => {
  if (process.getuid?.() !== 0) return console.log("not run: only root can become another user");
  const { port, dir, child, log } = await run(["-u", "nobody"], "log");
  try {
    await promisify(execFile)(tandemPath(), ["upgrade", "--admin", readFileSync(join(dir, "admin"), "utf8")]);
    const heir = Number(/serves, this one finishes its clients pid=(\d+) /.exec(log())![1]);
    started.add(heir);
    expect(heir).not.toBe(child.pid!);
    expect(readFileSync(`/proc/${heir}/status`, "utf8")).toMatch(/^Uid:\s+65534\s/m);
    const client = held(await Client.open(port));
    expect(await client.ask("mn\r\n")).toBe("MN");
    process.kill(heir, "SIGTERM");
    await until(() => log().includes("stopping signal=SIGTERM"), log); // what the new one says is there as well
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 30_000);

test("one whose admin interface is elsewhere is named by the process before", async () => {
  const dir = mkdtempSync(join(tmpdir(), "tandem-upgrade-")), file = join(dir, "tandem.toml");
  try {
    const memcached = held(await spawnMemcached()), port = await freePort();
    const [before, after] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`] as const;
    const write = (admin: string): void => writeFileSync(file, `admin = "${admin}"\nlisten = ["127.0.0.1"]\nport = ${port}\nservers = ["127.0.0.1:${memcached.port}"]\n`);
    write(before);
    const child = spawn(tandemPath(), ["-c", file], { stdio: ["ignore", "ignore", "pipe"] });
    started.add(child.pid!);
    let log = "";
    child.stderr.on("data", (bytes: Uint8Array) => (log += new TextDecoder().decode(bytes)));
    await until(() => log.includes("INFO admin interface"), () => log);
    write(after);
    const { stdout } = await promisify(execFile)(tandemPath(), ["upgrade", "--admin", before]);
    const heir = /^127\.0\.0\.1:\d+: another process serves, pid (\d+); its admin interface is elsewhere\n$/.exec(stdout);
    expect([stdout, heir !== null]).toEqual([stdout, true]);
    started.add(Number(heir![1]));
    expect((await promisify(execFile)(tandemPath(), ["status", after])).stdout).toMatch(/^primary /m);
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 30_000);

test("a heir that cannot begin changes nothing", async () => {
  const { port, dir, child, log } = await run([]);
  try {
    writeFileSync(join(dir, "new"), "#!/bin/sh\nexit 7\n", { mode: 0o755 });
    renameSync(join(dir, "new"), join(dir, "tandem"));
    process.kill(child.pid!, "SIGUSR2");
    await until(() => log().includes("ERROR the upgrade failed, this process goes on reason=\"the new process ended (exit code 7)\""), log);
    // Who asks for it hears why, not only that nobody came.
    const admin = readFileSync(join(dir, "admin"), "utf8");
    const asked = await promisify(execFile)(tandemPath(), ["upgrade", "--admin", admin]).catch((problem: { code: number; stderr: string }) => problem);
    expect(asked).toMatchObject({ code: 1, stderr: `tandem: ${admin}: the upgrade failed, the one before goes on: the new process ended (exit code 7)\n` });
    const client = held(await Client.open(port));
    expect(await client.ask("mn\r\n")).toBe("MN");
    expect(readFileSync(join(dir, "pid"), "utf8")).toBe(`${child.pid}\n`);
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 30_000);
