// The contract, part Listener and Net: what listen, connect and close promise.
import { describe, expect } from "bun:test";
import type { Address, CloseCause } from "../../src/platform/platform.ts";
import { LOOPBACK } from "./desk.ts";
import type { Sentence } from "./suite.ts";

export function netSentences(name: string, sentence: Sentence): void {
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
      await desk.world.pass(5);
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
}
