// Whatever is pushed leaves once, in order, however little the kernel takes at a time.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Outbound, TailPool } from "../../src/bytes/outbound.ts";

/** A kernel that takes as much as it is told, write by write, and keeps what it took. */
class Kernel {
  readonly got: number[] = [];
  readonly writes: number[] = [];
  constructor(private readonly takes: (offered: number) => number) {}
  write(bytes: Uint8Array, start: number, end: number): number {
    const taken = Math.min(end - start, this.takes(end - start));
    for (let i = 0; i < taken; i++) this.got.push(bytes[start + i]!);
    this.writes.push(taken);
    return taken;
  }
}
const all = (offered: number): number => offered;

/** count bytes that go on from `from`. */
const run = (from: number, count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (from + i) % 251);

test("small pushes leave in one write, in order", () => {
  const out = new Outbound(new TailPool());
  const kernel = new Kernel(all);
  for (let i = 0; i < 50; i++) out.push(run(i * 7, 100), 3, 10);
  expect(out.total).toBe(350);
  expect(out.flush(kernel)).toBe(true);
  expect(kernel.writes).toEqual([350]);
  expect(kernel.got).toEqual(Array.from({ length: 350 }, (_, i) => (Math.floor(i / 7) * 7 + 3 + (i % 7)) % 251));
  expect([out.total, out.taken]).toEqual([0, 350]);
});

test("what is pushed small may be changed afterwards, what is large is not copied", () => {
  const out = new Outbound(new TailPool());
  const small = run(0, 1000), large = run(0, 100_000);
  out.push(small, 0, 1000);
  out.push(large, 0, 100_000);
  small.fill(255);
  large[99_999] = 7;
  const kernel = new Kernel(all);
  out.flush(kernel);
  expect([kernel.got[999], kernel.got.at(-1), kernel.got.length]).toEqual([999 % 251, 7, 101_000]);
});

test("blocked until the kernel has room again", () => {
  const out = new Outbound(new TailPool());
  let room = 3;
  const kernel = new Kernel((offered) => {
    const taken = Math.min(room, offered);
    room -= taken;
    return taken;
  });
  out.push(run(0, 10), 0, 10);
  expect([out.flush(kernel), out.blocked, out.total, out.taken]).toEqual([false, true, 7, 3]);
  room = 100;
  expect([out.flush(kernel), kernel.writes]).toEqual([false, [3]]);
  out.drained();
  out.push(run(10, 5), 0, 5);
  expect([out.flush(kernel), out.blocked, out.total]).toEqual([true, false, 0]);
  expect(kernel.got).toEqual([...run(0, 15)]);
});

test("clear forgets what waits, reset also what was taken", () => {
  const out = new Outbound(new TailPool());
  out.push(run(0, 10), 0, 10);
  out.flush(new Kernel(() => 4));
  out.clear();
  expect([out.total, out.taken, out.blocked]).toEqual([0, 4, false]);
  out.push(run(0, 50_000), 0, 50_000);
  out.reset();
  expect([out.total, out.taken]).toEqual([0, 0]);
  const kernel = new Kernel(all);
  out.push(run(5, 2), 0, 2);
  out.flush(kernel);
  expect(kernel.got).toEqual([5, 6]);
});

describe("the pool", () => {
  test("two that share it never share a buffer in use", () => {
    const pool = new TailPool();
    const one = new Outbound(pool), two = new Outbound(pool);
    const a = new Kernel(all), b = new Kernel(all);
    for (let round = 0; round < 20; round++) {
      one.push(run(round, 30), 0, 30);
      one.flush(a);
      two.push(run(round + 100, 30), 0, 30);
      one.push(run(round + 30, 30), 0, 30);
      two.flush(b);
      one.flush(a);
    }
    expect(a.got).toEqual(Array.from({ length: 20 }, (_, round) => [...run(round, 60)]).flat());
    expect(b.got).toEqual(Array.from({ length: 20 }, (_, round) => [...run(round + 100, 30)]).flat());
  });
  test("a buffer that was given back is taken again, whatever its size", () => {
    const pool = new TailPool();
    for (const length of [1, 4096, 4097, 30_000]) {
      const tail = pool.take(length);
      expect(tail.length).toBeGreaterThanOrEqual(length);
      pool.give(tail);
      expect(pool.take(length) === tail).toBe(true);
    }
  });
});

test("any pushes and any short writes make the same stream", () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 6000 }), fc.integer({ min: 30_000, max: 70_000 }));
  const step = fc.oneof(
    fc.record({ push: length, offset: fc.integer({ min: 0, max: 9 }) }),
    fc.record({ flush: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 5000 }), fc.constant(1_000_000)) }),
    fc.record({ drained: fc.constant(true) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const out = new Outbound(new TailPool());
      let room = 0;
      const kernel = new Kernel((offered) => {
        const taken = Math.min(room, offered);
        room -= taken;
        return taken;
      });
      let pushed = 0;
      for (const each of steps) {
        if ("push" in each) {
          const { push, offset } = each;
          out.push(run(pushed - offset + 251 * 100, push + offset), offset, push + offset);
          pushed += push;
        } else if ("flush" in each) {
          room = each.flush;
          const blocked = out.blocked;
          expect(out.flush(kernel)).toBe(!blocked && out.total === 0);
        } else out.drained();
        expect([out.total, out.taken]).toEqual([pushed - kernel.got.length, kernel.got.length]);
      }
      out.drained();
      room = Infinity;
      expect(out.flush(kernel)).toBe(true);
      expect(kernel.got.length).toBe(pushed);
      expect(kernel.got.every((byte, i) => byte === (i + 251 * 100) % 251)).toBe(true);
    }),
    { numRuns: 200, seed: 7 },
  );
});
