// A pool's settings as the pool itself is given them.
import type { PoolConfig } from "../config/config.ts";
import { fingerprint, placementText, ringsText } from "../config/fingerprint.ts";
import type { PoolOptions, RingsKeeper } from "../replication/pool_options.ts";
import { buildRing, ringServers } from "../ring/ring.ts";

/** keeper: is told what becomes of rings that change. */
export function poolOptions(config: PoolConfig, keeper: RingsKeeper | null): PoolOptions {
  const placement = placementText(config);
  return {
    name: config.name,
    primaries: config.primaries,
    backups: config.backups,
    primaryRing: buildRing(config.ring, ringServers(config.primaries), config.hashTag),
    backupRing: config.backups.length === 0 ? null : buildRing(config.ring, ringServers(config.backups), config.hashTag),
    lanes: config.lanes,
    ack: config.ack,
    connectTimeoutMs: config.connectTimeoutMs,
    requestTimeoutMs: config.requestTimeoutMs,
    itemBytesMax: config.itemBytesMax,
    slowMs: config.slowMs,
    proxies: config.proxies,
    refill: config.refill,
    comeback: config.comeback,
    shareGets: config.shareGets,
    siblings: null,
    keeper,
    transitionMs: config.transitionSeconds * 1000,
    placement, fingerprint: fingerprint(placement), rings: fingerprint(ringsText(placement)),
    near: config.region.read === "nearest" ? config.region.zone : "",
  };
}
