// tandem watch beside a real proxy and real servers: the file that Keepalived tracks.
import { afterAll, afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keeper } from "../support/keeper.ts";
import { label, spawnMemcached } from "../support/memcached.ts";
import { run, type Running, start } from "../support/program.ts";
import { spawnTandem, tandemPath } from "../support/tandem.ts";

const { begun, keep, stopAll } = keeper();
/** Where a proxy must not be found silent because the machine is busy, ms. */
const SILENT_MS = 10_000;
const PATIENT = ["--timeout", String(SILENT_MS)];
const dir = mkdtempSync(join(tmpdir(), "tandem-watch-"));
const file = join(dir, "state");
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(async () => {
  await stopAll();
  rmSync(file, { force: true });
});
const watch = (...args: string[]): Running => begun(start(tandemPath(), ["watch", "--track-file", file, ...args]));
const state = (): string => readFileSync(file, "utf8");

test("the address comes after a second of answers, goes when the proxy is killed, and stays while all servers are down", async () => {
  const primary = await keep(spawnMemcached());
  const backup = await keep(spawnMemcached());
  const tandem = await keep(spawnTandem(["-s", label(primary), "-b", label(backup)]));
  const watching = watch(label(tandem), "--back-after", "300", ...PATIENT);
  await watching.said(/watching proxy=\S+ track_file=\S+ address="not yet"/);
  expect(state()).toBe("1\n");
  await watching.said(/address may be here/);
  expect(state()).toBe("0\n");
  await primary.stop();
  await backup.stop();
  await tandem.said(/server is down[^]*server is down/);
  // A file that somebody removed is written again, with what it said.
  rmSync(file);
  while (!existsSync(file) || state() === "") await new Promise((resolve) => setTimeout(resolve, 20));
  expect(state()).toBe("0\n");

  // Another watch after this one takes over what it said.
  watching.kill("SIGTERM");
  expect((await watching.ended).code).toBe(0);
  expect(state()).toBe("0\n");
  const next = watch(label(tandem), "--back-after", "300", ...PATIENT);
  await next.said(/address="may be here"/);
  const killed = performance.now();
  tandem.kill("SIGKILL");
  // The connection that is lost with it is tried again at once: reset, when its port is closed only in the middle of that.
  await next.said(/address must go proxy=\S+ reason=(refused|reset)\b/);
  expect(state()).toBe("1\n");
  // By the connection, long before it would be silent.
  expect(performance.now() - killed).toBeLessThan(SILENT_MS / 2);
});

test("a proxy that is stopped is silent, and trusted again once it answers", async () => {
  const server = await keep(spawnMemcached());
  const tandem = await keep(spawnTandem(["-s", label(server)]));
  const watching = watch(label(tandem), "--back-after", "200");
  await watching.said(/address may be here/);
  tandem.kill("SIGSTOP");
  await watching.said(/address must go \S+ reason=silent/);
  expect(state()).toBe("1\n");
  tandem.kill("SIGCONT");
  await watching.said(/must go[^]*may be here/);
  expect(state()).toBe("0\n");
});

test("asked wrongly: one line a problem, 2; a file that cannot be written: 1", async () => {
  const bad = await run(tandemPath(), ["watch", "127.0.0.1:99999", "--hear", "x:0"]);
  expect([bad.code, bad.stderr.trim().split("\n")]).toEqual([2, [
    "tandem: watch 127.0.0.1:99999: has no such port; allowed: a port of 1 to 65535",
    "tandem: --hear x:0: has no such port; allowed: a port of 1 to 65535",
    "tandem: --track-file: is needed; allowed: a file that Keepalived tracks",
  ]]);
  const nowhere = await run(tandemPath(), ["watch", "--track-file", join(dir, "missing", "state")]);
  expect(nowhere.code).toBe(1);
  expect(nowhere.stderr).toMatch(/^tandem: --track-file \S+: cannot be written: .*ENOENT/);
});
