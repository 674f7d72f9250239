// Our MD5 against the runtime's.
import { createHash } from "node:crypto";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Md5 } from "../../src/ring/md5.ts";

function reference(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("md5").update(bytes).digest());
}

describe("md5", () => {
  test("equals the runtime's for every length from 0 to 300, whatever the bytes", () => {
    const md5 = new Md5();
    for (let length = 0; length <= 300; length++) {
      for (const bytes of [
        new Uint8Array(length), new Uint8Array(length).fill(0xff), Uint8Array.from({ length }, (_, i) => (i * 151 + length) & 0xff),
      ]) {
        expect(md5.digest(bytes, 0, length)).toEqual(reference(bytes));
      }
    }
  });

  test("first and quads are the digest's bytes, and a part of an array is what its copy would be", () => {
    const md5 = new Md5();
    const quads = new Uint32Array(4);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(20), fc.nat(20), (message, before, after) => {
      const around = new Uint8Array(before + message.length + after).fill(0xaa);
      around.set(message, before);
      const end = before + message.length;
      const expected = reference(message);
      const words = new DataView(expected.buffer);
      expect(md5.digest(around, before, end)).toEqual(expected);
      expect(md5.first(around, before, end)).toBe(words.getUint32(0, true));
      md5.quads(around, before, end, quads);
      expect([...quads]).toEqual([0, 4, 8, 12].map((at) => words.getUint32(at, true)));
    }));
  });
});
