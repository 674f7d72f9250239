// What the system says of a supervisor's workers.
import { execFileSync } from "node:child_process";

/** Pids of the workers that run, in the order in which they were started. */
export function workersOf(supervisor: number): number[] {
  const rows = execFileSync("ps", ["-o", "pid=,stat=,args=", "--ppid", String(supervisor)], { encoding: "utf8" }).trim().split("\n");
  return rows.filter((row) => row.includes("--worker-child=") && !/^\s*\d+\s+Z/.test(row)).map((row) => Number(row.trim().split(/\s+/)[0]));
}
