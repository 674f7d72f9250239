// get, gets, gat, gats of one key and of many: from the lead, from the other side when the lead does not answer, and
// never an older value.
import { describe, expect, test } from "bun:test";
import { Table, store, value } from "../table.ts";

const item = (key: string, data: string): string => `VALUE ${key} 0 ${data.length}\r\n${data}\r\n`;

describe("one key", () => {
  test("hit and miss come from the lead as they are", () => {
    const t = new Table();
    t.client.sends("get k\r\n", "get  k \n");
    t.P.answers("get k\r\nget k\r\n", `${value("k", "\r\nEND\r\n")}END\r\n`);
    t.client.receives(`${value("k", "\r\nEND\r\n")}END\r\n`);
    expect([t.proxy.counters.get_hits, t.proxy.counters.get_misses]).toEqual([1, 1]);
    t.ends();
  });

  for (const cut of [0, 3, 15, 18, 19]) {
    test(`the lead is lost after ${cut} bytes of the answer: the other side answers`, () => {
      const t = new Table();
      t.client.sends("get k\r\n");
      t.P.receives("get k\r\n").sends(value("k", "hello").slice(0, cut)).dies();
      t.B.answers("get k\r\n", value("k", "hello"));
      t.client.receives(value("k", "hello"));
      expect(t.proxy.counters.failover_reads).toBe(1);
      t.ends();
    });
  }

  test("the lead is lost when only END is missing: the answer is complete without it", () => {
    const t = new Table();
    t.client.sends("get k\r\n");
    t.P.receives("get k\r\n").sends(value("k", "hello").slice(0, 21)).dies();
    t.client.receives(value("k", "hello"));
    t.B.receives("");
    t.ends();
  });

  test("a hung lead costs one deadline", () => {
    const t = new Table();
    t.P.stopped = true;
    t.client.sends("get k\r\n");
    t.pass(330);
    t.B.answers("get k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
  });

  test("a lead that answers SERVER_ERROR is asked around; the error stays when nobody else answers", () => {
    const t = new Table();
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "SERVER_ERROR out of memory writing get response\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    t.B.dies();
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "SERVER_ERROR out of memory writing get response\r\n");
    t.client.receives("SERVER_ERROR out of memory writing get response\r\n");
  });

  test("another key's value ends the lane and is not shown", () => {
    const t = new Table();
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("j", "secret"));
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    expect(t.proxy.pool.primaries[0]!.health.reason).toBe("foreign_key");
  });

  test("a unique that is no number ends the lane", () => {
    const t = new Table();
    t.client.sends("gets k\r\n");
    t.P.answers("gets k\r\n", "VALUE k 0 1 what\r\nx\r\nEND\r\n");
    t.B.answers("gets k\r\n", "VALUE k 0 1 5\r\nx\r\nEND\r\n");
    t.client.receivesMatch(/^VALUE k 0 1 \d+\r\nx\r\nEND\r\n$/);
    expect(t.proxy.pool.primaries[0]!.health.reason).toBe("malformed_reply");
  });

  test("uniques of the two sides never match, and small ones are told with their tag", () => {
    const t = new Table();
    t.client.sends("gets k\r\n");
    t.P.answers("gets k\r\n", "VALUE k 0 1 5\r\nx\r\nEND\r\n");
    const first = t.client.socket.take();
    t.P.dies();
    t.client.sends("gets k\r\n");
    t.B.answers("gets k\r\n", "VALUE k 0 1 5\r\nx\r\nEND\r\n");
    expect(t.client.socket.take()).not.toBe(first);
  });

  test("a key that the other side lacks is not read there: a miss, and the side that is away lacks it", () => {
    const t = new Table();
    t.pair.mark("k", 1);
    t.client.sends("get k\r\n");
    t.P.receives("get k\r\n").dies();
    t.B.answers("mg k c\r\n", "HD c5\r\n").answers("md k C5\r\n", "HD\r\n");
    // What was removed is not asked for once more: a client waits for two answers at most.
    t.client.receives("END\r\n");
    expect([t.lacks("k"), t.proxy.counters.forgotten]).toEqual(["P", 1]);
    t.ends();
  });

  test("an entry overrides the primary: the backup leads that key alone", () => {
    const t = new Table();
    t.pair.mark("k", 0);
    t.client.sends("get k\r\n", "get j\r\n");
    t.B.answers("get k\r\n", value("k", "new"));
    t.P.answers("get j\r\n", "END\r\n");
    t.client.receives(`${value("k", "new")}END\r\n`);
    t.ends();
  });

  test("forgetting: a write that comes in between is not removed", () => {
    const t = new Table();
    t.P.dies();
    t.pair.mark("k", 1);
    const two = t.join();
    t.client.sends("get k\r\n");
    t.B.receives("mg k c\r\n");
    two.sends(store("set", "k", "n"));
    t.B.receives(store("set", "k", "n")).sends("HD c5\r\n");
    t.B.receives("md k C5\r\n").sends("STORED\r\nEX\r\n");
    two.receives("STORED\r\n");
    t.B.answers("get k\r\n", value("k", "n"));
    t.client.receives(value("k", "n"));
    expect(t.lacks("k")).toBe("P");
    t.ends();
  });

  test("forgetting: the stale side is lost as well: an error, never the old value", () => {
    const t = new Table();
    t.P.dies();
    t.pair.mark("k", 1);
    t.client.sends("get k\r\n");
    t.B.receives("mg k c\r\n").dies();
    t.client.receivesMatch(/^SERVER_ERROR tandem: no server can answer/);
    t.ends();
  });

  test("both down: a clear error, never a miss", () => {
    const t = new Table();
    t.P.dies();
    t.B.dies();
    t.client.sends("get k\r\n");
    t.client.receivesMatch(/^SERVER_ERROR tandem: no server can answer \(primary p0:1 down: \w+, backup b0:1 down: \w+\)\r\n$/);
    t.ends();
  });

  test("without backups: a read whose connection resets is asked again on the next", () => {
    const t = new Table({ backups: 0 });
    t.client.sends("get k\r\n");
    t.P.receives("get k\r\n").closes();
    t.pass(40);
    t.P.answers("get k\r\n", value("k", "v"));
    t.client.receives(value("k", "v"));
    t.ends();
  });

  test("without backups: two deadlines at most", () => {
    const t = new Table({ backups: 0 });
    t.client.sends("get k\r\n");
    t.P.stopped = true;
    t.pass(650);
    t.client.receivesMatch(/^SERVER_ERROR tandem: no server can answer/);
    t.ends();
  });
});

describe("gat", () => {
  test("the replica is touched; when only one has the item, the replica becomes like the lead", () => {
    const t = new Table();
    t.client.sends("gat 60 k\r\n");
    t.P.receives("gat 60 k\r\n");
    t.B.answers("touch k 60\r\n", "NOT_FOUND\r\n");
    t.P.sends(value("k", "x"));
    t.client.receives(value("k", "x"));
    t.B.answers("mg k v f t c u\r\n", "EN\r\n");
    t.P.answers("mg k v f t c u\r\n", "VA 1 f0 t60 c2\r\nx\r\n");
    t.B.answers("ms k 1 ME F0 T60\r\nx\r\n", "HD\r\n");
    t.P.answers("mg k c t u\r\n", "HD c2 t60\r\n");
    t.ends();
  });
  test("both miss: nothing to repair", () => {
    const t = new Table();
    t.client.sends("gats 60 k\r\n");
    t.P.answers("gats 60 k\r\n", "END\r\n");
    t.B.answers("touch k 60\r\n", "NOT_FOUND\r\n");
    t.client.receives("END\r\n");
    expect(t.lacks("k")).toBe("");
    t.pass(100).ends();
  });
  test("the replica does not answer: it lacks the new time", () => {
    const t = new Table();
    t.B.dies();
    t.client.sends("gat 60 k\r\n");
    t.P.answers("gat 60 k\r\n", value("k", "x"));
    t.client.receives(value("k", "x"));
    expect(t.lacks("k")).toBe("B");
  });
  for (const [keys, answer] of [["k", /^SERVER_ERROR tandem: no server can answer/], ["j k", /^END\r\n$/]] as const) {
    test(`the replica is touched, then the lead is lost and the replica too: they are compared later (gat of ${keys})`, () => {
      const t = new Table();
      t.P.stopped = true;
      t.client.sends(`gat 60 ${keys}\r\n`);
      const touches = keys.split(" ").map((key) => `touch ${key} 60\r\n`);
      t.B.answers(touches.join(""), touches.map(() => "TOUCHED\r\n").join(""));
      t.B.dies();
      t.pass(650);
      t.client.receivesMatch(answer);
      // Neither is known to lack anything: a touch is no reason to remove what the other holds.
      expect([t.lacks("k"), t.proxy.pool.verifier.backlog]).toEqual(["", touches.length]);
    });
  }
  test("the side that lacks the key is touched, then its lead is lost: it still lacks it", () => {
    const t = new Table();
    t.pair.mark("k", 0);
    t.B.stopped = true;
    t.client.sends("gat 60 k\r\n");
    t.P.answers("touch k 60\r\n", "TOUCHED\r\n");
    t.pass(650);
    t.client.receivesMatch(/^SERVER_ERROR tandem: no server can answer/);
    expect(t.lacks("k")).toBe("P");
  });
});

describe("many keys", () => {
  test("one request, answers in the order of the keys, duplicates kept, misses left out", () => {
    const t = new Table();
    t.client.sends("get a b a c\r\n");
    t.P.answers("get a b a c\r\n", `${item("a", "1")}${item("a", "1")}${item("c", "3")}END\r\n`);
    t.client.receives(`${item("a", "1")}${item("a", "1")}${item("c", "3")}END\r\n`);
    t.ends();
  });

  /** Keys of the two primaries, as the ring places them. */
  function twoServers(): { t: Table; mine: string[]; theirs: string[] } {
    const t = new Table({ primaries: 2, backups: 1 });
    const mine: string[] = [], theirs: string[] = [];
    for (let i = 0; mine.length < 2 || theirs.length < 2; i++) {
      const key = `key${i}`;
      (t.proxy.pool.pairOf(key).primary === t.proxy.pool.primaries[0] ? mine : theirs).push(key);
    }
    return { t, mine, theirs };
  }

  test("over two servers: merged in the order asked, whoever answers first", () => {
    const { t, mine: [a, c], theirs: [b, d] } = twoServers();
    const [P, Q] = t.primaries as [typeof t.P, typeof t.P];
    t.client.sends(`get ${a} ${b} ${c} ${d}\r\n`);
    P.receives(`get ${a} ${c}\r\n`);
    Q.receives(`get ${b} ${d}\r\n`).sends(`${item(b!, "B")}${item(d!, "D")}END\r\n`);
    t.client.receives("");
    P.sends(item(a!, "A"));
    t.client.receives(item(a!, "A") + item(b!, "B"));
    P.sends("END\r\n");
    t.client.receives(`${item(d!, "D")}END\r\n`);
    t.ends();
  });

  test("a server lost in the middle: its remaining keys come from the other side, in their place", () => {
    const { t, mine: [a, c], theirs: [b, d] } = twoServers();
    const [P, Q] = t.primaries as [typeof t.P, typeof t.P];
    t.client.sends(`get ${a} ${b} ${c} ${d}\r\n`);
    Q.receives(`get ${b} ${d}\r\n`).sends(`${item(b!, "B")}${item(d!, "D")}END\r\n`);
    P.receives(`get ${a} ${c}\r\n`).sends(item(a!, "A") + item(c!, "long value").slice(0, -5));
    t.client.receives(item(a!, "A") + item(b!, "B"));
    P.dies();
    t.B.answers(`get ${c}\r\n`, `${item(c!, "long value")}END\r\n`);
    t.client.receives(`${item(c!, "long value")}${item(d!, "D")}END\r\n`);
    t.ends();
  });

  test("nobody left for some keys: misses for them, END, and a count; never an error in the middle", () => {
    const { t, mine: [a, c], theirs: [b, d] } = twoServers();
    t.B.dies();
    t.P.dies();
    t.client.sends(`get ${a} ${b} ${c} ${d}\r\n`);
    t.primaries[1]!.answers(`get ${b} ${d}\r\n`, `${item(d!, "D")}END\r\n`);
    t.client.receives(`${item(d!, "D")}END\r\n`);
    expect(t.proxy.counters.unanswered_keys).toBe(2);
    t.ends();
  });

  for (const [away, opens] of [["P", "B"], ["B", "P"]] as const) {
    test(`at the start ${away} is away and ${opens} still opens: its answer is waited for`, () => {
      const before = (table: Table): void => {
        table[away].welcome = "refused";
        table[opens].stopped = true;
      };
      const t = new Table({ before });
      t.client.sends("get a b\r\n");
      t.client.receives("");
      t[opens].continues();
      t.pass(20);
      t[opens].answers("get a\r\nget b\r\n", `${value("a", "1")}END\r\n`);
      t.client.receives(value("a", "1"));
      t.ends();
    });
  }

  test("a stale key is asked on its own lead within the same command", () => {
    const t = new Table();
    t.pair.mark("b", 0);
    t.client.sends("get a b c\r\n");
    t.P.answers("get a c\r\n", `${item("a", "1")}${item("c", "3")}END\r\n`);
    t.B.answers("get b\r\n", `${item("b", "2")}END\r\n`);
    t.client.receives(`${item("a", "1")}${item("b", "2")}${item("c", "3")}END\r\n`);
    t.ends();
  });

  test("a forgotten key is a miss among hits", () => {
    const t = new Table();
    t.P.dies();
    t.pair.mark("b", 1);
    t.client.sends("get a b c\r\n");
    t.B.receives("mg b c\r\nget a c\r\n").sends(`HD c7\r\n${item("a", "1")}${item("c", "3")}END\r\n`);
    t.B.answers("md b C7\r\n", "HD\r\n");
    t.client.receives(`${item("a", "1")}${item("c", "3")}END\r\n`);
    t.ends();
  });

  test("a server that answers an error: the other side is asked", () => {
    const t = new Table();
    t.client.sends("get a b\r\n");
    t.P.answers("get a b\r\n", `${item("a", "1")}SERVER_ERROR out of memory\r\n`);
    t.B.answers("get b\r\n", "END\r\n");
    t.client.receives(`${item("a", "1")}END\r\n`);
    t.ends();
  });

  test("gats of many: each key's replica is touched, uniques are tagged", () => {
    const t = new Table();
    t.client.sends("gats 9 a b\r\n");
    t.P.answers("gats 9 a b\r\n", "VALUE a 0 1 3\r\n1\r\nEND\r\n");
    t.B.answers("touch a 9\r\ntouch b 9\r\n", "TOUCHED\r\nNOT_FOUND\r\n");
    t.client.receivesMatch(/^VALUE a 0 1 \d{15,}\r\n1\r\nEND\r\n$/);
    expect([t.lacks("a"), t.lacks("b")]).toEqual(["", ""]);
    t.ends();
  });

  test("a gat line of more than 2 KiB goes as several, the answer stays one", () => {
    const t = new Table();
    const keys = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(200, "x"));
    t.client.sends(`gat 0 ${keys.join(" ")}\r\n`);
    const lines = t.P.lanes[0]!.take().split("\r\n").slice(0, -1);
    expect(lines.every((line) => line.length < 2048 && line.startsWith("gat 0 "))).toBe(true);
    expect(lines.flatMap((line) => line.slice(6).split(" "))).toEqual(keys);
    t.B.lanes[0]!.take();
    t.P.sends(...lines.map((line) => `${item(line.split(" ")[2]!, "v")}END\r\n`));
    t.client.receives(`${lines.map((line) => item(line.split(" ")[2]!, "v")).join("")}END\r\n`);
  });

  test("a large item that is not next in order waits; one that began and is lost cuts the client off", () => {
    const { t, mine: [a], theirs: [b] } = twoServers();
    const [P, Q] = t.primaries as [typeof t.P, typeof t.P];
    const large = item(b!, "y".repeat(1_200_000));
    t.client.sends(`get ${a} ${b}\r\n`);
    Q.receives(`get ${b}\r\n`).sends(large.slice(0, 500_000));
    t.client.receives("");
    P.answers(`get ${a}\r\n`, "END\r\n");
    t.client.receives(large.slice(0, 500_000));
    Q.sends(large.slice(500_000), "END\r\n");
    t.client.receives(`${large.slice(500_000)}END\r\n`);
    t.client.sends(`get ${b} ${a}\r\n`);
    Q.sends(large.slice(0, 500_000));
    t.client.receives(large.slice(0, 500_000));
    Q.dies();
    expect(t.client.socket.aborted).toBe(true);
  });
});

test("a long item streams through in the pieces that come", () => {
  const t = new Table();
  const large = value("k", "z".repeat(3_000_000));
  t.client.sends("get k\r\n");
  t.P.receives("get k\r\n");
  for (let at = 0; at < large.length; at += 700_001) {
    t.P.sends(large.slice(at, at + 700_001));
    t.client.receives(large.slice(at, at + 700_001));
  }
  t.ends();
});
