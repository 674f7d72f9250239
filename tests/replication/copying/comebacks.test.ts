// Servers on their way back: what a primary that lost its memory is asked for before it is filled (--rejoin fast), and
// what becomes of a list of missed writes that is too short.
import { describe, expect, test } from "bun:test";
import { other } from "../../../src/replication/pair.ts";
import { both, store, Table, value } from "../table.ts";

const READ = "mg k v f t c u\r\n";
const DUMP = "lru_crawler metadump all\r\n";

/** The primary has lost its memory and is written again; the backup is asked for its keys and does not answer that. */
function warming(): Table {
  const t = new Table({ comeback: { rejoin: "fast" } });
  t.P.lives(999);
  t.passUntil(() => t.B.lanes[1]?.unread === DUMP);
  expect(t.states).toBe("rejoin cold up");
  return t;
}

describe("a get while the primary is filled, --rejoin fast", () => {
  test("what the primary holds it answers, and the backup is not asked", () => {
    const t = warming();
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
    t.B.receives("");
  });

  test("what it lacks the backup answers, and it is copied at once", () => {
    const t = warming();
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    t.client.receives("");
    t.B.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
    t.P.answers(READ, "EN\r\n");
    t.B.answers(READ, "VA 1 f0 t-1 c9\r\nx\r\n");
    t.P.answers("ms k 1 ME F0 T0\r\nx\r\n", "HD\r\n");
    t.B.answers("mg k c t u\r\n", "HD t-1 c9\r\n");
    expect([t.lacks("k"), t.proxy.counters.warming_misses]).toEqual(["", 1]);
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
  });

  for (const request of ["get k\r\n", "get k k\r\n"]) {
    test(`${request.trim()}: a primary that leads by the time of its answer is asked again, and nobody is taken to lack what it holds now`, () => {
      const t = warming();
      t.client.sends(request);
      t.P.receives(request);
      t.proxy.pool.primaries[0]!.warming = false;
      t.proxy.pool.primaries[0]!.trust("synchronised");
      t.P.sends("END\r\n").answers(request, value("k", "new"));
      t.client.receives(value("k", "new"));
      expect(t.lacks("k")).toBe("");
      t.B.receives("");
    });
  }

  test("what both lack is a miss, once", () => {
    const t = warming();
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    expect([t.proxy.counters.get_misses, t.proxy.counters.warming_misses]).toEqual([1, 0]);
    t.P.receives("");
  });

  test("a key under copy is the backup's: an old value may be on its way", () => {
    const t = warming();
    t.pair.mark("k", 0);
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
  });

  test("all else is the backup's to decide", () => {
    const t = warming();
    t.client.sends("gets k\r\n", "gat 0 k\r\n", "incr k 1\r\n");
    t.P.receives("touch k 0\r\n");
    t.B.receives("gets k\r\ngat 0 k\r\nincr k 1\r\nmg k v f t\r\n");
  });

  test("the primary breaks instead of answering: the backup is asked", () => {
    const t = warming();
    t.client.sends("get k\r\n");
    t.P.receives("get k\r\n");
    t.P.closes();
    t.B.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
  });

  test("a primary that returned as it was is not asked: what it holds may be old", () => {
    const t = new Table({ comeback: { rejoin: "fast" } });
    t.P.dies();
    t.pair.mark("j", 0);
    t.P.welcome = "accept";
    t.passUntil(() => t.states === "rejoin up");
    t.P.lanes[0]!.take();
    t.client.sends("get k\r\n");
    t.P.receives("");
    t.B.answers("get k\r\n", "END\r\n");
  });

  test("nor is one that owes a flush_all", () => {
    const t = new Table({ comeback: { rejoin: "fast" } });
    t.proxy.pool.owesFlush(t.proxy.pool.primaries[0]!, 0);
    t.pass(60);
    t.P.receives("flush_all\r\n");
    t.client.sends("get k\r\n");
    t.P.receives("");
    t.B.answers("get k\r\n", "END\r\n");
  });

  test("many keys: those that it lacks are asked of the backup, in their order", () => {
    const t = warming();
    t.client.sends("get a b c a\r\n");
    t.P.answers("get a b c a\r\n", "VALUE b 0 1\r\n2\r\nEND\r\n");
    t.client.receives("");
    t.B.answers("get a c a\r\n", "VALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n1\r\nEND\r\n");
    t.client.receives("VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nVALUE a 0 1\r\n1\r\nEND\r\n");
    expect(t.lacks("a")).toBe("P");
    expect(t.lacks("c")).toBe("");
  });

  test("many keys, and the primary breaks after some: the backup answers for the rest", () => {
    const t = warming();
    t.client.sends("get a b\r\n");
    t.P.receives("get a b\r\n").sends("VALUE a 0 1\r\n1\r\n");
    t.P.closes();
    t.B.answers("get b\r\n", "VALUE b 0 1\r\n2\r\nEND\r\n");
    t.client.receives("VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n");
  });
});

describe("more missed writes than are remembered", () => {
  /** The primary is away and missed a, which is remembered, and b, which is not. */
  function overflowed(): Table {
    const t = new Table({ comeback: { missedKeysMax: 1 } });
    t.P.dies();
    for (const key of ["a", "b"]) {
      t.client.sends(store("set", key, "n"));
      t.B.answers(store("set", key, "n"), "STORED\r\n");
      t.client.receives("STORED\r\n");
    }
    expect([t.lacks("a"), t.lacks("b"), t.pair.overflow[0]]).toEqual(["P", "", true]);
    return t;
  }

  test("both sides are listed", () => {
    const t = overflowed();
    t.P.welcome = "accept";
    t.passUntil(() => t.B.lanes[1]?.unread === DUMP && t.P.lanes[1]?.unread === DUMP);
    expect(t.states).toBe("rejoin up");
  });

  test("too many while it is on its way: it is not trusted with what it has", () => {
    const t = new Table({ comeback: { missedKeysMax: 1 } });
    t.P.dies();
    t.pair.mark("k", 0);
    t.P.welcome = "accept";
    t.passUntil(() => t.P.lanes[0]?.unread === READ);
    t.pair.mark("j", 0);
    t.P.answers(READ, "EN\r\n");
    t.B.answers(READ, "EN\r\n");
    t.passUntil(() => t.B.lanes[1]?.unread === DUMP);
    expect(t.states).toBe("rejoin up");
  });

  test("too many while one of its lanes is opened again: the others are not read either", () => {
    const t = new Table({ lanes: 2, comeback: { missedKeysMax: 1 } });
    t.P.welcome = "lost";
    t.P.closes();
    expect(t.states).toBe("suspect up");
    for (const key of ["a", "b"]) t.proxy.pool.lacks(t.pair, key, 0);
    expect([t.states, t.pair.leadOf("b")]).toEqual(["rejoin up", 1]);
  });

  test("too many before it was first reached: it is compared all the same", () => {
    const t = new Table({ comeback: { missedKeysMax: 1 }, before: (table) => void (table.P.stopped = true) });
    for (const key of ["a", "b"]) t.pair.mark(key, 0);
    t.P.continues();
    t.passUntil(() => t.B.lanes[1]?.unread === DUMP);
    expect(t.states).toBe("rejoin up");
  });

  test("the bound is one for all pairs together, and a copied key makes room", () => {
    const t = new Table({ primaries: 2, backups: 2, comeback: { missedKeysMax: 2 } });
    const [one, two] = [t.proxy.pool.pairs[0]!, t.proxy.pool.pairs[3]!];
    one.mark("a", 0);
    two.mark("b", 1);
    one.mark("c", 0);
    expect([one.overflow[0], one.stale.size]).toEqual([true, 1]);
    two.clear("b");
    two.mark("d", 1);
    expect([two.overflow[1], two.stale.size]).toEqual([false, 1]);
  });
});

test("a bound that is full does not keep a copy from its entry", () => {
  const t = new Table({ comeback: { missedKeysMax: 1 } });
  t.pair.mark("a", 0);
  t.pair.hold("k", 0);
  expect([t.lacks("k"), t.pair.overflow[0], t.pair.leadOf("k")]).toEqual(["P", false, other(0)]);
  both(t, "");
});

test("who owes a flush_all lacks what the other side lacked before it: that was flushed there", () => {
  const t = new Table();
  t.pair.mark("k", 0);
  t.proxy.pool.owesFlush(t.proxy.pool.backups[0]!, 0);
  t.passUntil(() => t.states === "up rejoin cold");
  expect([t.lacks("k"), t.proxy.pool.backups[0]!.unflushed]).toEqual(["B", true]);
  t.B.sends("OK\r\n");
  expect(t.proxy.pool.backups[0]!.unflushed).toBe(false);
});

test("who owes a flush_all is asked nothing and written nothing before, whoever else is away", () => {
  const t = new Table();
  t.B.dies();
  t.client.sends("flush_all\r\n");
  t.P.answers("flush_all\r\n", "OK\r\n");
  t.client.receives("OK\r\n");
  t.P.dies();
  t.B.welcome = "accept";
  t.passUntil(() => t.states !== "down down" || (t.B.lanes.at(-1)?.unread ?? "") !== "");
  t.client.sends("incr k 1\r\n", "set k 0 0 1\r\nx\r\n");
  t.client.receivesMatch(/^SERVER_ERROR tandem: no server can decide it .*\r\nSERVER_ERROR tandem: no server can take it .*\r\n$/);
  t.B.receives("flush_all\r\n", t.B.lanes.length - 1).sendsOn(t.B.lanes.length - 1, "OK\r\n");
  expect(t.states).toBe("down rejoin cold");
  t.client.sends("set k 0 0 1\r\nx\r\n");
  t.B.receives("set k 0 0 1\r\nx\r\n", t.B.lanes.length - 1);
});

test("a flush_all that a server missed while its connection is opened anew comes before all else", () => {
  const t = new Table();
  t.B.stopped = true;
  t.B.closes();
  t.pass(0);
  expect(t.states).toBe("up suspect");
  t.client.sends("flush_all\r\n");
  t.P.answers("flush_all\r\n", "OK\r\n");
  t.client.receives("OK\r\n");
  t.P.dies();
  t.B.continues();
  t.client.sends("get k\r\n");
  t.passUntil(() => (t.B.lanes.at(-1)?.unread ?? "") !== "");
  t.B.receives("flush_all\r\n", t.B.lanes.length - 1);
});
