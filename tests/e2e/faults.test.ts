// Faults of real servers under a running, checked load of a thousand operations a second and more: what clients notice
// (errors, for how long, how slow), that no answer is wrong, stale or lost, and that both copies are equal afterwards.
import { afterAll, describe, expect, test } from "bun:test";
import { Client, textOf } from "../support/client.ts";
import { Load, type Kind, type Operation } from "../support/load.ts";
import { freePort, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { Relay } from "../support/relay.ts";
import { serverStates, spawnTandem, type Tandem } from "../support/tandem.ts";

/** Load before the fault, with the fault, and after it is over, ms. */
const WARM_MS = 1000;
const HOLD_MS = 4500;
const AFTER_MS = 3000;
/** When a broken server must have been found to be down: from then on nothing may wait for it, ms after the fault. */
const FOUND_MS = 2500;
/** One request's deadline with default settings: who has waited for a broken server has waited so long. */
const TIMEOUT_MS = 300;
/** With default settings: connect and request timeout of 300 ms each, and some for this machine. */
const SLOWEST_MS = 650;
/** How long both copies may take to be equal again once the load has ended, ms. */
const WHOLE_MS = 20_000;

/** Two primaries and two backups, one of them behind a relay when the fault needs it. */
class World {
  readonly servers: Spawned[] = [];
  relay!: Relay;
  tandem!: Tandem;
  load!: Load;

  static async open(fault: Fault): Promise<World> {
    const world = new World();
    for (let index = 0; index < 4; index++) world.servers.push(await spawnMemcached());
    const ports = world.servers.map((server) => server.port);
    // This process also makes the load: were all servers behind its relays, a pause of it would look like all of them hanging.
    world.relay = new Relay(await freePort(), ports[fault.index]!);
    if (fault.relayed === true) ports[fault.index] = world.relay.port;
    world.tandem = await spawnTandem(ports.flatMap((port, index) => [index < 2 ? "-s" : "-b", `127.0.0.1:${port}`]));
    world.load = new Load({ ...fault.load, port: world.tandem.port });
    await world.load.start();
    return world;
  }

  /** Starts a new, empty server where a killed one was. */
  async restart(index: number): Promise<void> {
    const old = this.servers[index]!;
    await old.exited;
    this.servers[index] = await spawnMemcached({ port: old.port });
  }

  async close(): Promise<void> {
    this.load?.close();
    await this.tandem?.stop();
    this.relay?.close();
    for (const server of this.servers) await server.stop();
  }
}

interface Fault {
  readonly name: string;
  /** Index of the server that it hits: 0 and 1 are primaries, 2 and 3 backups. */
  readonly index: number;
  begin(world: World): void;
  end(world: World): Promise<void> | void;
  /** No error at all for these. */
  readonly spared: readonly Kind[];
  /** The server stands behind the world's relay. */
  readonly relayed?: boolean;
  /** Tandem itself does not run for a while, so no promise of time can hold. */
  readonly untimed?: boolean;
  readonly load?: Partial<Load["options"]>;
}

const READS: readonly Kind[] = ["get", "multi-get", "pipeline"];
const READS_AND_BLIND_WRITES: readonly Kind[] = [...READS, "set", "delete"];
const LARGE = { lengths: [100, 100, 100, 12_000], rate: 2000 };

function killed(what: string, index: number): Fault {
  return {
    name: `kill -9 ${what}, back empty`, index, spared: READS_AND_BLIND_WRITES,
    begin: (world) => world.servers[index]!.kill("SIGKILL"),
    end: (world) => world.restart(index),
  };
}

function stopped(what: string, index: number): Fault {
  return {
    name: `SIGSTOP ${what}, SIGCONT`, index, spared: READS,
    begin: (world) => world.servers[index]!.kill("SIGSTOP"),
    end: (world) => world.servers[index]!.kill("SIGCONT"),
  };
}

/** A relay's misbehaviour; when it ends, connections whose bytes it swallowed end too. */
function relayed(name: string, index: number, behaviour: Relay["behaviour"], more: Partial<Fault> = {}): Fault {
  return {
    name, index, spared: READS, relayed: true,
    begin: (world) => {
      world.relay.behaviour = behaviour;
      world.relay.resetsLeft = 40;
    },
    end: (world) => {
      world.relay.behaviour = "forward";
      if (behaviour === "mute" || behaviour === "garbage") world.relay.resetAll();
    },
    ...more,
  };
}

const FAULTS: readonly Fault[] = [
  killed("a primary", 0),
  killed("a backup", 2),
  stopped("a primary", 0),
  stopped("a backup", 2),
  {
    name: "a primary's port refuses, back with old data", index: 0, spared: READS_AND_BLIND_WRITES, relayed: true,
    begin: (world) => world.relay.refuse(),
    end: (world) => world.relay.listen(),
  },
  {
    name: "a backup's port refuses, back with old data", index: 2, spared: READS_AND_BLIND_WRITES, relayed: true,
    begin: (world) => world.relay.refuse(),
    end: (world) => world.relay.listen(),
  },
  relayed("reset in the middle of a value read", 0, "reset in reply", { load: LARGE }),
  relayed("reset in the middle of a value stored", 0, "reset in request", { load: LARGE }),
  relayed("reset in the middle of a value stored on a backup", 2, "reset in request", { load: LARGE }),
  relayed("a primary accepts and never answers", 0, "mute"),
  relayed("a backup accepts and never answers", 2, "mute"),
  relayed("a primary answers garbage", 0, "garbage"),
  relayed("a backup answers garbage", 2, "garbage"),
  {
    // A paused machine, or one that had no time for us. The servers' answers are waiting: nothing of theirs has failed.
    name: "tandem itself is stopped for a second, three times", index: 0, spared: READS_AND_BLIND_WRITES, untimed: true,
    begin: (world) => void pauseThrice(world.tandem),
    end: () => {},
  },
];

async function pauseThrice(tandem: Tandem): Promise<void> {
  for (let count = 0; count < 3; count++) {
    tandem.kill("SIGSTOP");
    await pass(1000);
    tandem.kill("SIGCONT");
    await pass(400);
  }
}

const rows: Record<string, string | number>[] = [];
afterAll(() => {
  if (rows.length > 0) console.log(table(rows));
});

describe("under load", () => {
  for (const fault of FAULTS) {
    test(fault.name, async () => {
      const world = await World.open(fault);
      try {
        await judge(world, fault);
      } finally {
        await world.close();
      }
    }, 90_000);
  }
});

async function judge(world: World, fault: Fault): Promise<void> {
  const { load } = world;
  const started = performance.now();
  load.findings.phase = "before";
  await pass(WARM_MS);
  const broken = performance.now();
  load.findings.phase = "broken";
  fault.begin(world);
  await pass(HOLD_MS);
  const healed = performance.now();
  load.findings.phase = "healed";
  await fault.end(world);
  await pass(AFTER_MS);
  await load.stop();
  const stopped = performance.now();
  const running = load.operations.slice();
  load.findings.phase = "load ended";
  await load.sweep();
  const whole = await becomesWhole(world);
  // The other side dies: everything must be there on the side that was broken.
  const survivors = fault.index < 2 ? [2, 3] : [0, 1];
  load.findings.phase = "other side killed";
  for (const index of survivors) world.servers[index]!.kill("SIGKILL");
  await Promise.all(survivors.map((index) => world.servers[index]!.exited));
  await load.sweep();

  const figures = measure(running, broken, healed);
  const { counts, sentences } = load.findings;
  rows.push({
    fault: fault.name, struck: fault.relayed === true ? world.relay.struck : "", operations: running.length, "errors of get/set/delete": figures.plainErrors,
    "other errors": figures.otherErrors, "longest gap ms": figures.gapMs, "longest op ms": figures.longestMs,
    "p99 once down ms": figures.laterP99Ms, "max once down ms": figures.laterMaxMs, stale: counts.stale,
    lost: counts.lost, wrong: counts.wrong, backwards: counts.backwards, "whole after ms": whole ?? "never",
  });
  const errors = [...new Set(running.filter((one) => one.error !== null).map((one) => `${one.kind}: ${one.error!.slice(0, 120)}`))];
  if (errors.length > 0) console.log(`${fault.name}: errors ${JSON.stringify(errors.slice(0, 8))}`);

  if (sentences.length > 0) console.log(`${fault.name}: tandem said\n${world.tandem.log().split("\n").slice(-40).join("\n")}`);
  if (fault.relayed === true) expect(world.relay.struck).toBeGreaterThan(0);
  expect(sentences).toEqual([]);
  const paused = fault.untimed === true ? 3000 : 0;
  expect(running.length / ((stopped - started - paused) / 1000)).toBeGreaterThan(1000);
  expect(running.filter((one) => one.error !== null && fault.spared.includes(one.kind)).slice(0, 5)).toEqual([]);
  if (fault.untimed !== true) {
    expect(figures.longestMs).toBeLessThan(SLOWEST_MS);
    expect(figures.laterP99Ms).toBeLessThan(150);
    expect(figures.laterMaxMs).toBeLessThan(TIMEOUT_MS);
  }
  expect(whole ?? Infinity).toBeLessThan(WHOLE_MS);
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What the clients noticed. A gap is the time in which one client had no success, its own pace taken off. */
function measure(operations: readonly Operation[], broken: number, healed: number): Record<
  "plainErrors" | "otherErrors" | "gapMs" | "longestMs" | "laterP99Ms" | "laterMaxMs", number
> {
  const plain = new Set<Kind>(READS_AND_BLIND_WRITES);
  const failed = operations.filter((one) => one.error !== null);
  const lastSuccess = new Map<number, number>();
  let gap = 0;
  for (const one of [...operations].sort((a, b) => a.at - b.at)) {
    if (one.error !== null) continue;
    gap = Math.max(gap, one.at + one.tookMs - (lastSuccess.get(one.client) ?? one.at));
    lastSuccess.set(one.client, one.at + one.tookMs);
  }
  const later = operations
    .filter((one) => one.at > broken + FOUND_MS && one.at < healed)
    .map((one) => one.tookMs)
    .sort((a, b) => a - b);
  const round = (ms: number): number => Math.round(ms * 10) / 10;
  return {
    plainErrors: failed.filter((one) => plain.has(one.kind)).length,
    otherErrors: failed.filter((one) => !plain.has(one.kind)).length,
    gapMs: round(gap),
    longestMs: round(Math.max(...operations.map((one) => one.tookMs))),
    laterP99Ms: round(later[Math.floor(later.length * 0.99)] ?? 0),
    laterMaxMs: round(later.at(-1) ?? 0),
  };
}

/**
 * How long after now the primaries together hold what the backups together hold and tandem knows it (all its servers
 * are up), ms; null when it does not come to that.
 */
async function becomesWhole(world: World): Promise<number | null> {
  const started = performance.now();
  let why = "";
  const client = await Client.open(world.tandem.port);
  try {
    while (performance.now() - started < WHOLE_MS) {
      const [first, second] = [await contents(world, [0, 1]), await contents(world, [2, 3])];
      const different = world.load.keys.filter((key) => first.get(key) !== second.get(key));
      const states = await serverStates(client);
      if (different.length === 0 && states.every((state) => state === "up")) return Math.round(performance.now() - started);
      why = `${different.length} keys differ (${different.slice(0, 5).join(" ")}), servers are ${states.join(", ")}`;
      await pass(50);
    }
  } finally {
    client.close();
  }
  console.log(`not whole: ${why}`);
  return null;
}

/** Every key of the load as these servers hold it, asked directly: flags and value. */
async function contents(world: World, indexes: readonly number[]): Promise<Map<string, string>> {
  const held = new Map<string, string>();
  for (const index of indexes) {
    const client = await Client.open(world.servers[index]!.port);
    for (let at = 0; at < world.load.keys.length; at += 100) {
      const answer = await client.fetch(`get ${world.load.keys.slice(at, at + 100).join(" ")}\r\n`, 10_000);
      for (const value of answer.values) held.set(value.key, `${value.flags} ${textOf(value.bytes)}`);
    }
    client.close();
  }
  return held;
}

/** Rows of one shape as a table of text. */
function table(of: readonly Record<string, string | number>[]): string {
  const names = Object.keys(of[0]!);
  const widths = names.map((name) => Math.max(name.length, ...of.map((row) => String(row[name]).length)));
  const line = (cells: readonly string[]): string => cells.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd();
  return ["", line(names), ...of.map((row) => line(names.map((name) => String(row[name]))))].join("\n");
}
