// Faults of real servers under running, checked loads of three mixes, a thousand operations a second each: what clients
// notice (errors, for how long, how slow), that no answer is wrong, stale or lost, and that both copies are equal afterwards.
// FAULTS=all for those too that differ from another one by the side alone that they hit.
import { afterAll, describe, expect, test } from "bun:test";
import { errorsOf, figuresOf, READS, READS_AND_BLIND_WRITES, table } from "../support/figures.ts";
import type { Kind, Load, LoadOptions, Mix } from "../support/load.ts";
import { newerMemcached, type Which } from "../support/memcached.ts";
import type { Relay } from "../support/relay.ts";
import type { Tandem } from "../support/tandem.ts";
import { bestOf, pass, WHOLE_MS, World } from "../support/world.ts";

/** Load before the fault, with the fault, and after it is over, ms. */
const WARM_MS = 500;
const HOLD_MS = 3200;
const AFTER_MS = 1500;
/** When a broken server must have been found to be down: from then on nothing may wait for it, ms after the fault. */
const FOUND_MS = 2500;
/** One request's deadline with default settings: who has waited for a broken server has waited so long. */
const TIMEOUT_MS = 300;
/** With default settings: connect and request timeout of 300 ms each, and some; what it takes in calm comes on top. */
const SLOWEST_MS = 650;
const TRIES = 3;
/** All faults, not only one of each kind. */
const ALL = process.env["FAULTS"] === "all";
const MIXES: readonly Mix[] = ["reading", "writing", "deciding"];

interface Fault {
  readonly name: string;
  /** Index of the server that it hits: 0 and 1 are primaries, 2 and 3 backups. */
  readonly index: number;
  begin(world: World): void;
  end(world: World): Promise<void> | void;
  /** No error at all for these. */
  readonly spared: readonly Kind[];
  /** All servers are of this version; the installed one unless told. */
  readonly which?: Which;
  /** The server stands behind the world's relay. */
  readonly relayed?: boolean;
  /** Tandem itself does not run for a while, so no promise of time can hold. */
  readonly untimed?: boolean;
  readonly load?: Partial<LoadOptions>;
  /** Another one does the same to the other side: not each time. */
  readonly twin?: boolean;
}

const LARGE = { lengths: [100, 100, 100, 12_000], rate: 700 };

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

function refused(what: string, index: number, more: Partial<Fault> = {}): Fault {
  return {
    name: `${what}'s port refuses, back with old data`, index, spared: READS_AND_BLIND_WRITES, relayed: true, ...more,
    begin: (world) => world.relays.get(index)!.refuse(),
    end: (world) => world.relays.get(index)!.listen(),
  };
}

/** A relay's misbehaviour; when it ends, connections whose bytes it swallowed end too. */
function relayed(name: string, index: number, behaviour: Relay["behaviour"], more: Partial<Fault> = {}): Fault {
  return {
    name, index, spared: READS, relayed: true,
    begin: (world) => {
      const relay = world.relays.get(index)!;
      relay.behaviour = behaviour;
      relay.resetsLeft = 40;
    },
    end: (world) => {
      const relay = world.relays.get(index)!;
      relay.behaviour = "forward";
      if (behaviour === "mute" || behaviour === "garbage") relay.resetAll();
    },
    ...more,
  };
}

const FAULTS: readonly Fault[] = [
  killed("a primary", 0),
  killed("a backup", 2),
  stopped("a primary", 0),
  stopped("a backup", 2),
  refused("a primary", 0),
  refused("a backup", 2, { twin: true }),
  relayed("reset in the middle of a value read", 0, "reset in reply", { load: LARGE }),
  relayed("reset in the middle of a value stored", 0, "reset in request", { load: LARGE, twin: true }),
  relayed("reset in the middle of a value stored on a backup", 2, "reset in request", { load: LARGE }),
  relayed("a primary accepts and never answers", 0, "mute", { twin: true }),
  relayed("a backup accepts and never answers", 2, "mute"),
  relayed("a primary answers garbage", 0, "garbage"),
  relayed("a backup answers garbage", 2, "garbage", { twin: true }),
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

/** Those in which other commands are used on servers that know explicit cas. */
const NEWER = [killed("a primary", 0), stopped("a primary", 0), refused("a primary", 0)].map((fault): Fault => ({
  ...fault, name: `${fault.name}, newer memcached`, which: "newer",
}));

describe("under load", () => {
  for (const fault of [...FAULTS, ...NEWER].filter(({ twin }) => ALL || twin !== true)) {
    test.skipIf(fault.which === "newer" && newerMemcached() === null)(fault.name, async () => {
      const loads = MIXES.map((mix) => ({ mix, clients: 6, rate: 1000, ...fault.load }));
      const which = Array<Which>(4).fill(fault.which ?? "installed");
      await bestOf(TRIES, fault.name, async (isLast) => {
        const world = await World.open({ relayed: fault.relayed === true ? [fault.index] : [], loads, which });
        try {
          return await judge(world, fault, isLast);
        } finally {
          await world.close();
        }
      });
    }, 180_000);
  }
});

/** Judges what happened; or, unless isLast, returns what the machine may have done to it. */
async function judge(world: World, fault: Fault, isLast: boolean): Promise<string> {
  const started = performance.now();
  world.phase = "before";
  await pass(WARM_MS);
  const broken = performance.now();
  world.phase = "broken";
  fault.begin(world);
  await pass(HOLD_MS);
  const healed = performance.now();
  world.phase = "healed";
  await fault.end(world);
  await pass(AFTER_MS);
  await world.stopLoads();
  const stopped = performance.now();
  const runs = world.loads.map((load) => load.operations.slice());
  world.phase = "load ended";
  await world.sweep();
  const whole = await world.becomesWhole();
  // The other side dies: everything must be there on the side that was broken.
  const survivors = fault.index < 2 ? [2, 3] : [0, 1];
  world.phase = "other side killed";
  for (const index of survivors) world.servers[index]!.kill("SIGKILL");
  await Promise.all(survivors.map((index) => world.servers[index]!.exited));
  await world.sweep();

  const relay: Relay | undefined = world.relays.get(fault.index);
  const notes = `${relay === undefined ? "" : `struck ${relay.struck}, `}whole after ${whole ?? "never"}`;
  const running = runs.flat();
  const later = (of: Load["operations"]): Load["operations"] => of.filter((one) => one.at > broken + FOUND_MS && one.at < healed);
  for (const [index, load] of world.loads.entries()) {
    const [all, down] = [figuresOf(runs[index]!), figuresOf(later(runs[index]!))];
    rows.push({
      fault: fault.name, mix: load.options.mix, operations: runs[index]!.length, "longest gap ms": all.gapMs, "errors of get/set/delete": all.plainErrors,
      "other errors": all.otherErrors, ...load.findings.counts, "longest op ms": all.longestMs, "p99 once down ms": down.p99Ms,
      "max once down ms": down.longestMs, notes: index === 0 ? notes : "",
    });
  }
  const errors = errorsOf(running);
  if (errors.length > 0) console.log(`${fault.name}: errors ${JSON.stringify(errors.slice(0, 8))}`);

  const { sentences } = world;
  if (sentences.length > 0) console.log(`${fault.name}: tandem said\n${world.tandem.log().split("\n").slice(-40).join("\n")}`);
  const slowed = fault.untimed === true ? [] : world.slowed([fault.index]);
  if (slowed.length > 0 && !isLast) return `another server was too slow: ${slowed[0]}`;
  if (relay !== undefined) expect(relay.struck).toBeGreaterThan(0);
  expect(sentences).toEqual([]);
  expect(running.filter((one) => one.error !== null && fault.spared.includes(one.kind)).slice(0, 5)).toEqual([]);
  expect(whole ?? Infinity).toBeLessThan(WHOLE_MS);

  const paused = fault.untimed === true ? 3000 : 0;
  const rateIn = (from: number, to: number, without = 0): number =>
    running.filter(({ at }) => at >= from && at < to).length / (to - from - without);
  // What this machine takes anyway.
  const calm = figuresOf(running.filter(({ at }) => at >= started && at < broken));
  const figures: [name: string, figure: number, limit: number][] = [
    ["times fewer operations than before the fault", rateIn(started, broken) / rateIn(broken, stopped, paused), 3],
    ...(fault.untimed === true ? [] : [
      ["ms the longest operation", figuresOf(running).longestMs, SLOWEST_MS + 2 * calm.longestMs],
      ["ms the slowest hundredth once it is down", figuresOf(later(running)).p99Ms, 150 + 2 * calm.p99Ms],
      ["ms the longest once it is down", figuresOf(later(running)).longestMs, TIMEOUT_MS + calm.longestMs],
    ] as [string, number, number][]),
  ];
  const over = figures.filter(([, figure, limit]) => !(figure < limit));
  if (over.length > 0 && !isLast) return over.map(([what, figure, limit]) => `${what} were ${figure}, not below ${limit}`).join(", ");
  expect(over).toEqual([]);
  return "";
}
