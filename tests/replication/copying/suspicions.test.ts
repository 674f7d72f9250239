// What proxies have posted, as a command reads it: the latest copy of each, buried ones and strangers left out.
import { expect, test } from "bun:test";
import { noticeText } from "../../../src/replication/proxies/notice.ts";
import { proxyOf, type Suspicion, Suspicions } from "../../../src/replication/copying/suspicions.ts";
import { Table } from "../table.ts";

const item = (text: string): string => `VA ${text.length}\r\n${text}\r\n`;
const notice = (seq: number, complaints: [string, "down" | "stale" | "cold"][], buried = false): string =>
  item(noticeText({ seq, wallMs: 1, monoMs: 1, wroteAgoMs: -1, buried, complaints: complaints.map(([name, why]) => ({ name, why, chunks: 0 })) }));

function read(proxies: string[], answers: readonly (readonly [primary: string, backup: string])[]): string[] {
  const t = new Table();
  const found: (readonly Suspicion[])[] = [];
  new Suspicions(t.proxy.pool.servers, (all) => void found.push(all)).read(new Set(proxies));
  t.platform.settle();
  const question = proxies.map((id) => `mg __tandem:b:${id} v\r\n`).join("");
  t.P.answers(question, answers.map(([primary]) => primary).join(""));
  t.B.answers(question, answers.map(([, backup]) => backup).join(""));
  expect(found.length).toBe(1);
  return found[0]!.map(({ proxy, server, why }) => `${proxy} ${server.label} ${why}`).sort();
}

test("ids among keys", () => {
  expect(["a", "__tandem:roster", "__tandem:b:00000001", "__tandem:bb", "x__tandem:b:2"].map(proxyOf)).toEqual([null, null, "00000001", null, null]);
});

test("nobody posted, or nothing of these servers", () => {
  expect(read(["1"], [["EN\r\n", "EN\r\n"]])).toEqual([]);
  expect(read(["1"], [[notice(1, []), notice(1, [["elsewhere:1", "down"]])]])).toEqual([]);
  expect(read(["1"], [[item("tandem 1 torn"), "SERVER_ERROR no\r\n"]])).toEqual([]);
  const t = new Table();
  let asked = 0;
  new Suspicions(t.proxy.pool.servers, () => void asked++).read(new Set());
  expect(asked).toBe(1);
});

test("each proxy's latest word, unless it was buried", () => {
  expect(read(["1"], [[notice(3, []), notice(2, [["p0:1", "down"]])]])).toEqual([]);
  expect(read(["1"], [[notice(3, []), notice(4, [["p0:1", "stale"]])]])).toEqual(["1 p0:1 stale"]);
  expect(read(["1"], [[notice(3, [["p0:1", "stale"]]), notice(4, [], true)]])).toEqual([]);
  expect(read(["1", "2"], [["EN\r\n", notice(1, [["p0:1", "cold"]])], [notice(1, [["b0:1", "down"], ["p0:1", "down"]]), "EN\r\n"]]))
    .toEqual(["1 p0:1 cold", "2 b0:1 down", "2 p0:1 down"]);
});
