// Two workers over real servers that fail under a running, checked load through both: what one worker knows all know
// before anybody counts on it, so no answer is stale and nothing acknowledged is lost, without --strict.
import { afterAll, expect, test } from "bun:test";
import { errorsOf, figuresOf, READS, table } from "../support/figures.ts";
import { VIOLATIONS } from "../support/history.ts";
import { STEADY } from "../support/tandem.ts";
import { workersOf } from "../support/workers.ts";
import { pass, WHOLE_MS, World } from "../support/world.ts";
import { cutOff, type Fault, HUNG, KILLED } from "../support/world_faults.ts";

const HOLD_MS = 2000;
const AFTER_MS = 1500;

/** Each hits the first primary. */
const FAULTS: readonly Fault[] = [
  cutOff("cut off from one worker alone", (world) => workersOf(world.tandems[0]!.pid)[0]!),
  KILLED,
  HUNG,
  cutOff("cut off from one worker, which then dies", (world) => workersOf(world.tandems[0]!.pid)[1]!, (pid) => {
    setTimeout(() => process.kill(pid, "SIGKILL"), HOLD_MS / 2);
  }),
];

const rows: Record<string, string | number>[] = [];
afterAll(() => {
  if (rows.length > 0) console.log(table(rows));
});

test("two workers", async () => {
  const world = await World.open({ relayed: [0], flags: ["--workers", "2", ...STEADY], loads: [{ clients: 16, rate: 1500 }] });
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
