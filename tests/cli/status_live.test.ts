// tandem status: from reports of the admin interface to what is printed, and how they are fetched.
import { describe, expect, test } from "bun:test";
import { fetchPath } from "../../src/cli/fetch.ts";
import { allTrusted, coloured, liveLines } from "../../src/cli/status_live.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { FakePlatform, type FakeSocket, type Peer } from "../support/fake_platform.ts";
import { store, Table, value } from "../replication/table.ts";

describe("liveLines", () => {
  const t = new Table();
  t.pass(1000);
  t.client.sends("get a\r\n");
  t.pass(3);
  t.P.answers("get a\r\n", value("a", "1"));
  const first = t.proxy.report();
  const calm = liveLines("10.0.0.9:12080", first, null);

  test("totals at the first look", () => {
    expect(calm[0]).toBe("tandem source at 10.0.0.9:12080, ready, for 1 s, 1 worker, 0 MiB, table");
    expect(calm[2]).toMatch(/^pool pool at 0\.0\.0\.0:11211: 1 client of 10, ring libketama, fingerprint [0-9a-f]{16}$/);
    expect(calm[4]).toBe("         server  state  for  reason   version  requests  p50 ms  p99 ms  failed  in flight  missed writes");
    expect(calm[5]).toBe("primary  p0:1    up     1 s  answers  1.6.18          1    3.07    3.07       0          0              0");
    expect(calm[6]).toBe("backup   b0:1    up     1 s  answers  1.6.18          0       -       -       0          0              0");
    expect(calm).toContain("get             1    3.07    3.07      3.07");
    expect(calm).toContain("hits      primaries 100.0 % of 1, backups 0.0 % of 0 since the start");
    expect(allTrusted(first)).toBe(true);
  });

  test("a change of rings", () => {
    const [pool] = first.pools;
    const lines = liveLines("a:1", { ...first, pools: [{ ...pool!, transition: "primaries filling" }] }, null);
    expect(lines[6]).toMatch(/^backup /);
    expect(lines.slice(7, 10)).toEqual(["", "rings change: primaries filling", ""]);
    const waits = liveLines("a:1", { ...first, pools: [{ ...pool!, transition: "primaries filling, waiting for a:1, which is down", transitionSeconds: 600 }] }, null);
    expect(waits[8]).toBe("rings change: primaries filling, waiting for a:1, which is down (at most 10 min 00 s, or until tandem transition end)");
  });

  test("other proxies, and whom they do not trust", () => {
    const [pool] = first.pools;
    const other = (id: string, complaints: string) => ({ id, state: "alive" as const, ageMs: 1, wroteAgoMs: null, complaints });
    const proxies = { ...pool!.proxies, others: [other("01", "none"), other("02", "p0:1 missed")] };
    expect(liveLines("a:1", { ...first, pools: [{ ...pool!, proxies }] }, null).filter((line) => line.startsWith("proxy"))).toEqual([
      "proxy     01 alive, trusts all", "proxy     02 alive, does not trust p0:1 missed",
    ]);
  });

  test("rates at the next one, the states in colour, what changed lately", () => {
    t.P.dies();
    for (const key of ["a", "b", "c", "d"]) {
      t.client.sends(store("set", key, "1"));
      t.B.answers(store("set", key, "1"), "STORED\r\n");
    }
    t.client.sends("bogus\r\nget __tandem:a\r\n");
    t.pass(2000);
    const second = { ...t.proxy.report(), time: first.time + 2 };
    const lines = liveLines("a:1", second, first);
    expect(lines[4]).toContain("a second");
    expect(lines[5]!).toMatch(/^primary  p0:1    down   2 s  \w+ +1\.6\.18 +0 +- +- +0 +0 +4$/);
    expect(lines[6]!).toMatch(/^backup   b0:1    up +3 s  answers +1\.6\.18 +2 +0\.02 +0\.02 +0 +0 +0$/);
    expect(lines).toContain("hits      primaries 0.0 % of 0, backups 0.0 % of 0 in the last 2 s");
    expect(lines).toContain("answers   ERROR unknown_command 1, CLIENT_ERROR reserved_key 1 in the last 2 s");
    expect(lines.at(-1)!).toMatch(/^\d\d:\d\d:\d\dZ {2}server is down server=p0:1 role=primary from=suspect to=down reason=/);
    expect(coloured(lines)[5]!).toContain(" \x1b[31mdown\x1b[0m ");
    expect(coloured(lines)[6]!).toContain(" \x1b[32mup\x1b[0m ");
    expect(coloured(lines)[0]).toBe(lines[0]!);
    expect(allTrusted(second)).toBe(false);
  });

  test("a drained server is told as such, and when no read is under way there", () => {
    const u = new Table();
    u.pass(1000);
    u.client.sends("get a\r\n");
    u.proxy.drainNow("p0:1", true, false);
    const row = (): string => liveLines("a:1", u.proxy.report(), null)[5]!;
    expect(row()).toMatch(/^primary  p0:1    up, drained  1 s /);
    u.P.answers("get a\r\n", value("a", "1"));
    u.pass(100);
    expect(row()).toMatch(/^primary  p0:1    up, drained, quiet  1 s /);
  });

  test("a proxy that was started anew in between tells totals", () => {
    expect(liveLines("a:1", first, { ...first, uptimeSeconds: 9000, time: first.time - 1 })).toEqual(liveLines("a:1", first, null));
  });
});

describe("fetchPath", () => {
  const ask = (answer: (socket: FakeSocket) => void, token = "") => {
    const platform = new FakePlatform();
    const asked: string[] = [];
    const peer: Peer = {
      welcome: "accept", accepted: () => {},
      wrote: (socket) => {
        asked.push(socket.take());
        platform.soon(() => answer(socket));
      },
    };
    platform.peers.set("a:1", peer);
    const found: unknown[] = [];
    fetchPath(platform as unknown as Platform, { kind: "tcp", host: "a", port: 1 }, "/status", token, 3000, (fetched) => found.push(fetched));
    platform.pass(5000);
    return { asked, found };
  };

  test("an answer in pieces; the token goes along", () => {
    const { asked, found } = ask((socket) => {
      for (const piece of ["HT", "TP/1.1 200 OK\r\nContent-Length: 4\r\n", "\r\nab", "cd"]) socket.send(piece);
      socket.end();
    }, "s3cret");
    expect(asked).toEqual(["GET /status HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n\r\n"]);
    expect(found).toEqual([{ ok: true, status: 200, body: "abcd" }]);
  });

  test("somebody who speaks otherwise, cuts the answer off, or says nothing", () => {
    expect(ask((socket) => socket.send("ERROR\r\n")).found).toEqual([{ ok: false, foreign: true, reason: "does not speak HTTP" }]);
    const cut = ask((socket) => {
      socket.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd");
      socket.end();
    });
    expect(cut.found).toEqual([{ ok: false, foreign: true, reason: "closed the connection" }]);
    expect(ask(() => {}).found).toEqual([{ ok: false, foreign: false, reason: "does not answer within 3000 ms" }]);
  });
});
