// One memcached: coming up, suspicion, silence, its return, who it is, and the barrier before its lanes are used again.
import { describe, expect, test } from "bun:test";
import { store, Table, value } from "../replication/table.ts";

const SET = store("set", "k", "v");

describe("states", () => {
  test("up as soon as it has told who it is; its limits are known", () => {
    const t = new Table();
    const server = t.proxy.pool.primaries[0]!;
    expect([t.states, server.incarnation, server.version, server.itemBytesMax]).toEqual(["up up", "1700000000/100", "1.6.18", 67108864]);
    expect([server.casTag & ((1n << 47n) - 1n), server.casTag > 0n, server.casTag < 1n << 62n]).toEqual([0n, true, true]);
    expect(server.casTag === t.proxy.pool.backups[0]!.casTag).toBe(false);
  });

  test("one reset: suspect, and up again with a new connection", () => {
    const t = new Table();
    t.P.closes();
    expect(t.states).toBe("up up");
    expect(t.said.filter((line) => line.startsWith("server is suspect")).length).toBe(1);
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
  });

  test("refused: down at once, and nothing is asked of it", () => {
    const t = new Table();
    t.P.dies();
    expect([t.states, t.proxy.pool.primaries[0]!.health.reason]).toEqual(["down up", "refused"]);
  });

  test("a stopped server: one deadline for the request, two until it is down, and none waits then", () => {
    const t = new Table();
    t.P.stopped = true;
    t.client.sends("get k\r\n");
    t.pass(330);
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    t.pass(320);
    expect(t.states).toBe("down up");
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
  });

  test("one that hangs again and again is left to its peer, though it answers in between", () => {
    const t = new Table();
    const states = [1, 2, 3].map(() => {
      t.P.stopped = true;
      t.client.sends("get k\r\n");
      t.pass(330);
      t.B.answers("get k\r\n", "END\r\n");
      t.client.receives("END\r\n");
      const hung = t.states;
      t.P.continues();
      t.pass(600);
      const lead = t.states === "up up" ? t.P : t.B;
      t.client.sends("get k\r\n");
      lead.answers("get k\r\n", "END\r\n");
      t.client.receives("END\r\n");
      return `${hung}, then ${t.states}`;
    });
    expect(states).toEqual(["suspect up, then up up", "suspect up, then up up", "down up, then down up"]);
  });

  test("an idle one that falls silent is noticed all the same", () => {
    const t = new Table();
    t.P.stopped = true;
    t.pass(3100);
    expect([t.states, t.proxy.pool.primaries[0]!.health.reason]).toEqual(["down up", "silent"]);
  });

  test("it accepts and never answers, from the beginning: requests are answered by the other, or told", () => {
    const t = new Table({ before: (table) => void (table.P.stopped = true) });
    t.client.sends("get k\r\n", SET);
    t.B.answers(`get k\r\n${SET}`, "END\r\nSTORED\r\n");
    t.client.receives("END\r\nSTORED\r\n");
    expect(t.lacks("k")).toBe("P");
  });

  test("garbage instead of its identity: down, not asked without a pause", () => {
    const t = new Table();
    const watch = t.P.watch;
    t.P.standing.set("stats\r\n", "HTTP/1.1 400 Bad Request\r\n");
    t.pass(1100);
    expect([t.states, t.proxy.pool.primaries[0]!.health.reason, t.P.watch === watch]).toEqual(["down up", "unexpected_reply", false]);
  });

  test("it must answer for a second before it is used again, while the other carries its keys", () => {
    const t = new Table();
    t.P.dies();
    t.P.welcome = "accept";
    t.pass(1000);
    expect(t.states).toBe("down up");
    t.pass(1500);
    expect(t.states).toBe("up up");
  });

  test("without anybody to carry its keys it is used at once", () => {
    const t = new Table({ backups: 0 });
    t.P.dies();
    t.P.welcome = "accept";
    t.pass(500);
    expect(t.states).toBe("up");
  });
});

describe("who answers there", () => {
  test("another process on new connections is another memory", () => {
    const t = new Table();
    const tag = t.proxy.pool.primaries[0]!.casTag;
    t.P.dies();
    t.P.lives(777);
    t.P.welcome = "accept";
    t.pass(2500);
    const server = t.proxy.pool.primaries[0]!;
    expect([server.cold, server.leads, server.incarnation, server.casTag === tag]).toEqual([true, false, "1700000000/777", false]);
  });

  test("an identity that cannot be read is none", () => {
    for (const stats of ["END\r\n", "STAT pid 1\r\nEND\r\n", "STAT time 5\r\nSTAT uptime x\r\nSTAT pid 1\r\nEND\r\n", "ERROR\r\n"]) {
      const t = new Table({ before: (table) => void table.P.standing.set("stats\r\n", stats) });
      expect([stats, t.states, t.proxy.pool.primaries[0]!.health.reason]).toEqual([stats, "down up", "handshake"]);
    }
  });
});

describe("the barrier", () => {
  /** A set that went unanswered on P, whose dead connection P lists in this state. */
  function ghost(state: string): { t: Table; address: string } {
    const t = new Table();
    t.client.sends(SET);
    t.B.answers(SET, "STORED\r\n");
    t.P.receives(SET);
    const address = t.P.lanes[0]!.local;
    t.P.connections([["tcp:10.0.0.2:1", "conn_listening"], ["tcp:10.0.0.77:5", "conn_parse_cmd"], [`tcp:${address}`, state]]);
    t.P.closes();
    t.client.receives("STORED\r\n");
    return { t, address };
  }
  const ready = (t: Table): boolean => t.proxy.pool.primaries[0]!.lanes[0]!.ready;

  test("gone: used at the next look", () => {
    const { t } = ghost("conn_parse_cmd");
    t.P.connections([["tcp:10.0.0.77:5", "conn_parse_cmd"]]);
    t.pass(60);
    expect(ready(t)).toBe(true);
  });

  for (const state of ["conn_read", "conn_waiting"]) {
    test(`seen in ${state} for 100 ms: its RST was lost, and it has nothing to execute`, () => {
      const { t } = ghost(state);
      t.pass(80);
      expect(ready(t)).toBe(false);
      t.pass(120);
      expect(ready(t)).toBe(true);
    });
  }

  test("busy: not used however long it lasts; idle between does not count", () => {
    const { t, address } = ghost("conn_parse_cmd");
    for (let i = 0; i < 20; i++) {
      t.P.connections([[`tcp:${address}`, i % 2 === 0 ? "conn_parse_cmd" : "conn_read"]]);
      t.pass(60);
      expect(ready(t)).toBe(false);
    }
    // Its traffic goes to the other side meanwhile.
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", value("k", "v"));
    t.client.receives(value("k", "v"));
  });

  test("a connection that owed nothing leaves no ghost", () => {
    const t = new Table();
    const address = t.P.lanes[0]!.local;
    t.P.connections([[`tcp:${address}`, "conn_parse_cmd"]]);
    t.P.closes();
    expect(ready(t)).toBe(true);
  });

  test("another life has no ghosts", () => {
    const { t } = ghost("conn_parse_cmd");
    t.P.dies();
    t.P.lives(888);
    t.P.welcome = "accept";
    t.passUntil(() => ready(t));
    expect(t.states).toBe("rejoin cold up");
  });

  test("over a unix socket connections have no names: only the one that asks may be busy", () => {
    // As memcached 1.6.18 lists them.
    const listed = (...states: string[]): (readonly [string, string])[] =>
      [["unix:/tmp/m.sock", "conn_listening"], ...states.map((state) => ["?:<AF 0>", state] as const)];
    const { t } = ghost("conn_parse_cmd");
    const server = t.proxy.pool.primaries[0]!;
    server.ghosts.clear();
    server.ghosts.add("unix");
    t.P.connections(listed("conn_parse_cmd", "conn_parse_cmd"));
    t.pass(400);
    expect(ready(t)).toBe(false);
    t.P.connections(listed("conn_parse_cmd", "conn_read", "conn_read"));
    t.pass(80);
    expect(ready(t)).toBe(false);
    t.pass(200);
    expect(ready(t)).toBe(true);
  });
});
