// Layers of settings → what a process runs with: what the name we were called by and the table's defaults make of them.
import {
  ACK_MODES, type PoolConfig, type ProxyConfig, READ_MODES, REJOIN_MODES, RING_FLAVOURS, type RingFlavour, VERIFY_MODES,
} from "../config/config.ts";
import { type AdminConfig, readAdmin } from "../config/admin.ts";
import { checkPools, type PoolFlags, readPool } from "../config/flags.ts";
import { type Checked, type Given, inOrder, type Problem, type Read, wrong } from "../config/problem.ts";
import type { Host } from "../platform/platform.ts";
import { type Layers, type PoolLayers, readLayers } from "./layers.ts";
import { readRotation, type Rotation } from "./log_file.ts";
import { LOG_FORMATS, type LogFormat } from "./options.ts";
import type { Flags } from "./parse.ts";
import { SYSLOG } from "./syslog.ts";

export interface ServeSettings {
  readonly config: ProxyConfig;
  readonly background: boolean;
  readonly user: Given | null;
  readonly group: Given | null;
  readonly pidFile: Given | null;
  readonly logFile: Given | null;
  readonly rotation: Rotation | null;
  readonly verbosity: number;
  readonly logFormat: LogFormat;
  /** How the number of clients was said. */
  readonly clients: Given;
  /** What the file says and tandem does in another way. */
  readonly notes: readonly Problem[];
  /** Processes that serve; 0: as many as there are cores to use. */
  readonly workers: Given & { readonly count: number };
  /** How long clients that have asked may wait for their answers at the end, ms. */
  readonly drainMs: number;
  /** Null: no admin interface. */
  readonly admin: AdminConfig | null;
}

export type CalledAs = "tandem" | "magent";

export function readServe(host: Host, line: Flags, called: CalledAs): Read<ServeSettings> {
  return settle(readLayers(host, line), called);
}

/** The settings that the layers make, or all that is wrong with them. */
export function settle(layers: Layers, called: CalledAs): Read<ServeSettings> {
  const flags = layers.process;
  const problems: Problem[] = [...layers.problems];
  const pools = layers.pools.flatMap((layer) => {
    problems.push(...layer.problems);
    // Its servers may stand where the file could not be read.
    if (layers.partial && !layer.flags.has("server")) return [];
    const place = ["listen", "socket", "port"].map((long) => layer.flags.place(long)).find((each) => each !== "") ?? layer.place;
    return [{ config: readPool(poolFlags(layer, called), problems), place }];
  });
  checkPools(pools, problems);
  if (flags.has("daemon") && flags.has("foreground")) {
    // A flag goes before a file.
    if (flags.one("daemon").flag.startsWith("-")) problems.push(wrong(flags.one("daemon"), `contradicts ${flags.one("foreground").flag}`, "one of them").problem);
  }
  const admin = adminOf(flags, problems);
  const group = optional(flags, "group");
  if (group !== null && !flags.has("user")) problems.push(wrong(group, "given without -u", "-u user -g group").problem);
  // magent goes to the background by itself, and stays in front for -D and for -v.
  const saysFront = flags.has("foreground") || flags.has("verbose") || (flags.place("daemon") !== "" && !flags.has("daemon"));
  const asMagent = called === "magent" && !saysFront;
  const background = (flags.has("daemon") && !flags.has("foreground")) || asMagent;
  const logFile = optional(flags, "log-file");
  const rotate = optional(flags, "log-rotate");
  const rotation = rotate === null ? null : readRotation(rotate, problems);
  if (rotate !== null && (logFile === null || logFile.text === SYSLOG)) problems.push(wrong(rotate, "given without a file", "--log-file path --log-rotate SIZE,COUNT").problem);
  const workers = flags.one("workers");
  const count = readWorkers(workers, problems);
  if (count !== 1 && pools.some(({ config }) => config.backups.length > 0 && !config.proxies.board)) {
    problems.push(wrong(workers, "needs the board", "--workers 1, or --board on").problem);
  }
  if (problems.length > 0) return { ok: false, problems: inOrder(problems) };
  return {
    ok: true,
    value: {
      config: { pools: pools.map(({ config }) => config) }, background, user: optional(flags, "user"), group, pidFile: optional(flags, "pid-file"),
      logFile, rotation, verbosity: verbosityOf(flags), logFormat: logFormatOf(flags), admin, clients: layers.pools[0]!.flags.one("max-clients"),
      notes: [...layers.notes, ...layers.pools.flatMap((layer) => layer.notes)],
      workers: { ...workers, count }, drainMs: flags.number("drain"),
    },
  };
}

/** One pool alone, for commands that do not serve. */
export function readPoolOf(host: Host, line: Flags, called: CalledAs): Checked<PoolConfig> {
  const layers = readLayers(host, line);
  const problems: Problem[] = [...layers.problems, ...layers.pools.flatMap((layer) => layer.problems)];
  const [only, ...more] = layers.pools;
  if (more.length > 0) {
    const names = layers.pools.map(({ name }) => `--pool ${name}`).join(", ");
    problems.push(wrong(line.one("config"), `has ${layers.pools.length} pools`, `one of them: ${names}`).problem);
  }
  const pool = only === undefined ? null : readPool(poolFlags(only, called), problems);
  const problem = problems[0];
  if (problem !== undefined) return { ok: false, problem };
  if (pool === null) throw new Error("no pool and no problem");
  return { ok: true, value: pool };
}

export function poolFlags({ flags, name, place }: Pick<PoolLayers, "flags" | "name" | "place">, called: CalledAs): PoolFlags {
  return {
    name,
    place,
    servers: flags.all("server"),
    backups: flags.all("backup"),
    ring: ringOf(flags, called),
    hashTag: flags.one("hash-tag"),
    lanes: flags.number("lanes"),
    ack: ACK_MODES.find((mode) => mode === flags.one("ack").text) ?? "both",
    connectTimeoutMs: flags.number("connect-timeout"),
    requestTimeoutMs: flags.number("timeout"),
    itemBytesMax: flags.number("item-size-max"),
    slowMs: flags.number("slow"),
    refill: { keysPerSecond: flags.number("refill-rate"), bytesPerSecond: flags.number("refill-bytes") },
    proxies: {
      board: flags.one("board").text === "on",
      strict: flags.has("strict"),
      scrubHours: flags.number("scrub"),
      hints: flags.one("hints").text === "on",
      stateDir: flags.has("state-dir") ? flags.one("state-dir").text : "",
      verify: VERIFY_MODES.find((mode) => mode === flags.one("verify").text) ?? "auto",
    },
    zone: flags.one("zone"),
    read: READ_MODES.find((mode) => mode === flags.one("read").text) ?? "primary",
    peers: flags.all("peer"),
    transitionSeconds: flags.number("transition"),
    strictGiven: optional(flags, "strict"),
    stateDirGiven: optional(flags, "state-dir"),
    shareGets: flags.one("share-gets").text === "on",
    comeback: {
      rejoin: REJOIN_MODES.find((mode) => mode === flags.one("rejoin").text) ?? "wait",
      missedKeysMax: flags.number("missed-keys-max"),
    },
    listen: flags.has("listen") ? flags.all("listen") : [flags.one("listen")],
    port: flags.number("port"),
    portGiven: flags.one("port"),
    socket: optional(flags, "socket"),
    unixMode: flags.number("unix-mode"),
    clientsMax: flags.number("max-clients"),
  };
}

const WORKERS_MAX = 64;

function readWorkers(given: Given, problems: Problem[]): number {
  if (given.text === "auto") return 0;
  const count = /^[1-9]\d?$/.test(given.text) ? Number(given.text) : 0;
  if (count > 0 && count <= WORKERS_MAX) return count;
  problems.push(wrong(given, "is no number of processes", `1 to ${WORKERS_MAX}, or auto`).problem);
  return 1;
}

/** What is wrong with it is added to the problems. */
export function adminOf(flags: Flags, problems: Problem[]): AdminConfig | null {
  return readAdmin(flags.one("admin"), flags.has("admin"), optional(flags, "admin-token-file"), problems);
}

export function logFormatOf(flags: Flags): LogFormat {
  return LOG_FORMATS.find((format) => format === flags.one("log-format").text) ?? "text";
}

export function verbosityOf(flags: Flags): number {
  return Math.min(2, flags.all("verbose").length);
}

export function ringOf(flags: Flags, called: CalledAs): RingFlavour {
  if (called === "magent" && !flags.has("ring")) return flags.has("ketama") ? "magent" : "magent-modulo";
  const name = flags.one("ring").text;
  const ring = RING_FLAVOURS.find((flavour) => flavour === name);
  if (ring === undefined) throw new Error(`unchecked ring ${name}`);
  return ring;
}

function optional(flags: Flags, long: string): Given | null {
  return flags.has(long) ? flags.one(long) : null;
}
