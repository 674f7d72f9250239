// Listing the keys of one memcached: whole lines from any pieces, keys as they are written there, busy crawlers, silence.
import { describe, expect, test } from "bun:test";
import { Dump, intoTexts } from "../../../src/replication/copying/dump.ts";
import { FakePlatform, type FakeSocket } from "../../support/fake_platform.ts";

function dumping(byHash: boolean, room = Infinity) {
  const platform = new FakePlatform();
  const sockets: FakeSocket[] = [];
  platform.peers.set("a:1", { welcome: "accept", accepted: (socket) => void (socket.room = room, sockets.push(socket)), wrote: () => {} });
  const keys = new Set<string>(), ended: (string | null)[] = [];
  const world = { net: platform.net, clock: platform.clock, connectTimeoutMs: 300 };
  new Dump(world, { kind: "tcp", host: "a", port: 1 }, byHash, intoTexts(keys), (problem) => void ended.push(problem)).start();
  platform.settle();
  return {
    platform, keys, ended,
    asked: (): string => sockets[0]!.take(),
    takes: (more: number): void => {
      sockets[0]!.drain(more);
      platform.settle();
    },
    says: (...texts: string[]): void => {
      sockets[0]!.send(...texts);
      platform.settle();
    },
    closes: (): void => {
      sockets[0]!.end();
      platform.settle();
    },
    gone: (): boolean => sockets[0]!.aborted,
    paused: (): boolean => sockets[0]!.paused,
  };
}

const line = (key: string): string => `key=${key} exp=-1 la=1 cas=1 fetch=no cls=1 size=64\r\n`;

describe("what is listed", () => {
  test("by hash: one pass, in any pieces, escaped bytes as they are", () => {
    for (const size of [1, 7, 1000]) {
      const d = dumping(true);
      expect(d.asked()).toBe("lru_crawler metadump hash\r\n");
      const text = `OK\r\n${line("a")}${line("%C3%BC%25")}${line("k".repeat(250))}END\r\n`;
      d.says(...text.match(new RegExp(`[^]{1,${size}}`, "g"))!);
      d.platform.pass(20);
      expect([[...d.keys], d.ended, d.gone()]).toEqual([["a", "\xc3\xbc%", "k".repeat(250)], [null], true]);
    }
  });
  test("older ones: passes until one adds nothing, more than a second apart", () => {
    const d = dumping(false);
    for (const keys of ["a", "a b", "b a"]) {
      expect([d.asked(), d.ended]).toEqual(["lru_crawler metadump all\r\n", []]);
      d.says(keys.split(" ").map(line).join(""), "END\r\n");
      // What it left out because a move in the LRU was pending it would leave out again at once.
      d.platform.pass(1100);
      expect(d.asked()).toBe("");
      d.platform.pass(150);
    }
    expect([[...d.keys], d.ended, d.asked()]).toEqual([["a", "b"], [null], ""]);
  });
});

describe("what goes wrong", () => {
  test("a command that the kernel takes in pieces is sent whole", () => {
    const d = dumping(true, 4);
    expect(d.asked()).toBe("lru_");
    d.takes(9);
    expect(d.asked()).toBe("crawler m");
    d.takes(100);
    expect(d.asked()).toBe("etadump hash\r\n");
    d.says(line("a"), "END\r\n");
    d.platform.pass(20);
    expect([[...d.keys], d.ended]).toEqual([["a"], [null]]);
  });
  test("a busy crawler is asked again, not for ever", () => {
    const d = dumping(true);
    for (let tries = 0; tries < 50 && d.ended.length === 0; tries++) {
      expect(d.asked()).toBe("lru_crawler metadump hash\r\n");
      d.says("BUSY currently processing crawler request\r\n");
      d.platform.pass(300);
    }
    expect(d.ended).toEqual(["the server's crawler stays busy"]);
  });
  test("a refusal is told in the server's words", () => {
    const d = dumping(true);
    d.says("ERROR lru crawler disabled\r\n");
    d.platform.pass(20);
    expect(d.ended).toEqual(["ERROR lru crawler disabled"]);
  });
  test("silence ends it; what came while we were away ourselves is read first", () => {
    const d = dumping(true);
    d.platform.pass(1000);
    // The timer is due, and the bytes have been there for long: only our process was not.
    d.says(line("a"));
    d.platform.pass(1000);
    d.says(line("b"));
    expect(d.ended).toEqual([]);
    d.platform.pass(1200);
    expect([[...d.keys], d.ended, d.gone()]).toEqual([["a", "b"], ["stalled"], true]);
  });
  test("lines that come faster than they are read are no silence", () => {
    const d = dumping(true);
    const some = Array.from({ length: 1000 }, (_, n) => `key=${n} \n`).join("");
    for (let i = 0; i < 1300; i++) d.says(some);
    d.says("END\r\n");
    d.platform.pass(1200); // longer than a silent server is given
    expect(d.ended).toEqual([]);
    d.platform.pass(500);
    expect([d.keys.size, d.ended]).toEqual([1000, [null]]);
  });
  test("what comes faster than it is read waits in the kernel, and is read", () => {
    const d = dumping(true);
    const some = line("k".repeat(200)).repeat(1000);
    d.says(some);
    expect(d.paused()).toBe(false);
    d.says(some, some, some, some);
    expect(d.paused()).toBe(true);
    d.platform.pass(20);
    expect([d.paused(), d.ended]).toEqual([false, []]);
    d.says(line("last"), "END\r\n");
    d.platform.pass(20);
    expect([[...d.keys], d.ended]).toEqual([["k".repeat(200), "last"], [null]]);
  });
  test("a connection that ends just behind END", () => {
    const d = dumping(true);
    d.says(line("a"), "END\r\n");
    d.closes();
    expect([[...d.keys], d.ended]).toEqual([["a"], [null]]);
  });
  test("a connection that ends before END", () => {
    const d = dumping(true);
    d.says(line("a"));
    d.closes();
    expect(d.ended).toEqual(["closed"]);
  });
});
