// A server that returns with a memory that did not come from its peers.
import { expect, test } from "bun:test";
import { Table } from "../table.ts";

const READ = "mg k v f t c u\r\n";

test("restarted and not empty it may hold what was deleted: its keys are compared before it is filled", () => {
  const t = new Table();
  t.P.lives(999, "1.6.38", 1);
  t.passUntil(() => t.P.lanes.length === 2);
  t.P.answers("lru_crawler metadump hash\r\n", "key=k exp=-1\r\nEND\r\n", 1);
  t.passUntil(() => t.P.lanes[0]!.unread !== "");
  t.P.answers(READ, "VA 1 f0 t-1 c3\r\no\r\n");
  t.B.answers(READ, "EN\r\n");
  t.P.answers("md k C3\r\n", "HD\r\n");
  t.B.answers("mg k c t u\r\n", "EN\r\n");
  for (let pass = 0; pass < 2; pass++) {
    t.passUntil(() => (t.B.lanes[1]?.unread ?? "") !== "");
    t.B.answers("lru_crawler metadump all\r\n", "END\r\n", 1);
  }
  t.passUntil(() => t.states === "up up");
  expect(t.said.join("\n")).toMatch(/restarted and is not empty/);
  t.ends();
});

test("what other proxies have posted on it since its restart does not count", () => {
  const t = new Table();
  t.P.lives(999, "1.6.38", 2);
  t.passUntil(() => t.P.lanes.length === 2);
  t.P.answers("lru_crawler metadump hash\r\n", "key=__tandem:roster exp=-1\r\nkey=__tandem:b:0badcafe exp=1700000200\r\nEND\r\n", 1);
  for (let pass = 0; pass < 2; pass++) {
    t.passUntil(() => (t.B.lanes[1]?.unread ?? "") !== "");
    t.B.answers("lru_crawler metadump all\r\n", "END\r\n", 1);
  }
  t.passUntil(() => t.states === "up up");
  expect(t.said.join("\n")).not.toContain("is not empty");
  t.ends();
});

test("restarted and not empty it is not asked first either, --rejoin fast: what it holds may be old", () => {
  const t = new Table({ comeback: { rejoin: "fast" } });
  t.P.lives(999, "1.6.38", 1);
  t.passUntil(() => t.P.lanes.length === 2);
  expect(t.states).toBe("rejoin cold up");
  t.P.receives("");
  t.client.sends("get k\r\n");
  t.P.receives("");
  t.B.answers("get k\r\n", "END\r\n");
  t.client.receives("END\r\n");
});

test("a peer that lists no keys is asked ever more rarely", () => {
  const t = new Table();
  t.B.standing.set("lru_crawler metadump all\r\n", "ERROR metadump not allowed\r\n");
  t.P.lives(999);
  t.pass(60_000);
  expect(t.states).toBe("rejoin cold up");
  const told = t.said.filter((line) => line.startsWith("keys cannot be listed, trying again"));
  expect(told[0]).toContain("ERROR metadump not allowed");
  expect(told.length).toBeGreaterThan(10);
  expect(told.length).toBeLessThan(20);
});
