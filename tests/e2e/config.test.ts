// The binary with files of settings: several pools in one process, what check says, and a take-over from a live nutcracker
// with its own file, after which every key is a hit.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "bun:test";
import { TWEMPROXY_DISTRIBUTIONS, TWEMPROXY_HASHES } from "../../src/ring/flavours.ts";
import { oddKeys } from "../ring/servers.ts";
import { Client } from "../support/client.ts";
import { canListen, findProgram, freePort, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { gone } from "../support/program.ts";
import { tandemPath } from "../support/tandem.ts";

const EXAMPLE = "/usr/share/doc/nutcracker/examples/nutcracker.yml";
const READY_MS = 20_000, TEST_MS = 60_000;
const dir = mkdtempSync(join(tmpdir(), "tandem-config-"));
process.once("exit", () => rmSync(dir, { recursive: true, force: true }));

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

interface Started {
  log(): string;
  /** Resolves when what it wrote matches. */
  said(pattern: RegExp): Promise<void>;
  stop(): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/** Somebody listens there; nothing reports that a program which says nothing has begun to. */
async function listening(port: number): Promise<void> {
  for (const since = performance.now(); ;) {
    try {
      return (await Client.open(port)).close();
    } catch (problem) {
      if (performance.now() - since > READY_MS) throw problem;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Starts a program and waits until what it wrote matches; null: it writes nothing. */
function started(program: string, args: readonly string[], pattern: RegExp | null, env: Record<string, string> = {}): Promise<Started> {
  const child: ChildProcess = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  const waiting = new Set<() => void>();
  let log = "";
  const exited = new Promise<void>((done) => child.once("exit", () => done()));
  const stop = async (): Promise<void> => {
    child.kill();
    await exited;
  };
  const said = (wanted: RegExp): Promise<void> => new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${program} did not say ${wanted}:\n${log}`)), READY_MS);
    const look = (): void => {
      if (!wanted.test(log)) return;
      waiting.delete(look);
      clearTimeout(late);
      resolve();
    };
    waiting.add(look);
    look();
  });
  const hear = (chunk: Uint8Array): void => {
    log += new TextDecoder().decode(chunk);
    for (const look of waiting) look();
  };
  child.stdout!.on("data", hear);
  child.stderr!.on("data", hear);
  running.push({ stop });
  let started = false;
  const ended = exited.then(() => {
    if (!started) throw new Error(`${program} ended:\n${log}`);
  });
  return Promise.race([pattern === null ? Promise.resolve() : said(pattern), ended]).then(() => {
    started = true;
    return { log: () => log, stop, said, signal: (name) => void child.kill(name) };
  });
}

function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(tandemPath(), args, { maxBuffer: 1 << 24 }, (problem, stdout, stderr) => resolve({ code: problem === null ? 0 : Number(problem.code), stdout, stderr }));
  });
}

async function memcached(at: { host?: string; port?: number } = {}): Promise<Spawned> {
  const server = await spawnMemcached({ args: ["-t", "1", "-m", "64"], ...at });
  running.push(server);
  return server;
}

/** One line of a proxy's statistics. */
async function stat(client: Client, question: string, name: string): Promise<string> {
  client.send(`${question}\r\n`);
  let found = "";
  for (let line = ""; line !== "END"; line = await client.line(5000)) if (line.startsWith(`STAT ${name} `)) found = line.split(" ")[2]!;
  return found;
}

test("two pools in one process, each with its servers, its ports and its statistics", async () => {
  const [a, b, c] = [await memcached(), await memcached(), await memcached()];
  const [one, two] = [await freePort(), await freePort()];
  const path = file("two.toml", `timeout = "1s"
[pools.sessions]
listen = ["127.0.0.1:${one}"]
servers = ["127.0.0.1:${a.port}"]
backups = [{ address = "127.0.0.1:${b.port}" }]
[pools.pages]
listen = ["127.0.0.1:${two}"]
servers = ["127.0.0.1:${c.port}"]
`);
  const admin = `127.0.0.1:${await freePort()}`;
  const proxy = await started(tandemPath(), ["-c", path, "--admin", admin], /(server is up[^]*){3}/);
  expect(proxy.log()).toMatch(/serving pool=sessions primaries=127/);
  const [sessions, pages] = [await Client.open(one), await Client.open(two)];
  expect(await sessions.ask("set k 0 0 1\r\ns\r\n")).toBe("STORED");
  expect(await pages.ask("get k\r\n")).toBe("END");
  expect(await pages.ask("set k 0 0 1\r\np\r\n")).toBe("STORED");
  const held = async (server: Spawned): Promise<string> => {
    const client = await Client.open(server.port);
    const { values } = await client.fetch("get k\r\n");
    client.close();
    return values.map(({ bytes }) => new TextDecoder().decode(bytes)).join();
  };
  expect([await held(a), await held(b), await held(c)]).toEqual(["s", "s", "p"]);
  expect([await stat(sessions, "stats", "cmd_set"), await stat(sessions, "stats", "get_misses"), await stat(pages, "stats", "get_misses")]).toEqual(["1", "0", "1"]);
  // One fingerprint a pool, wherever it is told.
  const asked = async (path: string): Promise<string> => await (await fetch(`http://${admin}${path}`)).text();
  const [metrics, checked] = [await asked("/metrics"), (await run(["check", path])).stdout];
  const status = JSON.parse(await asked("/status")) as { pools: { name: string; fingerprint: string }[] };
  for (const [name, client] of [["sessions", sessions], ["pages", pages]] as const) {
    const mark = await stat(client, "stats proxy", "fingerprint");
    expect(mark).toMatch(/^[0-9a-f]{16}$/);
    expect(proxy.log()).toMatch(new RegExp(` pool=${name} .*fingerprint=${mark}\n`));
    expect(status.pools.find((pool) => pool.name === name)!.fingerprint).toBe(mark);
    expect(metrics).toContain(`tandem_pool_info{pool="${name}",ring="libketama",fingerprint="${mark}"} 1\n`);
    expect(checked).toMatch(new RegExp(`pool ${name}: .*fingerprint ${mark}\n`));
  }
  sessions.close();
  pages.close();
  const shown = await run(["ring", "show", "-c", path, "--pool", "pages"]);
  expect(shown.stdout).toContain(`127.0.0.1:${c.port}`);
}, TEST_MS);

describe("check", () => {
  test("is silent about nothing, and its exit code says it", async () => {
    const bad = file("bad.toml", `ack = "non"\n[pools.main]\nservers = ["a:0"]\nconnect_timeot = 3\n`);
    const { code, stdout } = await run(["check", bad]);
    expect(stdout.split("\n")).toEqual([
      `${bad}:1: ack "non": is none of them; allowed: both, lead or any`,
      `${bad}:3: servers a:0: has no such port; allowed: a port of 1 to 65535`,
      `${bad}:4: connect_timeot 3: is no setting; allowed: connect_timeout`,
      `${bad}: 3 problems`, "",
    ]);
    expect(code).toBe(1);
    const serve = await run(["-c", bad]);
    expect([serve.code, serve.stderr.trimEnd().split("\n").length, serve.stdout]).toEqual([2, 3, ""]);
    expect((await run(["check", join(dir, "none.toml")])).stdout).toMatch(/^check \S*none\.toml: cannot be read \(.*\); allowed: a file of settings\n/);
    const good = file("good.toml", `\ufeff[pools.main]\nservers = ["a:1", "b:1"]\nbackups = ["c:1"]\n`);
    expect(await run(["check", good])).toEqual({ code: 0, stdout: `${good}: pool main: 2 primaries, 1 backup, ring libketama, fingerprint 78e2163a85170ff8\n`, stderr: "" });
  }, TEST_MS);
});

test("twemproxy's own example file: what nutcracker stored is found by tandem with the same file", async () => {
  if (findProgram("nutcracker") === null || !existsSync(EXAMPLE)) return console.log("NOT RUN: nutcracker, or its example file, is not installed");
  const text = readFileSync(EXAMPLE, "latin1");
  const sections = new Map(text.split(/^(?=\w+:)/m).map((section) => [section.split(":")[0]!.trim(), section]));
  const memcachedPools = `${sections.get("gamma")}${sections.get("delta")}${sections.get("omega")}`;
  const pools = { gamma: 22123, delta: 22124, omega: 22125 };
  const ports = [...memcachedPools.matchAll(/- 127\.0\.0\.1:(\d+):1/g)].map((match) => Number(match[1])).filter((port, at, all) => all.indexOf(port) === at);
  expect(ports.length).toBe(12);
  for (const port of [...ports, ...Object.values(pools)]) {
    if (!(await canListen("127.0.0.1", port))) return console.log(`NOT RUN: 127.0.0.1:${port} of the example file is taken`);
  }
  await Promise.all(ports.map((port) => memcached({ host: "127.0.0.1", port })));
  // nutcracker gets the pools of memcached alone: its others would open further ports. A busy machine must not look like
  // a lost server, so it gets patience too. The last one's socket would be /tmp/gamma for all.
  const example = file("example.yml", text.replace("listen: /tmp/gamma", `listen: 127.0.0.1:${pools.omega}`));
  const conf = file("nutcracker.yml", memcachedPools.replaceAll(/^  timeout: .*$/gm, "  timeout: 20000").replace("/tmp/gamma", `127.0.0.1:${pools.omega}`));
  const nutcracker = await started(findProgram("nutcracker")!, ["-c", conf, "-a", "127.0.0.1", "-s", String(await freePort()), "-v", "2"], null);
  for (const port of Object.values(pools)) await listening(port);
  const keys = Array.from({ length: 2000 }, (_, i) => `user:${i * 7919}`);
  for (const port of Object.values(pools)) {
    const client = await Client.open(port);
    client.send(keys.map((key) => `set ${key} 0 0 1\r\nx\r\n`).join(""));
    for (const _ of keys) expect(await client.line(5000)).toBe("STORED");
    client.close();
  }
  await nutcracker.stop();

  const refused = await run(["-c", EXAMPLE]);
  expect([refused.code, /alpha\.redis true: is a pool of Redis/.test(refused.stderr)]).toEqual([2, true]);
  const proxy = await started(tandemPath(), ["-c", example, ...Object.keys(pools).flatMap((name) => ["--pool", name]), "--timeout", "20s", "--connect-timeout", "20s"], /serving without backups.*pool=omega/);
  expect(proxy.log()).toMatch(/setting left out setting=".*gamma\.preconnect"|setting left out setting=.*gamma\.preconnect/);
  for (const port of Object.values(pools)) {
    const client = await Client.open(port);
    let hits = 0;
    for (const key of keys) hits += (await client.fetch(`get ${key}\r\n`)).values.length;
    expect(`${port}: ${hits}`).toBe(`${port}: ${keys.length}`);
    client.close();
  }
}, TEST_MS);

test("each hash and each distribution: what nutcracker stored is found by tandem with the same file, whatever the keys", async () => {
  if (findProgram("nutcracker") === null) return console.log("NOT RUN: nutcracker is not installed");
  const servers = [await memcached(), await memcached(), await memcached()];
  const pools = TWEMPROXY_DISTRIBUTIONS.flatMap((distribution) => TWEMPROXY_HASHES.map((hash) => ({ name: `${distribution}_${hash}`, hash, distribution })));
  const conf = async (path: string): Promise<{ path: string; ports: number[] }> => {
    const ports: number[] = [];
    while (ports.length < pools.length) {
      const port = await freePort();
      if (!ports.includes(port)) ports.push(port);
    }
    // The names are neither in the order of the lines nor in that of the alphabet, which modula's slots would follow.
    const lines = servers.map(({ port }, i) => `   - 127.0.0.1:${port}:${[3, 5, 11][i]} ${["gamma", "be", "alpha"][i]}\n`).join("");
    return { ports, path: file(path, pools.map(({ name, hash, distribution }, i) =>
      `${name}:\n  listen: 127.0.0.1:${ports[i]}\n  hash: ${hash}\n  distribution: ${distribution}\n${i % 2 === 0 ? "" : '  hash_tag: "()"\n'}  timeout: 20000\n  client_connections: 100\n  servers:\n${lines}`).join("")) };
  };
  // Both signs of the tag occur in the keys, in any order.
  const theirs = await conf("theirs.yml"), ours = await conf("ours.yml");
  const nutcracker = await started(findProgram("nutcracker")!, ["-c", theirs.path, "-a", "127.0.0.1", "-s", String(await freePort()), "-v", "2"], null);
  await started(tandemPath(), ["-c", ours.path, "--admin", "off"], /serving without backups.*pool=modula_jenkins/);
  const keys = oddKeys().filter((_, i) => i % 5 === 0).map((key) => String.fromCharCode(...key));
  for (const [i, { name }] of pools.entries()) {
    await listening(theirs.ports[i]!);
    const [into, from] = [await Client.open(theirs.ports[i]!), await Client.open(ours.ports[i]!)];
    into.send(keys.map((key) => `set ${key} 0 0 1\r\nx\r\n`).join(""));
    for (const _ of keys) expect(await into.line(5000)).toBe("STORED");
    from.send(keys.map((key) => `get ${key}\r\n`).join(""));
    let hits = 0;
    for (const _ of keys) hits += (await from.values(5000)).values.length;
    expect(`${name}: ${hits}`).toBe(`${name}: ${keys.length}`);
    // What the next pool finds it has stored itself.
    expect(await from.ask("flush_all\r\n")).toBe("OK");
    into.close();
    from.close();
  }
  await nutcracker.stop();
}, TEST_MS);

test("two regions with one file: zones by the environment, and a drift that both the log and check see", async () => {
  const [north, south] = [await memcached(), await memcached()];
  const [one, two, three] = [await freePort(), await freePort(), await freePort()];
  const toml = (ring: string): string => `read = "nearest"
ring = "${ring}"
peers = ["127.0.0.1:${one}", "127.0.0.1:${two}"]
servers = [{ address = "127.0.0.1:${north.port}", zone = "north" }]
backups = [{ address = "127.0.0.1:${south.port}", zone = "south" }]
`;
  const path = file("regions.toml", toml("libketama"));
  const start = (port: number, zone: string, conf: string): Promise<Started> =>
    started(tandemPath(), ["-c", conf, "-l", `127.0.0.1:${port}`], /server is up server=\S+ role=backup/, { TANDEM_ZONE: zone });
  await start(one, "north", path);
  await start(two, "south", path);
  const inSouth = await Client.open(two), inNorth = await Client.open(one);
  expect(await inNorth.ask("set k 0 0 1\r\nx\r\n")).toBe("STORED");
  for (const client of [inSouth, inNorth]) expect((await client.fetch("get k\r\n")).values.length).toBe(1);
  // Each region read its own copy.
  expect([await stat(inNorth, "stats proxy", "backup_hits"), await stat(inSouth, "stats proxy", "backup_hits")]).toEqual(["0", "1"]);
  inSouth.close();
  inNorth.close();

  const agree = await run(["check", path, "--against", `127.0.0.1:${one}`, `127.0.0.1:${two}`]);
  expect([agree.code, agree.stdout.trimEnd().split("\n").at(-1)]).toEqual([0, "all agree"]);
  const drifted = file("drifted.toml", toml("twemproxy"));
  const third = await start(three, "north", drifted);
  const differ = await run(["check", "--against", `127.0.0.1:${one}`, `127.0.0.1:${three}`]);
  expect([differ.code, differ.stdout]).toEqual([1, expect.stringContaining(`127.0.0.1:${three} differs from 127.0.0.1:${one}: ring twemproxy instead of libketama\n`)]);
  await third.said(new RegExp(`peer places or replicates differently peer=127\\.0\\.0\\.1:${one} .*differences="ring libketama instead of twemproxy"`));
  expect((await run(["check", "--against", "127.0.0.1:1"])).code).toBe(3);
}, TEST_MS);

test("at SIGHUP ports and pools come and go, or nothing does when a port is taken", async () => {
  const [a, b] = [await memcached(), await memcached()];
  const [one, two, three] = [await freePort(), await freePort(), await freePort()];
  const path = join(dir, "pools.toml");
  const pool = (name: string, port: number, server: Spawned): string => `[pools.${name}]\nlisten = ["127.0.0.1:${port}"]\nservers = ["127.0.0.1:${server.port}"]\n`;
  writeFileSync(path, pool("first", one, a));
  const proxy = await started(tandemPath(), ["-c", path], /server is up/);
  const stays = await Client.open(one);
  expect(await stays.ask("set k 0 0 1\r\nx\r\n")).toBe("STORED");

  writeFileSync(path, pool("first", one, a) + pool("second", two, b));
  proxy.signal("SIGHUP");
  await proxy.said(/reloaded change="second: new, at 127/);
  const second = await Client.open(two);
  expect(await second.ask("set k 0 0 1\r\ny\r\n")).toBe("STORED");

  // A port that is taken: nothing changes, the other port is not opened either.
  writeFileSync(path, pool("first", three, a) + pool("second", b.port, b));
  proxy.signal("SIGHUP");
  await proxy.said(/reload refused, .*cannot listen on 127\.0\.0\.1:\d+: something listens there already/);
  await Client.open(three).then(() => expect("a port that is not listened on").toBe("opened"), () => {});

  // A pool is gone: its clients are shown out, its port is closed; the others notice nothing, though their port is another.
  writeFileSync(path, pool("first", three, a));
  proxy.signal("SIGHUP");
  await proxy.said(/reloaded change="first: listens also on 127[^]*reloaded change="first: listens no more on 127[^]*reloaded change="second: gone"/);
  await second.closed;
  const moved = await Client.open(three);
  for (const client of [stays, moved]) expect((await client.fetch("get k\r\n")).values.length).toBe(1);
  for (const port of [one, two]) await Client.open(port).then(() => expect("a port that is not listened on").toBe("opened"), () => {});
  stays.close();
  moved.close();
}, TEST_MS);

for (const workers of [1, 2]) {
  test(`a port that goes after an upgrade is closed, though the process before handed it on; ${workers} at work`, async () => {
    const server = await memcached();
    const [stays, goes, admin] = [await freePort(), await freePort(), `127.0.0.1:${await freePort()}`];
    const path = join(dir, `handed${workers}.toml`), pidFile = join(dir, `handed${workers}.pid`);
    const listen = (...ports: number[]): void =>
      writeFileSync(path, `workers = ${workers}\nadmin = "${admin}"\npid_file = "${pidFile}"\nlisten = [${ports.map((port) => `"127.0.0.1:${port}"`)}]\nservers = ["127.0.0.1:${server.port}"]\n`);
    listen(stays, goes);
    await started(tandemPath(), ["-c", path], /listening address/);
    expect((await run(["upgrade", "--admin", admin])).code).toBe(0);
    const heir = Number(readFileSync(pidFile, "utf8"));
    running.push({
      stop: async () => {
        process.kill(heir, "SIGTERM");
        expect(await gone(heir, READY_MS)).toBe(true);
      },
    });
    listen(stays);
    expect(await run(["reload", "--admin", admin])).toMatchObject({ code: 0, stdout: `main: listens no more on 127.0.0.1:${goes}\n` });
    // Nobody would ever answer who could connect there.
    const found = async (port: number): Promise<string> => await Client.open(port).then((client) => (client.close(), "opened"), () => "refused");
    expect([await found(stays), await found(goes)]).toEqual(["opened", "refused"]);
  }, TEST_MS);
}

test("a file of which no pool can be had is not converted, and the reasons are told", async () => {
  const path = file("redis.yml", "alpha:\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - 127.0.0.1:2:1\n");
  const reason = `${path}:3: alpha.redis true: is a pool of Redis, which tandem does not speak; allowed: redis: false; --pool serves some pools only\n`;
  expect(await run(["config", "convert", path])).toEqual({ code: 2, stdout: "", stderr: `tandem: ${reason}` });
  expect((await run(["config", "convert", join(dir, "none.yml")])).stderr).toMatch(/none\.yml: cannot be read/);
}, TEST_MS);

test("magent.conf is taken as it is, and converted", async () => {
  const [a, b] = [await memcached(), await memcached()];
  const port = await freePort();
  const path = file("magent.conf", `[General]\nmasters=127.0.0.1:${a.port}\nbackups=127.0.0.1:${b.port}\nhost_ip=127.0.0.1\nport=${port}\nuseketama=true\nmaxidle=2\nmaxconns=50\n`);
  await started(tandemPath(), ["-c", path], /serving primaries.*ring=magent /);
  const client = await Client.open(port);
  expect(await client.ask("set k 0 0 1\r\nm\r\n")).toBe("STORED");
  client.close();
  const { code, stdout } = await run(["config", "convert", path]);
  expect(code).toBe(0);
  const toml = file("converted.toml", stdout);
  const printed = async (of: string): Promise<string> => (await run(["config", "print", "-c", of])).stdout.replace(/ +#.*/g, "");
  expect(await printed(toml)).toBe(await printed(path));
}, TEST_MS);
