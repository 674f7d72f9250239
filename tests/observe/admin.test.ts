// The admin interface over a proxy on the table: every path, tokens, verbs, events.
import { describe, expect, test } from "bun:test";
import { Admin, type Verb, type VerbOutcome } from "../../src/observe/admin.ts";
import { FakePlatform } from "../support/fake_platform.ts";
import { Table } from "../replication/table.ts";
import { Wire } from "./http_bench.ts";

const PLACE = { kind: "tcp", host: "127.0.0.1", port: 12080 } as const;

function open(t: Table, token: string | null = null, verbs: readonly Verb[] = []) {
  const platform = new FakePlatform();
  const admin = new Admin(platform, { collect: (done) => done(t.proxy.report()), verbs }, token);
  const opened: string[] = [];
  admin.start(PLACE, 0o600, (outcome) => opened.push(outcome.ok ? "ok" : outcome.cause));
  platform.settle();
  expect(opened).toEqual(["ok"]);
  const wire = (): Wire => new Wire(platform.listeners[0]!.onAccept());
  const ask = (path: string, headers = "", method = "GET"): [number, string] =>
    wire().sends(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:12080\r\n${headers}\r\n`).answer();
  return { admin, platform, wire, ask };
}

describe("paths", () => {
  test("the page, its own policy and nothing from elsewhere", () => {
    const { wire } = open(new Table());
    const text = wire().sends("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take();
    expect(text).toContain("Content-Security-Policy: default-src 'none'");
    expect(text).toContain("<title>tandem</title>");
    expect(/(src|href)="(?!data:)/.test(text) || text.includes("@import")).toBe(false);
  });

  test("healthz says that it lives, readyz whether each pair has a server that serves", () => {
    const t = new Table({ primaries: 2 });
    t.pass(100);
    const { ask } = open(t);
    expect([ask("/healthz"), ask("/readyz")]).toEqual([[200, "ok\n"], [200, "ready\n"]]);
    t.primaries[1]!.dies();
    t.pass(1000);
    expect(ask("/readyz")).toEqual([200, "ready\n"]);
    t.B.dies();
    t.pass(1000);
    expect([ask("/readyz"), ask("/healthz")[0]]).toEqual([[503, "no server of the pair p1:1 b0:1\n"], 200]);
    t.proxy.stop(5000, () => {});
    expect(ask("/readyz")).toEqual([503, "draining\n"]);
  });

  test("status is the report, with its format and whether it is ready", () => {
    const t = new Table();
    t.pass(100);
    const [code, text] = open(t).ask("/status");
    const { format, ready, ...report } = JSON.parse(text) as Record<string, unknown>;
    expect([code, format, ready]).toEqual([200, 1, true]);
    expect(report).toEqual(JSON.parse(JSON.stringify(t.proxy.report())) as Record<string, unknown>);
  });

  test("others are not there", () => {
    const { ask } = open(new Table());
    expect([ask("/nothing")[0], ask("/status", "", "POST")[0], ask("/../etc/passwd")[0]]).toEqual([404, 404, 404]);
  });
});

test("nobody who can tell: it lives, and is not ready", () => {
  const platform = new FakePlatform();
  const admin = new Admin(platform, { collect: (done) => done(null), verbs: [] }, null);
  admin.start(PLACE, 0o600, () => {});
  platform.settle();
  const codes = ["/healthz", "/readyz", "/status", "/metrics"].map((path) =>
    new Wire(platform.listeners[0]!.onAccept()).sends(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).answer());
  expect(codes).toEqual([[200, "ok\n"], [503, "no worker tells\n"], [503, "no worker tells\n"], [503, "no worker tells\n"]]);
});

describe("events", () => {
  test("come at once and every second, to all, and end with the last reader", () => {
    const t = new Table();
    const { wire, platform } = open(t);
    const one = wire().sends("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(one.take()).toMatch(/text\/event-stream[^]*\r\n\r\nretry: 1000\ndata: \{"format":1,.*\}\n\n$/);
    t.P.dies();
    t.pass(500);
    const two = wire().sends("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    two.take();
    platform.pass(1000);
    for (const each of [one, two]) expect(each.take()).toMatch(/^data: .*"state":"down".*\n\n$/);
    one.leaves();
    platform.pass(3000);
    expect([one.take(), two.take().match(/data: /g)!.length]).toEqual(["", 3]);
    two.leaves();
    platform.pass(3000);
    expect(two.take()).toBe("");
  });
});

describe("a token", () => {
  test("is asked of all but health, in a header or in the query", () => {
    const { ask } = open(new Table(), "s3cret");
    expect([ask("/healthz")[0], ask("/status")[0], ask("/")[0], ask("/events")[0]]).toEqual([200, 401, 401, 401]);
    for (const wrong of ["s3cre", "s3cret0", "", "S3CRET"]) expect([wrong, ask("/status", `Authorization: Bearer ${wrong}\r\n`)[0]]).toEqual([wrong, 401]);
    expect([ask("/status", "Authorization: Bearer s3cret\r\n")[0], ask("/status?token=s3cret")[0], ask("/status?token=")[0]]).toEqual([200, 200, 401]);
  });
});

describe("verbs", () => {
  const done: string[] = [];
  const verb: Verb = {
    path: "/drain", help: "takes a server out of reads",
    run(query, end: (outcome: VerbOutcome) => void) {
      const server = query.get("server");
      done.push(server ?? "");
      end(server === undefined ? { ok: false, text: "no server named" } : { ok: true, text: `${server} drains` });
    },
  };

  test("are done by POST alone, and tell what became of them", () => {
    const { ask } = open(new Table(), null, [verb]);
    expect(ask("/drain?server=a:1", "", "POST")).toEqual([200, "a:1 drains\n"]);
    expect(ask("/drain", "", "POST")).toEqual([409, "no server named\n"]);
    expect([ask("/drain?server=a:1")[0], done.splice(0)]).toEqual([405, ["a:1", ""]]);
  });

  test("not by a page of somebody else, nor by one whose name was pointed here", () => {
    const { ask, wire } = open(new Table(), null, [verb]);
    expect(ask("/drain?server=a:1", "Origin: http://evil.example\r\n", "POST")[0]).toBe(403);
    const pointed = wire().sends("POST /drain?server=a:1 HTTP/1.1\r\nHost: evil.example:12080\r\nOrigin: http://evil.example:12080\r\n\r\n");
    expect([pointed.answer()[0], done.splice(0)]).toEqual([403, []]);
    expect([ask("/drain?server=a:1", "Origin: http://127.0.0.1:12080\r\n", "POST")[0], done.splice(0)]).toEqual([200, ["a:1"]]);
  });
});
