// Settings of the whole process that a reload finds changed.
import { expect, test } from "bun:test";
import { leftOf, PROCESS_WIDE } from "../../src/cli/left.ts";
import { OPTIONS } from "../../src/cli/options.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { readServe, type ServeSettings } from "../../src/cli/settings.ts";
import { problemLine } from "../../src/config/problem.ts";
import { FakePlatform } from "../support/fake_platform.ts";

function settings(...args: string[]): ServeSettings {
  const line = parseCommandLine(["-s", "a:1", ...args]);
  if (!line.ok) throw new Error(problemLine(line.problem));
  const read = readServe(new FakePlatform().host, line.value.flags, "tandem");
  if (!read.ok) throw new Error(read.problems.map(problemLine).join("\n"));
  return read.value;
}

const left = (before: string[], after: string[]): string[] => leftOf(settings(...before), settings(...after)).map(({ change, by }) => `${change}: ${by}`);

test("every setting of the whole process is looked at, but for the zone, which pools have", () => {
  const keys = OPTIONS.filter(({ scope, key }) => scope === "process" && key !== "" && key !== "zone").map(({ key }) => key);
  expect(Object.keys(PROCESS_WIDE).sort()).toEqual(keys.sort());
});

test("nothing is left of what a reload takes", () => {
  expect(left([], ["-p", "5", "-n", "7", "-s", "b:1", "--timeout", "5", "--zone", "north"])).toEqual([]);
});

test("each is named with what takes it", () => {
  expect(left(["-u", "a"], [
    "--workers", "auto", "--drain", "5000", "-u", "b", "-g", "c", "-d", "--pid-file", "/p", "--log-file", "/l", "--log-rotate", "1k,2", "--log-format", "json", "-vv",
    "--admin", "127.0.0.1:5", "--admin-token-file", "/t",
  ])).toEqual([
    "workers auto instead of 1: tandem upgrade", "drain 5000ms instead of 30000ms: tandem upgrade", "user b instead of a: a restart", "group c instead of none: a restart",
    "daemon true instead of false: a restart", "pid_file /p instead of none: a restart", "log_file /l instead of none: tandem upgrade",
    "log_rotate 1024,2 instead of none: tandem upgrade", "log_format json instead of text: tandem upgrade", "verbose 2 instead of 0: tandem upgrade",
    "admin 127.0.0.1:5 instead of 127.0.0.1:12080: SIGUSR2 (an upgrade)", "admin_token_file /t instead of none: SIGUSR2 (an upgrade)",
  ]);
  expect(left(["--admin", "off"], [])).toEqual(["admin 127.0.0.1:12080 instead of off: SIGUSR2 (an upgrade)"]);
});
