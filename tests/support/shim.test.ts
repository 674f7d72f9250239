// The stand-in for bun:test under Deno lets no failing test pass.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Child } from "../contract/children.ts";

const here = new URL(".", import.meta.url).pathname;
const root = `${here}../..`;

test("under Deno every test that must fail does fail", async () => {
  const file = `${here}shim_failures.ts`;
  const expected = readFileSync(file, "utf8").match(/^ {2}\["|^test\(|^describe\(/gm)!.length;
  const deno = new Child([`${root}/node_modules/.bin/deno`, "test", "-A", "--no-check", "--config", `${root}/deno.json`, file], { env: { NO_COLOR: "1" } });
  expect(await deno.exit()).toBe(1);
  expect(deno.text).toMatch(new RegExp(`FAILED \\| 0 passed .*\\| ${expected} failed`));
}, 60_000);
