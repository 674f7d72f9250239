// SIGHUP under load: servers come and the placement becomes another software's, and clients notice nothing: no error, no
// miss of what is stored, nothing old; with one process and with workers. A file with a mistake changes nothing at all.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "bun:test";
import { Client, textOf } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { Load } from "../support/load.ts";
import { newerMemcached, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { spawnTandem, tandemPath, type Tandem } from "../support/tandem.ts";

const TEST_MS = 90_000, CHANGED_MS = 40_000;
const dir = mkdtempSync(join(tmpdir(), "tandem-reload-"));
process.once("exit", () => rmSync(dir, { recursive: true, force: true }));

const { kept, keep, stopAll } = keeper();
afterEach(stopAll);

/** Newer ones where they can be had: to list all keys of others takes several passes, seconds each time. */
async function memcacheds(count: number): Promise<Spawned[]> {
  const which = newerMemcached() === null ? "installed" : "newer";
  return (await Promise.all(Array.from({ length: count }, () => spawnMemcached({ which, args: ["-t", "1", "-m", "64"] })))).map(kept);
}

const READ_KEYS = 1000, READ_AT_ONCE = 100, READ_PACE_MS = 20, ANSWER_MS = 20_000;

/** Gets the same keys again and again, which nobody writes, and counts those it is given. */
class Reader {
  private asked = 0;
  private hits = 0;
  private from = { asked: 0, hits: 0 };
  private under: Promise<void> = Promise.resolve();
  private running: Promise<void> = Promise.resolve();
  private stopping = false;

  private constructor(private readonly client: Client) {}

  static async start(port: number): Promise<Reader> {
    const client = await Client.open(port);
    for (let i = 0; i < READ_KEYS; i++) client.send(`set still${i} 0 0 3\r\nold\r\n`);
    for (let i = 0; i < READ_KEYS; i++) expect(await client.line(ANSWER_MS)).toBe("STORED");
    const reader = new Reader(client);
    reader.running = reader.run();
    return kept(reader);
  }

  private async run(): Promise<void> {
    for (let from = 0; !this.stopping; from = (from + READ_AT_ONCE) % READ_KEYS) {
      await (this.under = this.get(from));
      await new Promise((resolve) => setTimeout(resolve, READ_PACE_MS)); // it is not to be the load that others wait for
    }
  }

  private async get(from: number): Promise<void> {
    this.client.send(`get ${Array.from({ length: READ_AT_ONCE }, (_none, i) => `still${from + i}`).join(" ")}\r\n`);
    for (let line = ""; line !== "END"; line = await this.client.line(ANSWER_MS)) if (line.startsWith("VALUE ")) this.hits++;
    this.asked += READ_AT_ONCE;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
    this.client.close();
  }

  /** The part that was found since this was asked last, once each key was asked for. */
  async rate(): Promise<number> {
    while (this.asked < this.from.asked + READ_KEYS) {
      await this.under;
      await new Promise((resolve) => setTimeout(resolve, READ_PACE_MS)); // until the next one is sent
    }
    const { asked, hits } = this;
    const rate = (hits - this.from.hits) / (asked - this.from.asked);
    this.from = { asked, hits };
    return rate;
  }
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

for (const workers of [1, 2]) {
  test(`2 primaries become 3, and then twemproxy's ring libketama's, under load: ${workers} at work`, async () => {
    const [a, b, c, x, y] = await memcacheds(5) as [Spawned, Spawned, Spawned, Spawned, Spawned];
    const path = join(dir, `rings${workers}.toml`);
    const more = (ring: string): string => `workers = "${workers}"\nring = "${ring}"\n`;
    write(path, [a, b], [x, y], more("twemproxy"));
    const tandem = await started(path);
    const load = new Load({ ports: [tandem.port], clients: 8, rate: 600, seed: 5 });
    /** A line of each of those at work. */
    const allSaid = (line: string, from: number): Promise<unknown> => tandem.said(new RegExp(Array(workers).fill(line).join("[^]*")), from, CHANGED_MS);
    try {
      await load.start();
      const reader = await Reader.start(tandem.port);
      const rates = [await reader.rate()];
      const before = await connections(a);

      let from = tandem.log().length;
      write(path, [a, b, c], [x, y], more("twemproxy"));
      tandem.kill("SIGHUP");
      await tandem.said(/reloaded change="?main: primaries also 127/, from);
      await allSaid("ring is in place.* ring=primaries", from);
      rates.push(await reader.rate());
      // A server that stays, and gains nothing, has heard of it by nothing but fewer keys.
      expect(await connections(a) - before).toBe(1);

      from = tandem.log().length;
      write(path, [a, b, c], [x, y], more("libketama"));
      tandem.kill("SIGHUP");
      await allSaid("ring is in place.* ring=backups", from);
      rates.push(await reader.rate());
      await reader.stop();
      const failed = await ended(load);
      const took = load.operations.map(({ tookMs }) => tookMs).sort((one, two) => one - two);
      const percents = rates.map((rate) => `${(rate * 100).toFixed(2)} %`);
      console.log(`${workers} at work: ${load.operations.length} operations over two changes of rings, ${failed.length} failed, 99.9 % within ` +
        `${Math.round(took[Math.floor(took.length * 0.999)]!)} ms; hits before and in either change: ${percents.join(", ")}`);
      expect({ failed, wrong: load.findings.sentences }).toEqual({ failed: [], wrong: [] });
      for (const rate of rates) expect(rate).toBeGreaterThanOrEqual(rates[0]! - 0.02);
    } finally {
      load.stopping = true;
      load.close();
    }
  }, TEST_MS);
}

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
    write(path, [a], [x], 'workers = "2"\nmax_clients = 77\n');
    expect(await told()).toBe("0 main: max_clients 77 instead of 4096\nmain: refill_rate\nmain: slow\n");
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

const held = async (client: Client, key: string): Promise<string> => (await client.fetch(`get ${key}\r\n`)).values.map(({ bytes }) => textOf(bytes)).join();

test("proxies change rings when each of them was told, or when they are to wait no longer", async () => {
  const [a, b, x] = await memcacheds(3) as [Spawned, Spawned, Spawned];
  const [one, two] = [join(dir, "one.toml"), join(dir, "two.toml")], admin = join(dir, "one-admin");
  const both = (primaries: readonly Spawned[]): void => {
    write(one, primaries, [x], 'workers = "2"\n');
    write(two, primaries, [x], "");
  };
  both([a]);
  const tandems = [await started(one, "--admin", admin), await started(two)] as const;
  await Promise.all(tandems.map((tandem) => tandem.said(/another proxy uses these servers/)));
  const clients = await Promise.all(tandems.map(({ port }) => Client.open(port)));
  try {
    // Told one after the other: nothing moves before both are.
    both([a, b]);
    const from = tandems.map((tandem) => tandem.log().length);
    tandems[0].kill("SIGHUP");
    await tandems[0].said(/ring change waits .*ring=primaries for="proxy [0-9a-f]{8}, which was not told of it"/, from[0]);
    for (let i = 0; i < 100; i++) expect(await clients[1]!.ask(`set k${i} 0 0 3\r\nnew\r\n`)).toBe("STORED");
    for (let i = 0; i < 100; i++) expect(await held(clients[0]!, `k${i}`)).toBe("new");
    expect(tandems[0].log().slice(from[0])).not.toContain("ring changes");
    tandems[1].kill("SIGHUP");
    // Each of the two workers says so.
    await Promise.all([tandems[0].said(/(ring is in place.*[^]*){2}/, from[0], CHANGED_MS), tandems[1].said(/ring is in place/, from[1], CHANGED_MS)]);
    for (let i = 0; i < 100; i++) expect(await clients[0]!.ask(`set k${i} 0 0 5\r\nnewer\r\n`)).toBe("STORED");
    for (let i = 0; i < 100; i++) expect(await held(clients[1]!, `k${i}`)).toBe("newer");

    // The other one is not told at all.
    write(one, [a], [x], 'workers = "2"\n');
    const later = tandems[0].log().length;
    const told = (...words: string[]): string => {
      const { stdout, stderr } = spawnSync(tandemPath(), words, { encoding: "utf8" });
      return stdout + stderr;
    };
    expect(told("reload", "--admin", admin)).toMatch(/^main: primaries without 127/);
    await tandems[0].said(/ring change waits/, later);
    expect(told("status", admin, "--json")).toMatch(/"transition": ?"primaries waiting for proxy [0-9a-f]{8}, which was not told of it"/);
    expect(told("transition", "end", "--admin", admin)).toBe("rings wait no longer\n");
    await tandems[0].said(/(ring changes without waiting.*[^]*){2}(ring is in place.*[^]*){2}/, later, CHANGED_MS);
    expect(told("status", admin, "--json")).toMatch(/"transition": ?""/);
  } finally {
    for (const client of clients) client.close();
  }
}, TEST_MS);

/** Rings change, new values are written, and they change back: the old ones lie where the keys belong again. */
async function thereAndBack(name: string, there: string, back: string, backup: Spawned | null = null, dies: "before" | "meanwhile" = "before"): Promise<string[]> {
  const path = join(dir, `${name}.toml`), admin = join(dir, `${name}-admin`);
  writeFileSync(path, back);
  const tandem = await started(path, "--admin", admin);
  const client = await Client.open(tandem.port);
  const store = async (value: string): Promise<void> => {
    for (let i = 0; i < 300; i++) expect(await client.ask(`set k${i} 0 0 ${value.length}\r\n${value}\r\n`)).toBe("STORED");
  };
  const changes = async (lines: string): Promise<number> => {
    const from = tandem.log().length;
    writeFileSync(path, lines);
    tandem.kill("SIGHUP");
    await tandem.said(/reloaded change/, from);
    return from;
  };
  await store("old");
  await tandem.said(backup === null ? /ring is in place ring=primaries/ : /ring is in place ring=backups/, await changes(there), CHANGED_MS);
  await store("new");
  if (backup === null) await tandem.said(/ring is in place ring=primaries/, await changes(back), CHANGED_MS);
  else if (dies === "meanwhile") {
    const from = await changes(`${back}refill_rate = 50\n`);
    await tandem.said(/INFO ring changes ring=primaries/, from, CHANGED_MS);
    await backup.stop();
    await tandem.said(/server is down/, from);
  } else {
    await backup.stop();
    await tandem.said(/server is down/);
    const from = await changes(back);
    expect(spawnSync(tandemPath(), ["transition", "end", "--admin", admin], { encoding: "utf8" }).stdout).toBe("rings wait no longer\n");
    await tandem.said(/INFO ring changes ring=primaries/, from, CHANGED_MS);
  }
  const { values } = await client.fetch(`get ${Array.from({ length: 300 }, (_none, i) => `k${i}`).join(" ")}\r\n`);
  client.close();
  expect(values.length).toBeLessThan(300); // those that moved are misses
  return [...new Set(values.map(({ bytes }) => textOf(bytes)))];
}

test("without backups what lies at a key's place from an earlier time is never read", async () => {
  const [a, b] = (await memcacheds(2)).map(label) as [string, string];
  expect(await thereAndBack("fewer", `servers = [${a}]\n`, `servers = [${a}, ${b}]\n`)).toEqual(["new"]);
  const both = `servers = [${a}, ${b}]\n`;
  expect(await thereAndBack("other", `${both}ring = "twemproxy"\n`, `${both}ring = "libketama"\n`)).toEqual(["new"]);
}, TEST_MS);

test("nor is it where the only backup is gone, and the ring is not to wait for it", async () => {
  const [a, b, x] = await memcacheds(3) as [Spawned, Spawned, Spawned];
  const servers = `servers = [${label(a)}, ${label(b)}]\nbackups = [${label(x)}]\n`;
  expect(await thereAndBack("end", `${servers}ring = "twemproxy"\n`, `${servers}ring = "libketama"\n`, x)).toEqual(["new"]);
}, TEST_MS);

test("nor where the only backup dies while what moves is copied", async () => {
  const [a, b, x] = await memcacheds(3) as [Spawned, Spawned, Spawned];
  const servers = `servers = [${label(a)}, ${label(b)}]\nbackups = [${label(x)}]\n`;
  expect(await thereAndBack("dies", `${servers}ring = "twemproxy"\n`, `${servers}ring = "libketama"\n`, x, "meanwhile")).toEqual(["new"]);
}, TEST_MS);

test("an upgrade begins neither in the midst of a change of rings nor with other ones", async () => {
  const [a, b, x] = await memcacheds(3) as [Spawned, Spawned, Spawned];
  const path = join(dir, "upgrade.toml"), admin = join(dir, "upgrade-admin");
  write(path, [a], [x], "");
  const tandem = await started(path, "--admin", admin);
  const told = (...words: string[]): string => {
    const { status, stdout, stderr } = spawnSync(tandemPath(), [...words, "--admin", admin], { encoding: "utf8" });
    return `${status} ${stdout}${stderr}`;
  };
  write(path, [a, b], [x], "");
  expect(told("upgrade")).toMatch(/^1 tandem: .*: the upgrade failed, the one before goes on: pool main has other servers or rings than the process before: tandem reload first\n$/);
  write(path, [a], [x], "tiemout = 3\nack = 5\n");
  expect(told("upgrade")).toMatch(/^1 tandem: .*: the upgrade failed, the one before goes on: .*upgrade\.toml:4: tiemout 3: is no setting; allowed: timeout; .*:5: ack 5: is no word in quotes; .*\n$/);
  write(path, [a, b], [x], "");
  await tandem.said(/the upgrade failed, this process goes on reason="pool main has other servers or rings than the process before: tandem reload first"/);
  x.kill("SIGSTOP"); // the ring waits for it
  await tandem.said(/server is down/);
  expect(told("reload")).toMatch(/^0 main: primaries also 127/);
  expect(told("upgrade")).toMatch(/^1 tandem: .*: rings are changing: wait for that \(tandem transition end hastens it\)\n$/);
  x.kill("SIGCONT");
  await tandem.said(/ring is in place/, 0, CHANGED_MS);
}, TEST_MS);

test("tandem reload and tandem transition end say what came of it", async () => {
  const [a, x] = await memcacheds(2) as [Spawned, Spawned];
  const path = join(dir, "told.toml"), admin = join(dir, "admin");
  write(path, [a], [x], "");
  const tandem = await started(path, "--admin", admin);
  const told = (...words: string[]): string => {
    const { status, stdout, stderr } = spawnSync(tandemPath(), words, { encoding: "utf8" });
    return `${status} ${stdout}${stderr}`;
  };
  expect(told("reload", "--admin", admin)).toBe("0 nothing has changed\n");
  write(path, [a], [x], 'refill_rate = 100\n');
  expect(told("reload", "--admin", admin)).toMatch(/^0 main: refill/);
  write(path, [a], [x], "tiemout = 3\n");
  expect(told("reload", "--admin", admin)).toMatch(/^1 tandem: .*told\.toml:4: tiemout 3: is no setting; allowed: timeout\n$/);
  // What holds for the whole process from its start is named, with what takes it, beside what is taken.
  write(path, [a], [x], 'refill_rate = 100\nverbose = 1\nuser = "nobody"\nworkers = "2"\n');
  const left = "workers 2 instead of 1: not taken by a reload, but by tandem upgrade\nuser nobody instead of none: not taken by a reload, but by a restart\n" +
    "verbose 1 instead of 0: not taken by a reload, but by tandem upgrade\n";
  expect(told("reload", "--admin", admin)).toBe(`0 ${left}`);
  await tandem.said(/WARN a setting is not taken by a reload change="workers 2 instead of 1" taken_by="tandem upgrade"/);
  write(path, [a], [x], 'refill_rate = 200\nverbose = 1\nuser = "nobody"\nworkers = "2"\n');
  expect(told("reload", "--admin", admin)).toBe(`0 main: refill_rate\n${left}`);
  expect(told("transition", "end", "--admin", admin)).toMatch(/^1 tandem: .*: no rings are changing\n$/);
  expect(told("transition", "--admin", admin)).toMatch(/^2 tandem: transition: no word given; allowed: end\n/);
  expect(told("reload", "--admin", join(dir, "nobody"))).toMatch(/^3 tandem: /);
}, TEST_MS);
