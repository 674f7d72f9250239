// Several workers take other ports, pools and limits of clients by reload, all at the same time: whoever is connected to a
// port that stays notices nothing, new ports are served by all workers, and what is gone is gone everywhere.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { Load } from "../support/load.ts";
import { freePort, label, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { gone, start, type Running } from "../support/program.ts";
import { Relay } from "../support/relay.ts";
import { talksFrom, tandemPath } from "../support/tandem.ts";
import { workersOf } from "../support/workers.ts";

const TEST_MS = 90_000, ANSWER_MS = 20_000;
const { keep, stopAll } = keeper();
const dir = mkdtempSync(join(tmpdir(), "tandem-reload-workers-"));
process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await stopAll();
});

class Scene {
  private readonly own = mkdtempSync(join(dir, "scene-"));
  private readonly path = join(this.own, "tandem.toml");
  private readonly admin = join(this.own, "admin");
  readonly socket = join(this.own, "socket");
  tandem!: Running;

  /** Pools by their lines in the file. */
  write(pools: Readonly<Record<string, readonly string[]>>): void {
    writeFileSync(this.path, Object.entries(pools).map(([name, lines]) => `[pools.${name}]\ntimeout = "2s"\n${lines.join("\n")}\n`).join(""));
  }

  async begins(): Promise<void> {
    this.tandem = start(tandemPath(), ["-c", this.path, "--workers", "2", "--admin", this.admin, "--drain", "1000", "--pid-file", join(this.own, "pid")]);
    await keep(Promise.resolve({
      stop: async () => {
        // After an upgrade it is another one, which has our output too.
        process.kill(Number(readFileSync(join(this.own, "pid"), "utf8")), "SIGKILL");
        await this.tandem.ended;
      },
    }));
    await this.tandem.said(/workers share the ports/);
  }

  says(...words: string[]): string {
    const { status, stdout, stderr } = spawnSync(tandemPath(), [...words, "--admin", this.admin], { encoding: "utf8" });
    return `${status} ${stdout}${stderr}`;
  }
  reloads(pools: Readonly<Record<string, readonly string[]>>): string {
    this.write(pools);
    return this.says("reload");
  }
  /** What the report says of each pool. */
  pools(): { name: string; listening: string[]; clients: { now: number; max: number }; servers: { state: string; cold: boolean }[] }[] {
    const { stdout } = spawnSync(tandemPath(), ["status", this.admin, "--json"], { encoding: "utf8" });
    return (JSON.parse(stdout) as { pools: ReturnType<Scene["pools"]> }).pools;
  }
}

const at = (...ports: (number | string)[]): string => `listen = [${ports.map((port) => (typeof port === "string" ? `"${port}"` : `"127.0.0.1:${port}"`))}]`;
const over = (primary: Spawned, backup: Spawned): string => `servers = ["${label(primary)}"]\nbackups = ["${label(backup)}"]`;

async function enter(port: number): Promise<Client> {
  const client = await Client.open(port);
  clients.push(client);
  return client;
}

/** Which workers answered new clients, by their pids: those of both, but one may get its ports a moment later. Each stores. */
async function workersAt(port: number): Promise<string[]> {
  const pids = new Set<string>();
  for (let tries = 0; pids.size < 2 && tries < 50; tries++) {
    for (const client of await Promise.all(Array.from({ length: 8 }, () => enter(port)))) {
      expect(await client.ask("set k 0 0 1\r\nx\r\n", ANSWER_MS)).toBe("STORED");
      client.send("stats\r\n");
      for (let line = ""; line !== "END"; line = await client.line(ANSWER_MS)) if (line.startsWith("STAT pid ")) pids.add(line.slice(9));
    }
  }
  return [...pids].sort();
}

const refused = (port: number): Promise<boolean> => Client.open(port).then((client) => (client.close(), false), () => true);

test("ports, pools and limits come and go under load, and nobody who may stay notices", async () => {
  const [a, x, b, y] = (await Promise.all(Array.from({ length: 4 }, () => keep(spawnMemcached({ args: ["-t", "1"] }))))) as [Spawned, Spawned, Spawned, Spawned];
  const [one, two, three] = [await freePort(), await freePort(), await freePort()] as [number, number, number];
  const scene = new Scene();
  scene.write({ main: [at(one), over(a, x)] });
  await scene.begins();
  const workers = workersOf(scene.tandem.pid).map(String).sort();
  const load = new Load({ ports: [one], clients: 8, rate: 300, seed: 7 });
  try {
    await load.start();
    // A pool, a port and a socket more.
    expect(scene.reloads({ main: [at(one, two), over(a, x)], young: [at(three), `socket = "${scene.socket}"`, over(b, y)] }))
      .toBe(`0 main: listens also on 127.0.0.1:${two}\nyoung: new, at 127.0.0.1:${three}, ${scene.socket}\n`);
    for (const port of [two, three]) expect(await workersAt(port)).toEqual(workers);
    expect(scene.pools().map(({ name, listening }) => [name, [...listening].sort()])).toEqual([
      ["main", [`127.0.0.1:${one}`, `127.0.0.1:${two}`].sort()], ["young", [`127.0.0.1:${three}`, scene.socket].sort()],
    ]);
    const bySocket = connect(scene.socket);
    bySocket.write("mn\r\n");
    expect(await new Promise((said) => bySocket.once("data", (bytes) => said(String(bytes))))).toBe("MN\r\n");
    bySocket.destroy();

    // Both pools swap a port: who is connected stays where he is, who comes is the other pool's.
    const stays = await enter(three);
    expect(await stays.ask("set only-young 0 0 1\r\nx\r\n", ANSWER_MS)).toBe("STORED");
    expect(scene.reloads({ main: [at(one, three), over(a, x)], young: [at(two), over(b, y)] }))
      .toBe(`0 main: listens also on 127.0.0.1:${three}\nmain: listens no more on 127.0.0.1:${two}\nyoung: listens also on 127.0.0.1:${two}\nyoung: listens no more on 127.0.0.1:${three}, ${scene.socket}\n`);
    expect(existsSync(scene.socket)).toBe(false);
    const hits = async (client: Client): Promise<number> => (await client.fetch("get only-young\r\n", ANSWER_MS)).values.length;
    expect([await hits(stays), await hits(await enter(two)), await hits(await enter(three))]).toEqual([1, 1, 0]);

    // A worker that is started later serves the ports that there are by then, and no others.
    const [dies] = workersOf(scene.tandem.pid) as [number];
    load.stopping = true;
    await load.stop();
    expect(load.operations.filter(({ error }) => error !== null).map(({ kind, error }) => `${kind}: ${error}`)).toEqual([]);
    expect(load.findings.sentences).toEqual([]);
    process.kill(dies, "SIGKILL");
    expect(await gone(dies, 5000)).toBe(true);
    await scene.tandem.said(/INFO a worker started/);
    const now = workersOf(scene.tandem.pid).map(String).sort();
    for (const port of [one, two, three]) expect(await workersAt(port)).toEqual(now);

    // A pool is gone: its clients are shown out, its port is closed.
    const leaves = await enter(two);
    expect(await leaves.ask("mn\r\n", ANSWER_MS)).toBe("MN");
    const remains = await enter(one);
    expect(scene.reloads({ main: [at(one), over(a, x)] })).toBe(`0 main: listens no more on 127.0.0.1:${three}\nyoung: gone\n`);
    await leaves.closed;
    expect([await refused(one), await refused(two), await refused(three)]).toEqual([false, true, true]);
    expect(await remains.ask("mn\r\n", ANSWER_MS)).toBe("MN");
    // It may come again, as another one.
    expect(scene.reloads({ main: [at(one), over(a, x)], young: [at(two), over(b, y)] })).toBe(`0 young: new, at 127.0.0.1:${two}\n`);
    expect(await hits(await enter(two))).toBe(1);
    expect(scene.says("upgrade")).toMatch(/^0 /);
    expect(await hits(await enter(two))).toBe(1);
  } finally {
    load.stopping = true;
    load.close();
  }
}, TEST_MS);

test("in a pool that came by a reload all workers know what one of them does: a server that one of them cannot reach is read by none for what it missed", async () => {
  const [a, x, b, y] = (await Promise.all(Array.from({ length: 4 }, () => keep(spawnMemcached({ args: ["-t", "1"] }))))) as [Spawned, Spawned, Spawned, Spawned];
  const [one, two] = [await freePort(), await freePort()] as [number, number];
  const scene = new Scene(), relay = new Relay(await freePort(), b.port), relayed = { ...b, port: relay.port };
  scene.write({ main: [at(one), over(a, x)] });
  await scene.begins();
  const [cut] = workersOf(scene.tandem.pid) as [number];
  expect(scene.reloads({ main: [at(one), over(a, x)], young: [at(two), over(relayed, y)] })).toBe(`0 young: new, at 127.0.0.1:${two}\n`);
  expect((await workersAt(two)).length).toBe(2);
  // The worker that comes second may find servers written already, and then compares them first.
  const settled = (): boolean => scene.pools()[1]!.servers.every(({ state, cold }) => state === "up" && !cold);
  for (const until = performance.now() + ANSWER_MS; !settled();) {
    if (performance.now() > until) throw new Error("the new pool's servers are not up");
    await new Promise((resolve) => setTimeout(resolve, 100)); // of both workers together nobody tells
  }
  const load = new Load({ ports: [two], clients: 16, rate: 800, seed: 8 });
  try {
    await load.start();
    relay.admits = (port) => !talksFrom(cut, port);
    relay.sift();
    await scene.tandem.said(new RegExp(`WARN server is down .*server=${label(relayed)}`));
    for (const from = load.operations.length; load.operations.length < from + 400;) await new Promise((resolve) => setTimeout(resolve, 20)); // of the load itself nobody tells
    relay.admits = () => true;
    // The other worker, which reaches it, may have given it everything by now.
    await scene.tandem.said(new RegExp(`INFO server is up .*server=${label(relayed)} .*reason="?(synchronised|missed nothing)`));
    await load.stop();
    await load.sweep();
    expect(load.findings.sentences).toEqual([]);
  } finally {
    load.stopping = true;
    load.close();
    relay.close();
  }
}, TEST_MS);

test("another limit of clients holds in sum, at once", async () => {
  const [a, x] = await Promise.all([keep(spawnMemcached()), keep(spawnMemcached())]);
  const one = await freePort();
  const scene = new Scene();
  const limit = (clients: number): Readonly<Record<string, readonly string[]>> => ({ main: [at(one), over(a, x), `max_clients = ${clients}`] });
  scene.write(limit(4));
  await scene.begins();
  const knock = async (): Promise<string> => (await enter(one)).ask("mn\r\n", ANSWER_MS);
  const several = async (count: number): Promise<string[]> => {
    const said: string[] = [];
    for (let i = 0; i < count; i++) said.push(await knock());
    return said;
  };
  const FULL = "ERROR Too many open connections";
  expect(await several(5)).toEqual(["MN", "MN", "MN", "MN", FULL]);
  expect(scene.reloads(limit(7))).toBe("0 main: max_clients 7 instead of 4\n");
  expect(await several(4)).toEqual(["MN", "MN", "MN", FULL]);
  expect(scene.reloads(limit(2))).toBe("0 main: max_clients 2 instead of 7\n");
  expect(await several(2)).toEqual([FULL, FULL]);
  // Those that are there stay.
  for (const client of clients.slice(0, 4)) expect(await client.ask("mn\r\n", ANSWER_MS)).toBe("MN");
  expect(scene.pools()[0]!.clients).toEqual({ now: 7, max: 2 });
}, TEST_MS);

test("a port that is taken, or backups for a pool that had none, change nothing at all", async () => {
  const [a, x] = await Promise.all([keep(spawnMemcached()), keep(spawnMemcached())]);
  const [one, two] = [await freePort(), await freePort()] as [number, number];
  const scene = new Scene();
  scene.write({ main: [at(one), `servers = ["${label(a)}"]`] });
  await scene.begins();
  const client = await enter(one);
  expect(await client.ask("mn\r\n", ANSWER_MS)).toBe("MN");
  expect(scene.reloads({ main: [at(one, two, x.port), `servers = ["${label(a)}"]`] })).toContain(`: cannot listen on 127.0.0.1:${x.port}: something listens there already\n`);
  expect(await refused(two)).toBe(true);
  expect(scene.reloads({ main: [at(one, two), over(a, x)] }))
    .toMatch(/pool main: backups cannot change from none to 127\S+ while several workers run; allowed: none; restart tandem for that/);
  expect(await refused(two)).toBe(true);
  expect(scene.reloads({ main: [at(one, two), `servers = ["${label(a)}"]`] })).toBe(`0 main: listens also on 127.0.0.1:${two}\n`);
  expect(await (await enter(two)).ask("mn\r\n", ANSWER_MS)).toBe("MN");
  expect(await client.ask("mn\r\n", ANSWER_MS)).toBe("MN");
}, TEST_MS);
