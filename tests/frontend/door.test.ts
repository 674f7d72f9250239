// Whoever comes and goes in whatever order: the door knows who is there.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Table } from "../replication/table.ts";

test("clients that leave in any order", () => {
  const order = fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { minLength: 10, maxLength: 10 });
  fc.assert(
    fc.property(order, (leaving) => {
      const t = new Table({ backups: 0, clientsMax: 100 });
      const { door, counters } = t.proxy;
      const first = door.clients.length;
      const clients = Array.from({ length: 10 }, () => t.join());
      for (const [gone, at] of leaving.entries()) {
        clients[at]!.socket.close("reset");
        t.pass(0);
        const left = first + 9 - gone;
        expect([counters.curr_connections, door.clients.map(({ place }) => place)]).toEqual([left, Array.from({ length: left }, (_, i) => i)]);
        expect(new Set(door.clients.filter(({ closed }) => !closed)).size).toBe(left);
      }
      t.ends();
    }),
    { numRuns: 20 },
  );
});
