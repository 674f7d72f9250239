// Texts, numbers and searches on bytes, held against their plain definitions.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { equal, indexOf, latin1, parseUint, textOf } from "../../src/bytes/ascii.ts";

test("any bytes make a text and come back", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => expect([...latin1(textOf(bytes, 0, bytes.length))]).toEqual([...bytes])));
});

test("indexOf finds the first in its range, near and far", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300, max: 3 }), fc.nat(300), fc.nat(300), (bytes, a, b) => {
      const end = Math.min(b, bytes.length), start = Math.min(a, end);
      const plain = [...bytes].findIndex((byte, i) => byte === 3 && i >= start && i < end);
      expect(indexOf(bytes, 3, start, end)).toBe(plain);
    }),
  );
  const far = new Uint8Array(1000);
  far[900] = 9;
  expect([indexOf(far, 9, 0, 1000), indexOf(far, 9, 0, 900), indexOf(far, 9, 901, 1000)]).toEqual([900, -1, -1]);
});

test("parseUint takes 1 to 15 digits and nothing else", () => {
  const of = (text: string): number => parseUint(latin1(text), 0, text.length);
  expect(["0", "007", "999999999999999"].map(of)).toEqual([0, 7, 999999999999999]);
  expect(["", "-1", "+1", "1 ", " 1", "1.0", "0x1", "9999999999999999", "\0", "1\r"].map(of)).toEqual(Array<number>(10).fill(-1));
});

test("equal compares ranges", () => {
  const a = latin1("xxabcxx"), b = latin1("abd");
  expect([equal(a, 2, b, 0, 2), equal(a, 2, b, 0, 3), equal(a, 0, b, 0, 0)]).toEqual([true, false, true]);
});
