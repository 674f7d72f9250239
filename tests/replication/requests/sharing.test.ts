// --share-gets: gets of one key that wait in one unsent batch are one question; nothing old is ever shared.
import { describe, expect, test } from "bun:test";
import { type Customer, store, Table, value } from "../table.ts";

function table(shareGets = true): { t: Table; others: Customer[]; all: (...texts: string[]) => void } {
  const t = new Table({ shareGets });
  const others = [t.join(), t.join()];
  /** Each client's text, all in one turn. */
  const all = (...texts: string[]): void => {
    texts.forEach((text, i) => [t.client, ...others][i]!.socket.send(text));
    t.platform.settle();
  };
  return { t, others, all };
}

describe("one turn", () => {
  test("gets of one key are one get for the server, and each client hears its answer", () => {
    const { t, others, all } = table();
    all("get k\r\nget k\r\n", "get k\r\n", "get j\r\nget  k\r\n");
    t.P.answers("get k\r\nget j\r\n", value("k", "v") + "END\r\n");
    t.client.receives(value("k", "v").repeat(2));
    others[0]!.receives(value("k", "v"));
    others[1]!.receives(`END\r\n${value("k", "v")}`);
    expect([t.proxy.counters.shared_gets, t.proxy.counters.get_hits, t.proxy.counters.get_misses]).toEqual([3, 4, 1]);
    t.ends();
  });

  test("off: each asks for itself", () => {
    const { t, all } = table(false);
    all("get k\r\n", "get k\r\n");
    t.P.receives("get k\r\nget k\r\n");
  });

  test("the next turn asks anew, though the answer has not come", () => {
    const { t, all } = table();
    all("get k\r\n");
    all("", "get k\r\n");
    t.P.receives("get k\r\nget k\r\n");
  });

  for (const write of [store("set", "k", "new"), "delete k\r\n", "touch k 1\r\n", "gat -1 k\r\n", "gets k\r\n", "incr k 1\r\n", store("append", "k", "x"), store("set", "j", "x")]) {
    test(`what stands behind ${JSON.stringify(write.slice(0, 12))} is not answered from before it`, () => {
      const { t, all } = table();
      all("get k\r\n", `${write}get k\r\n`);
      const asked = t.primaries[0]!.lanes[0]!.take();
      expect([asked.startsWith("get k\r\n"), asked.endsWith("get k\r\n"), asked.split("get k\r\n").length]).toEqual([true, true, 3]);
    });
  }

  test("what is only read meanwhile does not part them", () => {
    const { t, all } = table();
    all("get k\r\nget a b\r\n", "get k\r\n");
    t.P.receives("get k\r\nget a b\r\n");
  });
});

describe("trouble", () => {
  test("the lead is lost: all go to the other side, together", () => {
    const { t, others, all } = table();
    all("get k\r\n", "get k\r\n");
    t.P.receives("get k\r\n").dies();
    t.B.answers("get k\r\n", value("k", "v"));
    t.client.receives(value("k", "v"));
    others[0]!.receives(value("k", "v"));
    t.ends();
  });

  test("who asked first leaves: the others are answered", () => {
    const { t, others, all } = table();
    all("get k\r\n", "get k\r\n");
    t.client.closes();
    t.P.answers("get k\r\n", value("k", "v"));
    others[0]!.receives(value("k", "v"));
  });

  test("an item in pieces, and one that is lost in its middle", () => {
    const { t, others, all } = table();
    all("get k\r\n", "get k\r\n");
    t.P.receives("get k\r\n").sends("VALUE k 0 10\r\n0123", "456789\r", "\nEND\r\n");
    others[0]!.receives(value("k", "0123456789"));
    t.client.receives(value("k", "0123456789"));
    all("get k\r\n", "get k\r\n");
    t.P.receives("get k\r\n").sends("VALUE k 0 10\r\n0123").dies();
    t.B.answers("get k\r\n", value("k", "abc"));
    for (const client of [t.client, others[0]!]) client.receives(value("k", "abc"));
    t.ends();
  });
});
