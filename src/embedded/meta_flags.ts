// The flags of the meta commands: what they mean, the errors they can make, and what of them an answer repeats.
import type { Engine } from "./engine.ts";
import { decodeBase64, encodeBase64, parseI32, parseU32, parseU64 } from "./numbers.ts";
import type { Item } from "./store.ts";

const BAD_FORMAT = "CLIENT_ERROR bad command line format";
const BAD_TOKEN = "CLIENT_ERROR bad token in command line format";
/** The longest opaque, its O included. */
export const OPAQUE_MAX = 32;

/** One command: its key, decoded if need be, and what its flags say. */
export interface Meta {
  readonly engine: Engine;
  /** The words after the key, as they came. */
  readonly flags: readonly string[];
  key: string;
  binaryKey: boolean;
  quiet: boolean;
  noUpdate: boolean;
  value: boolean;
  stale: boolean;
  emptied: boolean;
  mode: string;
  /** Due times in server seconds; null when the flag is absent. */
  ttl: number | null;
  vivify: number | null;
  recache: number | null;
  clientFlags: number;
  wanted: bigint | null;
  given: bigint;
  hasGiven: boolean;
  delta: bigint;
  initial: bigint;
}

/** Reads the flags from words[start] on; a text is the error to answer. */
export function parseMeta(engine: Engine, words: readonly string[], start: number): Meta | string {
  const meta: Meta = {
    engine, flags: words.slice(2), key: words[1]!, binaryKey: false, quiet: false, noUpdate: false,
    value: false, stale: false, emptied: false, mode: "", ttl: null, vivify: null, recache: null, clientFlags: 0,
    wanted: null, given: 0n, hasGiven: false, delta: 1n, initial: 0n,
  };
  let error: string | null = null;
  let failed = false;
  for (let i = start; i < words.length; i++) {
    const flag = words[i]![0]!;
    if (flag.charCodeAt(0) >= 127) return "CLIENT_ERROR duplicate flag";
    for (let j = start; j < i; j++) if (words[j]![0] === flag) return "CLIENT_ERROR duplicate flag";
    const problem = parseFlag(meta, flag, words[i]!.slice(1), engine.settings.tokens);
    if (problem === "invalid") return "CLIENT_ERROR invalid flag";
    if (problem === null) continue;
    failed = true;
    // A bad F does not name itself: an earlier flag's error stands, or the common one.
    if (problem !== BAD_FORMAT) error = problem;
  }
  return failed ? (error ?? BAD_FORMAT) : meta;
}

/** Takes one flag in; null, an error line, or "invalid" for a flag nobody knows. */
function parseFlag(meta: Meta, flag: string, argument: string, tokens: boolean): string | null {
  switch (flag) {
    case "b": {
      const decoded = decodeBase64(meta.key);
      if (decoded === null) return "CLIENT_ERROR error decoding key";
      meta.key = decoded;
      meta.binaryKey = true;
      return null;
    }
    case "N":
    case "T":
    case "R": {
      const lifetime = parseI32(argument);
      if (lifetime === null) return BAD_TOKEN;
      const due = meta.engine.time.due(lifetime);
      if (flag === "N") meta.vivify = due;
      else if (flag === "T") meta.ttl = due;
      else meta.recache = due;
      return null;
    }
    case "F": {
      const flags = parseU32(argument);
      if (flags === null) return BAD_FORMAT;
      meta.clientFlags = flags;
      return null;
    }
    case "C":
      meta.wanted = parseU64(argument);
      return meta.wanted === null ? BAD_TOKEN : null;
    case "E": {
      if (!tokens) return "invalid";
      const given = parseU64(argument);
      if (given === null) return BAD_TOKEN;
      meta.given = given;
      meta.hasGiven = true;
      return null;
    }
    case "M":
      if (argument.length !== 1) return "CLIENT_ERROR incorrect length for M token";
      meta.mode = argument;
      return null;
    case "J":
    case "D": {
      const number = parseU64(argument);
      if (number === null) return `CLIENT_ERROR invalid numeric ${flag === "J" ? "initial" : "delta"} value`;
      if (flag === "J") meta.initial = number;
      else meta.delta = number;
      return null;
    }
    case "x":
      meta.emptied = true;
      return tokens ? null : "invalid";
    case "v":
      meta.value = true;
      return null;
    case "u":
      meta.noUpdate = true;
      return null;
    case "q":
      meta.quiet = true;
      return null;
    case "I":
      meta.stale = true;
      return null;
    default:
      return "OPLkstcflh".includes(flag) ? null : "invalid";
  }
}

export function tooLongOpaque(meta: Meta): boolean {
  return meta.flags.some((flag) => flag.startsWith("O") && flag.length > OPAQUE_MAX);
}

export function keyFlag(key: string, binary: boolean): string {
  return binary ? ` k${encodeBase64(key)} b` : ` k${key}`;
}

/** O and k, as every answer repeats them, in the order asked. */
export function echo(meta: Meta): string {
  let out = "";
  for (const flag of meta.flags) {
    if (flag[0] === "O") out += " " + flag;
    else if (flag[0] === "k") out += keyFlag(meta.key, meta.binaryKey);
  }
  return out;
}

export function timeLeft(item: Item, now: number): string {
  return item.exptime === 0 ? "-1" : String((item.exptime - now) >>> 0);
}
