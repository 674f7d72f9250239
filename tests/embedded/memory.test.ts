// Eviction, sizes, and the bytes a server says it holds.
import { expect, test } from "bun:test";
import { Table } from "./harness.ts";

/** Bytes of an item with a key of two characters and a value of 100. */
const ITEM = 48 + 8 + 3 + 102;

function set(key: string): string {
  return `set ${key} 0 0 100 noreply\r\n${"v".repeat(100)}\r\n`;
}

test("the least recently used go first when the memory is full", () => {
  const table = new Table({ memoryBytes: 3 * ITEM });
  const wire = table.connect();
  wire.ask(set("k1") + set("k2") + set("k3"));
  expect(table.server.bytes).toBe(3 * ITEM);
  wire.ask("mg k1\r\n");
  wire.ask(set("k4"));
  expect(wire.ask("mg k1\r\nmg k2\r\nmg k3\r\nmg k4\r\n")).toBe("HD\r\nEN\r\nHD\r\nHD\r\n");
  expect(table.server.stats.evictions).toBe(1);
  expect(table.server.items).toBe(3);
});

test("reads with u and dumps do not count as use", () => {
  const table = new Table({ memoryBytes: 2 * ITEM });
  const wire = table.connect();
  wire.ask(set("k1") + set("k2"));
  wire.ask("mg k1 u v t c\r\nlru_crawler metadump all\r\n");
  wire.ask(set("k3"));
  expect(wire.ask("mg k1\r\nmg k2\r\n")).toBe("EN\r\nHD\r\n");
});

test("a read with u leaves no mark, one with h alone does", () => {
  const wire = new Table().connect();
  wire.ask("set k 0 0 1\r\na\r\n");
  expect(wire.ask("mg k h u\r\nmg k v u\r\nmg k h\r\nmg k h u\r\n")).toBe("HD h0\r\nVA 1\r\na\r\nHD h0\r\nHD h1\r\n");
});

test("replacing an item needs no more than its own room", () => {
  const table = new Table({ memoryBytes: 2 * ITEM });
  const wire = table.connect();
  wire.ask(set("k1") + set("k2"));
  for (let i = 0; i < 50; i++) wire.ask(set("k2"));
  expect(table.server.stats.evictions).toBe(0);
  expect(wire.ask("mg k1\r\n")).toBe("HD\r\n");
});

test("the largest item is the limit to the byte, and one more leaves nothing behind", () => {
  const table = new Table({ itemBytesMax: 1024 });
  const wire = table.connect();
  const store = (command: string, bytes: number): string => wire.ask(`${command} k 0 0 ${bytes}\r\n${"v".repeat(bytes)}\r\n`);
  const most = 1024 - 48 - 8 - 2 - 2;
  expect(store("set", most)).toBe("STORED\r\n");
  expect(store("add", most + 1)).toBe("SERVER_ERROR object too large for cache\r\n");
  expect(wire.ask("mg k s\r\n")).toBe(`HD s${most}\r\n`);
  expect(store("set", most + 1)).toBe("SERVER_ERROR object too large for cache\r\n");
  expect(wire.ask("mg k s\r\n")).toBe("EN\r\n");
  expect(table.server.stats.store_too_large).toBe(2);
  expect(wire.ask("stats settings\r\n")).toContain("STAT item_size_max 1024\r\n");
});

test("append beyond the limit is not stored and keeps the old value", () => {
  const wire = new Table({ itemBytesMax: 1024 }).connect();
  wire.ask(`set k 0 0 600\r\n${"v".repeat(600)}\r\n`);
  expect(wire.ask(`append k 0 0 600\r\n${"v".repeat(600)}\r\nmg k s\r\n`)).toBe("NOT_STORED\r\nHD s600\r\n");
});

test("bytes and items follow every change", () => {
  const table = new Table();
  const wire = table.connect();
  wire.ask("set a 0 0 1\r\nx\r\nset bb 7 0 3\r\nyyy\r\n");
  expect([table.server.items, table.server.bytes]).toEqual([2, 61 + 48 + 8 + 3 + 4 + 5]);
  wire.ask("append a 0 0 2\r\nzz\r\ndelete bb\r\n");
  expect([table.server.items, table.server.bytes]).toEqual([1, 63]);
  expect(wire.ask("stats\r\n")).toContain("STAT bytes 63\r\nSTAT curr_items 1\r\nSTAT total_items 3\r\n");
});

test("a value once answered does not change under the answer", () => {
  const table = new Table();
  const wire = table.connect();
  wire.room = 0;
  const big = "9".repeat(1) + " ".repeat(20_000);
  wire.send(`set n 0 0 ${big.length}\r\n${big}\r\nget n\r\nincr n 5\r\nget n\r\n`);
  wire.drain(Infinity);
  const padded = "14" + " ".repeat(big.length - 2);
  const answer = (value: string): string => `VALUE n 0 ${value.length}\r\n${value}\r\nEND\r\n`;
  expect(wire.take()).toBe(`STORED\r\n${answer(big)}14\r\n${answer(padded)}`);
});
