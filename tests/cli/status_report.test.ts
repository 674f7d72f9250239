// tandem status: from `stats` lines to what is printed.
import { expect, test } from "bun:test";
import { allUp, readReport, ringsText, statusLines } from "../../src/cli/status_report.ts";
import { Table } from "../replication/table.ts";

const stats = (text: string): Map<string, string> =>
  new Map(text.trim().split("\n").map((line) => {
    const [name, ...value] = line.trim().split(" ");
    return [name!, value.join(" ")];
  }));

const GENERAL = stats("uptime 3725\ncurr_connections 4");
const PROXY = stats(`tandem_version 1.2.3\nruntime bun 1.4.5\ncmd_get 200\nget_hits 150\ncmd_set 7\nfailover_reads 1
  single_writes 2\nunknown_writes 3\nproxy_errors 4\nmissed_writes 5\nsync_backlog 6\nsync_copied 7\nsync_removed 1\nsync_equal 9
  resident_bytes 52428800`);
const SERVERS = stats(`primary:0:address 10.0.0.1:11211\nprimary:0:state down\nprimary:0:reason refused\nprimary:0:version 1.6.18
  primary:0:state_seconds 61\nprimary:0:missed_writes 5\nprimary:0:in_flight 0\nbackup:0:address [::1]:11212\nbackup:0:state up
  backup:0:reason answers\nbackup:0:version unknown\nbackup:0:state_seconds 3725\nbackup:0:missed_writes 0\nbackup:0:in_flight 12`);

test("a proxy that tells only of its servers", () => {
  const report = readReport("10.0.0.9:11211", [GENERAL, PROXY, SERVERS, null, null])!;
  expect(allUp(report)).toBe(false);
  expect(statusLines(report)).toEqual([
    "tandem 1.2.3 at 10.0.0.9:11211, for 1 h 02 min, 3 other clients, bun 1.4.5",
    "",
    "         server          state  for         reason   version  in flight  missed writes",
    "primary  10.0.0.1:11211  down   1 min 01 s  refused  1.6.18           0              5",
    "backup   [::1]:11212     up     1 h 02 min  answers  unknown         12              0",
    "",
    "requests  get 200 (hits 75.0 %), set 7",
    "failures  reads answered by the other side 1, writes that one side took 2, unknown outcomes 3, errors 4",
    "mending   missed writes 5, keys queued 6, copied 8, found equal 9",
    "memory    50 MiB",
  ]);
});

test("a change of rings", () => {
  const lines = statusLines(readReport("a:1", [GENERAL, new Map([...PROXY, ["transition", "primaries_filling,_then_backups"]]), SERVERS, null, null])!);
  expect(lines[4]).toMatch(/^backup /);
  expect(lines.slice(5, 8)).toEqual(["", "rings change: primaries filling, then backups", ""]);
  expect(ringsText("primaries waiting for a:1, which is down")).toBe("rings change: primaries waiting for a:1, which is down (until tandem transition end)");
});

test("refills, and other proxies with whatever they tell", () => {
  const refill = stats("refill:0:address 10.0.0.1:11211\nrefill:0:done 250\nrefill:0:listed 1000\nrefill:0:rate 125\nrefill:0:eta_seconds 6\nrefill:0:scope full");
  const proxies = stats("id 00000003\nboard on\n00000001:state alive\n00000001:age_ms 210\n00000002:state silent\n00000002:age_ms 30210\n00000002:complaints none");
  const lines = statusLines(readReport("a:1", [GENERAL, PROXY, SERVERS, refill, proxies])!);
  expect(lines).toContain("refill of 10.0.0.1:11211  [#####---------------]  25 %  250 of 1000 keys, 125 a second, 6 s left, scope full");
  expect(lines).toContain("other proxy  state   age ms  complaints");
  expect(lines).toContain("00000002     silent  30210   none");
});

test("a server that another proxy does not trust is not up", () => {
  const fenced = new Map([...SERVERS, ["primary:0:state", "up"], ["primary:0:fenced", "00000001"], ["backup:0:fenced", "no"]]);
  const report = readReport("a:1", [GENERAL, PROXY, fenced, null, null])!;
  expect(allUp(report)).toBe(false);
  expect(statusLines(report)[3]!).toMatch(/^primary  10\.0\.0\.1:11211  up, fenced by 00000001  1 min 01 s/);
  fenced.set("primary:0:fenced", "no");
  expect(allUp(readReport("a:1", [GENERAL, PROXY, fenced, null, null])!)).toBe(true);
});

test("who does not call itself tandem is none", () => {
  expect(readReport("a:1", [GENERAL, PROXY, null, null, null])).toBe(null);
  expect(readReport("a:1", [GENERAL, GENERAL, SERVERS, null, null])).toBe(null);
});

test("what a proxy really answers makes a whole report", () => {
  const t = new Table();
  t.pass(1500);
  const answers = ["stats", "stats proxy", "stats servers"].map((question) => {
    t.client.sends(`${question}\r\n`);
    return stats(t.client.socket.take().replaceAll("STAT ", "").replaceAll("\r", "").replace("END\n", ""));
  });
  const report = readReport("a:1", answers)!;
  expect(report.servers).toEqual([
    { role: "primary", address: "p0:1", state: "up", reason: "answers", seconds: 1, version: "1.6.18", inFlight: 0, missedWrites: 0, drained: "", fencedBy: "" },
    { role: "backup", address: "b0:1", state: "up", reason: "answers", seconds: 1, version: "1.6.18", inFlight: 0, missedWrites: 0, drained: "", fencedBy: "" },
  ]);
  expect(allUp(report)).toBe(true);
  // Each total is a counter that there is.
  const known = answers[1]!;
  expect(Object.keys(report.totals).filter((name) => !known.has(name))).toEqual([]);
});
