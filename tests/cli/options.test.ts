// The option table and what is printed from it.
import { describe, expect, test } from "bun:test";
import { helpText } from "../../src/cli/help.ts";
import { COMMANDS, flagsTableMarkdown, OPTIONS } from "../../src/cli/options.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";

describe("the table", () => {
  test("names every flag once", () => {
    const longs = OPTIONS.map((option) => option.long);
    const shorts = OPTIONS.map((option) => option.short).filter((short) => short !== "");
    expect(new Set(longs).size).toBe(longs.length);
    expect(new Set(shorts).size).toBe(shorts.length);
  });
  test("holds every flag of magent 0.6", () => {
    for (const short of "hupsblngDkfiv") expect(OPTIONS.filter((option) => option.short === short && option.magent !== "").length).toBe(1);
  });
  test("gives each setting a key of its own in tandem.toml", () => {
    const keys = OPTIONS.map((option) => option.key).filter((key) => key !== "");
    expect(new Set(keys).size).toBe(keys.length);
    for (const key of keys) expect(key).toMatch(/^[a-z][a-z_]*$/);
    // What serve takes and a file cannot say is about this one start.
    const without = OPTIONS.filter((option) => option.commands.includes("serve") && option.key === "" && !option.hidden).map(({ long }) => long);
    expect(without).toEqual(["config", "pool", "ketama", "foreground", "help", "version"]);
  });
  test("has defaults that its own parser accepts", () => {
    for (const option of OPTIONS) {
      if (option.fallback === "") continue;
      const read = parseCommandLine([option.commands[0]!, `--${option.long}=${option.fallback}`]);
      expect(`${option.long} ${read.ok}`).toBe(`${option.long} true`);
    }
  });
});

test("the Markdown table has one row a flag and no broken cell", () => {
  const lines = flagsTableMarkdown().trimEnd().split("\n");
  expect(lines.length).toBe(OPTIONS.filter((option) => !option.hidden).length + 2);
  for (const line of lines) expect(line.replaceAll("\\|", "").split("|").length).toBe(8);
  expect(flagsTableMarkdown()).not.toContain("daemon-child");
});

test("help names every flag of its command within 100 columns", () => {
  for (const command of COMMANDS) {
    const text = helpText(command);
    expect(text.endsWith("\n")).toBe(true);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    for (const option of OPTIONS) {
      if (option.hidden || command === "help" || !option.commands.includes(command)) continue;
      expect(text).toContain(`--${option.long}`);
    }
  }
});
