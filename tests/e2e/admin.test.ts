// The admin interface of the binary, asked by a real HTTP client.
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keeper } from "../support/keeper.ts";
import { freePort, label, spawnMemcached } from "../support/memcached.ts";
import { run } from "../support/program.ts";
import { spawnTandem, tandemPath } from "../support/tandem.ts";

const { keep, stopAll } = keeper();
const dir = mkdtempSync(join(tmpdir(), "tandem-admin-"));
afterEach(stopAll);
process.once("exit", () => rmSync(dir, { recursive: true, force: true }));

describe("admin interface", () => {
  test("page, status, metrics, health; ready until a pair is lost", async () => {
    const primary = await keep(spawnMemcached());
    const backup = await keep(spawnMemcached());
    const place = `127.0.0.1:${await freePort()}`;
    const tandem = await keep(spawnTandem(["-s", label(primary), "-b", label(backup), "--admin", place]));
    const ask = async (path: string, init?: RequestInit) => {
      const answer = await fetch(`http://${place}${path}`, init);
      return { code: answer.status, type: answer.headers.get("content-type"), text: await answer.text() };
    };
    expect(await ask("/")).toMatchObject({ code: 200, type: "text/html; charset=utf-8" });
    const status = JSON.parse((await ask("/status")).text) as { format: number; ready: boolean; workers: { pid: number }[]; pools: { listening: string[] }[] };
    expect([status.format, status.ready, status.workers[0]!.pid, status.pools[0]!.listening]).toEqual([1, true, tandem.pid, [label(tandem)]]);
    const metrics = await ask("/metrics");
    expect(metrics.text).toMatch(new RegExp(`^tandem_server_state\\{pool="main",server="${label(primary)}",role="primary",state="up"\\} 1$`, "m"));
    expect(metrics.text).toMatch(/^tandem_build_info\{version="[0-9.]+",commit="[0-9a-f]{40}(-dirty)?",target="linux-\w+/m);
    expect([await ask("/readyz"), await ask("/healthz")]).toEqual([
      { code: 200, type: "text/plain; charset=utf-8", text: "ready\n" }, { code: 200, type: "text/plain; charset=utf-8", text: "ok\n" },
    ]);
    await primary.stop();
    await backup.stop();
    await tandem.said(new RegExp(`server is down server=${label(primary)}`));
    await tandem.said(new RegExp(`server is down server=${label(backup)}`));
    expect(await ask("/readyz")).toMatchObject({ code: 503, text: `no server of the pair ${label(primary)} ${label(backup)}\n` });
    expect((await ask("/nowhere")).code).toBe(404);
  });

  test("a token from a file or from the environment", async () => {
    const memcached = await keep(spawnMemcached());
    const file = join(dir, "token");
    writeFileSync(file, "secret-1\n");
    const place = `127.0.0.1:${await freePort()}`;
    const tandem = await keep(spawnTandem(["-s", label(memcached), "--admin", place, "--admin-token-file", file]));
    const code = async (headers: Record<string, string>): Promise<number> => (await fetch(`http://${place}/status`, { headers })).status;
    expect([await code({}), await code({ Authorization: "Bearer secret-2" }), await code({ Authorization: "Bearer secret-1" })]).toEqual([401, 401, 200]);
    const told = async (...words: string[]) => {
      const { code, stderr } = await run(tandemPath(), words);
      return `${code} ${stderr.trimEnd()}`;
    };
    const wanted = `3 tandem: ${place}: wants a token, or another one: --admin-token-file, or TANDEM_ADMIN_TOKEN in the environment`;
    for (const words of [["status", place], ...["reload", "upgrade"].map((verb) => [verb, "--admin", place]), ["drain", label(memcached), "--admin", place]]) {
      expect(await told(...words)).toBe(wanted);
    }
    expect(await told("status", place, "--admin-token-file", file)).toBe("0 ");
    expect(await told("reload", "--admin", place, "--admin-token-file", file)).toContain("started without -c");
    // The other place of a proxy is soon known to be none.
    expect(await told("reload", "--admin", label(tandem))).toBe(`3 tandem: ${label(tandem)}: does not speak HTTP: is it where clients connect?`);
    expect((await run(tandemPath(), ["check", "--against", place])).stdout).toContain(`${place}: does not speak memcached's protocol`);
    const none = await run(tandemPath(), ["-s", label(memcached), "-p", "0", "-f", join(dir, "s"), "--admin", "127.0.0.1:0", "--admin-token-file", join(dir, "nothing")]);
    expect([none.code, none.stderr.includes("--admin")]).toEqual([2, true]);
    const missing = await run(tandemPath(), ["-s", label(memcached), "-p", "0", "-f", join(dir, "s"), "--admin", join(dir, "a"), "--admin-token-file", join(dir, "nothing")]);
    expect([missing.code, missing.stderr]).toMatchObject([1, `tandem: --admin-token-file ${join(dir, "nothing")}: cannot be read: ENOENT: no such file or directory, open '${join(dir, "nothing")}'\n`]);
  });

  test("where any host may ask without a token the log warns, and with one or on this host alone it does not", async () => {
    const memcached = await keep(spawnMemcached());
    const warning = /WARN admin interface does without a token what any host asks/;
    const start = async (host: string, env = {}) => {
      const tandem = await keep(spawnTandem(["-s", label(memcached), "--admin", `${host}:${await freePort()}`], "", env));
      await tandem.said(/ admin interface /);
      return warning.test(tandem.log());
    };
    expect([await start("0.0.0.0"), await start("0.0.0.0", { TANDEM_ADMIN_TOKEN: "x" }), await start("127.0.0.1")]).toEqual([true, false, false]);
  });

  test("a unix socket, for its owner alone", async () => {
    const memcached = await keep(spawnMemcached());
    const path = join(dir, "admin.sock");
    await keep(spawnTandem(["-s", label(memcached), "--admin", path]));
    expect([existsSync(path), statSync(path).mode & 0o777]).toEqual([true, 0o600]);
    expect(await (await fetch("http://localhost/readyz", { unix: path })).text()).toBe("ready\n");
  });

  test("a taken place: an error when it was asked for, else a line in the log", async () => {
    const memcached = await keep(spawnMemcached());
    // Whoever holds it, it is held.
    const holder = Bun.listen({ hostname: "127.0.0.1", port: await freePort(), socket: { data() {} } });
    const place = `127.0.0.1:${holder.port}`;
    const asked = await run(tandemPath(), ["-s", label(memcached), "-l", "127.0.0.1", "-p", String(await freePort()), "--admin", place]);
    expect(asked).toMatchObject({ code: 1 });
    expect(asked.stderr).toContain(`tandem: --admin ${place}: cannot listen: something listens there already\n`);
    holder.stop(true);
    const port = await freePort();
    const words = ["-s", label(memcached), "-l", "127.0.0.1"];
    let first: Awaited<ReturnType<typeof start>> | null = null;
    try {
      first = await start([...words, "-p", String(port)]);
      const second = await start([...words, "-p", String(await freePort())]);
      expect(second.log).toContain("WARN no admin interface address=127.0.0.1:12080 reason=\"something listens there already\"");
      second.kill();
    } finally {
      first?.kill();
    }
  });
});

/** A tandem that was not told anything of an admin interface, once it is listening. */
async function start(args: string[]): Promise<{ log: string; kill(): void }> {
  const child = Bun.spawn([tandemPath(), ...args], { stderr: "pipe", stdout: "ignore" });
  let log = "";
  for await (const chunk of child.stderr) {
    log += new TextDecoder().decode(chunk);
    if (/ (no )?admin interface /.test(log)) break;
  }
  return { log, kill: () => child.kill("SIGKILL") };
}
