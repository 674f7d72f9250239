// How long things took: counts in fixed buckets, two to each doubling from 16 µs to 33 s. Adding one is a few integer
// operations on typed arrays, because the event path does it for every request.

const FIRST_BITS = 4, LAST_BITS = 24;
/** Below the first bound; two for each doubling; above the last bound. */
const BUCKETS = 2 + 2 * (LAST_BITS - FIRST_BITS + 1);

/** Upper bounds of the buckets, µs, each excluded; the last bucket has none. */
export const BOUNDS_US: readonly number[] = Array.from({ length: BUCKETS - 1 }, (_, index) => {
  if (index === 0) return 1 << FIRST_BITS;
  const octave = 1 << (FIRST_BITS + ((index - 1) >> 1));
  return index % 2 === 1 ? octave + (octave >> 1) : octave * 2;
});

/** Durations of one kind as plain data. */
export interface LatencyReport {
  readonly count: number;
  /** Of all together. */
  readonly sumMs: number;
  /** How many fell into each bucket of BOUNDS_US, and above the last; empty ones at the end are left out. */
  readonly buckets: readonly number[];
}

export const NO_LATENCY: LatencyReport = { count: 0, sumMs: 0, buckets: [] };

/** Durations of several kinds, each with a row of its own. */
export class Latency {
  private readonly counts: Float64Array;
  private readonly sums: Float64Array;

  constructor(readonly rows: number) {
    this.counts = new Float64Array(rows * BUCKETS);
    this.sums = new Float64Array(rows);
  }

  add(row: number, ms: number): void {
    const us = (ms * 1000) | 0;
    let bucket = 0;
    if (us >= 1 << FIRST_BITS) {
      const bits = 31 - Math.clz32(us);
      bucket = bits > LAST_BITS ? BUCKETS - 1 : 1 + 2 * (bits - FIRST_BITS) + ((us >> (bits - 1)) & 1);
    }
    this.counts[row * BUCKETS + bucket]!++;
    this.sums[row]! += ms;
  }

  report(row: number): LatencyReport {
    const buckets = Array.from(this.counts.subarray(row * BUCKETS, (row + 1) * BUCKETS));
    const count = buckets.reduce((sum, each) => sum + each, 0);
    return { count, sumMs: this.sums[row]!, buckets: buckets.slice(0, buckets.findLastIndex((each) => each > 0) + 1) };
  }
}

export function sumLatencies(reports: readonly LatencyReport[]): LatencyReport {
  return reports.reduce((a, b) => combined(a, b, 1), NO_LATENCY);
}

/** What came since an earlier report of the same thing; all of it when that thing began anew in between. */
export function latencySince(now: LatencyReport, before: LatencyReport): LatencyReport {
  return now.count < before.count ? now : combined(now, before, -1);
}

function combined(a: LatencyReport, b: LatencyReport, sign: 1 | -1): LatencyReport {
  const length = Math.max(a.buckets.length, b.buckets.length);
  return {
    count: a.count + sign * b.count, sumMs: a.sumMs + sign * b.sumMs,
    buckets: Array.from({ length }, (_, index) => (a.buckets[index] ?? 0) + sign * (b.buckets[index] ?? 0)),
  };
}

/** The duration, ms, that so many of a hundred did not exceed: the upper bound of its bucket. 0 when there was none. */
export function percentileMs(report: LatencyReport, percent: number): number {
  let left = report.count * percent;
  for (const [index, count] of report.buckets.entries()) {
    left -= count * 100;
    if (count > 0 && left <= 0) return (BOUNDS_US[index] ?? BOUNDS_US.at(-1)!) / 1000;
  }
  return 0;
}
