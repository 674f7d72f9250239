// The text for Prometheus: every line well-formed, every metric of the table there, histograms consistent.
import { expect, test } from "bun:test";
import { METRICS, metricsText } from "../../src/observe/metrics.ts";
import { store, Table, value } from "../replication/table.ts";

const LINE = /^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$/;

async function scrape(t: Table): Promise<Map<string, number>> {
  const { type, text } = await metricsText(t.proxy.report());
  expect(type).toContain("text/plain; version=0.0.4");
  const samples = new Map<string, number>();
  const declared = new Set<string>();
  for (const line of text.split("\n")) {
    if (line.startsWith("# TYPE ")) declared.add(line.split(" ")[2]!);
    if (line === "" || line.startsWith("# ")) continue;
    const match = LINE.exec(line);
    expect([line, match !== null]).toEqual([line, true]);
    expect([line, declared.has(match![1]!.replace(/_(bucket|sum|count)$/, "")) || declared.has(match![1]!)]).toEqual([line, true]);
    expect([line, samples.has(`${match![1]} ${match![2] ?? ""}`)]).toEqual([line, false]);
    samples.set(`${match![1]} ${match![2] ?? ""}`, Number(match![3]!.replace("Inf", "Infinity")));
  }
  expect([...declared]).toEqual(METRICS.map(({ name }) => name));
  return samples;
}

test("what was asked and answered, and how long it took", async () => {
  const t = new Table();
  t.pass(100);
  t.client.sends("get a\r\n");
  t.pass(4);
  t.P.answers("get a\r\n", value("a", "1"));
  const samples = await scrape(t);
  const command = `pool="pool",command="get"`, server = `pool="pool",server="p0:1",role="primary"`;
  expect(samples.get(`tandem_command_seconds_count ${command}`)).toBe(1);
  expect(samples.get(`tandem_command_seconds_bucket ${command},le="0.002048"`)).toBe(0);
  expect(samples.get(`tandem_command_seconds_bucket ${command},le="0.004096"`)).toBe(1);
  expect(samples.get(`tandem_command_seconds_bucket ${command},le="+Inf"`)).toBe(1);
  expect(samples.get(`tandem_server_seconds_count ${server},kind="get"`)).toBe(1);
  expect(samples.get(`tandem_server_state ${server},state="up"`)).toBe(1);
  expect(samples.get(`tandem_reads_total pool="pool",source="primary",result="hit"`)).toBe(1);
  expect([samples.get("tandem_ready "), samples.get("tandem_workers ")]).toEqual([1, 1]);
});

test("a lost server, by reason, and what it misses", async () => {
  const t = new Table();
  t.pass(100);
  t.client.sends("get a\r\n");
  t.P.receives("get a\r\n").dies();
  t.B.answers("get a\r\n", value("a", "1"));
  t.client.sends(store("set", "b", "1"));
  t.B.answers(store("set", "b", "1"), "STORED\r\n");
  t.pass(100);
  const samples = await scrape(t);
  const server = `pool="pool",server="p0:1",role="primary"`;
  expect(samples.get(`tandem_server_state ${server},state="down"`)).toBe(1);
  expect(samples.get(`tandem_server_failed_requests_total ${server},reason="reset"`)).toBe(1);
  expect(samples.get(`tandem_server_missed_keys ${server}`)).toBe(1);
  expect(samples.get(`tandem_pair_lead pool="pool",primary="p0:1",backup="b0:1",lead="backup"`)).toBe(1);
  expect(samples.get(`tandem_reads_total pool="pool",source="backup",result="hit"`)).toBe(1);
});

test("what is under way, and how far a returning server is", async () => {
  const t = new Table();
  t.pass(100);
  t.client.sends("get a\r\nget b\r\n");
  expect((await scrape(t)).get(`tandem_server_in_flight pool="pool",server="p0:1",role="primary"`)).toBe(2);
  const report = t.proxy.report();
  const refills = [{ address: "p0:1", scope: "refill" as const, done: 3, listed: 7, bytes: 9, perSecond: 2, perSecondMax: 5, etaSeconds: 4 }];
  const servers = report.pools[0]!.servers.map((server) => ({ ...server, queueBytes: 77 }));
  const { text } = await metricsText({ ...report, pools: report.pools.map((pool) => ({ ...pool, refills, servers })) });
  expect(text.match(/^tandem_(refill|server_queue)_.*(?=\n)/gm)).toEqual([
    'tandem_server_queue_bytes{pool="pool",server="p0:1",role="primary"} 77', 'tandem_server_queue_bytes{pool="pool",server="b0:1",role="backup"} 77',
    ...["done_keys", "listed_keys", "keys_per_second", "eta_seconds"].map((name, i) => `tandem_refill_${name}{pool="pool",server="p0:1",scope="refill"} ${[3, 7, 2, 4][i]}`),
  ]);
});

test("buckets only grow", async () => {
  const t = new Table();
  t.pass(100);
  for (const ms of [0, 1, 1, 5, 70]) {
    t.client.sends("get a\r\n");
    t.pass(ms);
    t.P.answers("get a\r\n", value("a", "1"));
  }
  let before = 0;
  for (const [name, count] of await scrape(t)) {
    if (!name.startsWith(`tandem_command_seconds_bucket pool="pool",command="get"`)) continue;
    expect([name, count >= before]).toEqual([name, true]);
    before = count;
  }
  expect(before).toBe(5);
});

test("each error line that a client is told is counted by its first word and its reason, and no other answer is", async () => {
  const t = new Table();
  t.pass(100);
  // What tandem refuses by itself.
  t.client.sends("version\r\nbogus\r\nget\r\ndelete a 1 2\r\nincr a x\r\ntouch a x\r\nget __tandem:a\r\nset a 0 0 1\r\nlong\r\nset a 0 0 2000000000\r\n");
  // What memcached refuses, answered and not.
  const u = new Table();
  u.pass(100);
  u.client.sends("incr a 1\r\n");
  u.P.answers("incr a 1\r\nmg a v f t\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\nHD f0 t-1\r\n");
  expect(u.proxy.counters.error_memcached_client).toBe(1);
  u.client.sends("set b 0 0 1 noreply\r\nx\r\n");
  u.P.answers("set b 0 0 1\r\nx\r\n", "SERVER_ERROR out of memory storing object\r\n");
  u.B.answers("set b 0 0 1\r\nx\r\n", "SERVER_ERROR out of memory storing object\r\n");
  expect(u.proxy.counters.error_memcached_server).toBe(1);
  // What nobody can answer.
  u.client.sends(store("set", "c", "1"));
  u.P.receives(store("set", "c", "1")).dies();
  u.B.receives(store("set", "c", "1")).dies();
  u.pass(1000);
  u.client.sends("get a\r\nget a b\r\nflush_all\r\n");
  u.pass(1000);
  const lines = async (table: Table): Promise<string[]> => [...await scrape(table)].filter(([name, count]) => name.startsWith("tandem_errors_total") && count > 0)
    .map(([name, count]) => `${/answer="(\w+)"/.exec(name)![1]} ${/reason="(\w+)"/.exec(name)![1]} ${count}`);
  expect(await lines(t)).toEqual([
    "ERROR unknown_command 3", "CLIENT_ERROR bad_format 1", "CLIENT_ERROR bad_number 2", "CLIENT_ERROR bad_chunk 1", "CLIENT_ERROR reserved_key 1", "SERVER_ERROR too_large 1",
  ]);
  expect(await lines(u)).toEqual(["CLIENT_ERROR memcached 1", "SERVER_ERROR no_server 2", "SERVER_ERROR unknown_outcome 1", "SERVER_ERROR memcached 1"]);
  // "g", the end of the block that was too long, is a command too.
  expect(t.client.socket.take().match(/^\w+/gm)).toEqual([
    "VERSION", "ERROR", "ERROR", "CLIENT_ERROR", "CLIENT_ERROR", "CLIENT_ERROR", "CLIENT_ERROR", "CLIENT_ERROR", "ERROR", "SERVER_ERROR",
  ]);
  const samples = await scrape(u);
  expect(samples.get(`tandem_reads_total pool="pool",source="none",result="miss"`)).toBe(2);
  expect(samples.get(`tandem_reads_total pool="pool",source="primary",result="miss"`)).toBe(0);
});

test("proxies elsewhere: one that drifts is told as that", async () => {
  const report = new Table().proxy.report();
  const peers = [{ address: "x:1", state: "drifts" as const, fingerprint: "f" }, { address: "y:1", state: "agrees" as const, fingerprint: "g" }];
  const { text } = await metricsText({ ...report, pools: report.pools.map((pool) => ({ ...pool, peers })) });
  expect(text.match(/^tandem_peer_state\{.*\} 1$/gm)).toEqual(['tandem_peer_state{pool="pool",peer="x:1",state="drifts"} 1', 'tandem_peer_state{pool="pool",peer="y:1",state="agrees"} 1']);
});
