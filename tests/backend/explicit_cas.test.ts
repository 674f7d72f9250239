// Which servers are given cas uniques of ours: those that keep one exactly, asked once in each of their lives.
import { expect, test } from "bun:test";
import { Table } from "../replication/table.ts";

const PROBE = "ms __tandem:e 1 T5 E4611686018427387905 c\r\n1\r\n";
const SETTINGS = "stats settings\r\n";
const works = (t: Table): string => t.proxy.pool.servers.map(({ explicitCas }) => (explicitCas.works ? "yes" : "no")).join(" ");

test("both keep it: writes of the pair carry it", () => {
  const t = new Table({ explicit: true });
  expect([t.states, works(t), t.pair.explicit]).toEqual(["up up", "yes yes", true]);
  t.client.sends("stats servers\r\n").receivesMatch(/STAT primary:0:explicit_cas yes\r\n.*STAT backup:0:explicit_cas yes\r\n/s);
});

test("one that is too old is not asked: its pair does without", () => {
  const t = new Table({ before: (table) => table.P.livesExplicit(300) });
  expect([t.states, works(t), t.pair.explicit]).toEqual(["up up", "yes no", false]);
});

for (const answer of ["HD c4611686018427387904\r\n", "HD\r\n", "CLIENT_ERROR invalid flag\r\n", "SERVER_ERROR out of memory storing object\r\n"]) {
  test(`an answer ${JSON.stringify(answer)} is a no`, () => {
    const t = new Table({ explicit: true, before: (table) => table.P.livesExplicit(300, answer) });
    expect([t.states, works(t), t.pair.explicit]).toEqual(["up up", "no yes", false]);
  });
}

test("a server that runs without cas is not asked", () => {
  const t = new Table({
    explicit: true,
    before: ({ P }) => {
      P.standing.set(SETTINGS, "STAT item_size_max 1048576\r\nSTAT cas_enabled no\r\nEND\r\n");
      P.standing.delete(PROBE);
    },
  });
  expect([t.states, works(t)]).toEqual(["up up", "no yes"]);
});

test("the same process is not asked twice, another one is", () => {
  const t = new Table({ explicit: true });
  t.P.standing.delete(PROBE);
  t.P.watch.close("reset");
  t.pass(1100);
  expect([t.states, works(t)]).toEqual(["up up", "yes yes"]);
  t.P.dies();
  t.P.lives(777, "1.6.18");
  t.P.welcome = "accept";
  t.passUntil(() => t.proxy.pool.primaries[0]!.state !== "down");
  expect(works(t)).toBe("no yes");
});

test("a server that was never reached does not keep its peer from it", () => {
  const t = new Table({ explicit: true, before: ({ B }) => void (B.welcome = "refused") });
  expect([t.states, works(t), t.pair.explicit]).toEqual(["up down", "yes yes", true]);
});
