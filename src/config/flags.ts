// What was said of a pool, by flags or a file → its effective settings. What single values may be was checked by the
// option table; here is what they mean together. All that is wrong is told, not the first thing only.
import type { Address } from "../platform/platform.ts";
import { FLAVOURS, ringProblem } from "../ring/flavours.ts";
import { ringServers } from "../ring/ring.ts";
import type {
  AckMode, ComebackConfig, PoolConfig, ProxiesConfig, ProxyConfig, ReadMode, RefillConfig, RegionConfig, RingFlavour,
  ServerSpec,
} from "./config.ts";
import { type Checked, type Given, type Problem, wrong } from "./problem.ts";
import { addressText, parseListen, parseServer, parseSocketPath, sameServerKey } from "./servers.ts";

/** What is said of one pool; numbers are checked. */
export interface PoolFlags {
  readonly name: string;
  /** Where the pool as a whole stands, for what has no place of its own: "-s", "tandem.toml:12: pools.main". */
  readonly place: string;
  readonly servers: readonly Given[];
  readonly backups: readonly Given[];
  readonly ring: RingFlavour;
  readonly hashTag: Given;
  readonly lanes: number;
  readonly ack: AckMode;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly itemBytesMax: number;
  readonly slowMs: number;
  readonly proxies: ProxiesConfig;
  /** How --strict was spelled, "" when it was not. */
  readonly strictGiven: Given | null;
  readonly stateDirGiven: Given | null;
  readonly refill: RefillConfig;
  readonly comeback: ComebackConfig;
  readonly shareGets: boolean;
  readonly zone: Given;
  readonly read: ReadMode;
  readonly peers: readonly Given[];
  readonly transitionSeconds: number;
  /** At least one. */
  readonly listen: readonly Given[];
  readonly port: number;
  /** How -p was spelled, with its value. */
  readonly portGiven: Given;
  readonly socket: Given | null;
  readonly unixMode: number;
  readonly clientsMax: number;
}

/** Every problem of one pool, and what it says when there is none. */
export function readPool(flags: PoolFlags, problems: Problem[]): PoolConfig {
  const before = problems.length;
  const take = <T>(checked: Checked<T>): T | null => {
    if (checked.ok) return checked.value;
    problems.push(checked.problem);
    return null;
  };
  if (flags.servers.length === 0) {
    problems.push({ flag: flags.place, given: "", fault: "no server given", allowed: SERVER_NEEDED[flags.place] ?? 'servers = ["host:port", …]' });
  }
  const primaries = readServers(flags.servers, flags.ring, problems);
  const backups = readServers(flags.backups, flags.ring, problems);
  // A server that backs itself up would be written twice and lost once.
  const keys = new Set(primaries.map(({ spec }) => sameServerKey(spec)));
  for (const { spec, given } of backups) {
    if (keys.has(sameServerKey(spec))) take(wrong(given, "is one of the primaries too", "servers that hold no primary copy"));
  }
  if (flags.proxies.strict && (!flags.proxies.board || flags.proxies.verify === "off")) {
    take(wrong({ flag: flags.strictGiven?.flag ?? "--strict", text: "" }, `needs ${flags.proxies.board ? "--verify" : "the board"}`, "--strict with --board on and --verify auto or on"));
  }
  if (flags.stateDirGiven !== null && !(flags.proxies.board && flags.proxies.hints)) {
    take(wrong(flags.stateDirGiven, `needs ${flags.proxies.board ? "hints" : "the board"}`, "--state-dir with --board on and --hints on"));
  }
  const tag = flags.hashTag.text;
  if (tag !== "" && !/^[\x21-\x7e]{2}$/.test(tag)) {
    take(wrong(flags.hashTag, "is no pair of characters", "two visible ASCII characters, for example {}"));
  }
  const listen = readListen(flags, problems);
  const region = readRegion(flags, problems);
  // What only the ring knows, and only of servers that are right by themselves.
  if (problems.length === before) for (const servers of [primaries, backups]) ringServersProblem(servers, flags.ring, problems);
  return {
    name: flags.name, listen, unixMode: flags.unixMode, clientsMax: flags.clientsMax, ring: flags.ring, hashTag: tag,
    primaries: primaries.map(({ spec }) => spec), backups: backups.map(({ spec }) => spec),
    lanes: flags.lanes, ack: flags.ack, connectTimeoutMs: flags.connectTimeoutMs,
    requestTimeoutMs: flags.requestTimeoutMs, itemBytesMax: flags.itemBytesMax, slowMs: flags.slowMs, proxies: flags.proxies, refill: flags.refill,
    comeback: flags.comeback, shareGets: flags.shareGets, region, transitionSeconds: flags.transitionSeconds,
  };
}

/** What a command line is to say when it names no server. */
const SERVER_NEEDED: Readonly<Record<string, string>> = { "-s": "at least one -s host:port, or -c file" };

function readListen(flags: PoolFlags, problems: Problem[]): Address[] {
  const listen: Address[] = [];
  const seen = new Set<string>();
  const take = (address: Checked<Address>): void => {
    if (address.ok) listen.push(address.value);
    else problems.push(address.problem);
  };
  for (const given of flags.listen) {
    const own = parseListen(given, flags.port);
    // Port 0 is for those that take theirs from -p: none of them listens.
    if (own === null) continue;
    const key = own.ok ? addressText(own.value).toLowerCase() : "";
    if (key !== "" && seen.has(key)) {
      problems.push(wrong(given, "given twice", "each address once").problem);
      continue;
    }
    seen.add(key);
    take(own);
  }
  if (flags.socket !== null) take(parseSocketPath(flags.socket));
  if (listen.length === 0 && problems.length === 0) {
    problems.push(wrong(flags.portGiven, "no TCP and no unix socket to listen on", "a port of 1 to 65535, or -f path").problem);
  }
  return listen;
}

function readRegion(flags: PoolFlags, problems: Problem[]): RegionConfig {
  const zone = flags.zone.text;
  const say = (given: Given, fault: string, allowed: string): void => void problems.push(wrong(given, fault, allowed).problem);
  for (const given of [flags.zone, ...[...flags.servers, ...flags.backups].map(({ flag, zone: text = "" }) => ({ flag: `${flag}.zone`, text }))]) {
    if (!ZONE.test(given.text)) say(given, "is no zone", "up to 64 letters, digits, -, _ and .");
  }
  if (flags.read === "nearest" && flags.proxies.strict) {
    say(flags.strictGiven ?? { flag: "--strict", text: "" }, "contradicts read nearest: strict reads are the lead's", "one of them");
  }
  const peers: { address: Address; label: string }[] = [];
  for (const given of flags.peers) {
    const peer = parseServer(given);
    if (!peer.ok) problems.push(peer.problem);
    else if (peer.value.weight !== 1 || peer.value.name !== null) say(given, "is more than an address", "host:port or /socket");
    else peers.push({ address: peer.value.address, label: peer.value.label });
  }
  return { zone, read: flags.read, peers };
}

const ZONE = /^[A-Za-z0-9_.-]{0,64}$/;

/** What pools must not share: names are the reader's trade, addresses are looked at here. */
export function checkPools(pools: readonly { readonly config: PoolConfig; readonly place: string }[], problems: Problem[]): void {
  const owners = new Map<string, string>();
  for (const { config, place } of pools) {
    for (const address of config.listen) {
      const text = addressText(address);
      const owner = owners.get(text);
      if (owner !== undefined && owner !== config.name) {
        problems.push({ flag: place, given: text, fault: `is where pool ${owner} listens`, allowed: "an address of its own: listen, port or socket" });
      }
      owners.set(text, config.name);
    }
  }
}

/** For listeners, files, the event loop and what the runtime opens: the platforms keep as many from sockets. */
const FDS_OWN = 64;

/** File descriptors that a proxy needs beside its clients: lanes, one control connection a server, and its own. */
export function reservedFds(config: ProxyConfig): number {
  const servers = config.pools.reduce((sum, { primaries, backups, lanes }) => sum + (primaries.length + backups.length) * (lanes + 1), 0);
  return servers + FDS_OWN;
}

/** Whether the clients that given asks for fit under each worker's limit of file descriptors; 0 is an unknown limit. */
export function checkFdLimit(config: ProxyConfig, limit: number, given: Given, workers = 1): Problem | null {
  const most = (limit - reservedFds(config)) * workers;
  const clients = config.pools.reduce((sum, { clientsMax }) => sum + clientsMax, 0);
  if (limit === 0 || clients <= most) return null;
  const allowed = most > 0
    ? `1 to ${most}${config.pools.length > 1 ? " for all pools together" : ""}, or a higher limit (ulimit -n)`
    : `a limit above ${reservedFds(config)} (ulimit -n)`;
  return { flag: given.flag, given: String(clients), fault: `is above the limit of ${limit} file descriptors${workers > 1 ? ` of each of ${workers} workers` : ""}`, allowed };
}

interface ReadServer {
  readonly spec: ServerSpec;
  readonly given: Given;
}

function readServers(given: readonly Given[], ring: RingFlavour, problems: Problem[]): ReadServer[] {
  const traits = FLAVOURS[ring];
  const servers: ReadServer[] = [];
  const seen = new Set<string>();
  const names = new Set<string>();
  for (const each of given) {
    const parsed = parseServer(each);
    if (!parsed.ok) {
      problems.push(parsed.problem);
      continue;
    }
    const server = parsed.value;
    const say = (fault: string, allowed: string): void => void problems.push(wrong(each, fault, allowed).problem);
    const key = sameServerKey(server);
    if (seen.has(key)) say("given twice", "each server once in a ring");
    seen.add(key);
    if (server.weight !== 1 && !traits.weights) say(`has a weight, which --ring ${ring} does not know`, "host:port");
    if (server.name !== null) {
      if (!traits.names) {
        say(`has a name, which --ring ${ring} does not know`, "host:port:weight, or a --ring of twemproxy's or spymemcached's");
      } else if (names.has(server.name)) say("has the name of another server", "each name once in a ring");
      names.add(server.name);
    }
    servers.push({ spec: server, given: each });
  }
  return servers;
}

/** A ring names the last server that it cannot place. */
function ringServersProblem(servers: readonly ReadServer[], ring: RingFlavour, problems: Problem[]): void {
  const problem = servers.length === 0 ? null : ringProblem(ring, ringServers(servers.map(({ spec }) => spec)));
  if (problem === null) return;
  const at = servers.findLast(({ spec }) => problem.includes(spec.label)) ?? servers[0]!;
  problems.push(wrong(at.given, problem, `servers that --ring ${ring} can tell apart`).problem);
}
