// The state machine of trust, by its numbers.
import { describe, expect, test } from "bun:test";
import { Health } from "../../src/backend/health.ts";

describe("health", () => {
  test("three failures in a row are one too many; an answer between begins anew", () => {
    const health = new Health();
    expect([health.strike(false), health.strike(false), health.strike(false)]).toEqual([false, false, true]);
    health.recovered();
    expect([health.strike(false), health.strike(false), health.strike(true), health.strike(false), health.strike(false)])
      .toEqual([false, false, false, false, true]);
  });

  test("three hangs within a minute of each other are too many, whatever was answered between; a quiet minute forgives", () => {
    const health = new Health();
    const at = (...seconds: number[]): boolean[] => seconds.map((second) => health.hung(second * 1000));
    expect(at(0, 59, 118)).toEqual([false, false, true]);
    health.down(118_000);
    health.recovered();
    expect(at(120, 180, 181, 182)).toEqual([true, false, false, true]);
  });

  test("who proves itself is asked every half second, with 30 % of chance", () => {
    const health = new Health();
    expect([health.nextProofMs(0), health.nextProofMs(0x80000000), Math.round(health.nextProofMs(0xffffffff))]).toEqual([350, 500, 650]);
  });

  test("probes come less and less often, up to 3 s, each with 30 % of chance", () => {
    const health = new Health();
    const middle = 0x80000000;
    const waits = Array.from({ length: 10 }, () => Math.round(health.nextProbeMs(middle)));
    expect(waits).toEqual([250, 375, 563, 844, 1266, 1898, 2848, 3000, 3000, 3000]);
    expect(health.nextProbeMs(0)).toBe(2100);
    const longest = health.nextProbeMs(0xffffffff);
    expect([longest > 3899, longest < 3900]).toEqual([true, true]);
    health.down(0);
    expect(health.nextProbeMs(middle)).toBe(250);
  });

  test("who goes down often must answer longer, up to a minute; a quiet minute forgives", () => {
    const health = new Health();
    const rises: number[] = [];
    for (let i = 0; i < 9; i++) {
      health.down(i * 59_000);
      rises.push(health.riseMs);
    }
    expect(rises).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    health.down(8 * 59_000 + 60_000);
    expect(health.riseMs).toBe(1000);
  });
});
