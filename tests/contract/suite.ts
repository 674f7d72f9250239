// The contract of src/platform/platform.ts: one test a "¶" sentence, run against every platform. A platform joins by
// calling contract(name, makeWorld); tests never sleep or touch a runtime: they record what the handlers hear and say
// `await world.until("what we wait for", () => condition)`.
//
// How a virtual-time platform joins (tests/sim): makeWorld() returns a World whose
//   platform   is ONE simulated process that may listen and connect to itself on 127.0.0.1, without harmful faults
//              (no resets, hangs or refusals of its own; fragmenting and delays are welcome; as with every kernel a
//              few bytes into an empty socket are taken whole);
//   until      steps the world (delivering events, moving the clock to the next timer) until check() is true, and
//              rejects with `what` in the message when the world is idle or a step limit is reached;
//   pass       moves time on by ms, delivering all that comes due, and returns: the tests use it to show that
//              something does NOT come;
//   together   says whether bytes written to several sockets in one turn become ready in one turn at the other side
//              (a kernel's loopback does; a network with delays does not);
//   much       is a count of bytes that surely does not fit between two sockets when nobody reads;
//   changed    may do nothing (a real world wakes its `until` there);
//   blackhole  is an address where a connect is neither accepted nor refused; null where there is none;
//   unixPath   is a fresh path for a unix socket; null where the platform has no unix sockets;
//   staleUnix  is a path with a socket file that nobody answers; null likewise;
//   done       ends the world; it may check that nothing is left.
// Where null is returned the test prints why it did not run.

import { test, expect, describe } from "bun:test";
import type { Address, CloseCause, Platform } from "../../src/platform/platform.ts";
import { Desk, fillPattern, isPattern } from "./desk.ts";

export interface World {
  readonly platform: Platform;
  readonly together: boolean;
  readonly much: number;
  until(what: string, check: () => boolean): Promise<void>;
  pass(ms: number): Promise<void>;
  changed(): void;
  blackhole(): Promise<Address | null>;
  unixPath(): string | null;
  staleUnix(): Promise<string | null>;
  done(): Promise<void>;
}

const LOOPBACK: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };

/** Registers the suite under name; makeWorld is called anew for each test. */
export function contract(name: string, makeWorld: () => Promise<World>): void {
  const sentence = (text: string, body: (desk: Desk) => Promise<void>): void =>
    void test(text, async () => {
      const world = await makeWorld();
      const desk = new Desk(world);
      try {
        await body(desk);
        expect(desk.violations).toEqual([]);
        desk.endAll();
        await world.until("every socket to be closed", () => desk.allClosed());
        expect(desk.violations).toEqual([]);
      } finally {
        await world.done();
      }
    });

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
  });

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

  describe(`${name}: Listener and Net`, () => {
    sentence("close stops accepting and keeps accepted connections; idempotent", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      const one = desk.connect(listener.address);
      await desk.world.until("an accepted connection", () => desk.accepted.length === 1 && one.opened);
      listener.close();
      listener.close();
      const two = desk.connect(listener.address);
      await desk.world.until("that nobody accepts", () => two.closed);
      const three = desk.connect(listener.address);
      await desk.world.until("the refusal", () => three.closed);
      expect(three.cause).toBe("refused");
      expect(desk.accepted.length).toBe(1);
      desk.accepted[0]!.socket.write(new Uint8Array(5), 0, 5);
      await desk.world.until("bytes on the kept connection", () => one.received === 5);
      const again = await desk.listen(listener.address);
      expect(again.address).toEqual(listener.address);
    });

    sentence("an address is free again as soon as its listener was closed", async (desk) => {
      const first = await desk.listen(LOOPBACK);
      first.close();
      const second = await desk.listen(first.address);
      expect(second.address).toEqual(first.address);
      const peer = desk.connect(second.address);
      await desk.world.until("a connection", () => peer.opened && desk.accepted.length === 1);
    });

    sentence("port 0 is replaced by the real one", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      expect(listener.address.kind === "tcp" && listener.address.port > 0).toBe(true);
      const near = desk.connect(listener.address);
      await desk.world.until("a connection there", () => near.opened && desk.accepted.length === 1);
      expect(near.socket.remote).toMatch(new RegExp(`:${listener.address.kind === "tcp" ? listener.address.port : ""}$`));
    });

    sentence("listen never throws and never rejects: the outcome is onListening, or onClose once with a cause", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      const taken = await desk.listenFails(listener.address);
      expect(taken).toBe("in_use");
      expect(await desk.listenFails({ kind: "tcp", host: "192.0.2.77", port: 0 })).toBe("failed");
      const path = desk.world.unixPath();
      if (path === null) return console.log(`${name} has no unix sockets: a listen in a missing directory did not run`);
      expect(await desk.listenFails({ kind: "unix", path: `${path}.missing/socket` })).toBe("not_found");
    });

    sentence("a unix socket serves like any other, with its permission bits", async (desk) => {
      const path = desk.world.unixPath();
      if (path === null) return console.log(`${name} has no unix sockets: did not run`);
      const [near, far] = await desk.pair({ kind: "unix", path });
      expect([near.socket.remote, far.socket.remote]).toEqual(["unix", "unix"]);
      near.socket.write(new Uint8Array(100), 0, 100);
      near.socket.finish(1000);
      await desk.world.until("bytes and end", () => far.ends === 1);
      expect(far.received).toBe(100);
    });

    sentence("a stale unix socket file (nobody answers) is replaced; a live one is in_use", async (desk) => {
      const path = await desk.world.staleUnix();
      if (path === null) return console.log(`${name} cannot make a stale unix socket: did not run`);
      const dead = desk.connect({ kind: "unix", path });
      await desk.world.until("the refusal", () => dead.closed);
      expect(dead.cause).toBe("refused");
      const [near] = await desk.pair({ kind: "unix", path });
      expect(await desk.listenFails({ kind: "unix", path })).toBe("in_use");
      expect(near.closed).toBe(false);
    });

    sentence("connect never throws and never rejects: the outcome is onOpen, or onClose with a cause", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      const good = desk.connect(listener.address);
      await desk.world.until("the connection", () => good.opened);
      listener.close();
      await desk.world.pass(10);
      const cases: [Address, CloseCause][] = [
        [listener.address, "refused"],
        [{ kind: "tcp", host: "no-such-host.invalid", port: 11211 }, "not_found"],
      ];
      const path = desk.world.unixPath();
      if (path !== null) cases.push([{ kind: "unix", path: `${path}.none` }, "not_found"]);
      for (const [address, cause] of cases) {
        const peer = desk.connect(address, 10_000);
        await desk.world.until(`the outcome ${cause}`, () => peer.closed);
        expect(peer.cause).toBe(cause);
        expect(peer.events).toEqual(["close"]);
      }
    });

    sentence("a connect that is not answered ends with timeout within deadlineMs", async (desk) => {
      const address = await desk.world.blackhole();
      if (address === null) return console.log(`${name} has no address that never answers: did not run`);
      const begun = desk.clock.nowMs();
      const peer = desk.connect(address, 100);
      await desk.world.until("the deadline", () => peer.closed);
      const tookMs = desk.clock.nowMs() - begun;
      expect(peer.cause).toBe("timeout");
      expect(peer.events).toEqual(["close"]);
      expect(tookMs).toBeGreaterThanOrEqual(99);
      expect(tookMs).toBeLessThan(1000);
    });

    sentence("an attempt given up early ends with aborted, once; after an outcome it does nothing", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      const given = desk.connect(listener.address);
      desk.inside("abort", () => given.attempt.abort());
      given.attempt.abort();
      const kept = desk.connect(listener.address);
      await desk.world.until("both outcomes", () => given.closed && kept.opened);
      kept.attempt.abort();
      await desk.world.pass(30);
      expect(given.events).toEqual(["close"]);
      expect(given.cause).toBe("aborted");
      expect(kept.events).toEqual(["open"]);
    });

    sentence("an attempt may be given up at any moment: it either opened or ends with aborted", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      for (let turns = 0; turns < 6; turns++) {
        const peer = desk.connect(listener.address);
        for (let passed = 0; passed < turns; passed++) {
          let over = false;
          desk.world.platform.afterTurn(() => {
            over = true;
            desk.world.changed();
          });
          await desk.world.until("a turn", () => over);
        }
        const opened = peer.opened;
        desk.inside("abort", () => peer.attempt.abort());
        if (!opened) await desk.world.until("the end", () => peer.closed);
        await desk.world.pass(10);
        expect(peer.events).toEqual(opened ? ["open"] : ["close"]);
        expect(peer.cause).toBe(opened ? null : "aborted");
      }
    });
  });

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
  });
}
