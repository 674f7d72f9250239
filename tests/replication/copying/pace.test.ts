// How many copies may begin: the limits, and what slow answers make of them.
import { describe, expect, test } from "bun:test";
import { Pace } from "../../../src/replication/copying/pace.ts";

const LIMITS = { keysPerSecond: 10_000, bytesPerSecond: 1_000_000 };

/** Begins what may begin for ms, every 2 ms, each copy of so many bytes and taking so long; returns how many began. */
function drive(pace: Pace, from: number, ms: number, bytes: number, tookMs: number): number {
  let began = 0;
  for (let now = from; now < from + ms; now += 2) {
    for (let allowed = pace.allowed(now); allowed > 0; allowed--) {
      pace.began();
      pace.moved(bytes);
      pace.took(tookMs);
      began++;
    }
  }
  return began;
}

describe("the pace of a refill", () => {
  test("keys: no more than the limit, and evenly", () => {
    const pace = new Pace(LIMITS, 5, 0);
    expect(drive(pace, 2, 1000, 10, 1)).toBe(10_000);
    for (let now = 2000; now < 2010; now += 2) expect(pace.allowed(now)).toBeLessThanOrEqual(50);
  });

  test("bytes: large values come more slowly", () => {
    const began = drive(new Pace(LIMITS, 5, 0), 2, 1000, 1000, 1);
    expect(began).toBeGreaterThan(900);
    expect(began).toBeLessThan(1100);
  });

  test("what was not used is not made up for later", () => {
    const pace = new Pace(LIMITS, 5, 0);
    expect(pace.allowed(60_000)).toBe(50);
  });

  test("slow answers cut it, down to a least share; it comes back", () => {
    const pace = new Pace(LIMITS, 5, 0);
    drive(pace, 2, 1000, 10, 1);
    expect(pace.rate).toBe(10_000);
    drive(pace, 1002, 500, 10, 30);
    expect(pace.rate).toBeLessThan(2000);
    drive(pace, 1502, 5000, 10, 300);
    expect(pace.share).toBe(1 / 64);
    const slow = drive(pace, 6502, 1000, 10, 300);
    expect(slow).toBeGreaterThan(100);
    expect(slow).toBeLessThan(200);
    drive(pace, 7502, 3000, 10, 1);
    expect(pace.rate).toBe(10_000);
  });

  test("a server that is always slow is not cut for it", () => {
    const pace = new Pace(LIMITS, 5, 0);
    drive(pace, 2, 2000, 10, 50);
    expect(pace.share).toBe(1);
  });
});
