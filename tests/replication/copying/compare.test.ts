// Comparing keys of a pair: every verdict by table, second looks, the rate, and what is mended.
import { describe, expect, test } from "bun:test";
import { Comparison, type ComparisonOptions, Look, type Place, type Verdict } from "../../../src/replication/copying/compare.ts";
import { Table } from "../table.ts";

const ASKED = "mg k v f t c\r\n";
const item = (data: string, flags = 0, ttl: number = -1, cas = 7): string => `VA ${data.length} f${flags} t${ttl} c${cas}\r\n${data}\r\n`;
const NONE = "EN\r\n";

describe("one look", () => {
  const look = (primary: string, backup: string, key = "k"): string => {
    const t = new Table();
    const said: string[] = [];
    new Look({ key, pair: t.pair, laneIndex: 0 }, (verdict, uniques) => void said.push(`${verdict} ${uniques}`)).start();
    t.platform.settle();
    t.B.answers(`mg ${key} v f t c\r\n`, backup);
    t.P.answers(`mg ${key} v f t c\r\n`, primary);
    t.ends();
    expect(said.length).toBe(1);
    return said[0]!;
  };
  test("by table", () => {
    expect([
      look(NONE, NONE), look(item("1"), NONE), look(NONE, item("1", 0, -1, 9)), look(item("1"), item("1", 0, -1, 9)),
      look(item("1"), item("2")), look(item("1"), item("11")), look(item("1", 1), item("1", 2)), look(item(""), item("")),
    ]).toEqual(["equal - -", "only_primary 7 -", "only_backup - 9", "equal 7 9", "value 7 7", "value 7 7", "flags 7 7", "equal 7 7"]);
  });
  test("times", () => {
    const with_ = (a: number, b: number): string => look(item("1", 0, a), item("1", 0, b));
    expect([with_(100, 102), with_(100, 103), with_(-1, -1), with_(-1, 100), with_(1, -1)].map((text) => text.split(" ")[0]!))
      .toEqual(["equal", "times", "equal", "times", "times"]);
  });
  test("a value in pieces, larger than what is gathered", () => {
    const data = "d".repeat(1_500_000);
    const t = new Table();
    const said: Verdict[] = [];
    new Look({ key: "k", pair: t.pair, laneIndex: 0 }, (verdict) => void said.push(verdict)).start();
    t.platform.settle();
    for (const [backend, text] of [[t.P, item(data)], [t.B, item(`${data.slice(0, -1)}e`)]] as const) {
      backend.receives(ASKED).sends(text.slice(0, 1_200_000)).sends(text.slice(1_200_000));
    }
    expect(said).toEqual(["value"]);
    t.ends();
  });
  test("a side that refuses, breaks or is away", () => {
    expect(look("SERVER_ERROR out of memory\r\n", NONE)).toBe("failed ");
    const t = new Table();
    const said: Verdict[] = [];
    const start = (): void => new Look({ key: "k", pair: t.pair, laneIndex: 0 }, (verdict) => void said.push(verdict)).start();
    start();
    t.platform.settle();
    t.P.answers(ASKED, NONE);
    t.B.dies();
    expect(said).toEqual(["failed"]);
    t.passUntil(() => t.proxy.pool.backups[0]!.state === "down");
    start();
    expect(said).toEqual(["failed", "failed"]);
  });
});

interface Told {
  readonly key: string;
  readonly verdict: Verdict;
  readonly mended: string | null;
}

/** A comparison of keys over a table, ticked as time passes. */
function comparing(keys: readonly string[], options: Partial<ComparisonOptions> = {}) {
  const t = new Table();
  const told: Told[] = [];
  let ended = 0;
  const places = keys.map((key): Place => ({ key, pair: t.pair, laneIndex: 0 }));
  const comparison = new Comparison(t.platform.nowMs, places[Symbol.iterator](), {
    keysPerSecond: 0, underWayMax: 16, twice: true, mends: () => false,
    told: ({ key }, verdict, mended) => void told.push({ key, verdict, mended }),
    ended: () => void ended++,
    ...options,
  });
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i += 20) {
      t.pass(20);
      comparison.tick(t.platform.nowMs);
      t.platform.settle();
    }
  };
  pass(20);
  const answer = (primary: string, backup: string): void => {
    t.P.answers(ASKED, primary);
    t.B.answers(ASKED, backup);
  };
  return { t, told, pass, answer, comparison, ended: () => ended };
}

describe("second looks", () => {
  test("the same difference twice with nothing written in between counts", () => {
    const c = comparing(["k"]);
    c.answer(item("1"), NONE);
    expect(c.told).toEqual([]);
    c.pass(100);
    c.answer(item("1"), NONE);
    expect(c.told).toEqual([{ key: "k", verdict: "only_primary", mended: null }]);
    expect(c.ended()).toBe(1);
    c.t.ends();
  });
  test("a write that was under way is no difference", () => {
    const c = comparing(["k"]);
    c.answer(item("2", 0, -1, 8), item("1"));
    c.pass(100);
    c.answer(item("2", 0, -1, 8), item("2", 0, -1, 8));
    expect(c.told).toEqual([{ key: "k", verdict: "equal", mended: null }]);
  });
  test("a key that is written all the time is changing, not different, and not asked for ever", () => {
    const c = comparing(["k"]);
    let looks = 0;
    for (; c.ended() === 0 && looks < 50; looks++) {
      c.answer(item(`${looks}`, 0, -1, 100 + looks), item("old"));
      while (c.ended() === 0 && c.t.P.unread === "") c.pass(20);
    }
    expect(c.told).toEqual([{ key: "k", verdict: "changing", mended: null }]);
    expect(looks).toBe(8);
  });
  test("a side that does not come back is failed", () => {
    const c = comparing(["k"]);
    c.t.B.dies();
    c.pass(5000);
    expect(c.told).toEqual([{ key: "k", verdict: "failed", mended: null }]);
    expect(c.ended()).toBe(1);
  });
});

/**
 * Sync asks both sides, in whatever words, until it asks no more: reads of values are answered with these items, others
 * with `after`, stores are taken. Answers what was stored.
 */
function syncs({ t }: ReturnType<typeof comparing>, primary: string, backup: string, after = ""): string {
  let stored = "";
  for (;;) {
    const asked = [t.P, t.B].map((backend) => backend.lanes[0]!.take());
    if (asked.every((text) => text === "")) return stored;
    for (const [i, backend] of [t.P, t.B].entries()) {
      const text = asked[i]!;
      if (text === "") continue;
      if (text.startsWith("ms ")) {
        stored += text;
        backend.sends("HD\r\n");
      } else backend.sends(/^mg k (\w )*v /.test(text) ? (i === 0 ? primary : backup) : after);
    }
  }
}

describe("mending", () => {
  test("through Sync, from the lead, guarded by what was read", () => {
    const c = comparing(["k"], { twice: false, mends: () => true });
    c.answer(item("new", 3, 100, 8), item("old", 0, -1, 5));
    const stored = syncs(c, item("new", 3, 100, 8), item("old", 0, -1, 5), "HD c8 t100\r\n");
    expect(stored).toMatch(/^ms k 3 C5 F3 T100[^\r]*\r\nnew\r\n$/);
    expect(c.told).toEqual([{ key: "k", verdict: "value", mended: "copied" }]);
    expect(c.ended()).toBe(1);
    c.t.ends();
  });
  test("what Sync finds equal is looked at again: equal by now, or not mended", () => {
    const c = comparing(["k"], { twice: false, mends: () => true });
    c.answer(item("1"), item("2"));
    expect(syncs(c, item("1"), item("1"))).toBe("");
    c.pass(100);
    c.answer(item("1"), item("1"));
    expect(c.told).toEqual([{ key: "k", verdict: "equal", mended: null }]);

    const d = comparing(["k"], { twice: false, mends: () => true });
    for (let looks = 0; looks < 8; looks++) {
      while (d.ended() === 0 && d.t.P.unread === "") d.pass(20);
      d.answer(item("1"), item("2"));
      syncs(d, item("1"), item("1"));
    }
    expect(d.told).toEqual([{ key: "k", verdict: "value", mended: "failed" }]);
    expect(d.ended()).toBe(1);
  });
  test("only what it is told to", () => {
    const c = comparing(["k"], { twice: false, mends: (verdict) => verdict !== "only_backup" });
    c.answer(NONE, item("1"));
    expect(c.told).toEqual([{ key: "k", verdict: "only_backup", mended: null }]);
    c.t.ends();
  });
});

describe("pace", () => {
  const keys = Array.from({ length: 500 }, () => "k");
  /** Both sides answer whatever was asked; how many keys that were. */
  const answered = (c: ReturnType<typeof comparing>): number => {
    const count = c.t.P.lanes[0]!.take().length / ASKED.length;
    expect(c.t.B.lanes[0]!.take().length / ASKED.length).toBe(count);
    c.t.P.sends(NONE.repeat(count));
    c.t.B.sends(NONE.repeat(count));
    return count;
  };
  test("not more under way than allowed", () => {
    const c = comparing(keys);
    c.pass(200);
    expect(answered(c)).toBe(16);
    expect(answered(c)).toBe(16);
  });
  test("not more a second than allowed, also after a pause", () => {
    const c = comparing(keys, { keysPerSecond: 100, underWayMax: 1000 });
    let count = answered(c);
    for (let i = 0; i < 50; i++) {
      c.pass(20);
      count += answered(c);
    }
    expect([count >= 98, count <= 104]).toEqual([true, true]);
    c.t.pass(3000);
    c.comparison.tick(c.t.platform.nowMs);
    c.t.platform.settle();
    expect(answered(c)).toBeLessThanOrEqual(10);
  });
  test("stopped: those under way are told, no others begin, and it ends once", () => {
    const c = comparing(keys);
    c.comparison.stop();
    expect(c.ended()).toBe(0);
    expect(answered(c)).toBe(16);
    c.pass(1000);
    expect([c.told.length, c.ended(), answered(c)]).toEqual([16, 1, 0]);
  });
  test("nothing to compare ends at the first tick", () => {
    expect(comparing([]).ended()).toBe(1);
  });
});
