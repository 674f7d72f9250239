// One proxy over primaries and backups, clients that never stop asking, and everything that can go wrong. What is
// claimed depends on the class of faults: A, one server at a time: nothing acknowledged is lost; B, anything: what is
// gone is a miss, never an older value. At the end both sides hold the same and nothing is left open.
import { CONTROL_PREFIX } from "../../src/replication/control.ts";
import { TICK_MS } from "../../src/replication/pool.ts";
import { check } from "./checker.ts";
import { DRIFTS_PPM, jumpClocks } from "./clocks.ts";
import { drawKinds, type FaultClass, type FaultKind, Nemesis, STIR_US } from "./faults.ts";
import { type History, say } from "./history.ts";
import { CLOSING_US, drawHabits, type Habits, keysOf } from "./load.ts";
import { drawLosses, Losses } from "./losses.ts";
import { Watch } from "./invariants.ts";
import type { MemcachedHost } from "./memcached_host.ts";
import { STRICT, type Leniency } from "./model.ts";
import { PairWorld, REQUEST_TIMEOUT_MS, type Shape } from "./pair_world.ts";
import { Operator } from "./operator.ts";
import { Prng } from "./prng.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";
import { DISTANT, drawSettings, isRush } from "./settings.ts";
import { Stranger } from "./stranger.ts";
import { Unanswered } from "./unanswered.ts";
import type { World } from "./world.ts";

export const SECOND_US = 1_000_000;
/** A server that went down often must answer for up to a minute before it is trusted; then it is filled. */
export const RECOVERY_US = 130 * SECOND_US;
/** Clients may write more than may be remembered before one server was reached: it is compared then, as slowly as drawn. */
const READY_US = 40 * SECOND_US;
export const NOTICE_US = 4 * SECOND_US;
/** A write that was under way when something happened may be lost by it. */
const UPHEAVAL_US = SECOND_US;
/** … and what clients meet meanwhile, in its first part. */
export const AFTERMATH_US = 1.5 * SECOND_US;
/** A deadline, noticed at the next tick. */
const DEADLINE_US = (REQUEST_TIMEOUT_MS + TICK_MS) * 1000;
/** What a client may wait: two deadlines, and some time on its own way. */
const PATIENCE_US = 2 * DEADLINE_US + 100_000;

/**
 * "calm": no faults; then the proxy must behave exactly as one memcached. "zombie": class A, and only faults that
 * leave bytes behind which may be executed late, about as long as a deadline, under many writes to few keys. "drift":
 * class A, with clocks that run wrong and are set. "fast": class A, and primaries that lose their memory and are read
 * while they are filled.
 */
export type Mood = FaultClass | "calm" | "zombie" | "hot" | "drift" | "fast";

/** Memcacheds of this version take explicit cas uniques, those before it do not. */
const EXPLICIT = "1.6.27", NATIVE = "1.6.18";
export const VERSIONS: readonly (readonly [string, string])[] = [
  [NATIVE, NATIVE], [NATIVE, NATIVE], [EXPLICIT, EXPLICIT], [EXPLICIT, EXPLICIT], [EXPLICIT, EXPLICIT], [NATIVE, EXPLICIT], [EXPLICIT, NATIVE],
];

const ZOMBIE_FAULTS: readonly FaultKind[] = ["hang", "deaf", "partition_to", "partition"];
const ZOMBIE_HABITS: Habits = { keys: 3, depth: 4, pauseUs: 60_000, ttls: 0, noreply: 0, large: 0, aborts: 0, halfCloses: 0, idle: 6 };

/** What costs a server its memory, and some that strike while it is filled. */
const FAST_FAULTS: readonly FaultKind[] = ["crash", "crash", "crash", "crash", "power", "power", "reset_all", "hang", "slow"];

/** So many keys that most are asked for before they are copied. */
const FAST_HABITS: Partial<Habits> = { keys: 200, depth: 4, pauseUs: 100_000, idle: 0 };

/** Many requests on one key in each turn. */
const HOT_HABITS: Habits = { keys: 1, depth: 16, pauseUs: 100_000, ttls: 0, noreply: 0, large: 0, aborts: 0, halfCloses: 0, idle: 0 };

/** Keys that many want: for a world in a rush. */
export const RUSH_HABITS: Habits = { keys: 2, depth: 2, pauseUs: 20_000, ttls: 0, noreply: 0, large: 0, aborts: 0, halfCloses: 0, idle: 7 };

/** bend may break the proxy on purpose, to show that the simulation notices; inRush says which seeds are a rush. */
export function pairScenario(mood: Mood, bend: (pair: PairWorld) => void = () => {}, inRush = isRush): Scenario {
  return {
    name: `pair-${mood.toLowerCase()}`,
    settings(seed) {
      const dice = new Prng(seed ^ 0x5eed);
      const settings = { ...drawSettings(dice), sparing: dice.chance(7, 8) };
      if (mood === "zombie") return { ...settings, smallPieces: true };
      // Large values through tiny windows take longer than a deadline: that is not calm.
      if (mood !== "calm" && inRush(seed)) return { ...settings, ...DISTANT };
      return mood === "calm" ? { ...settings, sendBuffer: [65_536, 262_144], receiveBuffer: [65_536, 262_144] } : settings;
    },
    run: (world) => run(world, mood, bend, (mood === "A" || mood === "B") && inRush(world.seed)),
  };
}

function run(world: World, mood: Mood, bend: (pair: PairWorld) => void, rush: boolean): ScenarioResult {
  const cls: FaultClass = mood === "B" ? "B" : "A";
  const zombie = mood === "zombie";
  const dice = world.dice.hosts;
  const two = !zombie && dice.chance(1, 4);
  const shape: Shape = {
    primaries: two ? 2 : 1, backups: two ? dice.range(1, 2) : 1, clients: rush ? 6 : dice.range(2, 4), lanes: dice.pick([1, 1, 2, 4]),
    versions: dice.pick(VERSIONS),
    // A date means another time to each server then, so clients give none.
    skewSeconds: dice.pick([0, 0, 5, 12 * 3600]),
    comeback: { rejoin: mood === "fast" ? "fast" : dice.pick(["wait", "fast"] as const), missedKeysMax: dice.pick(cls === "A" ? [500_000, 500_000, 2] : [500_000]) },
    // So slowly that clients meet a server that holds some keys and not others.
    refillRate: dice.pick(mood === "fast" ? [10, 50] : [5, 25_000]),
    ...(mood === "drift" ? { driftPpm: dice.pick(DRIFTS_PPM) } : {}),
    shareGets: mood === "hot" || world.seed % 2 === 0,
  };
  const habits = mood === "hot" ? HOT_HABITS : zombie ? ZOMBIE_HABITS : rush ? RUSH_HABITS : { ...drawHabits(world.dice.load, shape.skewSeconds === 0 && mood !== "drift"), ...(mood === "fast" ? FAST_HABITS : {}) };
  const pair = new PairWorld(world, shape, habits);
  const watches = watch(world, pair);
  const stranger = mood !== "calm" && (rush || dice.chance(1, 8)) ? new Stranger(world, pair) : null;
  const unanswered = new Unanswered(world, pair);
  bend(pair);
  const violations: string[] = [];
  // Without faults the clients come when all is ready; else as early as they can.
  world.runUntil(() => pair.serving && (mood !== "calm" || pair.quiet()), 10 * SECOND_US, 500);
  pair.startClients();
  if (!world.runUntil(() => pair.quiet(), READY_US)) {
    return { violations: [`not ready after ${READY_US / SECOND_US} s: ${pair.unquiet()}`], counts: {} };
  }
  const endUs = world.nowUs + (zombie || rush ? 10 : dice.pick(mood === "fast" ? [10, 20] : [5, 10, 20])) * SECOND_US;
  // Only a primary is read while it is filled.
  const struck = mood === "fast" ? [...pair.primaries, ...pair.primaries, ...pair.servers] : pair.servers;
  const nemesis = new Nemesis(world, { proxies: pair.proxyHosts, servers: struck.map(({ host }) => host) }, {
    cls, kinds: zombie ? ZOMBIE_FAULTS : mood === "fast" ? FAST_FAULTS : drawKinds(world.dice.faults), quiet: () => pair.quiet(), untilUs: endUs, sources: (server) => pair.sources(server),
    spreadUs: zombie ? 60_000 : dice.pick([0, 2_000, 50_000]),
  });
  if (mood !== "calm") nemesis.start();
  if (mood === "drift") jumpClocks(world, [...pair.servers.map(({ host }) => host), pair.proxyHost], endUs);
  const losing = mood === "A" || mood === "B" ? drawLosses(world.seed) : null;
  const losses = losing === null || stranger !== null ? null : new Losses(world, pair, keysOf(habits), endUs);
  if (losses !== null) losses.start(losing!);
  const operator = new Operator(world, () => pair.proxies, endUs);
  // A token of an older server is refused on the other side, which is not calm.
  if (world.seed % 3 === 0 && (mood !== "calm" || shape.versions.every((version) => version === EXPLICIT))) operator.start();
  world.run(endUs);
  nemesis.end();
  // What the last fault did may be noticed only by the next look at a server's control connection.
  world.run(endUs + AFTERMATH_US);
  pair.known.waning = true;
  world.run(endUs + NOTICE_US);
  const healed = world.runUntil(() => pair.quiet(), endUs + RECOVERY_US, 100_000);
  if (!healed) violations.push(`I5: not recovered ${RECOVERY_US / SECOND_US} s after the last fault: ${pair.unquiet()}`);
  const recoveredUs = world.nowUs - endUs;
  pair.known.stopped = true;
  world.runUntil(() => pair.clients.every(({ done }) => done), world.nowUs + CLOSING_US, 100_000);
  const waiting = pair.clients.filter((client) => !client.done).length;
  if (waiting > 0) violations.push(`I11: ${waiting} clients still wait for answers`);
  const apartS = (world.nowUs / SECOND_US) * ((2 * (shape.driftPpm ?? 0)) / 1_000_000);
  if (healed) violations.push(...differences(pair, (key) => losses !== null && losses.oneSided(key), TTL_SLACK_S + apartS));

  // What an upheaval may have cost; nothing is lost for no reason.
  const lossy = (writtenUs: number, missedUs: number, key: string): boolean =>
    (cls === "B" && world.stirred(writtenUs - UPHEAVAL_US, missedUs)) || (losses !== null && losses.lost(writtenUs, missedUs, key));
  // A token that both servers hold is good on either: only an older server may let one be refused for nothing.
  const spuriousExists = stranger !== null || !shape.versions.every((version) => version === EXPLICIT);
  const lenient: Leniency = mood === "calm" ? STRICT : { lossy: cls === "B" || losses !== null ? lossy : null, spuriousExists, readsDrift: true, ttlSlackUs: 3 * SECOND_US };
  unanswered.withdraw(pair.history);
  const verdict = check(pair.history, lenient);
  violations.push(...watches.flatMap(({ found }) => found), ...(stranger?.found ?? []), ...pair.history.wrong, ...verdict.violations, ...pair.known.reused.map((text) => `I6: ${text}`));
  violations.push(...impatience(pair.history, nemesis.stalledUs, habits.large > 0, pair.proxy.counters.single_writes > 0, pair.proxy.counters.forgotten > 0, mood === "hot" ? HOT_AHEAD_MAX : AHEAD_MAX));
  if (mood === "calm") for (const line of pair.history.errors.keys()) violations.push(`an error although nothing happened: ${line}`);
  violations.push(...leftovers(world, pair));
  const errorCount = [...pair.history.errors.values()].reduce((sum, n) => sum + n, 0);
  return {
    violations,
    counts: {
      calls: pair.history.calls.length, undecided: verdict.undecided.length, errors: errorCount, struck: nemesis.struck, drained: operator.drains,
      early_misses: pair.proxy.counters.warming_misses, slowest_ms_max: Math.floor(pair.history.slowestUs / 1000), recovered_ms_max: Math.floor(recoveredUs / 1000),
      strange_writes: stranger?.writes ?? 0, flaps: nemesis.flaps, flushes: losses?.flushes ?? 0, evictions: losses?.evictions ?? 0,
    },
  };
}

/** Looks at every proxy while the world runs, and makes it lively where a server changes. */
export function watch(world: World, pair: PairWorld): Watch[] {
  const watches = pair.proxies.map(({ pool }) => new Watch(pool, pair.shape.lanes, () => world.nowUs / 1000, () => world.stir(STIR_US)));
  world.look = () => {
    for (const one of watches) one.look();
  };
  return watches;
}

/** Of those that are ahead of a call so many may take their own time; where all want one key, each waits for each. */
const AHEAD_MAX = 3, HOT_AHEAD_MAX = 16;
/** The ways of two clients to the proxy differ by less, microseconds. */
const UNORDERED_US = 100_000;

/**
 * I11: calls that waited longer than two deadlines for themselves and for what was ahead of them, at most `most` times.
 * Three for a change when one was taken by one side only: the server answers, the other's copy does not come, and the
 * note that it lacks the key is answered by the first again, each within a deadline of its own.
 */
export function impatience({ calls }: History, stalledUs: number, large: boolean, oneSided: boolean, forgot = false, most = AHEAD_MAX): string[] {
  const out: string[] = [];
  // A proxy that was away judges what waits anew.
  const excuseUs = stalledUs > 0 ? stalledUs + DEADLINE_US : 0;
  // A large value may take as long as it makes progress.
  const usual = large ? 2 * PATIENCE_US : PATIENCE_US;
  for (const call of calls) {
    const took = call.endUs - call.startUs;
    // Who wants a key whose newest copy is out of reach first learns of the stale one, then removes it.
    const patience = usual + (oneSided && call.kind !== "get" ? DEADLINE_US : 0) + (forgot ? DEADLINE_US : 0);
    if (call.noreply || took === Infinity || took <= patience + excuseUs || call.outcome === "unknown" && !call.refused) continue;
    // Commands of one connection are answered in order, and those on one key may have to wait for each other.
    // Of two clients, whose question comes first is known only when they asked far enough apart.
    // A line of many keys is answered once the last of them may be.
    const keys = new Set(calls.filter(({ session, place }) => session === call.session && place === call.place).map(({ key }) => key));
    const ahead = calls.filter((other) => other !== call && other.endUs > call.startUs &&
      (other.session === call.session ? other.id < call.id : keys.has(other.key) && other.startUs < call.startUs + UNORDERED_US));
    if (took > patience * (1 + Math.min(most, ahead.length)) + excuseUs) out.push(`I11: ${took / 1000} ms, behind ${ahead.length} others: ${say(call)}`);
  }
  return out;
}

/** What one key's remaining times may differ by on its two sides, seconds. */
const TTL_SLACK_S = 3;

/** I5: both servers of each key hold the same; where it may be missing on one side, oneSided says so. */
export function differences(pair: PairWorld, oneSided: (key: string) => boolean = () => false, slackS = TTL_SLACK_S): string[] {
  const out: string[] = [];
  const byLabel = new Map<string, MemcachedHost>();
  for (const server of pair.servers) byLabel.set(`${server.host.ip}:11211`, server);
  const keys = new Set<string>();
  for (const { server } of pair.servers) for (const item of server!.engine.store.dump()) if (!item.key.startsWith(CONTROL_PREFIX)) keys.add(item.key);
  for (const key of keys) {
    const owner = pair.proxy.pool.pairOf(key);
    const primary = byLabel.get(owner.primary.label)!;
    const backup = byLabel.get(owner.backup!.label)!;
    const one = content(primary, key, owner.explicit);
    const two = content(backup, key, owner.explicit);
    for (const other of pair.servers) {
      if (other !== primary && other !== backup && content(other, key, false) !== null) out.push(`I5: ${key} lies on ${other.host.name}, which it does not belong to`);
    }
    // Near its end an item may be gone on one side only.
    if ((one?.ttl ?? 0) <= slackS && (two?.ttl ?? 0) <= slackS) continue;
    if ((one === null || two === null) && oneSided(key)) continue;
    if (one?.text !== two?.text) out.push(`I5: ${key} is ${one?.text ?? "missing"} on the primary and ${two?.text ?? "missing"} on the backup`);
    else if (one !== null && two !== null && one.ttl !== two.ttl && !(Math.abs(one.ttl - two.ttl) <= slackS)) {
      out.push(`I7: ${key} lives for ${one.ttl} s on the primary and ${two.ttl} s on the backup`);
    }
  }
  return out;
}

/** Flags, value and, where both sides should have the same, the cas unique of a living item, and how long it will live, seconds. */
function content({ server }: MemcachedHost, key: string, unique: boolean): { text: string; ttl: number } | null {
  const item = server!.engine.store.find(key, false);
  if (item === null) return null;
  let text = `flags ${item.flags} ${unique ? `cas ${item.cas} ` : ""}`;
  for (let i = 0; i < item.value.length - 2 && i < 200; i++) text += String.fromCharCode(item.value[i]!);
  return { text: `${text.trimEnd()} (${item.value.length - 2})`, ttl: item.exptime === 0 ? Infinity : item.exptime - server!.engine.time.now() };
}

/** Stops the proxy: no socket, no attempt, no listener, no timer may stay behind. */
export function leftovers(world: World, pair: PairWorld): string[] {
  let stopped = 0;
  for (const proxy of pair.proxies) proxy.stop(1000, () => stopped++);
  world.run(world.nowUs + 10 * SECOND_US);
  const out: string[] = [];
  if (stopped < pair.proxies.length) out.push("a proxy did not stop");
  for (const { process } of pair.proxyHosts) {
    const sockets = process!.sockets.size + process!.attempts.size + process!.listeners.size;
    if (sockets > 0) out.push(`${sockets} sockets, attempts and listeners are left after the stop`);
    if (process!.timers > 0) out.push(`${process!.timers} timers are left after the stop`);
  }
  return out;
}
