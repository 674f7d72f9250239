// Rings that change while clients never stop asking: servers come, go and are replaced, and the placement becomes another
// software's. Nothing fails, so every answer must be memcached's: no miss of what is stored, nothing old, no error. At the
// end both sides of each key hold the same. So it is with several workers, who hear of it at nearly the same time, and
// with several proxies that are told of it one after the other. In worlds with faults nothing old may be read.
import type { RingFlavour } from "../../src/config/config.ts";
import { check } from "./checker.ts";
import { findings } from "./company_checker.ts";
import { drawKinds, Nemesis } from "./faults.ts";
import { differingLeads, differingServers, Disagreement } from "./disagreement.ts";
import { CLOSING_US, drawHabits, type Habits, keysOf } from "./load.ts";
import type { MemcachedHost } from "./memcached_host.ts";
import { STRICT } from "./model.ts";
import { differences, VERSIONS } from "./pair_scenario.ts";
import { type Over, PairWorld, type Shape } from "./pair_world.ts";
import type { Prng } from "./prng.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";
import { drawSettings } from "./settings.ts";
import { Prng as Dice } from "./prng.ts";
import type { World } from "./world.ts";

const SECOND_US = 1_000_000;
const READY_US = 20 * SECOND_US;
/** How long a change may take that is in nobody's way. */
const CHANGED_US = 120 * SECOND_US;
/** How long one server after another may be in trouble while they change. */
const FAULTS_US = 25 * SECOND_US;
const FLAVOURS: readonly RingFlavour[] = ["libketama", "libketama", "twemproxy", "magent", "magent-modulo", "twemproxy-md5"];

export type Kind = "rings" | "rings-workers" | "rings-two" | "rings-faults";
/** How far apart proxies are told of other rings, at most. */
const APART_US: Readonly<Record<Kind, number>> = { rings: 0, "rings-workers": 4 * SECOND_US, "rings-two": 4 * SECOND_US, "rings-faults": SECOND_US / 2 };

export function ringsScenario(bend: (pair: PairWorld) => void = () => {}, kind: Kind = "rings"): Scenario {
  return {
    name: kind,
    settings: (seed) => ({ ...drawSettings(new Dice(seed ^ 0x5eed)), sendBuffer: [65_536, 262_144], receiveBuffer: [65_536, 262_144] }),
    run: (world) => (kind === "rings" ? run(world, bend) : runSeveral(world, kind, bend)),
  };
}

/**
 * Two or three proxies, or workers of one. With faults, one after the other but in the midst of changes too, what is gone
 * is a miss: nothing old may be read all the same.
 */
function runSeveral(world: World, kind: Kind, bend: (pair: PairWorld) => void): ScenarioResult {
  const dice = world.dice.hosts;
  const shape: Shape = {
    primaries: dice.range(1, 2), backups: dice.range(1, 2), spare: 2, clients: dice.range(3, 5), lanes: dice.pick([1, 1, 2]),
    proxies: dice.range(2, 3), workers: kind === "rings-workers" || kind === "rings-faults", versions: dice.pick(VERSIONS), refillRate: dice.pick([20, 25_000]),
  };
  const habits: Habits = {
    keys: world.dice.load.pick([6, 12]), depth: world.dice.load.pick([1, 4]), pauseUs: world.dice.load.pick([20_000, 60_000]), ttls: 0,
    noreply: world.dice.load.pick([0, 10]), large: 0, aborts: 0, halfCloses: 0, idle: 0,
  };
  const pair = new PairWorld(world, shape, habits);
  const violations: string[] = [];
  bend(pair);
  world.runUntil(() => pair.serving && pair.quiet(), 10 * SECOND_US, 500);
  world.run(world.nowUs + 2 * SECOND_US); // everybody has read of everybody
  pair.startClients();
  const faults = kind === "rings-faults", faultsEndUs = world.nowUs + FAULTS_US;
  const nemesis = new Nemesis(world, { proxies: pair.proxyHosts, servers: pair.servers.map(({ host }) => host) }, {
    cls: "A", kinds: drawKinds(world.dice.faults).filter((each) => each !== "flap"), quiet: () => true, untilUs: faultsEndUs, spreadUs: 0,
  });
  if (faults) nemesis.start();
  // Dice of its own: what else happens to a seed stays as it was.
  const hurry = new Dice(world.seed ^ 0x4a57e), hurries = faults && hurry.chance(1, 3);
  // Whoever is told not to wait for the side that is to answer meanwhile has nobody to read from until all have replaced the ring.
  const disagreement = kind !== "rings-two" && !hurries ? null
    : new Disagreement(world, () => (hurries ? differingServers : differingLeads)(pair.proxies, keysOf(habits)));
  let reloads = 0;
  for (let i = dice.range(1, 2); i > 0; i--) {
    world.run(world.nowUs + dice.range(1, 3) * SECOND_US);
    const over = draw(dice, pair);
    world.note(`reload: ${over.ring}, ${over.primaries.length} primaries, ${over.backups.length} backups`);
    let told = 0;
    for (const [at, proxy] of pair.proxies.entries()) {
      world.after(dice.range(0, APART_US[kind]), () => {
        told++;
        proxy.reload(pair.config(over), (outcome) => {
          if (!outcome.ok) violations.push(`a reload of proxy ${at + 1} is refused: ${outcome.reason}`);
        });
      });
    }
    reloads++;
    if (hurries) {
      const atUs = hurry.range(0, 10 * SECOND_US);
      for (const proxy of pair.proxies) world.after(atUs + hurry.range(0, SECOND_US / 10), () => proxy.hasten());
    }
    if (faults && world.nowUs < faultsEndUs) world.run(faultsEndUs);
    if (faults) nemesis.end();
    const ended = world.runUntil(() => told === pair.proxies.length && pair.proxies.every(({ changing }) => !changing) && pair.quiet(), world.nowUs + CHANGED_US, 100_000);
    if (!ended) violations.push(`rings have not changed after ${CHANGED_US / SECOND_US} s: ${pair.proxies.map(({ pool }) => pool.changes.transition?.text ?? "over").join("; ")}; ${pair.unquiet()}`);
  }
  world.run(world.nowUs + SECOND_US);
  pair.known.waning = true;
  world.runUntil(() => pair.quiet(), world.nowUs + READY_US, 100_000);
  pair.known.stopped = true;
  world.run(world.nowUs + CLOSING_US);
  violations.push(...differences(pair).filter((line) => !line.endsWith("which it does not belong to")));
  disagreement?.stop();
  let inWindow = 0;
  for (const { fault, cause, call, text } of findings(pair.history.calls, faults)) {
    // Proxies that turn to the side that stays one after the other decide on two sides, as after any fault that one of them notices first.
    const began = disagreement?.touching(cause.startUs, cause.endUs) ?? disagreement?.touching(call.startUs, call.endUs) ?? null;
    if (began === null) violations.push(`${fault} ${text}`);
    else inWindow++;
  }
  violations.push(...pair.history.wrong);
  if (!faults) for (const line of pair.history.errors.keys()) violations.push(`an error although nothing happened: ${line}`);
  return {
    violations,
    counts: {
      calls: pair.history.calls.length, reloads, struck: nemesis.struck,
      ...(disagreement === null ? {} : { window_findings: inWindow, disagreed_ms_max: Math.floor(disagreement.longestUs / 1000) }),
    },
  };
}

function run(world: World, bend: (pair: PairWorld) => void): ScenarioResult {
  const dice = world.dice.hosts;
  const shape: Shape = {
    primaries: dice.range(1, 2), backups: dice.range(1, 2), spare: 2, clients: dice.range(2, 4), lanes: dice.pick([1, 1, 2, 4]),
    versions: dice.pick(VERSIONS), comeback: { rejoin: dice.pick(["wait", "fast"] as const), missedKeysMax: 500_000 }, refillRate: dice.pick([20, 25_000]),
  };
  const pair = new PairWorld(world, shape, { ...drawHabits(world.dice.load, true), aborts: 0, halfCloses: 0 });
  const violations: string[] = [];
  bend(pair);
  world.runUntil(() => pair.serving && pair.quiet(), 10 * SECOND_US, 500);
  pair.startClients();
  let reloads = 0, waits = 0;
  for (let i = dice.range(1, 3); i > 0; i--) {
    world.run(world.nowUs + dice.range(1, 3) * SECOND_US);
    const over = draw(dice, pair);
    pair.proxy.reload(pair.config(over), (outcome) => {
      if (!outcome.ok) violations.push(`a reload is refused: ${outcome.reason}`);
    });
    world.note(`reload: ${over.ring}, ${over.primaries.length} primaries, ${over.backups.length} backups`);
    reloads++;
    const ended = world.runUntil(() => pair.proxy.pool.changes.transition === null && pair.quiet(), world.nowUs + CHANGED_US, 100_000);
    if (!ended) violations.push(`rings have not changed after ${CHANGED_US / SECOND_US} s: ${pair.proxy.pool.changes.transition?.text ?? "over"}; ${pair.unquiet()}`);
    if (!ended) waits++;
  }
  world.run(world.nowUs + SECOND_US);
  world.runUntil(() => pair.quiet(), world.nowUs + READY_US, 100_000);
  pair.known.stopped = true;
  world.run(world.nowUs + CLOSING_US);
  // What lies where it belonged before is nobody's: compared before its server gets the key again.
  violations.push(...differences(pair).filter((line) => !line.endsWith("which it does not belong to")));
  const verdict = check(pair.history, { ...STRICT, spuriousExists: !shape.versions.every((version) => version === "1.6.27"), readsDrift: true });
  violations.push(...pair.history.wrong, ...verdict.violations, ...pair.known.reused.map((text) => `reused: ${text}`));
  for (const line of pair.history.errors.keys()) violations.push(`an error although nothing happened: ${line}`);
  return { violations, counts: { calls: pair.history.calls.length, undecided: verdict.undecided.length, reloads, waits } };
}

function draw(dice: Prng, pair: PairWorld): Over {
  const some = (hosts: readonly MemcachedHost[]): MemcachedHost[] => {
    const chosen = hosts.filter(() => dice.chance(1, 2));
    return chosen.length === 0 ? [dice.pick(hosts)] : chosen;
  };
  return { primaries: some(pair.primaries), backups: some(pair.backups), ring: dice.pick(FLAVOURS) };
}
