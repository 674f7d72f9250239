// Two proxies over the same servers, both written through and read through, while servers fail for both of them or for one
// alone: how long a client of the one may see what a client of the other has overwritten. In the default that
// window is measured. FAULTS=all for more.
import { afterAll, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { errorsOf, figuresOf, READS, table } from "../support/figures.ts";
import { VIOLATIONS } from "../support/history.ts";
import { STEADY } from "../support/tandem.ts";
import { pass, WHOLE_MS, World } from "../support/world.ts";
import { cutOff, type Fault, HUNG, KILLED } from "../support/world_faults.ts";

const HOLD_MS = 2500;
const AFTER_MS = 1500;
/** All faults, not only the first two. */
const ALL = process.env["FAULTS"] === "all";
/** How long two proxies may take to know each other, ms. */
const MEET_MS = 30_000;

/** In an order in which each world can go through them all; each hits the first primary. */
const FAULTS: readonly Fault[] = [cutOff("cut off from one proxy alone", (world) => world.tandems[1]!.pid), KILLED, HUNG];

const rows: Record<string, string | number>[] = [];
afterAll(() => {
  if (rows.length > 0) console.log(table(rows));
});

for (const [mode, flags] of [["default", STEADY], ["--strict", ["--strict", ...STEADY]]] as const) {
  test(`two proxies, ${mode}`, async () => {
    const world = await World.open({ relayed: [0], proxies: 2, flags, loads: [{ clients: 12, rate: 1500 }] });
    try {
      for (const tandem of world.tandems) await meets(tandem.port);
      for (const fault of ALL ? FAULTS : FAULTS.slice(0, 2)) await judge(world, fault, mode);
      await world.stopLoads();
      const before = world.loads[0]!.findings.total;
      world.phase = "settled";
      expect(await world.becomesWhole() ?? Infinity).toBeLessThan(WHOLE_MS);
      await world.sweep();
      if (mode === "--strict") expect(world.sentences).toEqual([]);
      else if (world.loads[0]!.findings.total > before) console.log(`${mode}: acknowledged writes that are gone for good`, world.sentences.slice(-3));
      expect(world.loads[0]!.findings.counts.wrong).toBe(0);
    } finally {
      await world.close();
    }
  }, 120_000);
}

/** Waits until the proxy knows another one that lives. */
async function meets(port: number): Promise<void> {
  const client = await Client.open(port);
  const started = performance.now();
  for (let known = false; !known; await pass(50)) {
    client.send("stats proxies\r\n");
    for (let line = await client.line(20_000); line !== "END"; line = await client.line(20_000)) known ||= /:state alive$/.test(line);
    if (performance.now() - started > MEET_MS) throw new Error("the two proxies do not find each other");
  }
  client.close();
}

async function judge(world: World, fault: Fault, mode: string): Promise<void> {
  const { findings, operations } = world.loads[0]!;
  const [before, counted, from] = [{ ...findings.counts }, findings.times.length, operations.length];
  await pass(500);
  const broken = performance.now();
  world.phase = `${fault.name}, broken`;
  fault.begin(world);
  await pass(HOLD_MS);
  world.phase = `${fault.name}, healed`;
  const healed = performance.now();
  await fault.end(world);
  await pass(AFTER_MS);
  await world.becomesUp();
  const running = operations.slice(from);
  const times = findings.times.slice(counted);
  const last = (of: number[], since: number): string => of.length === 0 ? "none" : String(Math.round(of.at(-1)! - since));
  const figures = figuresOf(running);
  rows.push({
    mode, fault: fault.name, operations: running.length, "longest gap ms": figures.gapMs,
    "errors of get/set/delete": figures.plainErrors, "other errors": figures.otherErrors,
    ...Object.fromEntries(VIOLATIONS.map((kind) => [kind, findings.counts[kind] - before[kind]])),
    "last of these after the fault, ms": last(times.filter((at) => at < healed), broken),
    "after its end, ms": last(times.filter((at) => at >= healed), healed),
  });
  const errors = errorsOf(running);
  if (errors.length > 0) console.log(`${mode}, ${fault.name}: errors ${JSON.stringify(errors.slice(0, 6))}`);
  if (times.length > 0) console.log(`${mode}, ${fault.name}:`, world.sentences.slice(-4));
  expect(running.filter((one) => one.error !== null && READS.includes(one.kind)).slice(0, 5)).toEqual([]);
}
