// What flags mean together: pools, listeners, file descriptors.
import { describe, expect, test } from "bun:test";
import { checkFdLimit, checkPools, type PoolFlags, readPool, reservedFds } from "../../src/config/flags.ts";
import { type Given, type Problem, problemLine } from "../../src/config/problem.ts";

const given = (flag: string, ...texts: string[]): Given[] => texts.map((text) => ({ flag, text }));

const BASE: PoolFlags = {
  name: "main", place: "-s", strictGiven: null, stateDirGiven: null, zone: { flag: "--zone", text: "" }, read: "primary", peers: [], transitionSeconds: 3600,
  servers: given("-s", "a:1", "b:1"), backups: given("-b", "c:1"), ring: "libketama",
  hashTag: { flag: "--hash-tag", text: "" }, lanes: 1, ack: "both", connectTimeoutMs: 300, requestTimeoutMs: 300,
  itemBytesMax: 1 << 30, slowMs: 0, refill: { keysPerSecond: 25_000, bytesPerSecond: 1 << 25 }, proxies: { board: true, strict: false, scrubHours: 0, verify: "auto", hints: true, stateDir: "" }, comeback: { rejoin: "wait", missedKeysMax: 1000 }, shareGets: false, listen: given("--listen", "0.0.0.0"), port: 11211,
  portGiven: { flag: "-p", text: "11211" }, socket: null, unixMode: 0o700, clientsMax: 4096,
};

function read(change: Partial<PoolFlags>) {
  const problems: Problem[] = [];
  const pool = readPool({ ...BASE, ...change }, problems);
  if (problems.length > 0) throw new Error(problems.map(problemLine).join("\n"));
  return { pools: [pool], pool };
}

function line(change: Partial<PoolFlags>): string {
  const problems: Problem[] = [];
  readPool({ ...BASE, ...change }, problems);
  return problems.map(problemLine).join("\n") || "taken";
}

describe("readPool", () => {
  test("keeps the order and the number of servers", () => {
    const { pool } = read({});
    expect(pool.primaries.map((server) => server.label)).toEqual(["a:1", "b:1"]);
    expect(pool.backups.map((server) => server.label)).toEqual(["c:1"]);
    expect(pool.ring).toBe("libketama");
  });
  test("listens on every address at the one port, and on the unix socket", () => {
    const { listen } = read({ listen: given("-l", "127.0.0.1", "::1"), socket: { flag: "-f", text: "/run/t.sock" } }).pool;
    expect(listen).toEqual([
      { kind: "tcp", host: "127.0.0.1", port: 11211 }, { kind: "tcp", host: "::1", port: 11211 },
      { kind: "unix", path: "/run/t.sock" },
    ]);
  });
  test("listens on the unix socket alone for port 0", () => {
    expect(read({ port: 0, socket: { flag: "-f", text: "t.sock" } }).pool.listen).toEqual([{ kind: "unix", path: "t.sock" }]);
  });
  test("names the flag, what was given and what is allowed", () => {
    expect(line({ servers: [] })).toBe("-s: no server given; allowed: at least one -s host:port, or -c file");
    expect(line({ servers: given("--server", "a:1", "A:1") }))
      .toBe("--server A:1: given twice; allowed: each server once in a ring");
    expect(line({ backups: given("-b", "c:1", "c:1:2") })).toBe("-b c:1:2: given twice; allowed: each server once in a ring");
    expect(line({ backups: given("-b", "c:1", "b:1") }))
      .toBe("-b b:1: is one of the primaries too; allowed: servers that hold no primary copy");
    expect(line({ port: 0, portGiven: { flag: "-p", text: "0" } }))
      .toBe("-p 0: no TCP and no unix socket to listen on; allowed: a port of 1 to 65535, or -f path");
    expect(line({ listen: given("-l", "::1", "::1") })).toBe("-l ::1: given twice; allowed: each address once");
    expect(line({ hashTag: { flag: "--hash-tag", text: "{" } }))
      .toBe("--hash-tag {: is no pair of characters; allowed: two visible ASCII characters, for example {}");
  });
  test("tells every problem, in the order of the settings", () => {
    expect(line({ servers: given("-s", "a:0", "b:1", "b:1"), backups: given("-b", "b:1"), listen: given("-l", "1.2.3") }).split("\n")).toEqual([
      "-s a:0: has no such port; allowed: a port of 1 to 65535",
      "-s b:1: given twice; allowed: each server once in a ring",
      "-b b:1: is one of the primaries too; allowed: servers that hold no primary copy",
      "-l 1.2.3: is no address; allowed: a host name, an IPv4 or an IPv6 address, host:port, [ipv6]:port, or /socket",
    ]);
  });
  test("an address may have a port of its own, and stays when -p is 0", () => {
    const listen = given("-l", "127.0.0.1", "127.0.0.1:1", "[::1]:2", "/run/t.sock");
    expect(read({ listen, port: 0 }).pool.listen).toEqual([
      { kind: "tcp", host: "127.0.0.1", port: 1 }, { kind: "tcp", host: "::1", port: 2 }, { kind: "unix", path: "/run/t.sock" },
    ]);
    expect(line({ listen: given("-l", "127.0.0.1", "127.0.0.1:11211") })).toBe("-l 127.0.0.1:11211: given twice; allowed: each address once");
  });
  test("two pools do not listen at one address", () => {
    const problems: Problem[] = [];
    const one = read({}).pool, two = { ...read({ port: 2 }).pool, name: "two" };
    checkPools([{ config: one, place: "f:1" }, { config: two, place: "f:2" }], problems);
    expect(problems).toEqual([]);
    checkPools([{ config: one, place: "f:1" }, { config: { ...two, listen: one.listen }, place: "f:2: pools.two" }], problems);
    expect(problems.map(problemLine)).toEqual(["f:2: pools.two 0.0.0.0:11211: is where pool main listens; allowed: an address of its own: listen, port or socket"]);
  });
  test("keeps to one line whatever was given", () => {
    expect(line({ servers: given("-s", "a\nb c\u0007") })).toMatch(/^-s "a\\nb c\\u0007": [^\n]*$/);
  });
  test("takes weights and names only where the ring knows them", () => {
    expect(read({ servers: given("-s", "a:1:3") }).pool.primaries[0]!.weight).toBe(3);
    expect(read({ ring: "twemproxy", servers: given("-s", "a:1:3 x", "b:1:3 y") }).pool.primaries[1]!.name).toBe("y");
    expect(line({ ring: "magent-modulo", backups: given("-b", "c:1:3") }))
      .toBe("-b c:1:3: has a weight, which --ring magent-modulo does not know; allowed: host:port");
    expect(read({ ring: "magent-modulo", servers: given("-s", "a:1:1") }).pool.primaries.length).toBe(1);
    expect(line({ servers: given("-s", "a:1:1 x") })).toMatch(/^-s "a:1:1 x": has a name, which --ring libketama/);
    expect(line({ ring: "twemproxy", servers: given("-s", "a:1:1 x", "b:1:1 x") }))
      .toBe('-s "b:1:1 x": has the name of another server; allowed: each name once in a ring');
  });
  test("refuses servers that the ring cannot tell apart, naming the last", () => {
    expect(line({ ring: "spymemcached", servers: given("-s", "10.0.0.1:1", "10.0.0.1:2"), backups: [] }))
      .toMatch(/^-s 10\.0\.0\.1:2: .* same place .*; allowed: servers that --ring spymemcached can tell apart$/);
    expect(line({ ring: "spymemcached", servers: given("-s", "cache1:1"), backups: [] })).toMatch(/^-s cache1:1: /);
  });
});

describe("checkFdLimit", () => {
  const asked: Given = { flag: "-n", text: "4096" };
  test("accepts exactly what fits beside lanes, control connections and our own", () => {
    const config = read({ clientsMax: 4096 });
    const limit = 4096 + reservedFds(config);
    expect(checkFdLimit(config, limit, asked)).toBe(null);
    expect(problemLine(checkFdLimit(config, limit - 1, asked)!))
      .toBe(`-n 4096: is above the limit of ${limit - 1} file descriptors; allowed: 1 to 4095, or a higher limit (ulimit -n)`);
  });
  test("counts every pool", () => {
    const { pool } = read({ clientsMax: 100 });
    const both = { pools: [pool, { ...pool, name: "two" }] };
    expect(reservedFds(both) - reservedFds({ pools: [pool] })).toBe(3 * 2);
    const limit = 200 + reservedFds(both);
    expect(checkFdLimit(both, limit, asked)).toBe(null);
    expect(problemLine(checkFdLimit(both, limit - 1, asked)!)).toMatch(/^-n 200: is above .* 1 to 199 for all pools together, or/);
  });
  test("counts every lane", () => {
    expect(reservedFds(read({ lanes: 5 })) - reservedFds(read({ lanes: 1 }))).toBe(3 * 4);
  });
  test("does not judge an unknown limit, and says so when nothing fits", () => {
    const config = read({});
    expect(checkFdLimit(config, 0, asked)).toBe(null);
    expect(problemLine(checkFdLimit(config, 16, asked)!)).toMatch(/allowed: a limit above \d+ \(ulimit -n\)$/);
  });
});
