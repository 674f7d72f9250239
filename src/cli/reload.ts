// What a pool has to do when its settings are read again: which of them may change while it runs, and which rings must
// be replaced in which order.
import type { PoolConfig, ServerSpec } from "../config/config.ts";
import { placementDifferences, placementText } from "../config/fingerprint.ts";
import { addressText, sameServerKey } from "../config/servers.ts";
import { BACKUP, PRIMARY } from "../replication/pair.ts";
import type { PoolServer } from "../replication/pool_options.ts";
import type { RingChange } from "../replication/transition.ts";
import { FLAVOURS } from "../ring/flavours.ts";
import { buildRing, ringServers } from "../ring/ring.ts";

/** What a running pool cannot change, with how to read it. */
const FIXED: Readonly<Record<string, (config: PoolConfig, other: PoolConfig) => string>> = {
  lanes: (config) => String(config.lanes),
  board: (config) => (config.proxies.board ? "on" : "off"),
  share_gets: (config) => String(config.shareGets),
  hints: (config) => (config.proxies.hints ? "on" : "off"),
  state_dir: (config) => config.proxies.stateDir || "none",
  strict: (config) => String(config.proxies.strict),
  scrub: (config) => `${config.proxies.scrubHours}h`,
  missed_keys_max: (config) => String(config.comeback.missedKeysMax),
  // Of a socket that stays.
  unix_mode: (config, { listen }) => (config.listen.some((each) => each.kind === "unix" && listen.some((its) => addressText(its) === each.path)) ? config.unixMode.toString(8) : ""),
};

/** Why a running pool cannot take these settings, or null. */
export function reloadProblem(before: PoolConfig, after: PoolConfig, inTransition: boolean): string | null {
  for (const [key, read] of Object.entries(FIXED)) {
    const [was, is] = [read(before, after), read(after, before)];
    if (was !== is) return `pool ${after.name}: ${key} cannot change from ${was} to ${is} while tandem runs; restart it for that`;
  }
  if (ringChanges(before, after).length === 0) return null;
  if (inTransition) return `pool ${after.name}: its rings are still changing from the last time; wait for that (tandem transition end hastens it)`;
  if (after.proxies.strict) return `pool ${after.name}: servers and rings cannot change while tandem runs with strict; restart it for that`;
  for (const [from, to, role] of [[before.primaries, after.backups, "primary"], [before.backups, after.primaries, "backup"]] as const) {
    const moved = to.find((server) => from.some((each) => sameServerKey(each) === sameServerKey(server)));
    if (moved !== undefined) return `pool ${after.name}: ${moved.label} was a ${role} and cannot change sides in one step; take it out first`;
  }
  return null;
}

/** Why several workers cannot take these settings together, or null: what they hear of each other they hear by the board. */
export function sharedProblem(before: readonly PoolConfig[], after: readonly PoolConfig[]): string | null {
  const labels = ({ backups }: PoolConfig): string => backups.map(({ label }) => label).join(", ") || "none";
  for (const young of after) {
    const old = before.find(({ name }) => name === young.name);
    if (old === undefined || ringChanges(old, young).length === 0) continue;
    if ((old.backups.length === 0) !== (young.backups.length === 0)) {
      const allowed = old.backups.length === 0 ? "none" : "at least one";
      return `pool ${old.name}: backups cannot change from ${labels(old)} to ${labels(young)} while several workers run; allowed: ${allowed}; restart tandem for that`;
    }
    if (old.backups.length > 0 && !old.proxies.board) {
      return `pool ${old.name}: servers and rings cannot change while several workers run with board = "off"; restart tandem for that, with board = "on" it is not needed the next time`;
    }
  }
  return null;
}

/**
 * What is to be replaced, in the order in which it loses nothing: while one ring changes the other one answers.
 * backups: the settings of the backups before, if others.
 */
export function ringChanges(primaries: PoolConfig, after: PoolConfig, backups = primaries): RingChange<PoolServer>[] {
  const changes: RingChange<PoolServer>[] = [];
  for (const side of [PRIMARY, BACKUP] as const) {
    const before = side === PRIMARY ? primaries : backups;
    const of = (config: PoolConfig): readonly ServerSpec[] => (side === PRIMARY ? config.primaries : config.backups);
    const [old, young] = [of(before), of(after)];
    const text = (config: PoolConfig): string => (of(config).length === 0 ? "" : JSON.stringify([config.ring, config.hashTag, of(config).map(placeOf)]));
    if (text(before) === text(after)) continue;
    const ring = young.length === 0 ? null : buildRing(after.ring, ringServers(young), after.hashTag);
    // On a circle with equal weights a server that is added takes keys, and nothing moves between the others.
    const grew = before.ring === after.ring && before.hashTag === after.hashTag && FLAVOURS[after.ring].circle &&
      old.every((server) => young.some((each) => placeOf(each) === placeOf(server))) && young.every(({ weight }) => weight === young[0]!.weight);
    changes.push({ side, servers: young, ring, shifts: !grew });
  }
  // New backups hold nothing yet: they are filled before they are needed.
  return backups.backups.length === 0 ? changes.reverse() : changes;
}

function placeOf({ label, weight, name }: ServerSpec): string {
  return JSON.stringify([label, weight, name]);
}

/** What changes, in words; empty when nothing does. */
export function reloadText(before: PoolConfig, after: PoolConfig): string[] {
  const words = [...placementDifferences(placementText(before), placementText(after)), ...listenText(before, after)];
  const plain = (config: PoolConfig): Record<string, unknown> => ({
    connect_timeout: config.connectTimeoutMs, timeout: config.requestTimeoutMs,
    item_size_max: config.itemBytesMax, refill_rate: config.refill.keysPerSecond, refill_bytes: config.refill.bytesPerSecond,
    transition: config.transitionSeconds, slow: config.slowMs, rejoin: config.comeback.rejoin, read: config.region.read, zone: config.region.zone, peers: config.region.peers,
    zones: [...config.primaries, ...config.backups].map(({ label, zone }) => [label, zone]).filter(([, zone]) => zone !== undefined),
  });
  const [old, young] = [plain(before), plain(after)];
  for (const key of Object.keys(young)) if (JSON.stringify(old[key]) !== JSON.stringify(young[key])) words.push(key);
  return words.map((word) => `${after.name}: ${word}`);
}

/** Where its clients come in, and how many. */
function listenText(before: PoolConfig, after: PoolConfig): string[] {
  const [old, young] = [before.listen.map(addressText), after.listen.map(addressText)];
  const more = young.filter((each) => !old.includes(each)), less = old.filter((each) => !young.includes(each));
  return [
    ...(more.length > 0 ? [`listens also on ${more.join(", ")}`] : []),
    ...(less.length > 0 ? [`listens no more on ${less.join(", ")}`] : []),
    ...(before.clientsMax !== after.clientsMax ? [`max_clients ${after.clientsMax} instead of ${before.clientsMax}`] : []),
  ];
}
