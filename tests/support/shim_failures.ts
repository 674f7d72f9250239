// Tests that must fail, every one: shim.test.ts runs them under Deno to show that bun:test's stand-in does not let
// anything pass. Not named *.test.ts, so no other run finds it.
import { afterEach, beforeAll, describe, expect, test } from "bun:test";

/** bun:test would not even compile what can never be equal. */
const seen = (value: unknown) => expect(value);

const failing: [string, () => unknown][] = [
  ["toBe", () => seen(1).toBe(2)],
  ["toBe of equal objects", () => seen({}).toBe({})],
  ["toBe of 0 and -0", () => seen(0).toBe(-0)],
  ["toEqual", () => seen({ a: [1, { b: 2 }] }).toEqual({ a: [1, { b: 3 }] })],
  ["toEqual of bytes", () => seen(new Uint8Array([1, 2])).toEqual(new Uint8Array([1, 3]))],
  ["toEqual of a longer array", () => seen([1, 2]).toEqual([1])],
  ["toEqual of a missing field", () => seen({ a: 1 }).toEqual({ a: 1, b: 2 })],
  ["toEqual of an extra field", () => seen({ a: 1, b: 2 }).toEqual({ a: 1 })],
  ["toEqual of maps", () => seen(new Map([[1, 2]])).toEqual(new Map([[1, 3]]))],
  ["toEqual of null", () => seen(null).toEqual({})],
  ["toEqual of an array and an object", () => seen([]).toEqual({})],
  ["toBeGreaterThan", () => seen(1).toBeGreaterThan(1)],
  ["toBeGreaterThanOrEqual", () => seen(1).toBeGreaterThanOrEqual(2)],
  ["toBeLessThan", () => seen(1).toBeLessThan(1)],
  ["toBeLessThan of NaN", () => seen(NaN).toBeLessThan(1)],
  ["toBeLessThanOrEqual", () => seen(2).toBeLessThanOrEqual(1)],
  ["toContain in text", () => seen("abc").toContain("d")],
  ["toContain in a list", () => seen([1]).toContain(2)],
  ["toMatch", () => seen("abc").toMatch(/d/)],
  ["toThrow without a throw", () => seen(() => 1).toThrow()],
  ["toThrow with another message", () => seen(thrower).toThrow("that")],
  ["not.toBe", () => seen(1).not.toBe(1)],
  ["not.toContain", () => seen("abc").not.toContain("b")],
  ["not.toThrow", () => seen(thrower).not.toThrow()],
];

function thrower(): never {
  throw new Error("this");
}

for (const [name, body] of failing) test(name, () => void body());
test("a rejection that is awaited", () => Promise.reject(new Error("late")));
test("an expectation after an await", () => Promise.resolve().then(() => seen(1).toBe(2)));
test("a hang", () => new Promise(() => {}), 50);
describe("a group with a failing test", () => void test("inside", () => seen(1).toBe(2)));
describe("a failing beforeAll", () => {
  beforeAll(thrower);
  test("inside", () => {});
});
describe("a failing afterEach", () => {
  afterEach(thrower);
  test("inside", () => {});
});
