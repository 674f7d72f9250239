// A large array goes back when the last one that keeps a part of it says so, and not before.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { free, hold, keep, lend, LENT_BYTES_MIN, release } from "../../src/bytes/lent.ts";
import { Outbound, TailPool } from "../../src/bytes/outbound.ts";

const large = (bytes = LENT_BYTES_MIN): Uint8Array => new Uint8Array(bytes).fill(7);

test("the last of its holders frees it", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 30 }), (steps) => {
      const bytes = large();
      lend(bytes);
      let holders = 1;
      for (const more of steps) {
        if (holders === 0) break;
        if (more) hold(bytes);
        else release(bytes);
        holders += more ? 1 : -1;
        expect(bytes.length).toBe(holders === 0 ? 0 : LENT_BYTES_MIN);
      }
    }),
  );
});

test("not freed: what was not lent, what somebody keeps, what is small, what is part of something else", () => {
  const [owned, kept, small] = [large(), large(), large(LENT_BYTES_MIN - 1)];
  const part = large(2 * LENT_BYTES_MIN).subarray(0, LENT_BYTES_MIN);
  for (const bytes of [kept, small, part]) lend(bytes);
  keep(kept);
  for (const bytes of [owned, kept, small, part]) {
    release(bytes);
    hold(bytes);
    release(bytes);
    release(bytes);
  }
  free(part);
  free(small);
  expect([owned, kept, small, part].map((bytes) => bytes[0])).toEqual([7, 7, 7, 7]);
});

test("an outbound holds what it references until the kernel took the last byte of it", () => {
  const out = new Outbound(new TailPool());
  const bytes = large(100_000);
  let room = 0;
  const kernel = { write: (_: Uint8Array, start: number, end: number): number => Math.min(room, end - start) };
  lend(bytes);
  out.push(bytes, 0, 50_000);
  out.push(bytes, 60_000, 100_000);
  release(bytes);
  for (const [takes, left] of [[49_999, 100_000], [1, 100_000], [39_998, 100_000], [1, 0]] as const) {
    room = takes;
    out.drained();
    out.flush(kernel);
    expect([takes, bytes.length]).toEqual([takes, left]);
  }
});

test("what a lost connection had still to send is left to the collector", () => {
  const out = new Outbound(new TailPool());
  const bytes = large(100_000);
  lend(bytes);
  out.push(bytes, 0, 100_000);
  out.clear();
  release(bytes);
  expect(bytes.length).toBe(100_000);
});
