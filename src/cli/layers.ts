// The layers of settings, laid over each other: the table's defaults, the top of a file, one pool of it, the command
// line. What comes out is, for the process and for each pool, what a command line of its own would have said, each
// value with the place where it was said.
import { type ConfigFile, type FileEntry, type FilePool, fileKind, type FileValue, givenAt, placeOf } from "../config/file.ts";
import { readMagentIni } from "../config/magent_ini.ts";
import { readNutcracker } from "../config/nutcracker.ts";
import type { Given, Problem } from "../config/problem.ts";
import { readToml } from "../config/toml.ts";
import type { Host } from "../platform/platform.ts";
import { OPTIONS, type Option, optionAllowed } from "./options.ts";
import { Flags, valueFault } from "./parse.ts";

export interface PoolLayers {
  readonly name: string;
  /** Where problems of the whole pool stand. */
  readonly place: string;
  readonly flags: Flags;
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
}

export interface Layers {
  readonly process: Flags;
  readonly pools: readonly PoolLayers[];
  /** What is wrong with the file as a whole, or with the process's settings. */
  readonly problems: readonly Problem[];
  /** What the file says and tandem does in another way. */
  readonly notes: readonly Problem[];
  /** Some of the file could not be read. */
  readonly partial: boolean;
}

/** Settings that only one pool can have. */
const ONE_POOL: readonly string[] = ["server", "backup", "listen", "port", "socket"];

const READERS = { toml: readToml, magent: readMagentIni, nutcracker: readNutcracker } as const;

/** Lays the command line over the environment and over the file that it names, if any. */
export function readLayers(host: Host, words: Flags): Layers {
  const problems: Problem[] = [];
  const line = overEnvironment(host, words, problems);
  const layers = readFileLayers(host, line);
  return { ...layers, problems: [...problems, ...layers.problems] };
}

/** The same command line with what it leaves to variables of the environment. */
function overEnvironment(host: Host, line: Flags, problems: Problem[]): Flags {
  const given = new Map(line.given);
  for (const option of OPTIONS) {
    const text = option.env === "" || line.has(option.long) ? undefined : host.env(option.env);
    if (text === undefined || text === "") continue;
    const fault = valueFault(option, text);
    if (fault !== "") problems.push({ flag: option.env, given: text, fault, allowed: optionAllowed(option) });
    else given.set(option.long, [{ flag: option.env, text }]);
  }
  return new Flags(given);
}

function readFileLayers(host: Host, line: Flags): Layers {
  if (!line.has("config")) {
    const problems: Problem[] = line.has("pool") ? [{ ...asProblem(line.one("pool")), fault: "given without -c", allowed: "-c FILE --pool NAME" }] : [];
    return { process: line, pools: [{ name: "main", place: "-s", flags: line, problems: [], notes: [] }], problems, notes: [], partial: false };
  }
  const given = line.one("config");
  const read = host.readText(given.text);
  if (!read.ok) {
    const problem = { ...asProblem(given), fault: `cannot be read (${read.reason})`, allowed: "a file of settings" };
    return { process: line, pools: [], problems: [problem], notes: [], partial: false };
  }
  // Some editors begin a file with a mark of its encoding, which nobody sees.
  const text = read.text.replace(/^\ufeff/, "");
  return layFile(READERS[fileKind(given.text, text)](given.text, text), line);
}

/** The same for a file that was read. */
export function layFile(file: ConfigFile, line: Flags): Layers {
  const problems = [...file.problems];
  const top = new Layer(file.path, problems);
  for (const entry of file.top) top.add(entry, file.pools.length > 0 ? "top of pools" : "top");
  const whole = new Flags(new Map([...top.of("process"), ...line.given]), "serve", top.places);
  // Whoever cannot read the file knows of no pools in it.
  if (file.problems.length > 0 && file.pools.length === 0 && file.top.length === 0) return { process: whole, pools: [], problems, notes: file.notes, partial: file.partial };

  const wanted = line.all("pool");
  for (const each of wanted) {
    if (file.pools.some(({ name }) => name === each.text)) continue;
    problems.push({ ...asProblem(each), fault: "is no pool of the file", allowed: file.pools.map(({ name }) => name).join(", ") || "no --pool" });
  }
  const chosen = file.pools.filter(({ name }) => wanted.length === 0 || wanted.some(({ text }) => text === name));
  for (const long of chosen.length > 1 ? ONE_POOL : []) {
    if (line.has(long)) problems.push({ ...asProblem(line.one(long)), fault: `is for one pool, and ${file.path} has ${chosen.length}`, allowed: "with --pool NAME" });
  }
  const pools = file.pools.length === 0 ? [onlyPool(file, top, line)] : chosen.map((pool) => layPool(file.path, pool, top, line));
  return { process: whole, pools, problems, notes: file.notes, partial: file.partial };
}

/** A file without pools is one, called main. */
function onlyPool(file: ConfigFile, top: Layer, line: Flags): PoolLayers {
  const flags = new Flags(new Map([...top.of("process"), ...top.of("pool"), ...line.given]), "serve", top.places);
  return { name: "main", place: `${file.path}: servers`, flags, problems: [], notes: [] };
}

function layPool(path: string, pool: FilePool, top: Layer, line: Flags): PoolLayers {
  const problems = [...pool.problems];
  const own = new Layer(path, problems);
  for (const entry of pool.entries) own.add(entry, "pool");
  const given = new Map([...top.of("process"), ...top.of("pool"), ...own.of("pool"), ...line.given]);
  // What a place says of a switch that is off counts only when nothing nearer says it is on.
  const flags = new Flags(given, "serve", new Map([...top.places, ...own.places]));
  return { name: pool.name, place: placeOf(path, pool.line, `pools.${pool.name}`), flags, problems, notes: pool.notes };
}

/** Characters of a list that a problem repeats. */
const GIVEN_MAX = 60;

/** The settings of one table of a file. */
class Layer {
  readonly places = new Map<string, string>();
  private readonly given = new Map<string, Given[]>();

  constructor(private readonly path: string, private readonly problems: Problem[]) {}

  of(scope: Option["scope"]): [string, Given[]][] {
    return [...this.given].filter(([long]) => OPTIONS.some((option) => option.long === long && option.scope === scope));
  }

  add(entry: FileEntry, where: "top" | "top of pools" | "pool"): void {
    const option = OPTIONS.find(({ key }) => key !== "" && key === entry.key);
    const place = placeOf(this.path, entry.line, entry.word);
    const raw = entry.values.map((value) => value.raw).join(", ");
    const shown = raw.length > GIVEN_MAX ? `${raw.slice(0, GIVEN_MAX)}…` : raw;
    const wrong = (fault: string, allowed: string): void => void this.problems.push({ flag: place, given: shown, fault, allowed });
    if (option === undefined) return wrong("is no setting", nearest(entry.key, where));
    if (where === "pool" && option.scope === "process") return wrong("is a setting of the whole process", "at the top of the file, above the pools");
    if (where === "top of pools" && ONE_POOL.includes(option.long)) return wrong("is for one pool, and the file has pools", "in [pools.NAME]");
    if (entry.list && !option.repeatable) return wrong("is a list", `one value: ${fileAllowed(option)}`);
    const given: Given[] = [];
    for (const value of entry.values) {
      const text = textOf(option, value);
      const fault = text === null ? WRONG_KIND[option.kind] ?? "is of the wrong kind" : valueFault(option, text);
      const at = givenAt(this.path, entry, text === null ? value : { ...value, text });
      if (fault !== "") this.problems.push({ flag: at.flag, given: value.raw, fault, allowed: fileAllowed(option) });
      else if (option.kind === "count") for (let i = 0; i < Number(text); i++) given.push(at);
      else if (option.kind !== "switch" || text === "true") given.push(option.kind === "switch" ? { ...at, text: "" } : at);
    }
    this.places.set(option.long, place);
    // A switch that is off here is off, whatever stands above.
    this.given.set(option.long, given);
    if (given.length === 0 && option.kind !== "switch" && option.kind !== "count" && !option.repeatable) this.given.delete(option.long);
  }
}

const WRONG_KIND: Readonly<Partial<Record<Option["kind"], string>>> = {
  switch: "is neither true nor false", count: "is no such number", integer: "is no whole number", duration: "is no time", bytes: "is no number of bytes",
  octal: "is not octal", text: "is no text in quotes", choice: "is no word in quotes",
};

/** A value of a file as the command line would write it; null: it is of another kind. */
function textOf(option: Option, value: FileValue): string | null {
  const { kind, text } = value;
  switch (option.kind) {
    case "switch": return kind === "boolean" ? text : null;
    case "count": return kind === "boolean" ? String(Number(text === "true")) : kind === "integer" && /^[0-2]$/.test(text) ? text : null;
    case "integer": return kind === "integer" || (kind === "string" && value.raw === text) ? text : null;
    case "duration": case "bytes": return kind === "integer" || kind === "string" ? text : null;
    case "octal": return kind === "string" ? text : value.raw.startsWith("0o") ? Number(text).toString(8) : null;
    case "choice":
      if (kind === "boolean" && option.choices.includes("on")) return text === "true" ? "on" : "off";
      return kind === "string" ? text : null;
    case "text": return kind === "string" || (kind === "integer" && option.number) ? text : null;
  }
}

/** What a setting may be in a file. */
export function fileAllowed(option: Option): string {
  switch (option.kind) {
    case "switch": return "true or false";
    case "count": return "0, 1 or 2";
    case "octal": return '"700" or 0o700, up to 777';
    case "duration": return `${optionAllowed(option)}, or text as "500ms", "2s", "5m", "1h"`;
    case "bytes": return '1024 to 1073741824, or text as "64k", "8m", "1g"';
    case "text": return option.number ? `a number, or "${option.placeholder}"` : option.repeatable ? `["${option.placeholder}", …]` : `"${option.placeholder}"`;
    default: return optionAllowed(option);
  }
}

/** What was meant, most likely; or all there is. */
function nearest(key: string, where: "top" | "top of pools" | "pool"): string {
  const keys = OPTIONS.filter((option) => option.key !== "" && (where !== "pool" || option.scope === "pool")).map((option) => option.key);
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_]/g, "");
  const wanted = plain(key);
  const close = keys.filter((each) => {
    const known = plain(each);
    return distance(known, wanted) <= Math.max(1, Math.floor(known.length / 3)) || (wanted.length > 3 && (known.startsWith(wanted) || wanted.startsWith(known)));
  });
  return (close.length > 0 ? close : keys).join(", ");
}

/** Letters to be put in, taken out or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + Number(a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row[b.length]!;
}

function asProblem(given: Given): { flag: string; given: string } {
  return { flag: given.flag, given: given.text };
}
