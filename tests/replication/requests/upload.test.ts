// A set whose value streams to both sides over connections of its own.
import { describe, expect, test } from "bun:test";
import { Customer, store, Table } from "../table.ts";

describe("a large set", () => {
  const LENGTH = 1_500_000;
  const HEADER = `set k 0 0 ${LENGTH}\r\n`;
  const BODY = "v".repeat(LENGTH);

  function begun(t: Table, body: string, client: Customer = t.client): void {
    client.sends(HEADER, body);
    for (const side of [t.P, t.B]) side.receives(HEADER + body, 1);
  }

  test("it streams over connections of its own; the servers get its end behind a fence on the key's lanes", () => {
    const t = new Table();
    begun(t, BODY.slice(0, 1_000_000));
    t.client.sends(`${BODY.slice(1_000_000)}\r\nget k\r\n`);
    for (const side of [t.P, t.B]) {
      side.receives(BODY.slice(1_000_000), 1);
      side.receives("mn\r\n");
    }
    t.P.sends("MN\r\n");
    t.P.receives("", 1);
    t.B.sends("MN\r\n");
    for (const side of [t.P, t.B]) side.receives("\r\n", 1);
    t.P.sendsOn(1, "STORED\r\n");
    t.client.receives("");
    t.P.receives("");
    t.B.sendsOn(1, "STORED\r\n");
    t.client.receives("STORED\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    // The connections are used again.
    begun(t, BODY);
    expect(t.P.lanes.length).toBe(2);
  });

  test("nobody else waits for a slow one; a command in two steps on the key waits for its end only", () => {
    const t = new Table();
    const two = t.join();
    begun(t, BODY);
    two.sends("get k\r\n", "incr k 1\r\n");
    t.P.receives("get k\r\nincr k 1\r\nmg k v f t\r\n").sends("END\r\n");
    t.client.sends("\r\n");
    t.P.receives(""); // the key is locked: no fence yet
    t.P.sends("NOT_FOUND\r\nEN\r\n");
    two.receives("END\r\nNOT_FOUND\r\n");
    for (const side of [t.P, t.B]) side.answers("mn\r\n", "MN\r\n");
    for (const side of [t.P, t.B]) side.answers("\r\n", "STORED\r\n", 1);
    t.client.receives("STORED\r\n");
    t.ends();
  });

  test("a bad end: nothing is stored anywhere", () => {
    const t = new Table();
    begun(t, BODY);
    t.client.sends("xx", "mn\r\n");
    t.client.receives("CLIENT_ERROR bad data chunk\r\nMN\r\n");
    expect([t.P.lanes.length, t.B.lanes.length]).toEqual([1, 1]);
    t.ends();
  });

  for (const how of ["halfCloses", "closes"] as const) {
    test(`a client that ${how} in the middle leaves nothing behind`, () => {
      const t = new Table();
      begun(t, "half");
      t.client[how]();
      expect([t.P.lanes.length, t.B.lanes.length, t.proxy.pool.uploads.size]).toEqual([1, 1, 0]);
      if (how === "halfCloses") expect(t.client.socket.finished).toBe(true);
      expect(t.states).toBe("up up");
    });
  }

  test("one side lost in the middle: the other's word", () => {
    const t = new Table();
    begun(t, "v".repeat(1000));
    t.B.dies();
    t.client.sends(`${"v".repeat(LENGTH - 1000)}\r\n`);
    t.P.receives("v".repeat(LENGTH - 1000), 1).answers("mn\r\n", "MN\r\n").answers("\r\n", "STORED\r\n", 1);
    t.client.receives("STORED\r\n");
    expect(t.lacks("k")).toBe("B");
    t.ends();
  });

  test("both lost in the middle: one error, and the rest of the value is swallowed", () => {
    const t = new Table();
    begun(t, "v".repeat(1000));
    t.P.dies();
    t.B.dies();
    t.client.receivesMatch(/^SERVER_ERROR tandem: /);
    t.client.sends(`${"v".repeat(LENGTH - 1000)}\r\n`, "mn\r\n");
    t.client.receives("MN\r\n");
    t.ends();
  });

  test("too large for the servers: their word, and the connection stays usable", () => {
    const t = new Table();
    begun(t, "v".repeat(1000));
    for (const side of [t.P, t.B]) side.sendsOn(1, "SERVER_ERROR out of memory storing object\r\n");
    t.client.receives("SERVER_ERROR out of memory storing object\r\n");
    t.client.sends(`${"v".repeat(LENGTH - 1000)}\r\n`, "mn\r\n");
    t.client.receives("MN\r\n");
    t.ends();
  });

  test("a hung server is not waited for beyond two deadlines", () => {
    for (const backups of [0, 1]) {
      const t = new Table({ backups });
      for (const side of [...t.primaries, ...t.backups]) side.stopped = true;
      t.client.sends(HEADER);
      t.pass(650);
      t.client.receivesMatch(/^SERVER_ERROR tandem: /);
    }
  });

  test("an end without an answer may be executed later: the key's lane waits for the barrier", () => {
    const t = new Table();
    begun(t, BODY);
    const zombie = t.P.lanes[1]!.local;
    t.P.connections([[`tcp:${zombie}`, "conn_parse_cmd"]]);
    t.client.sends("\r\n");
    for (const side of [t.P, t.B]) side.answers("mn\r\n", "MN\r\n");
    for (const side of [t.P, t.B]) side.receives("\r\n", 1);
    t.B.sendsOn(1, "STORED\r\n");
    t.pass(340);
    t.client.receives("STORED\r\n");
    expect([t.lacks("k"), t.proxy.pool.primaries[0]!.lanes[0]!.ready]).toEqual(["P", false]);
    t.client.sends(store("set", "k", "new"));
    t.B.answers(store("set", "k", "new"), "STORED\r\n");
    t.client.receives("STORED\r\n");
    t.P.connections([]);
    t.pass(60);
    expect(t.proxy.pool.primaries[0]!.lanes[0]!.ready).toBe(true);
  });

  test("a client that stops in the middle of its value is cut off", () => {
    const t = new Table();
    begun(t, "v");
    t.pass(10_100);
    expect([t.client.socket.aborted, t.proxy.counters.clients_cut, t.states]).toEqual([true, 1, "up up"]);
  });
});
