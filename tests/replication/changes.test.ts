// Rings that change while servers are away: who is waited for, how that ends, and what is known of those left behind.
import { describe, expect, test } from "bun:test";
import type { PoolConfig } from "../../src/config/config.ts";
import { BACKUP } from "../../src/replication/pair.ts";
import { Backend, store, Table } from "./table.ts";

const MINUTE_MS = 60_000, WAIT_MS = 3600_000;

/** A reload after which these are the servers; answers with why not, or "". */
function reload(t: Table, primaries: readonly string[], backups: readonly string[]): string {
  const { config } = t.proxy.services[0]!;
  const specs = (labels: readonly string[]): PoolConfig["primaries"] =>
    labels.map((label) => ({ address: { kind: "tcp", host: label.slice(0, -2), port: 1 }, weight: 1, name: null, label }));
  let answer = "";
  t.proxy.reload({ pools: [{ ...config, primaries: specs(primaries), backups: specs(backups) }] }, (outcome) => {
    if (!outcome.ok) answer = outcome.reason;
  });
  t.platform.settle();
  return answer;
}

const text = (t: Table): string => t.proxy.pool.changes.text;

describe("a ring that is being filled", () => {
  test("waits for a new server that is away, names it, and can be told not to", () => {
    const t = new Table();
    expect(reload(t, ["p0:1", "p1:1"], ["b0:1"])).toBe("");
    t.passUntil(() => text(t).includes("filling"));
    t.pass(2000);
    expect(text(t)).toBe("primaries filling, waiting for p1:1, which is down");
    expect(t.said.filter((line) => line.startsWith("ring change waits"))).toEqual([
      'ring change waits {"ring":"primaries","for":"p1:1, which is down","ended_by":"tandem transition end"}',
    ]);
    expect(reload(t, ["p0:1"], ["b0:1"])).toContain("its rings are still changing from the last time");
    t.proxy.hasten();
    expect(text(t)).toBe("");
    t.pass(20);
    expect(t.said).toContain('ring changes without waiting any longer: who is not filled leads nothing until he is {"ring":"primaries","for":"p1:1, which is down"}');
    expect(t.proxy.pool.primaries.map(({ label, leads }) => [label, leads])).toEqual([["p0:1", true], ["p1:1", false]]);
    // It does not come at all: it can be taken out again.
    expect(reload(t, ["p0:1"], ["b0:1"])).toBe("");
    t.passUntil(() => t.proxy.pool.primaries.map(({ label }) => label).join() === "p0:1");
  });

  test("waits as long as any ring does, and no longer", () => {
    const t = new Table();
    reload(t, ["p0:1", "p1:1"], ["b0:1"]);
    t.passUntil(() => text(t).includes("filling"));
    t.pass(WAIT_MS - MINUTE_MS);
    expect(text(t)).toBe("primaries filling, waiting for p1:1, which is down");
    t.pass(2 * MINUTE_MS);
    expect([text(t), t.proxy.changing]).toEqual(["", false]);
  });

  test("names who holds what is to be copied, and is away", () => {
    const t = new Table();
    const young = new Backend(t.platform, "p1:1", 150);
    reload(t, ["p0:1", "p1:1"], ["b0:1"]);
    t.passUntil(() => text(t).includes("filling"));
    expect(text(t)).toBe("primaries filling");
    t.B.dies();
    t.passUntil(() => text(t).includes("down"));
    expect(text(t)).toBe("primaries filling, waiting for b0:1, which is down and holds what p1:1 is to be given");
    expect(young.met).toBe(true);
  });
});

test("a server whose missed writes are not known one by one is compared also when its peers are replaced meanwhile", () => {
  const t = new Table({ comeback: { missedKeysMax: 1 } });
  t.P.dies();
  t.passUntil(() => t.states.startsWith("down"));
  for (const key of ["k", "l", "m"]) {
    t.client.sends(store("set", key, "1"));
    t.B.answers(store("set", key, "1"), "STORED\r\n");
    t.client.receives("STORED\r\n");
  }
  expect(t.proxy.pool.comebacks.overflowed(t.proxy.pool.primaries[0]!)).toBe(true);
  new Backend(t.platform, "b1:1", 250);
  expect(reload(t, ["p0:1"], ["b1:1"])).toBe("");
  t.proxy.hasten();
  t.passUntil(() => t.proxy.pool.backups[0]!.label === "b1:1");
  expect(t.proxy.pool.comebacks.overflowed(t.proxy.pool.primaries[0]!)).toBe(true);
});

test("a server that is being given what it lost when it gains keys leads nothing before it was given those too", () => {
  const DUMP = "lru_crawler metadump hash\r\n";
  const t = new Table({ primaries: 2, before: ({ primaries, backups }) => [...primaries, ...backups].forEach((each, i) => each.lives(100 + i, "1.6.38")) });
  t.P.dies();
  t.passUntil(() => t.states.startsWith("down"));
  t.P.lives(900, "1.6.38");
  t.P.welcome = "accept";
  t.P.standing.set(DUMP, "END\r\n");
  t.passUntil(() => t.states.startsWith("rejoin") && t.B.lanes.some(({ unread }) => unread === DUMP));
  reload(t, ["p0:1"], ["b0:1"]);
  t.passUntil(() => text(t).includes("settling"));
  t.B.standing.set(DUMP, "END\r\n");
  t.B.continues();
  t.passUntil(() => {
    expect(t.proxy.pool.primaries[0]!.leads && text(t).includes("settling")).toBe(false);
    return text(t).includes("filling");
  });
  t.passUntil(() => text(t) === "");
  expect([t.states, t.proxy.pool.comebacks.overflowed(t.proxy.pool.primaries[0]!)]).toEqual(["up up", false]);
});

test("what a server lacks of a request from before the rings changed it lacks where the key is now, also when the pair is there still", () => {
  const t = new Table({ primaries: 2 });
  const { pool } = t.proxy;
  const before = new Map(Array.from({ length: 40 }, (_, i) => [`k${i}`, pool.pairOf(`k${i}`)]));
  new Backend(t.platform, "p2:1", 150);
  reload(t, ["p0:1", "p1:1", "p2:1"], ["b0:1"]);
  t.passUntil(() => text(t).includes("settling"));
  const [key, pair] = [...before].find(([each, was]) => pool.pairOf(each) !== was)!;
  expect([pair.retired, pool.pairs.includes(pair)]).toEqual([false, true]);
  pool.lacks(pair, key, BACKUP);
  expect([pair.stale.size, pool.pairOf(key).stale.get(key)?.side]).toEqual([0, BACKUP]);
});

test("what the servers of a ring were deciding has ended before the ring changes, and what comes meanwhile is decided by the side that stays", () => {
  const t = new Table({ primaries: 2, before: ({ P }) => P.lives(100, "1.6.38") });
  const key = Array.from({ length: 40 }, (_, i) => `n${i}`).find((each) => t.proxy.pool.pairOf(each).primary.label === "p1:1")!;
  const incr = `incr ${key} 1\r\n`, read = `mg ${key} v f t\r\n`;
  t.client.sends(incr);
  t.primaries[1]!.receives(incr + read);
  t.P.standing.set("lru_crawler metadump hash\r\n", "END\r\n");
  reload(t, ["p0:1"], ["b0:1"]);
  t.passUntil(() => text(t).includes("turning"));
  const other = t.join().sends(incr);
  t.B.receives(""); // behind the first one
  t.primaries[1]!.sends("8\r\nVA 1 f0 t-1\r\n8\r\n");
  t.B.answers(`set ${key} 0 0 1\r\n8\r\n`, "STORED\r\n");
  t.client.receives("8\r\n");
  t.B.answers(incr + read, "9\r\nVA 1 f0 t-1\r\n9\r\n");
  t.primaries[1]!.answers(`set ${key} 0 0 1\r\n9\r\n`, "STORED\r\n");
  other.receives("9\r\n");
  t.passUntil(() => t.proxy.pool.primaries.length === 1);
});
