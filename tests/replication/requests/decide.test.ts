// add, replace, append, prepend, cas, incr, decr: the lead decides once, the other side gets its result.
import { describe, expect, test } from "bun:test";
import { store, Table, value } from "../table.ts";

/** The unique that a client is told for a native one of the primary. */
function unique(t: Table, native: number): string {
  t.client.sends("gets k\r\n");
  t.P.answers("gets k\r\n", `VALUE k 0 1 ${native}\r\nx\r\nEND\r\n`);
  const answer = t.client.socket.take();
  const found = /^VALUE k 0 1 (\d+)\r\nx\r\nEND\r\n$/.exec(answer);
  expect(answer).toMatch(/^VALUE k 0 1 \d+\r\nx\r\nEND\r\n$/);
  return found![1]!;
}

/** The entry that a copy of our own leaves is cleared by the copier's look. */
function copierFindsThemAlike(t: Table, holds: string): void {
  expect(t.lacks("k")).toBe("B");
  t.pass(60);
  t.B.answers("mg k v f t c u\r\n", holds);
  t.P.answers("mg k v f t c u\r\n", holds);
  expect(t.lacks("k")).toBe("");
  t.ends();
}

describe("the lead decides, the replica gets the result", () => {
  for (const verb of ["add", "replace"]) {
    test(`${verb}: the request's own data`, () => {
      const t = new Table();
      t.client.sends(`${verb} k 3 9 2\r\nab\r\n`);
      t.P.answers(`${verb} k 3 9 2\r\nab\r\n`, "STORED\r\n");
      t.client.receives("");
      t.B.answers("set k 3 9 2\r\nab\r\n", "STORED\r\n");
      t.client.receives("STORED\r\n");
      t.ends();
    });
    test(`${verb} refused: one way, and nothing for the replica`, () => {
      const t = new Table();
      t.client.sends(`${verb} k 3 9 2\r\nab\r\n`);
      t.P.answers(`${verb} k 3 9 2\r\nab\r\n`, "NOT_STORED\r\n");
      t.client.receives("NOT_STORED\r\n");
      t.ends();
    });
  }

  for (const [request, question, answer, verdict, copy] of [
    ["incr k 5\r\n", "incr k 5\r\n", "12\r\nVA 2 f3 t-1\r\n12\r\n", "12\r\n", "set k 3 0 2\r\n12\r\n"],
    ["decr k 5 noreply\r\n", "decr k 5\r\n", "7 \r\nVA 2 f0 t100\r\n7 \r\n", "", "set k 0 100 2\r\n7 \r\n"],
    ["append k 9 9 1\r\nz\r\n", "append k 9 9 1\r\nz\r\n", "STORED\r\nVA 3 f4 t50\r\nabz\r\n", "STORED\r\n", "set k 4 50 3\r\nabz\r\n"],
    ["prepend k 9 9 1\r\nz\r\n", "prepend k 9 9 1\r\nz\r\n", "STORED\r\nVA 3 f4 t0\r\nzab\r\n", "STORED\r\n", "set k 4 -1 3\r\nzab\r\n"],
  ] as const) {
    test(`${request.slice(0, 12).trim()}: what the lead made of it`, () => {
      const t = new Table();
      t.client.sends(request);
      t.P.answers(`${question}mg k v f t\r\n`, answer);
      t.client.receives("");
      t.B.answers(copy, "STORED\r\n");
      t.client.receives(verdict);
      t.ends();
    });
  }

  test("thirty days and more become a date on the replica's clock", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n");
    t.P.answers("incr k 1\r\nmg k v f t\r\n", "1\r\nVA 1 f0 t2592000\r\n1\r\n");
    t.B.answers(`set k 0 ${1_700_000_100 + 2_592_000} 1\r\n1\r\n`, "STORED\r\n");
    t.client.receives("1\r\n");
  });

  for (const answer of ["NOT_FOUND\r\nEN\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\nVA 1 f0 t-1\r\nx\r\n"]) {
    test(`incr: ${answer.split("\r\n")[0]} is the client's answer, and nothing is copied`, () => {
      const t = new Table();
      t.client.sends("incr k 1\r\n");
      t.P.answers("incr k 1\r\nmg k v f t\r\n", answer);
      t.client.receives(`${answer.split("\r\n")[0]}\r\n`);
      t.ends();
    });
  }

  test("a result that is gone when it is read back is taken from the replica", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n");
    t.P.answers("incr k 1\r\nmg k v f t\r\n", "2\r\nEN\r\n");
    t.client.receives("");
    t.B.answers("mg k v f t c u\r\n", "EN\r\n");
    t.P.answers("mg k v f t c u\r\n", "EN\r\n");
    t.client.receives("2\r\n");
    copierFindsThemAlike(t, "EN\r\n");
  });

  test("a result that is not told is copied by another look before the client hears of it", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n");
    t.P.answers("incr k 1\r\nmg k v f t\r\n", "2\r\nSERVER_ERROR out of memory writing get response\r\n");
    t.B.answers("mg k v f t c u\r\n", "VA 1 f0 t-1 c4\r\n1\r\n");
    t.P.answers("mg k v f t c u\r\n", "VA 1 f0 t-1 c5\r\n2\r\n");
    t.B.answers("ms k 1 C4 F0 T0\r\n2\r\n", "HD\r\n");
    t.client.receives("");
    t.P.answers("mg k c t u\r\n", "HD c5 t-1\r\n");
    t.client.receives("2\r\n");
    copierFindsThemAlike(t, "VA 1 f0 t-1 c5\r\n2\r\n");
  });

  test("a result that cannot be copied is not promised: readers may have seen it, so its lead stays", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n");
    t.P.answers("incr k 1\r\nmg k v f t\r\n", "2\r\nSERVER_ERROR out of memory writing get response\r\n");
    t.B.receives("mg k v f t c u\r\n");
    t.B.dies();
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
    expect(t.lacks("k")).toBe("B");
    t.ends();
  });

  test("a result too large to hold is copied by another look; a lead lost meanwhile is answered for once", () => {
    const large = `VA 1500001 f0 t-1\r\n${"d".repeat(1_200_000)}`;
    const t = new Table();
    t.client.sends(store("append", "k", "z"));
    t.P.answers("append k 0 0 1\r\nz\r\nmg k v f t\r\n", `STORED\r\n${large}`);
    t.client.receives("");
    t.P.closes();
    t.B.answers("mg k v f t c u\r\n", "EN\r\n");
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown[^\n]*\n$/);
    expect([...t.pair.locks.keys()]).toEqual([]);
  });

  test("without backups: one way, as it is", () => {
    const t = new Table({ backups: 0 });
    t.client.sends("incr k 5\r\ncas k 0 0 1 77\r\nx\r\n");
    t.P.answers("incr k 5\r\ncas k 0 0 1 77\r\nx\r\n", "6\r\nEXISTS\r\n");
    t.client.receives("6\r\nEXISTS\r\n");
    t.ends();
  });
});

describe("cas", () => {
  test("a unique of the lead is its native one again", () => {
    const t = new Table();
    const token = unique(t, 41);
    expect(BigInt(token) & ((1n << 47n) - 1n)).toBe(41n);
    expect(BigInt(token) >> 47n > 0n && BigInt(token) < 1n << 62n).toBe(true);
    t.client.sends(`cas k 0 0 2 ${token}\r\nyz\r\n`);
    t.P.answers("cas k 0 0 2 41\r\nyz\r\n", "STORED\r\n");
    t.B.answers("set k 0 0 2\r\nyz\r\n", "STORED\r\n");
    t.client.receives("STORED\r\n");
    t.ends();
  });

  for (const [there, verdict] of [["HD\r\n", "EXISTS\r\n"], ["EN\r\n", "NOT_FOUND\r\n"]] as const) {
    test(`a unique of nobody is never sent: ${verdict.trim()}`, () => {
      const t = new Table();
      t.client.sends("cas k 0 0 1 41\r\ny\r\n");
      t.P.answers("mg k\r\n", there);
      t.client.receives(verdict);
      t.ends();
    });
  }

  test("a unique of the primary does not match on the backup, nor one of an earlier life of the primary", () => {
    const t = new Table();
    const token = unique(t, 41);
    t.P.dies();
    t.client.sends(`cas k 0 0 1 ${token}\r\ny\r\n`);
    t.B.answers("mg k\r\n", "HD\r\n");
    t.client.receives("EXISTS\r\n");

    const u = new Table({ backups: 1 });
    const old = unique(u, 41);
    u.P.dies();
    u.P.lives(999);
    u.P.welcome = "accept";
    // Until it is filled again the backup leads; then the new life's uniques are others.
    expect(u.pass(3000).proxy.pool.primaries[0]!.incarnation).toBe("1700000000/999");
    u.client.sends(`cas k 0 0 1 ${old}\r\ny\r\n`);
    u.B.answers("mg k\r\n", "HD\r\n");
    u.client.receives("EXISTS\r\n");
  });
});

describe("failures", () => {
  test("the lead's answer is lost: an error, once, and the replica leads the key", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\n").closes();
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown \(primary p0:1 reset, backup b0:1 up\)\r\n$/);
    expect(t.lacks("k")).toBe("P");
    t.client.sends("incr k 1\r\n");
    t.B.answers("incr k 1\r\nmg k v f t\r\n", "8\r\nVA 1 f0 t-1\r\n8\r\n");
    // Its new connection has not passed the barrier: the copier brings it the result.
    t.client.receives("8\r\n");
    expect(t.lacks("k")).toBe("P");
    t.ends();
  });

  test("the lead's answer is lost and the replica is down: the lead keeps the key", () => {
    const t = new Table();
    t.B.dies();
    t.client.sends("incr k 1\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\n").closes();
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
    expect(t.lacks("k")).toBe("B");
  });

  test("the replica is lost: the lead's verdict, and the replica lacks the key", () => {
    const t = new Table();
    t.client.sends(store("add", "k", "x"));
    t.P.answers(store("add", "k", "x"), "STORED\r\n");
    t.B.receives(store("set", "k", "x"));
    t.B.dies();
    t.client.receives("STORED\r\n");
    expect(t.lacks("k")).toBe("B");
    t.ends();
  });

  test("the read-back is lost, not the verdict: only a lead that fails has the result, so it is not promised", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n", "get k\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\nget k\r\n").sends("3\r\n").closes();
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown \(primary p0:1 reset, backup b0:1 up\)\r\n$/);
    expect(t.lacks("k")).toBe("P");
    // Nobody has seen it: what was before may go on.
    t.B.answers("get k\r\n", value("k", "2"));
    t.client.receives(value("k", "2"));
  });

  test("the read-back of a refused command is lost: the refusal counts", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\n").sends("NOT_FOUND\r\n").closes();
    t.client.receives("NOT_FOUND\r\n");
    expect(t.lacks("k")).toBe("");
  });

  test("the lead is down: the backup decides and the primary lacks the key", () => {
    const t = new Table();
    t.P.dies();
    t.client.sends("incr k 1\r\n");
    t.B.answers("incr k 1\r\nmg k v f t\r\n", "3\r\nVA 1 f0 t-1\r\n3\r\n");
    t.client.receives("3\r\n");
    expect(t.lacks("k")).toBe("P");
    t.ends();
  });

  test("what had not left when the lead went down is decided by the other side", () => {
    const t = new Table();
    t.P.lanes[0]!.room = 0;
    t.client.sends("incr k 1\r\n");
    t.P.receives("");
    t.P.welcome = "refused";
    t.P.watch.close("reset");
    t.pass(0);
    t.B.answers("incr k 1\r\nmg k v f t\r\n", "3\r\nVA 1 f0 t-1\r\n3\r\n");
    t.client.receives("3\r\n");
    t.ends();
  });

  test("what had not left when the lead's connection broke is asked again in the order it came", () => {
    const t = new Table();
    t.B.dies();
    t.P.lanes[0]!.room = 0;
    t.client.sends(`${store("set", "k", "x")}${store("append", "k", "y")}get k\r\n`);
    t.P.receives("");
    t.P.closes();
    t.pass(100);
    const set = store("set", "k", "x"), append = store("append", "k", "y");
    expect(t.P.lanes.at(-1)!.take()).toBe(`${set}${append}mg k v f t\r\nget k\r\n`);
  });

  test("what waited for the key behind a command that waits for a lane stays behind it", () => {
    const t = new Table();
    t.pair.mark("k", 0);
    t.client.sends(`cas k 0 0 1 7\r\nx\r\n${store("set", "k", "new")}`);
    t.B.receives("mg k\r\n");
    t.B.stopped = true;
    t.B.closes();
    t.pass(0);
    t.P.receives("");
    t.B.continues();
    t.passUntil(() => (t.B.lanes[0]?.unread ?? "") !== "");
    t.P.receives("");
    t.B.answers("mg k\r\n", "EN\r\n");
    t.client.receives("NOT_FOUND\r\n");
    t.P.answers(store("set", "k", "new"), "STORED\r\n");
    t.B.answers(store("set", "k", "new"), "STORED\r\n");
    t.client.receives("STORED\r\n");
    expect([...t.pair.locks.keys()]).toEqual([]);
  });

  test("a set that its stale side alone has under way is decided behind, though the side that led is open again", () => {
    const t = new Table();
    t.pair.mark("k", 0);
    t.B.stopped = true;
    t.B.closes();
    t.pass(0);
    const other = t.join();
    t.client.sends(store("prepend", "k", "1"));
    const set = store("set", "k", "new");
    other.sends(set);
    t.P.receives(set);
    t.B.continues();
    t.pass(0);
    t.B.receives("");
    t.P.sends("STORED\r\n");
    other.receives("STORED\r\n");
    t.P.answers(`${store("prepend", "k", "1")}mg k v f t\r\n`, "STORED\r\nVA 4 f0 t-1\r\n1new\r\n");
    t.B.answers(store("set", "k", "1new"), "STORED\r\n");
    t.client.receives("STORED\r\n");
    expect([...t.pair.locks.keys()]).toEqual([]);
  });

  test("an item that nobody asked for does not keep the key locked", () => {
    const t = new Table();
    t.client.sends("cas k 0 0 1 7\r\nx\r\n");
    t.P.receives("mg k\r\n").sends("VA 1\r\nx\r\n");
    t.B.answers("mg k\r\n", "EN\r\n");
    t.client.receives("NOT_FOUND\r\n");
    expect(t.pair.locks.size).toBe(0);
  });

  test("both down: a clear error at once", () => {
    const t = new Table();
    t.P.dies();
    t.B.dies();
    t.client.sends("incr k 1\r\n");
    t.client.receivesMatch(/^SERVER_ERROR tandem: no server can decide it \(primary p0:1 down: \w+, backup b0:1 down: \w+\)\r\n$/);
    t.ends();
  });

  test("a hung lead: the error comes within the deadline, and the key is free again", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\n");
    t.P.stopped = true;
    t.pass(340);
    t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
    t.client.sends("incr k 1\r\n");
    t.B.answers("incr k 1\r\nmg k v f t\r\n", "3\r\nVA 1 f0 t-1\r\n3\r\n");
    t.client.receives("3\r\n");
  });
});

describe("one key at a time", () => {
  test("a second command on the key waits for the first; other keys and other clients do not", () => {
    const t = new Table();
    const other = t.join();
    t.client.sends("incr k 1\r\nset k 0 0 1\r\nz\r\nget k\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\n");
    other.sends("incr j 1\r\n", "get k\r\n");
    t.P.receives("incr j 1\r\nmg j v f t\r\nget k\r\n");
    t.P.sends("5\r\nVA 1 f0 t-1\r\n5\r\nNOT_FOUND\r\nEN\r\n", value("k", "5"));
    other.receives(`NOT_FOUND\r\n${value("k", "5")}`);
    t.B.answers("set k 0 0 1\r\n5\r\n", "STORED\r\n");
    t.client.receives("5\r\n");
    // The set, then the get behind it, as the client wrote them.
    t.P.answers("set k 0 0 1\r\nz\r\nget k\r\n", `STORED\r\n${value("k", "z")}`);
    t.client.receives("");
    t.B.answers("set k 0 0 1\r\nz\r\n", "STORED\r\n");
    t.client.receives(`STORED\r\n${value("k", "z")}`);
    t.ends();
  });

  test("incr, incr, get: the get is behind both", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\nincr k 1\r\nget k\r\n");
    t.P.answers("incr k 1\r\nmg k v f t\r\n", "1\r\nVA 1 f0 t-1\r\n1\r\n");
    t.B.answers("set k 0 0 1\r\n1\r\n", "STORED\r\n");
    t.client.receives("1\r\n");
    t.P.answers("incr k 1\r\nmg k v f t\r\nget k\r\n", `2\r\nVA 1 f0 t-1\r\n2\r\n${value("k", "2")}`);
    t.B.answers("set k 0 0 1\r\n2\r\n", "STORED\r\n");
    t.client.receives(`2\r\n${value("k", "2")}`);
    t.ends();
  });

  test("a gat, alone or among others, waits too: its touch must not overtake the result", () => {
    for (const [gat, answer, touches] of [
      ["gat -1 k\r\n", value("k", "yx"), "touch k -1\r\n"],
      ["gat -1 j k\r\n", value("k", "yx"), "touch k -1\r\n"],
    ] as const) {
      const t = new Table();
      t.client.sends(`append k 0 0 1\r\nx\r\n${gat}`);
      t.P.receives(`append k 0 0 1\r\nx\r\nmg k v f t\r\n${gat.includes("j") ? "gat -1 j\r\n" : ""}`);
      t.P.sends("STORED\r\nVA 2 f0 t-1\r\nyx\r\n");
      if (gat.includes("j")) {
        t.P.sends("END\r\n");
        t.B.receives("touch j -1\r\nset k 0 0 2\r\nyx\r\n").sends("NOT_FOUND\r\nSTORED\r\n");
      } else t.B.answers("set k 0 0 2\r\nyx\r\n", "STORED\r\n");
      t.client.receives("STORED\r\n");
      t.P.answers("gat -1 k\r\n", answer);
      t.B.answers(touches, "TOUCHED\r\n");
      t.client.receives(answer);
      t.ends();
    }
  });

  test("waiters of several clients are served in their order, also when one has left", () => {
    const t = new Table();
    const [two, three] = [t.join(), t.join()];
    t.client.sends("incr k 1\r\n");
    two.sends("incr k 10\r\n");
    three.sends("incr k 100\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\n");
    two.closes();
    for (const [by, to] of [[1, 1], [10, 11], [100, 111]] as const) {
      if (by > 1) t.P.receives(`incr k ${by}\r\nmg k v f t\r\n`);
      t.P.sends(`${to}\r\nVA ${String(to).length} f0 t-1\r\n${to}\r\n`);
      t.B.answers(`set k 0 0 ${String(to).length}\r\n${to}\r\n`, "STORED\r\n");
    }
    t.client.receives("1\r\n");
    three.receives("111\r\n");
    t.ends();
  });

  test("other keys' writes pass", () => {
    const t = new Table();
    t.client.sends("incr k 1\r\nset j 0 0 1\r\nz\r\n");
    t.P.receives("incr k 1\r\nmg k v f t\r\nset j 0 0 1\r\nz\r\n");
    t.B.receives("set j 0 0 1\r\nz\r\n").sends("STORED\r\n");
    t.P.sends("NOT_FOUND\r\nEN\r\nSTORED\r\n");
    t.client.receives("NOT_FOUND\r\nSTORED\r\n");
    t.ends();
  });
});
