// What kinds of requests a server is timed by: the answer that one waits for tells.
import { Latency, type LatencyReport, sumLatencies } from "../observe/latency.ts";
import { Expect } from "../protocol/reply.ts";

/** store: set and what else stores; delta: incr, decr; meta: tandem's own, mostly copies; other: flush_all, stats. */
export const KINDS = ["get", "store", "delta", "delete", "touch", "meta", "other"] as const;
export type Kind = (typeof KINDS)[number];

const BY_EXPECT: Readonly<Record<keyof typeof Expect, Kind>> = {
  STORE: "store", NUMBER: "delta", DELETE: "delete", TOUCH: "touch", OK: "other", VALUES: "get", META: "meta", STATS: "other",
  NOOP: "other", META_STORE: "store",
};
/** Row of KINDS for each expectation. */
export const KIND_OF: Readonly<Uint8Array> = (() => {
  const rows = new Uint8Array(Object.keys(Expect).length);
  for (const [name, expect] of Object.entries(Expect)) rows[expect] = KINDS.indexOf(BY_EXPECT[name as keyof typeof Expect]);
  return rows;
})();

export function newLatency(): Latency {
  return new Latency(KINDS.length);
}

/** By kind, those that came; large: values that streamed over connections of their own. */
export function latenciesOf(lanes: Latency, bulk: Latency): Record<string, LatencyReport> {
  const found: Record<string, LatencyReport> = {};
  KINDS.forEach((kind, row) => {
    const report = lanes.report(row);
    if (report.count > 0) found[kind] = report;
  });
  const large = sumLatencies(KINDS.map((_, row) => bulk.report(row)));
  if (large.count > 0) found["large"] = large;
  return found;
}
