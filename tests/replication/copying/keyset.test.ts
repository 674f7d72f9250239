// The flat set of keys against the language's own.
import { describe, expect, test } from "bun:test";
import { latin1, textOf } from "../../../src/bytes/ascii.ts";
import { KeySet } from "../../../src/replication/copying/keyset.ts";

function held(keys: KeySet): string[] {
  const out: string[] = [];
  for (let at = 0; at < keys.end; at += keys.bytes[at]! + 1) out.push(textOf(keys.bytes, at + 1, at + 1 + keys.bytes[at]!));
  return out;
}

/** Some of them more than once, of all lengths, most of them alike but for a digit. */
const KEYS = Array.from({ length: 5_000 }, (_, i) => `${"k".repeat(1 + (i % 249))}${(i * 7) % 9973}`.slice(-250));

describe("a key set", () => {
  test("holds each key once, in the order in which they came", () => {
    const keys = new KeySet();
    const seen = new Set<string>();
    let wrong = 0;
    for (const key of KEYS) {
      const bytes = latin1(` ${key} `);
      if (keys.add(bytes, 1, bytes.length - 1) === seen.has(key)) wrong++;
      seen.add(key);
    }
    expect(wrong).toBe(0);
    expect(keys.size).toBe(seen.size);
    expect(held(keys)).toEqual([...seen]);
  });

  test("in parts: each key in one of them, none of them empty or near to all", () => {
    const all: string[] = [];
    for (let part = 0; part < 3; part++) {
      const keys = new KeySet(part, 3);
      for (const key of KEYS) keys.add(latin1(key), 0, key.length);
      expect(keys.size).toBeGreaterThan(new Set(KEYS).size / 4);
      all.push(...held(keys));
    }
    expect(all.toSorted()).toEqual([...new Set(KEYS)].toSorted());
  });

  test("a key of 20 bytes costs less than 56 bytes", () => {
    const keys = new KeySet();
    const key = latin1("refill:0000000000000");
    for (let i = 0; i < 200_000; i++) {
      for (let at = 19, rest = i; at > 12; at--, rest = Math.floor(rest / 10)) key[at] = 48 + (rest % 10);
      keys.add(key, 0, 20);
    }
    expect(keys.size).toBe(200_000);
    expect(keys.footprint).toBeLessThan(200_000 * 56);
  });

  test("for as many keys as expected no room is made anew, and more of them find room", () => {
    const keys = new KeySet(0, 1, 0, 2000);
    const { bytes, footprint } = keys;
    for (let i = 0; i < 2000; i++) keys.add(latin1(`key:${i}`), 0, `key:${i}`.length);
    expect([keys.bytes === bytes, keys.footprint]).toEqual([true, footprint]);
    for (const key of KEYS) keys.add(latin1(key), 0, key.length);
    expect(keys.size).toBe(2000 + new Set(KEYS).size);
    expect(new Set(held(keys)).size).toBe(keys.size);
  });

  test("what is longer than any key is not taken", () => {
    expect(new KeySet().add(new Uint8Array(300), 0, 256)).toBe(false);
  });
});
