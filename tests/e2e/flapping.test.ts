// A server that comes and goes every second or so: after the first failure it must cost clients nothing, what it misses is counted and
// takes bounded memory, and when it stays at last both copies become equal. FLAP_SECONDS=60 for longer.
import { afterAll, describe, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { errorsOf, figuresOf, READS, READS_AND_BLIND_WRITES, table } from "../support/figures.ts";
import type { Kind } from "../support/load.ts";
import { bestOf, pass, WHOLE_MS, World } from "../support/world.ts";

const SECONDS = Number(process.env["FLAP_SECONDS"] ?? 6);
/** From then on a server that is not trusted any more may cost nothing, ms. */
const FOUND_MS = 3500;
/** These two, and what it takes in calm on top. */
const SLOWEST_MS = 650;
const TRIES = 3;
/** Nobody waits for a deadline of 300 ms, ms. */
const LATER_P99_MS = 150;
/** How long one that stays for a while may take to be filled, ms. */
const FILLED_MS = 30_000;
/** Keys of its own that one more client stores, each once and a few thousand a second: what the list of missed writes grows by. */
const SPRAY_BATCH = 50;
const SPRAY_EVERY_MS = 20;
/** What 100 bytes and more for each missed key may come to here, and what the runtime takes and gives back late, MiB. */
const GROWTH_MIB = 120;

interface Flap {
  readonly name: string;
  readonly index: number;
  readonly relayed?: boolean;
  readonly awayMs: number;
  readonly hereMs: number;
  leave(world: World): void;
  comeBack(world: World): Promise<void> | void;
  /** It is here long enough to be filled now and then. */
  readonly returns: boolean;
  /** How often it may go from a state in which clients can wait for it to a worse one before it is left alone. */
  readonly woundsMax: number;
  readonly spared: readonly Kind[];
}

const FLAPS: readonly Flap[] = [
  {
    name: "a primary is killed and started again every second", index: 0, awayMs: 500, hereMs: 500, returns: false, woundsMax: 2, spared: READS_AND_BLIND_WRITES,
    leave: (world) => world.servers[0]!.kill("SIGKILL"),
    comeBack: (world) => world.restart(0),
  },
  {
    // A hang is a hiccup the first two times.
    name: "a primary hangs for half of every second", index: 0, awayMs: 500, hereMs: 500, returns: false, woundsMax: 4, spared: READS,
    leave: (world) => world.servers[0]!.kill("SIGSTOP"),
    comeBack: (world) => world.servers[0]!.kill("SIGCONT"),
  },
  {
    name: "a primary is cut off every few seconds and comes back with old data", index: 0, relayed: true, awayMs: 500, hereMs: 3500, returns: true,
    woundsMax: Infinity, spared: READS_AND_BLIND_WRITES,
    leave: (world) => world.relays.get(0)!.refuse(),
    comeBack: (world) => world.relays.get(0)!.listen(),
  },
];

const rows: Record<string, string | number>[] = [];
afterAll(() => {
  if (rows.length > 0) console.log(table(rows));
});

describe("no second wound", () => {
  for (const flap of FLAPS) {
    test(flap.name, async () => {
      await bestOf(TRIES, flap.name, async (isLast) => {
        const world = await World.open({ relayed: flap.relayed === true ? [flap.index] : [], loads: [{ rate: 2000 }] });
        const client = await Client.open(world.tandem.port);
        try {
          return await judge(world, client, flap, isLast);
        } finally {
          client.close();
          await world.close();
        }
      });
    }, TRIES * (SECONDS + 60) * 1000);
  }
});

/** Stores keys that nobody stored before until told to stop; returns them, and what else than STORED it was answered. */
async function spray(client: Client, stop: AbortSignal): Promise<{ keys: string[]; refused: string[] }> {
  const keys: string[] = [], refused: string[] = [];
  while (!stop.aborted && !client.isClosed) {
    const batch = Array.from({ length: SPRAY_BATCH }, (_none, index) => `spray:${keys.length + index}`);
    client.send(batch.map((key) => `set ${key} 0 0 ${key.length}\r\n${key}\r\n`).join(""));
    for (const key of batch) {
      const line = await client.line(20_000).catch(String);
      if (line !== "STORED") refused.push(`${key} ${line}`);
    }
    keys.push(...batch);
    await pass(SPRAY_EVERY_MS);
  }
  return { keys, refused };
}

/** Judges what happened; or, unless isLast, returns what the machine may have done to it. */
async function judge(world: World, client: Client, flap: Flap, isLast: boolean): Promise<string> {
  const load = world.loads[0]!;
  const label = `server=127.0.0.1:${world.ports[flap.index]}`;
  const sprayer = await Client.open(world.tandem.port);
  const enough = new AbortController();
  const spraying = spray(sprayer, enough.signal);
  await pass(1000);
  const calm = await world.gauges(client);
  expect(calm.missedWrites).toBe(0);
  const began = performance.now();
  let most = calm;
  let flaps = 0;
  while (performance.now() - began < SECONDS * 1000 || flaps < 2) {
    world.phase = `away for the ${++flaps}. time`;
    flap.leave(world);
    await pass(flap.awayMs);
    const now = await world.gauges(client);
    most = {
      copied: now.copied, missedWrites: Math.max(most.missedWrites, now.missedWrites), residentMiB: Math.max(most.residentMiB, now.residentMiB),
    };
    const from = world.tandem.log().length;
    await flap.comeBack(world);
    await pass(flap.hereMs);
    if (flap.returns) await world.tandem.said(new RegExp(`server is up ${label}`), from, FILLED_MS);
  }
  world.phase = "stays";
  enough.abort();
  const { keys: sprayed, refused } = await spraying;
  sprayer.close();
  await load.stop();
  const running = load.operations.slice();
  await load.sweep();
  const whole = await world.becomesWhole([...load.keys, ...sprayed]);
  const settled = await world.gauges(client);

  const first = figuresOf(running.filter((one) => one.at >= began && one.at < began + FOUND_MS));
  const later = figuresOf(running.filter((one) => one.at >= began + FOUND_MS));
  const lines = world.tandem.log().split("\n").filter((line) => line.includes(label));
  const said = (words: string): number => lines.filter((line) => line.includes(words)).length;
  const wounds = lines.filter((line) => /server is (suspect|down) .* from=(up|rejoin) /.test(line)).length;
  rows.push({
    flap: flap.name, flaps, wounds, "filled again": said("server is synchronised"), operations: running.length,
    "errors at first": first.plainErrors + first.otherErrors, "errors later": later.plainErrors + later.otherErrors,
    "longest op at first, ms": first.longestMs, "later, ms": later.longestMs, "p99 later, ms": later.p99Ms,
    "missed writes at most": most.missedWrites, "of keys": load.keys.length + sprayed.length, "MiB before": calm.residentMiB, "MiB at most": most.residentMiB, "whole after ms": whole ?? "never",
  });
  const errors = errorsOf(running);
  if (errors.length > 0) console.log(`${flap.name}: errors ${JSON.stringify(errors.slice(0, 8))}`);
  if (world.sentences.length > 0 || whole === null) console.log(`${flap.name}: tandem said\n${world.tandem.log().split("\n").slice(-40).join("\n")}`);

  const slowed = world.slowed([flap.index]);
  if (slowed.length > 0 && !isLast) return `another server was too slow: ${slowed[0]}`;
  expect(world.sentences).toEqual([]);
  expect(running.filter((one) => one.error !== null && flap.spared.includes(one.kind)).slice(0, 5)).toEqual([]);
  expect(refused.slice(0, 5)).toEqual([]);
  expect(wounds).toBeLessThanOrEqual(flap.woundsMax);
  if (flap.returns) expect(said("server is synchronised")).toBeGreaterThan(1);
  expect(most.missedWrites).toBeGreaterThan(0);
  expect(most.missedWrites).toBeLessThanOrEqual(load.keys.length + sprayed.length);
  expect(most.residentMiB - calm.residentMiB).toBeLessThan(GROWTH_MIB);
  expect(whole ?? Infinity).toBeLessThan(WHOLE_MS);
  expect(settled.missedWrites).toBe(0);

  const over: string[] = [];
  const usual = figuresOf(running.filter((one) => one.at < began));
  const longest = Math.max(first.longestMs, later.longestMs);
  if (longest >= SLOWEST_MS + 2 * usual.longestMs) over.push(`the longest operation took ${longest} ms, in calm ${usual.longestMs} ms`);
  if (later.p99Ms >= LATER_P99_MS + 2 * usual.p99Ms) over.push(`the slowest hundredth took ${later.p99Ms} ms, in calm ${usual.p99Ms} ms`);
  if (!isLast) return over.join(", ");
  expect(over).toEqual([]);
  return "";
}
