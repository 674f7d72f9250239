// The checker itself: hand-written histories that one memcached could have given, and ones that it could not.
import { describe, expect, test } from "bun:test";
import { check } from "./checker.ts";
import { findings } from "./company_checker.ts";
import { History, type Call, type Outcome } from "./history.ts";
import { STRICT, type Leniency } from "./model.ts";

const LOSSY: Leniency = { ...STRICT, lossy: () => true };
const MS = 1000;

/** One call per line: [from ms, to ms, session, kind, value or expected→value, outcome, what was seen]. */
type Line = readonly [number, number, number, Call["kind"], string, Outcome, string?];

function history(lines: readonly Line[], more: Partial<Call> = {}): History {
  const out = new History();
  const places = new Map<number, number>();
  for (const [from, to, session, kind, text, outcome, seen] of lines) {
    const place = places.get(session) ?? 0;
    places.set(session, place + 1);
    const [expected, value] = kind === "cas" ? text.split("→") : [null, text];
    const call = out.begin({
      session, place, kind, key: "k", value: value!, flags: 0, ttl: 0, expected: expected!, noreply: false, startUs: from * MS, ...more,
    });
    if (outcome === "unknown") out.abandon(call, to * MS);
    else out.settle(call, to * MS, outcome, seen ?? "");
  }
  return out;
}

function verdict(lines: readonly Line[], lenient = STRICT): number {
  const { violations, undecided } = check(history(lines), lenient);
  expect(undecided.length).toBe(0);
  return violations.length;
}

describe("a history that memcached explains", () => {
  const RIGHT: readonly (readonly [string, readonly Line[]])[] = [
    ["nothing set, nothing found", [[0, 1, 1, "get", "", "miss"], [2, 3, 1, "delete", "", "not_found"], [4, 5, 1, "incr", "1", "not_found"]]],
    ["set, then read", [[0, 1, 1, "set", "a", "stored"], [2, 3, 2, "get", "", "hit", "a"]]],
    ["a read beside a set sees either", [[0, 1, 1, "set", "a", "stored"], [2, 9, 1, "set", "b", "stored"], [3, 4, 2, "get", "", "hit", "b"], [3, 4, 3, "get", "", "hit", "a"]]],
    ["append and prepend make one value", [[0, 1, 1, "set", "a", "stored"], [2, 9, 1, "append", "b", "stored"], [2, 9, 2, "prepend", "c", "stored"], [10, 11, 1, "get", "", "hit", "cab"]]],
    ["one of two adds", [[0, 9, 1, "add", "a", "stored"], [0, 9, 2, "add", "b", "not_stored"], [10, 11, 1, "get", "", "hit", "a"]]],
    ["one of two cas", [[0, 1, 1, "set", "a", "stored"], [2, 9, 1, "cas", "a→b", "stored"], [2, 9, 2, "cas", "a→c", "exists"], [10, 11, 1, "get", "", "hit", "b"]]],
    ["counting up and not below nothing", [[0, 1, 1, "set", "10", "stored"], [2, 3, 1, "incr", "5", "number", "15"], [4, 5, 1, "decr", "20", "number", "0"]]],
    ["an unknown set took effect late", [[0, 1, 1, "set", "a", "stored"], [2, 3, 2, "set", "b", "unknown"], [4, 5, 1, "get", "", "hit", "a"], [6, 7, 1, "get", "", "hit", "b"]]],
    ["an unknown set never took effect", [[0, 1, 1, "set", "a", "stored"], [2, 3, 2, "set", "b", "unknown"], [4, 5, 1, "get", "", "hit", "a"]]],
    ["pipelined on one connection", [[0, 9, 1, "set", "a", "stored"], [0, 9, 1, "get", "", "hit", "a"], [0, 9, 1, "delete", "", "deleted"], [0, 9, 1, "get", "", "miss"]]],
  ];
  for (const [name, lines] of RIGHT) test(name, () => expect(verdict(lines)).toBe(0));
});

describe("a history that memcached does not explain", () => {
  const WRONG: readonly (readonly [string, readonly Line[], boolean])[] = [
    ["a value that nobody set", [[0, 1, 1, "get", "", "hit", "a"]], true],
    ["a value before it was set", [[0, 1, 1, "get", "", "hit", "a"], [2, 3, 1, "set", "a", "stored"]], true],
    ["an overwritten value", [[0, 1, 1, "set", "a", "stored"], [2, 3, 1, "set", "b", "stored"], [4, 5, 2, "get", "", "hit", "a"]], true],
    ["a deleted value", [[0, 1, 1, "set", "a", "stored"], [2, 3, 1, "delete", "", "deleted"], [4, 5, 2, "get", "", "hit", "a"]], true],
    ["a value deleted by a delete that found nothing", [[0, 1, 1, "set", "a", "stored"], [2, 3, 1, "delete", "", "not_found"], [4, 5, 2, "get", "", "hit", "a"]], true],
    ["a lost value", [[0, 1, 1, "set", "a", "stored"], [2, 3, 2, "get", "", "miss"]], false],
    ["a lost value that an add found missing", [[0, 1, 1, "set", "a", "stored"], [2, 3, 2, "add", "b", "stored"]], false],
    ["two successful adds", [[0, 9, 1, "add", "a", "stored"], [0, 9, 2, "add", "b", "stored"]], false],
    ["two successful cas with one token", [[0, 1, 1, "set", "a", "stored"], [2, 9, 1, "cas", "a→b", "stored"], [2, 9, 2, "cas", "a→c", "stored"]], true],
    ["an append applied twice", [[0, 1, 1, "set", "a", "stored"], [2, 3, 1, "append", "b", "unknown"], [4, 5, 1, "get", "", "hit", "abb"]], true],
    ["an incr applied twice", [[0, 1, 1, "set", "1", "stored"], [2, 3, 1, "incr", "1", "number", "2"], [4, 5, 1, "get", "", "hit", "3"]], true],
    ["an unknown set after a later acknowledged one", [[0, 1, 1, "set", "a", "unknown"], [2, 3, 1, "set", "b", "stored"], [4, 5, 1, "get", "", "hit", "b"], [6, 7, 1, "get", "", "hit", "a"]], true],
    ["pipelined out of order", [[0, 9, 1, "set", "a", "stored"], [0, 9, 1, "set", "b", "stored"], [10, 11, 1, "get", "", "hit", "a"]], true],
    ["back and forth", [[0, 1, 1, "set", "a", "stored"], [2, 9, 1, "set", "b", "stored"], [3, 4, 2, "get", "", "hit", "b"], [5, 6, 2, "get", "", "hit", "a"]], true],
  ];
  for (const [name, lines, evenLossy] of WRONG) {
    test(name, () => {
      expect(verdict(lines)).toBe(1);
      expect(verdict(lines, LOSSY)).toBe(evenLossy ? 1 : 0);
    });
  }

  test("wrong flags", () => {
    const out = history([[0, 1, 1, "set", "a", "stored"]], { flags: 3 });
    const read = out.begin({ session: 1, place: 1, kind: "get", key: "k", value: "", flags: 0, ttl: 0, expected: null, noreply: false, startUs: 2000 });
    out.settle(read, 3000, "hit", "a", 4);
    expect(check(out, STRICT).violations.length).toBe(1);
  });
});

describe("expiry", () => {
  /** Set with a TTL of 3 s at 0–1 ms, read at atMs. */
  function read(atMs: number, outcome: Outcome, ttl = 3): number {
    const out = history([[0, 1, 1, "set", "a", "stored"]], { ttl });
    const call = out.begin({ session: 1, place: 1, kind: "get", key: "k", value: "", flags: 0, ttl: 0, expected: null, noreply: false, startUs: atMs * MS });
    out.settle(call, atMs * MS + 10, outcome, "a");
    return check(out, STRICT).violations.length;
  }

  test("is between the second before and the full time", () => {
    expect(read(1900, "miss")).toBe(1);
    expect(read(1900, "hit")).toBe(0);
    expect(read(2500, "miss")).toBe(0);
    expect(read(2500, "hit")).toBe(0);
    expect(read(3100, "miss")).toBe(0);
    expect(read(3100, "hit")).toBe(1);
  });

  test("is at once for a negative time", () => {
    expect(read(2, "miss", -1)).toBe(0);
    expect(read(2, "hit", -1)).toBe(1);
  });
});

describe("a lock by add, taken through several proxies", () => {
  const faults = (lines: readonly Line[]): string[] => findings(history(lines).calls, false).map(({ fault }) => fault);

  for (const [name, lines, wrong] of [
    ["twice", [[0, 1, 1, "add", "a", "stored"], [2, 3, 2, "add", "b", "stored"]], true],
    ["again after a delete", [[0, 1, 1, "add", "a", "stored"], [2, 3, 2, "delete", "", "deleted"], [4, 5, 2, "add", "b", "stored"]], false],
    ["again by one that waited from before until after the delete", [[0, 9, 1, "add", "a", "stored"], [2, 3, 2, "add", "b", "stored"], [4, 5, 2, "delete", "", "deleted"]], false],
    ["twice at the same time, and the delete came when both were through", [[0, 3, 1, "add", "a", "stored"], [1, 2, 2, "add", "b", "stored"], [4, 5, 2, "delete", "", "deleted"]], true],
    ["again, beside a delete", [[0, 1, 1, "add", "a", "stored"], [2, 3, 2, "add", "b", "stored"], [2, 4, 1, "delete", "", "deleted"]], false],
    ["twice, and the delete came later", [[0, 1, 1, "add", "a", "stored"], [2, 3, 2, "add", "b", "stored"], [4, 5, 1, "delete", "", "deleted"]], true],
  ] as readonly (readonly [string, readonly Line[], boolean])[]) {
    test(name, () => expect(faults(lines)).toEqual(wrong ? ["double"] : []));
  }
});
