// The fingerprint: what decides placement and replication, and nothing else.
import { expect, test } from "bun:test";
import type { PoolConfig } from "../../src/config/config.ts";
import { fingerprint, placementDifferences, placementText } from "../../src/config/fingerprint.ts";
import { readPool } from "../../src/config/flags.ts";
import { poolFlags } from "../../src/cli/settings.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";

function pool(...args: string[]): PoolConfig {
  const line = parseCommandLine(["-s", "a:1", "-s", "b:1:2", "-b", "c:1", ...args]);
  if (!line.ok) throw new Error(line.problem.fault);
  return readPool(poolFlags({ flags: line.value.flags, name: "main", place: "-s" }, "tandem"), []);
}
const mark = (...args: string[]): string => fingerprint(placementText(pool(...args)));

test("is 16 hex digits of one text, and stays the same from version to version", () => {
  expect(placementText(pool())).toBe("ring=libketama hash_tag= primaries=a:1:1,b:1:2 backups=c:1:1 ack=both board=on strict=no verify=auto");
  expect(mark()).toBe("e5d94f883ce04d4b");
});

test("does not know what is one proxy's own", () => {
  for (const own of [["-p", "5"], ["-l", "::1"], ["-n", "5"], ["-i", "3"], ["--timeout", "5"], ["--zone", "north"], ["--read", "nearest"], ["--peer", "x:1"], ["--refill-rate", "5"], ["--scrub", "0"]]) {
    expect(`${own.join(" ")} ${mark(...own)}`).toBe(`${own.join(" ")} ${mark()}`);
  }
});

test("knows all that places or replicates", () => {
  for (const other of [["-s", "d:1"], ["-b", "d:1"], ["--ring", "twemproxy"], ["--hash-tag", "{}"], ["--ack", "any"], ["--board", "off"], ["--strict"], ["--verify", "off"]]) {
    expect(`${other.join(" ")} ${mark(...other) === mark()}`).toBe(`${other.join(" ")} false`);
  }
});

test("counts the order of servers only where it places", () => {
  const order = (ring: string, first: string, second: string): string => {
    const line = parseCommandLine(["-s", first, "-s", second, "--ring", ring]);
    if (!line.ok) throw new Error(line.problem.fault);
    return placementText(readPool(poolFlags({ flags: line.value.flags, name: "main", place: "-s" }, "tandem"), []));
  };
  expect(order("libketama", "a:1", "b:1")).toBe(order("libketama", "b:1", "a:1"));
  expect(order("twemproxy-modula-md5", "a:1", "b:1")).toBe(order("twemproxy-modula-md5", "b:1", "a:1"));
  expect(order("magent-modulo", "a:1", "b:1") === order("magent-modulo", "b:1", "a:1")).toBe(false);
});

test("differences are told setting by setting, servers one by one", () => {
  expect(placementDifferences(placementText(pool()), placementText(pool("--ring", "twemproxy", "-s", "d:1", "--hash-tag", "{}")))).toEqual([
    "ring twemproxy instead of libketama", "hash_tag {} instead of none", "primaries also d:1:1",
  ]);
  expect(placementDifferences("primaries=a:1:1,b:1:1", "primaries=b:1:1,a:1:1")).toEqual(["primaries in another order"]);
  expect(placementDifferences("primaries=a:1:1,b:1:1", "primaries=a:1:1")).toEqual(["primaries without b:1:1"]);
});
