// The contract, part SocketHandlers: what an owner hears, when and how often.
import { describe, expect } from "bun:test";
import { fillPattern, isPattern, LOOPBACK } from "./desk.ts";
import type { Received } from "../../src/platform/platform.ts";
import type { Sentence } from "./suite.ts";

export function handlerSentences(name: string, sentence: Sentence): void {
  describe(`${name}: SocketHandlers`, () => {
    sentence("no handler is called from inside write, connect, listen, finish, abort, pause or resume", async (desk) => {
      // The desk notes every handler that runs while one of these is on the stack, in all tests; here all of them meet.
      const listener = await desk.listen(LOOPBACK);
      const one = desk.connect(listener.address);
      const two = desk.connect({ kind: "tcp", host: "127.0.0.1", port: 1 });
      const gone = desk.connect({ kind: "unix", path: "/nonexistent/socket" });
      desk.listenBadly({ kind: "tcp", host: "192.0.2.77", port: 1 });
      await desk.world.until("all to have an outcome", () => one.opened && two.closed && gone.closed && desk.accepted.length === 1);
      const far = desk.accepted[0]!;
      far.socket.write(new Uint8Array(desk.world.much), 0, desk.world.much);
      one.onBytes = () => {
        one.onBytes = null;
        desk.inside("pause", () => one.socket.pause());
        desk.inside("resume", () => one.socket.resume());
        desk.inside("write", () => one.socket.write(new Uint8Array(10), 0, 10));
        desk.inside("finish", () => one.socket.finish(1000));
        desk.inside("abort", () => one.socket.abort());
        desk.inside("write", () => one.socket.write(new Uint8Array(10), 0, 10));
      };
      await desk.world.until("both to close", () => one.closed && far.closed);
    });

    sentence("a write that fails does not call its handlers from inside, and onClose says reset", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      near.socket.abort();
      for (let i = 0; i < 5; i++) {
        const taken = desk.inside("write", () => far.socket.write(new Uint8Array(10), 0, 10));
        expect(taken === 0 || taken === 10).toBe(true);
      }
      await desk.world.until("the reset", () => far.closed);
      expect(far.cause).toBe("reset");
      expect(far.ends).toBe(0);
    });

    sentence("a reset that a write has met is still one when finish follows", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      near.socket.abort();
      for (let i = 0; i < 3; i++) far.socket.write(new Uint8Array(10), 0, 10);
      desk.inside("finish", () => far.socket.finish(1000));
      await desk.world.until("the reset", () => far.closed);
      expect(far.cause).toBe("reset");
    });

    sentence("onOpen comes once and before any other handler but onClose", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      desk.onAccepted = (peer) => void (peer.onOpened = (socket) => void socket.write(new Uint8Array(5), 0, 5));
      const peers = Array.from({ length: 20 }, () => desk.connect(listener.address));
      await desk.world.until("all to hear", () => peers.every((peer) => peer.received === 5));
      for (const peer of peers) expect(peer.events.slice(0, 2)).toEqual(["open", "data"]);
      for (const peer of desk.accepted) expect(peer.events).toEqual(["open"]);
    });

    sentence("the bytes belong to the handler: the platform never touches them again; never empty", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      // The handler scribbles over what it got; that must reach nobody, and nobody may scribble over the copy it keeps.
      const kept: { bytes: Uint8Array; mark: number }[] = [];
      far.onBytes = (bytes) => {
        kept.push({ bytes, mark: kept.length & 255 });
        bytes.fill(kept.length - 1);
      };
      const total = 600_000;
      let sent = 0;
      const send = (): void => {
        while (sent < total) {
          const size = Math.min(sent < 20_000 ? 100 : 60_000, total - sent);
          const bytes = new Uint8Array(size);
          fillPattern(bytes, 0, sent, size);
          const taken = near.socket.write(bytes, 0, size);
          sent += taken;
          if (taken < size) return;
        }
      };
      near.onDrained = send;
      for (let i = 0; i < 40; i++) {
        near.socket.write(new Uint8Array(64), 0, 64);
        await desk.world.until("each small piece", () => far.received === (i + 1) * 64);
      }
      send();
      await desk.world.until("everything", () => far.received === 40 * 64 + total);
      expect(isPattern(far.bytes().subarray(40 * 64), 0)).toBe(true);
      expect(kept.every(({ bytes, mark }) => bytes.length > 0 && bytes.every((byte) => byte === mark))).toBe(true);
    });

    sentence("bytes that were given back are read into again, but never under the eyes of who still holds them", async (desk) => {
      const [near, far] = await desk.pair(LOOPBACK);
      const total = 4_000_000;
      const bytes = new Uint8Array(total);
      fillPattern(bytes, 0, 0, total);
      let seen = 0, wrong = 0;
      const held: Uint8Array[] = [];
      far.onBytes = (received: Received) => {
        if (!isPattern(received, seen)) wrong++;
        seen += received.length;
        if (received.home === undefined) return;
        held.push(received);
        received.home.back(received);
      };
      let sent = 0;
      near.onDrained = () => void (sent += near.socket.write(bytes, sent, total));
      near.onDrained();
      await desk.world.until("everything", () => far.received === total);
      expect([wrong, held.filter(({ length }) => length > 0).length]).toEqual([0, 0]);
    });

    sentence("onEnd: the peer sent FIN; we may still write; at most once", async (desk) => {
      for (const first of ["the one that connected", "the one that accepted"]) {
        const pair = await desk.pair(LOOPBACK);
        const [near, far] = first === "the one that connected" ? pair : [pair[1], pair[0]];
        near.socket.write(new Uint8Array(100), 0, 100);
        near.socket.finish(5000);
        await desk.world.until("the end", () => far.ends === 1);
        expect(far.received).toBe(100);
        await desk.world.pass(20);
        const bytes = new Uint8Array(2000);
        expect(far.socket.write(bytes, 0, 2000)).toBe(2000);
        await desk.world.pass(20);
        expect(far.closed).toBe(false);
        expect(far.ends).toBe(1);
        far.socket.finish(1000);
        await desk.world.until("both to close", () => near.closed && far.closed);
        expect(far.cause).toBe("ended");
      }
    });

    sentence("onClose comes exactly once and last", async (desk) => {
      for (const how of ["finish", "abort", "both", "crossed"] as const) {
        const [near, far] = await desk.pair(LOOPBACK);
        near.socket.write(new Uint8Array(1000), 0, 1000);
        far.socket.write(new Uint8Array(1000), 0, 1000);
        if (how === "finish") near.socket.finish(1000);
        else near.socket.abort();
        if (how === "both") far.socket.abort();
        else if (how === "crossed") far.socket.finish(1000);
        if (how === "finish") far.onEnded = () => far.socket.finish(1000);
        await desk.world.until("both to close", () => near.closed && far.closed);
        await desk.world.pass(10);
        expect([near.closes, far.closes, near.events.at(-1), far.events.at(-1)]).toEqual([1, 1, "close", "close"]);
      }
    });
  });
}
