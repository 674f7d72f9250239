// set, delete, touch: both sides at once, and what one failing side leaves behind.
import { describe, expect, test } from "bun:test";
import { both, store, Table, value } from "../table.ts";

const SET = store("set", "k", "hello");

describe("both sides answer", () => {
  test("a set goes to both as it was spelt; the answer waits for both", () => {
    const t = new Table();
    t.client.sends(SET);
    both(t, SET);
    t.P.sends("STORED\r\n");
    t.client.receives("");
    t.B.sends("STORED\r\n");
    t.client.receives("STORED\r\n");
    t.ends();
  });

  test("unusual spelling is written anew, and noreply is between the client and us", () => {
    const t = new Table();
    t.client.sends("set  k 5 +0 1 noreply\r\nx\r\ndelete k 0 noreply\r\ntouch k 7 noreply\n");
    both(t, "set k 5 +0 1\r\nx\r\ndelete k\r\ntouch k 7\r\n");
    t.P.sends("STORED\r\nDELETED\r\nNOT_FOUND\r\n");
    t.B.sends("STORED\r\nDELETED\r\nNOT_FOUND\r\n");
    t.client.receives("");
    t.ends();
  });

  for (const [request, lead, replica] of [
    ["delete k\r\n", "DELETED\r\n", "NOT_FOUND\r\n"],
    ["delete k\r\n", "NOT_FOUND\r\n", "DELETED\r\n"],
    ["set k 0 0 1\r\nx\r\n", "STORED\r\n", "SERVER_ERROR out of memory storing object\r\n"],
  ] as const) {
    test(`${request.slice(0, 8)}: the lead says ${lead.trim()}, the replica ${replica.trim()}: the lead's word`, () => {
      const t = new Table();
      t.client.sends(request);
      both(t, request);
      t.B.sends(replica);
      t.P.sends(lead);
      t.client.receives(lead);
      expect(t.lacks("k")).toBe("");
      t.ends();
    });
  }

  test("a set that the lead alone refuses is taken from the replica as well", () => {
    const t = new Table();
    t.client.sends(SET);
    both(t, SET);
    t.P.sends("SERVER_ERROR out of memory storing object\r\n");
    t.B.sends("STORED\r\n");
    t.client.receives("SERVER_ERROR out of memory storing object\r\n");
    t.B.answers("mg k v f t c u\r\n", "VA 5 f0 t-1 c3\r\nhello\r\n");
    t.P.answers("mg k v f t c u\r\n", "EN\r\n");
    t.B.answers("md k C3\r\n", "HD\r\n");
    t.P.answers("mg k c t u\r\n", "EN\r\n");
    expect(t.lacks("k")).toBe("");
    t.ends();
  });

  test("a touch of an item that only the replica has takes it away there", () => {
    const t = new Table();
    t.client.sends("touch k 0\r\n");
    both(t, "touch k 0\r\n");
    t.P.sends("NOT_FOUND\r\n");
    t.B.sends("TOUCHED\r\n");
    t.client.receives("NOT_FOUND\r\n");
    t.B.answers("mg k v f t c u\r\n", "VA 1 f0 t-1 c3\r\nx\r\n");
    t.P.answers("mg k v f t c u\r\n", "EN\r\n");
    t.B.answers("md k C3\r\n", "HD\r\n");
    t.P.answers("mg k c t u\r\n", "EN\r\n");
    expect(t.lacks("k")).toBe("");
    t.ends();
  });

  test("a touch of an item that only the lead has copies it", () => {
    const t = new Table();
    t.client.sends("touch k 60\r\n");
    both(t, "touch k 60\r\n");
    t.P.sends("TOUCHED\r\n");
    t.B.sends("NOT_FOUND\r\n");
    t.client.receives("TOUCHED\r\n");
    t.B.answers("mg k v f t c u\r\n", "EN\r\n");
    t.P.answers("mg k v f t c u\r\n", "VA 1 f7 t60 c9\r\nx\r\n");
    t.B.answers("ms k 1 ME F7 T60\r\nx\r\n", "HD\r\n");
    t.P.answers("mg k c t u\r\n", "HD c9 t60\r\n");
    t.ends();
  });

  test("an entry stays, whatever both answer, until the copier has found them alike", () => {
    for (const [request, answer] of [
      [SET, "STORED\r\n"], ["delete k\r\n", "DELETED\r\n"], ["touch k 1\r\n", "TOUCHED\r\n"], ["delete k\r\n", "SERVER_ERROR no\r\n"],
    ] as const) {
      const t = new Table();
      t.pair.mark("k", 1);
      t.client.sends(request);
      both(t, request);
      t.P.sends(answer);
      t.B.sends(answer);
      t.client.receives(answer);
      expect([request, t.lacks("k")]).toEqual([request, "B"]);
      t.pass(60);
      t.B.answers("mg k v f t c u\r\n", "EN\r\n");
      t.P.answers("mg k v f t c u\r\n", "EN\r\n");
      expect([request, t.lacks("k")]).toEqual([request, ""]);
      t.ends();
    }
  });
});

describe("one side fails", () => {
  for (const request of [SET, "delete k\r\n"]) {
    for (const lost of ["P", "B"] as const) {
      test(`${request.slice(0, 6)}: ${lost} is lost: the other's word, and ${lost} lacks the key`, () => {
        const t = new Table();
        const [gone, left] = lost === "P" ? [t.P, t.B] : [t.B, t.P];
        t.client.sends(request);
        both(t, request);
        left.sends(request === SET ? "STORED\r\n" : "DELETED\r\n");
        t.client.receives("");
        gone.dies();
        t.client.receives(request === SET ? "STORED\r\n" : "DELETED\r\n");
        expect(t.lacks("k")).toBe(lost);
        t.client.sends("get k\r\n");
        left.answers("get k\r\n", "END\r\n");
        t.client.receives("END\r\n");
        t.ends();
      });
    }
  }

  test("a side that is down costs no waiting and is written no more", () => {
    const t = new Table();
    t.P.dies();
    t.client.sends(SET);
    t.B.answers(SET, "STORED\r\n");
    t.client.receives("STORED\r\n");
    expect([t.states, t.lacks("k")]).toEqual(["down up", "P"]);
    t.ends();
  });

  test("neither confirms: one error, and whoever failed first is not read before the other", () => {
    const t = new Table();
    t.client.sends(SET);
    both(t, SET);
    t.P.dies();
    t.B.dies();
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown \(primary p0:1 .*, backup b0:1 .*\)\r\n$/);
    expect(t.lacks("k")).toBe("P");
    t.ends();
  });

  test("both are down: a clear error at once, and nothing is marked", () => {
    const t = new Table();
    t.P.dies();
    t.B.dies();
    t.client.sends(SET, "delete k\r\n", "set k 0 0 1 noreply\r\nx\r\n");
    t.client.receivesMatch(/^SERVER_ERROR tandem: no server can take it[^\n]*\r\nSERVER_ERROR tandem: no server can take it[^\n]*\r\n$/);
    expect([t.lacks("k"), t.proxy.counters.noreply_failed]).toEqual(["", 1]);
    t.ends();
  });

  test("a stale override holds: writes to the stale side alone turn it", () => {
    const t = new Table();
    t.P.dies();
    t.client.sends(SET);
    t.B.answers(SET, "STORED\r\n");
    t.client.receives("STORED\r\n");
    expect(t.lacks("k")).toBe("P");
    // The good side goes, the stale one comes back.
    t.B.dies();
    t.P.welcome = "accept";
    t.pass(5000);
    expect(t.states).toMatch(/^(up|rejoin) down/);
    t.client.sends("set k 0 0 3\r\nnew\r\n");
    t.P.answers("set k 0 0 3\r\nnew\r\n", "STORED\r\n");
    t.client.receives("STORED\r\n");
    expect(t.lacks("k")).toBe("B");
    t.ends();
  });
});

describe("--ack", () => {
  test("lead: the lead's word is enough", () => {
    const t = new Table({ ack: "lead" });
    t.client.sends(SET);
    both(t, SET);
    t.B.sends("STORED\r\n");
    t.client.receives("");
    t.P.sends("STORED\r\n");
    t.client.receives("STORED\r\n");
    t.ends();
  });
  test("any: the first that took it", () => {
    const t = new Table({ ack: "any" });
    t.client.sends(SET);
    both(t, SET);
    t.B.sends("STORED\r\n");
    t.client.receives("STORED\r\n");
    t.P.closes();
    t.client.receives("");
    expect(t.lacks("k")).toBe("P");
  });
});

describe("without backups", () => {
  test("one server's word", () => {
    const t = new Table({ backups: 0 });
    t.client.sends(SET);
    t.P.answers(SET, "STORED\r\n");
    t.client.receives("STORED\r\n");
    t.ends();
  });
  test("a lost answer is an error, never sent again", () => {
    const t = new Table({ backups: 0 });
    t.client.sends(SET);
    t.P.receives(SET).closes();
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown \(primary p0:1 reset\)\r\n$/);
    t.pass(100);
    t.P.receives("");
    t.ends();
  });
});

describe("before the first contact", () => {
  const late = (t: Table): void => {
    for (const backend of [...t.primaries, ...t.backups]) backend.stopped = true;
  };
  test("requests wait for it, in order", () => {
    const t = new Table({ before: late });
    t.client.sends(SET, "get k\r\n", "incr n 1\r\n");
    t.P.continues();
    t.pass(0);
    t.P.receives(""); // the set waits for the backup's lane, and nothing gets by it
    t.B.continues();
    t.pass(0);
    t.B.receives(SET).sends("STORED\r\n");
    t.P.receives(`${SET}get k\r\nincr n 1\r\nmg n v f t\r\n`).sends("STORED\r\n", value("k", "hello"), "NOT_FOUND\r\nEN\r\n");
    t.client.receives(`STORED\r\n${value("k", "hello")}NOT_FOUND\r\n`);
    t.ends();
  });
  for (const [request, asked, answer, verdict] of [
    [SET, SET, "STORED\r\n", "STORED\r\n"],
    ["get k\r\n", "get k\r\n", "END\r\n", "END\r\n"],
    ["incr k 1\r\n", "incr k 1\r\nmg k v f t\r\n", "NOT_FOUND\r\nEN\r\n", "NOT_FOUND\r\n"],
    ["get k j\r\n", "get k\r\nget j\r\n", "END\r\nEND\r\n", "END\r\n"],
  ] as const) {
    test(`${request.slice(0, 7).trim()}: the one that was waited for stays silent, the other is there by then`, () => {
      const t = new Table({ before: late });
      t.client.sends(request);
      t.P.continues();
      t.pass(340);
      t.P.answers(asked, answer);
      t.client.receives(verdict);
    });
  }
  test("an unreachable backup costs the first requests nothing", () => {
    const t = new Table({ before: (table) => void (table.B.welcome = "lost") });
    t.client.sends(SET);
    t.P.answers(SET, "STORED\r\n");
    t.client.receives("STORED\r\n");
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", value("k", "hello"));
    t.client.receives(value("k", "hello"));
    t.ends();
  });
  test("nobody comes: an error within two deadlines", () => {
    const t = new Table({ before: (table) => [...table.primaries, ...table.backups].forEach((each) => (each.welcome = "lost")) });
    t.client.sends(SET, "get k\r\n", "incr k 1\r\n", "get k j\r\n");
    t.pass(650);
    t.client.receivesMatch(/^SERVER_ERROR [^\n]*\nSERVER_ERROR [^\n]*\nSERVER_ERROR [^\n]*\nEND\r\n$/);
    t.ends();
  });
});

describe("too large", () => {
  test("a refused set removes the old value everywhere and is swallowed", () => {
    const t = new Table({ itemBytesMax: 100_000 });
    t.client.sends("set k 0 0 100001\r\n", `${"x".repeat(100_001)}\r\n`, "mn\r\n");
    t.client.receives("SERVER_ERROR object too large for cache\r\nMN\r\n");
    both(t, "delete k\r\n");
    t.P.sends("DELETED\r\n");
    t.B.sends("DELETED\r\n");
    expect(t.lacks("k")).toBe("B"); // until the copier has seen that both sides are alike
    t.pass(60);
    t.B.answers("mg k v f t c u\r\n", "EN\r\n");
    t.P.answers("mg k v f t c u\r\n", "EN\r\n");
    expect(t.lacks("k")).toBe("");
    t.ends();
  });
  test("an add that is too large changes nothing", () => {
    const t = new Table({ itemBytesMax: 100_000 });
    t.client.sends("add k 0 0 100001 noreply\r\n", `${"x".repeat(100_001)}\r\n`);
    t.client.receives("");
    t.ends();
  });
});
