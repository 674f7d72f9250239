// Looking afterwards at what was written, when several proxies write.
import { describe, expect, test } from "bun:test";
import { both, store, Table } from "../table.ts";

const READ = "mg k v f t c u\r\n";
const SET = store("set", "k", "mine");

/** A set of k that both sides have just taken. */
function written(verify: "on" | "off" = "on"): Table {
  const t = new Table({ proxies: { verify } });
  t.pass(1000); // the lead is the same for long enough
  t.client.sends(SET);
  both(t, SET);
  t.P.sends("STORED\r\n");
  t.B.sends("STORED\r\n");
  t.client.receives("STORED\r\n");
  return t;
}

/** Until both sides are compared again, which takes as long as a request may be in flight. */
function stands(t: Table): void {
  t.pass(t.proxy.pool.options.requestTimeoutMs);
  t.B.receives("");
  t.passUntil(() => t.B.lanes[0]!.unread !== "");
}

/** What a side holds. */
const held = (data: string, cas = 7): string => `VA ${data.length} f0 t-1 c${cas}\r\n${data}\r\n`;

describe("verification", () => {
  test("is off for a proxy that is alone", () => {
    written("off").ends();
  });

  test("compares both sides after the answer, and is content when they are alike", () => {
    const t = written();
    t.B.answers(READ, held("mine"));
    t.P.answers(READ, held("mine", 9));
    t.pass(500);
    expect([t.proxy.counters.verified, t.proxy.counters.divergences, t.proxy.pool.verifier.backlog]).toEqual([1, 0, 0]);
    t.ends();
  });

  test("makes the backup like the primary when they differ, and looks again", () => {
    const t = written();
    for (let look = 1; look <= 2; look++) {
      t.B.answers(READ, held("other"));
      t.P.answers(READ, held("mine", 9));
      if (look === 1) stands(t);
    }
    t.B.answers("ms k 4 C7 F0 T0\r\nmine\r\n", "HD\r\n");
    t.P.answers("mg k c t u\r\n", "HD c9 t-1\r\n");
    t.pass(500);
    t.B.answers(READ, held("mine", 8));
    t.P.answers(READ, held("mine", 9));
    expect([t.proxy.counters.divergences, t.proxy.pool.verifier.backlog]).toEqual([1, 0]);
    t.ends();
  });

  test("writes over nothing that may be in flight to the primary", () => {
    const t = written();
    t.B.answers(READ, held("other"));
    t.P.answers(READ, held("mine", 9));
    stands(t);
    // Yet another one came meanwhile, and is in flight by now.
    t.B.answers(READ, held("third", 8));
    t.P.answers(READ, held("other", 10));
    stands(t);
    t.B.answers(READ, held("third", 8));
    t.P.answers(READ, held("third", 11));
    expect([t.proxy.counters.divergences, t.proxy.pool.verifier.backlog]).toEqual([0, 0]);
    t.ends();
  });

  test("a key that is gone on one side alone is in flight too", () => {
    const t = written();
    t.B.answers(READ, "EN\r\n");
    t.P.answers(READ, held("mine", 9));
    stands(t);
    t.B.answers(READ, "EN\r\n");
    t.P.answers(READ, "EN\r\n");
    expect([t.proxy.counters.divergences, t.proxy.pool.verifier.backlog]).toEqual([0, 0]);
    t.ends();
  });

  test("waits while the lead is young, also within the tick in which it became the lead", () => {
    const t = new Table({ proxies: { verify: "on" } });
    t.pair.primary.fenced = true; // as another proxy's notice has it
    t.pass(1000);
    t.pair.primary.fenced = false; // and as it is read that this is over
    t.client.sends(SET);
    both(t, SET);
    t.P.sends("STORED\r\n");
    t.B.sends("STORED\r\n");
    t.client.receives("STORED\r\n");
    expect(t.proxy.counters.verified).toBe(0);
    t.pass(1000);
    t.B.answers(READ, held("mine"));
    t.P.answers(READ, held("mine", 9));
    t.ends();
  });

  test("that fails changes neither lead nor stale entries, and is tried again", () => {
    const t = written();
    t.B.receives(READ).closes();
    expect([t.lacks("k"), t.pair.usualLead]).toEqual(["", 0]);
    t.passUntil(() => t.B.lanes.length === 1 && t.B.lanes[0]!.unread !== "");
    t.B.answers(READ, held("mine"));
    t.P.answers(READ, held("mine"));
    expect([t.lacks("k"), t.proxy.pool.verifier.backlog]).toEqual(["", 0]);
    t.ends();
  });

  test("waits until the pair's lead has been the same for a while", () => {
    const t = new Table({ proxies: { verify: "on" } });
    t.client.sends(SET);
    both(t, SET);
    t.P.sends("STORED\r\n");
    t.B.sends("STORED\r\n");
    t.pass(t.proxy.pool.settleMs - 100);
    t.B.receives("");
    t.passUntil(() => t.B.lanes[0]!.unread !== "");
    t.B.answers(READ, held("mine"));
    t.P.answers(READ, held("mine"));
    t.client.receives("STORED\r\n");
    t.ends();
  });

  test("a write while it compares is compared too", () => {
    const t = written();
    t.B.receives(READ);
    t.client.sends(SET);
    both(t, SET);
    t.B.sends(held("mine"), "STORED\r\n");
    t.P.sends("STORED\r\n").answers(READ, held("mine"));
    t.pass(300);
    t.B.answers(READ, held("mine"));
    t.P.answers(READ, held("mine"));
    expect(t.proxy.counters.verified).toBe(2);
    t.client.receives("STORED\r\n");
    t.ends();
  });

  test("follows what the lead decided, too", () => {
    const t = new Table({ proxies: { verify: "on" } });
    t.pass(1000);
    t.client.sends(store("add", "k", "x"));
    t.P.answers(store("add", "k", "x"), "STORED\r\n");
    t.B.answers(store("set", "k", "x"), "STORED\r\n");
    t.client.receives("STORED\r\n");
    t.B.answers(READ, held("x"));
    t.P.answers(READ, held("x"));
    t.ends();
  });
});

describe("what somebody stored past the proxies, on servers that take explicit uniques", () => {
  const LOOK = "mg k t c u\r\n", VERSION = "4700000000000000000";
  /** A pair whose key is looked at. */
  const looking = (): Table => {
    const t = new Table({ explicit: true, proxies: { verify: "on" } });
    t.pass(1000);
    t.proxy.pool.verifier.wrote(t.pair, "k", 0);
    t.pass(0);
    return t;
  };
  const told = (t: Table): number[] => [t.proxy.counters.divergences, t.proxy.pool.verifier.backlog];

  test("values are compared where there are no versions: alike, though the uniques differ", () => {
    const t = looking();
    t.B.answers(LOOK, "HD t-1 c5\r\n");
    t.P.answers(LOOK, "HD t-1 c9\r\n");
    t.B.answers(READ, held("mine", 5));
    t.P.answers(READ, held("mine", 9));
    expect(told(t)).toEqual([0, 0]);
    t.ends();
  });

  test("equal uniques that are no versions say nothing", () => {
    const t = looking();
    for (let look = 1; look <= 2; look++) {
      t.B.answers(LOOK, "HD t-1 c5\r\n");
      t.P.answers(LOOK, "HD t-1 c5\r\n");
      t.B.answers(READ, held("other", 5));
      t.P.answers(READ, held("mine", 5));
      if (look === 1) stands(t);
    }
    t.B.answers("ms k 4 C5 F0 T0 E5\r\nmine\r\n", "HD\r\n");
    t.P.answers("mg k c t u\r\n", "HD t-1 c5\r\n");
    expect(told(t)).toEqual([1, 1]);
    t.pass(100);
    t.B.answers(LOOK, "HD t-1 c5\r\n");
    t.P.answers(LOOK, "HD t-1 c5\r\n");
    t.B.answers(READ, held("mine", 5));
    t.P.answers(READ, held("mine", 5));
    expect(told(t)).toEqual([1, 0]);
    t.ends();
  });

  test("a version on one side alone is copied to the other one without a look at that one's value", () => {
    const t = looking();
    for (let look = 1; look <= 2; look++) {
      t.B.answers(LOOK, "HD t-1 c5\r\n");
      t.P.answers(LOOK, `HD t-1 c${VERSION}\r\n`);
      if (look === 1) stands(t);
    }
    t.P.answers(READ, `VA 4 f0 t-1 c${VERSION}\r\nmine\r\n`);
    t.B.answers(`ms k 4 C5 F0 T0 E${VERSION}\r\nmine\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", `HD t-1 c${VERSION}\r\n`);
    t.pass(100);
    t.B.answers(LOOK, `HD t-1 c${VERSION}\r\n`);
    t.P.answers(LOOK, `HD t-1 c${VERSION}\r\n`);
    expect(told(t)).toEqual([1, 0]);
    t.ends();
  });

  test("a newer version on the lead is copied at once", () => {
    const t = looking();
    t.B.answers(LOOK, "HD t-1 c4699999999999999999\r\n");
    t.P.answers(LOOK, `HD t-1 c${VERSION}\r\n`);
    t.P.answers(READ, `VA 4 f0 t-1 c${VERSION}\r\nmine\r\n`);
    t.B.answers(`ms k 4 C4699999999999999999 F0 T0 E${VERSION}\r\nmine\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", `HD t-1 c${VERSION}\r\n`);
    expect(told(t)).toEqual([1, 1]);
  });
});
