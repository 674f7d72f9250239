// `stats` in its forms: what is counted, in which order it stands, and what connections look like.
import { expect, test } from "bun:test";
import { Turn } from "../../src/bytes/turn.ts";
import { MemoryServer } from "../../src/embedded/server.ts";
import { Table, type Wire } from "./harness.ts";

/** An answer of stats as names and values. */
function read(wire: Wire, what = ""): Map<string, string> {
  const lines = wire.ask(`stats${what}\r\n`).split("\r\n");
  expect(lines.slice(-2)).toEqual(["END", ""]);
  return new Map(lines.slice(0, -2).map((line) => {
    const [, name, value] = /^STAT (\S+) (.*)$/.exec(line)!;
    return [name!, value!];
  }));
}

test("the same commands count as in memcached", () => {
  const wire = new Table().connect();
  // As a live memcached 1.6.18 counted these.
  wire.ask("set a 0 0 1\r\n1\r\nmg a\r\nmg a T0\r\nmg z\r\nmg z N0\r\nms a 1\r\n1\r\nma a\r\nmd z\r\nmd z\r\nmn\r\nme a\r\n");
  wire.ask("gat 0 a\r\ngat 0 zz\r\nget a zz\r\ntouch a 0\r\ntouch zz 0\r\nincr a 1\r\nincr zz 1\r\ndecr a 1\r\ndecr zz 1\r\n");
  wire.ask("ma zz\r\nma zz MD\r\nma a MD\r\ncas a 0 0 1 1\r\n1\r\ncas zz 0 0 1 1\r\n1\r\nset a 0 0 1\r\nxx\r\n");
  const stats = read(wire);
  const wanted = {
    cmd_get: 5, cmd_set: 5, cmd_touch: 5, cmd_meta: 1, cmd_flush: 0, get_hits: 3, get_misses: 2, delete_misses: 1,
    delete_hits: 1, incr_misses: 2, incr_hits: 2, decr_misses: 2, decr_hits: 2, cas_misses: 1, cas_hits: 0,
    cas_badval: 1, touch_hits: 3, touch_misses: 2, total_items: 3, curr_items: 1,
  };
  expect(Object.fromEntries(Object.keys(wanted).map((name) => [name, Number(stats.get(name))]))).toEqual(wanted);
});

test("keys before one that is too long are fetched, those behind it are not", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set a 0 0 1\r\n1\r\n");
  expect(wire.ask(`get a b ${"k".repeat(251)} a a\r\n`)).toBe("CLIENT_ERROR bad command line format\r\n");
  expect([table.server.stats.cmd_get, table.server.stats.get_hits]).toEqual([2, 1]);
});

test("reset sets the counters to zero and keeps the items", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set a 0 0 1\r\n1\r\nget a\r\nflush_all 100\r\n");
  expect(wire.ask("stats reset\r\n")).toBe("RESET\r\n");
  const stats = read(wire);
  for (const name of ["cmd_get", "cmd_set", "cmd_flush", "get_hits", "total_items", "total_connections"]) {
    expect([name, stats.get(name)]).toEqual([name, "0"]);
  }
  expect([stats.get("curr_items"), stats.get("curr_connections")]).toEqual(["1", "1"]);
});

test("the general list names the server", () => {
  const stats = read(new Table({ memoryBytes: 1024 * 1024, version: "1.6.21", connectionsMax: 7 }).connect());
  const wanted = {
    pid: "42", version: "1.6.21", pointer_size: "64", threads: "1", max_connections: "7", limit_maxbytes: "1048576",
    curr_connections: "1", total_connections: "1", accepting_conns: "1",
  };
  expect(Object.fromEntries(Object.keys(wanted).map((name) => [name, stats.get(name)]))).toEqual(wanted);
});

test("settings that a proxy looks at", () => {
  const stats = read(new Table({ itemBytesMax: 4096 }).connect(), " settings");
  const wanted = {
    maxbytes: "67108864", maxconns: "1024", cas_enabled: "yes", item_size_max: "4096", flush_enabled: "yes",
    dump_enabled: "yes", lru_crawler: "yes",
  };
  expect(Object.fromEntries(Object.keys(wanted).map((name) => [name, stats.get(name)]))).toEqual(wanted);
});

test("connections with their peers and what they are doing", () => {
  const table = new Table();
  const starts = ["", "get a", "set a 0 0 10\r\nabc", "set a 0 0 2000000\r\nabc", "version\r\n"];
  const wires = starts.map((start) => table.connect().send(start));
  const asker = table.connect();
  wires[4]!.room = 0;
  wires[4]!.send("version\r\n");
  table.pass(5);
  const conns = read(asker, " conns");
  const states = ["conn_new_cmd", "conn_read", "conn_nread", "conn_swallow", "conn_mwrite", "conn_parse_cmd"];
  states.forEach((state, i) => {
    expect([conns.get(`${24 + i}:addr`), conns.get(`${24 + i}:state`)]).toEqual([`tcp:10.0.0.9:${40_000 + i}`, state]);
    expect(conns.get(`${24 + i}:listen_addr`)).toBe("tcp:10.0.0.1:11211");
    expect(conns.get(`${24 + i}:secs_since_last_cmd`)).toBe(i === 5 ? "0" : "5");
  });
  expect(conns.get("23:state")).toBe("conn_listening");
  wires[1]!.gone();
  expect(read(asker, " conns").has("25:addr")).toBe(false);
  table.connect();
  expect(read(asker, " conns").get("25:addr")).toBe("tcp:10.0.0.9:40006");
});

test("without a given pid the dice decide, and a server without dice is 1", () => {
  const clock = new Table().clock;
  const turn = new Turn(() => {});
  expect(new MemoryServer({ clock, turn }).engine.settings.pid).toBe(1);
  expect(new MemoryServer({ clock, turn, random: { u32: () => 4_000_000_000 } }).engine.settings.pid).toBe(2 + (4_000_000_000 % 32_766));
});
