// What the name we were called by makes of a command line.
import { describe, expect, test } from "bun:test";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { readServe, type ServeSettings } from "../../src/cli/settings.ts";
import { problemLine } from "../../src/config/problem.ts";
import { FakePlatform } from "../support/fake_platform.ts";

function settings(called: "tandem" | "magent", ...args: string[]): ServeSettings {
  const line = parseCommandLine(["-s", "a:1", ...args]);
  if (!line.ok) throw new Error(problemLine(line.problem));
  const read = readServe(new FakePlatform().host, line.value.flags, called);
  if (!read.ok) throw new Error(read.problems.map(problemLine).join("\n"));
  return read.value;
}

function problem(...args: string[]): string {
  try {
    settings("tandem", ...args);
    return "taken";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
}

describe("called tandem", () => {
  test("places by libketama, with -k or without", () => {
    expect(settings("tandem").config.pools[0]!.ring).toBe("libketama");
    expect(settings("tandem", "-k").config.pools[0]!.ring).toBe("libketama");
  });
  test("stays in front unless -d", () => {
    expect(settings("tandem").background).toBe(false);
    expect(settings("tandem", "-D").background).toBe(false);
    expect(settings("tandem", "-d", "-v").background).toBe(true);
  });
  test("has the defaults that the README names", () => {
    const { config, verbosity } = settings("tandem");
    const pool = config.pools[0]!;
    expect(pool.listen).toEqual([{ kind: "tcp", host: "0.0.0.0", port: 11211 }]);
    expect(pool.clientsMax).toBe(4096);
    expect(pool.unixMode).toBe(0o700);
    expect(config.pools[0]!.lanes).toBe(1);
    expect(config.pools[0]!.ack).toBe("both");
    expect(config.pools[0]!.connectTimeoutMs).toBe(300);
    expect(config.pools[0]!.requestTimeoutMs).toBe(300);
    expect(config.pools[0]!.itemBytesMax).toBe(1 << 30);
    expect(verbosity).toBe(0);
  });
});

describe("called magent", () => {
  test("places by modulo, with -k by magent's ring, and --ring overrules", () => {
    expect(settings("magent").config.pools[0]!.ring).toBe("magent-modulo");
    expect(settings("magent", "-k").config.pools[0]!.ring).toBe("magent");
    expect(settings("magent", "-k", "--ring", "twemproxy").config.pools[0]!.ring).toBe("twemproxy");
  });
  test("goes to the background unless -D or -v", () => {
    expect(settings("magent").background).toBe(true);
    expect(settings("magent", "-D").background).toBe(false);
    expect(settings("magent", "-v").background).toBe(false);
    expect(settings("magent", "-v", "-d").background).toBe(true);
  });
});

test("flags that contradict each other", () => {
  expect(problem("-d", "-D")).toBe("-d: contradicts -D; allowed: one of them");
  expect(problem("-g", "x")).toBe("-g x: given without -u; allowed: -u user -g group");
  expect(problem("--log-file", "x", "--log-rotate", "64m,5")).toBe("taken");
  expect(problem("--log-rotate", "64m,5")).toMatch(/^--log-rotate 64m,5: given without a file; allowed: /);
  expect(problem("--log-file", "syslog", "--log-rotate", "64m,5")).toMatch(/^--log-rotate 64m,5: given without a file; /);
  for (const wrong of ["64m", "100,5", "64m,0", "64m,1001", "64t,5", "-1,5", "64m,5,6"]) {
    expect(problem("--log-file", "x", "--log-rotate", wrong)).toMatch(/: is no size and number; allowed: SIZE,COUNT: /);
  }
  expect(problem("-u", "nobody", "-g", "x", "-d", "--log-file", "x")).toBe("taken");
});
