// argv → command, flags and words. @std/cli's parseArgs collects the values; before it, the words are brought to one
// form by the option table, which makes it strict: getopt's clusters (-vvk, -p12000, -unobody), and unknown flags,
// missing values and repetitions found by name.
/// <reference path="./std_cli.d.ts" />
import { parseArgs } from "@std/cli/parse-args";
import { type Checked, type Given, type Problem, wrong } from "../config/problem.ts";
import { COMMANDS, type Command, OPTIONS, type Option, optionAllowed } from "./options.ts";

/**
 * The settings of one command line, or of one pool after the layers (layers.ts) are laid over each other. Names are the
 * table's long names; a name outside the table is a bug and throws.
 */
export class Flags {
  /** places: where a setting was said that has no value to tell, such as a switch that a file switches off. */
  constructor(
    readonly given: ReadonlyMap<string, readonly Given[]>,
    private readonly command: Command = "serve",
    private readonly places: ReadonlyMap<string, string> = new Map(),
  ) {}

  /** True when the user wrote it. */
  has(long: string): boolean {
    return this.all(long).length > 0;
  }

  /** Every value the user wrote, in order; empty when none. */
  all(long: string): readonly Given[] {
    optionOf(long);
    return this.given.get(long) ?? [];
  }

  /** The value as written, or the default; its flag is as spelled, or --long. */
  one(long: string): Given {
    const option = optionOf(long);
    return this.given.get(long)?.[0] ?? { flag: `--${long}`, text: option.fallbackOf[this.command] ?? option.fallback };
  }

  /** The number of a checked integer, duration, octal or bytes option, in its unit. */
  number(long: string): number {
    const value = numberOf(optionOf(long), this.one(long).text);
    if (value === null) throw new Error(`no number in option ${long}`);
    return value;
  }

  /** Where it was said: "tandem.toml:12: timeout", "-p"; "" when nowhere. */
  place(long: string): string {
    return this.given.get(long)?.[0]?.flag ?? this.places.get(long) ?? "";
  }
}

function optionOf(long: string): Option {
  const option = OPTIONS.find((each) => each.long === long);
  if (option === undefined) throw new Error(`no option named ${long}`);
  return option;
}

export interface CommandLine {
  readonly command: Command;
  readonly flags: Flags;
  /** What is neither command nor flag. */
  readonly words: readonly string[];
}

/** Reads args (without the program's name). The first word may name the command; without one it is serve. */
export function parseCommandLine(args: readonly string[]): Checked<CommandLine> {
  const first = args[0];
  let command: Command = "serve";
  let from = 0;
  if (first !== undefined && !first.startsWith("-")) {
    const named = COMMANDS.find((each) => each === first);
    if (named === undefined) return wrong({ flag: "command", text: first }, "unknown", COMMANDS.join(", "));
    command = named;
    from = 1;
  }
  const spelled = canonical(args.slice(from), command);
  if (!spelled.ok) return spelled;
  const { tokens, words, spellings } = spelled.value;

  const valued = OPTIONS.filter((option) => takesValue(option)).map((option) => option.long);
  const bare = OPTIONS.filter((option) => !takesValue(option)).map((option) => option.long);
  const parsed = parseArgs(tokens, { string: valued, boolean: bare, collect: [...valued, ...bare] });

  const given = new Map<string, readonly Given[]>();
  for (const option of OPTIONS) {
    const values = parsed[option.long];
    const flags = spellings.get(option.long);
    if (flags === undefined || !Array.isArray(values)) continue;
    const list = flags.map((flag, i): Given => ({ flag, text: takesValue(option) ? String(values[i]) : "" }));
    const repeated = list[1];
    if (repeated !== undefined && !option.repeatable && option.kind !== "count") {
      return wrong(repeated, "given twice", "once");
    }
    for (const each of list) {
      const fault = valueFault(option, each.text);
      if (fault !== "") return wrong(each, fault, optionAllowed(option));
    }
    given.set(option.long, list);
  }
  return { ok: true, value: { command, flags: new Flags(given, command), words } };
}

/** text split at blanks, with 'single' and "double" quotes, as a shell would for plain flags. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  for (const match of text.matchAll(/(?:[^\s'"]+|'[^']*'|"[^"]*")+/g)) {
    words.push(match[0].replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double));
  }
  return words;
}

interface Canonical {
  /** Only --long and --long=value. */
  tokens: string[];
  words: string[];
  /** Long name → the flags as they were spelled, in order. */
  spellings: Map<string, string[]>;
}

function canonical(args: readonly string[], command: Command): Checked<Canonical> {
  const out: Canonical = { tokens: [], words: [], spellings: new Map() };
  const add = (option: Option, spelling: string, value: string | null): void => {
    out.tokens.push(value === null ? `--${option.long}` : `--${option.long}=${value}`);
    const spellings = out.spellings.get(option.long);
    if (spellings === undefined) out.spellings.set(option.long, [spelling]);
    else spellings.push(spelling);
  };
  let i = 0;
  /** The next argument as a value; undefined when there is none or it is a flag itself. */
  const next = (): string | undefined => {
    const value = args[i];
    if (value === undefined || /^--?[A-Za-z]/.test(value) || value === "--") return undefined;
    i++;
    return value;
  };
  while (i < args.length) {
    const arg = args[i++]!;
    if (arg === "--") {
      out.words.push(...args.slice(i));
      break;
    }
    if (!arg.startsWith("-") || arg === "-" || (command === "ring" && isQuotedFlags(arg))) {
      out.words.push(arg);
      continue;
    }
    if (arg.startsWith("--")) {
      const equals = arg.indexOf("=");
      const name = equals === -1 ? arg : arg.slice(0, equals);
      const option = OPTIONS.find((each) => `--${each.long}` === name && each.commands.includes(command));
      if (option === undefined) return unknown(name, command);
      let value = equals === -1 ? null : arg.slice(equals + 1);
      if (!takesValue(option)) {
        if (value !== null) return wrong({ flag: name, text: value }, "takes no value", name);
      } else if (value === null) {
        value = next() ?? null;
        if (value === null) return wrong({ flag: name, text: "" }, "no value given", optionAllowed(option));
      }
      add(option, name, value);
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      const letter = arg[at]!;
      const option = OPTIONS.find((each) => each.short === letter && each.commands.includes(command));
      if (option === undefined) return unknown(`-${letter}`, command);
      if (!takesValue(option)) {
        add(option, `-${letter}`, null);
        continue;
      }
      const value = at + 1 < arg.length ? arg.slice(at + 1) : next();
      if (value === undefined) return wrong({ flag: `-${letter}`, text: "" }, "no value given", optionAllowed(option));
      add(option, `-${letter}`, value);
      break;
    }
  }
  return { ok: true, value: out };
}

/** One argument that is a whole command line, as ring diff takes two of: "-s a:1 -s b:1". */
function isQuotedFlags(arg: string): boolean {
  return /^(-[A-Za-z]|--[a-z-]+)\s|\s-/.test(arg);
}

function unknown(flag: string, command: Command): { ok: false; problem: Problem } {
  const mine = OPTIONS.filter((option) => !option.hidden && option.commands.includes(command));
  const forms = mine.map((option) => (option.short === "" ? `--${option.long}` : `-${option.short}`)).join(" ");
  return wrong({ flag, text: "" }, `unknown flag of ${command}`, forms);
}

function takesValue(option: Option): boolean {
  return option.kind !== "switch" && option.kind !== "count";
}

/** Why text is no value of option, or "". Texts are checked by config/. */
export function valueFault(option: Option, text: string): string {
  switch (option.kind) {
    case "switch": case "count": return "";
    case "text": return text === "" ? "is empty" : "";
    case "choice": return option.choices.includes(text) ? "" : "is none of them";
    case "integer": case "duration": case "octal": case "bytes": {
      const value = numberOf(option, text);
      if (value === null) return "is no such number";
      return value < option.min ? "is too low" : value > option.max ? "is too high" : "";
    }
  }
}

/** Units of time, ms. */
const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, hours: 3_600_000 };

/** The number that text is, in the option's unit, or null. */
export function numberOf(option: Option, text: string): number | null {
  if (option.kind === "octal") return /^[0-7]{1,4}$/.test(text) ? parseInt(text, 8) : null;
  if (option.kind === "duration") {
    const match = /^([0-9]{1,12})(ms|s|m|h|d)?$/.exec(text);
    if (match === null) return null;
    const value = Number(match[1]) * (match[2] === undefined ? 1 : UNITS_MS[match[2]]! / UNITS_MS[option.unit]!);
    return Number.isSafeInteger(value) ? value : null;
  }
  const match = /^([0-9]{1,12})([kmg]?)$/i.exec(text);
  if (match === null || (match[2] !== "" && option.kind !== "bytes")) return null;
  const factor = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 }[match[2]!.toLowerCase()] ?? 1;
  return Number(match[1]) * factor;
}
