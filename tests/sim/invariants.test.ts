// Each of the invariants can fail: a sound proxy, bent in one place, is found wrong in just that.
import { describe, expect, test } from "bun:test";
import { Expect } from "../../src/protocol/reply.ts";
import { Decide } from "../../src/replication/requests/decide.ts";
import { Read } from "../../src/replication/requests/read.ts";
import { Sync } from "../../src/replication/copying/sync.ts";
import { Write } from "../../src/replication/requests/write.ts";
import { Table } from "../replication/table.ts";
import { Watch, WriteOrder, wrongNow, wrongQuestion } from "./invariants.ts";

/** A caller of a class, as far as the invariants look at it. */
function fake<T extends object>(of: { readonly prototype: T }, fields: object): T {
  return Object.create(of.prototype, Object.getOwnPropertyDescriptors(fields)) as T;
}

describe("a proxy at one moment", () => {
  test("as it is: nothing is wrong, also while a server is away and a key is lacking", () => {
    const t = new Table();
    expect(wrongNow(t.proxy.pool)).toEqual([]);
    t.pair.mark("k", 1);
    t.P.dies();
    t.pass(100);
    expect(wrongNow(t.proxy.pool)).toEqual([]);
  });

  for (const [what, bend, found] of [
    ["a cold server leads", (t) => (t.proxy.pool.primaries[0]!.cold = true), "I10: p0:1 leads, though it is cold"],
    ["one that rejoins leads", (t) => (t.proxy.pool.primaries[0]!.health.state = "rejoin"), "I10: p0:1 leads, though it is rejoin"],
    ["one that is being synchronised leads", (t) => t.proxy.pool.comebacks.returning.set(t.proxy.pool.primaries[0]!, {} as never), "I10: p0:1 leads while it is being synchronised"],
    ["a lane of a down server serves", (t) => {
      t.proxy.pool.backups[0]!.leads = false;
      t.proxy.pool.backups[0]!.health.state = "down";
    }, "a lane of b0:1 serves, though it is down"],
    ["questions without end", (t) => (t.proxy.pool.backups[0]!.lanes[0]!.inFlight.count = 5001), "5001 questions under way on a lane of b0:1"],
    ["bytes without end", (t) => t.proxy.pool.backups[0]!.lanes[0]!.out.push(new Uint8Array(2 ** 24 + 1), 0, 2 ** 24 + 1), "16777217 bytes wait for a lane of b0:1"],
    ["a wrong count", (t) => {
      t.pair.mark("k", 1);
      t.pair.lacking[0]++;
    }, "0,1 stale entries, though 1,1 are counted"],
  ] as readonly (readonly [string, (t: Table) => void, string])[]) {
    test(what, () => {
      const t = new Table();
      bend(t);
      expect(wrongNow(t.proxy.pool)).toEqual([found]);
    });
  }
});

describe("a question", () => {
  const t = new Table();
  t.pair.mark("k", 1);

  test("a read goes to the side that has the newest state", () => {
    const read = fake(Read, { key: "k" });
    expect(wrongQuestion(t.pair, 0, Expect.VALUES, read, 0)).toBe(null);
    expect(wrongQuestion(t.pair, 1, Expect.VALUES, read, 1)).toMatch(/^I2: k is read from side 1/);
    expect(wrongQuestion(t.pair, 1, Expect.VALUES, fake(Read, { key: "j" }), 1)).toBe(null);
  });

  test("a copy goes to the side that does not lead", () => {
    const copy = fake(Sync, { key: "k" });
    expect(wrongQuestion(t.pair, 1, Expect.META, copy, 2)).toBe(null);
    expect(wrongQuestion(t.pair, 0, Expect.META, copy, 2)).toMatch(/^I8: a copy of k is written to side 0/);
    expect(wrongQuestion(t.pair, 0, Expect.META, copy, 0)).toBe(null);
  });
});

describe("the order of writes", () => {
  const write = (): Write => fake(Write, { key: "k" });
  const decide = (): Decide => fake(Decide, { key: "k" });

  test("what reaches both sides in one order", () => {
    const order = new WriteOrder();
    const one = write(), two = decide(), three = write();
    for (const [side, caller, role] of [[0, one, 0], [1, one, 1], [0, two, 0], [1, two, 2], [0, three, 0], [1, three, 1]] as const) {
      expect(order.asked(side, caller, role)).toBe(null);
    }
  });

  test("a result behind what was asked later is found", () => {
    const order = new WriteOrder();
    const two = decide(), later = write();
    order.asked(0, two, 0);
    order.asked(0, later, 0);
    order.asked(1, later, 1);
    expect(order.asked(1, two, 2)).toMatch(/^I9: the result of a command on k reaches side 1 behind/);
  });

  test("what is asked anew has a new place", () => {
    const order = new WriteOrder();
    const one = write(), two = write();
    order.asked(0, one, 0);
    order.asked(0, two, 0);
    expect([order.asked(0, one, 0), order.asked(1, one, 1)]).toEqual([null, null]);
  });
});

describe("a watch", () => {
  test("tells once what it finds, at questions and at looks", () => {
    const t = new Table();
    const watch = new Watch(t.proxy.pool, 1, () => 0);
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    watch.look();
    expect(watch.found).toEqual([]);
    t.pair.leadOf = () => 1;
    t.pair.mark("k", 1);
    t.client.sends("get k\r\nget k\r\n");
    watch.look();
    expect(watch.found).toEqual(["I2: k is read from side 1, which lacks its newest state"]);
  });

  test("a lock that nobody frees, and copies beyond their number", () => {
    const t = new Table();
    let nowMs = 0;
    const watch = new Watch(t.proxy.pool, 1, () => nowMs);
    t.pair.lock("k", { lockGranted: () => {} });
    watch.look();
    nowMs = 20_000;
    watch.look();
    expect(watch.found).toEqual([]);
    nowMs = 20_001;
    watch.look();
    t.pair.unlock("k");
    (t.proxy.pool.copier as unknown as { running: number }).running = 17;
    watch.look();
    expect(watch.found).toEqual(["k has been locked for 20000 ms", "17 copies at a time"]);
  });
});
