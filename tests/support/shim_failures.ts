// Tests that must fail, every one: shim.test.ts runs them under Deno to show that bun:test's stand-in does not let
// anything pass. Not named *.test.ts, so no other run finds it.
import { afterEach, beforeAll, describe, expect, test } from "bun:test";

const failing: [string, () => unknown][] = [
  ["toBe", () => expect(1).toBe(2)],
  ["toBe of equal objects", () => expect({}).toBe({})],
  ["toBe of 0 and -0", () => expect(0).toBe(-0)],
  ["toEqual", () => expect({ a: [1, { b: 2 }] }).toEqual({ a: [1, { b: 3 }] })],
  ["toEqual of bytes", () => expect(new Uint8Array([1, 2])).toEqual(new Uint8Array([1, 3]))],
  ["toEqual of a longer array", () => expect([1, 2]).toEqual([1])],
  ["toEqual of a missing field", () => expect({ a: 1 }).toEqual({ a: 1, b: 2 })],
  ["toEqual of an extra field", () => expect({ a: 1, b: 2 }).toEqual({ a: 1 })],
  ["toEqual of maps", () => expect(new Map([[1, 2]])).toEqual(new Map([[1, 3]]))],
  ["toEqual of null", () => expect(null).toEqual({})],
  ["toEqual of an array and an object", () => expect([]).toEqual({})],
  ["toBeGreaterThan", () => expect(1).toBeGreaterThan(1)],
  ["toBeGreaterThanOrEqual", () => expect(1).toBeGreaterThanOrEqual(2)],
  ["toBeLessThan", () => expect(1).toBeLessThan(1)],
  ["toBeLessThan of NaN", () => expect(NaN).toBeLessThan(1)],
  ["toBeLessThanOrEqual", () => expect(2).toBeLessThanOrEqual(1)],
  ["toContain in text", () => expect("abc").toContain("d")],
  ["toContain in a list", () => expect([1]).toContain(2)],
  ["toMatch", () => expect("abc").toMatch(/d/)],
  ["toThrow without a throw", () => expect(() => 1).toThrow()],
  ["toThrow with another message", () => expect(thrower).toThrow("that")],
  ["not.toBe", () => expect(1).not.toBe(1)],
  ["not.toContain", () => expect("abc").not.toContain("b")],
  ["not.toThrow", () => expect(thrower).not.toThrow()],
];

function thrower(): never {
  throw new Error("this");
}

for (const [name, body] of failing) test(name, () => void body());
test("a rejection that is awaited", () => Promise.reject(new Error("late")));
test("an expectation after an await", () => Promise.resolve().then(() => expect(1).toBe(2)));
test("a hang", () => new Promise(() => {}), 50);
describe("a group with a failing test", () => void test("inside", () => expect(1).toBe(2)));
describe("a failing beforeAll", () => {
  beforeAll(thrower);
  test("inside", () => {});
});
describe("a failing afterEach", () => {
  afterEach(thrower);
  test("inside", () => {});
});
