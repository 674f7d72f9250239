// tandem is killed while it alone knows what a server missed, and started again: nothing stale is read when that server
// comes back. The compiled binary with real memcacheds.
import { afterEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "../support/client.ts";
import { spawnMemcached, type Spawned } from "../support/memcached.ts";
import { standsStill } from "../support/program.ts";
import { serverStates, spawnTandem, STEADY, type Tandem, tandemPath } from "../support/tandem.ts";

const open: (Client | Spawned)[] = [];
function held<T extends Client | Spawned>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) {
    if ("stop" in thing) {
      thing.kill("SIGCONT");
      await thing.stop();
    } else thing.close();
  }
});

const KEYS = 60;

interface Stage {
  readonly primary: Spawned;
  readonly backup: Spawned;
  readonly args: readonly string[];
  readonly tandem: Tandem;
}

/** Every key is old on both sides; then the primary stops, and what is even becomes new, what is odd is deleted. */
async function missing(more: readonly string[] = []): Promise<Stage> {
  const primary = held(await spawnMemcached()), backup = held(await spawnMemcached());
  const args = ["-s", `127.0.0.1:${primary.port}`, "-b", `127.0.0.1:${backup.port}`, ...STEADY, ...more];
  const tandem = held(await spawnTandem(args));
  const client = held(await Client.open(tandem.port));
  for (let i = 0; i < KEYS; i++) expect(await client.ask(`set k${i} 0 0 3\r\nold\r\n`)).toBe("STORED");
  await standsStill(primary.pid); // or it would take some of what it is to miss
  for (let i = 0; i < KEYS; i++) {
    if (i % 2 === 0) expect(await client.ask(`set k${i} 0 0 3\r\nnew\r\n`)).toBe("STORED");
    else expect(await client.ask(`delete k${i}\r\n`)).toBe("DELETED");
  }
  return { primary, backup, args, tandem };
}

/** Reads every key until the primary is trusted again, and once more then; how many reads there were. */
async function readsAreNew(tandem: Tandem, until: string, even = "new"): Promise<number> {
  const client = held(await Client.open(tandem.port));
  const began = performance.now();
  for (let rounds = 1, last = false; ; rounds++) {
    for (let i = 0; i < KEYS; i++) {
      const { values } = await client.fetch(`get k${i}\r\n`);
      const read = values.map(({ bytes }) => new TextDecoder().decode(bytes)).join(",");
      expect(`k${i} ${read}`).toBe(`k${i} ${i % 2 === 0 ? even : ""}`);
    }
    if (last) return rounds * KEYS;
    last = (await serverStates(client)).join(" ") === until;
    if (performance.now() - began > 20_000) throw new Error(`not ${until} after 20 s:\n${tandem.log()}`);
  }
}

describe("tandem is ended while the primary is stopped, and started again", () => {
  test("killed; the primary goes on after the start: no stale read, no deleted key comes back, only what was missed is copied", async () => {
    const stage = await missing();
    await stage.tandem.stop();
    const second = held(await spawnTandem(stage.args, "down up"));
    stage.primary.kill("SIGCONT");
    console.log(`${await readsAreNew(second, "up up")} reads`);
    expect(second.log()).toMatch(new RegExp(`missed writes were known to an earlier proxy server=127.0.0.1:${stage.primary.port} keys=${KEYS}`));
    expect(second.log()).not.toContain("scope=comparison");
  }, 60_000);

  test("killed; the primary goes on before the start", async () => {
    const stage = await missing();
    await stage.tandem.stop();
    stage.primary.kill("SIGCONT");
    const second = held(await spawnTandem(stage.args, "any"));
    await readsAreNew(second, "up up");
    expect(second.log()).toContain("missed writes were known to an earlier proxy");
    expect(second.log()).not.toContain("all of it is compared");
  }, 60_000);

  test("ended in order; a chunk of hints is gone: all is compared, and the log says why", async () => {
    const stage = await missing();
    stage.tandem.kill("SIGTERM");
    await stage.tandem.exited;
    stage.primary.kill("SIGCONT");
    const direct = held(await Client.open(stage.backup.port));
    expect(await direct.ask(`delete ${await own(direct, "__tandem:h:")}\r\n`)).toBe("DELETED");
    const second = held(await spawnTandem(stage.args, "any"));
    await readsAreNew(second, "up up");
    expect(second.log()).toMatch(/all of it is compared .*hints on \S+ are missing/);
    // Nothing is left of it once the primary is trusted again.
    await settles(async () => (await own(direct, "__tandem:m:")) === "" && (await own(direct, "__tandem:h:")) === "");
  }, 60_000);

  test("the primary is started again while nobody looks: it is filled, and no key is missed", async () => {
    const stage = await missing();
    await stage.tandem.stop();
    await stage.primary.stop();
    held(await spawnMemcached({ port: stage.primary.port }));
    const second = held(await spawnTandem(stage.args, "any"));
    await readsAreNew(second, "up up");
    expect(second.log()).toContain("server lost its memory while no proxy looked");
  }, 60_000);
});

describe("with --state-dir the backup, which took the writes, is started again as well", () => {
  const dirs: string[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  });
  const stateDir = (): string => {
    dirs.push(mkdtempSync(join(tmpdir(), "tandem-state-")));
    return dirs.at(-1)!;
  };
  /** tandem and the backup are gone at once; the primary goes on, and both come again. */
  async function allGone(dir: string, hurt: (path: string) => void, workers: readonly string[] = []): Promise<Tandem> {
    const stage = await missing(["--state-dir", dir, ...workers]);
    await stage.tandem.stop();
    await stage.backup.stop();
    const files = readdirSync(dir);
    expect(files.length).toBe(workers.length === 0 ? 1 : 2);
    for (const file of files) hurt(join(dir, file));
    held(await spawnMemcached({ port: stage.backup.port }));
    stage.primary.kill("SIGCONT");
    return held(await spawnTandem(stage.args, "any"));
  }

  test("what it alone held is a miss, and nothing old is read; the file goes when it is not needed", async () => {
    const dir = stateDir();
    const second = await allGone(dir, () => {});
    console.log(`${await readsAreNew(second, "up up", "")} reads`);
    expect(second.log()).toMatch(/what servers lacked was written down by an earlier proxy .*keys=60/);
    await settles(async () => readdirSync(dir).length === 0, 20_000);
  }, 60_000);

  test("with two workers each has written down all of it", async () => {
    const second = await allGone(stateDir(), () => {}, ["--workers", "2"]);
    await readsAreNew(second, "up up", "");
  }, 60_000);

  test("a file that is damaged is not trusted: all is compared, and the log says why", async () => {
    const second = await allGone(stateDir(), (path) => writeFileSync(path, readFileSync(path, "latin1").replace("key", "kex")));
    expect((await second.said(/a state file cannot be trusted.*/))[0]).toContain("is damaged");
    await second.said(/all keys are compared differing/, 0, 20_000);
  }, 60_000);

  test("a directory that cannot be written is one line before anything starts", () => {
    const { status, stderr } = spawnSync(tandemPath(), ["-s", "127.0.0.1:1", "-b", "127.0.0.1:2", "--state-dir", "/nowhere/state"], { encoding: "utf8" });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^tandem: --state-dir \/nowhere\/state: cannot be written \(.*\); allowed: a directory that exists and that we may write\n$/);
  });
});

/** The key of one item of tandem's own that begins so, or "". */
async function own(direct: Client, begin: string): Promise<string> {
  direct.send("lru_crawler metadump all\r\n");
  let found = "";
  for (let line = ""; line !== "END"; ) {
    line = await direct.line(2000);
    const key = decodeURIComponent(/^key=(\S+)/.exec(line)?.[1] ?? "");
    if (key.startsWith(begin)) found = key;
  }
  return found;
}

async function settles(holds: () => Promise<boolean>, withinMs = 5000): Promise<void> {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > withinMs) throw new Error(`not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
