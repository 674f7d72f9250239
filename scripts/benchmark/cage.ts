// Processes held to a part of a core each (CPU bandwidth of a control group), so that what is measured is the limit, and
// not the load generator that shares the machine's few cores with it.

import { appendFileSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";

/** Short, so that a process that used up its part is not gone for long: us. */
const PERIOD_US = 10_000;
const V1 = "/sys/fs/cgroup/cpu", V2 = "/sys/fs/cgroup";

export class Cage {
  private constructor(private readonly root: string, private readonly path: string, private readonly pid: number) {}

  /** Holds process pid to that part of one core. Throws with the reason where the machine does not let us (not root, no control groups). */
  static hold(pid: number, part: number): Cage {
    const quota = Math.round(part * PERIOD_US);
    const name = `tandem-bench-${process.pid}-${pid}`;
    const second = holdsController(V2);
    const root = second ? V2 : V1, path = `${root}/${name}`;
    mkdirSync(path);
    try {
      if (second) writeFileSync(`${path}/cpu.max`, `${quota} ${PERIOD_US}`);
      else {
        writeFileSync(`${path}/cpu.cfs_period_us`, String(PERIOD_US));
        writeFileSync(`${path}/cpu.cfs_quota_us`, String(quota));
      }
      appendFileSync(`${path}/cgroup.procs`, String(pid));
    } catch (error) {
      rmdirSync(path);
      throw error;
    }
    return new Cage(root, path, pid);
  }

  /** Periods in which it wanted to run, and those of them in which it was held back. */
  get periods(): { ran: number; held: number } {
    const stat = readFileSync(`${this.path}/cpu.stat`, "latin1");
    const count = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0);
    return { ran: count("nr_periods"), held: count("nr_throttled") };
  }

  /** The process may use what it likes again. */
  release(): void {
    appendFileSync(`${this.root}/cgroup.procs`, String(this.pid));
    rmdirSync(this.path);
  }
}

/** Control groups of the second kind are there, and share out CPU time to what stands below their root. */
function holdsController(root: string): boolean {
  try {
    return readFileSync(`${root}/cgroup.subtree_control`, "latin1").split(/\s/).includes("cpu");
  } catch {
    return false;
  }
}
