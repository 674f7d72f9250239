// What scripts/test says at its end of what failed, from outputs of bun test and deno test as they were printed.
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";

const BUN = `bun test v1.4.5 (a7733435c)

tests/bytes/ascii.test.ts:
a log line of a test that passes

tests/support/zz.test.ts:
some log
3 | test("ok", () => {});
4 | test("a wrong", () => { console.log("some log"); expect(1).toBe(2); });
                                                               ^
error: expect(received).toBe(expected)

Expected: 2
Received: 1

      at <anonymous> (/x/tests/support/zz.test.ts:4:60)
(fail) outer > a wrong [1.01ms]
(fail) outer > slow [200.01ms]
  ^ this test timed out after 200ms.

 3 pass
 2 fail
 7 expect() calls
Ran 5 tests across 2 files. [266.00ms]
`;

const DENO = `.
!

 ERRORS${" "}

outer ... deep => ./tests/support/deno_shim.ts:54:23
error: Error: expected 1 to be 2
    at check (file:///x/tests/support/deno_shim.ts:82:11)

 FAILURES${" "}

outer ... deep => ./tests/support/deno_shim.ts:54:23

FAILED | 2 passed (1 step) | 1 failed (4 steps) (652ms)

error: Test failed
`;

function summary(output: string): string {
  return spawnSync("awk", ["-f", "scripts/test_failures.awk"], { input: output, encoding: "utf8" }).stdout;
}

test("bun: file, name and the error of each failed test, and nothing of others", () => {
  expect(summary(BUN)).toBe(`tests/support/zz.test.ts (fail) outer > a wrong [1.01ms]
    error: expect(received).toBe(expected)
    Expected: 2
    Received: 1
          at <anonymous> (/x/tests/support/zz.test.ts:4:60)
tests/support/zz.test.ts (fail) outer > slow [200.01ms]
      ^ this test timed out after 200ms.
`);
});

test("deno: name and error", () => {
  expect(summary(DENO)).toBe(`outer ... deep => ./tests/support/deno_shim.ts:54:23
    error: Error: expected 1 to be 2
        at check (file:///x/tests/support/deno_shim.ts:82:11)
`);
});

test("where no test failed, the last lines", () => {
  expect(summary("one\ntwo\n")).toBe("no test failed, but the output ended so:\n    one\n    two\n");
});

test("of a long line both ends", () => {
  const error = `error: began ${"x".repeat(2000)} ended`;
  const shown = summary(`tests/a.test.ts:\n${error}\n(fail) a\n`).split("\n")[1]!;
  expect(shown).toMatch(/^ {4}error: began x+ … x+ ended$/);
  expect(shown.length).toBeLessThan(800);
});

test("of a long error its first and last lines", () => {
  const lines = Array.from({ length: 40 }, (_none, at) => `+ ${at}`);
  const shown = summary(`tests/a.test.ts:\nerror: one\n${lines.join("\n")}\n(fail) a\n`).trim().split("\n").map((line) => line.trim());
  expect(shown).toEqual(["tests/a.test.ts (fail) a", "error: one", ...lines.slice(0, 9), "…", ...lines.slice(-5)]);
});
