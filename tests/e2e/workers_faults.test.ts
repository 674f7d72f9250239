// Two workers over real servers that fail under a running, checked load through both: what one worker knows all know
// before anybody counts on it, so no answer is stale and nothing acknowledged is lost, without --strict.
import { afterAll, expect, test } from "bun:test";
import { errorsOf, figuresOf, READS, table } from "../support/figures.ts";
import { VIOLATIONS } from "../support/history.ts";
import { talksFrom } from "../support/tandem.ts";
import { workersOf } from "../support/workers.ts";
import { pass, WHOLE_MS, World } from "../support/world.ts";

const HOLD_MS = 2000;
const AFTER_MS = 1500;

interface Fault {
  readonly name: string;
  begin(world: World): void;
  end(world: World): Promise<void> | void;
}

/** Each hits the first primary. */
const FAULTS: readonly Fault[] = [
  {
    name: "cut off from one worker alone",
    begin: (world) => {
      const [relay, cut] = [world.relays.get(0)!, workersOf(world.tandems[0]!.pid)[0]!];
      relay.admits = (port) => !talksFrom(cut, port);
      relay.sift();
    },
    end: (world) => void (world.relays.get(0)!.admits = () => true),
  },
  {
    name: "kill -9, back empty",
    begin: (world) => world.servers[0]!.kill("SIGKILL"),
    end: (world) => world.restart(0),
  },
  {
    name: "SIGSTOP, SIGCONT",
    begin: (world) => world.servers[0]!.kill("SIGSTOP"),
    end: (world) => world.servers[0]!.kill("SIGCONT"),
  },
  {
    name: "cut off from one worker, which then dies",
    begin: (world) => {
      const [relay, cut] = [world.relays.get(0)!, workersOf(world.tandems[0]!.pid)[1]!];
      relay.admits = (port) => !talksFrom(cut, port);
      relay.sift();
      setTimeout(() => process.kill(cut, "SIGKILL"), HOLD_MS / 2);
    },
    end: (world) => void (world.relays.get(0)!.admits = () => true),
  },
];

const rows: Record<string, string | number>[] = [];
afterAll(() => {
  if (rows.length > 0) console.log(table(rows));
});

test("two workers", async () => {
  const world = await World.open({ relayed: [0], flags: ["--workers", "2"], loads: [{ clients: 16, rate: 1500 }] });
  try {
    for (const fault of FAULTS) await judge(world, fault);
    await world.stopLoads();
    world.phase = "settled";
    expect(await world.becomesWhole() ?? Infinity).toBeLessThan(WHOLE_MS);
    await world.sweep();
    expect(world.sentences).toEqual([]);
    for (const kind of VIOLATIONS) expect([kind, world.loads[0]!.findings.counts[kind]]).toEqual([kind, 0]);
  } finally {
    await world.close();
  }
}, 120_000);

async function judge(world: World, fault: Fault): Promise<void> {
  const { findings, operations } = world.loads[0]!;
  const [before, from] = [{ ...findings.counts }, operations.length];
  await pass(500);
  world.phase = `${fault.name}, broken`;
  fault.begin(world);
  await pass(HOLD_MS);
  world.phase = `${fault.name}, healed`;
  await fault.end(world);
  await pass(AFTER_MS);
  await world.becomesUp();
  const running = operations.slice(from);
  const figures = figuresOf(running);
  rows.push({
    fault: fault.name, operations: running.length, "longest gap ms": figures.gapMs,
    "errors of get/set/delete": figures.plainErrors, "other errors": figures.otherErrors,
    ...Object.fromEntries(VIOLATIONS.map((kind) => [kind, findings.counts[kind] - before[kind]])),
  });
  const errors = errorsOf(running);
  if (errors.length > 0) console.log(`${fault.name}: errors ${JSON.stringify(errors.slice(0, 6))}`);
  if (world.sentences.length > 0) console.log(`${fault.name}:`, world.sentences.slice(-4));
  // The clients of a worker that dies are cut off.
  if (!fault.name.includes("dies")) expect(running.filter((one) => one.error !== null && READS.includes(one.kind)).slice(0, 5)).toEqual([]);
}
