// tandem check FILE, and tandem config print and convert: what a file of settings says, what is wrong with it, and what
// holds in the end.
import type { PoolConfig } from "../config/config.ts";
import { fingerprint, placementText } from "../config/fingerprint.ts";
import { type Given, problemLine, wrong } from "../config/problem.ts";
import { type Compared, compareAgainst } from "./against.ts";
import { convertedToml, effectiveToml, noteText } from "./config_print.ts";
import { type Context, EXIT_FAILED, failProblems, failUsage } from "./context.ts";
import { type Layers, readLayers } from "./layers.ts";
import { type CommandLine, Flags } from "./parse.ts";
import { type Place, readAddress } from "./place.ts";
import { settle } from "./settings.ts";

/** Every problem of a file, a line each, with exit code 1 when there is one; with --against a comparison of proxies. */
export function check(context: Context, line: CommandLine): void {
  const { host } = context.platform;
  const against = line.flags.all("against");
  // Behind --against further addresses may follow; a word that is a file is the file.
  const files = line.words.filter((word) => against.length === 0 || host.readText(word).ok);
  const addresses = [...against, ...line.words.filter((word) => !files.includes(word)).map((text): Given => ({ flag: "--against", text }))];
  const [path, ...more] = files;
  if (more.length > 0) return failUsage(context, wrong({ flag: "check", text: more[0]! }, "is not expected", "one file").problem);
  if (path === undefined && addresses.length === 0) return failUsage(context, wrong({ flag: "check", text: "" }, "no file given", "tandem check FILE").problem);
  const places: Place[] = [];
  for (const given of addresses) {
    const place = readAddress(given);
    if (!place.ok) return failUsage(context, place.problem);
    places.push(place.value);
  }
  const pools = path === undefined ? [] : checkFile(context, line.flags, path);
  if (places.length === 0) return;
  const sides = pools.map((pool): Compared => {
    const placement = placementText(pool);
    return { label: pools.length === 1 ? path! : `${path}, pool ${pool.name}`, fingerprint: fingerprint(placement), placement, servers: null };
  });
  if (sides.length > 1) return failUsage(context, wrong({ flag: "check", text: path! }, `has ${sides.length} pools`, "one of them: --pool NAME").problem);
  compareAgainst(context, sides, places);
}

/** Prints what is wrong and ends, or what it holds; the pools. */
function checkFile(context: Context, flags: Flags, path: string): readonly PoolConfig[] {
  const { host } = context.platform;
  const layers = readLayers(host, withFile(flags, "check", path));
  const settings = settle(layers, context.called);
  if (!settings.ok) {
    for (const problem of settings.problems) host.stdout(`${problemLine(problem)}\n`);
    host.stdout(`${path}: ${count(settings.problems.length, "problem", "problems")}\n`);
    return host.exit(EXIT_FAILED);
  }
  for (const note of settings.value.notes) host.stdout(`note: ${noteText(note)}\n`);
  for (const pool of settings.value.config.pools) {
    const what = [count(pool.primaries.length, "primary", "primaries"), count(pool.backups.length, "backup", "backups"), `ring ${pool.ring}`];
    host.stdout(`${path}: pool ${pool.name}: ${what.join(", ")}, fingerprint ${fingerprint(placementText(pool))}\n`);
  }
  return settings.value.config.pools;
}

export function config(context: Context, line: CommandLine): void {
  const { host } = context.platform;
  const [what, path, ...more] = line.words;
  const given: Given = { flag: "config", text: what ?? "" };
  switch (what) {
    case "print": {
      if (path !== undefined) return failUsage(context, wrong({ flag: "config print", text: path }, "is not expected", "-c FILE, and flags").problem);
      const layers = readLayers(host, line.flags);
      const settings = settle(layers, context.called);
      if (!settings.ok) return failProblems(context, settings.problems);
      return print(context, effectiveToml(layers, context.called));
    }
    case "convert": {
      if (path === undefined || more.length > 0) return failUsage(context, wrong({ flag: "config convert", text: more[0] ?? "" }, "one file is needed", "tandem config convert FILE").problem);
      return convert(context, readLayers(host, withFile(line.flags, "config convert", path)), path);
    }
    default:
      return failUsage(context, wrong(given, what === undefined ? "nothing asked" : "unknown", "print [-c FILE] [flags], or convert FILE").problem);
  }
}

/** The TOML of what can be had; exit code 1 when a pool had to be left out. */
function convert(context: Context, layers: Layers, path: string): void {
  const { host } = context.platform;
  const taken = layers.pools.filter((pool) => pool.problems.length === 0);
  if (taken.length === 0) return failProblems(context, [...layers.problems, ...layers.pools.flatMap((pool) => pool.problems)]);
  const settings = settle({ ...layers, pools: taken }, context.called);
  if (!settings.ok) return failProblems(context, settings.problems);
  print(context, convertedToml(layers, path));
  const left = layers.pools.filter((pool) => pool.problems.length > 0);
  if (left.length === 0) return;
  for (const problem of left.flatMap((pool) => pool.problems)) host.stderr(`${context.called}: ${problemLine(problem)}\n`);
  host.exit(EXIT_FAILED);
}

function print(context: Context, lines: readonly string[]): void {
  context.platform.host.stdout(lines.map((each) => `${each}\n`).join(""));
}

/** As if the file had been given by -c; said: how it was. */
function withFile(flags: Flags, said: string, path: string): Flags {
  return new Flags(new Map([...flags.given, ["config", [{ flag: said, text: path }]]]));
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
