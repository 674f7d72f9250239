// Settings as tandem.toml: the effective ones with where each came from (`config print`), or those that a file of
// another program says (`config convert`).
import { type Given, type Problem, problemLine, quoted } from "../config/problem.ts";
import type { Layers } from "./layers.ts";
import { OPTIONS, type Option } from "./options.ts";
import type { Flags } from "./parse.ts";
import { type CalledAs, ringOf } from "./settings.ts";

/** Where comments begin, when what stands before leaves room. */
const COMMENT_COLUMN = 44;

/** Every setting of the process and of each pool, with a comment that says where it came from. */
export function effectiveToml(layers: Layers, called: CalledAs): string[] {
  const lines = scoped("process").flatMap((option) => effective(option, layers.process));
  for (const pool of layers.pools) {
    lines.push("", `[pools.${pool.name}]`);
    for (const option of scoped("pool")) {
      if (option.long === "ring" && called === "magent" && !pool.flags.has("ring")) lines.push(commented(`ring = "${ringOf(pool.flags, called)}"`, "called as magent"));
      else lines.push(...effective(option, pool.flags));
    }
  }
  return lines;
}

/** Only what was said, without places: a file to go on with. Pools with problems are left out and named. */
export function convertedToml(layers: Layers, from: string): string[] {
  const lines = [`# Made by tandem config convert ${quoted(from)}.`, ...layers.notes.map(noteLine)];
  const said = scoped("process").flatMap((option) => given(option, layers.process));
  if (said.length > 0) lines.push("", ...said);
  for (const pool of layers.pools) {
    lines.push("");
    if (pool.problems.length > 0) {
      lines.push(`# Pool ${pool.name} is left out:`, ...pool.problems.map((problem) => `#   ${problemLine(problem)}`));
      continue;
    }
    lines.push(`[pools.${pool.name}]`, ...pool.notes.map(noteLine), ...scoped("pool").flatMap((option) => given(option, pool.flags)));
  }
  return lines;
}

function scoped(scope: Option["scope"]): Option[] {
  return OPTIONS.filter((option) => option.key !== "" && option.scope === scope);
}

function noteLine(note: Problem): string {
  return `# ${noteText(note)}`;
}

/** "nutcracker.yml:8: gamma.preconnect true: has no equal here and is left out (always: …)" */
export function noteText(note: Problem): string {
  return `${note.flag}${note.given === "" ? "" : ` ${quoted(note.given)}`}: ${note.fault} (${note.allowed})`;
}

function effective(option: Option, flags: Flags): string[] {
  const place = flags.place(option.long);
  const source = place === "" ? "default" : place.startsWith("-") ? `flag ${place}` : option.env === place ? `environment, ${place}` : place.replace(/: [^:]*$/, "");
  const value = written(option, flags);
  if (value === null) return [commented(`# ${option.key} is not set`, option.help)];
  if (value.length === 1) return [commented(`${option.key} = ${value[0]!}`, source)];
  return [commented(`${option.key} = [`, source), ...value.map((each) => `  ${each},`), "]"];
}

function given(option: Option, flags: Flags): string[] {
  if (flags.place(option.long) === "") return [];
  const value = written(option, flags);
  if (value === null) return [];
  return value.length === 1 ? [`${option.key} = ${value[0]!}`] : [`${option.key} = [`, ...value.map((each) => `  ${each},`), "]"];
}

function commented(text: string, comment: string): string {
  return `${text.padEnd(COMMENT_COLUMN - 1)} # ${comment}`;
}

/** The value, one text; or of a list of several each on its own; null: there is none. */
function written(option: Option, flags: Flags): string[] | null {
  switch (option.kind) {
    case "switch": return [String(flags.has(option.long))];
    case "count": return [String(flags.all(option.long).length)];
    default:
  }
  const said = flags.has(option.long) ? flags.all(option.long) : option.fallback === "" ? [] : [flags.one(option.long)];
  if (said.length === 0) return option.repeatable ? ["[]"] : null;
  const texts = said.map((each) => valueText(option, each));
  if (!option.repeatable) return texts;
  return texts.join(", ").length < 60 ? [`[${texts.join(", ")}]`] : texts;
}

function valueText(option: Option, { text, zone }: Given): string {
  if (zone !== undefined) return `{ address = ${JSON.stringify(text)}, zone = ${JSON.stringify(zone)} }`;
  const plain = /^[0-9]+$/.test(text);
  switch (option.kind) {
    case "integer": return text;
    case "bytes": return plain ? text : JSON.stringify(text);
    case "duration": return JSON.stringify(plain ? `${text}${option.unit === "hours" ? "h" : option.unit}` : text);
    default: return JSON.stringify(text);
  }
}
