// What holds for every ring: few keys move, lookups follow one rule, tags and shares mean what they say.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { latin1 } from "../../src/bytes/ascii.ts";
import { buildContinuum } from "../../src/ring/continuum.ts";
import { FLAVOURS, RING_FLAVOURS, ringProblem, type RingFlavour } from "../../src/ring/flavours.ts";
import { HASH_BITS } from "../../src/ring/keyhash.ts";
import { buildRing, ringServers } from "../../src/ring/ring.ts";
import { ownerOf, server, unixServer } from "./servers.ts";

const CIRCLES = RING_FLAVOURS.filter((flavour) => FLAVOURS[flavour].circle);
/** Those whose hash is spread over the whole circle by short keys. */
const EVEN: readonly RingFlavour[] = ["libketama", "libmemcached", "twemproxy", "twemproxy-md5", "twemproxy-murmur", "magent", "spymemcached"];

/** Distinct addresses. */
function addresses(min: number, max: number): fc.Arbitrary<string[]> {
  return fc.uniqueArray(fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => `10.${parts.join(".")}`), {
    minLength: min, maxLength: max,
  });
}

describe("adding one of n servers", () => {
  for (const flavour of EVEN) {
    test(`${flavour}: about 1/(n+1) of the keys move, all of them to the new server`, () => {
      fc.assert(fc.property(addresses(2, 13), fc.nat(0xffff), fc.nat(0xff), (hosts, seed, at) => {
        const before = hosts.slice(0, -1);
        const added = at % hosts.length;
        const after = [...before.slice(0, added), hosts.at(-1)!, ...before.slice(added)];
        const old = buildRing(flavour, before.map((host) => server(host, 11211)), "");
        const grown = buildRing(flavour, after.map((host) => server(host, 11211)), "");
        const keys = 4000;
        let moved = 0;
        for (let i = 0; i < keys; i++) {
          // Far apart in their first characters: twemproxy's hash hardly mixes the last.
          const key = `${Math.imul(i + seed, 0x9e3779b1) >>> 0}:key`;
          const from = before[ownerOf(old, key)];
          const to = after[ownerOf(grown, key)];
          if (from === to) continue;
          moved++;
          if (to !== hosts.at(-1)) throw new Error(`${key} moved between old servers, ${from} to ${to}`);
        }
        const fair = keys / hosts.length;
        expect(moved).toBeGreaterThan(fair * 0.5);
        expect(moved).toBeLessThan(fair * 1.6);
      }), { numRuns: 30 });
    });
  }

  test("libketama: a hundredfold fleet still loses no key to an old server", () => {
    const hosts = Array.from({ length: 100 }, (_, i) => `10.0.${i >> 6}.${i}`);
    const old = buildRing("libketama", hosts.slice(0, 99).map((host) => server(host, 11211)), "");
    const grown = buildRing("libketama", hosts.map((host) => server(host, 11211)), "");
    for (let i = 0; i < 20_000; i++) {
      const to = ownerOf(grown, `k${i}`);
      if (to !== 99) expect(to).toBe(ownerOf(old, `k${i}`));
    }
  });
});

describe("a lookup", () => {
  test("finds the first point that is not below the hash, and goes round after the last", () => {
    for (const flavour of CIRCLES) {
      const servers = [server("10.0.0.1", 11211, 1), server("10.0.0.2", 11300, 2), server("10.0.0.3", 11211, 5)];
      const ring = buildRing(flavour, servers, "");
      const { points, owners } = buildContinuum(flavour, servers);
      const hashes = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
      for (const point of points) hashes.push(point, Math.max(0, point - 1), Math.min(2 ** 32 - 1, point + 1));
      for (const hash of hashes) {
        const first = points.findIndex((point) => point >= hash);
        expect(ring.pointOfHash(hash)).toBe(points[Math.max(first, 0)]!);
        expect(ring.ownerOfHash(hash)).toBe(owners[Math.max(first, 0)]!);
      }
    }
  });

  test("does not depend on where the key lies in its buffer", () => {
    const rings = RING_FLAVOURS.map((flavour) => buildRing(flavour, [server("10.0.0.1", 1), server("10.0.0.2", 2)], "{}"));
    fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 250 }), fc.uint8Array({ maxLength: 70 }), (key, before) => {
      const around = Uint8Array.from([...before, ...key, 0x7b, 0x7d]);
      for (const ring of rings) {
        const hash = ring.hash(key, 0, key.length);
        expect(ring.hash(around, before.length, before.length + key.length)).toBe(hash);
        const view = around.subarray(before.length);
        expect(ring.hash(view, 0, key.length)).toBe(hash);
      }
    }));
  });

  test("with one server always finds it", () => {
    for (const flavour of RING_FLAVOURS) {
      const ring = buildRing(flavour, [server("10.0.0.1", 11211)], "");
      for (const hash of [0, 1, 2 ** 31, 2 ** 32 - 1]) expect(ring.ownerOfHash(hash)).toBe(0);
      expect(ring.shares()).toEqual([1]);
      expect(ring.size).toBe(1);
    }
  });

  test("hashes alike on two rings of one flavour", () => {
    const small = buildRing("libketama", [server("10.0.0.1", 11211)], "");
    const large = buildRing("libketama", [server("10.0.0.2", 1), server("10.0.0.3", 1)], "");
    const key = latin1("user:0");
    expect(small.hash(key, 0, 6)).toBe(large.hash(key, 0, 6));
  });
});

describe("a hash tag", () => {
  const servers = [server("10.0.0.1", 11211), server("10.0.0.2", 11211)];
  const hashOf = (tag: string, key: string): number => buildRing("twemproxy-md5", servers, tag).hash(latin1(key), 0, key.length);

  test("is the part between the first opening and the next closing character", () => {
    const tagged: [string, string, string][] = [
      ["{}", "user:{42}:name", "42"], ["{}", "{42}", "42"], ["{}", "a}b{c}d", "c"], ["{}", "{a}{b}", "a"], ["{}", "{{a}}", "{a"],
      ["$$", "x$y$z", "y"], ["::", "a:b:c:d", "b"],
    ];
    for (const [tag, key, part] of tagged) expect(hashOf(tag, key)).toBe(hashOf("", part));
  });

  test("that is empty, not closed or not asked for leaves the whole key", () => {
    const whole: [string, string][] = [["{}", "a{}b"], ["{}", "a{}b{c}"], ["{}", "a{b"], ["{}", "a}b{"], ["{}", "}a{"], ["{}", "plain"], ["", "a{b}c"], ["$$", "a$b"], ["$$", "$$x"]];
    for (const [tag, key] of whole) expect(hashOf(tag, key)).toBe(hashOf("", key));
  });

  test("is sought inside the key only", () => {
    const ring = buildRing("twemproxy-md5", servers, "{}");
    const line = latin1("get {a}b}c");
    expect(ring.hash(line, 6, 10)).toBe(hashOf("", "}b}c"));
    expect(ring.hash(line, 4, 6)).toBe(hashOf("", "{a"));
  });

  test("must be two printable characters", () => {
    for (const tag of ["{", "{}}", "{\n", "é}"]) expect(() => buildRing("libketama", servers, tag)).toThrow();
  });
});

describe("shares", () => {
  test("are exact: counted by a lookup of evenly spaced hashes they come out the same", () => {
    for (const flavour of RING_FLAVOURS) {
      const weights = flavour === "magent-modulo" ? [1, 1, 1] : [1, 2, 5];
      const ring = buildRing(flavour, weights.map((weight, i) => server(`10.0.0.${i}`, 11211, weight)), "");
      const shares = ring.shares();
      expect(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1)).toBeLessThan(1e-9);
      const counted = [0, 0, 0];
      const limit = 2 ** HASH_BITS[FLAVOURS[flavour].keyHash];
      const step = Math.floor(limit / 100_000) | 1;
      let total = 0;
      for (let hash = 0; hash < limit; hash += step, total++) counted[ring.ownerOfHash(hash)]!++;
      counted.forEach((count, i) => expect(Math.abs(count / total - shares[i]!)).toBeLessThan(0.001));
    }
  });

  test("follow the weights, and points follow them exactly", () => {
    const ring = buildRing("libketama", [1, 2, 5].map((weight, i) => server(`10.0.0.${i}`, 11211, weight)), "");
    expect(ring.pointCounts()).toEqual([60, 120, 300]);
    const shares = ring.shares();
    [1, 2, 5].forEach((weight, i) => {
      expect(shares[i]!).toBeGreaterThan((weight / 8) * 0.7);
      expect(shares[i]!).toBeLessThan((weight / 8) * 1.3);
    });
  });

  test("7, 14 and 28 equal servers have 160 points each", () => {
    for (const n of [7, 14, 28, 49, 98]) {
      const ring = buildRing("libketama", Array.from({ length: n }, (_, i) => server(`10.0.0.${i}`, 11211)), "");
      expect(ring.pointCounts()).toEqual(new Array(n).fill(160));
    }
  });
});

describe("which text is hashed", () => {
  const other = server("10.9.9.9", 9999);
  /** Whether two ways to write the first server give one ring. */
  function same(flavour: RingFlavour, one: ReturnType<typeof server>, two: ReturnType<typeof server>, rest = other): boolean {
    const a = buildContinuum(flavour, [one, rest]);
    const b = buildContinuum(flavour, [two, rest]);
    return a.points.length === b.points.length && a.points.every((point, i) => point === b.points[i]);
  }

  test("port 11211 is dropped by libmemcached and twemproxy, kept by libketama and magent", () => {
    const portless = { ...server("10.0.0.1", 11211), label: "10.0.0.1", port: 0 };
    const named = { ...portless, name: "10.0.0.1" };
    expect(same("twemproxy", server("10.0.0.1", 11211), named)).toBe(true);
    expect(same("twemproxy", server("10.0.0.1", 11212), named)).toBe(false);
    expect(same("libketama", server("10.0.0.1", 11211), portless)).toBe(false);
    expect(same("magent", server("10.0.0.1", 11211), portless)).toBe(false);
  });

  test("a node name replaces host and port in twemproxy's rings", () => {
    for (const flavour of ["twemproxy", "twemproxy-md5"] as const) {
      expect(same(flavour, server("10.0.0.1", 1, 1, "shard-a"), server("10.0.0.2", 2, 1, "shard-a"))).toBe(true);
      expect(same(flavour, server("10.0.0.1", 1, 1, "shard-a"), server("10.0.0.1", 1, 1, "shard-b"))).toBe(false);
    }
  });

  test("spymemcached: host name and address, port 11211 whatever the port", () => {
    const rest = server("10.9.9.9", 9999, 1, "cache9");
    const full = server("10.0.0.1", 11311, 1, "cache1/10.0.0.1");
    expect(same("spymemcached", server("10.0.0.1", 11311, 1, "cache1"), full, rest)).toBe(true);
    expect(same("spymemcached", server("10.0.0.1", 11211, 1, "cache1"), full, rest)).toBe(true);
    expect(same("spymemcached", server("cache1.example", 11211, 1, "cache1/10.0.0.1"), full, rest)).toBe(true);
    expect(same("spymemcached", server("10.0.0.1", 11211), server("10.0.0.1", 11211, 1, "10.0.0.1"), rest)).toBe(true);
    expect(same("spymemcached", server("10.0.0.1", 11211), full, rest)).toBe(false);
  });

  test("configured servers become ring servers in their order", () => {
    expect(ringServers([
      { address: { kind: "tcp", host: "::1", port: 11311 }, weight: 2, name: "a", label: "[::1]:11311" },
      { address: { kind: "unix", path: "/run/m" }, weight: 1, name: null, label: "/run/m" },
    ])).toEqual([server("::1", 11311, 2, "a"), unixServer("/run/m")]);
  });
});

describe("a ring that cannot be", () => {
  const a = server("10.0.0.1", 11211);
  const b = server("10.0.0.2", 11211);

  test("is refused with a sentence that names the server", () => {
    const refused: [RingFlavour, ReturnType<typeof server>[], RegExp][] = [
      ["libketama", [], /at least one server/],
      ["libketama", [a, b, a], /10\.0\.0\.1:11211 and 10\.0\.0\.1:11211 would have the same place/],
      ["twemproxy", [{ ...a, name: "x" }, { ...b, name: "x" }], /both hash as "x"/],
      ["spymemcached", [a, { ...a, port: 11212, label: "10.0.0.1:11212" }], /10\.0\.0\.1:11212/],
      ["spymemcached", [server("cache1.example", 11211)], /cache1\.example:11211: .*address as host/],
      ["spymemcached", [unixServer("/run/m")], /\/run\/m/],
      ["libketama", [{ ...a, name: "x" }], /does not use node names/],
      ["magent-modulo", [a, { ...b, weight: 2 }], /no weights/],
      ["libketama", [{ ...a, weight: 0 }], /weight 0/],
      ["libketama", [{ ...a, weight: 1.5 }], /weight 1\.5/],
    ];
    for (const [flavour, servers, sentence] of refused) {
      expect(ringProblem(flavour, servers) ?? "").toMatch(sentence);
      expect(() => buildRing(flavour, servers, "")).toThrow();
    }
  });

  test("good ones are not", () => {
    for (const flavour of RING_FLAVOURS) expect(ringProblem(flavour, [a, b])).toBe(null);
    expect(ringProblem("magent-modulo", [{ ...a, weight: 3 }, { ...b, weight: 3 }])).toBe(null);
    expect(ringProblem("twemproxy", [{ ...a, name: "x" }, b])).toBe(null);
    expect(ringProblem("spymemcached", [server("::1", 11211), { ...b, name: "cache2" }])).toBe(null);
  });
});
