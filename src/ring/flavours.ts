// The ring flavours: what each piece of software that calls its placement "ketama" really hashes. One row each; the
// differences are in the text a server's points are hashed from, how many points a weight gives, and the key's hash.

import type { KeyHash } from "./keyhash.ts";

/** twemproxy's hashes, by its own names. */
export const TWEMPROXY_HASHES = [
  "one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh", "murmur", "jenkins",
] as const;
export type TwemproxyHash = (typeof TWEMPROXY_HASHES)[number];
/** Its distributions but `random`, which places a key anew each time that it is asked for. */
export const TWEMPROXY_DISTRIBUTIONS = ["ketama", "modula"] as const;
type TwemproxyFlavour = "twemproxy" | `twemproxy-${Exclude<TwemproxyHash, "fnv1a_64">}` | `twemproxy-modula-${TwemproxyHash}`;

/** What a pool of twemproxy's is called here; its defaults are `twemproxy`. */
export function twemproxyFlavour(hash: TwemproxyHash, distribution: (typeof TWEMPROXY_DISTRIBUTIONS)[number]): TwemproxyFlavour {
  if (distribution === "modula") return `twemproxy-modula-${hash}`;
  return hash === "fnv1a_64" ? "twemproxy" : `twemproxy-${hash}`;
}

/** The names accepted by --ring. */
export type RingFlavour = "libketama" | "libmemcached" | TwemproxyFlavour | "magent" | "magent-modulo" | "spymemcached";

/** One memcached of a ring, as placement sees it. */
export interface RingServer {
  /** As written: "10.0.0.1:11211", "[::1]:11211" or the socket path. */
  readonly label: string;
  /** Host name or address without brackets; empty for a unix socket. */
  readonly host: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** A positive integer. */
  readonly weight: number;
  /** The node name ("host:port:weight name"), or null. */
  readonly name: string | null;
  readonly unixPath: string | null;
}

export interface FlavourTraits {
  readonly keyHash: KeyHash;
  /** Whether a server's place is looked up on a circle of points, or is the hash modulo the number of slots. */
  readonly circle: boolean;
  /**
   * MD5 digests for a server of this weight, each of which gives four points; or its slots. total is the sum of the ring's
   * weights, servers their number, equal whether all weights are the same.
   */
  readonly digests: (weight: number, total: number, servers: number, equal: boolean) => number;
  /** The text of which "text-0", "text-1" … are hashed into a server's points. */
  readonly pointText: (server: RingServer) => string;
  /** Where two servers have the same point: whether the server named last owns it (a map's put), or the first (a stable sort). */
  readonly lastOwnsTie: boolean;
  /** Whether a node name takes part in pointText. */
  readonly names: boolean;
  /** Whether servers may have different weights. */
  readonly weights: boolean;
  /** Servers are taken as they are given, or in the order of their pointText: shorter ones first, then by bytes. */
  readonly order: "given" | "text";
}

const f32 = Math.fround;

/** The port that libmemcached, and twemproxy after it, leave out of the hashed text. */
const DROPPED_PORT = 11211;

// The originals compute in C floats, and a floor makes their rounding visible: each formula rounds where they do.

/** libketama: floorf(pct * 40.0 * n): pct is a float, the product a double. */
function libketamaDigests(weight: number, total: number, servers: number): number {
  return Math.floor(f32(f32(f32(weight) / f32(total)) * 40 * servers));
}

/** libmemcached and twemproxy: floorf((float)(pct * 160 / 4 * n + 0.0000000001)): a float up to the last sum. */
function libmemcachedDigests(weight: number, total: number, servers: number): number {
  return Math.floor(f32(f32(f32(f32(weight) / f32(total)) * 40) * servers) + 0.0000000001);
}

/** magent: floorf(pct * 500 * n), floats throughout. */
function magentDigests(weight: number, total: number, servers: number): number {
  return Math.floor(f32(f32(f32(f32(weight) / f32(total)) * 500) * servers));
}

function hostAndPort(server: RingServer): string {
  return server.port === DROPPED_PORT ? server.host : `${server.host}:${server.port}`;
}

/** libmemcached knows a unix socket as a host with port 0. */
function libmemcachedText(server: RingServer): string {
  return server.unixPath === null ? hostAndPort(server) : `${server.unixPath}:0`;
}

/** twemproxy cuts the text out of its configuration line; with "/path:weight" the cut includes the colon. */
function twemproxyText(server: RingServer): string {
  if (server.name !== null) return server.name;
  return server.unixPath === null ? hostAndPort(server) : `${server.unixPath}:`;
}

/**
 * EVCache: "hostname/address:11211", whatever the port. The node name is the host name, or all of "hostname/address"
 * where the host is not written as an address; without one the address stands for both, as in Amazon's VPC.
 */
function spymemcachedText(server: RingServer): string {
  const name = server.name ?? server.host;
  return name.includes("/") ? `${name}:11211` : `${name}/${server.host}:11211`;
}

const libmemcached: FlavourTraits = {
  keyHash: "md5", circle: true, digests: libmemcachedDigests, pointText: libmemcachedText, lastOwnsTie: false, names: false,
  weights: true, order: "given",
};
const twemproxy: FlavourTraits = { ...libmemcached, pointText: twemproxyText, names: true, order: "text" };
const modula: FlavourTraits = { ...twemproxy, circle: false, digests: (weight) => weight };

export const FLAVOURS: Readonly<Record<RingFlavour, FlavourTraits>> = {
  libketama: { ...libmemcached, digests: libketamaDigests, pointText: (server) => server.label },
  libmemcached,
  ...twemproxyFlavours(),
  magent: { ...libmemcached, digests: magentDigests, pointText: (server) => server.unixPath ?? `${server.host}-${server.port}` },
  "magent-modulo": { ...libmemcached, keyHash: "djb2", circle: false, digests: () => 1, pointText: (server) => server.label, weights: false },
  spymemcached: {
    ...libmemcached,
    // The weighted locator has libmemcached's formula; the plain one has 40 digests whatever the number of servers.
    digests: (weight, total, servers, equal) => (equal ? 40 : libmemcachedDigests(weight, total, servers)),
    pointText: spymemcachedText, lastOwnsTie: true, names: true,
  },
};

export const RING_FLAVOURS = Object.keys(FLAVOURS) as readonly RingFlavour[];
/** The same for people, twemproxy's many in two words. */
export const RING_NAMES = [
  "libketama", "libmemcached", "twemproxy", "twemproxy-HASH", "twemproxy-modula-HASH", "magent", "magent-modulo", "spymemcached",
] as const;

function twemproxyFlavours(): Record<TwemproxyFlavour, FlavourTraits> {
  const rows = TWEMPROXY_DISTRIBUTIONS.flatMap((distribution) => TWEMPROXY_HASHES.map((keyHash) =>
    [twemproxyFlavour(keyHash, distribution), { ...(distribution === "modula" ? modula : twemproxy), keyHash }] as const));
  return Object.fromEntries(rows) as Record<TwemproxyFlavour, FlavourTraits>;
}

/** Why these servers cannot form a ring of this flavour, as one sentence without a full stop, or null when they can. */
export function ringProblem(flavour: RingFlavour, servers: readonly RingServer[]): string | null {
  const traits = FLAVOURS[flavour];
  if (servers.length === 0) return "a ring needs at least one server";
  const texts = new Map<string, RingServer>();
  for (const server of servers) {
    const { label, name, weight } = server;
    if (!Number.isInteger(weight) || weight < 1) return `${label}: weight ${weight} is not a positive integer`;
    if (name !== null && !traits.names) return `${label}: a ${flavour} ring does not use node names, but one is given: ${name}`;
    if (flavour === "spymemcached" && !(name ?? server.host).includes("/") && !isAddress(server.host)) {
      return `${label}: a spymemcached ring hashes host name and address, so write the address as host and the host name as `
        + `node name, or "name/address" as node name`;
    }
    if (!traits.weights && weight !== servers[0]!.weight) return `${label}: a ${flavour} ring has no weights, but they differ`;
    const text = traits.pointText(server);
    const other = texts.get(text);
    if (other !== undefined) return `${other.label} and ${label} would have the same place on a ${flavour} ring: both hash as "${text}"`;
    texts.set(text, server);
  }
  return null;
}

/** IPv4 in dots, or anything with a colon: a host name has neither four numbers nor a colon. */
function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}
