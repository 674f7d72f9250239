// Old values on servers that gain keys: they are removed before the ring changes, also when that is broken off.
import { expect, test } from "bun:test";
import type { PoolConfig } from "../../../src/config/config.ts";
import { Table } from "../table.ts";

const DUMP = "lru_crawler metadump hash\r\n";

/** A reload after which the first primary is the only one. */
function leaveOne(t: Table): void {
  const { config } = t.proxy.services[0]!;
  const pool: PoolConfig = { ...config, primaries: config.primaries.slice(0, 1) };
  t.proxy.reload({ pools: [pool] }, ({ ok }) => expect(ok).toBe(true));
  t.platform.settle();
}

const text = (t: Table): string => t.proxy.pool.changes.transition?.text ?? "";

test("a removal that is broken off by a reset of all connections begins anew", () => {
  const t = new Table({ primaries: 2, before: ({ P }) => P.lives(100, "1.6.38") });
  leaveOne(t);
  t.passUntil(() => t.P.lanes.some(({ unread }) => unread === DUMP));
  for (const socket of [t.P.watch, ...t.P.lanes]) socket.close("reset");
  t.platform.settle();
  t.P.standing.set(DUMP, "END\r\n");
  t.passUntil(() => !text(t).includes("purging"));
});
