// Numbers and base 64 at their edges. What C's strtol family does with each was tried on a live memcached.
import { expect, test } from "bun:test";
import { decodeBase64, encodeBase64, parseI32, parseU32, parseU64 } from "../../src/embedded/numbers.ts";
import { itemSize, slabClass } from "../../src/embedded/slabs.ts";

test("64 bits without sign", () => {
  const cases: [string, bigint | null][] = [
    ["0", 0n], ["1", 1n], ["+1", 1n], ["\t 1", 1n], ["1\t", 1n], ["1 2", 1n], ["1\0x", 1n], ["000000000000000000000000000001", 1n],
    ["999999999", 999999999n], ["1000000000", 1000000000n],
    ["18446744073709551615", 18446744073709551615n], ["18446744073709551616", null],
    ["", null], [" ", null], ["x", null], ["1x", null], ["1.5", null], ["0x10", null], ["+", null], ["--1", null], ["\x001", null],
    ["-1", null], ["-0", 0n], ["-9223372036854775808", null], ["-9223372036854775809", 9223372036854775807n],
    ["-18446744073709551615", 1n], ["-18446744073709551616", null],
  ];
  for (const [text, value] of cases) expect([text, parseU64(text)]).toEqual([text, value]);
});

test("32 bits without sign are the low half of 64", () => {
  const cases: [string, number | null][] = [
    ["0", 0], ["4294967295", 4294967295], ["4294967296", 0], ["4294967297", 1], ["18446744073709551615", 4294967295],
    ["18446744073709551616", null], ["-1", null], ["x", null], ["", null],
  ];
  for (const [text, value] of cases) expect([text, parseU32(text)]).toEqual([text, value]);
});

test("32 bits with sign are the low half of 64", () => {
  const cases: [string, number | null][] = [
    ["0", 0], ["-1", -1], ["2147483647", 2147483647], ["2147483648", -2147483648], ["-2147483649", 2147483647],
    ["4294967296", 0], ["4294967297", 1], ["99999999999", 1215752191], ["9223372036854775807", -1],
    ["9223372036854775808", null], ["-9223372036854775808", 0], ["-9223372036854775809", null], ["x", null], ["1.5", null],
  ];
  for (const [text, value] of cases) expect([text, parseI32(text)]).toEqual([text, value]);
});

test("base 64 there and back", () => {
  for (const [plain, coded] of [["f", "Zg=="], ["fo", "Zm8="], ["foo", "Zm9v"], ["\xff\x00\x10", "/wAQ"]] as const) {
    expect(encodeBase64(plain)).toBe(coded);
    expect(decodeBase64(coded)).toBe(plain);
  }
  let all = "";
  for (let i = 0; i < 256; i++) all += String.fromCharCode(i);
  expect(decodeBase64(encodeBase64(all))).toBe(all);
  for (const bad of ["", "Z", "Zm9", "Z*9v", "====", "A===", "Zm9vZ"]) expect([bad, decodeBase64(bad)]).toEqual([bad, null]);
  expect(decodeBase64("Z-m9v")).toBe("foo");
});

test("sizes and slab classes", () => {
  expect(itemSize(1, 0, 3)).toBe(61);
  expect(itemSize(6, 5, 12)).toBe(79);
  for (const [size, slab] of [[1, 1], [96, 1], [97, 2], [1060, 12], [100_060, 32], [524_288, 39], [600_060, 39]] as const) {
    expect([size, slabClass(size)]).toEqual([size, slab]);
  }
});
