// The README beside the program: its table of flags is the option table's own, byte for byte, and what it says about
// commands, placements and limits is what the source says.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { flagsTableMarkdown, OPTIONS } from "../../src/cli/options.ts";
import { layFile } from "../../src/cli/layers.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { settle } from "../../src/cli/settings.ts";
import { problemLine } from "../../src/config/problem.ts";
import { readToml } from "../../src/config/toml.ts";
import { RING_NAMES } from "../../src/config/config.ts";
import { COMMANDS } from "../../src/protocol/commands.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

/** What stands between "<!-- name: begin -->" and "<!-- name: end -->", both lines excluded. */
function block(name: string): string {
  const begin = `<!-- ${name}: begin -->\n`, end = `<!-- ${name}: end -->\n`;
  const from = readme.indexOf(begin), to = readme.indexOf(end);
  expect(from === -1 || to < from ? `no block ${name}` : name).toBe(name);
  return readme.slice(from + begin.length, to);
}

test("the table of flags is the option table's", () => {
  // To renew it: print flagsTableMarkdown() between the two markers.
  expect(block("flags")).toBe(flagsTableMarkdown());
});

test("the example file is read without a problem, and has the pools that the text tells of", () => {
  const text = block("tandem.toml").replaceAll(/^```.*\n/gm, "");
  const line = parseCommandLine([]);
  if (!line.ok) throw new Error("no flags");
  const read = settle(layFile(readToml("tandem.toml", text), line.value.flags), "tandem");
  expect(read.ok ? [] : read.problems.map(problemLine)).toEqual([]);
  expect(read.ok ? read.value.config.pools.map(({ name, listen }) => `${name} ${listen.length}`) : []).toEqual(["sessions 2", "pages 1"]);
});

test("the fields of /status are all told, and no others", () => {
  const source = ["report", "latency"].map((file) => readFileSync(new URL(`../../src/observe/${file}.ts`, import.meta.url), "utf8")).join("");
  const types = [...source.matchAll(/^export interface (\w*(?:Report|Lost))\b[^]*?^}/gm)].map(([text]) => text).join("");
  const fields = new Set(["format", "ready", ...[...types.matchAll(/(?:readonly |^  )(\w+)\??: /gm)].map((match) => match[1]!)]);
  expect(fields.size).toBeGreaterThan(70);
  const told = new Set([...block("status").matchAll(/`(\w+)(?:\[\])?`/g)].map((match) => match[1]!));
  expect([...fields].filter((field) => !told.has(field))).toEqual([]);
  expect([...told].filter((field) => !fields.has(field))).toEqual([]);
});

test("there is a place for the figures of scripts/bench", () => {
  expect(block("bench").length).toBeGreaterThan(0);
});

describe("names in the text exist", () => {
  test("long flags", () => {
    // Flags of scripts and of other programs stand on lines that name these.
    const foreign = /scripts\/|systemctl |memcached -|npm |deno |bun /;
    const long = new Set(OPTIONS.map((option) => `--${option.long}`));
    const unknown = readme.split("\n").filter((line) => !foreign.test(line))
      .flatMap((line) => [...line.matchAll(/(?<![-\w])--[a-z][a-z-]+/g)].map((match) => match[0]))
      .filter((flag) => !long.has(flag));
    expect(unknown).toEqual([]);
  });
  test("placements, each with a row", () => {
    const rows = readme.split("\n").filter((line) => line.startsWith("| `"));
    for (const name of RING_NAMES) expect(rows.some((row) => row.startsWith(`| \`${name}\``)) ? name : "").toBe(name);
  });
  test("commands of the protocol", () => {
    for (const { name } of COMMANDS) expect(new RegExp(`\\b${name}\\b`).test(readme) ? name : "").toBe(name);
  });
  test("files", () => {
    const paths = [...readme.matchAll(/(?<![\w/.-])(?:\.\/)?((?:src|scripts|tests)\/[\w./*-]+)/g)].map((match) => match[1]!.replace(/[.]$/, ""));
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths) expect(`${path} ${exists(path)}`).toBe(`${path} true`);
  });
});

function exists(path: string): boolean {
  try {
    readFileSync(new URL(`../../${path}`, import.meta.url));
    return true;
  } catch (error) {
    // A folder cannot be read but is there.
    return error instanceof Error && "code" in error && error.code === "EISDIR";
  }
}
