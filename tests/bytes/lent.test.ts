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

/** Where arrays come from that are lent by the platform: those that came back. */
class Home {
  readonly came: Uint8Array[] = [];
  back(bytes: Uint8Array): void {
    this.came.push(bytes);
  }
  lend(length: number): Uint8Array {
    const bytes = Object.assign(large(length), { home: this });
    lend(bytes);
    return bytes;
  }
}

test("what the platform lent goes back to it, once", () => {
  const home = new Home();
  const bytes = home.lend(LENT_BYTES_MIN);
  hold(bytes);
  release(bytes);
  expect(home.came).toEqual([]);
  release(bytes);
  expect([home.came.length, home.came[0] === bytes, bytes.length]).toEqual([1, true, LENT_BYTES_MIN]);
});

test("what a full kernel does not take of borrowed bytes waits as a copy, and they go back in the same turn", () => {
  for (const before of [0, 100_000]) {
    const home = new Home();
    const out = new Outbound(new TailPool());
    const got: number[] = [];
    let room = before;
    const kernel = {
      write(bytes: Uint8Array, start: number, end: number): number {
        const taken = Math.min(room, end - start);
        got.push(...bytes.subarray(start, start + taken));
        room -= taken;
        return taken;
      },
    };
    if (before > 0) out.push(large(before).fill(1), 0, before);
    // The first is there when the kernel is found full, the second comes after.
    for (let i = 0; i < 2; i++) {
      const bytes = home.lend(40_000);
      out.push(bytes, 10, 40_000);
      release(bytes);
      if (i === 0) expect([home.came.length, out.flush(kernel)]).toEqual([0, false]);
      expect(home.came.length).toBe(i + 1);
      bytes.fill(99); // somebody else's by now
    }
    out.drained();
    room = 1_000_000;
    expect([out.flush(kernel), out.total]).toEqual([true, 0]);
    expect([got.length, got.filter((byte) => byte === 7).length]).toEqual([before + 2 * 39_990, 2 * 39_990]);
  }
});
