// The contract, part Socket: what write, pause, resume, finish and abort promise.
import { describe, expect } from "bun:test";
import { fillPattern, isPattern, LOOPBACK } from "./desk.ts";
import type { Sentence } from "./suite.ts";

export function socketSentences(name: string, sentence: Sentence): void {
  describe(`${name}: Socket`, () => {
    sentence("write offers bytes[start, end) and returns how many were taken, 0 to all; the bytes are not kept", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      const total = 200_000;
      let sent = 0;
      const scratch = new Uint8Array(5000);
      const send = (): void => {
        while (sent < total) {
          const size = Math.min(1 + ((sent * 7) % 4000), total - sent);
          fillPattern(scratch, 500, sent, size);
          const taken = desk.inside("write", () => near.socket.write(scratch, 500, 500 + size));
          if (!Number.isInteger(taken) || taken < 0 || taken > size) desk.violations.push(`${taken} of ${size} taken`);
          scratch.fill(255); // what was taken must not depend on these bytes any more
          sent += taken;
          if (taken < size) return;
        }
      };
      near.onDrained = send;
      send();
      await desk.world.until("all bytes to arrive", () => far.received === total);
      expect(isPattern(far.bytes(), 0)).toBe(true);
      expect(near.socket.write(scratch, 7, 7)).toBe(0);
    });

    sentence("when fewer than offered were taken, exactly one onDrain follows", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      far.socket.pause();
      const bytes = new Uint8Array(desk.world.much);
      let sent = near.socket.write(bytes, 0, desk.world.much);
      sent += sent < desk.world.much ? 0 : near.socket.write(bytes, 0, desk.world.much);
      let short = 1;
      expect(sent).toBeLessThan(desk.world.much);
      await desk.world.pass(20);
      // Nobody reads: an onDrain now may only mean that the kernel found more room; a full socket stays silent.
      near.onDrained = () => {
        const taken = near.socket.write(bytes, sent, desk.world.much);
        sent += taken;
        if (sent < desk.world.much) short++;
      };
      if (near.drains > 0) near.onDrained();
      far.socket.resume();
      await desk.world.until("all bytes to arrive", () => far.received === desk.world.much);
      await desk.world.pass(20);
      expect(near.drains).toBe(short);
    });

    sentence("no onDrain follows a write that was taken whole", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      near.socket.pause();
      near.socket.resume();
      expect(near.socket.write(new Uint8Array(10), 0, 10)).toBe(10);
      await desk.world.until("the bytes to arrive", () => far.received === 10);
      await desk.world.pass(20);
      expect(near.drains).toBe(0);
    });

    sentence("no onDrain comes after onClose, however short the write was", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      far.socket.pause();
      near.socket.write(new Uint8Array(desk.world.much), 0, desk.world.much);
      desk.inside("abort", () => near.socket.abort());
      far.socket.resume();
      await desk.world.until("both to close", () => near.closed && far.closed);
      await desk.world.pass(20);
      expect(near.drains).toBe(0);
    });

    sentence("after close it takes 0 and does nothing", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      near.socket.abort();
      await desk.world.until("both to close", () => near.closed && far.closed);
      for (const socket of [near.socket, far.socket]) {
        expect(desk.inside("write", () => socket.write(new Uint8Array(9), 0, 9))).toBe(0);
        desk.inside("pause", () => socket.pause());
        desk.inside("resume", () => socket.resume());
        desk.inside("finish", () => socket.finish(10));
        desk.inside("abort", () => socket.abort());
      }
      await desk.world.pass(30);
      expect(near.closes + far.closes).toBe(2);
    });

    sentence("no onData while paused; bytes wait in the kernel; idempotent", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      near.socket.write(new Uint8Array(10), 0, 10);
      await desk.world.until("ten bytes", () => far.received === 10);
      desk.inside("pause", () => far.socket.pause());
      desk.inside("pause", () => far.socket.pause());
      // What waits in the kernel fills it up: the writer must be told so.
      let taken = 0;
      const bytes = new Uint8Array(desk.world.much);
      near.onDrained = () => void (taken += near.socket.write(bytes, 0, desk.world.much));
      near.onDrained();
      await desk.world.pass(50);
      expect(far.received).toBe(10);
      expect(taken).toBeLessThan(desk.world.much);
    });

    sentence("resume delivers what waited; idempotent", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      far.socket.pause();
      const bytes = new Uint8Array(3000);
      fillPattern(bytes, 0, 0, 3000);
      expect(near.socket.write(bytes, 0, 3000)).toBe(3000);
      near.socket.finish(1000);
      await desk.world.pass(30);
      expect(far.received).toBe(0);
      desk.inside("resume", () => far.socket.resume());
      desk.inside("resume", () => far.socket.resume());
      await desk.world.until("the bytes and the end", () => far.ends === 1);
      expect(isPattern(far.bytes(), 0)).toBe(true);
      expect(far.received).toBe(3000);
    });

    sentence("a pause from inside onData holds what has not been delivered, also when the peer is gone", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      far.onBytes = () => far.socket.pause();
      near.socket.write(new Uint8Array(desk.world.much), 0, desk.world.much);
      await desk.world.until("the first bytes", () => far.received > 0);
      const first = far.received;
      await desk.world.pass(20);
      expect(far.received).toBe(first);
      near.socket.abort();
      await desk.world.pass(20);
      expect(far.received).toBe(first);
    });

    sentence("a pause after every onData loses nothing", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      const total = desk.world.much;
      far.onBytes = () => {
        desk.inside("pause", () => far.socket.pause());
        desk.world.platform.afterTurn(() => desk.inside("resume", () => far.socket.resume()));
      };
      const bytes = new Uint8Array(total);
      fillPattern(bytes, 0, 0, total);
      let sent = 0;
      near.onDrained = () => {
        sent += near.socket.write(bytes, sent, total);
        if (sent === total) near.socket.finish(5000);
      };
      near.onDrained();
      await desk.world.until("the end", () => far.ends === 1);
      expect(far.received).toBe(total);
      expect(isPattern(far.bytes(), 0)).toBe(true);
    });

    sentence("a pause from inside another socket's onData holds at once, and loses nothing", async (desk) => {
      // Both sockets are ready in one turn: whichever is served first pauses the other.
      const pairs = [await desk.pair(LOOPBACK), await desk.pair(LOOPBACK)];
      const [one, two] = [pairs[0]![1], pairs[1]![1]];
      one.onBytes = () => void (two.received === 0 && desk.inside("pause", () => two.socket.pause()));
      two.onBytes = () => void (one.received === 0 && desk.inside("pause", () => one.socket.pause()));
      for (const [near] of pairs) {
        const bytes = new Uint8Array(3000);
        fillPattern(bytes, 0, 0, 3000);
        near.socket.write(bytes, 0, 3000);
        near.socket.finish(1000);
      }
      await desk.world.until("the first", () => one.received + two.received > 0);
      const paused = one.received === 0 ? one : two;
      await desk.world.pass(30);
      expect(paused.received).toBe(0);
      paused.socket.resume();
      await desk.world.until("both ends", () => one.ends + two.ends === 2);
      for (const peer of [one, two]) expect([peer.received, isPattern(peer.bytes(), 0)]).toEqual([3000, true]);
    });

    sentence("finish sends FIN once every taken byte has left and never truncates", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      far.socket.pause();
      // More than the kernel holds at once, so that bytes are on their way when finish is called.
      const bytes = new Uint8Array(desk.world.much);
      fillPattern(bytes, 0, 0, desk.world.much);
      const taken = near.socket.write(bytes, 0, desk.world.much);
      desk.inside("finish", () => near.socket.finish(5000));
      expect(near.socket.write(bytes, 0, 10)).toBe(0);
      expect(near.closed).toBe(false);
      far.socket.resume();
      await desk.world.until("the peer to hear the end", () => far.ends === 1);
      expect(far.received).toBe(taken);
      expect(isPattern(far.bytes(), 0)).toBe(true);
      far.socket.finish(1000);
      await desk.world.until("both to close", () => near.closed && far.closed);
      expect(near.cause).toBe("ended");
      expect(far.cause).toBe("ended");
    });

    sentence("what still arrives after finish is discarded, and does not become a reset", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      const line = new Uint8Array(40);
      fillPattern(line, 0, 0, 40);
      // The peer's bytes lie unread when the last word is said: a close() here would make them a RST.
      far.socket.write(new Uint8Array(5000), 0, 5000);
      near.socket.pause();
      near.socket.write(line, 0, 40);
      near.socket.finish(5000);
      const before = near.received;
      far.socket.write(new Uint8Array(5000), 0, 5000);
      await desk.world.until("the last word and the end", () => far.ends === 1 && far.received === 40);
      far.socket.write(new Uint8Array(5000), 0, 5000);
      await desk.world.pass(20);
      expect(far.closed).toBe(false);
      far.socket.finish(1000);
      await desk.world.until("both to close", () => near.closed && far.closed);
      expect(near.received).toBe(before);
      expect(near.cause).toBe("ended");
      expect(far.cause).toBe("ended");
    });

    sentence("a peer that does not close in its turn within deadlineMs is ended with cause timeout", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      const begun = desk.clock.nowMs();
      near.socket.finish(60);
      await desk.world.until("our side to close", () => near.closed);
      expect(near.cause).toBe("timeout");
      expect(desk.clock.nowMs() - begun).toBeGreaterThanOrEqual(59);
      await desk.world.until("the peer to notice", () => far.ends === 1);
    });

    sentence("finish after the peer's FIN ends in order, without its deadline", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      far.socket.finish(60_000);
      await desk.world.until("the peer's end", () => near.ends === 1);
      near.socket.finish(60_000);
      await desk.world.until("both to close", () => near.closed && far.closed);
      expect(near.cause).toBe("ended");
      expect(far.cause).toBe("ended");
    });

    sentence("abort ends the connection now with a RST; idempotent", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      desk.inside("abort", () => near.socket.abort());
      desk.inside("abort", () => near.socket.abort());
      await desk.world.until("both to close", () => near.closed && far.closed);
      expect(near.cause).toBe("aborted");
      expect(far.cause).toBe("reset");
      expect(near.closes).toBe(1);
    });

    sentence("abort while finishing is a RST too", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      far.socket.pause();
      near.socket.write(new Uint8Array(desk.world.much), 0, desk.world.much);
      near.socket.finish(60_000);
      near.socket.abort();
      far.socket.resume();
      await desk.world.until("both to close", () => near.closed && far.closed);
      expect(near.cause).toBe("aborted");
      expect(far.cause).toBe("reset");
    });

    sentence("abort from inside onOpen, onData, onEnd and onDrain is safe", async (desk) => {
      for (const when of ["open", "data", "end", "drain"] as const) {
        const [near, far] = await desk.pair(LOOPBACK, (one) => void (one.onOpened = when === "open" ? (socket) => socket.abort() : null));
        if (when === "data") near.onBytes = () => near.socket.abort();
        if (when === "end") near.onEnded = () => near.socket.abort();
        if (when === "drain") near.onDrained = () => near.socket.abort();
        if (when === "data") far.socket.write(new Uint8Array(5), 0, 5);
        if (when === "end") far.socket.finish(1000);
        if (when === "drain") near.socket.write(new Uint8Array(desk.world.much), 0, desk.world.much);
        await desk.world.until(`both to close after ${when}`, () => near.closed && far.closed);
        expect(near.cause).toBe("aborted");
      }
    });

    sentence("remote and local are the two ends as each side sees them", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      expect(near.socket.local).toBe(far.socket.remote);
      expect(near.socket.remote).toBe(far.socket.local);
      expect(near.socket.remote).toMatch(/^127\.0\.0\.1:\d+$/);
      near.socket.abort();
      await desk.world.until("close", () => near.closed);
      expect(near.socket.local).toMatch(/^127\.0\.0\.1:\d+$/);
    });

    sentence("remote is told after the end too, though nobody asked before", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      const { local } = near.socket;
      near.socket.abort();
      await desk.world.until("close", () => far.closed);
      expect(far.socket.remote).toBe(local);
    });
  });
}
