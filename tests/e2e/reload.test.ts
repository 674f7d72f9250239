// SIGHUP under load: servers come and the placement becomes another software's, and clients notice nothing: no error, no
// miss of what is stored, nothing old. A file with a mistake changes nothing at all.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { Load } from "../support/load.ts";
import { spawnMemcached, type Spawned } from "../support/memcached.ts";
import { spawnTandem, tandemPath, type Tandem } from "../support/tandem.ts";

const TEST_MS = 90_000, CHANGED_MS = 40_000;
const dir = mkdtempSync(join(tmpdir(), "tandem-reload-"));
process.once("exit", () => rmSync(dir, { recursive: true, force: true }));

const { kept, keep, stopAll } = keeper();
afterEach(stopAll);

async function memcacheds(count: number): Promise<Spawned[]> {
  return (await Promise.all(Array.from({ length: count }, () => spawnMemcached({ args: ["-t", "1", "-m", "64"] })))).map(kept);
}

function started(path: string, ...more: string[]): Promise<Tandem> {
  return keep(spawnTandem(["-c", path, ...more]));
}

const label = ({ port }: Spawned): string => `"127.0.0.1:${port}"`;
const write = (path: string, primaries: readonly Spawned[], backups: readonly Spawned[], more: string): void =>
  writeFileSync(path, `servers = [${primaries.map(label)}]\nbackups = [${backups.map(label)}]\ntimeout = "700ms"\n${more}`);

/** Ends the load; what of it failed. */
async function ended(load: Load): Promise<string[]> {
  await load.stop();
  await load.sweep();
  return load.operations.filter(({ error }) => error !== null).map(({ kind, error }) => `${kind}: ${error}`);
}

/** Connections that a memcached has had so far, with that of this question. */
async function connections(server: Spawned): Promise<number> {
  const client = await Client.open(server.port);
  client.send("stats\r\n");
  let total = 0;
  for (let line = ""; line !== "END"; line = await client.line(5000)) if (line.startsWith("STAT total_connections ")) total = Number(line.split(" ")[2]);
  client.close();
  return total;
}

test("2 primaries become 3, and then twemproxy's ring libketama's, under load", async () => {
  const [a, b, c, x, y] = await memcacheds(5) as [Spawned, Spawned, Spawned, Spawned, Spawned];
  const path = join(dir, "rings.toml");
  write(path, [a, b], [x, y], 'ring = "twemproxy"\n');
  const tandem = await started(path);
  const load = new Load({ ports: [tandem.port], clients: 8, rate: 600, seed: 5 });
  try {
    await load.start();
    const before = await connections(a);

    let from = tandem.log().length;
    write(path, [a, b, c], [x, y], 'ring = "twemproxy"\n');
    tandem.kill("SIGHUP");
    await tandem.said(/reloaded change="?main: primaries also 127/, from);
    await tandem.said(/ring is in place ring=primaries/, from, CHANGED_MS);
    // A server that stays, and gains nothing, has heard of it by nothing but fewer keys.
    expect(await connections(a) - before).toBe(1);

    from = tandem.log().length;
    write(path, [a, b, c], [x, y], 'ring = "libketama"\n');
    tandem.kill("SIGHUP");
    await tandem.said(/ring is in place ring=primaries[^]*ring is in place ring=backups/, from, CHANGED_MS);
    const failed = await ended(load);
    const took = load.operations.map(({ tookMs }) => tookMs).sort((one, two) => one - two);
    console.log(`${load.operations.length} operations over two changes of rings, ${failed.length} failed, 99.9 % within ${Math.round(took[Math.floor(took.length * 0.999)]!)} ms`);
    expect({ failed, wrong: load.findings.sentences }).toEqual({ failed: [], wrong: [] });
  } finally {
    load.stopping = true;
    load.close();
  }
}, TEST_MS);

test("what is wrong changes nothing, and says so", async () => {
  const [a, x] = await memcacheds(2) as [Spawned, Spawned];
  const path = join(dir, "pools.toml");
  write(path, [a], [x], "");
  const tandem = await started(path);
  const client = await Client.open(tandem.port);
  expect(await client.ask("set k 0 0 1\r\nx\r\n")).toBe("STORED");

  let from = tandem.log().length;
  write(path, [a], [x], "tiemout = 3\nlanes = 0\n");
  tandem.kill("SIGHUP");
  await tandem.said(/reload refused, the settings stay as they are reason=".*pools\.toml:4: tiemout 3: is no setting; allowed: timeout"[^]*lanes 0: is too low/, from);
  write(path, [a], [x], "lanes = 2\n");
  from = tandem.log().length;
  tandem.kill("SIGHUP");
  await tandem.said(/reload refused.*lanes cannot change from 1 to 2 while tandem runs/, from);

  expect(await client.ask("get k\r\n")).toBe("VALUE k 0 1");
}, TEST_MS);

test("several workers take other settings together under load, or none of them", async () => {
  const [a, x] = await memcacheds(2) as [Spawned, Spawned];
  const path = join(dir, "workers.toml"), admin = join(dir, "workers-admin");
  write(path, [a], [x], 'workers = "2"\n');
  const tandem = await started(path, "--admin", admin);
  const load = new Load({ ports: [tandem.port], clients: 8, rate: 400, seed: 6 });
  const told = async (): Promise<string> => {
    const child = Bun.spawn([tandemPath(), "reload", "--admin", admin], { stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return `${await child.exited} ${out}${err}`;
  };
  try {
    await load.start();
    const before = await connections(a);
    for (const timeout of [600, 650, 600]) {
      write(path, [a], [x], `workers = "2"\nrefill_rate = ${timeout}\nslow = "${timeout}ms"\n`);
      expect(await told()).toMatch(/^0 main: refill_rate\nmain: slow\n$/);
    }
    write(path, [a], [x], 'workers = "2"\nring = "twemproxy"\n');
    expect(await told()).toMatch(/^1 tandem: .*servers and rings cannot change while several workers run; restart tandem for that\n$/);
    write(path, [a], [x], 'workers = "2"\nlanes = 2\n');
    tandem.kill("SIGHUP");
    await tandem.said(/reload refused.*lanes cannot change from 1 to 2/);
    expect(await connections(a) - before).toBe(1);
    const failed = await ended(load);
    expect({ failed, wrong: load.findings.sentences }).toEqual({ failed: [], wrong: [] });
  } finally {
    load.stopping = true;
    load.close();
  }
}, TEST_MS);

test("tandem reload and tandem transition end say what came of it", async () => {
  const [a, x] = await memcacheds(2) as [Spawned, Spawned];
  const path = join(dir, "told.toml"), admin = join(dir, "admin");
  write(path, [a], [x], "");
  await started(path, "--admin", admin);
  const told = (...words: string[]): string => {
    const { status, stdout, stderr } = spawnSync(tandemPath(), words, { encoding: "utf8" });
    return `${status} ${stdout}${stderr}`;
  };
  expect(told("reload", "--admin", admin)).toBe("0 nothing has changed\n");
  write(path, [a], [x], 'refill_rate = 100\n');
  expect(told("reload", "--admin", admin)).toMatch(/^0 main: refill/);
  write(path, [a], [x], "tiemout = 3\n");
  expect(told("reload", "--admin", admin)).toMatch(/^1 tandem: .*told\.toml:4: tiemout 3: is no setting; allowed: timeout\n$/);
  expect(told("transition", "end", "--admin", admin)).toMatch(/^1 tandem: .*: no rings are changing\n$/);
  expect(told("transition", "--admin", admin)).toMatch(/^2 tandem: transition: no word given; allowed: end\n/);
  expect(told("reload", "--admin", join(dir, "nobody"))).toMatch(/^3 tandem: /);
}, TEST_MS);
