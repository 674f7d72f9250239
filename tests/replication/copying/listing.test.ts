// Which keys are left to be compared, by what both sides' dumps tell.
import { expect, test } from "bun:test";
import type { Server } from "../../../src/backend/server.ts";
import { latin1 } from "../../../src/bytes/ascii.ts";
import { Listing } from "../../../src/replication/copying/listing.ts";
import type { Pair } from "../../../src/replication/pair.ts";

const V = "4611686018427387905", W = "4611686018427387906";

/** As much of a server as a listing looks at. */
function server(works = true, items = 0): Server {
  return { explicitCas: { works }, unixSeconds: 1000.7, stats: new Map([["curr_items", String(items)]]) } as unknown as Server;
}

interface Line {
  readonly key: string;
  readonly cas?: string;
  readonly exp?: number;
}

/** What is left of what each of these servers, a primary and its backups, has listed. */
function left(servers: readonly Server[], dumps: readonly (readonly Line[])[], backup = servers[1]!, part = 0, parts = 1): string[] {
  const listing = new Listing(() => ({ primary: servers[0], backup }) as unknown as Pair, servers, part, parts);
  servers.forEach((one, index) => {
    const keys = listing.from(one);
    for (const { key, cas = V, exp = -1 } of dumps[index]!) {
      const words = latin1(` exp=${exp} la=900 cas=${cas} fetch=no`);
      keys.add(latin1(key), 0, key.length, words, 0, words.length);
    }
  });
  const found: string[] = [];
  const keys = listing.keys();
  for (let next = keys.next(); next.done !== true; next = keys.next()) found.push(next.value);
  expect(listing.size).toBe(found.length);
  return found;
}

test("alike on both sides of the pair: left out; another version, another time, on one side alone: compared", () => {
  const [primary, backup] = [server(), server()];
  const one = [{ key: "same" }, { key: "version" }, { key: "ends", exp: 1100 }, { key: "slack", exp: 1100 }, { key: "far", exp: 1100 }, { key: "only" }];
  const other = [{ key: "same" }, { key: "version", cas: W }, { key: "ends" }, { key: "slack", exp: 1102 }, { key: "far", exp: 1103 }, { key: "here" }];
  expect(left([primary, backup], [one, other])).toEqual(["version", "ends", "far", "only", "here"]);
});

test("a unique that is no version tells nothing, and neither does a server that does not keep them", () => {
  expect(left([server(), server()], [[{ key: "k", cas: "17" }], [{ key: "k", cas: "17" }]])).toEqual(["k"]);
  expect(left([server(false), server()], [[{ key: "k" }], [{ key: "k" }]])).toEqual(["k"]);
});

test("two that are not the sides of its pair, and a third sighting, are compared", () => {
  const [primary, backup, stranger] = [server(), server(), server()];
  expect(left([primary, stranger], [[{ key: "k" }], [{ key: "k" }]], backup)).toEqual(["k"]);
  expect(left([primary, backup, stranger], [[{ key: "k" }], [{ key: "k" }], [{ key: "k" }]], backup)).toEqual(["k"]);
});

test("in parts: each key in one of them", () => {
  const lines = Array.from({ length: 300 }, (_none, index) => ({ key: `key${index}` }));
  const all = [0, 1, 2].map((part) => left([server(), server()], [lines, []], undefined, part, 3));
  for (const one of all) expect(one.length).toBeGreaterThan(50);
  expect(all.flat().toSorted()).toEqual(lines.map(({ key }) => key).toSorted());
  expect([Listing.partsFor([server(true, 10), server()]), Listing.partsFor([server(true, 10), server(true, 4_000_001)])]).toEqual([1, 3]);
});
