// tandem check FILE, and tandem config print and convert: what a file of settings says, what is wrong with it, and what
// holds in the end.
import { type Given, problemLine, wrong } from "../config/problem.ts";
import { convertedToml, effectiveToml, noteText } from "./config_print.ts";
import { type Context, EXIT_FAILED, failProblems, failUsage } from "./context.ts";
import { type Layers, readLayers } from "./layers.ts";
import type { CommandLine } from "./parse.ts";
import { Flags } from "./parse.ts";
import { settle } from "./settings.ts";

/** Every problem of a file, a line each; exit code 1 when there is one. */
export function check(context: Context, line: CommandLine): void {
  const { host } = context.platform;
  const [path, ...more] = line.words;
  if (path === undefined) return failUsage(context, wrong({ flag: "check", text: "" }, "no file given", "tandem check FILE").problem);
  if (more.length > 0) return failUsage(context, wrong({ flag: "check", text: more[0]! }, "is not expected", "one file").problem);
  const layers = readLayers(host, withFile(line.flags, path));
  const settings = settle(layers, context.called);
  if (!settings.ok) {
    for (const problem of settings.problems) host.stdout(`${problemLine(problem)}\n`);
    const count = settings.problems.length;
    host.stdout(`${path}: ${count} ${count === 1 ? "problem" : "problems"}\n`);
    return host.exit(EXIT_FAILED);
  }
  for (const note of settings.value.notes) host.stdout(`note: ${noteText(note)}\n`);
  for (const pool of settings.value.config.pools) {
    host.stdout(`${path}: pool ${pool.name}: ${count(pool.primaries.length, "primary", "primaries")}, ${count(pool.backups.length, "backup", "backups")}, ring ${pool.ring}\n`);
  }
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
      return convert(context, readLayers(host, withFile(line.flags, path)), path);
    }
    default:
      return failUsage(context, wrong(given, what === undefined ? "nothing asked" : "unknown", "print [-c FILE] [flags], or convert FILE").problem);
  }
}

/** The TOML of what can be had; exit code 1 when a pool had to be left out. */
function convert(context: Context, layers: Layers, path: string): void {
  const { host } = context.platform;
  const taken = layers.pools.filter((pool) => pool.problems.length === 0);
  const settings = settle({ ...layers, pools: taken }, context.called);
  if (!settings.ok || taken.length === 0) {
    return failProblems(context, settings.ok ? layers.pools.flatMap((pool) => pool.problems) : settings.problems);
  }
  print(context, convertedToml(layers, path));
  const left = layers.pools.filter((pool) => pool.problems.length > 0);
  if (left.length === 0) return;
  for (const problem of left.flatMap((pool) => pool.problems)) host.stderr(`${context.called}: ${problemLine(problem)}\n`);
  host.exit(EXIT_FAILED);
}

function print(context: Context, lines: readonly string[]): void {
  context.platform.host.stdout(lines.map((each) => `${each}\n`).join(""));
}

/** As if the file had been given by -c. */
function withFile(flags: Flags, path: string): Flags {
  return new Flags(new Map([...flags.given, ["config", [{ flag: "-c", text: path }]]]));
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
