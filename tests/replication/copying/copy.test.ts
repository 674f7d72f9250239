// What brings two sides together again: the copy of one key, the way of a returning server, and flush_all.
import { describe, expect, test } from "bun:test";
import { exptimeOf } from "../../../src/replication/copying/sync.ts";
import { dumpsByHash } from "../../../src/replication/copying/dump.ts";
import { both, store, Table, value } from "../table.ts";

const READ = "mg k v f t c u\r\n";

/** A pair whose backup lacks k, at the moment when the copier asks for it. */
function lacking(): Table {
  const t = new Table();
  t.pair.mark("k", 1);
  t.pass(60);
  return t;
}

/** The primary has lost its memory, the backup has listed the one key k and is asked for it. */
function filling(t: Table): void {
  t.P.lives(999);
  t.passUntil(() => t.B.lanes.length === 2);
  for (let pass = 0; pass < 2; pass++) {
    t.passUntil(() => t.B.lanes[1]!.unread !== "");
    t.B.answers("lru_crawler metadump all\r\n", "key=k exp=-1\r\nEND\r\n", 1);
  }
  t.passUntil(() => t.B.lanes[0]!.unread !== "");
}

describe("the copy of one key", () => {
  test("equal: nothing is written", () => {
    const t = lacking();
    t.B.answers(READ, "VA 1 f3 t-1 c5\r\nx\r\n");
    t.P.answers(READ, "VA 1 f3 t-1 c9\r\nx\r\n");
    expect([t.lacks("k"), t.proxy.counters.sync_equal]).toEqual(["", 1]);
    t.ends();
  });

  for (const [name, target, source, write, after] of [
    ["the target has none", "EN\r\n", "VA 1 f3 t-1 c9\r\nx\r\n", "ms k 1 ME F3 T0\r\nx\r\n", "HD c9 t-1\r\n"],
    ["the target differs", "VA 1 f3 t-1 c5\r\ny\r\n", "VA 1 f3 t70 c9\r\nx\r\n", "ms k 1 C5 F3 T70\r\nx\r\n", "HD c9 t70\r\n"],
    ["only the time differs", "VA 1 f0 t10 c5\r\nx\r\n", "VA 1 f0 t13 c9\r\nx\r\n", "ms k 1 C5 F0 T13\r\nx\r\n", "HD c9 t13\r\n"],
    ["one lives for ever", "VA 1 f0 t2 c5\r\nx\r\n", "VA 1 f0 t-1 c9\r\nx\r\n", "ms k 1 C5 F0 T0\r\nx\r\n", "HD c9 t-1\r\n"],
    ["thirty days", "EN\r\n", "VA 1 f0 t2592001 c9\r\nx\r\n", `ms k 1 ME F0 T${1_700_000_100 + 2_592_001}\r\nx\r\n`, "HD c9 t2592001\r\n"],
    ["the source has none", "VA 1 f3 t-1 c5\r\ny\r\n", "EN\r\n", "md k C5\r\n", "EN\r\n"],
  ] as const) {
    test(name, () => {
      const t = lacking();
      t.B.answers(READ, target);
      t.P.answers(READ, source);
      t.B.answers(write, "HD\r\n");
      t.P.answers("mg k c t u\r\n", after);
      expect(t.lacks("k")).toBe("");
      t.ends();
    });
  }

  for (const refusal of ["EX\r\n", "NF\r\n", "NS\r\n"]) {
    test(`someone wrote on the target in between (${refusal.trim()}): read again`, () => {
      const t = lacking();
      t.B.answers(READ, "VA 1 f0 t-1 c5\r\ny\r\n");
      t.P.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
      t.B.answers("ms k 1 C5 F0 T0\r\nx\r\n", refusal);
      t.B.answers(READ, "VA 1 f0 t-1 c6\r\nx\r\n");
      t.P.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
      expect(t.lacks("k")).toBe("");
      t.ends();
    });
  }

  test("the source changed in between: again", () => {
    const t = lacking();
    t.B.answers(READ, "EN\r\n");
    t.P.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
    t.B.answers("ms k 1 ME F0 T0\r\nx\r\n", "HD\r\n");
    t.P.answers("mg k c t u\r\n", "HD c10 t-1\r\n");
    expect(t.lacks("k")).toBe("B");
    t.B.answers(READ, "VA 1 f0 t-1 c6\r\nx\r\n");
    t.P.answers(READ, "VA 1 f0 t-1 c10\r\nx\r\n");
    expect(t.lacks("k")).toBe("");
  });

  for (const [before, after] of [[-1, 989], [5, -1], [5, 989], [989, 5]] as const) {
    test(`the source was touched in between (${before} s, then ${after} s), which leaves its unique: again`, () => {
      const t = lacking();
      t.B.answers(READ, "EN\r\n");
      t.P.answers(READ, `VA 1 f0 t${before} c9\r\nx\r\n`);
      t.B.answers(`ms k 1 ME F0 T${before === -1 ? 0 : before}\r\nx\r\n`, "HD\r\n");
      t.P.answers("mg k c t u\r\n", `HD c9 t${after}\r\n`);
      expect(t.lacks("k")).toBe("B");
      t.B.answers(READ, `VA 1 f0 t${before} c6\r\nx\r\n`);
      t.P.answers(READ, `VA 1 f0 t${after} c9\r\nx\r\n`);
      t.B.answers(`ms k 1 C6 F0 T${after === -1 ? 0 : after}\r\nx\r\n`, "HD\r\n");
      t.P.answers("mg k c t u\r\n", `HD c9 t${after}\r\n`);
      expect(t.lacks("k")).toBe("");
      t.ends();
    });
  }

  test("a set and a delete that enter the lanes while it reads: what it would add is older than both, so it reads again", () => {
    const t = new Table();
    t.pair.mark("k", 1);
    t.pass(60);
    t.B.answers(READ, "EN\r\n");
    t.P.receives(READ);
    t.client.sends(store("set", "k", "new"), "delete k\r\n");
    both(t, `${store("set", "k", "new")}delete k\r\n`);
    t.B.sends("STORED\r\nDELETED\r\n");
    t.P.sends("VA 3 f0 t-1 c9\r\nold\r\n");
    t.B.answers(READ, "EN\r\n");
    t.P.receives(READ).sends("STORED\r\nDELETED\r\nEN\r\n");
    t.client.receives("STORED\r\nDELETED\r\n");
    expect(t.lacks("k")).toBe("");
    t.ends();
  });

  test("the lead turned while it was reading: it writes nothing", () => {
    const t = lacking();
    t.B.answers(READ, "VA 1 f0 t-1 c5\r\ny\r\n");
    t.pair.mark("k", 0);
    t.P.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
    t.B.receives("");
    expect(t.lacks("k")).toBe("P");
  });

  test("a marking while it was copying survives it", () => {
    const t = lacking();
    t.B.answers(READ, "EN\r\n");
    t.pair.mark("k", 1);
    t.P.answers(READ, "EN\r\n");
    expect(t.lacks("k")).toBe("B");
  });

  test("a target that refuses the item loses its older copy, and the copier is done with it", () => {
    const t = lacking();
    t.B.answers(READ, "VA 1 f0 t-1 c5\r\ny\r\n");
    t.P.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
    t.B.answers("ms k 1 C5 F0 T0\r\nx\r\n", "SERVER_ERROR object too large for cache\r\n");
    t.B.answers("md k C5\r\n", "NF\r\n");
    expect([t.lacks("k"), t.proxy.counters.unreplicable]).toEqual(["", 1]);
    t.pass(200).ends();
  });

  test("a source that answers an error is asked again later", () => {
    const t = lacking();
    t.B.answers(READ, "EN\r\n");
    t.P.answers(READ, "SERVER_ERROR busy\r\n");
    expect(t.lacks("k")).toBe("B");
    t.pass(60);
    t.B.receives(READ);
  });

  test("a length beyond all memory ends the lane, not the proxy", () => {
    const t = lacking();
    t.B.answers(READ, "VA 999999999999999 f0 t-1 c1\r\nx\r\n");
    expect(t.proxy.pool.backups[0]!.health.reason).toBe("malformed_reply");
    expect(t.lacks("k")).toBe("B");
  });

  test("large items come in pieces", () => {
    const t = lacking();
    const data = "d".repeat(1_500_000);
    t.B.answers(READ, "EN\r\n");
    t.P.receives(READ).sends(`VA ${data.length} f0 t-1 c9\r\n`, data.slice(0, 700_000), data.slice(700_000), "\r\n");
    t.B.answers(`ms k ${data.length} ME F0 T0\r\n${data}\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", "HD c9 t-1\r\n");
    expect(t.lacks("k")).toBe("");
  });

  test("what takes its time on the way lives no longer for it", () => {
    const t = lacking();
    const data = "d".repeat(1_500_000);
    t.B.answers(READ, "EN\r\n");
    t.P.receives(READ).sends(`VA ${data.length} f0 t100 c9\r\n`);
    for (let at = 0; at < data.length; at += 100_000) {
      t.P.sends(data.slice(at, at + 100_000));
      t.pass(280);
    }
    t.P.sends("\r\n");
    t.B.answers(`ms k ${data.length} ME F0 T96\r\n${data}\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", "HD c9 t96\r\n");
    expect(t.lacks("k")).toBe("");
    t.ends();
  });

  test("remaining times become exptimes", () => {
    const of = (text: string): number => exptimeOf(Uint8Array.from(text, (c) => c.charCodeAt(0)), 0, text.length, 1_700_000_000.5);
    expect(["-1", "0", "1", "2591999", "2592000", "what", ""].map(of))
      .toEqual([0, -1, 1, 2_591_999, 1_700_000_000 + 2_592_000, -1, -1]);
  });
});

describe("a server that returns", () => {
  test("same life, nothing missed: it is trusted at once", () => {
    const t = new Table();
    t.P.dies();
    t.P.welcome = "accept";
    t.pass(3000);
    expect(t.states).toBe("up up");
  });

  test("it missed a write: it is not read before it has it", () => {
    const t = new Table();
    t.P.dies();
    t.client.sends(store("set", "k", "n"));
    t.B.answers(store("set", "k", "n"), "STORED\r\n");
    t.client.receives("STORED\r\n");
    t.P.welcome = "accept";
    t.passUntil(() => t.P.lanes[0]?.unread === READ);
    expect(t.states).toBe("rejoin up");
    t.client.sends("get j\r\n", store("set", "i", "1"));
    t.B.receives(`get j\r\n${store("set", "i", "1")}`).sends("END\r\nSTORED\r\n");
    t.P.receives(READ + store("set", "i", "1")).sends("VA 1 f0 t-1 c3\r\no\r\n", "STORED\r\n");
    t.client.receives("END\r\nSTORED\r\n");
    t.B.answers(READ, "VA 1 f0 t-1 c9\r\nn\r\n");
    t.P.answers("ms k 1 C3 F0 T0\r\nn\r\n", "HD\r\n");
    t.B.answers("mg k c t u\r\n", "HD c9 t-1\r\n");
    t.pass(40);
    expect([t.states, t.lacks("k")]).toEqual(["up up", ""]);
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("k", "n"));
    t.client.receives(value("k", "n"));
    t.ends();
  });

  test("another life answers while the connections live: it is out at once and comes back cold", () => {
    const t = new Table();
    t.P.lives(999);
    t.pass(1100);
    expect(t.said.join("\n")).toMatch(/restarted/);
    t.pass(3000);
    expect(t.states).toMatch(/^(rejoin|down) cold up$/);
    // It leads nothing before it is filled.
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
  });

  test("a delete that only the filled side took is not acknowledged: the other one may hold what it was to remove", () => {
    const t = new Table();
    filling(t);
    t.client.sends("delete k\r\n");
    t.P.answers("delete k\r\n", "NOT_FOUND\r\n");
    t.B.receives(`${READ}delete k\r\n`).sends("VA 1 f0 t-1 c9\r\nx\r\n");
    t.P.receives(READ);
    t.B.closes();
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
  });

  test("no other copy of the key looks at the side that is filled before it was added there: it would see nothing, and be content with it", () => {
    const t = new Table();
    filling(t);
    t.pair.mark("k", 0);
    t.pass(60);
    t.P.receives("");
    t.B.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
    t.P.answers("ms k 1 ME T0 F0\r\nx\r\n", "HD\r\n");
    t.B.answers("mg k t c u\r\n", "EN\r\n");
    t.P.answers(READ, "VA 1 f0 t-1 c1\r\nx\r\n");
    t.B.answers(READ, "EN\r\n");
    t.P.answers("md k C1\r\n", "HD\r\n");
    t.B.answers("mg k c t u\r\n", "EN\r\n");
    t.pass(60);
    expect([t.states, t.lacks("k")]).toEqual(["up up", ""]);
  });

  test("a set and a delete of a key that its source is telling of: it is not added behind them", () => {
    const t = new Table();
    filling(t);
    t.B.receives(READ);
    t.client.sends(store("set", "k", "new"), "delete k\r\n");
    both(t, `${store("set", "k", "new")}delete k\r\n`);
    t.P.sends("STORED\r\nDELETED\r\n");
    t.B.sends("VA 1 f0 t-1 c9\r\nx\r\n", "STORED\r\nDELETED\r\n");
    t.client.receives("STORED\r\nDELETED\r\n");
    t.P.answers(READ, "EN\r\n");
    t.B.answers(READ, "EN\r\n");
    t.pass(40);
    expect(t.states).toBe("up up");
  });

  test("without its memory it is added to, and the source is looked at once more", () => {
    const t = new Table();
    filling(t);
    t.B.answers(READ, "VA 5 f7 t90 c9\r\nvalue\r\n");
    t.P.answers("ms k 5 ME T90 F7\r\nvalue\r\n", "HD\r\n");
    t.B.answers("mg k t c u\r\n", "HD t89 c9\r\n");
    t.pass(40);
    expect([t.states, t.proxy.counters.sync_copied]).toEqual(["up up", 1]);
  });

  for (const [what, added, looked] of [
    ["the target had it meanwhile", "NS\r\n", "HD t-1 c9\r\n"],
    ["the target refused it", "SERVER_ERROR out of memory storing object\r\n", "HD t-1 c9\r\n"],
    ["the source has another one", "HD\r\n", "HD t-1 c10\r\n"],
    ["the source's time was changed", "HD\r\n", "HD t500 c9\r\n"],
    ["the source has none any more", "HD\r\n", "EN\r\n"],
  ] as const) {
    test(`${what}: the key is looked at on both sides`, () => {
      const t = new Table();
      filling(t);
      t.B.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
      t.P.answers("ms k 1 ME T0 F0\r\nx\r\n", added);
      t.B.answers("mg k t c u\r\n", looked);
      t.P.answers(READ, "EN\r\n");
      t.B.answers(READ, "EN\r\n");
      t.pass(40);
      expect(t.states).toBe("up up");
    });
  }

  test("what peers have given it stays given when it leaves and comes back with its memory", () => {
    const t = new Table();
    filling(t);
    t.B.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
    t.P.answers("ms k 1 ME T0 F0\r\nx\r\n", "HD\r\n");
    t.B.answers("mg k t c u\r\n", "HD t-1 c9\r\n");
    t.pass(4);
    expect([t.pair.filled, t.states]).toEqual([[true, false], "rejoin cold up"]);
    t.P.welcome = "refused";
    t.P.closes();
    t.passUntil(() => t.states.startsWith("down"));
    t.P.welcome = "accept";
    t.passUntil(() => t.states === "up up");
    expect([t.B.lanes.length, t.proxy.counters.sync_copied]).toEqual([1, 1]);
  });

  test("versions that list their keys by hash", () => {
    expect(["1.6.18", "1.6.19", "1.6.45", "1.7.0", "2.0", "1.5.99", "", "what"].map(dumpsByHash))
      .toEqual([false, true, true, true, true, false, false, false]);
  });
});

describe("flush_all", () => {
  test("all at once, behind the client's earlier requests and before its later ones", () => {
    const t = new Table();
    t.client.sends("get k\r\nflush_all\r\nget j\r\n");
    t.P.receives("get k\r\n");
    t.B.receives("");
    t.P.sends("END\r\n");
    t.client.receives("END\r\n");
    t.P.receives("flush_all\r\n").sends("OK\r\n");
    t.B.receives("flush_all\r\n");
    t.client.receives("");
    t.P.receives("");
    t.B.sends("OK\r\n");
    t.client.receives("OK\r\n");
    t.P.answers("get j\r\n", "END\r\n");
    t.client.receives("END\r\n");
    t.ends();
  });
  test("with a delay, without a reply", () => {
    const t = new Table();
    t.client.sends("flush_all 10 noreply\r\nmn\r\n");
    for (const side of [t.P, t.B]) side.answers("flush_all 10\r\n", "OK\r\n");
    t.client.receives("MN\r\n");
    t.ends();
  });
  test("a server that refuses says so", () => {
    const t = new Table();
    t.client.sends("flush_all\r\n");
    t.P.answers("flush_all\r\n", "CLIENT_ERROR flush_all not allowed\r\n");
    t.B.answers("flush_all\r\n", "OK\r\n");
    t.client.receives("CLIENT_ERROR flush_all not allowed\r\n");
    expect([t.proxy.counters.error_memcached_client, t.proxy.counters.error_memcached_server]).toEqual([1, 0]);
  });
  test("one that is away does it when it returns, before it is read", () => {
    const t = new Table();
    t.P.dies();
    t.client.sends("flush_all\r\n");
    t.B.answers("flush_all\r\n", "OK\r\n");
    t.client.receives("OK\r\n");
    t.P.welcome = "accept";
    t.passUntil(() => t.P.lanes[0]?.unread === "flush_all\r\n");
    expect(t.states).toBe("down up");
    t.P.answers("flush_all\r\n", "OK\r\n");
    expect(t.states).toBe("rejoin cold up");
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
  });
  test("one that is up but missed it loses what was stored since, so it is filled again before it is read", () => {
    const t = new Table();
    t.proxy.pool.owesFlush(t.proxy.pool.primaries[0]!, 0);
    t.pass(60);
    t.P.receives("flush_all\r\n");
    expect(t.states).toBe("rejoin cold up");
  });
  test("nobody there: an error", () => {
    const t = new Table({ backups: 0 });
    t.P.dies();
    t.client.sends("flush_all\r\n");
    t.client.receivesMatch(/^SERVER_ERROR tandem: no server can be flushed\r\n$/);
    t.ends();
    // What failed does not happen later.
    t.P.welcome = "accept";
    t.passUntil(() => t.states === "up");
    t.pass(100);
    t.P.receives("");
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
  });
});
