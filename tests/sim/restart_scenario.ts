// One proxy that dies and comes back, while servers are impaired one at a time: its process is killed, its machine
// loses power, or it is stopped in order, at any moment, also in the middle of a server's return. All that it knew was
// in its memory; what the next one knows is what it finds on the servers. Nothing acknowledged may be lost and nothing
// stale be read, as if there had been one proxy all the time.
//
// With a state directory (restart-disk) the server that took the writes may lose its memory in the same moment: what it
// alone held is gone then, and a miss; but never is anything older read from the server that was away.
import { CONTROL_PREFIX } from "../../src/replication/control.ts";
import { check } from "./checker.ts";
import { drawKinds, Nemesis } from "./faults.ts";
import type { History, Outcome } from "./history.ts";
import { CLOSING_US, drawHabits } from "./load.ts";
import type { Leniency } from "./model.ts";
import { differences, impatience, leftovers, NOTICE_US, RECOVERY_US, SECOND_US, VERSIONS } from "./pair_scenario.ts";
import { PairWorld, type Shape } from "./pair_world.ts";
import { Prng } from "./prng.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";
import { drawSettings } from "./settings.ts";
import { Unanswered } from "./unanswered.ts";
import type { World } from "./world.ts";

/** How a proxy's life ends, and what is done to what it wrote down. */
export const PROXY_FAULTS = ["proxy_kill", "proxy_power", "proxy_stop", "evict", "amnesia"] as const;

/** How long the world is lively before and after a death, microseconds. */
const LIVELY_US = 500_000;
/** A write that was under way may reach a server that is gone a moment later, microseconds. */
const AMNESIA_US = 1_000_000;

/** bend may break each proxy on purpose when it starts, to show that the simulation notices. */
export function restartScenario(bend: (pair: PairWorld) => void = () => {}, disk = false): Scenario {
  return {
    name: disk ? "restart-disk" : "restart-a",
    settings: (seed) => drawSettings(new Prng(seed ^ 0x5eed)),
    run: (world) => run(world, bend, disk),
  };
}

function run(world: World, bend: (pair: PairWorld) => void, disk: boolean): ScenarioResult {
  const dice = world.dice.hosts;
  const two = dice.chance(1, 4);
  const shape: Shape = {
    primaries: two ? 2 : 1, backups: two ? dice.range(1, 2) : 1, clients: dice.range(2, 4), lanes: dice.pick([1, 1, 2, 4]),
    versions: dice.pick(VERSIONS), disk,
  };
  const habits = drawHabits(world.dice.load);
  const pair = new PairWorld(world, shape, habits);
  bend(pair);
  const violations: string[] = [];
  world.runUntil(() => pair.serving, 10 * SECOND_US, 500);
  pair.startClients();
  if (!world.runUntil(() => pair.quiet(), 10 * SECOND_US)) {
    return { violations: [`not ready after 10 s: ${pair.unquiet()}`], counts: {} };
  }
  const endUs = world.nowUs + dice.pick([10, 20, 30]) * SECOND_US;
  const quiet = (): boolean => pair.serving && pair.quiet() && pair.settled();
  const nemesis = new Nemesis(world, { proxies: pair.proxyHosts, servers: pair.servers.map(({ host }) => host) }, {
    cls: "A", kinds: drawKinds(world.dice.faults), quiet, untilUs: endUs, sources: (server) => pair.sources(server), spreadUs: dice.pick([0, 2_000, 50_000]),
  });
  const unanswered = new Unanswered(world, pair);
  const reaper = new Reaper(world, pair, endUs, () => {
    bend(pair);
    unanswered.watch(pair);
  });
  nemesis.start();
  reaper.later();
  world.run(endUs);
  nemesis.end();
  world.runUntil(() => pair.serving, endUs + 10 * SECOND_US);
  world.run(world.nowUs + NOTICE_US);
  const healed = world.runUntil(quiet, endUs + RECOVERY_US, 100_000);
  if (!healed) violations.push(`I5: not recovered ${RECOVERY_US / SECOND_US} s after the last fault: ${pair.unquiet()}`);
  const recoveredUs = world.nowUs - endUs;
  pair.known.stopped = true;
  world.run(world.nowUs + CLOSING_US);
  const waiting = pair.clients.filter((client) => !client.done).length;
  if (waiting > 0) violations.push(`I11: ${waiting} clients still wait for answers`);
  if (healed) violations.push(...differences(pair));

  unanswered.withdraw(pair.history);
  const gone = (writtenUs: number, missedUs: number): boolean => reaper.amnesias.some((us) => writtenUs < us + AMNESIA_US && missedUs > us);
  const lenient: Leniency = { lossy: disk ? gone : null, spuriousExists: true, readsDrift: true, ttlSlackUs: 3 * SECOND_US };
  for (const us of reaper.amnesias) forgotten(pair.history, us);
  const verdict = check(pair.history, lenient);
  violations.push(...pair.history.wrong, ...(reaper.unkept ? [] : verdict.violations), ...pair.known.reused.filter(couldMatch).map((text) => `I6: ${text}`));
  violations.push(...impatience(pair.history, nemesis.stalledUs, habits.large > 0, true));
  violations.push(...leftovers(world, pair));
  const errorCount = [...pair.history.errors.values()].reduce((sum, n) => sum + n, 0);
  return {
    violations,
    counts: {
      calls: pair.history.calls.length, undecided: verdict.undecided.length, errors: errorCount, struck: nemesis.struck,
      deaths: reaper.deaths, slowest_ms_max: Math.floor(pair.history.slowestUs / 1000), recovered_ms_max: Math.floor(recoveredUs / 1000),
    },
  };
}

/** A token without a number of the server's own stands for a version that this server cannot be asked about: it never matches. */
function couldMatch(text: string): boolean {
  return BigInt(/token ([0-9]+)/.exec(text)![1]!) % (1n << 47n) !== 0n;
}

/** What nobody had been told yet may have been seen on the server that lost its memory then, and was gone with it. */
function forgotten({ calls }: History, us: number): void {
  const untold = calls.filter((call) => (call.outcome === "unknown" || call.outcome === "open") && call.kind !== "get" && call.startUs <= us && call.endUs >= us);
  for (const write of untold) {
    for (const call of calls) if (call.key === write.key && call.endUs >= write.startUs && call.startUs <= us && !TAKEN.has(call.outcome)) call.outcome = "unknown";
  }
}
/** Of writes that were acknowledged: those count. */
const TAKEN: ReadonlySet<Outcome> = new Set(["stored", "deleted", "touched", "number"]);
/** Ends the proxy's life now and then, and starts the next. */
class Reaper {
  deaths = 0;
  /** When a server that took what another one missed lost its memory with the proxy, microseconds. */
  readonly amnesias: number[] = [];
  /** Such a proxy had said that its disk is too slow, and answered without it. */
  unkept = false;

  constructor(
    private readonly world: World,
    private readonly pair: PairWorld,
    private readonly untilUs: number,
    private readonly begun: () => void,
  ) {}

  later(): void {
    const [least, most] = this.world.dice.faults.pick([[50_000, 500_000], [500_000, 3_000_000], [2_000_000, 12_000_000]] as const);
    const us = this.world.dice.faults.range(least, most);
    this.world.after(Math.max(0, us - LIVELY_US), () => this.world.stir(2 * LIVELY_US));
    this.world.after(us, () => this.strike());
  }

  private strike(): void {
    const { world, pair } = this;
    if (world.nowUs >= this.untilUs) return;
    const kind = world.dice.faults.pick(["proxy_kill", "proxy_kill", "proxy_power", "proxy_stop", "proxy_stop"] as const);
    if (world.dice.faults.chance(1, 3) && this.evict()) this.fired("evict");
    this.fired(kind);
    this.deaths++;
    if (pair.shape.disk === true && world.dice.faults.chance(1, 2)) this.forgetAll();
    const forgot = this.amnesias.at(-1) === world.nowUs;
    pair.died();
    if (kind === "proxy_stop") {
      return pair.proxy.stop(500, () => {
        if (forgot && this.diskFails) this.unkept = true;
        this.gone("kill");
      });
    }
    this.gone(kind === "proxy_kill" ? "kill" : "power");
  }

  private gone(how: "kill" | "power"): void {
    const { world, pair } = this;
    pair.proxyHost.crash(how);
    if (how === "power") for (const client of pair.clients) client.cut();
    const [least, most] = world.dice.faults.pick([[1_000, 20_000], [20_000, 500_000], [500_000, 4_000_000]] as const);
    world.after(world.dice.faults.range(least, most), () => {
      world.stir(2 * LIVELY_US);
      pair.proxyHost.restart();
      this.begun();
      this.back();
    });
  }

  private back(): void {
    const { world, pair } = this;
    if (!pair.serving) return void world.after(1_000, () => this.back());
    pair.excusedUntilUs = world.nowUs + SECOND_US;
    this.later();
  }

  /**
   * Something that a proxy wrote down and nobody reads is pushed out of a server's memory: of any, when all is well, or
   * of one that keeps what another one misses. A server that is itself impaired has lost enough.
   */
  private evict(): boolean {
    const { world, pair } = this;
    const states = pair.proxy.pool.servers.map(({ state }) => state);
    const well = (from: number, to: number): boolean => states.slice(from, to).every((state) => state === "up");
    const { primaries } = pair.shape;
    const keepers = well(0, primaries) ? pair.primaries : well(primaries, states.length) ? pair.backups : [];
    if (keepers.length === 0) return false;
    const { server } = world.dice.faults.pick(keepers);
    if (server === null) return false;
    const items = [...server.engine.store.dump()].filter((item) => item.key.startsWith(`${CONTROL_PREFIX}h:`));
    if (items.length === 0) return false;
    server.engine.store.unlink(world.dice.faults.pick(items));
    return true;
  }

  /** The server that takes what another one misses is restarted, and has forgotten it. */
  private forgetAll(): void {
    const { world, pair } = this;
    const owner = pair.proxy.pool.pairs.find(({ lacking }) => lacking[0] + lacking[1] > 0);
    if (owner === undefined) return;
    const keeper = pair.servers.find(({ host }) => owner.server(owner.lacking[0] > 0 ? 1 : 0)!.label.startsWith(`${host.ip}:`))!.host;
    if (keeper.process === null || keeper.hung || keeper.off || keeper.refusing) return;
    // Then the server's own memory is all there is.
    if (this.diskFails) return;
    this.fired("amnesia");
    this.amnesias.push(world.nowUs);
    keeper.crash("kill");
    world.after(world.dice.faults.range(1_000, 300_000), () => void keeper.restart());
  }

  /** The disk is too slow and not waited for, which the proxy has said. */
  private get diskFails(): boolean {
    const { failing } = this.pair.proxy.pool.memory!.state!.file as unknown as { readonly failing: string };
    return failing !== "";
  }

  private fired(kind: (typeof PROXY_FAULTS)[number]): void {
    this.world.fired(kind);
    this.world.note(kind);
  }
}
