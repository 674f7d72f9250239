// tandem ping on a table: what each kind of trouble is called and which exit code it has.
import { expect, test } from "bun:test";
import { type Pinged, sendPing } from "../../src/cli/ping.ts";
import { type Cause, FakePlatform, type FakeSocket, type Peer } from "../support/fake_platform.ts";

const PLACE = { address: { kind: "tcp", host: "a", port: 1 }, label: "a:1" } as const;

function pinging(welcome: "accept" | "lost" | Cause = "accept") {
  const platform = new FakePlatform();
  const sockets: FakeSocket[] = [], heard: Pinged[] = [];
  const peer: Peer = { welcome, accepted: (socket) => void sockets.push(socket), wrote: () => {} };
  platform.peers.set("a:1", peer);
  sendPing(platform, PLACE, 100, (pinged) => void heard.push(pinged));
  platform.settle();
  const says = (...texts: string[]): void => {
    sockets[0]!.send(...texts);
    platform.settle();
  };
  return { platform, sockets, heard, says };
}

test("the version first, then a get a key; all answered: 0", () => {
  const t = pinging();
  expect(t.sockets[0]!.take()).toBe("version\r\n");
  t.platform.pass(2);
  t.says("VERS", "ION 1.6.18\r\n");
  const asked = t.sockets[0]!.take().split("\r\n");
  expect(asked.length).toBe(17);
  expect(new Set(asked).size).toBe(17);
  for (const line of asked.slice(0, 16)) expect(line).toMatch(/^get tandem-ping:[0-9a-f]+:\d+$/);
  t.says("END\r\n".repeat(15));
  expect(t.heard).toEqual([]);
  t.platform.pass(3);
  t.says("END\r\n");
  expect(t.heard).toEqual([{ code: 0, line: "a:1: answers in 2.0 ms, its servers for 16 keys in 3.0 ms, version 1.6.18" }]);
  expect(t.sockets[0]!.aborted).toBe(true);
  t.platform.pass(1000);
  expect(t.heard.length).toBe(1);
});

test("the proxy answers and servers do not: 1, with the proxy's own words", () => {
  const refused = pinging();
  refused.says("VERSION 1\r\n", "END\r\n".repeat(6), "SERVER_ERROR no server can answer (down)\r\n".repeat(10));
  expect(refused.heard).toEqual([{ code: 1, line: "a:1: the proxy answers, but 10 of 16 keys have no server: no server can answer (down)" }]);
  const silent = pinging();
  silent.says("VERSION 1\r\n", "END\r\nEND\r\n");
  silent.platform.pass(99);
  expect(silent.heard).toEqual([]);
  silent.platform.pass(2);
  expect(silent.heard).toEqual([{ code: 1, line: "a:1: the proxy answers, but 14 of 16 keys are not answered within 100 ms" }]);
});

test("the proxy does not answer: 3", () => {
  const verdict = (t: ReturnType<typeof pinging>): string => `${t.heard.length} ${t.heard[0]?.code} ${t.heard[0]?.line}`;
  expect(verdict(pinging("refused"))).toBe("1 3 a:1: nobody listens there");
  const silent = pinging();
  silent.platform.pass(101);
  expect(verdict(silent)).toBe("1 3 a:1: does not answer within 100 ms");
  const full = pinging();
  full.says("SERVER_ERROR too many clients\r\n");
  expect(verdict(full)).toBe("1 3 a:1: SERVER_ERROR too many clients");
  const stranger = pinging();
  stranger.says("HTTP/1.1 400 Bad Request\r\n");
  expect(verdict(stranger)).toBe("1 3 a:1: does not speak memcached's protocol");
  const leaver = pinging();
  leaver.says("VERSION 1\r\n");
  leaver.sockets[0]!.end();
  leaver.platform.settle();
  expect(verdict(leaver)).toBe("1 3 a:1: closed the connection");
});
