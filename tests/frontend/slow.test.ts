// Slow requests in the log: which are told of, what is said of them, and how many lines at most.
import { expect, test } from "bun:test";
import { visible } from "../../src/frontend/slow.ts";
import { store, Table, value } from "../replication/table.ts";

const slow = (t: Table): string[] => t.said.filter((line) => line.startsWith("slow request"));

test("what takes as long as the limit is told of, with key and servers, and never its value", () => {
  const t = new Table({ slowMs: 50 });
  t.client.sends("get quick\r\n");
  t.pass(49);
  t.P.answers("get quick\r\n", value("quick", "secret"));
  expect(slow(t)).toEqual([]);
  t.client.sends(store("set", "late", "secret"));
  t.P.answers(store("set", "late", "secret"), "STORED\r\n");
  t.pass(60);
  t.B.answers(store("set", "late", "secret"), "STORED\r\n");
  expect(slow(t)).toEqual([`slow request {"client":"${t.client.socket.remote}","command":"set","key":"late","servers":"p0:1,b0:1","ms":60}`]);
  expect([t.proxy.counters.slow_requests, t.proxy.report().events.some(({ message }) => message === "slow request")]).toEqual([1, false]);
  t.client.sends("get a b c\r\n");
  t.pass(80);
  t.P.answers("get a b c\r\n", "END\r\n");
  expect(slow(t)[1]).toContain('"command":"get","key":"a and 2 more","ms":80');
  // What is refused waits for its turn too.
  t.client.sends("get a\r\nsecret\r\n");
  t.pass(90);
  t.P.answers("get a\r\n", "END\r\n");
  expect(slow(t)[3]).toContain('"command":"refused","ms":90');
});

test("five lines a second, and then how many there were besides", () => {
  const t = new Table({ slowMs: 10 });
  const ask = (count: number): void => {
    for (let i = 0; i < count; i++) t.client.sends(`get k${i}\r\n`);
    t.pass(20);
    for (let i = 0; i < count; i++) t.P.answers(i === 0 ? Array.from({ length: count }, (_, at) => `get k${at}\r\n`).join("") : "", "END\r\n");
  };
  ask(12);
  expect([slow(t).length, t.proxy.counters.slow_requests]).toEqual([5, 12]);
  t.pass(1000);
  ask(1);
  expect(slow(t).length).toBe(6);
  expect(slow(t)[5]).toContain('"unsaid":7');
});

test("without a limit nothing is slow", () => {
  const t = new Table();
  t.client.sends("get a\r\n");
  t.pass(290);
  t.P.answers("get a\r\n", "END\r\n");
  expect([slow(t), t.proxy.counters.slow_requests]).toEqual([[], 0]);
});

test("keys are cut and escaped", () => {
  expect(visible("a\x01\xe9 b")).toBe("a\\x01\\xe9 b");
  expect(visible("k".repeat(80))).toBe("k".repeat(80));
  expect(visible("k".repeat(250))).toBe(`${"k".repeat(80)}…`);
});
