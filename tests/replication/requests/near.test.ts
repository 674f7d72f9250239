// read = "nearest": a get asks the copy in the proxy's own zone first, while both sides are trusted for the key, and the
// primary for what that copy does not hold.
import { describe, expect, test } from "bun:test";
import { both, store, Table, value } from "../table.ts";

const near = (): Table => new Table({ near: "b" });

describe("the backup is near", () => {
  test("it answers a get, and the primary is not asked", () => {
    const t = near();
    t.client.sends("get k\r\n");
    t.P.receives("");
    t.B.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
    expect([t.proxy.counters.get_hits, t.proxy.counters.backup_hits, t.proxy.counters.near_misses]).toEqual([1, 1, 0]);
    t.ends();
  });

  test("what it does not hold the primary answers, and it is copied", () => {
    const t = near();
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
    expect([t.lacks("k"), t.proxy.counters.near_misses, t.proxy.counters.get_hits, t.proxy.counters.backup_hits]).toEqual(["B", 1, 1, 0]);
  });

  test("what both lack is a miss, once", () => {
    const t = near();
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    expect([t.lacks("k"), t.proxy.counters.get_misses]).toEqual(["", 1]);
    t.ends();
  });

  test("a key that it lacks, and everything but get, is the primary's", () => {
    const t = near();
    t.pair.mark("k", 1);
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
    t.client.sends("gets j\r\n");
    t.P.answers("gets j\r\n", "END\r\n");
    t.client.receives("END\r\n");
    t.client.sends("incr n 1\r\n");
    t.B.receives("");
  });

  test("a command in two steps is not overtaken by the client's own get", () => {
    const t = near();
    t.client.sends("incr n 1\r\nget n\r\n");
    expect(t.B.unread).toBe("");
    expect(t.P.unread).toContain("get n\r\n");
  });

  test("a set, and then its get, reach it in this order", () => {
    const t = near();
    t.client.sends(`${store("set", "k", "y")}get k\r\n`);
    t.P.receives(store("set", "k", "y"));
    t.B.receives(`${store("set", "k", "y")}get k\r\n`);
  });

  test("when it fails the primary answers", () => {
    const t = near();
    t.client.sends("get k\r\n");
    t.B.receives("get k\r\n");
    t.B.closes();
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
  });

  test("of many keys each is asked of its near copy, and of the primary when that lacks it", () => {
    const t = near();
    t.pair.mark("c", 1);
    t.client.sends("get a b c\r\n");
    t.B.answers("get a b\r\n", value("b", "2"));
    t.P.answers("get c\r\nget a\r\n", value("c", "3") + value("a", "1"));
    t.client.receives("VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nVALUE c 0 1\r\n3\r\nEND\r\n");
    expect([t.lacks("a"), t.lacks("b"), t.proxy.counters.near_misses]).toEqual(["B", "", 1]);
  });
});

test("where the primary stands in the zone, it is asked as ever", () => {
  const t = new Table({ near: "p" });
  t.client.sends("get k\r\n");
  t.P.answers("get k\r\n", value("k", "x"));
  t.client.receives(value("k", "x"));
  both(t, "");
});
