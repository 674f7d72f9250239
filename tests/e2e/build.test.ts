// scripts/build and scripts/start: equal builds wherever the checkout lies, and Deno's as far as it goes.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client } from "../support/client.ts";
import { freePort, spawnMemcached } from "../support/memcached.ts";
import { run, start } from "../support/program.ts";

const ROOT = resolve(import.meta.dir, "../..");
const INPUTS = [
  "src", "package.json", "package-lock.json", "tsconfig.json", "scripts/build", "scripts/build.ts", "scripts/setup", "scripts/start",
];

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "tandem-build-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A checkout without git, elsewhere: its packages are hard links where the file system allows, so it costs little. */
async function checkout(name: string): Promise<string> {
  const copy = join(dir, name);
  mkdirSync(join(copy, "scripts"), { recursive: true });
  for (const each of INPUTS) cpSync(join(ROOT, each), join(copy, each), { recursive: true });
  const linked = await run("cp", ["-al", join(ROOT, "node_modules"), copy]);
  if (linked.code !== 0) expect((await run("cp", ["-a", join(ROOT, "node_modules"), copy])).code).toBe(0);
  return copy;
}

describe("with Bun", () => {
  test("two builds in different directories are equal byte by byte, and scripts/start builds and runs", async () => {
    const first = await checkout("a");
    const second = await checkout("somewhere/else");
    const built = await run(join(first, "scripts/build"), []);
    expect(`${built.code} ${built.stderr}`).toMatch(/^0 /);
    const begun = await run(join(second, "scripts/start"), ["version"], { cwd: dir });
    expect(begun.stdout).toMatch(/^tandem .*\ncommit unknown\n/);
    expect(begun.code).toBe(0);
    const [a, b] = [first, second].map((copy) => readFileSync(join(copy, "dist/tandem")));
    expect(a!.length).toBeGreaterThan(1_000_000);
    expect(Buffer.compare(a!, b!)).toBe(0);
    // Nothing is built again when nothing has changed.
    const before = statSync(join(second, "dist/tandem")).mtimeMs;
    expect((await run(join(second, "scripts/start"), ["version"])).stderr).toBe("");
    expect(statSync(join(second, "dist/tandem")).mtimeMs).toBe(before);
  }, 120_000);

  test("an unknown flag is code 2", async () => {
    const { code, stderr } = await run(join(ROOT, "scripts/build"), ["--fast"]);
    expect(stderr).toBe("scripts/build: --fast: unknown flag; allowed: --all, --deno, --outdir DIR\n");
    expect(code).toBe(2);
  });
});

describe("with Deno", () => {
  const deno = join(ROOT, "node_modules/.bin/deno");
  const FLAGS = ["run", "--allow-all", "--unstable-net"];

  test("the bundle is made and serves; the binary too, where Deno's base binary can be fetched", async () => {
    const { code, stderr } = await run(join(ROOT, "scripts/build"), ["--deno", "--outdir", dir]);
    const bundle = join(dir, "tandem.deno.js");
    if (code === 3) {
      console.log("the Deno binary was not made: its base binary cannot be fetched from here");
      expect(stderr).toMatch(/\nscripts\/build: deno compile needs its base binary, [^\n]*: https:\S+; use the bundle above\n$/);
    } else {
      expect(`${code} ${stderr}`).toMatch(/^0 /);
      expect((await run(join(dir, "tandem-deno"), ["version"])).stdout).toMatch(/\nruntime deno /);
    }
    expect(existsSync(bundle)).toBe(true);
    // Away from the repository, so that nothing of its node_modules can help.
    expect((await run(deno, [...FLAGS, bundle, "version"], { cwd: dir })).stdout).toMatch(/^tandem .*\ncommit .*\nruntime deno /);
    await serves([...FLAGS, bundle], dir);
  }, 60_000);

  test("the source serves", async () => {
    await serves([...FLAGS, join(ROOT, "src/main.deno.ts")], ROOT);
  }, 60_000);

  async function serves(args: readonly string[], cwd: string): Promise<void> {
    const memcached = await spawnMemcached();
    const port = await freePort();
    const child = start(deno, [...args, "-l", "127.0.0.1", "-p", String(port), "-s", `127.0.0.1:${memcached.port}`], { cwd });
    try {
      await child.said(/ INFO server is up /);
      const client = await Client.open(port);
      expect(await client.ask("set a 0 0 1\r\nx\r\n")).toBe("STORED");
      expect((await client.fetch("get a\r\n")).values.length).toBe(1);
      client.close();
      child.kill("SIGTERM");
      expect((await child.ended).code).toBe(0);
    } finally {
      child.kill("SIGKILL");
      await memcached.stop();
    }
  }
});
