// What clients noticed of a fault, as figures and as a table of text.
import type { Kind, Operation } from "./load.ts";

/** Commands that need nobody's decision: either side can answer them. */
export const READS: readonly Kind[] = ["get", "multi-get", "pipeline"];
export const READS_AND_BLIND_WRITES: readonly Kind[] = [...READS, "set", "delete"];

export interface Figures {
  /** Errors of reads and blind writes, and of commands that decide. */
  plainErrors: number;
  otherErrors: number;
  /** The longest time in which one client had no success, its own pace taken off, ms. */
  gapMs: number;
  longestMs: number;
  p99Ms: number;
}

export function figuresOf(operations: readonly Operation[]): Figures {
  const failed = operations.filter((one) => one.error !== null);
  const lastSuccess = new Map<number, number>();
  let gap = 0;
  for (const one of [...operations].sort((a, b) => a.at - b.at)) {
    if (one.error !== null) continue;
    gap = Math.max(gap, one.at + one.tookMs - (lastSuccess.get(one.client) ?? one.at));
    lastSuccess.set(one.client, one.at + one.tookMs);
  }
  const took = operations.map((one) => one.tookMs).sort((a, b) => a - b);
  const plain = failed.filter((one) => READS_AND_BLIND_WRITES.includes(one.kind)).length;
  return {
    plainErrors: plain, otherErrors: failed.length - plain, gapMs: round(gap), longestMs: round(took.at(-1) ?? 0),
    p99Ms: round(took[Math.floor(took.length * 0.99)] ?? 0),
  };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** The different errors among operations, in words. */
export function errorsOf(operations: readonly Operation[]): string[] {
  return [...new Set(operations.filter((one) => one.error !== null).map((one) => `${one.kind}: ${one.error!.slice(0, 120)}`))];
}

/** Rows of one shape as a table of text. */
export function table(of: readonly Record<string, string | number>[]): string {
  const names = Object.keys(of[0]!);
  const widths = names.map((name) => Math.max(name.length, ...of.map((row) => String(row[name]).length)));
  const line = (cells: readonly string[]): string => cells.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd();
  return ["", line(names), ...of.map((row) => line(names.map((name) => String(row[name]))))].join("\n");
}
