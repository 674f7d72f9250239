// Rings that change while servers are away: what is known of those left behind.
import { expect, test } from "bun:test";
import type { PoolConfig } from "../../src/config/config.ts";
import { Backend, store, Table } from "./table.ts";

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
