// tandem status against a running proxy, and against what is none.
import { afterEach, describe, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { freePort, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { type Ended, run } from "../support/program.ts";
import { serverStates, spawnTandem, tandemPath } from "../support/tandem.ts";

const running: Spawned[] = [];
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});
async function keep<T extends Spawned>(starting: Promise<T>): Promise<T> {
  const started = await starting;
  running.push(started);
  return started;
}

const status = (...args: string[]): Promise<Ended> => run(tandemPath(), ["status", ...args]);
const label = ({ host, port }: Spawned): string => `${host}:${port}`;

describe("tandem status", () => {
  test("all up: 0; one lost: 1, with what it missed; as a table and as JSON", async () => {
    const primary = await keep(spawnMemcached());
    const backup = await keep(spawnMemcached());
    const tandem = await keep(spawnTandem(["-s", label(primary), "-b", label(backup)]));
    const calm = await status(label(tandem));
    expect([calm.code, calm.stderr]).toEqual([0, ""]);
    expect(calm.stdout).toMatch(new RegExp(`^primary  ${label(primary)} +up +\\d+ s +answers +1\\.\\d`, "m"));
    expect(calm.stdout).toMatch(new RegExp(`^backup   ${label(backup)} +up `, "m"));

    const client = await Client.open(tandem.port);
    await backup.stop();
    while ((await serverStates(client))[1] !== "down");
    for (const key of ["a", "b", "c"]) expect(await client.ask(`set ${key} 0 0 1\r\n1\r\n`)).toBe("STORED");
    client.close();
    const hurt = await status(label(tandem));
    expect([hurt.code, hurt.stderr]).toEqual([1, ""]);
    expect(hurt.stdout).toMatch(new RegExp(`^backup   ${label(backup)} +down +\\d+ s +\\w+ .* 3$`, "m"));
    const json = await status(label(tandem), "--json");
    expect(json.code).toBe(1);
    const report = JSON.parse(json.stdout) as { servers: { role: string; state: string; missedWrites: number }[] };
    expect(report.servers.map(({ role, state, missedWrites }) => `${role} ${state} ${missedWrites}`)).toEqual(["primary up 0", "backup down 3"]);
  });

  test("nobody there, no tandem, no answer: 3 with one line; a bad address: 2", async () => {
    const memcached = await keep(spawnMemcached());
    const foreign = await status(label(memcached));
    expect([foreign.code, foreign.stdout, foreign.stderr]).toEqual([3, "", `tandem: ${label(memcached)}: answers, but is no tandem\n`]);
    const nobody = `127.0.0.1:${await freePort()}`;
    expect(await status(nobody)).toMatchObject({ code: 3, stdout: "", stderr: `tandem: ${nobody}: nobody listens there\n` });
    memcached.kill("SIGSTOP");
    const silent = await status(label(memcached));
    expect([silent.code, silent.stderr]).toEqual([3, `tandem: ${label(memcached)}: does not answer within 3000 ms\n`]);
    expect(await status("127.0.0.1:99999")).toMatchObject({ code: 2, stdout: "" });
    expect(await status("127.0.0.1", "more")).toMatchObject({ code: 2, stdout: "" });
    expect(await status("--rate", "5")).toMatchObject({ code: 2, stdout: "" });
  });
});
