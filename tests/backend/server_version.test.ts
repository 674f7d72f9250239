// memcached's versions, compared.
import { expect, test } from "bun:test";
import { oldestVersion, versionAtLeast } from "../../src/backend/server_version.ts";

test("at least: number by number, and what follows them does not count", () => {
  const least = [1, 6, 19] as const;
  expect(["1.6.19", "1.6.20", "1.10.0", "2.0", "1.6.38-debian"].filter((version) => !versionAtLeast(version, least))).toEqual([]);
  expect(["", "1.6", "1.6.18", "1.6.9", "0.9.99", "none"].filter((version) => versionAtLeast(version, least))).toEqual([]);
});

test("the oldest of many, where some are not known", () => {
  expect(oldestVersion(["", "1.6.38", "1.6.9", "1.6.18", ""])).toBe("1.6.9");
  expect(oldestVersion(["1.6.38"])).toBe("1.6.38");
  expect(oldestVersion(["", ""])).toBe("");
});
