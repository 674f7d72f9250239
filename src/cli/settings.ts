// A parsed command line → settings: what the name we were called by and the option table's defaults make of it.
import {
  ACK_MODES, type PoolConfig, type ProxyConfig, REJOIN_MODES, RING_FLAVOURS, type RingFlavour, VERIFY_MODES,
} from "../config/config.ts";
import { type PoolFlags, readPool } from "../config/flags.ts";
import { type Checked, type Given, type Problem, type Read, wrong } from "../config/problem.ts";
import type { Flags } from "./parse.ts";

export interface ServeSettings {
  readonly config: ProxyConfig;
  readonly background: boolean;
  readonly user: Given | null;
  readonly group: Given | null;
  readonly pidFile: Given | null;
  readonly logFile: Given | null;
  readonly verbosity: number;
}

export function readServe(flags: Flags, called: "tandem" | "magent"): Read<ServeSettings> {
  const problems: Problem[] = [];
  const pool = readPool(poolFlags(flags, called), problems);
  if (flags.has("daemon") && flags.has("foreground")) {
    problems.push(wrong(flags.one("daemon"), `contradicts ${flags.one("foreground").flag}`, "one of them").problem);
  }
  const group = optional(flags, "group");
  if (group !== null && !flags.has("user")) problems.push(wrong(group, "given without -u", "-u user -g group").problem);
  // magent goes to the background by itself, and stays in front for -D and for -v.
  const asMagent = called === "magent" && !flags.has("foreground") && !flags.has("verbose");
  const background = flags.has("daemon") || asMagent;
  const logFile = optional(flags, "log-file");
  if (logFile !== null && !background && !flags.has("daemon-child")) {
    problems.push(wrong(logFile, "given without -d", "-d --log-file path; in front the log goes to stderr").problem);
  }
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    value: {
      config: { pools: [pool] }, background, user: optional(flags, "user"), group, pidFile: optional(flags, "pid-file"),
      logFile, verbosity: verbosityOf(flags),
    },
  };
}

/** The pool alone, for commands that do not serve. */
export function readPoolOf(flags: Flags, called: "tandem" | "magent"): Checked<PoolConfig> {
  const problems: Problem[] = [];
  const pool = readPool(poolFlags(flags, called), problems);
  const problem = problems[0];
  return problem === undefined ? { ok: true, value: pool } : { ok: false, problem };
}

export function poolFlags(flags: Flags, called: "tandem" | "magent"): PoolFlags {
  return {
    name: "main",
    place: "-s",
    servers: flags.all("server"),
    backups: flags.all("backup"),
    ring: ringOf(flags, called),
    hashTag: flags.one("hash-tag"),
    lanes: flags.number("lanes"),
    ack: ACK_MODES.find((mode) => mode === flags.one("ack").text) ?? "both",
    connectTimeoutMs: flags.number("connect-timeout"),
    requestTimeoutMs: flags.number("timeout"),
    itemBytesMax: flags.number("item-size-max"),
    refill: { keysPerSecond: flags.number("refill-rate"), bytesPerSecond: flags.number("refill-bytes") },
    proxies: {
      board: flags.one("board").text === "on",
      strict: flags.has("strict"),
      scrubHours: flags.number("scrub"),
      verify: VERIFY_MODES.find((mode) => mode === flags.one("verify").text) ?? "auto",
    },
    strictGiven: optional(flags, "strict"),
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

export function verbosityOf(flags: Flags): number {
  return Math.min(2, flags.all("verbose").length);
}

function ringOf(flags: Flags, called: "tandem" | "magent"): RingFlavour {
  if (called === "magent" && !flags.has("ring")) return flags.has("ketama") ? "magent" : "magent-modulo";
  const name = flags.one("ring").text;
  const ring = RING_FLAVOURS.find((flavour) => flavour === name);
  if (ring === undefined) throw new Error(`unchecked ring ${name}`);
  return ring;
}

function optional(flags: Flags, long: string): Given | null {
  return flags.has(long) ? flags.one(long) : null;
}
