// Limits and damage on the compiled binary: exact client count, lines of tens of KiB, values of 32 MiB in bounded
// memory, and multi-get with a server that is dead or stopped.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { Client, NoReply, bytesOf, textOf, type Values } from "../support/client.ts";
import { freePort, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { Relay } from "../support/relay.ts";
import { PATIENT, peakResidentBytes, resetPeak, residentBytes, spawnTandem, tandemPath, type Tandem } from "../support/tandem.ts";
import { randomCuts } from "../support/transcript.ts";
import { bestOf } from "../support/world.ts";
import { dice } from "../support/sessions.ts";

const MIB = 1_048_576;
/** What an operation may take with default settings while a server hangs, ms. */
const SLOWEST_MS = 650;
const TRIES = 3;

const open: (Client | Relay | Spawned)[] = [];
/** Ends when the test does. */
function held<T extends Client | Relay | Spawned>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) {
    if ("stop" in thing) await thing.stop();
    else thing.close();
  }
});

const server = (one: { port: number }): string => `127.0.0.1:${one.port}`;

describe("the first moment", () => {
  test("a client that is there as soon as the port is open is served like any other", async () => {
    const servers = [held(await spawnMemcached()), held(await spawnMemcached())];
    for (let count = 0; count < 5; count++) {
      const port = await freePort();
      const tandem = spawn(tandemPath(), ["-l", "127.0.0.1", "-p", String(port), "-s", server(servers[0]!), "-b", server(servers[1]!), ...PATIENT], {
        stdio: "ignore",
      });
      try {
        const client = held(await firstConnection(port));
        client.send("set first 0 0 1\r\nx\r\nget first\r\n");
        expect(await client.line(3000)).toBe("STORED");
        expect((await client.values(3000)).values.length).toBe(1);
      } finally {
        tandem.kill("SIGKILL");
      }
    }
  }, 20_000);

  async function firstConnection(port: number): Promise<Client> {
    for (let tries = 0; tries < 5000; tries++) {
      try {
        return await Client.open(port);
      } catch {
        // Refused until it listens.
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    throw new Error("nobody listens");
  }
});

describe("-n, the number of clients", () => {
  test("with -n 10 the eleventh gets memcached's own line and is closed; the count stays exact", async () => {
    const refusal = await memcachedRefusal();
    expect(refusal).toMatch(/^ERROR /);
    const memcached = held(await spawnMemcached());
    const tandem = held(await spawnTandem(["-n", "10", "-s", server(memcached)]));
    const clients = await Promise.all(Array.from({ length: 30 }, () => Client.open(tandem.port)));
    clients.forEach(held);
    const outcomes = await Promise.all(clients.map(servedOrRefused));
    expect(outcomes.filter((outcome) => outcome === "served").length).toBe(10);
    expect(outcomes.filter((outcome) => outcome === `${refusal}, closed`).length).toBe(20);
    const inside = clients.filter((_client, index) => outcomes[index] === "served");
    // One leaves, in each way there is, and exactly one may come.
    const ways = [(one: Client) => one.send("quit\r\n"), (one: Client) => one.finish(), (one: Client) => one.close()];
    for (const leave of [...ways, ...ways, ...ways]) {
      leave(inside.shift()!);
      inside.push(...(await admitted(tandem.port, 1)));
      expect(await servedOrRefused(held(await Client.open(tandem.port)))).toBe(`${refusal}, closed`);
    }
    for (const one of inside) one.close();
    await admitted(tandem.port, 10);
    expect(await servedOrRefused(held(await Client.open(tandem.port)))).toBe(`${refusal}, closed`);
  }, 60_000);

  /** The line a real memcached refuses with. */
  async function memcachedRefusal(): Promise<string> {
    const full = held(await spawnMemcached({ args: ["-c", "64", "-t", "1"] }));
    for (let count = 0; count < 80; count++) {
      const client = held(await Client.open(full.port));
      const line = await client.ask("mn\r\n");
      if (line !== "MN") return line;
    }
    throw new Error("memcached -c 64 took 80 clients");
  }

  async function servedOrRefused(client: Client): Promise<string> {
    const line = await client.ask("mn\r\n", 3000);
    if (line === "MN") return "served";
    await client.closed;
    return `${line}, closed`;
  }

  /** Connects again and again until `count` clients are served at the same time. */
  async function admitted(port: number, count: number): Promise<Client[]> {
    const inside: Client[] = [];
    for (let tries = 0; tries < 500 && inside.length < count; tries++) {
      const client = held(await Client.open(port));
      if ((await client.ask("mn\r\n", 3000)) === "MN") inside.push(client);
    }
    if (inside.length < count) throw new Error(`only ${inside.length} of ${count} places came free`);
    return inside;
  }
});

describe("long lines", () => {
  test("get, gets, gat and gats with lines over 64 KiB, whole and in pieces", async () => {
    const servers = await Promise.all(Array.from({ length: 5 }, () => spawnMemcached()));
    servers.forEach(held);
    const relays: Relay[] = [];
    for (const one of servers) relays.push(held(new Relay(await freePort(), one.port)));
    const args = relays.flatMap((relay, index) => [index < 3 ? "-s" : "-b", server(relay)]);
    const tandem = held(await spawnTandem([...args, ...PATIENT]));
    const client = held(await Client.open(tandem.port));
    const keys = Array.from({ length: 7000 }, (_none, index) => `longline:${index}`);
    for (let at = 0; at < keys.length; at += 2) client.send(`set ${keys[at]} 0 0 5 noreply\r\n${String(at).padStart(5, "0")}\r\n`);
    expect(await client.ask("mn\r\n")).toBe("MN");
    const expected = keys.filter((_key, index) => index % 2 === 0);
    for (const behaviour of ["forward", "trickle"] as const) {
      for (const relay of relays) relay.behaviour = behaviour;
      for (const command of ["get", "gets", "gat 0", "gats 0"]) {
        const line = `${command} ${keys.join(" ")}\r\n`;
        expect(line.length).toBeGreaterThan(65_536);
        for (const cut of [(bytes: Uint8Array) => [bytes], randomCuts(dice(5))]) {
          for (const piece of cut(bytesOf(line))) client.send(piece);
          const answer = await client.values(10_000);
          expect(answer.end).toBe("END");
          expect(answer.values.map((value) => value.key)).toEqual(expected);
          expect(answer.values.every((value) => textOf(value.bytes) === value.key.slice(9).padStart(5, "0"))).toBe(true);
        }
      }
    }
  }, 60_000);
});

describe("a value of 32 MiB", () => {
  let servers: Spawned[] = [];
  let tandem: Tandem;
  const value = pattern(32 * MIB);

  beforeAll(async () => {
    const args = ["-I", "64m", "-m", "512"];
    servers = [await spawnMemcached({ args }), await spawnMemcached({ args })];
  });
  // Each test has its own, so that no other has made room in its memory before.
  beforeEach(async () => {
    tandem = held(await spawnTandem(["-s", server(servers[0]!), "-b", server(servers[1]!), ...PATIENT]));
  });
  afterAll(async () => {
    for (const one of servers) await one.stop();
  });

  test("streams through in both directions with bounded memory", async () => {
    const client = held(await Client.open(tandem.port));
    const base = await settle(tandem.pid);
    const rounds = 6;
    const setPeak = await peakOver(tandem.pid, async () => {
      for (let round = 0; round < rounds; round++) {
        client.send(`set big 7 0 ${value.length}\r\n`);
        client.send(value);
        expect(await client.ask("\r\n", 30_000)).toBe("STORED");
      }
    });
    const getPeak = await peakOver(tandem.pid, async () => {
      for (let round = 0; round < rounds; round++) {
        const got = await client.fetch("get big\r\n", 30_000);
        expect(got.end).toBe("END");
        expect(Buffer.compare(got.values[0]!.bytes, value)).toBe(0);
        expect(got.values[0]!.flags).toBe("7");
      }
    });
    const figure = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
    console.log(
      `32 MiB × ${rounds}: tandem's memory ${figure(base)} before; set +${figure(setPeak - base)}, get +${figure(getPeak - base)}`,
    );
    // Gathered values would cost 32 MiB each time, twice that with a copy; chunks in flight and garbage not yet swept do not.
    expect(setPeak - base).toBeLessThan(96 * MIB);
    expect(getPeak - base).toBeLessThan(96 * MIB);
    for (const one of servers) {
      const direct = held(await Client.open(one.port));
      expect(Buffer.compare((await direct.fetch("get big\r\n", 30_000)).values[0]!.bytes, value)).toBe(0);
    }
  }, 120_000);

  test("a client that does not read costs at most its value, gets all of it later, and others wait a moment at most", async () => {
    const slow = held(await Client.open(tandem.port));
    const other = held(await Client.open(tandem.port));
    slow.send(`set big2 0 0 ${value.length}\r\n`);
    slow.send(value);
    expect(await slow.ask("\r\n", 30_000)).toBe("STORED");
    expect(await other.ask("set small 0 0 2\r\nok\r\n")).toBe("STORED");
    const base = await settle(tandem.pid);
    slow.pause();
    slow.send("get big2\r\n");
    let longest = 0;
    let wrong = 0;
    const peak = await peakOver(tandem.pid, async () => {
      const until = performance.now() + 2000;
      while (performance.now() < until) {
        const asked = performance.now();
        const got = await other.fetch("get small\r\n", 5000);
        if (got.end !== "END" || got.values.length !== 1) wrong += 1;
        longest = Math.max(longest, performance.now() - asked);
      }
    });
    slow.resume();
    const got = await slow.values(30_000);
    console.log(
      `slow reader of 32 MiB: tandem's memory +${((peak - base) / MIB).toFixed(1)} MiB, ` +
        `longest get of another client ${longest.toFixed(1)} ms, ${wrong} of them without its value`,
    );
    expect(got.end).toBe("END");
    expect(Buffer.compare(got.values[0]!.bytes, value)).toBe(0);
    expect(wrong).toBe(0);
    expect(longest).toBeLessThan(SLOWEST_MS);
    // The lane waits for it a tenth of a second; then the rest is kept for it, so that nobody else goes on waiting. What
    // reading takes at all is not there before, since it goes back after each large value.
    expect(peak - base).toBeLessThan(value.length + 24 * MIB);
  }, 60_000);

  /** Resident memory once it has not grown for a while. */
  async function settle(pid: number): Promise<number> {
    let lowest = residentBytes(pid);
    for (let look = 0; look < 10; look++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      lowest = Math.min(lowest, residentBytes(pid));
    }
    return lowest;
  }

  async function peakOver(pid: number, run: () => Promise<void>): Promise<number> {
    resetPeak(pid);
    await run();
    return peakResidentBytes(pid);
  }

  function pattern(length: number): Uint8Array {
    const words = new Uint32Array(length / 4);
    let state = 1;
    for (let at = 0; at < words.length; at++) words[at] = state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return new Uint8Array(words.buffer);
  }
});

describe("multi-get with a broken server", () => {
  const keys = Array.from({ length: 100 }, (_none, index) => `multi:${index}`);

  /** Stores every key and says which of them the server at `port` holds. */
  async function fill(client: Client, port: number): Promise<Set<string>> {
    for (const key of keys) expect(await client.ask(`set ${key} 0 0 ${key.length}\r\n${key}\r\n`)).toBe("STORED");
    const direct = held(await Client.open(port));
    const there = await direct.fetch(`get ${keys.join(" ")}\r\n`);
    return new Set(there.values.map((value) => value.key));
  }

  function wellFormed(answer: Values, mustHave: readonly string[]): void {
    expect(answer.end).toBe("END");
    const got = answer.values.map((value) => value.key);
    expect(got).toEqual(keys.filter((key) => got.includes(key)));
    expect(answer.values.every((value) => textOf(value.bytes) === value.key)).toBe(true);
    expect(mustHave.filter((key) => !got.includes(key))).toEqual([]);
  }

  for (const fault of ["SIGKILL", "SIGSTOP"] as const) {
    for (const backups of [0, 2]) {
      test(`${fault} of one of two primaries, ${backups} backups: the others' hits, in order, then END`, () =>
        bestOf(TRIES, `multi-get, ${fault}, ${backups} backups`, async (isLast) => {
          const servers = await Promise.all(Array.from({ length: 2 + backups }, () => spawnMemcached()));
          servers.forEach(held);
          const tandem = held(
            await spawnTandem(servers.flatMap((one, index) => [index < 2 ? "-s" : "-b", server(one)])),
          );
          const client = held(await Client.open(tandem.port));
          const lost = await fill(client, servers[1]!.port);
          expect(lost.size).toBeGreaterThan(10);
          expect(lost.size).toBeLessThan(90);
          const mustHave = backups === 0 ? keys.filter((key) => !lost.has(key)) : keys;
          const line = `get ${keys.join(" ")}\r\n`;
          servers[1]!.kill(fault);
          // Forty in one write: some are on their way while tandem still believes in the server.
          client.send(line.repeat(40));
          let longest = 0;
          const sent = performance.now();
          for (let count = 0; count < 40; count++) wellFormed(await client.values(20_000), mustHave);
          longest = performance.now() - sent;
          for (let count = 0; count < 20; count++) {
            const asked = performance.now();
            wellFormed(await client.fetch(line), mustHave);
            longest = Math.max(longest, performance.now() - asked);
          }
          console.log(`multi-get, ${fault}, ${backups} backups: longest ${longest.toFixed(1)} ms`);
          if (longest >= SLOWEST_MS && !isLast) return `the longest took ${longest.toFixed(1)} ms`;
          expect(longest).toBeLessThan(SLOWEST_MS);
          const dead = [...lost][0]!;
          if (backups > 0) return "";
          // A single get of a key that nobody can answer is an error, never a miss and never silence; so is a write.
          const asked = performance.now();
          expect(await client.ask(`get ${dead}\r\n`)).toMatch(/^SERVER_ERROR /);
          expect(await client.ask(`set ${dead} 0 0 1\r\nx\r\n`)).toMatch(/^SERVER_ERROR /);
          const took = performance.now() - asked;
          if (took >= SLOWEST_MS && !isLast) return `an error took ${took.toFixed(1)} ms`;
          expect(took).toBeLessThan(SLOWEST_MS);
          return "";
        }), 120_000);
    }
  }
});

describe("stats", () => {
  test("general, settings, proxy and servers are STAT lines and END", async () => {
    const memcached = held(await spawnMemcached());
    const tandem = held(await spawnTandem(["-s", server(memcached)]));
    const direct = held(await Client.open(memcached.port));
    const client = held(await Client.open(tandem.port));
    const truth = await statsOf(direct, "stats");
    const general = await statsOf(client, "stats");
    for (const name of ["pid", "uptime", "time", "version", "curr_connections", "cmd_get", "cmd_set", "get_hits", "get_misses"]) {
      expect([...truth.keys()]).toContain(name);
      expect([...general.keys()]).toContain(name);
    }
    for (const which of ["settings", "proxy", "servers"]) {
      expect((await statsOf(client, `stats ${which}`)).size).toBeGreaterThan(0);
    }
    expect(await client.ask("stats reset\r\n")).toBe("RESET");
  });

  async function statsOf(client: Client, command: string): Promise<Map<string, string>> {
    const stats = new Map<string, string>();
    client.send(`${command}\r\n`);
    for (;;) {
      const line = await client.line(3000);
      if (line === "END") return stats;
      const found = /^STAT (\S+) (.*)$/.exec(line);
      if (found === null) throw new NoReply("closed", `${command} answered ${JSON.stringify(line)}`);
      stats.set(found[1]!, found[2]!);
    }
  }
});
