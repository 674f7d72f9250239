// Versions: they grow, they are one proxy's own, they follow the wall clock and what others drew, and fit 63 bits.
import { describe, expect, test } from "bun:test";
import { latin1, textOf } from "../../src/bytes/ascii.ts";
import { isVersion, VersionClock } from "../../src/replication/version.ts";

const EPOCH_MS = Date.UTC(2024, 0, 1);
const now = Date.UTC(2026, 10, 26);

function draw(clock: VersionClock): bigint {
  clock.next();
  return BigInt(textOf(clock.digits, 0, clock.digits.length));
}

const of = (ms: number, counter: number, proxy: number): bigint =>
  (1n << 62n) | (BigInt(ms) << 21n) | (BigInt(counter) << 12n) | BigInt(proxy);

function see(clock: VersionClock, version: bigint): void {
  const bytes = latin1(`c${version} `);
  clock.saw(bytes, 1, bytes.length - 1);
}

describe("a version clock", () => {
  test("counts on from the wall clock, bit for bit", () => {
    for (const ms of [0, 1, 476, 477, 999_999_999, 1_000_000_000, now - EPOCH_MS, 2 ** 41 - 2]) {
      const clock = new VersionClock(0xabc);
      clock.wall(EPOCH_MS + ms + 0.75);
      expect([draw(clock), draw(clock)]).toEqual([of(ms, 1, 0xabc), of(ms, 2, 0xabc)]);
    }
  });

  test("a full counter goes on into the next millisecond, and every digit is carried", () => {
    const clock = new VersionClock(4095);
    clock.wall(now);
    let last = of(now - EPOCH_MS, 0, 4095);
    for (let i = 0; i < 300_000; i++) {
      const next = draw(clock);
      if (next !== last + 4096n) expect([i, next]).toEqual([i, last + 4096n]);
      last = next;
    }
  });

  test("never goes back with the wall clock, and tells how far ahead it is", () => {
    const clock = new VersionClock(7);
    clock.wall(now);
    const before = draw(clock);
    clock.wall(now - 90_000);
    expect(Math.round(clock.aheadMs)).toBe(90_000);
    expect(draw(clock)).toBe(before + 4096n);
    clock.wall(now + 1000);
    expect(draw(clock)).toBe(of(now + 1000 - EPOCH_MS, 1, 7));
  });

  test("a version that was seen is below all that follow, whoever drew it", () => {
    for (const proxy of [0, 1, 2049, 4095]) {
      for (let ms = now - EPOCH_MS + 3000; ms < now - EPOCH_MS + 3050; ms++) {
        const clock = new VersionClock(2048);
        clock.wall(now);
        see(clock, of(ms, 511, proxy));
        const next = draw(clock);
        expect([next > of(ms, 511, proxy), next <= of(ms + 1, 0, 0) + 4095n, next & 4095n]).toEqual([true, true, 2048n]);
      }
    }
  });

  test("what is older, native, or a day ahead changes nothing", () => {
    const clock = new VersionClock(5);
    clock.wall(now);
    for (const unique of [of(now - EPOCH_MS - 1, 0, 1), 1n, 17n << 47n, of(now - EPOCH_MS + 86_400_001, 0, 1), 2n ** 63n, 2n ** 64n - 1n]) see(clock, unique);
    expect(draw(clock)).toBe(of(now - EPOCH_MS, 1, 5));
  });
});

test("a cas unique is a version from 2^62 to below 2^63", () => {
  const is = (unique: bigint): boolean => isVersion(latin1(String(unique)), 0, String(unique).length);
  const first = 1n << 62n;
  expect([0n, 1n, first - 1n, first, first + 1n, 2n * first - 1n, 2n * first, 4n * first - 1n].map(is))
    .toEqual([false, false, false, true, true, true, false, false]);
});
