// What the ring commands print, checked against the rings themselves.
import { describe, expect, test } from "bun:test";
import { latin1 } from "../../src/bytes/ascii.ts";
import { ringDiff, ringExplain, ringShow, SAMPLE_KEYS } from "../../src/cli/ring.ts";
import type { PoolConfig, RingFlavour, ServerSpec } from "../../src/config/config.ts";
import { buildRing, ringServers } from "../../src/ring/ring.ts";

function spec(host: string, port = 11211, weight = 1, name: string | null = null): ServerSpec {
  return { address: { kind: "tcp", host, port }, weight, name, label: `${host}:${port}` };
}

function pool(ring: RingFlavour, primaries: readonly ServerSpec[], backups: readonly ServerSpec[] = [], hashTag = ""): PoolConfig {
  return {
    name: "main", listen: [], unixMode: 0o700, clientsMax: 1, ring, hashTag, primaries, backups, lanes: 1, ack: "both", connectTimeoutMs: 300, requestTimeoutMs: 300,
    itemBytesMax: 1 << 20, slowMs: 0, refill: { keysPerSecond: 25_000, bytesPerSecond: 1 << 25 }, proxies: { board: false, strict: false, scrubHours: 0, verify: "off", hints: false, stateDir: "" }, comeback: { rejoin: "wait", missedKeysMax: 1000 }, shareGets: false, region: { zone: "", read: "primary", peers: [] }, transitionSeconds: 3600,
  };
}

const PRIMARIES = [spec("10.0.0.1"), spec("10.0.0.2"), spec("10.0.0.3", 11212)];
const BACKUPS = [spec("10.0.1.1"), spec("10.0.1.2")];

describe("ring explain", () => {
  test("prints hash, pair and points in columns", () => {
    const lines = ringExplain(pool("libketama", PRIMARIES, BACKUPS), [latin1("user:0"), latin1("user:1")]);
    expect(lines[0]!).toMatch(/^key +hash +primary +point +backup +point$/);
    // The first two owners of libketama's vector: servers 0 and 2.
    expect(lines[1]!).toMatch(/^user:0 +e8b8f1f5 +10\.0\.0\.1:11211 +[0-9a-f]{8} +10\.0\.1\.[12]:11211 +[0-9a-f]{8}$/);
    expect(lines[2]!).toMatch(/^user:1 +10ddb1bd +10\.0\.0\.3:11212 +[0-9a-f]{8} +10\.0\.1\.[12]:11211 +[0-9a-f]{8}$/);
    expect(lines.length).toBe(3);
    const [, hash, , point] = lines[1]!.split(/ +/);
    expect(parseInt(point!, 16)).toBeGreaterThanOrEqual(parseInt(hash!, 16));
  });

  test("without backups has no such columns, and a modulo ring has slots", () => {
    expect(ringExplain(pool("magent-modulo", PRIMARIES), [latin1("user:0")])).toEqual([
      "key     hash      primary         slot", "user:0  2124e72e  10.0.0.2:11211  1 of 3",
    ]);
  });

  test("hashes the tag's part", () => {
    const tagged = ringExplain(pool("libketama", PRIMARIES, [], "{}"), [latin1("x{user:0}y")])[1]!;
    expect(tagged).toMatch(/^x\{user:0\}y +e8b8f1f5 /);
  });

  test("shows UTF-8 as it reads and other bytes by number", () => {
    const [, utf8, bytes] = ringExplain(pool("libketama", PRIMARIES), [latin1("caf\xc3\xa9"), latin1("a\xff\x01b")]);
    expect(utf8!).toMatch(/^café /);
    expect(bytes!).toMatch(/^a\\xff\\x01b /);
  });
});

describe("ring show", () => {
  test("prints weight, points and share of each server of both rings", () => {
    const lines = ringShow(pool("libketama", [spec("10.0.0.1", 1, 1), spec("10.0.0.2", 1, 2), spec("10.0.0.3", 1, 5)], BACKUPS, "{}"));
    expect(lines[0]!).toBe("ring libketama, hash tag {}");
    const shares = buildRing("libketama", ringServers([spec("10.0.0.1", 1, 1), spec("10.0.0.2", 1, 2), spec("10.0.0.3", 1, 5)]), "").shares();
    const rows = lines.filter((line) => /^10\./.test(line)).map((line) => line.split(/ +/));
    expect(rows.map((row) => row.slice(0, 3))).toEqual([
      ["10.0.0.1:1", "1", "60"], ["10.0.0.2:1", "2", "120"], ["10.0.0.3:1", "5", "300"],
      ["10.0.1.1:11211", "1", "160"], ["10.0.1.2:11211", "1", "160"],
    ]);
    shares.forEach((share, i) => expect(rows[i]!.slice(3, 5)).toEqual([(share * 100).toFixed(1), "%"]));
    expect(lines.filter((line) => line.startsWith("busiest for its weight: 10.0.")).length).toBe(2);
  });

  test("prints node names", () => {
    const lines = ringShow(pool("twemproxy", [spec("10.0.0.1", 1, 1, "alpha"), spec("10.0.0.2", 1, 1, "beta")]));
    expect(lines.join("\n")).toMatch(/^10\.0\.0\.1:1 alpha /m);
  });
});

describe("ring diff", () => {
  test("of a grown ring: a share of the sample moves, to the new server alone", () => {
    const lines = ringDiff(pool("libketama", PRIMARIES), pool("libketama", [...PRIMARIES, spec("10.0.0.4")]), null);
    const [, moved, total] = /^primary: (\d+) of (\d+) sample keys move \([0-9.]+ %\)$/.exec(lines[0]!)!;
    expect(Number(total)).toBe(SAMPLE_KEYS);
    expect(Number(moved)).toBeGreaterThan(SAMPLE_KEYS * 0.17);
    expect(Number(moved)).toBeLessThan(SAMPLE_KEYS * 0.33);
    const rows = lines.filter((line) => /^10\./.test(line)).map((line) => line.split(/ +/));
    expect(rows.map((row) => row[0]!).sort()).toEqual(["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11212"]);
    expect(rows.every((row) => row[1] === "10.0.0.4:11211")).toBe(true);
    expect(rows.reduce((sum, row) => sum + Number(row[2]), 0)).toBe(Number(moved));
    expect(lines.at(-1)!).toBe("between servers that are in both rings: 0 (0.0 %)");
  });

  test("of another flavour: says what moves between servers that stay", () => {
    const last = ringDiff(pool("libketama", PRIMARIES), pool("magent", PRIMARIES), null).at(-1)!;
    const [, between] = /^between servers that are in both rings: (\d+) /.exec(last)!;
    expect(Number(between)).toBeGreaterThan(SAMPLE_KEYS * 0.5);
  });

  test("of given keys counts exactly those", () => {
    // By libketama's vector user:1 belongs to server 2, user:0 and user:2 to server 0; without server 2 only user:1 moves.
    const keys = ["user:0", "user:1", "user:2"].map(latin1);
    const lines = ringDiff(pool("libketama", PRIMARIES), pool("libketama", PRIMARIES.slice(0, 2)), keys);
    expect(lines[0]!).toBe("primary: 1 of 3 keys move (33.3 %)");
    expect(lines[2]!).toMatch(/^10\.0\.0\.3:11212 +10\.0\.0\.[12]:11211 +1 +33\.3 %$/);
  });

  test("of two spellings of one order moves nothing: the label is the server", () => {
    expect(ringDiff(pool("libketama", PRIMARIES), pool("libketama", [...PRIMARIES].reverse()), null)).toEqual([
      `primary: 0 of ${SAMPLE_KEYS} sample keys move (0.0 %)`,
    ]);
  });

  test("counts the backups' ring by itself, and says when there is none on one side", () => {
    const keys = [latin1("a")];
    const lines = ringDiff(pool("libketama", PRIMARIES, BACKUPS), pool("libketama", PRIMARIES, [BACKUPS[0]!]), null);
    expect(lines[0]!).toMatch(/^primary: 0 of /);
    expect(lines[2]!).toMatch(/^backup: \d{5} of 100000 sample keys move/);
    expect(ringDiff(pool("libketama", PRIMARIES), pool("libketama", PRIMARIES, BACKUPS), keys).at(-1)!).toBe("backups: none before");
    expect(ringDiff(pool("libketama", PRIMARIES, BACKUPS), pool("libketama", PRIMARIES), keys).at(-1)!).toBe("backups: none any more");
  });
});
