// tandem status against a running proxy, and against what is none.
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { freePort, label, spawnMemcached } from "../support/memcached.ts";
import { type Ended, run, start } from "../support/program.ts";
import { serverStates, spawnTandem, tandemPath } from "../support/tandem.ts";

const { keep, stopAll } = keeper();
afterEach(stopAll);

const status = (...args: string[]): Promise<Ended> => run(tandemPath(), ["status", ...args]);
/** The process below pid that has none below itself. */
function childOf(pid: number): number {
  const below = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return below === "" ? pid : childOf(Number(below.split(" ")[0]));
}

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
    // Who looks is no client that makes mistakes.
    client.send("stats proxy\r\n");
    for (let line = ""; line !== "END"; line = await client.line(5000)) if (line.includes(" error_")) expect(line).toMatch(/ 0$/);
    client.close();
    const hurt = await status(label(tandem));
    expect([hurt.code, hurt.stderr]).toEqual([1, ""]);
    expect(hurt.stdout).toMatch(new RegExp(`^backup   ${label(backup)} +down +\\d+ s +\\w+ .* 3$`, "m"));
    const json = await status(label(tandem), "--json");
    expect(json.code).toBe(1);
    const report = JSON.parse(json.stdout) as { servers: { role: string; state: string; missedWrites: number }[] };
    expect(report.servers.map(({ role, state, missedWrites }) => `${role} ${state} ${missedWrites}`)).toEqual(["primary up 0", "backup down 3"]);
  });

  test("--watch looks again until a signal, and gives the terminal back", async () => {
    const primary = await keep(spawnMemcached());
    const tandem = await keep(spawnTandem(["-s", label(primary)]));
    const piped = start(tandemPath(), ["status", label(tandem), "--watch"]);
    await piped.said(/^tandem [^]*\ntandem [^]*\nmemory/);
    piped.kill("SIGINT");
    const ended = await piped.ended;
    expect([ended.code, ended.stderr, ended.stdout.includes("\x1b")]).toEqual([0, "", false]);

    // script(1) gives it a terminal.
    const shown = start("script", ["-qec", `${tandemPath()} status ${label(tandem)} --watch`, "/dev/null"]);
    try {
      // Each line in its place and none wrapped: what a low or narrow screen has no room for moves nothing else.
      const screens = await shown.said(/^\x1b\[\?1049h\x1b\[\?25l\x1b\[\?7l(\x1b\[1;1H\x1b\[2Ktandem [^]*?\x1b\[J){2}/);
      expect(screens[1]!.match(/\x1b\[\d+;1H/g)!.map((place) => parseInt(place.slice(2)))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(screens[1]).not.toContain("\n");
      await primary.stop();
      await shown.said(/\x1b\[31mdown/);
      process.kill(childOf(shown.pid), "SIGTERM");
      const { code, stdout } = await shown.ended;
      const [drawn, left] = stdout.split("\x1b[?7h\x1b[?25h\x1b[?1049l");
      expect([code, drawn!.includes("\x1b[?25l"), left!.includes("\x1b")]).toEqual([1, true, false]);
      expect(left).toMatch(/^tandem [^]* down /);
    } finally {
      shown.kill("SIGKILL");
    }
  });

  test("at the admin interface: rates and times; --json is /status; colours on a terminal alone", async () => {
    const primary = await keep(spawnMemcached());
    const backup = await keep(spawnMemcached());
    const place = `127.0.0.1:${await freePort()}`;
    const tandem = await keep(spawnTandem(["-s", label(primary), "-b", label(backup), "--admin", place]));
    const client = await Client.open(tandem.port);
    for (let i = 0; i < 50; i++) expect(await client.ask("set a 0 0 1\r\n1\r\n")).toBe("STORED");
    const calm = await status(place);
    expect([calm.code, calm.stderr]).toEqual([0, ""]);
    expect(calm.stdout).toMatch(new RegExp(`^tandem [0-9.]+ at ${place}, ready, for \\d+ s, 1 worker, `));
    expect(calm.stdout).toMatch(new RegExp(`^backup +${label(backup)} +up +\\d+ s +answers +1\\.\\S+ +[1-9]\\d* +[0-9.]+ +[0-9.]+ +0 +0 +0$`, "m"));
    expect(calm.stdout).toMatch(/^set +50 +[0-9.]+ +[0-9.]+ +[0-9.]+$/m);
    const json = JSON.parse((await status(place, "--json")).stdout) as { format: number; pools: { commands: { set: { count: number } } }[] };
    expect([json.format, json.pools[0]!.commands.set.count]).toEqual([1, 50]);

    const piped = start(tandemPath(), ["status", place, "--watch"]);
    await piped.said(/^tandem [^]*\n {9}server .* a second .*\n/m);
    piped.kill("SIGINT");
    const ended = await piped.ended;
    expect([ended.code, ended.stdout.includes("\x1b")]).toEqual([0, false]);
    const shown = start("script", ["-qec", `${tandemPath()} status ${place} --watch`, "/dev/null"]);
    try {
      await shown.said(/\x1b\[32mup\x1b\[0m/);
      await primary.stop();
      await shown.said(/\x1b\[31mdown\x1b\[0m/);
    } finally {
      shown.kill("SIGKILL");
    }
    client.close();
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
