// Servers taken out of reads by hand: who answers, what they still get, when they are quiet, and how they are put back.
import { describe, expect, test } from "bun:test";
import { Company, notice, OTHER } from "./company.ts";
import { store, Table, value } from "./table.ts";

const drain = (t: Table, label: string): string => t.proxy.drainNow(label, true, false).text;
const undrain = (t: Table, label: string): string => t.proxy.drainNow(label, false, false).text;
const quiet = (t: Table): boolean[] => t.proxy.pool.servers.map((server) => t.proxy.pool.drains.isQuiet(server));

describe("a drained primary", () => {
  test("is not read, decides nothing and is written, until it is put back", () => {
    const t = new Table();
    expect(drain(t, "p0:1")).toBe("p0:1 is drained: its peers answer in its place");
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x")).sends("get k l\r\n");
    t.B.answers("get k l\r\n", "END\r\n");
    t.client.receives("END\r\n").sends(store("set", "k", "1"));
    t.P.answers(store("set", "k", "1"), "STORED\r\n");
    t.B.answers(store("set", "k", "1"), "STORED\r\n");
    t.client.receives("STORED\r\n").sends("delete k\r\n");
    t.P.answers("delete k\r\n", "NOT_FOUND\r\n");
    t.B.answers("delete k\r\n", "DELETED\r\n");
    t.client.receives("DELETED\r\n").sends(store("add", "k", "1"));
    t.P.receives("");
    t.B.answers(store("add", "k", "1"), "NOT_STORED\r\n");
    t.client.receives("NOT_STORED\r\n");
    expect(undrain(t, "p0:1")).toBe("p0:1 is put back");
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    t.ends();
  });

  test("is quiet once what was under way is answered", () => {
    const t = new Table();
    t.client.sends("get k\r\n", "get l\r\n");
    drain(t, "p0:1");
    expect(quiet(t)).toEqual([false, false]);
    t.client.sends("get m\r\n");
    t.B.answers("get m\r\n", "END\r\n");
    t.P.receives("get k\r\nget l\r\n").sends("END\r\n");
    expect(quiet(t)).toEqual([false, false]);
    t.P.sends("END\r\n");
    expect(quiet(t)).toEqual([true, false]);
    t.client.receives("END\r\nEND\r\nEND\r\n");
    // Writes still go there: they are nobody's wait.
    t.client.sends(store("set", "k", "1"));
    expect(quiet(t)).toEqual([true, false]);
    expect(drain(t, "p0:1")).toBe("p0:1 is drained already");
  });

  test("is quiet when the connection with what was under way is gone", () => {
    const t = new Table();
    t.client.sends("get k\r\n", "get l\r\n");
    drain(t, "p0:1");
    t.P.receives("get k\r\nget l\r\n").closes();
    t.B.answers("get k\r\nget l\r\n", "END\r\nEND\r\n");
    t.client.receives("END\r\nEND\r\n");
    t.pass(100);
    expect(quiet(t)).toEqual([true, false]);
  });

  test("answers all the same where its peer fails, and is not quiet then", () => {
    const t = new Table();
    drain(t, "p0:1");
    t.client.sends("get k\r\n");
    t.B.receives("get k\r\n").dies();
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
    t.pass(100);
    expect([t.states, quiet(t)]).toEqual(["up down", [false, false]]);
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
  });

  test("that is put back while it is away leads when it has come back as any other", () => {
    const t = new Table();
    drain(t, "p0:1");
    t.P.dies();
    t.pass(100);
    expect(undrain(t, "p0:1")).toBe("p0:1 is put back: it is down, and answers once it has what it missed");
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    expect(t.pair.usualLead).toBe(1);
  });
});

test("a drained backup: nothing changes but that it does not take over", () => {
  const t = new Table();
  expect(drain(t, "b0:1")).toBe("b0:1 is drained: its peers answer in its place");
  expect([quiet(t), t.pair.usualLead]).toEqual([[false, true], 0]);
});

test("a drained server is no nearest copy", () => {
  const t = new Table({ near: "b" });
  drain(t, "b0:1");
  t.client.sends("get k\r\n");
  t.P.answers("get k\r\n", "END\r\n");
  t.client.receives("END\r\n");
});

describe("refused", () => {
  test("what nobody else could answer for", () => {
    expect(drain(new Table({ backups: 0 }), "p0:1")).toBe("p0:1 has no other side that could answer in its place");
    const t = new Table();
    expect(drain(t, "b0:1")).toMatch(/^b0:1 is drained/);
    expect(drain(t, "p0:1")).toBe("b0:1 could not answer in its place: it is drained");
    undrain(t, "b0:1");
    t.B.dies();
    t.pass(100);
    expect(drain(t, "p0:1")).toBe("b0:1 could not answer in its place: it is down");
    expect(t.pair.usualLead).toBe(0);
  });

  test("what is not there, with what is", () => {
    expect(drain(new Table(), "p9:1")).toBe("no server p9:1; there are p0:1, b0:1");
    expect(undrain(new Table(), "p0:1")).toBe("p0:1 is not drained");
  });
});

describe("several proxies", () => {
  test("hear of it, read it no more, and know that it lacks nothing", () => {
    const c = new Company().pass(1500);
    drain(c.t, "p0:1");
    c.pass(1500);
    expect(c.B.posted(c.me).complaints).toEqual([{ name: "p0:1", why: "drained", chunks: 0 }]);
    undrain(c.t, "p0:1");
    c.pass(1500);
    expect(c.B.posted(c.me).complaints).toEqual([]);
    c.B.post(OTHER, notice(5, { complaints: [{ name: "p0:1", why: "drained", chunks: 0 }] }));
    c.pass(1500);
    expect([c.fences, c.t.pair.usualLead]).toEqual(["free free", 1]);
    expect(undrain(c.t, "p0:1")).toBe("p0:1 is drained by another proxy");
    // When its peer merely fails once it may answer: it has all that was written.
    c.t.client.sends("get k\r\n");
    c.t.B.receives("get k\r\n").closes();
    c.t.P.answers("get k\r\n", value("k", "x"));
    c.t.client.receives(value("k", "x"));
    c.B.post(OTHER, notice(6));
    c.pass(1500);
    expect(c.t.pair.usualLead).toBe(0);
  });
});
