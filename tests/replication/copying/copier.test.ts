// What becomes of a key whose copies fail again and again.
import { describe, expect, test } from "bun:test";
import { both, store, Table } from "../table.ts";

const READ = "mg k v f t c u\r\n";

/** The primary missed k, has returned and is being brought up to date: it is asked what it holds of k. */
function returning(): Table {
  const t = new Table();
  t.P.dies();
  t.pair.mark("k", 0);
  t.P.welcome = "accept";
  t.passUntil(() => t.P.lanes[0]?.unread === READ);
  expect(t.states).toBe("rejoin up");
  return t;
}

describe("a return whose last key is not copied", () => {
  const OLD = "VA 1 f0 t-1 c5\r\no\r\n";

  test("since the other side never tells what it holds: after ten seconds the server is without it, and is trusted", () => {
    const t = returning();
    const asked: string[] = [];
    for (let ms = 0; ms < 20_000 && t.states !== "up up"; ms += 20) {
      t.pass(20);
      const text = t.P.lanes[0]!.take();
      if (text === READ) t.P.sends(OLD);
      if (text === "md k C5\r\n") t.P.sends("HD\r\n");
      if (t.B.lanes[0]!.take() === READ) t.B.sends("SERVER_ERROR out of memory writing get response\r\n");
      asked.push(text);
    }
    expect(t.states).toBe("up up");
    expect(asked.filter((text) => text === "md k C5\r\n").length).toBe(1);
    expect([t.lacks("k"), t.proxy.counters.unreplicable]).toEqual(["", 1]);
    expect(t.said.join("\n")).toContain('key cannot be copied, the server is without it {"server":"p0:1","key":"k"}');
    t.ends();
  });

  test("since clients write it faster: after twelve rounds one of their writes waits for a copy", () => {
    const t = returning();
    for (let round = 1; round <= 12; round++) {
      t.P.answers(READ, OLD);
      t.B.answers(READ, `VA 1 f0 t-1 c${round}\r\nx\r\n`);
      t.P.answers("ms k 1 C5 F0 T0\r\nx\r\n", "EX\r\n");
    }
    t.passUntil(() => t.P.lanes[0]!.unread === READ);
    t.client.sends(store("set", "k", "y"));
    t.B.receives("");
    t.P.answers(READ, OLD);
    t.B.answers(READ, "VA 1 f0 t-1 c20\r\nx\r\n");
    t.P.answers("ms k 1 C5 F0 T0\r\nx\r\n", "HD\r\n");
    t.B.answers("mg k c t u\r\n", "HD c20 t-1\r\n");
    both(t, store("set", "k", "y"));
    t.P.sends("STORED\r\n");
    t.B.sends("STORED\r\n");
    t.client.receives("STORED\r\n");
    t.passUntil(() => t.states === "up up");
    t.ends();
  });

  test("since the other side was away meanwhile: that says nothing about the key", () => {
    const t = returning();
    t.P.answers(READ, OLD);
    t.B.answers(READ, "SERVER_ERROR busy\r\n");
    t.B.dies();
    t.pass(15_000);
    t.P.receives("");
    t.B.welcome = "accept";
    t.passUntil(() => t.P.lanes[0]!.unread === READ);
    t.P.answers(READ, OLD);
    t.B.answers(READ, "VA 1 f0 t-1 c1\r\nx\r\n");
    t.P.answers("ms k 1 C5 F0 T0\r\nx\r\n", "HD\r\n");
    t.B.answers("mg k c t u\r\n", "HD c1 t-1\r\n");
    t.passUntil(() => t.states === "up up");
    t.ends();
  });
});

test("a key that is to be compared while it is being copied is compared afterwards: that copy may go the other way", () => {
  const t = new Table();
  t.pair.mark("k", 1);
  t.pass(60);
  t.B.receives(READ);
  const settled: string[] = [];
  t.proxy.pool.copier.add({ pair: t.pair, key: "k", laneIndex: 0, to: 0, generation: 0, settled: (outcome) => void settled.push(outcome) });
  t.pass(100);
  t.P.receives("");
  t.B.sends("EN\r\n");
  t.P.answers(READ, "EN\r\n");
  expect(settled).toEqual([]);
  t.pass(100);
  t.P.answers(READ, "VA 1 f0 t-1 c5\r\no\r\n");
  t.B.answers(READ, "EN\r\n");
  t.P.answers("md k C5\r\n", "HD\r\n");
  t.B.answers("mg k c t u\r\n", "EN\r\n");
  expect([settled, t.lacks("k")]).toEqual([["removed"], ""]);
  t.ends();
});
