// Lifetimes, flushes and ages with a clock turned by hand: whole seconds since the start, as memcached counts them.
import { expect, test } from "bun:test";
import { START, Table } from "./harness.ts";

test("an item with a lifetime of n lives into the n-th second, never through it", () => {
  const table = new Table();
  const wire = table.connect();
  table.pass(0.5);
  wire.ask("set k 0 2 1\r\na\r\n");
  table.pass(1.4);
  expect(wire.ask("mg k t\r\n")).toBe("HD t1\r\n");
  table.pass(0.2);
  expect(wire.ask("get k\r\n")).toBe("END\r\n");
  expect(table.server.items).toBe(0);
  expect(table.server.stats.get_expired).toBe(1);
});

test("a date in the future, now and before the start", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask(`set later 0 ${START + 10} 1\r\na\r\nset now 0 ${START} 1\r\na\r\nset before 0 ${START - 1000} 1\r\na\r\n`);
  expect(wire.ask("mg later t\r\nget now\r\nget before\r\n")).toBe("HD t10\r\nEND\r\nEND\r\n");
  table.pass(9.9);
  expect(wire.ask("mg later t\r\n")).toBe("HD t1\r\n");
  table.pass(0.1);
  expect(wire.ask("get later\r\n")).toBe("END\r\n");
});

test("incr keeps the lifetime, in place and in a longer item", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set n 0 100 1\r\n8\r\n");
  table.pass(10);
  expect(wire.ask("incr n 1\r\nmg n t c\r\nincr n 1\r\nmg n t c\r\n")).toBe("9\r\nHD t90 c2\r\n10\r\nHD t90 c3\r\n");
});

test("ma with T on a number that gets longer changes the item that is gone, as in memcached", () => {
  const wire = new Table().connect();
  wire.ask("set n 0 100 1\r\n9\r\n");
  expect(wire.ask("ma n T50 t v c\r\nmg n t v c\r\n")).toBe("VA 2 t50 c2\r\n10\r\nVA 2 t100 c2\r\n10\r\n");
});

test("mg with R is told to recache from the second in which less than that is left", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set k 0 100 1\r\na\r\n");
  expect(wire.ask("mg k t R100\r\n")).toBe("HD t100\r\n");
  table.pass(1);
  expect(wire.ask("mg k t R99\r\nmg k t R100\r\nmg k t R100\r\n")).toBe("HD t99\r\nHD t99 W\r\nHD t99 Z\r\n");
});

test("touch and gat give a new lifetime and leave the CAS number", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set k 0 10 1\r\na\r\n");
  table.pass(5);
  expect(wire.ask("touch k 10\r\nmg k t c\r\n")).toBe("TOUCHED\r\nHD t10 c1\r\n");
  table.pass(8);
  expect(wire.ask("gats 0 k\r\nmg k t\r\n")).toBe("VALUE k 0 1 1\r\na\r\nEND\r\nHD t-1\r\n");
});

test("flush_all takes what is there now and nothing after it", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set old 0 0 1\r\na\r\n");
  table.pass(5);
  wire.ask("set new 0 0 1\r\nb\r\nflush_all\r\nset newer 0 0 1\r\nc\r\n");
  expect(wire.ask("get old new newer\r\n")).toBe("VALUE newer 0 1\r\nc\r\nEND\r\n");
  expect(table.server.stats.get_flushed).toBe(2);
});

test("a delayed flush_all waits, takes what came meanwhile, and a later flush_all replaces it", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set a 0 0 1\r\na\r\nflush_all 3\r\n");
  table.pass(1);
  wire.ask("set b 0 0 1\r\nb\r\n");
  expect(wire.ask("get a b\r\n")).toContain("VALUE a 0 1\r\na\r\nVALUE b 0 1\r\nb\r\n");
  table.pass(2);
  expect(wire.ask("get a b\r\n")).toBe("END\r\n");
  wire.ask("set a 0 0 1\r\na\r\nflush_all 3\r\nflush_all 100\r\n");
  table.pass(50);
  expect(wire.ask("get a\r\n")).toBe("VALUE a 0 1\r\na\r\nEND\r\n");
});

test("flushed items that nobody asked for come back with a later delayed flush_all", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set asked 0 0 1\r\na\r\nset kept 0 0 1\r\nb\r\nflush_all\r\nget asked\r\nflush_all 100\r\n");
  wire.take();
  expect(wire.ask("get asked kept\r\n")).toBe("VALUE kept 0 1\r\nb\r\nEND\r\n");
});

test("the age of an item, and when a fetch renews it", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set k 0 0 1\r\na\r\n");
  table.pass(50);
  expect(wire.ask("mg k l h\r\nmg k l h\r\n")).toBe("HD l50 h0\r\nHD l50 h1\r\n");
  wire.ask("set k 0 0 1\r\na\r\nmg k\r\n");
  table.pass(61);
  expect(wire.ask("mg k l u\r\nmg k\r\nmg k l\r\n")).toBe("HD l61\r\nHD\r\nHD l0\r\n");
});

test("crawl reclaims the dead; dump passes them over", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set dies 0 1 1\r\na\r\nset lives 0 0 1\r\nb\r\n");
  table.pass(2);
  expect(wire.ask("lru_crawler metadump all\r\n")).toMatch(/^key=lives [^\n]+\nEND\r\n$/);
  expect(table.server.items).toBe(2);
  expect(wire.ask("lru_crawler crawl all\r\n")).toBe("OK\r\n");
  expect(table.server.items).toBe(1);
});

test("time less uptime is the start for ever", () => {
  const table = new Table();
  const wire = table.connect();
  const read = (): [number, number] => {
    const stats = wire.ask("stats\r\n");
    return [Number(/STAT uptime (\d+)/.exec(stats)![1]), Number(/STAT time (\d+)/.exec(stats)![1])];
  };
  expect(read()).toEqual([2, START]);
  table.pass(1000.9);
  expect(read()).toEqual([1002, START + 1000]);
  const other = new Table({ startSeconds: 1_500_000_000 }).connect();
  expect(other.ask("stats\r\n")).toContain("STAT time 1500000000\r\n");
});
