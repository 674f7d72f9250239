// Flags → the effective settings of a pool and of a proxy. What single values may be was checked by the option table;
// here is what they mean together.
import type { Address } from "../platform/platform.ts";
import { FLAVOURS, RING_FLAVOURS, ringProblem } from "../ring/flavours.ts";
import { ringServers } from "../ring/ring.ts";
import type {
  AckMode, ComebackConfig, PoolConfig, ProxiesConfig, ProxyConfig, RefillConfig, RingFlavour, ServerSpec,
} from "./config.ts";
import { type Checked, type Given, type Problem, wrong } from "./problem.ts";
import { parseListen, parseServer, parseSocketPath, sameServerKey } from "./servers.ts";

/** What a pool's flags say; numbers are checked. */
export interface PoolFlags {
  readonly servers: readonly Given[];
  readonly backups: readonly Given[];
  readonly ring: RingFlavour;
  readonly hashTag: Given;
  readonly lanes: number;
  readonly ack: AckMode;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly itemBytesMax: number;
  readonly proxies: ProxiesConfig;
  readonly refill: RefillConfig;
  readonly comeback: ComebackConfig;
}

export interface ProxyFlags extends PoolFlags {
  /** At least one. */
  readonly listen: readonly Given[];
  readonly port: number;
  /** How -p was spelled, with its value. */
  readonly portGiven: Given;
  readonly socket: Given | null;
  readonly unixMode: number;
  readonly clientsMax: number;
}

export function readPool(flags: PoolFlags): Checked<PoolConfig> {
  if (flags.servers.length === 0) {
    return wrong({ flag: "-s", text: "" }, "no server given", "at least one -s host:port");
  }
  const primaries = readServers(flags.servers, flags.ring);
  if (!primaries.ok) return primaries;
  const backups = readServers(flags.backups, flags.ring);
  if (!backups.ok) return backups;
  // A server that backs itself up would be written twice and lost once.
  const keys = new Set(primaries.value.map(sameServerKey));
  for (const [i, backup] of backups.value.entries()) {
    if (keys.has(sameServerKey(backup))) {
      return wrong(flags.backups[i]!, "is one of the -s servers too", "servers that hold no primary copy");
    }
  }
  if (flags.proxies.strict && (!flags.proxies.board || flags.proxies.verify === "off")) {
    return wrong({ flag: "--strict", text: "" }, `needs ${flags.proxies.board ? "--verify" : "the board"}`, "--strict with --board on and --verify auto or on");
  }
  const tag = flags.hashTag.text;
  if (tag !== "" && !/^[\x21-\x7e]{2}$/.test(tag)) {
    return wrong(flags.hashTag, "is no pair of characters", "two visible ASCII characters, for example {}");
  }
  return {
    ok: true,
    value: {
      name: "main", ring: flags.ring, hashTag: tag, primaries: primaries.value, backups: backups.value,
      lanes: flags.lanes, ack: flags.ack, connectTimeoutMs: flags.connectTimeoutMs,
      requestTimeoutMs: flags.requestTimeoutMs, itemBytesMax: flags.itemBytesMax, proxies: flags.proxies, refill: flags.refill,
      comeback: flags.comeback,
    },
  };
}

export function readProxy(flags: ProxyFlags): Checked<ProxyConfig> {
  const pool = readPool(flags);
  if (!pool.ok) return pool;
  const listen: Address[] = [];
  if (flags.port !== 0) {
    const seen = new Set<string>();
    for (const given of flags.listen) {
      const address = parseListen(given, flags.port);
      if (!address.ok) return address;
      if (seen.has(given.text.toLowerCase())) return wrong(given, "given twice", "each address once");
      seen.add(given.text.toLowerCase());
      listen.push(address.value);
    }
  }
  if (flags.socket !== null) {
    const address = parseSocketPath(flags.socket);
    if (!address.ok) return address;
    listen.push(address.value);
  }
  if (listen.length === 0) {
    return wrong(flags.portGiven, "no TCP and no unix socket to listen on", "a port of 1 to 65535, or -f path");
  }
  return { ok: true, value: { listen, unixMode: flags.unixMode, clientsMax: flags.clientsMax, pool: pool.value } };
}

/** For listeners, files, the event loop and what the runtime opens: the platforms keep as many from sockets. */
const FDS_OWN = 64;

/** File descriptors that a proxy needs beside its clients: lanes, one control connection a server, and its own. */
export function reservedFds(config: ProxyConfig): number {
  const servers = config.pool.primaries.length + config.pool.backups.length;
  return servers * (config.pool.lanes + 1) + FDS_OWN;
}

/** Whether the clients that given asks for fit under limit file descriptors; 0 is an unknown limit. */
export function checkFdLimit(config: ProxyConfig, limit: number, given: Given): Problem | null {
  const most = limit - reservedFds(config);
  if (limit === 0 || config.clientsMax <= most) return null;
  const allowed = most > 0
    ? `1 to ${most}, or a higher limit (ulimit -n)`
    : `a limit above ${reservedFds(config)} (ulimit -n)`;
  return { flag: given.flag, given: given.text, fault: `is above the limit of ${limit} file descriptors`, allowed };
}

function readServers(given: readonly Given[], ring: RingFlavour): Checked<ServerSpec[]> {
  const traits = FLAVOURS[ring];
  const servers: ServerSpec[] = [];
  const seen = new Set<string>();
  const names = new Set<string>();
  for (const each of given) {
    const parsed = parseServer(each);
    if (!parsed.ok) return parsed;
    const server = parsed.value;
    const key = sameServerKey(server);
    if (seen.has(key)) return wrong(each, "given twice", "each server once in a ring");
    seen.add(key);
    if (server.weight !== 1 && !traits.circle) {
      return wrong(each, `has a weight, which --ring ${ring} does not know`, "host:port");
    }
    if (server.name !== null) {
      if (!traits.names) {
        const named = RING_FLAVOURS.filter((flavour) => FLAVOURS[flavour].names).join(", ");
        return wrong(each, `has a name, which --ring ${ring} does not know`, `host:port:weight, or --ring ${named}`);
      }
      if (names.has(server.name)) return wrong(each, "has the name of another server", "each name once in a ring");
      names.add(server.name);
    }
    servers.push(server);
  }
  // What only the ring knows: it names the last server that it cannot place.
  const problem = servers.length === 0 ? null : ringProblem(ring, ringServers(servers));
  if (problem !== null) {
    const at = servers.findLastIndex((server) => problem.includes(server.label));
    return wrong(given[at] ?? given[0]!, problem, `servers that --ring ${ring} can tell apart`);
  }
  return { ok: true, value: servers };
}
