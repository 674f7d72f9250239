// --strict: what waits, and what is refused, so that no other proxy's word is missed.
import { describe, expect, test } from "bun:test";
import { Company, notice, OTHER } from "../company.ts";
import { both, store, value } from "../table.ts";

const SET = store("set", "k", "x");
const STILL = "mg k v f t c\r\n";

/** Strict, all well for a while, and then without its primary. */
function alone(): Company {
  const c = strict();
  c.t.P.dies();
  c.pass(100);
  expect(c.t.states).toBe("down up");
  return c;
}

function strict(): Company {
  return new Company({ strict: true, verify: "off" }).pass(3000);
}

describe("strict: who leads", () => {
  test("the primary while its peer's board was read just now, else the backup", () => {
    const c = strict();
    expect(c.t.pair.usualLead).toBe(0);
    c.t.pass(1000); // nobody answers what is asked about the board
    expect(c.t.pair.usualLead).toBe(1);
    c.pass(500);
    expect(c.t.pair.usualLead).toBe(0);
  });

  test("not a primary that lacks a single key, for no key", () => {
    const c = strict();
    c.t.pair.mark("k", 0);
    c.t.client.sends("get j\r\n");
    c.t.B.sendsOn(0, ""); // nothing to say
    expect(c.t.B.lanes[0]!.unread.includes("get j\r\n")).toBe(true);
    expect(c.t.pair.leadOf("j")).toBe(1);
  });

  test("a primary whose only peer is down", () => {
    const c = strict();
    c.t.B.dies();
    c.pass(1500);
    expect(c.t.pair.usualLead).toBe(0);
  });

  for (const [name, unmet, met] of [["primary whose peer", "B", "P"], ["backup whose peer", "P", "B"]] as const) {
    test(`not a ${name} was not met yet: reads wait until it is, or cannot be`, () => {
      const c = new Company({ strict: true, verify: "off" }, (t) => void (t[unmet].welcome = "lost"));
      c.t.client.sends("get k\r\n", "get k j\r\n");
      c.pass(240);
      expect(c.t.proxy.pool.servers.filter(({ state }) => state === "up").length).toBe(1);
      expect(c.t.pair.usualLead).toBe(-1);
      c.t[met].receives("");
      c.pass(100);
      c.t[met].answers("get k\r\nget k\r\nget j\r\n", "END\r\n".repeat(3));
      c.t.client.receives("END\r\nEND\r\n");
    });
  }

  test("not one that another proxy distrusts", () => {
    const c = strict();
    c.B.post(OTHER, notice(5, { complaints: [{ name: "p0:1", why: "stale", chunks: 0 }] }));
    c.pass(400);
    expect(c.t.pair.usualLead).toBe(1);
  });
});

describe("strict: a command that the lead executed and whose result was not copied", () => {
  test("leaves nothing lacking when both were made alike meanwhile and something later is there", () => {
    const c = strict();
    c.t.client.sends("incr n 1\r\n");
    c.t.P.answers("incr n 1\r\nmg n v f t\r\n", "7\r\nVA 1 f0 t-1\r\n7\r\n");
    c.t.B.dies();
    c.pass(100);
    expect(c.t.pair.stale.get("n")?.side).toBe(1);
    c.t.pair.clear("n"); // the copier has found both alike
    c.passUntil(() => c.t.P.lanes[0]!.unread !== "");
    c.t.P.answers("mg n v f t c\r\n", "VA 1 f0 t-1 c5\r\n9\r\n");
    c.t.pass(20);
    c.t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
    expect(c.t.pair.stale.size).toBe(0);
  });
});

describe("strict: a write that one side took", () => {
  test("is acknowledged when everybody must know, and it is still there", () => {
    const c = alone();
    c.t.client.sends(SET);
    c.t.B.answers(SET, "STORED\r\n");
    c.pass(c.t.proxy.pool.settleMs - 200);
    c.t.client.receives("");
    c.pass(400);
    c.t.B.answers(STILL, "VA 1 f0 t-1 c5\r\nx\r\n");
    c.t.pass(20);
    c.t.client.receives("STORED\r\n");
  });

  for (const [name, answer] of [["something else is there", "VA 1 f0 t-1 c5\r\ny\r\n"], ["it is gone", "EN\r\n"]] as const) {
    test(`is not acknowledged when ${name}`, () => {
      const c = alone();
      c.t.client.sends(SET);
      c.t.B.answers(SET, "STORED\r\n");
      c.pass(c.t.proxy.pool.settleMs + 200);
      c.t.B.answers(STILL, answer);
      c.t.pass(20);
      c.t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
    });
  }

  test("need not be there when a later one of ours replaced it", () => {
    const c = alone();
    c.t.client.sends(SET, "delete k\r\n");
    c.t.B.answers(SET + "delete k\r\n", "STORED\r\nDELETED\r\n");
    c.pass(c.t.proxy.pool.settleMs + 200);
    c.t.B.answers(STILL + STILL, "EN\r\nEN\r\n");
    c.t.pass(20);
    c.t.client.receives("STORED\r\nDELETED\r\n");
  });

  test("is not acknowledged while another proxy distrusts the side that took it, and makes it like the other", () => {
    const c = alone();
    c.t.client.sends(SET);
    c.t.B.answers(SET, "STORED\r\n");
    c.B.post(OTHER, notice(5, { complaints: [{ name: "b0:1", why: "stale", chunks: 0 }] }));
    c.pass(c.t.proxy.pool.settleMs + 200);
    c.t.B.receives("");
    c.B.post(OTHER, notice(6));
    c.pass(300);
    c.t.B.answers(STILL, "EN\r\n");
    c.t.pass(20);
    c.t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
  });

  test("is not acknowledged when a later one of ours that is gone replaced it", () => {
    const c = alone();
    const later = store("set", "k", "later");
    c.t.client.sends(SET, later);
    c.t.B.answers(SET + later, "STORED\r\nSTORED\r\n");
    c.pass(c.t.proxy.pool.settleMs + 200);
    c.t.B.answers(STILL + STILL, "EN\r\nEN\r\n"); // another proxy, which could reach the other side, removed it
    c.t.pass(20);
    c.t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown.*\r\nSERVER_ERROR tandem: outcome unknown/);
  });

  test("is not acknowledged for a later touch of what is gone", () => {
    const c = alone();
    c.t.client.sends(SET, "touch k 0\r\n");
    c.t.B.answers(SET + "touch k 0\r\n", "STORED\r\nTOUCHED\r\n");
    c.pass(c.t.proxy.pool.settleMs + 200);
    c.t.B.answers(STILL + STILL, "EN\r\nEN\r\n");
    c.t.pass(20);
    c.t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown.*\r\nTOUCHED\r\n$/);
  });

  test("is not waited for without end when the board cannot be written", () => {
    const c = alone();
    c.t.client.sends(SET);
    c.t.B.answers(SET, "STORED\r\n");
    c.t.pass(1900); // the board is silent, the server not yet
    c.pass(1000);
    c.t.client.receivesMatch(/^SERVER_ERROR tandem: outcome unknown/);
  });

  test("a write that both took waits for nothing", () => {
    const c = strict();
    c.t.client.sends(SET);
    both(c.t, SET);
    c.t.P.sends("STORED\r\n");
    c.t.B.sends("STORED\r\n");
    c.t.client.receives("STORED\r\n");
  });
});

describe("strict: a conditional command", () => {
  test("waits while a change of lead is young", () => {
    const c = alone();
    c.t.client.sends("incr n 1\r\n");
    c.pass(500);
    c.t.B.receives("");
    c.passUntil(() => c.t.B.lanes[0]!.unread !== "");
    c.t.B.answers("incr n 1\r\nmg n v f t\r\n", "7\r\nVA 1 f0 t-1\r\n7\r\n");
    c.pass(100);
    c.t.B.answers("mg n v f t c\r\n", "VA 1 f0 t-1 c5\r\n7\r\n");
    c.t.pass(20);
    c.t.client.receives("7\r\n");
  });

  test("is sent at once when all is well", () => {
    const c = strict();
    c.t.client.sends("incr n 1\r\n");
    c.t.P.receives("incr n 1\r\nmg n v f t\r\n");
  });
});

describe("strict: the newest copy out of reach", () => {
  test("is an error, not a miss", () => {
    const c = strict();
    c.t.pair.mark("k", 1); // the backup lacks it
    c.t.B.lanes[0]!.take();
    c.t.P.dies();
    c.pass(100);
    c.t.client.sends("get k\r\n");
    c.t.client.receivesMatch(/^SERVER_ERROR tandem: no server can answer/);
    expect(value("k", "x").length > 0).toBe(true);
  });
});
