// Could one memcached have given all these answers? Per key, in the order of time: each call must take effect at one
// instant between its question and its answer, calls of one connection in their order. What is unknown may take
// effect once or never, until a later acknowledged change of the key settles it.
//
// The method keeps every possible (state, set of open calls that have taken effect) and narrows it at each answer;
// when nothing is left, that answer was impossible.
import { say, type Call, type History } from "./history.ts";
import { follow, nameOf, type Leniency, type State } from "./model.ts";

export interface Verdict {
  /** One text per key whose history no memcached explains. */
  readonly violations: string[];
  /** Keys whose possibilities grew beyond the limit: neither right nor wrong was shown. */
  readonly undecided: string[];
}

const POSSIBILITIES_MAX = 20_000;
const OPEN_MAX = 30;

/** Judges every key of a history. */
export function check(history: History, lenient: Leniency): Verdict {
  const keys = new Map<string, Call[]>();
  for (const call of history.calls) {
    const calls = keys.get(call.key);
    if (calls === undefined) keys.set(call.key, [call]);
    else calls.push(call);
  }
  const violations: string[] = [];
  const undecided: string[] = [];
  for (const [key, calls] of keys) {
    const judge = new Judge(calls, lenient);
    const found = judge.run();
    if (found === "undecided") undecided.push(key);
    else if (found !== null) violations.push(found);
  }
  return { violations, undecided };
}

interface Possibility {
  readonly state: State;
  /** Bit i: the open call in slot i has taken effect. */
  readonly done: number;
}

type Step = { readonly atUs: number; readonly begins: boolean; readonly call: Call };

class Judge {
  private possible = new Map<string, Possibility>();
  private readonly slots: (Call | null)[] = [];
  private readonly slotOf = new Map<Call, number>();
  private readonly names = new Map<string, number>();

  constructor(
    private readonly calls: readonly Call[],
    private readonly lenient: Leniency,
  ) {
    this.add(this.possible, { state: null, done: 0 });
  }

  /** The violation in words, "undecided", or null. */
  run(): string | "undecided" | null {
    const steps: Step[] = [];
    for (const call of this.calls) {
      // A read of unknown outcome says nothing and does nothing.
      if (call.kind === "get" && (call.outcome === "unknown" || call.outcome === "open")) continue;
      steps.push({ atUs: call.startUs, begins: true, call });
      if (call.outcome !== "unknown" && call.outcome !== "open") steps.push({ atUs: call.endUs, begins: false, call });
    }
    // At one instant questions come before answers: then they were at the same time.
    steps.sort((a, b) => a.atUs - b.atUs || Number(b.begins) - Number(a.begins) || a.call.id - b.call.id);
    for (const step of steps) {
      if (step.begins) {
        if (!this.open(step.call)) return "undecided";
        continue;
      }
      const before = this.possible;
      const after = this.answered(step.call);
      if (after === null) return "undecided";
      if (after.size === 0) return this.explain(step.call, before);
      this.possible = after;
      this.close(step.call);
      if (changes(step.call)) this.settleOlder(step.call);
    }
    return null;
  }

  private open(call: Call): boolean {
    let slot = this.slots.indexOf(null);
    if (slot === -1) slot = this.slots.length;
    if (slot >= OPEN_MAX) return false;
    this.slots[slot] = call;
    this.slotOf.set(call, slot);
    return true;
  }

  /** Every possibility in which `call` has taken effect, reached from the present ones; null when too many. */
  private answered(call: Call): Map<string, Possibility> | null {
    const bit = 1 << this.slotOf.get(call)!;
    const out = new Map<string, Possibility>();
    const seen = new Map<string, Possibility>(this.possible);
    const queue = [...this.possible.values()];
    for (let at = 0; at < queue.length; at++) {
      const now = queue[at]!;
      if ((now.done & bit) !== 0) {
        this.add(out, now);
        continue;
      }
      for (let slot = 0; slot < this.slots.length; slot++) {
        const other = this.slots[slot];
        if (other === null || other === undefined || (now.done & (1 << slot)) !== 0) continue;
        if (!this.inTurn(other, now.done)) continue;
        for (const state of follow(now.state, other, this.lenient)) {
          const next = { state, done: now.done | (1 << slot) };
          if (this.add(seen, next)) queue.push(next);
        }
      }
      if (queue.length > POSSIBILITIES_MAX) return null;
    }
    return out;
  }

  /** True when no earlier call of the same connection still has to take effect. */
  private inTurn(call: Call, done: number): boolean {
    if (this.drifts(call)) return true;
    for (let slot = 0; slot < this.slots.length; slot++) {
      const other = this.slots[slot];
      if (other === null || other === undefined || other.session !== call.session || other.place >= call.place) continue;
      if (this.drifts(other)) continue;
      if (other.outcome !== "unknown" && other.outcome !== "open" && (done & (1 << slot)) === 0) return false;
    }
    return true;
  }

  /** True when the order of the connection does not bind a call. */
  private drifts(call: Call): boolean {
    return this.lenient.readsDrift && (call.kind === "get" || call.kind === "gat");
  }

  /** An acknowledged change settles what was unknown before it was asked for. */
  private settleOlder(change: Call): void {
    for (const call of this.slots) {
      if (call === null || call === undefined || call.outcome !== "unknown") continue;
      const before = call.endUs < change.startUs || (call.session === change.session && call.place < change.place);
      if (before) this.close(call);
    }
  }

  private close(call: Call): void {
    const slot = this.slotOf.get(call)!;
    this.slots[slot] = null;
    this.slotOf.delete(call);
    const kept = new Map<string, Possibility>();
    for (const one of this.possible.values()) this.add(kept, { state: one.state, done: one.done & ~(1 << slot) });
    this.possible = kept;
  }

  private add(to: Map<string, Possibility>, one: Possibility): boolean {
    const text = nameOf(one.state);
    let number = this.names.get(text);
    if (number === undefined) {
      number = this.names.size;
      this.names.set(text, number);
    }
    const name = `${one.done} ${number}`;
    if (to.has(name)) return false;
    to.set(name, one);
    return true;
  }

  private explain(call: Call, before: Map<string, Possibility>): string {
    const states = new Set([...before.values()].map((one) => nameOf(one.state).slice(0, 120)));
    const near = this.calls.filter((other) => other.startUs <= call.endUs && other.endUs >= call.startUs - 3_000_000);
    const open = this.slots.filter((other): other is Call => other !== null && other !== undefined && other !== call);
    return [
      `impossible: ${say(call)}`,
      `  the key could hold (flags, may go, must go, value): ${[...states].slice(0, 6).join(" | ")}`,
      `  open or unknown at that time:`,
      ...open.map((other) => `    ${say(other)}`),
      `  calls of the key in the 3 s before:`,
      ...near.slice(-40).map((other) => `    ${say(other)}`),
    ].join("\n");
  }
}

/** True for an answer that says that the key was changed. */
function changes(call: Call): boolean {
  return call.outcome === "stored" || call.outcome === "deleted" || call.outcome === "number";
}
