// The effective settings of one proxy process, after flags (and later files) were read and checked. Plain data:
// nothing host-specific, nothing computed. Readers live beside this file.
import type { Address } from "../platform/platform.ts";
import type { RingFlavour } from "../ring/flavours.ts";

export { RING_FLAVOURS, RING_NAMES, type RingFlavour, TWEMPROXY_HASHES } from "../ring/flavours.ts";

/** One memcached of a ring, as it was written. */
export interface ServerSpec {
  readonly address: Address;
  /** Ring weight, a positive integer; 1 when not given. */
  readonly weight: number;
  /** Node name for twemproxy rings ("host:port:weight name"), or null. */
  readonly name: string | null;
  /** What people read and ring/ hashes: "10.0.0.1:11211", "[::1]:11211" or the socket path. */
  readonly label: string;
  /** Where it stands, for `read = "nearest"`; not given: nowhere in particular. */
  readonly zone?: string;
}

/** Whose word answers a blind write: both sides decided, the lead alone, or the first that took it. */
export const ACK_MODES = ["both", "lead", "any"] as const;
export type AckMode = (typeof ACK_MODES)[number];

/** When a server that lost its memory is read again: when it is filled, or at once for what it holds already. */
export const REJOIN_MODES = ["wait", "fast"] as const;
export type RejoinMode = (typeof REJOIN_MODES)[number];

/** Which side of a pair is asked first by a get: the primary, or the one in the proxy's own zone. */
export const READ_MODES = ["primary", "nearest"] as const;
export type ReadMode = (typeof READ_MODES)[number];

/** Where this proxy stands, and which others it compares itself with. */
export interface RegionConfig {
  /** "" when not given. */
  readonly zone: string;
  readonly read: ReadMode;
  /** Where clients connect to the same pool of other proxies; this one may be among them. */
  readonly peers: readonly { readonly address: Address; readonly label: string }[];
}

/** One ring of primaries with its ring of backups (none: plain sharding), and where its clients connect. */
export interface PoolConfig {
  readonly name: string;
  /** Where clients connect. */
  readonly listen: readonly Address[];
  /** Permission bits of the unix socket among them. */
  readonly unixMode: number;
  /** Client connections at once; one more is refused with memcached's own line. */
  readonly clientsMax: number;
  readonly ring: RingFlavour;
  /** Two characters that enclose the hashed part of a key, or "" for whole keys. */
  readonly hashTag: string;
  readonly primaries: readonly ServerSpec[];
  readonly backups: readonly ServerSpec[];
  /** Connections kept open per server; all traffic of a key stays on one of them. */
  readonly lanes: number;
  readonly ack: AckMode;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Upper bound of an item that clients may store, bytes; larger ones are swallowed and refused. */
  readonly itemBytesMax: number;
  /** A client's request that takes as long is told of in the log, ms; 0: none is. */
  readonly slowMs: number;
  /** How proxies over the same servers get on with each other. */
  readonly proxies: ProxiesConfig;
  readonly refill: RefillConfig;
  readonly comeback: ComebackConfig;
  /** Gets of one key that wait in one unsent batch are one question to the server. */
  readonly shareGets: boolean;
  readonly region: RegionConfig;
  /** How long a change of rings waits for a server that is needed for it. */
  readonly transitionSeconds: number;
}

/** How fast a server that returns is given what it lacks, at most. */
export interface RefillConfig {
  readonly keysPerSecond: number;
  readonly bytesPerSecond: number;
}

/** What is remembered for servers that are away, and how they come back. */
export interface ComebackConfig {
  readonly rejoin: RejoinMode;
  /** Keys with missed writes that are remembered, of all servers together; beyond it a server is compared in full. */
  readonly missedKeysMax: number;
}

export interface ProxiesConfig {
  /** They tell each other over the servers whom they do not trust. Nothing without backups. */
  readonly board: boolean;
  /** Nothing that another proxy has acknowledged is missed, at the price of waiting after a fault. */
  readonly strict: boolean;
  /** How often all keys are compared, hours; 0: never. */
  readonly scrubHours: number;
  /** Whether writes are looked at afterwards; auto: while another proxy writes too. */
  readonly verify: VerifyMode;
  /** What a server misses is written down on those that took it, for the proxy that comes after us. */
  readonly hints: boolean;
  /** The directory on our own disk where it is written down too; "": nowhere. */
  readonly stateDir: string;
}

export const VERIFY_MODES = ["auto", "on", "off"] as const;
export type VerifyMode = (typeof VERIFY_MODES)[number];

/** All that one process serves. */
export interface ProxyConfig {
  /** At least one; names and addresses differ. */
  readonly pools: readonly PoolConfig[];
}
