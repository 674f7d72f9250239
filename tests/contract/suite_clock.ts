// The contract, part Clock, Random and afterTurn.
import { describe, expect } from "bun:test";
import { LOOPBACK } from "./desk.ts";
import type { Sentence } from "./suite.ts";

export function clockSentences(name: string, sentence: Sentence): void {
  describe(`${name}: Clock, Random and turns`, () => {
    sentence("nowMs is monotonic, in milliseconds", async (desk) => {
      let last = desk.clock.nowMs();
      const begun = last;
      for (let i = 0; i < 20; i++) {
        await desk.world.pass(i % 3);
        const now = desk.clock.nowMs();
        expect(now).toBeGreaterThanOrEqual(last);
        last = now;
      }
      expect(last - begun).toBeGreaterThanOrEqual(15);
      expect(last - begun).toBeLessThan(5000);
    });

    sentence("a timer fires once, not before ms have passed", async (desk) => {
      const late: number[] = [];
      const asked = [0, 0.5, 1, 1.2, 7.7, 20];
      for (const ms of asked) {
        const due = desk.clock.nowMs() + ms;
        desk.clock.timer(ms, () => {
          late.push(desk.clock.nowMs() - due);
          desk.world.changed();
        });
      }
      expect(late).toEqual([]);
      await desk.world.until("all timers", () => late.length >= asked.length);
      await desk.world.pass(30);
      expect(late.length).toBe(asked.length);
      expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    });

    sentence("a timer of many days does not fire at once", async (desk) => {
      let fired = false;
      const timer = desk.clock.timer(40 * 24 * 3600 * 1000, () => void (fired = true));
      await desk.world.pass(20);
      expect(fired).toBe(false);
      timer.cancel();
    });

    sentence("a cancelled timer never fires; idempotent", async (desk) => {
      let fired = 0;
      const timers = [0, 1, 5, 10].map((ms) => desk.clock.timer(ms, () => void fired++));
      const last = desk.clock.timer(10, () => void 0);
      for (const timer of timers) {
        timer.cancel();
        timer.cancel();
      }
      await desk.world.pass(40);
      last.cancel();
      expect(fired).toBe(0);
    });

    sentence("u32 is an integer in [0, 2^32), and not always the same", async (desk) => {
      const drawn = Array.from({ length: 300 }, () => desk.world.platform.random.u32());
      expect(drawn.every((n) => Number.isInteger(n) && n >= 0 && n < 2 ** 32)).toBe(true);
      expect(new Set(drawn).size).toBeGreaterThan(290);
      expect(drawn.some((n) => n > 2 ** 31)).toBe(true);
    });

    sentence("afterTurn runs once after all ready sockets of this turn have been served", async (desk) => {
      const order: string[] = [];
      const listener = await desk.listen(LOOPBACK);
      const count = 20;
      const peers = Array.from({ length: count }, () => desk.connect(listener.address));
      await desk.world.until("all connections", () => desk.accepted.length === count && peers.every((peer) => peer.opened));
      for (const peer of desk.accepted)
        peer.onBytes = () => {
          order.push("data");
          desk.inside("afterTurn", () => desk.world.platform.afterTurn(() => {
            order.push("run");
            desk.world.changed();
          }));
        };
      for (const peer of peers) peer.socket.write(new Uint8Array(3), 0, 3);
      const seen = (what: string): number => order.filter((one) => one === what).length;
      await desk.world.until("all bytes", () => desk.accepted.every((peer) => peer.received === 3));
      await desk.world.until("a run for each", () => seen("run") === seen("data"));
      await desk.world.pass(10);
      expect(seen("run")).toBe(seen("data"));
      for (let i = 0, lead = 0; i < order.length; i++) {
        lead += order[i] === "data" ? 1 : -1;
        expect(lead).toBeGreaterThanOrEqual(0);
      }
      if (desk.world.together) expect(order.indexOf("run")).toBe(count);
      else console.log(`${name} has delays: that all sockets of a turn come first was shown for single sockets only`);
    });

    sentence("afterTurn's runs asked for inside a run come in the next turn", async (desk) => {
      const order: string[] = [];
      const afterTurn = (run: () => void): void => desk.world.platform.afterTurn(run);
      let done = false;
      afterTurn(() => {
        order.push("first");
        afterTurn(() => {
          order.push("next turn");
          done = true;
          desk.world.changed();
        });
        order.push("first ends");
      });
      afterTurn(() => order.push("second"));
      order.push("asked");
      await desk.world.until("both turns", () => done);
      expect(order).toEqual(["asked", "first", "first ends", "second", "next turn"]);
    });

    sentence("copy puts source[start, end) at target[at, …), and nothing else changes", async (desk) => {
      const { copy } = desk.world.platform;
      if (copy === null) return;
      const source = Uint8Array.from({ length: 200 }, (_, i) => i).subarray(10);
      for (const length of [0, 1, 31, 100, 190]) {
        const target = new Uint8Array(300).fill(255);
        copy(source, 190 - length, 190, target.subarray(5), 7);
        const expected = new Uint8Array(300).fill(255);
        for (let i = 0; i < length; i++) expected[12 + i] = 200 - length + i;
        expect([...target]).toEqual([...expected]);
      }
    });
  });
}
