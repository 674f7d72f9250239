// Facts that were not computed by this code: owners observed on the real software, and the owners of 10,000 keys
// according to a model in Python (hashlib's MD5, the originals' formulas compiled from C).
import { createHash } from "node:crypto";
import { describe, expect, test } from "bun:test";
import { latin1 } from "../../src/bytes/ascii.ts";
import {
  FLAVOURS, RING_FLAVOURS, type RingFlavour, type RingServer, TWEMPROXY_DISTRIBUTIONS, TWEMPROXY_HASHES, twemproxyFlavour, type TwemproxyHash,
} from "../../src/ring/flavours.ts";
import { keyHasher } from "../../src/ring/keyhash.ts";
import { Md5 } from "../../src/ring/md5.ts";
import { buildRing } from "../../src/ring/ring.ts";
import { oddKeys, ownerOf, server } from "./servers.ts";

function three(weights: readonly number[] = [1, 1, 1]): RingServer[] {
  return [
    server("10.0.0.1", 11211, weights[0]!), server("10.0.0.2", 11211, weights[1]!), server("10.0.0.3", 11212, weights[2]!),
  ];
}

/** n equal servers, a third of them on port 11211. */
function many(n: number): RingServer[] {
  return Array.from({ length: n }, (_, i) => server(`10.0.1.${i}`, 11211 + (i % 3)));
}

// Owners of user:0 … user:15 on three servers of equal weight; all rows but the last two are observations.
const OWNERS: Readonly<Partial<Record<RingFlavour, readonly number[]>>> = {
  "libketama": [0, 2, 0, 0, 2, 2, 1, 0, 1, 0, 2, 0, 2, 1, 0, 1],
  "libmemcached": [2, 1, 1, 0, 1, 2, 1, 1, 1, 0, 2, 0, 2, 1, 0, 0],
  "twemproxy": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  "twemproxy-md5": [2, 1, 1, 0, 1, 2, 1, 1, 1, 0, 2, 0, 2, 1, 0, 0],
  "magent": [2, 1, 0, 2, 2, 0, 0, 0, 0, 1, 1, 0, 1, 0, 2, 1],
  "magent-modulo": [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1],
  "spymemcached": [1, 2, 1, 1, 1, 0, 0, 0, 2, 1, 0, 0, 0, 1, 0, 1],
};

/** 9000 keys user:0 … and 1000 keys "café:0" … in UTF-8, whose bytes above 127 are negative to C. */
const KEYS: readonly Uint8Array[] = [
  ...Array.from({ length: 9000 }, (_, i) => latin1(`user:${i}`)),
  ...Array.from({ length: 1000 }, (_, i) => latin1(`caf\xc3\xa9:${i}`)),
];

/** The start of the MD5 of the keys' owners, one byte each. */
function ownersDigest(flavour: RingFlavour, servers: readonly RingServer[], keys = KEYS): string {
  const ring = buildRing(flavour, servers, "");
  const owners = Uint8Array.from(keys, (key) => ring.ownerOfHash(ring.hash(key, 0, key.length)));
  return createHash("md5").update(owners).digest("hex").slice(0, 12);
}

// Three servers of weights 1, 1, 1; of weights 1, 2, 5; then 7, 14, 28, 25, 47 and 61 equal ones: the sizes at which
// a share of a whole number of digests is rounded down in one arithmetic and not in another.
const DIGESTS: Readonly<Partial<Record<RingFlavour, readonly (string | null)[]>>> = {
  "libketama":
    ["d7f07712facf", "03d7c3912e3c", "81a99f40e70a", "5f00e0e77555", "10e478ab5770", "08f5f19595cf", "a62bd627caf5", "0dcca944f783"],
  "libmemcached":
    ["96bbd35a7304", "017666cafc15", "6f75e0b02b76", "de8a3cb1deee", "b95b78524aa7", "d225ee05d68c", "56d1e0526e94", "97d3cea51840"],
  "twemproxy":
    ["518dcd0cca9e", "21ab2be214dc", "4a4e8c65e28b", "3e68c7025b57", "97fa7c6cf506", "a6cd7ad1066a", "6feb4bfb327a", "2bf3c43408e4"],
  "twemproxy-md5":
    ["96bbd35a7304", "017666cafc15", "6f75e0b02b76", "de8a3cb1deee", "b95b78524aa7", "d225ee05d68c", "56d1e0526e94", "97d3cea51840"],
  "magent":
    ["f33439e8f8c7", "f6a25653d806", "b319e6a54b7f", "9e58dc9146ee", "024c2e7c4e72", "e470e893163e", "d60ecc8d5649", "a1e6bed324b3"],
  "magent-modulo":
    ["ee1fef51f7a0", null, "b2a70c68eccb", "2099077a0e1f", "2b767339a7a6", "f927ee7d68a8", "c40370f13686", "dce5c5a7cf43"],
  "spymemcached":
    ["a039981e3ac1", "aeac86417f6b", "3fce9c08fec8", "85c3a87a7e54", "e6405186428c", "30f68ccafe2f", "e36b1d1436d8", "dd76c4bd279d"],
};

for (const flavour of RING_FLAVOURS) {
  const [observed, digested] = [OWNERS[flavour], DIGESTS[flavour]];
  if (observed === undefined || digested === undefined) continue;
  describe(flavour, () => {
    test("owners of user:0 to user:15 on three servers", () => {
      const ring = buildRing(flavour, three(), "");
      expect(observed.map((_, i) => ownerOf(ring, `user:${i}`))).toEqual([...observed]);
    });

    test("owners of 10,000 keys: weights 1/1/1 and 1/2/5, and 7, 14, 28, 25, 47, 61 equal servers", () => {
      const rings = [three(), three([1, 2, 5]), ...[7, 14, 28, 25, 47, 61].map(many)];
      const digests = rings.map((servers, i) => (digested[i] === null ? null : ownersDigest(flavour, servers)));
      expect(digests).toEqual([...digested]);
    });
  });
}

// Which server nutcracker 0.5.0 stored each of oddKeys() on: by ketama, by modula. Weights 3, 5 and 11; it takes the servers in
// the order be, alpha, gamma.
const NUTCRACKER: Readonly<Record<TwemproxyHash, readonly [ketama: string, modula: string]>> = {
  one_at_a_time: ["b3f27264cb71", "03dd3a7b38bf"],
  md5: ["854ff6203a65", "e70e9b5867f8"],
  crc16: ["f70087383dc3", "b08ed38870b0"],
  crc32: ["30a293f27aeb", "5e3ee38c0118"],
  crc32a: ["cdfef7508d30", "6fafb53e5ac2"],
  fnv1_64: ["118b76680cdd", "6e8517f7f8be"],
  fnv1a_64: ["3273b6a061a5", "29520b027c2c"],
  fnv1_32: ["535e38e7c5ce", "ac099494cce3"],
  fnv1a_32: ["f61872643ee6", "c0cdcf36fbd5"],
  hsieh: ["b52011e8d272", "ed1beb84f3bd"],
  murmur: ["5cbded4fceee", "49e81520e6b5"],
  jenkins: ["a6bcb56d8832", "a7812c9e1fab"],
};

describe("twemproxy's hashes and distributions: owners of 5000 keys of 1 to 250 bytes, as a live nutcracker stored them", () => {
  const keys = oddKeys();
  const servers = [server("10.0.0.1", 1, 3, "gamma"), server("10.0.0.2", 2, 5, "be"), server("10.0.0.3", 3, 11, "alpha")];
  for (const hash of TWEMPROXY_HASHES) {
    test(hash, () => {
      const digests = TWEMPROXY_DISTRIBUTIONS.map((distribution) => ownersDigest(twemproxyFlavour(hash, distribution), servers, keys));
      expect(digests).toEqual([...NUTCRACKER[hash]]);
    });
  }
});

describe("hashes and points", () => {
  test("MD5 of user:0, and twemproxy's fnv1a_64", () => {
    const key = latin1("user:0");
    expect(new Md5().first(key, 0, 6)).toBe(0xe8b8f1f5);
    expect(keyHasher("fnv1a_64")(key, 0, 6)).toBe(0x75081b38);
  });

  test("the four points of 10.0.0.1-0", () => {
    const text = latin1("10.0.0.1-0");
    const quads = new Uint32Array(4);
    new Md5().quads(text, 0, text.length, quads);
    expect([...quads]).toEqual([0x2194783c, 0x36d6a85b, 0xf1edf592, 0x40a9b8cf]);
  });

  test("bytes above 127 count as negative, as gcc compiles the originals on x86", () => {
    const text = latin1("a longer key that wraps \xff\x80 more than once");
    expect(keyHasher("djb2")(text, 0, text.length)).toBe(1099489718);
    expect(keyHasher("fnv1a_64")(text, 0, text.length)).toBe(663733794);
    expect(keyHasher("djb2")(latin1("user:0"), 0, 6)).toBe(556066606);
    expect(keyHasher("djb2")(latin1("\xc3\xa9"), 0, 2)).toBe(5857809);
  });
});

// [weight, total weight, servers, libketama's, twemproxy's, magent's]: digests printed by the three formulas in C.
const DIGEST_COUNTS = [
  [1, 7, 7, 40, 40, 500], [1, 14, 14, 40, 40, 500], [1, 25, 25, 40, 39, 500], [1, 28, 28, 40, 40, 500],
  [1, 47, 47, 40, 39, 499], [1, 49, 49, 40, 40, 500], [1, 59, 59, 40, 40, 499], [1, 61, 61, 39, 39, 500],
  [1, 98, 98, 40, 40, 500], [1, 8, 3, 15, 15, 187], [2, 8, 3, 30, 30, 375], [5, 8, 3, 75, 75, 937], [1, 1001, 2, 0, 0, 0],
] as const;

test("digests for a weight round where the originals' floats do", () => {
  const equal = false; // spymemcached's question only
  for (const [weight, total, servers, libketama, twemproxy, magent] of DIGEST_COUNTS) {
    expect(["libketama", "libmemcached", "twemproxy", "magent"].map((flavour) =>
      FLAVOURS[flavour as RingFlavour].digests(weight, total, servers, equal))).toEqual([libketama, twemproxy, twemproxy, magent]);
  }
});
