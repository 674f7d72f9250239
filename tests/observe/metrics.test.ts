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
