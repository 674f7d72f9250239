// tandem as a service of systemd: what it tells the manager, sockets that were bound before it began, and units that
// systemd finds nothing wrong with.
import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { freePort, spawnMemcached } from "../support/memcached.ts";
import { gone, run, type Running, start } from "../support/program.ts";
import { tandemPath } from "../support/tandem.ts";

const PACKAGE = resolve("scripts/debian");
const { begun, keep, stopAll } = keeper();
const dir = mkdtempSync(join(tmpdir(), "tandem-service-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(stopAll);
const begin = (...of: Parameters<typeof start>): Running => begun(start(...of));

/** A manager at path; its programs' words come on its stdout. */
async function manager(path: string): Promise<Running> {
  const listening = begin("python3", ["tests/support/datagram_socket.py", path]);
  await listening.said(/"bound"\n/);
  return listening;
}

for (const kind of ["a path", "an abstract name"]) {
  test(`the manager hears when it serves, that it lives, and that it stops; through ${kind}`, async () => {
    const path = kind === "a path" ? join(dir, "notify") : `@tandem-test-${process.pid}`;
    const heard = await manager(path);
    const server = await keep(spawnMemcached());
    const port = await freePort();
    const tandem = begin(tandemPath(), ["-l", "127.0.0.1", "-p", String(port), "-s", `127.0.0.1:${server.port}`], {
      env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: "100000" },
    });
    await heard.said(new RegExp(`"READY=1\\\\nSTATUS=listening on 127.0.0.1:${port}"\n`));
    // Once ready a client can connect.
    const client = await Client.open(port);
    expect(await client.ask("version\r\n")).toMatch(/^VERSION/);
    await heard.said(/("WATCHDOG=1"\n){3}/);
    tandem.kill("SIGSTOP");
    tandem.kill("SIGCONT");
    tandem.kill("SIGTERM");
    await heard.said(/"STOPPING=1"\n/);
    client.close();
    expect((await tandem.ended).code).toBe(0);
  });
}

test("tandem watch is such a service too; a manager that went away is no reason to end", async () => {
  const path = join(dir, "notify-watch");
  const heard = await manager(path);
  const watch = begin(tandemPath(), ["watch", "127.0.0.1:1", "--track-file", join(dir, "state")], {
    env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: "100000" },
  });
  await heard.said(/"READY=1\\nSTATUS=watching 127.0.0.1:1"\n"WATCHDOG=1"\n"WATCHDOG=1"\n/);
  heard.kill("SIGKILL");
  await heard.ended;
  rmSync(path);
  await watch.said(/service manager cannot be told/);
  watch.kill("SIGTERM");
  expect((await watch.ended).code).toBe(0);
});

test("a socket that the manager bound is served, and one that is not among the addresses refused by name", async () => {
  if (Bun.which("systemd-socket-activate") === null) return console.log("not run: systemd-socket-activate is missing");
  const server = await keep(spawnMemcached());
  const port = await freePort();
  const flags = ["-l", "127.0.0.1", "-p", String(port), "-s", `127.0.0.1:${server.port}`];
  const activated = begin("systemd-socket-activate", ["-l", `127.0.0.1:${port}`, tandemPath(), ...flags]);
  await activated.said(/Listening on/);
  // The first connection starts it, and waits in the socket until it serves.
  const first = await Client.open(port);
  expect(await first.ask("set a 0 0 1\r\n1\r\n", 5000)).toBe("STORED");
  const second = await Client.open(port);
  expect(await second.ask("version\r\n")).toMatch(/^VERSION/);
  first.close();
  second.close();

  const other = await freePort();
  const astray = begin("systemd-socket-activate", ["-l", `127.0.0.1:${other}`, tandemPath(), "-l", "127.0.0.1", "-p", String(await freePort()), "-s", `127.0.0.1:${server.port}`]);
  await astray.said(/Listening on/);
  const waiting = await Client.open(other);
  const ended = await astray.ended;
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain(`tandem: 127.0.0.1:${other} was bound for this process (LISTEN_FDS), which is not to listen there\n`);
  waiting.close();
});

test("systemd finds nothing wrong with the units", async () => {
  if (Bun.which("systemd-analyze") === null) return console.log("not run: systemd-analyze is missing");
  const units = readdirSync(PACKAGE).filter((name) => /\.(service|socket)$/.test(name));
  expect(units.length).toBe(3);
  for (const name of units) {
    const text = readFileSync(join(PACKAGE, name), "utf8");
    writeFileSync(join(dir, name), text.replaceAll("/usr/bin/tandem", tandemPath()).replaceAll("/usr/lib/tandem/reload", join(PACKAGE, "reload")));
  }
  // The manual page is looked for by name, and is there only where the package is installed.
  const { code, stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", ...units.map((name) => join(dir, name))]);
  expect([code, stdout, stderr]).toEqual([0, "", ""]);
});

test("the log goes to the system's, in front and in the background; where there is none tandem does not begin", async () => {
  const log = join(dir, "log");
  const heard = await manager(log);
  // A /dev of its own, so that this machine's log hears nothing.
  const world = ["--die-with-parent", "--bind", "/", "/", "--dev", "/dev"];
  const inWorld = (...args: string[]): [string, string[]] => ["bwrap", [...world, "--bind", log, "/dev/log", tandemPath(), ...args]];
  if (Bun.which("bwrap") === null || (await run("bwrap", [...world, "--bind", log, "/dev/log", "true"])).code !== 0) {
    return console.log("not run: bwrap is not installed or may not make namespaces here");
  }
  const server = await keep(spawnMemcached());
  const port = await freePort();
  const flags = ["-l", "127.0.0.1", "-p", String(port), "-s", `127.0.0.1:${server.port}`, "--admin", "off", "--log-file", "syslog"];
  const tandem = begin(...inWorld(...flags));
  const said = await heard.said(/"<30>[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d tandem\[(\d+)\]: INFO server is up server=[^"]* to=up [^"]*"\n/);
  expect(said.input).toMatch(/^"bound"\n"<30>.* tandem\[\d+\]: INFO log begins version=\d[^"]*"\n"<30>.*: INFO listening address=127\.0\.0\.1:\d+"\n"<28>.*: WARN serving without backups/);
  await server.stop();
  await heard.said(/"<28>.{15} tandem\[\d+\]: WARN server is down server=/);
  process.kill(Number(said[1]), "SIGTERM"); // bwrap hands no signal on
  await heard.said(/"<30>.{15} tandem\[\d+\]: INFO stopping signal=SIGTERM/);
  const { stdout, stderr } = await tandem.ended;
  expect(stdout + stderr).toBe("");
  const pidFile = join(dir, "behind.pid");
  const behind = await run(...inWorld(...flags, "-d", "--pid-file", pidFile, "--log-format", "json"));
  expect([behind.code, behind.stdout + behind.stderr]).toEqual([0, ""]);
  const pid = Number(readFileSync(pidFile, "utf8"));
  await heard.said(new RegExp(`"<30>.{15} tandem\\[${pid}\\]: {.*\\\\"message\\\\":\\\\"listening\\\\"`));
  process.kill(pid, "SIGTERM");
  expect(await gone(pid, 10_000)).toBe(true);
  const none = await run("bwrap", [...world, tandemPath(), ...flags]);
  expect([none.code, none.stderr]).toEqual([1, "tandem: --log-file syslog: cannot be opened: /dev/log takes nothing\n"]);
});
