// What proxies over the same servers tell each other there, seen from one of them; the others are texts.
import { describe, expect, test } from "bun:test";
import { controlName, ROSTER } from "../../../src/replication/control.ts";
import { noticeText, parseNotice } from "../../../src/replication/proxies/notice.ts";
import { Company, notice, OTHER } from "../company.ts";
import { both, store, Table, value } from "../table.ts";

describe("a notice", () => {
  const full = notice(7, { wroteAgoMs: 12, complaints: [{ name: "p0:1", why: "down", chunks: 3 }, { name: "a=b", why: "cold", chunks: 0 }] });

  test("is read as it was written", () => {
    expect(parseNotice(noticeText(full))).toEqual(full);
    expect(parseNotice(noticeText(notice(1, { buried: true })))).toEqual(notice(1, { buried: true }));
  });

  test("that is torn or foreign counts for nothing", () => {
    const text = noticeText(full);
    for (const wrong of ["", "hello", text.slice(0, 20), text.replace("tandem 1", "tandem 2"), text.replace("down", "gone"), `${text} x`]) {
      expect(parseNotice(wrong)).toBe(null);
    }
  });

  test("names servers in a way that fits into a key", () => {
    expect(controlName("10.0.0.1:11211")).toBe("10.0.0.1:11211");
    expect(controlName("/a path")).toMatch(/^[0-9a-f]{16}$/);
    expect(controlName("x".repeat(81))).toMatch(/^[0-9a-f]{16}$/);
    expect(controlName("x".repeat(81))).not.toBe(controlName("y".repeat(81)));
  });
});

describe("a proxy", () => {
  test("writes itself into the roster of every server and posts with a growing number", () => {
    const c = new Company().pass(1500);
    for (const items of [c.P, c.B]) expect(items.held.get(ROSTER)).toBe(` ${c.me}`);
    const first = c.P.posted(c.me);
    expect(first.complaints).toEqual([]);
    c.pass(1000);
    expect(c.P.posted(c.me).seq > first.seq).toBe(true);
    // Somebody threw the items away: they are written again.
    c.P.held.clear();
    c.pass(2000);
    expect(c.P.held.get(ROSTER)).toBe(` ${c.me}`);
  });

  test("with --board off posts nothing", () => {
    const t = new Table();
    t.pass(3000);
    t.ends();
  });

  test("tells when a client wrote last", () => {
    const c = new Company().pass(1500);
    expect(c.P.posted(c.me).wroteAgoMs).toBe(-1);
    c.t.client.sends(store("set", "k", "x"));
    both(c.t, store("set", "k", "x"));
    c.t.P.sends("STORED\r\n");
    c.t.B.sends("STORED\r\n");
    c.pass(1000);
    const { wroteAgoMs } = c.P.posted(c.me);
    expect(wroteAgoMs >= 0 && wroteAgoMs <= 1000).toBe(true);
  });

  test("complains about a server that is down, on the others", () => {
    const c = new Company().pass(1500);
    c.t.P.dies();
    c.pass(1500);
    expect(c.B.posted(c.me).complaints).toEqual([{ name: "p0:1", why: "down", chunks: 0 }]);
  });

  test("complains about a server while a stale entry names it", () => {
    const c = new Company().pass(1500);
    c.t.pair.mark("k", 0);
    c.pass(1500); // the backup does not tell what it holds: the entry stays
    expect(c.B.posted(c.me).complaints).toEqual([{ name: "p0:1", why: "stale", chunks: 0 }]);
  });

  test("starts above what an earlier life has posted", () => {
    const c = new Company();
    const high = 10 ** 14;
    c.P.post(c.me, notice(high));
    c.pass(2500);
    expect(c.P.posted(c.me).seq > high).toBe(true);
  });
});

describe("another proxy", () => {
  test("that does not trust the primary: reads go to the backup, writes to both", () => {
    const c = new Company().pass(1500);
    c.B.post(OTHER, notice(5, { complaints: [{ name: "p0:1", why: "stale", chunks: 0 }] }));
    c.pass(1500);
    expect(c.fences).toBe("fenced free");
    c.t.client.sends("get k\r\n");
    c.t.B.answers("get k\r\n", value("k", "new"));
    c.t.client.receives(value("k", "new")).sends(store("set", "k", "x"));
    both(c.t, store("set", "k", "x"));
    c.t.P.sends("STORED\r\n");
    c.t.B.sends("STORED\r\n");
    c.t.client.receives("STORED\r\n");
    c.B.post(OTHER, notice(6));
    c.pass(1500);
    expect(c.fences).toBe("free free");
    expect(c.t.said.filter((line) => line.startsWith("server is fenced") || line.startsWith("server is led again")).length).toBe(2);
  });

  test("a fenced server answers when its peer is down, and not when it merely failed once", () => {
    const c = new Company().pass(1500);
    c.P.post(OTHER, notice(5, { complaints: [{ name: "b0:1", why: "stale", chunks: 0 }] }));
    c.pass(1500);
    c.t.client.sends("get k\r\n");
    c.t.P.receives("get k\r\n").closes();
    c.pass(100);
    c.t.B.receives("");
    c.t.P.answers("get k\r\n", value("k", "new"));
    c.t.client.receives(value("k", "new"));
    c.t.P.dies();
    c.pass(100);
    c.t.client.sends("get k\r\n");
    c.t.B.answers("get k\r\n", value("k", "old"));
    c.t.client.receives(value("k", "old"));
  });

  test("counts by its newest notice, wherever it stands: an old copy fences nothing", () => {
    const c = new Company().pass(1500);
    c.P.post(OTHER, notice(5, { complaints: [{ name: "b0:1", why: "down", chunks: 0 }] }));
    c.B.post(OTHER, notice(9));
    c.pass(3000);
    expect(c.fences).toBe("free free");
  });

  test("both servers fenced: the primary leads all the same", () => {
    const c = new Company().pass(1500);
    c.P.post(OTHER, notice(5, { complaints: [{ name: "p0:1", why: "stale", chunks: 0 }, { name: "b0:1", why: "stale", chunks: 0 }] }));
    c.pass(1500);
    expect([c.fences, c.t.pair.leadOf("k")]).toEqual(["fenced fenced", 0]);
  });

  test("that is silent and had no complaint is buried: its notice says so, and the roster forgets it", () => {
    const c = new Company().pass(1500);
    c.P.post(OTHER, notice(5));
    c.pass(1500);
    expect([...c.t.proxy.pool.board!.known.keys()]).toEqual([OTHER]);
    c.pass(13_000);
    expect([...c.t.proxy.pool.board!.known.keys()]).toEqual([]);
    expect(c.P.posted(OTHER)).toEqual(notice(6, { buried: true }));
    expect(c.P.held.get(ROSTER)).toBe(c.me);
    // It was only slow: it posts again, above that.
    c.P.post(OTHER, notice(7));
    c.pass(1500);
    expect([...c.t.proxy.pool.board!.known.keys()]).toEqual([OTHER]);
  });

  test("that is silent keeps its fence until its complaints are dealt with", () => {
    const c = new Company().pass(1500);
    const board = c.t.proxy.pool.board!;
    const died: unknown[] = [];
    board.onDeath = (id, complaints) => died.push(id, complaints);
    const complaint = { name: "p0:1", why: "stale", chunks: 4 } as const;
    c.B.post(OTHER, notice(5, { complaints: [complaint] }));
    c.pass(12_500);
    expect([died, c.fences]).toEqual([[OTHER, [complaint]], "fenced free"]);
    board.bury(OTHER);
    c.pass(100);
    expect([c.fences, c.B.posted(OTHER).buried]).toEqual(["free free", true]);
  });

  test("of which nothing else is known leaves a server that is compared in full", () => {
    const c = new Company().pass(1500);
    c.B.post(OTHER, notice(5, { complaints: [{ name: "p0:1", why: "stale", chunks: 0 }] }));
    c.pass(13_000);
    expect([c.t.states, c.fences]).toEqual(["rejoin up", "free free"]);
    expect(c.B.posted(c.me).complaints).toEqual([{ name: "p0:1", why: "stale", chunks: 0 }]);
  });

  test("does not die because we stood still", () => {
    const c = new Company().pass(1500);
    c.P.post(OTHER, notice(5));
    c.pass(1500);
    c.t.pass(11_000); // nobody answers us
    expect([...c.t.proxy.pool.board!.known.values()].map(({ dead }) => dead)).toEqual([false]);
  });
});

describe("keys of tandem's own", () => {
  for (const [request, rest] of [
    ["get __tandem:roster\r\n", ""], ["gets a __tandem:roster b\r\n", ""], ["gat 5 __tandem:x\r\n", ""], ["incr __tandem:x 1\r\n", ""],
    ["delete __tandem:x\r\n", ""], ["touch __tandem:x 1\r\n", ""], ["set __tandem:x 0 0 3\r\n", "get\r\n"], ["cas __tandem:x 0 0 1 7\r\n", "x\r\n"],
  ] as const) {
    test(`are not a client's: ${request.trim()}`, () => {
      const t = new Table();
      t.client.sends(request, rest, "get _k\r\n");
      t.P.answers("get _k\r\n", "END\r\n");
      t.client.receives("CLIENT_ERROR key is reserved for tandem\r\nEND\r\n");
      t.ends();
    });
  }

  test("a refused store may come in pieces", () => {
    const t = new Table();
    t.client.sends("set __tandem:x 0 0 8\r\nab").sends("cdef").sends("gh\r\nmn\r\n");
    t.client.receives("CLIENT_ERROR key is reserved for tandem\r\nMN\r\n");
    t.ends();
  });
});
