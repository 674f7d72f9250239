// Which servers hold which keys, against sets of the language's own.
import { expect, test } from "bun:test";
import { latin1, textOf } from "../../../src/bytes/ascii.ts";
import { Holdings } from "../../../src/replication/copying/holdings.ts";

test("each key once, with all servers that hold it, and what is new on each", () => {
  const servers = 11; // more than a byte has bits
  const holdings = new Holdings(servers);
  const held = Array.from({ length: servers }, () => new Set<string>());
  let wrong = 0;
  for (let i = 0; i < 20_000; i++) {
    const key = `key:${(i * 7919) % 3000}`, index = (i * 31) % servers;
    const bytes = latin1(`[${key}]`);
    if (holdings.from(index).add(bytes, 1, bytes.length - 1, bytes, 0, 0) === held[index]!.has(key)) wrong++;
    held[index]!.add(key);
  }
  expect(wrong).toBe(0);
  const seen = new Set<string>();
  for (const start of holdings.starts()) {
    const key = textOf(holdings.bytes, start, holdings.endOf(start));
    seen.add(key);
    for (let index = 0; index < servers; index++) if (holdings.holds(start, index) !== held[index]!.has(key)) wrong++;
  }
  expect([wrong, seen.size, holdings.size]).toEqual([0, 3000, 3000]);
});
