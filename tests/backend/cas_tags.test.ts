// Tags of cas uniques: the same for the same life of a server wherever it is asked, and never one for two of them.
import { expect, test } from "bun:test";
import { CasTags } from "../../src/backend/cas_tags.ts";

const LIVES = Array.from({ length: 2000 }, (_, i) => ["a:11211", `17000${i % 100}/${i}`] as const);

test("lives that differ have different tags, whatever their hashes", () => {
  const tags = new CasTags();
  const given = LIVES.map(([label, life]) => tags.of(label, life));
  expect(new Set(given).size).toBe(LIVES.length);
  // Their hashes alone do not do it.
  expect(new Set(LIVES.map(([label, life]) => new CasTags().of(label, life))).size).toBeLessThan(LIVES.length);
  expect(LIVES.map(([label, life]) => tags.of(label, life))).toEqual(given);
});

test("two proxies tell the same, unless there was a clash", () => {
  const [one, other] = [new CasTags(), new CasTags()];
  for (const [label, life] of LIVES.slice(0, 20)) expect(one.of(label, life)).toBe(other.of(label, life));
});

test("as many lives as there are tags, and one more", () => {
  const tags = new CasTags();
  const given = new Set(Array.from({ length: 32_768 }, (_, i) => tags.of("a:1", `1/${i}`)));
  expect(given.size).toBe(32_767);
  for (const tag of given) expect([tag > 0n, tag < 1n << 62n, tag & ((1n << 47n) - 1n)]).toEqual([true, true, 0n]);
});
