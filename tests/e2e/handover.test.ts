// Rings change where there are no backups: what moves is found all the time, with its flags and its time, under a checked
// load; deletes and writes reach both places meanwhile, and what lies at a new place from an earlier time is never read.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "bun:test";
import { Client, textOf } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { Load } from "../support/load.ts";
import { newerMemcached, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { Reader } from "../support/reader.ts";
import { spawnTandem, tandemPath } from "../support/tandem.ts";

const TEST_MS = 90_000, CHANGED_MS = 40_000;
const dir = mkdtempSync(join(tmpdir(), "tandem-handover-"));
process.once("exit", () => rmSync(dir, { recursive: true, force: true }));

const { kept, keep, stopAll } = keeper();
afterEach(stopAll);

async function memcacheds(count: number): Promise<Spawned[]> {
  const which = newerMemcached() === null ? "installed" : "newer";
  return (await Promise.all(Array.from({ length: count }, () => spawnMemcached({ which, args: ["-t", "1", "-m", "64"] })))).map(kept);
}

const write = (path: string, servers: readonly Spawned[], more: string): void =>
  writeFileSync(path, `servers = [${servers.map(({ port }) => `"127.0.0.1:${port}"`)}]\ntimeout = "700ms"\n${more}`);

const TIMED = 200;
const timed = (i: number): { key: string; flags: number; ttl: number; value: string } => ({ key: `timed${i}`, flags: i * 7, ttl: i % 2 === 0 ? 0 : 500 + i, value: `of ${i}` });

/** What a server says of each of these keys that it holds: flags, seconds left (-1: no end) and value. */
async function heldBy({ port }: Spawned): Promise<Map<string, { flags: number; left: number; value: string }>> {
  const client = await Client.open(port);
  const held = new Map<string, { flags: number; left: number; value: string }>();
  for (let i = 0; i < TIMED; i++) {
    const { key } = timed(i);
    const head = await client.ask(`mg ${key} f t v\r\n`);
    if (head === "EN") continue;
    const [, , flags, left] = head.split(" ");
    held.set(key, { flags: Number(flags!.slice(1)), left: Number(left!.slice(1)), value: await client.line(20_000) });
  }
  client.close();
  return held;
}

test("2 primaries become 3, and then twemproxy's ring libketama's, without backups under load", async () => {
  const servers = await memcacheds(3) as [Spawned, Spawned, Spawned];
  const [a, b] = servers;
  const path = join(dir, "rings.toml"), admin = join(dir, "admin");
  write(path, [a, b], 'ring = "twemproxy"\ntransition = "2s"\n');
  const tandem = await keep(spawnTandem(["-c", path, "--admin", admin]));
  const load = new Load({ ports: [tandem.port], clients: 8, rate: 600, seed: 7 });
  const client = await Client.open(tandem.port);
  try {
    const storedMs = performance.now();
    for (let i = 0; i < TIMED; i++) {
      const { key, flags, ttl, value } = timed(i);
      expect(await client.ask(`set ${key} ${flags} ${ttl} ${value.length}\r\n${value}\r\n`)).toBe("STORED");
    }
    await load.start();
    const reader = kept(await Reader.start(tandem.port));
    const rates = [await reader.rate()];
    for (const [ring, now] of [["twemproxy", servers], ["libketama", servers]] as const) {
      const from = tandem.log().length;
      write(path, now, `ring = "${ring}"\ntransition = "2s"\n`);
      tandem.kill("SIGHUP");
      await tandem.said(/INFO ring changes ring=primaries/, from, CHANGED_MS);
      rates.push(await reader.rate());
      await tandem.said(/ring is filled ring=primaries/, from, CHANGED_MS);
      rates.push(await reader.rate());
      await tandem.said(/ring is in place ring=primaries/, from, CHANGED_MS);
      rates.push(await reader.rate());
    }
    await reader.stop();
    await load.stop();
    await load.sweep();
    const failed = load.operations.filter(({ error }) => error !== null).map(({ kind, error }) => `${kind}: ${error}`);
    const took = load.operations.map(({ tookMs }) => tookMs).sort((one, two) => one - two);
    console.log(`without backups: ${load.operations.length} operations over two changes of rings, ${failed.length} failed, 99.9 % within ` +
      `${Math.round(took[Math.floor(took.length * 0.999)]!)} ms; hits before, and while each is filled, is kept and is in place: ${rates.map((rate) => `${(rate * 100).toFixed(2)} %`).join(", ")}`);
    expect({ failed, wrong: load.findings.sentences }).toEqual({ failed: [], wrong: [] });
    for (const rate of rates) expect(rate).toBeGreaterThanOrEqual(rates[0]! - 0.02);

    // Whoever holds a key holds it as it was stored.
    const held = await Promise.all(servers.map(heldBy));
    const agoS = (performance.now() - storedMs) / 1000;
    let copies = 0;
    for (let i = 0; i < TIMED; i++) {
      const { key, flags, ttl, value } = timed(i);
      const { values } = await client.fetch(`get ${key}\r\n`);
      expect(values.map((each) => [Number(each.flags), textOf(each.bytes)])).toEqual([[flags, value]]);
      for (const on of held) {
        const item = on.get(key);
        if (item === undefined) continue;
        copies++;
        expect([item.flags, item.value]).toEqual([flags, value]);
        if (ttl === 0) expect(item.left).toBe(-1);
        else expect(Math.abs(item.left - (ttl - agoS))).toBeLessThanOrEqual(2);
      }
    }
    expect(copies).toBeGreaterThan(TIMED);
  } finally {
    load.stopping = true;
    load.close();
    client.close();
  }
}, TEST_MS);

test("writes and deletes reach the old place until the transition is ended, which status tells", async () => {
  const [a, b] = await memcacheds(2) as [Spawned, Spawned];
  const path = join(dir, "ends.toml"), admin = join(dir, "ends-admin");
  write(path, [a], "");
  const tandem = await keep(spawnTandem(["-c", path, "--admin", admin]));
  const told = (...words: string[]): string => {
    const { stdout, stderr } = spawnSync(tandemPath(), words, { encoding: "utf8" });
    return stdout + stderr;
  };
  const [client, old] = await Promise.all([Client.open(tandem.port), Client.open(a.port)]);
  const store = async (value: string): Promise<void> => {
    for (let i = 0; i < 100; i++) expect(await client.ask(`set k${i} 0 0 ${value.length}\r\n${value}\r\n`)).toBe("STORED");
  };
  const values = async (from: Client): Promise<string[]> =>
    (await from.fetch(`get ${Array.from({ length: 100 }, (_none, i) => `k${i}`).join(" ")}\r\n`)).values.map(({ bytes }) => textOf(bytes));
  try {
    await store("old");
    write(path, [a, b], "");
    expect(told("reload", "--admin", admin)).toMatch(/^main: primaries also 127/);
    await tandem.said(/ring is filled/, 0, CHANGED_MS);
    expect(told("status", admin, "--json")).toMatch(/"transition": ?"primaries filled, old places are kept for [0-9]+ s"/);
    expect(told("status", admin)).toContain("old places are kept");
    expect(told("reload", "--admin", admin)).toBe("nothing has changed\n");
    await store("new");
    expect(await client.ask("delete k0\r\n")).toBe("DELETED");
    for (const from of [client, old]) expect(await values(from)).toEqual(Array(99).fill("new"));
    expect(told("transition", "end", "--admin", admin)).toBe("rings wait no longer\n");
    await tandem.said(/ring is in place/, 0, CHANGED_MS);
    expect(told("status", admin, "--json")).toMatch(/"transition": ?""/);
    await store("last");
    expect(await values(client)).toEqual(Array(100).fill("last"));
    const stay = (await values(old)).filter((value) => value === "last").length;
    expect(stay > 0 && stay < 100).toBe(true);
  } finally {
    client.close();
    old.close();
  }
}, TEST_MS);

test("a server that is gone can be taken out at once: its keys are misses, and what is written of them is found", async () => {
  const [a, b] = await memcacheds(2) as [Spawned, Spawned];
  const path = join(dir, "gone.toml"), admin = join(dir, "gone-admin");
  write(path, [a, b], "");
  const tandem = await keep(spawnTandem(["-c", path, "--admin", admin]));
  const client = await Client.open(tandem.port);
  const keys = Array.from({ length: 100 }, (_none, i) => `k${i}`);
  try {
    for (const key of keys) expect(await client.ask(`set ${key} 0 0 3\r\nold\r\n`)).toBe("STORED");
    await b.stop();
    await tandem.said(/server is down/);
    write(path, [a], "");
    tandem.kill("SIGHUP");
    await tandem.said(/server is up .*role=backup|server rejoins.*role=backup/, 0, CHANGED_MS);
    const found = (await client.fetch(`get ${keys.join(" ")}\r\n`)).values.length;
    expect(found > 0 && found < 100).toBe(true);
    for (const key of keys) expect(await client.ask(`set ${key} 0 0 3\r\nnew\r\n`)).toBe("STORED");
    await tandem.said(/ring change waits ring=primaries for="127\.0\.0\.1:[0-9]+, which is down/, 0, CHANGED_MS);
    spawnSync(tandemPath(), ["transition", "end", "--admin", admin]);
    await tandem.said(/ring is in place/, 0, CHANGED_MS);
    expect((await client.fetch(`get ${keys.join(" ")}\r\n`)).values.map(({ bytes }) => textOf(bytes))).toEqual(Array(100).fill("new"));
  } finally {
    client.close();
  }
}, TEST_MS);
