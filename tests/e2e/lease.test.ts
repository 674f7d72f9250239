// Two proxies over one primary and one backup, and the primary comes back without its memory: one of them fills it, the
// other one waits, and goes on with it when the first is gone. The compiled binary with real memcacheds.
import { afterEach, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { spawnMemcached } from "../support/memcached.ts";
import { serverStates, spawnTandem, type Tandem } from "../support/tandem.ts";

const KEYS = 2000, PER_SECOND = 600;
/** How long the two may take to know each other, and a return at most, ms. */
const MEET_MS = 10_000, RETURN_MS = 60_000;

const { kept, stopAll } = keeper();
afterEach(stopAll);

const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, withinMs: number, tandems: readonly Tandem[], holds: () => Promise<boolean>): Promise<void> {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > withinMs) throw new Error(`not within ${withinMs} ms: ${what}\n${tandems.map((each) => each.log()).join("\n--\n")}`);
    await pass(20);
  }
}

async function lines(port: number, command: string): Promise<Map<string, string>> {
  const client = await Client.open(port);
  client.send(`${command}\r\n`);
  const found = new Map<string, string>();
  for (let line = await client.line(5000); line !== "END"; line = await client.line(5000)) {
    const [, name, value] = line.split(" ");
    found.set(name!, value!);
  }
  client.close();
  return found;
}

/** Keys that a proxy has copied, and has found to be there when it came to copy them. */
async function work({ port }: Tandem): Promise<[copied: number, equal: number]> {
  const counters = await lines(port, "stats proxy");
  return [Number(counters.get("sync_copied")), Number(counters.get("sync_equal"))];
}

/** All is stored; then the primary is killed and started again, empty. */
async function returning(): Promise<Tandem[]> {
  const primary = kept(await spawnMemcached()), backup = kept(await spawnMemcached());
  const args = ["-s", `127.0.0.1:${primary.port}`, "-b", `127.0.0.1:${backup.port}`, "--refill-rate", String(PER_SECOND), "--timeout", "600", "--connect-timeout", "600"];
  const tandems = [kept(await spawnTandem(args)), kept(await spawnTandem(args))];
  for (const { port } of tandems) {
    await until("they know each other", MEET_MS, tandems, async () => [...(await lines(port, "stats proxies"))].some(([name, value]) => name.endsWith(":state") && value === "alive"));
  }
  const client = await Client.open(tandems[0]!.port);
  for (let at = 0; at < KEYS; at += 200) {
    client.send(Array.from({ length: 200 }, (_, i) => `set k${at + i} 0 0 3\r\nabc\r\n`).join(""));
    for (let i = 0; i < 200; i++) expect(await client.line(5000)).toBe("STORED");
  }
  client.close();
  primary.kill("SIGKILL");
  await primary.exited;
  kept(await spawnMemcached({ port: primary.port }));
  return tandems;
}

async function isUp({ port }: Tandem): Promise<boolean> {
  const client = await Client.open(port);
  const states = (await serverStates(client)).join(" ");
  client.close();
  return states === "up up";
}

test("one fills it and the other one looks at none of its keys", async () => {
  const tandems = await returning();
  await until("filled for both", RETURN_MS, tandems, async () => (await work(tandems[0]!))[0] + (await work(tandems[1]!))[0] >= KEYS && (await isUp(tandems[0]!)) && (await isUp(tandems[1]!)));
  const [one, two] = [await work(tandems[0]!), await work(tandems[1]!)];
  console.log(`copied ${one[0]} + ${two[0]}, found equal ${one[1]} + ${two[1]}`);
  // Both begin when they notice it, and one of them stops at its first look at the lease.
  expect(one[0] + two[0]).toBeLessThan(KEYS * 1.02);
  expect(one[1] + two[1]).toBeLessThan(KEYS * 0.1);
  expect(Math.min(one[0], two[0])).toBeLessThan(KEYS * 0.1);
}, 90_000);

test("the one that fills it is killed in the midst: the other one ends it", async () => {
  const tandems = await returning();
  let holder = -1;
  await until("a quarter is copied", RETURN_MS, tandems, async () => {
    const copied = [(await work(tandems[0]!))[0], (await work(tandems[1]!))[0]];
    holder = copied.findIndex((count) => count > KEYS / 4);
    return holder !== -1;
  });
  await tandems[holder]!.stop();
  const began = performance.now(), other = tandems[1 - holder]!;
  await until("filled by the other", RETURN_MS, tandems, () => isUp(other));
  const [copied, equal] = await work(other);
  console.log(`${Math.round(performance.now() - began)} ms after the death; copied ${copied}, found equal ${equal}`);
  expect(copied).toBeLessThan(KEYS * 0.8);
  const client = await Client.open(other.port);
  for (let i = 0; i < KEYS; i += 100) expect((await client.fetch(`get k${i}\r\n`)).values.length).toBe(1);
  client.close();
}, 90_000);
