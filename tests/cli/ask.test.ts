// Asking a running server for its statistics: answers in any pieces, refusals, silence.
import { expect, test } from "bun:test";
import { type Asked, askStats } from "../../src/cli/ask.ts";
import { type Cause, FakePlatform, type FakeSocket, type Peer } from "../support/fake_platform.ts";

const ADDRESS = { kind: "tcp", host: "a", port: 1 } as const;

function asking(questions: string[], welcome: "accept" | "lost" | Cause = "accept") {
  const platform = new FakePlatform();
  const sockets: FakeSocket[] = [], heard: Asked[] = [];
  const peer: Peer = { welcome, accepted: (socket) => void sockets.push(socket), wrote: () => {} };
  platform.peers.set("a:1", peer);
  askStats(platform, ADDRESS, questions, 3000, (asked) => void heard.push(asked));
  platform.settle();
  const says = (...texts: string[]): void => {
    sockets[0]!.send(...texts);
    platform.settle();
  };
  return { platform, sockets, heard, says };
}

test("one question after the other; what is not known is null; then it hangs up", () => {
  for (const size of [1, 3, 1000]) {
    const t = asking(["stats", "stats x"]);
    expect(t.sockets[0]!.take()).toBe("stats\r\n");
    const text = "STAT a 1\r\nSTAT b two words\r\nSTAT c \r\nEND\r\n";
    t.says(...text.match(new RegExp(`[^]{1,${size}}`, "g"))!);
    expect(t.sockets[0]!.take()).toBe("stats x\r\n");
    t.says("ERROR\r\n");
    expect(t.heard).toEqual([{ ok: true, answers: [new Map([["a", "1"], ["b", "two words"], ["c", ""]]), null] }]);
    expect(t.sockets[0]!.aborted).toBe(true);
    t.platform.pass(5000);
    expect(t.heard.length).toBe(1);
  }
});

test("why there is no answer", () => {
  const reason = (t: ReturnType<typeof asking>): string => {
    expect(t.heard.length).toBe(1);
    const [asked] = t.heard;
    return asked!.ok ? "answered" : asked!.reason;
  };
  const refused = asking(["stats"], "refused");
  expect(reason(refused)).toBe("nobody listens there");
  const lost = asking(["stats"], "lost");
  lost.platform.pass(3100);
  expect(reason(lost)).toMatch(/in time|does not answer within 3000 ms/);
  const silent = asking(["stats"]);
  silent.says("STAT a 1\r\n");
  silent.platform.pass(2900);
  expect(silent.heard).toEqual([]);
  silent.platform.pass(200);
  expect(reason(silent)).toBe("does not answer within 3000 ms");
  const stranger = asking(["stats"]);
  stranger.says("HTTP/1.1 400 Bad Request\r\n");
  expect(reason(stranger)).toBe("does not speak memcached's protocol");
  const noise = asking(["stats"]);
  noise.says("x".repeat(70_000));
  expect(reason(noise)).toBe("does not speak memcached's protocol");
  const full = asking(["stats"]);
  full.says("SERVER_ERROR out of memory\r\n");
  expect(reason(full)).toBe("answers: SERVER_ERROR out of memory");
  const leaver = asking(["stats"]);
  leaver.sockets[0]!.end();
  leaver.platform.settle();
  expect(reason(leaver)).toBe("closed the connection");
});
