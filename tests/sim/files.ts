// Files of a simulated machine: what was told as done is on the disk for good; what was under way when the process or
// the machine died is there in full, in part, or not at all.
import type { Files } from "../../src/platform/platform.ts";
import type { Prng } from "./prng.ts";
import type { SimProcess } from "./process.ts";

/** How long a disk takes for one step, microseconds; now and then longer. */
const STEP_US = [100, 6_000] as const, SLOW_US = [20_000, 400_000] as const;

interface Step {
  /** Does it in part: share of 8; 8: all of it. */
  do(share: number): string | null;
  done(reason: string | null): void;
}

export class SimFiles implements Files {
  private readonly steps: Step[] = [];

  constructor(private readonly process: SimProcess, private readonly dice: Prng) {}

  list(directory: string): { ok: true; names: readonly string[] } | { ok: false; reason: string } {
    if (!this.process.machine.directories.has(directory)) return { ok: false, reason: `${directory}: no such directory` };
    const prefix = `${directory}/`;
    return { ok: true, names: [...this.process.machine.files.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length)).sort() };
  }

  read(path: string): { ok: true; text: string } | { ok: false; reason: string } {
    return this.process.host.readText(path);
  }

  create(path: string, text: string, done: (reason: string | null) => void): void {
    this.next(done, (share) => {
      if (!this.process.machine.directories.has(path.slice(0, path.lastIndexOf("/")))) return `${path}: no such directory`;
      this.disk.set(path, part(text, share));
      return null;
    });
  }

  append(path: string, text: string, done: (reason: string | null) => void): void {
    this.next(done, (share) => {
      const before = this.disk.get(path);
      if (before === undefined) return `${path}: no such file`;
      this.disk.set(path, before + part(text, share));
      return null;
    });
  }

  rename(from: string, to: string, done: (reason: string | null) => void): void {
    this.next(done, (share) => {
      const text = this.disk.get(from);
      if (text === undefined) return `${from}: no such file`;
      if (share < 4) return null;
      this.disk.set(to, text);
      this.disk.delete(from);
      return null;
    });
  }

  remove(path: string, done: (reason: string | null) => void): void {
    this.next(done, (share) => {
      if (share >= 4) this.disk.delete(path);
      return null;
    });
  }

  /** The process is gone in the midst of it. */
  tear(): void {
    const step = this.steps[0];
    this.steps.length = 0;
    if (step !== undefined) step.do(this.dice.below(9));
  }

  private get disk(): Map<string, string> {
    return this.process.machine.files;
  }

  private next(done: (reason: string | null) => void, run: (share: number) => string | null): void {
    this.steps.push({ do: run, done });
    if (this.steps.length === 1) this.begin();
  }

  private begin(): void {
    const [least, most] = this.dice.chance(1, 50) ? SLOW_US : STEP_US;
    this.process.ownTimer(this.dice.range(least, most) / 1000, () => {
      const step = this.steps[0]!;
      const reason = step.do(8);
      this.steps.shift();
      if (this.steps.length > 0) this.begin();
      step.done(reason);
    });
  }
}

function part(text: string, share: number): string {
  return share === 8 ? text : text.slice(0, Math.floor((text.length * share) / 8));
}
