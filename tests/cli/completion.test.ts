// What is printed from the tables for shells and for man(1): nothing of the tables is missing, nothing hidden is there.
import { describe, expect, test } from "bun:test";
import { completionScript } from "../../src/cli/completion.ts";
import { manPage } from "../../src/cli/man.ts";
import { COMMANDS, OPTIONS, SHELLS, WORDS } from "../../src/cli/options.ts";

describe("completion", () => {
  for (const shell of SHELLS) {
    test(`${shell}: every command with its words and flags`, () => {
      const script = completionScript(shell);
      for (const command of COMMANDS) {
        expect(script).toContain(command);
        for (const word of WORDS[command] ?? []) expect(script).toContain(word);
      }
      for (const { long, hidden, choices } of OPTIONS) {
        const named = new RegExp(`(--| -l )${long}\\b`).test(script);
        expect(`${long} ${named}`).toBe(`${long} ${!hidden}`);
        if (choices.length > 0) expect(script).toContain(choices.join(" "));
      }
    });
  }
});

test("the manual page has every command and flag, and no line that roff would take for a request", () => {
  const page = manPage("1.2.3");
  for (const command of COMMANDS) expect(page).toContain(`\n.SS ${command}\n`);
  for (const { long, hidden } of OPTIONS) {
    expect(`${long} ${page.includes(`\\fB\\-\\-${long.replaceAll("-", "\\-")}\\fR`)}`).toBe(`${long} ${!hidden}`);
  }
  const requests = new Set(page.split("\n").filter((line) => /^[.']/.test(line)).map((line) => line.split(" ")[0]));
  expect([...requests].sort()).toEqual([".B", ".BR", ".I", ".PP", ".SH", ".SS", ".TH", ".TP", ".\\\"", ".br"]);
  expect(page).toContain('"tandem 1.2.3"');
  for (const word of ["SIGTERM", "SIGHUP", "SIGUSR2", "TANDEM_ADMIN_TOKEN", "TANDEM_ZONE", "NOTIFY_SOCKET"]) expect(page).toContain(word);
});
