// tandem ping against a running proxy: its exit codes tell trouble of the proxy from trouble of its servers.
import { afterEach, expect, test } from "bun:test";
import { keeper } from "../support/keeper.ts";
import { label, spawnMemcached } from "../support/memcached.ts";
import { type Ended, run } from "../support/program.ts";
import { spawnTandem, tandemPath } from "../support/tandem.ts";

const { keep, stopAll } = keeper();
afterEach(stopAll);
const ping = (...args: string[]): Promise<Ended> => run(tandemPath(), ["ping", ...args]);

test("0 through one server of two, 1 without any though the proxy still tells its version, 3 without the proxy", async () => {
  const primary = await keep(spawnMemcached());
  const backup = await keep(spawnMemcached());
  const tandem = await keep(spawnTandem(["-s", label(primary), "-b", label(backup)]));
  const place = label(tandem);
  const calm = await ping(place);
  expect([calm.code, calm.stderr]).toEqual([0, ""]);
  expect(calm.stdout).toMatch(new RegExp(`^${place}: answers in [\\d.]+ ms, its servers for 16 keys in [\\d.]+ ms, version 1\\.\\d+\\.\\d+\\n$`));
  await primary.stop();
  expect((await ping(place)).code).toBe(0);
  await backup.stop();
  const alone = await ping(place);
  expect([alone.code, alone.stdout]).toEqual([1, ""]);
  expect(alone.stderr).toMatch(new RegExp(`^tandem: ${place}: the proxy answers, but 16 of 16 keys have no server: tandem: no server can answer \\(primary .*\\)\\n$`));
  tandem.kill("SIGSTOP");
  expect(await ping(place, "--timeout", "100")).toMatchObject({ code: 3, stderr: `tandem: ${place}: does not answer within 100 ms\n` });
  await tandem.stop();
  expect(await ping(place)).toMatchObject({ code: 3, stderr: `tandem: ${place}: nobody listens there\n` });
  expect((await ping(place, "more")).code).toBe(2);
});
