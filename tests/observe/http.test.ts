// The HTTP responder byte by byte: what it understands, what it refuses, keeping connections, streams, slow readers.
import { describe, expect, test } from "bun:test";
import { type Answer, type HttpRequest, HttpServer, utf8 } from "../../src/observe/http.ts";
import { FakePlatform, textOf } from "../support/fake_platform.ts";
import { Wire } from "./http_bench.ts";

function table(answer: (request: HttpRequest, answer: Answer) => void = (request, to) => to.end(200, "text/plain", `${request.method} ${request.path}\n`)) {
  const platform = new FakePlatform();
  const seen: HttpRequest[] = [];
  const server = new HttpServer(platform.clock, (request, to) => {
    seen.push(request);
    answer(request, to);
  });
  return { platform, server, seen, wire: () => new Wire(server.accept()) };
}
const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

describe("a request", () => {
  test("is understood however it is cut", () => {
    const text = "POST /drain?server=10.0.0.1%3A11211&why=a+b HTTP/1.1\r\nhost: h:1\r\nX-Two:  w w \r\nContent-Length: 3\r\n\r\nabc";
    for (let cut = 0; cut <= text.length; cut++) {
      const { wire, seen } = table();
      const one = wire();
      if (cut > 0) one.sends(text.slice(0, cut));
      if (cut < text.length) one.sends(text.slice(cut));
      expect(one.answer()).toEqual([200, "POST /drain\n"]);
      const [request] = seen;
      expect([request!.body, request!.headers.get("x-two"), [...request!.query]]).toEqual(["abc", "w w", [["server", "10.0.0.1:11211"], ["why", "a b"]]]);
    }
  });

  test("one after the other on one connection, also when all come at once", () => {
    const { wire } = table();
    const one = wire().sends(GET + GET.replace("/a", "/b"));
    expect(one.take().match(/GET \/\w\n/g)).toEqual(["GET /a\n", "GET /b\n"]);
    expect(one.ended).toBe("");
    one.sends("GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect([one.take().includes("Connection: close"), one.ended]).toEqual([true, "finished"]);
    const old = wire().sends("GET /d HTTP/1.0\r\n\r\n");
    expect([old.answer(), old.ended]).toEqual([[200, "GET /d\n"], "finished"]);
  });

  test("HEAD is answered without a body but with its length", () => {
    const text = table().wire().sends(GET.replace("GET", "HEAD")).take();
    expect([text.includes("Content-Length: 8\r\n"), text.slice(-4)]).toEqual([true, "\r\n\r\n"]);
  });

  test("what is not sure is refused, and the connection ends", () => {
    const refused: [string, number][] = [
      ["stats\r\n\r\n", 400], ["GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400], ["GET /a HTTP/2\r\nHost: x\r\n\r\n", 400],
      ["GET /a HTTP/1.1\r\n\r\n", 400], ["BREW /a HTTP/1.1\r\nHost: x\r\n\r\n", 405], ["GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400],
      ["GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400], ["GET /a HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400],
      ["GET /a HTTP/1.1\r\nHost : x\r\n\r\n", 400], ["POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n", 400],
      ["POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", 413], ["POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 501],
      [`GET /${"a".repeat(9000)}`, 431],
      // At its first line already: who speaks memcached's words waits for an answer to it.
      ["stats\r\n", 400], ["stats\n", 400], ["GET /a\r\nHost: x\r\n", 400],
    ];
    for (const [text, status] of refused) {
      const { wire, seen } = table();
      const one = wire().sends(/\n\r?\n$/.test(text) ? text + GET : text);
      expect([text.slice(0, 40), one.answer()[0], one.ended, seen.length]).toEqual([text.slice(0, 40), status, "finished", 0]);
    }
  });

  test("who sends nothing whole is shown out; who comes when all places are taken is cut off", () => {
    const { wire, platform, server } = table();
    const slow = wire().sends("GET /a HT");
    platform.pass(29_000);
    expect(slow.ended).toBe("");
    platform.pass(2000);
    expect(slow.ended).toBe("finished");
    slow.leaves();
    const all = Array.from({ length: 64 }, wire);
    const many = wire();
    expect(many.ended).toBe("aborted");
    many.leaves();
    all[0]!.leaves();
    expect(wire().sends(GET).answer()[0]).toBe(200);
    server.close();
    expect(all.slice(1).map(({ ended }) => ended)).toEqual(all.slice(1).map(() => "aborted"));
  });
});

describe("an answer", () => {
  test("that the kernel takes in parts arrives whole and in order", () => {
    const body = "é€😀".repeat(2000);
    const one = table((_, to) => to.end(200, "text/plain", body)).wire();
    one.room = 10;
    one.sends("GET /a HTTP/1.0\r\n\r\n");
    expect(one.ended).toBe("");
    for (let i = 0; one.ended === "" && i < 100; i++) one.drains(997);
    const [, got] = one.take().split("\r\n\r\n");
    expect([got === textOf(utf8(body)), one.ended]).toEqual([true, "finished"]);
  });

  test("a stream goes on until its reader leaves, of which it hears once", () => {
    let stream = { send: (_: string): void => {} };
    let gone = 0;
    const { wire, platform } = table((_, to) => void (stream = to.stream("text/event-stream", () => gone++)));
    const one = wire().sends(GET);
    platform.pass(60_000); // no deadline ends it
    stream.send("data: 1\n\n");
    stream.send("data: 2\n\n");
    expect(one.take().split("\r\n\r\n")[1]).toBe("data: 1\n\ndata: 2\n\n");
    one.leaves();
    stream.send("data: 3\n\n");
    expect([one.take(), gone]).toEqual(["", 1]);
  });

  test("a reader that takes nothing is cut off before it fills the memory", () => {
    let stream = { send: (_: string): void => {} };
    const one = table((_, to) => void (stream = to.stream("text/event-stream", () => {}))).wire().sends(GET);
    one.room = 0;
    for (let i = 0; i < 10; i++) stream.send("x".repeat(1_000_000));
    expect(one.ended).toBe("aborted");
  });
});

test("utf8 is what others make of the text", () => {
  const text = "aé€😀\u0000\u07ff\u0800\uffff";
  expect([...utf8(text)]).toEqual([...new TextEncoder().encode(text)]);
});
