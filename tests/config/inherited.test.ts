// Which inherited socket stands for which address.
import { expect, test } from "bun:test";
import { assignInherited } from "../../src/config/inherited.ts";
import type { Address } from "../../src/platform/platform.ts";

const tcp = (host: string, port = 11211): Address => ({ kind: "tcp", host, port });
const unix = (path: string): Address => ({ kind: "unix", path });

test("without inherited sockets all are bound anew", () => {
  expect(assignInherited([tcp("0.0.0.0"), unix("/run/t")], [])).toEqual([null, null]);
});

test("equal addresses, in any order; the others are bound anew", () => {
  expect(assignInherited([tcp("10.0.0.1"), tcp("::1"), unix("/run/t"), tcp("10.0.0.1", 11212)], [unix("/run/t"), tcp("::1"), tcp("10.0.0.1")])).toEqual([2, 1, 0, null]);
});

test("a wildcard stands for a wildcard and for a name, not for another address", () => {
  expect(assignInherited([tcp("0.0.0.0")], [tcp("::")])).toEqual([0]);
  expect(assignInherited([tcp("localhost")], [tcp("0.0.0.0")])).toEqual([0]);
  expect(assignInherited([tcp("10.0.0.1")], [tcp("0.0.0.0")])).toBe("0.0.0.0:11211");
  expect(assignInherited([tcp("::1")], [tcp("::")])).toBe("[::]:11211");
});

test("one that nobody wants is named", () => {
  expect(assignInherited([tcp("0.0.0.0")], [tcp("0.0.0.0", 80)])).toBe("0.0.0.0:80");
  expect(assignInherited([tcp("0.0.0.0")], [tcp("0.0.0.0"), tcp("::")])).toBe("[::]:11211");
  expect(assignInherited([unix("/run/a")], [unix("/run/b")])).toBe("/run/b");
});
