// What a proxy reports of itself on the table, and the sum of several such reports.
import { describe, expect, test } from "bun:test";
import { type Report, type ServerReport, sumReports } from "../../src/observe/report.ts";
import { store, Table, value } from "../replication/table.ts";

const server = (report: Report, address: string): ServerReport => report.pools[0]!.servers.find((each) => each.address === address)!;

describe("Proxy.report", () => {
  test("tells of servers, pairs, commands and their times", () => {
    const t = new Table();
    t.client.sends("get a\r\n");
    t.pass(3);
    t.P.answers("get a\r\n", value("a", "1"));
    t.client.receives(value("a", "1")).sends(store("set", "a", "22"));
    t.P.answers(store("set", "a", "22"), "STORED\r\n");
    t.pass(40);
    t.B.answers(store("set", "a", "22"), "STORED\r\n");
    t.client.receives("STORED\r\n");
    const report = t.proxy.report();
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect([report.build.version, report.build.target, report.runtime, report.state]).toEqual(["source", "table", "table", "serving"]);
    expect([report.pools[0]!.clients.now, report.workers.length, report.workers[0]!.pid]).toEqual([1, 1, 7]);
    const took = (latency: { count: number; sumMs: number } | undefined) => [latency?.count, Math.round(latency?.sumMs ?? 0)];
    expect(took(report.pools[0]!.commands["get"])).toEqual([1, 3]);
    expect(took(report.pools[0]!.commands["set"])).toEqual([1, 40]);
    expect(took(server(report, "p0:1").latency["store"])).toEqual([1, 0]);
    expect(took(server(report, "b0:1").latency["store"])).toEqual([1, 40]);
    expect(server(report, "b0:1").latency["get"]).toBeUndefined();
    expect(report.pools[0]!.pairs).toEqual([
      { primary: "p0:1", backup: "b0:1", lead: "primary", leadSeconds: report.uptimeSeconds, primaryLacks: 0, backupLacks: 0 },
    ]);
    expect([server(report, "p0:1").share, server(report, "p0:1").role, server(report, "b0:1").role]).toEqual([1, "primary", "backup"]);
  });

  test("a lost server: its state, why, what failed, what it missed, and the event", () => {
    const t = new Table();
    t.pass(1000);
    t.client.sends("get a\r\n");
    t.P.receives("get a\r\n").dies();
    t.B.answers("get a\r\n", value("a", "1"));
    t.client.sends(store("set", "b", "1"));
    t.B.answers(store("set", "b", "1"), "STORED\r\n");
    t.pass(2000);
    const report = t.proxy.report();
    const primary = server(report, "p0:1");
    expect([primary.state, primary.missedKeys, primary.failed]).toEqual(["down", 1, { reset: 1 }]);
    expect(primary.lost["reset"]).toBe(2); // its lane and the control connection
    expect(Math.floor(primary.stateSeconds)).toBe(2);
    expect([report.pools[0]!.pairs[0]!.lead, report.pools[0]!.pairs[0]!.primaryLacks]).toEqual(["backup", 1]);
    expect([report.pools[0]!.counters["failover_reads"], report.pools[0]!.counters["backup_hits"], report.pools[0]!.counters["single_writes"]]).toEqual([1, 1, 1]);
    const event = report.events.at(-1)!;
    expect([event.level, event.message, event.fields["server"], event.fields["from"], event.fields["to"]])
      .toEqual(["warn", "server is down", "p0:1", "suspect", "down"]);
  });

  test("hits are counted where they came from, of many keys too", () => {
    const t = new Table();
    t.B.dies();
    t.pass(500);
    t.client.sends("get a b\r\n");
    t.P.answers("get a b\r\n", value("a", "1"));
    expect([t.proxy.counters.get_hits, t.proxy.counters.get_misses, t.proxy.counters.backup_hits]).toEqual([1, 1, 0]);
    const u = new Table();
    u.P.dies();
    u.pass(500);
    u.client.sends("get a b\r\n");
    u.B.answers("get a b\r\n", value("b", "1"));
    expect([u.proxy.counters.backup_hits, u.proxy.counters.backup_misses, u.proxy.counters.get_hits]).toEqual([1, 1, 1]);
  });

  test("what is asked about tandem itself is no command of clients", () => {
    const t = new Table();
    t.client.sends("stats\r\nstats proxy\r\nversion\r\n");
    expect(t.client.socket.take()).toMatch(/END\r\nVERSION /);
    expect(t.proxy.report().pools[0]!.commands).toEqual({});
  });

  test("draining is told", () => {
    const t = new Table();
    t.proxy.stop(1000, () => {});
    expect(t.proxy.report().state).toBe("draining");
  });
});

describe("sumReports", () => {
  const one = (prepare: (t: Table) => void): Report => {
    const t = new Table();
    t.pass(100);
    prepare(t);
    return t.proxy.report();
  };
  const calm = one((t) => {
    t.client.sends("get a\r\n");
    t.P.answers("get a\r\n", value("a", "1"));
  });
  const hurt = one((t) => {
    t.P.dies();
    t.pass(500);
    t.client.sends(store("set", "b", "1"));
    t.B.answers(store("set", "b", "1"), "STORED\r\n");
  });

  test("one is itself; none is an error", () => {
    expect(sumReports([calm])).toBe(calm);
    expect(() => sumReports([])).toThrow("no reports");
  });

  test("of workers that are not equally far with a change of rings the one that waits is heard", () => {
    const at = (transition: string): Report => ({ ...calm, pools: calm.pools.map((pool) => ({ ...pool, transition })) });
    const heard = (...texts: string[]): string => sumReports(texts.map(at)).pools[0]!.transition;
    const waits = "primaries filling, waiting for p1:1, which is down";
    expect([heard("", ""), heard("", "primaries filling"), heard("primaries filling", waits)]).toEqual(["", "primaries filling", waits]);
  });

  test("counts add up, the worst view of a server counts, leads that differ are mixed", () => {
    const both = sumReports([calm, hurt]);
    expect(both.pools[0]!.clients).toEqual({ now: 2, max: 20 });
    expect(both.workers.length).toBe(2);
    expect([both.pools[0]!.counters["cmd_get"], both.pools[0]!.counters["cmd_set"], both.pools[0]!.commands["get"]!.count, both.pools[0]!.commands["set"]!.count]).toEqual([1, 1, 1, 1]);
    const primary = server(both, "p0:1");
    expect([primary.state, primary.reason, primary.missedKeys]).toEqual(["down", server(hurt, "p0:1").reason, 1]);
    expect([server(both, "b0:1").state, both.pools[0]!.pairs[0]!.lead, both.pools[0]!.missedKeys]).toEqual(["up", "mixed", 1]);
    expect(both.pools[0]!.pairs[0]!.primaryLacks).toBe(1);
    expect(both.events.length).toBe(calm.events.length + hurt.events.length);
    expect(JSON.stringify(sumReports([hurt, calm]).pools[0]!.counters)).toBe(JSON.stringify(both.pools[0]!.counters));
  });
});
