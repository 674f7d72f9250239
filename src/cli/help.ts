// The help texts, printed from the option table.
import { type Command, COMMANDS, OPTIONS, type Option, optionAllowed, optionForms } from "./options.ts";

const WIDTH = 100;
const INDENT = 38;

const USAGE: Readonly<Record<Command, readonly string[]>> = {
  serve: [
    "tandem [serve] -s HOST:PORT ... [-b HOST:PORT ...] [flags]",
    "A memcached proxy: one ring of primaries, one of backups, every key on one server of each.",
  ],
  dev: [
    "tandem dev [flags]",
    "The proxy over two primaries and two backups in memory, to try it: nothing else is needed.",
  ],
  status: [
    "tandem status [HOST:PORT|/SOCKET] [--json]",
    "How a running tandem and its servers are; without an address 127.0.0.1:11211.",
    "Exit code: 0 every server is up, 1 one is not, 3 no tandem answers there.",
  ],
  ring: [
    "tandem ring explain KEY ... -s HOST:PORT ... [-b HOST:PORT ...]",
    "Where keys are, and why: server, hash and point.",
    "tandem ring show -s HOST:PORT ... [-b HOST:PORT ...]",
    "The share of each server.",
    "tandem ring diff OLD NEW [--keys FILE]",
    "How many keys move, and where; OLD and NEW are quoted: \"-s a:1\" \"-s a:1 -s b:1\".",
  ],
  version: ["tandem version", "Version, commit, runtime and target."],
  help: ["tandem help [COMMAND]", `Commands: ${COMMANDS.join(", ")}. Without a command: serve.`],
};

/** The help of one command, or with "help" of all; ends in a newline. */
export function helpText(command: Command): string {
  if (command === "help") {
    const usage = COMMANDS.flatMap((each) => [...USAGE[each].map((line) => `  ${line}`), ""]);
    return `Usage:\n${usage.join("\n")}\n${flagLines("serve").join("\n")}\n`;
  }
  return `Usage:\n${USAGE[command].map((line) => `  ${line}`).join("\n")}\n\n${flagLines(command).join("\n")}\n`;
}

function flagLines(command: Command): string[] {
  const lines = command === "serve" ? ["Flags:"] : [`Flags of ${command}:`];
  for (const option of OPTIONS) {
    if (option.hidden || !option.commands.includes(command)) continue;
    const form = `  ${option.short === "" ? "    " : ""}${optionForms(option)}`;
    const text = wrap(describe(option), WIDTH - INDENT);
    if (form.length >= INDENT) lines.push(form);
    else text[0] = form.padEnd(INDENT) + text[0];
    lines.push(...text.map((line, i) => (i === 0 && form.length < INDENT ? line : " ".repeat(INDENT) + line)));
  }
  return lines;
}

function describe(option: Option): string {
  const facts: string[] = [];
  if (option.kind === "choice" || option.kind === "integer") facts.push(optionAllowed(option));
  if (option.fallback !== "") facts.push(`default ${option.fallback}`);
  if (option.repeatable) facts.push("repeatable");
  return facts.length === 0 ? option.help : `${option.help} (${facts.join("; ")})`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
