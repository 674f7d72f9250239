// Buckets of durations: where each falls, sums, differences, percentiles.
import { describe, expect, test } from "bun:test";
import { BOUNDS_US, Latency, latencySince, percentileMs, sumLatencies } from "../../src/observe/latency.ts";

describe("buckets", () => {
  test("two to each doubling, from 16 µs to 33 s", () => {
    expect(BOUNDS_US.slice(0, 6)).toEqual([16, 24, 32, 48, 64, 96]);
    expect(BOUNDS_US.at(-1)).toBe(33_554_432);
  });

  test("a duration falls below the first bound above it; bounds are excluded", () => {
    for (const us of [0, 1, 15, 16, 23, 24, 31, 32, 47, 48, 1000, 300_000, 33_554_431, 33_554_432, 2_000_000_000]) {
      const latency = new Latency(1);
      latency.add(0, us / 1000);
      const above = BOUNDS_US.findIndex((bound) => us < bound);
      expect([us, latency.report(0).buckets.length - 1]).toEqual([us, above === -1 ? BOUNDS_US.length : above]);
    }
  });

  test("rows do not touch each other", () => {
    const latency = new Latency(3);
    latency.add(1, 0.02);
    latency.add(1, 5);
    expect([latency.report(0).count, latency.report(1).count, latency.report(2).count]).toEqual([0, 2, 0]);
    expect(latency.report(1).sumMs).toBe(5.02);
    expect(latency.report(0).buckets).toEqual([]);
  });
});

describe("reports", () => {
  const of = (...ms: number[]) => {
    const latency = new Latency(1);
    for (const each of ms) latency.add(0, each);
    return latency.report(0);
  };

  test("add up, and tell what came since", () => {
    const before = of(0.02, 3), after = of(0.02, 3, 0.02, 100);
    expect(sumLatencies([before, after]).count).toBe(6);
    expect(sumLatencies([])).toEqual({ count: 0, sumMs: 0, buckets: [] });
    const since = latencySince(after, before);
    expect([since.count, Math.round(since.sumMs * 100)]).toEqual([2, 10002]);
    expect(percentileMs(since, 50)).toBe(0.024);
    expect(latencySince(before, after)).toEqual(before);
  });

  test("percentiles are upper bounds of their buckets", () => {
    const many = of(...Array.from({ length: 99 }, () => 0.1), 50);
    expect([percentileMs(many, 50), percentileMs(many, 99), percentileMs(many, 100)]).toEqual([0.128, 0.128, 65.536]);
    expect(percentileMs(of(), 99)).toBe(0);
    expect(percentileMs(of(1_000_000), 50)).toBe(33554.432);
  });
});
