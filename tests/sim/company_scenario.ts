// Several proxies over the same pair, or the same pairs, all of them written to, while one server at a time is in
// trouble: for all of them alike, or for some only. Strict proxies owe what one proxy owes. Others may disagree for a
// while after a fault: what was written and read in such a window may contradict each other, and nothing else; the
// window is measured.
import { findings, type Fault } from "./company_checker.ts";
import { differingTrust, Disagreement } from "./disagreement.ts";
import { DRIFTS_PPM, jumpClocks } from "./clocks.ts";
import { drawKinds, type FaultKind, Nemesis } from "./faults.ts";
import { CLOSING_US, type Habits } from "./load.ts";
import { AFTERMATH_US, differences, leftovers, RUSH_HABITS, VERSIONS, watch } from "./pair_scenario.ts";
import { PairWorld, type Shape } from "./pair_world.ts";
import { Prng } from "./prng.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";
import { DISTANT, drawSettings, isRush } from "./settings.ts";
import type { Watch } from "./invariants.ts";
import { Unanswered } from "./unanswered.ts";
import type { World } from "./world.ts";

const SECOND_US = 1_000_000;
const RECOVERY_US = 130 * SECOND_US;
/** After a fault nobody noticed, the last look at the board, and the comparisons that follow. */
const NOTICE_US = 8 * SECOND_US;
/** How long proxies may disagree about a server: until one has noticed, told it, and the other has read it. */
export const WINDOW_MAX_US = 3_500_000;

/** What the proxies of a kind of world are, and what they stand over. */
interface Company {
  readonly strict: boolean;
  /** They are workers of one proxy. */
  readonly workers: boolean;
  /** Over several servers on a side, so that each proxy has several pairs. */
  readonly pairs?: boolean;
  /** Clocks that run too fast or too slow, and wall clocks that jump. */
  readonly drift?: boolean;
  /** Nothing is compared but what workers tell each other of, as in the product. */
  readonly verify?: "auto";
}

const COMPANIES = {
  "two-a": { strict: false, workers: false },
  "two-strict": { strict: true, workers: false },
  "two-death": { strict: true, workers: false },
  "two-workers": { strict: false, workers: true },
  "two-drift": { strict: true, workers: false, drift: true },
  "four-a": { strict: false, workers: false, pairs: true },
  "four-strict": { strict: true, workers: false, pairs: true },
  "four-workers": { strict: false, workers: true, pairs: true, verify: "auto" },
} as const satisfies Record<string, Company>;

export type Kind = keyof typeof COMPANIES;

export function isKind(name: string): name is Kind {
  return name in COMPANIES;
}

/**
 * bend may break the proxies on purpose, to show that the simulation notices; inRush says which seeds are a rush, kinds
 * which faults there are (otherwise drawn).
 */
export function companyScenario(kind: Kind, bend: (pair: PairWorld) => void = () => {}, inRush = isRush, kinds?: readonly FaultKind[]): Scenario {
  return {
    name: kind,
    settings(seed) {
      const dice = new Prng(seed ^ 0x5eed);
      return { ...drawSettings(dice), sparing: dice.chance(7, 8), ...(inRush(seed) ? DISTANT : {}) };
    },
    run: (world) => run(world, kind, bend, inRush(world.seed), kinds),
  };
}

function run(world: World, kind: Kind, bend: (pair: PairWorld) => void, rush: boolean, kinds?: readonly FaultKind[]): ScenarioResult {
  const dice = world.dice.hosts;
  const company: Company = COMPANIES[kind];
  // Workers of one proxy have a channel, and owe without waiting what strict proxies owe.
  const owesAll = company.strict || company.workers;
  const [primaries, backups] = company.pairs === true ? dice.pick([[2, 2], [2, 2], [2, 1], [1, 2]] as const) : [1, 1];
  const shape: Shape = {
    primaries, backups, proxies: dice.chance(1, 4) ? 3 : 2, clients: dice.range(3, 6), lanes: dice.pick([1, 1, 2]),
    versions: dice.pick(VERSIONS), strict: company.strict, workers: company.workers,
    ...(company.verify === undefined ? {} : { verify: company.verify }),
    ...(company.drift === true ? { skewSeconds: dice.pick([0, 5]), driftPpm: dice.pick(DRIFTS_PPM) } : {}),
  };
  // No faults, and everybody at the same few keys: what collides last must be made alike by those that collided.
  const crowd = !rush && dice.chance(1, 6);
  const depth = world.dice.load.pick([1, 1, 4]);
  const habits: Habits = rush ? RUSH_HABITS : {
    keys: crowd ? 6 : world.dice.load.pick(company.pairs === true ? [6, 12, 24] : [3, 6, 12]), depth, pauseUs: crowd ? 3_000 : world.dice.load.pick([20_000, 60_000]) * (1 + depth), ttls: 0,
    noreply: world.dice.load.pick([0, 10]), large: 0, aborts: 0, halfCloses: 0, idle: crowd ? 0 : world.dice.load.pick([0, 5, 7]),
  };
  const pair = new PairWorld(world, shape, habits);
  world.runUntil(() => pair.serving, 10 * SECOND_US, 500);
  const watches = watch(world, pair);
  const unanswered = new Unanswered(world, pair);
  bend(pair);
  const violations: string[] = [];
  if (!world.runUntil(() => pair.quiet(), 10 * SECOND_US)) return { violations: [`not ready after 10 s: ${pair.unquiet()}`], counts: {} };
  world.run(world.nowUs + 2 * SECOND_US); // everybody has read of everybody
  pair.startClients();
  const disagreement = new Disagreement(world, () => differingTrust(pair.proxies));
  const endUs = world.nowUs + (crowd ? 2 : dice.pick([5, 10, 15])) * SECOND_US;
  const nemesis = new Nemesis(world, { proxies: pair.proxyHosts, servers: pair.servers.map(({ host }) => host) }, {
    cls: "A", kinds: kinds ?? drawKinds(world.dice.faults), quiet: () => pair.quiet(), untilUs: endUs, sources: (server) => pair.sources(server),
    spreadUs: dice.pick([0, 2_000, 50_000]), uneven: dice.chance(1, 2),
  });
  if (!crowd) nemesis.start();
  if (company.drift === true) jumpClocks(world, [...pair.servers.map(({ host }) => host), ...pair.proxyHosts], endUs);
  if (kind === "two-death" && !crowd) mortal(world, pair, watches, () => unanswered.watch(pair));
  world.run(endUs);
  nemesis.end();
  if (!crowd) {
    world.run(endUs + 2 * AFTERMATH_US);
    pair.known.waning = true;
    world.run(endUs + NOTICE_US);
  }
  // A crowd that goes on has some key locked at any moment.
  pair.known.waning = true;
  world.runUntil(() => pair.serving, world.nowUs + 20 * SECOND_US);
  const healed = world.runUntil(() => pair.quiet(), endUs + RECOVERY_US, 100_000);
  if (!healed) violations.push(`I5: not recovered ${RECOVERY_US / SECOND_US} s after the last fault: ${pair.unquiet()}`);
  pair.known.stopped = true;
  world.runUntil(() => pair.clients.every(({ done }) => done), world.nowUs + CLOSING_US, 100_000);
  disagreement.stop();
  const waiting = pair.clients.filter((client) => !client.done).length;
  if (waiting > 0) violations.push(`I11: ${waiting} clients still wait for answers`);
  if (healed) violations.push(...differences(pair));

  unanswered.withdraw(pair.history);
  const counts: Record<Fault, number> = { stale: 0, lost: 0, double: 0, twice: 0 };
  let windowUs = 0;
  for (const { fault, cause, call, text } of findings(pair.history.calls, false)) {
    // What was written while they agreed, and is read while they agree, has no excuse.
    const began = owesAll ? null : disagreement.touching(cause.startUs, cause.endUs) ?? disagreement.touching(call.startUs, call.endUs);
    if (began === null) violations.push(text);
    else {
      counts[fault]++;
      windowUs = Math.max(windowUs, call.endUs - began);
    }
  }
  if (kind !== "two-death" && disagreement.longestUs > WINDOW_MAX_US) violations.push(`proxies disagreed for ${disagreement.longestUs / 1000} ms`);
  violations.push(...watches.flatMap(({ found }) => found), ...pair.history.wrong, ...leftovers(world, pair));
  const errors = [...pair.history.errors.values()].reduce((sum, n) => sum + n, 0);
  const repaired = pair.proxies.reduce((sum, { counters }) => sum + counters.divergences, 0);
  return {
    violations,
    counts: {
      calls: pair.history.calls.length, errors, struck: nemesis.struck, divergences_repaired: repaired,
      window_stale: counts.stale, window_lost: counts.lost, window_double: counts.double, window_twice: counts.twice,
      window_ms_max: Math.floor(windowUs / 1000), disagreed_ms_max: Math.floor(disagreement.longestUs / 1000),
      slowest_ms_max: Math.floor(pair.history.slowestUs / 1000),
    },
  };
}

/** The second proxy is killed while servers are impaired, and another begins (begun is called) in its place, or soon, or late. */
function mortal(world: World, pair: PairWorld, watches: Watch[], begun: () => void): void {
  const host = pair.proxyHosts[1]!;
  world.after(world.dice.faults.range(1_000, 4_500) * 1000, () => {
    pair.died();
    world.fired("proxy_kill");
    world.note("proxy2 is killed");
    watches.splice(1, 1); // nothing moves there any more
    host.crash("kill");
    world.after(world.dice.faults.pick([50_000, 3 * SECOND_US, 14 * SECOND_US]), () => {
      host.restart();
      const back = (): void => {
        if (!pair.serving) return void world.after(1_000, back);
        begun();
        pair.excusedUntilUs = world.nowUs + SECOND_US;
      };
      back();
    });
  });
}
