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

/**
 * A state and the open calls that have taken effect in it, in one number: the state's number times 2^30, plus bit i
 * for the call in slot i.
 */
type Possibility = number;
const MASKS = 2 ** OPEN_MAX;

type Step = { readonly atUs: number; readonly begins: boolean; readonly call: Call };

class Judge {
  private possible = new Set<Possibility>();
  private readonly slots: (Call | null)[] = [];
  private readonly slotOf = new Map<Call, number>();
  /** Every state met so far, by number and by name. */
  private readonly states: State[] = [];
  private readonly numbers = new Map<string, number>();
  /** What each call makes of each state it was tried in. */
  private readonly known = new Map<Call, Map<number, number[]>>();

  constructor(
    private readonly calls: readonly Call[],
    private readonly lenient: Leniency,
  ) {
    this.possible.add(this.number(null) * MASKS);
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
  private answered(call: Call): Set<Possibility> | null {
    const bit = 1 << this.slotOf.get(call)!;
    const out = new Set<Possibility>();
    const seen = new Set<Possibility>(this.possible);
    const queue = [...this.possible];
    for (let at = 0; at < queue.length; at++) {
      const now = queue[at]!;
      const done = now % MASKS;
      if ((done & bit) !== 0) {
        out.add(now);
        continue;
      }
      const state = (now - done) / MASKS;
      for (let slot = 0; slot < this.slots.length; slot++) {
        const other = this.slots[slot];
        if (other === null || other === undefined || (done & (1 << slot)) !== 0) continue;
        if (!this.inTurn(other, done)) continue;
        for (const after of this.follow(state, other)) {
          const next = after * MASKS + (done | (1 << slot));
          if (seen.has(next)) continue;
          seen.add(next);
          queue.push(next);
        }
      }
      if (queue.length > POSSIBILITIES_MAX) return null;
    }
    return out;
  }

  /** The numbers of the states that may follow a state when a call takes effect. */
  private follow(state: number, call: Call): number[] {
    let known = this.known.get(call);
    if (known === undefined) this.known.set(call, (known = new Map()));
    let after = known.get(state);
    if (after === undefined) known.set(state, (after = follow(this.states[state]!, call, this.lenient).map((one) => this.number(one))));
    return after;
  }

  private number(state: State): number {
    const name = nameOf(state);
    let number = this.numbers.get(name);
    if (number === undefined) {
      number = this.states.length;
      this.numbers.set(name, number);
      this.states.push(state);
    }
    return number;
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
    const kept = new Set<Possibility>();
    for (const one of this.possible) {
      const done = one % MASKS;
      kept.add(one - done + (done & ~(1 << slot)));
    }
    this.possible = kept;
  }

  private explain(call: Call, before: Set<Possibility>): string {
    const states = new Set([...before].map((one) => nameOf(this.states[Math.floor(one / MASKS)]!).slice(0, 120)));
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
  // A flush_all goes another way than what was asked of the key.
  if (call.kind === "flush") return false;
  return call.outcome === "stored" || call.outcome === "deleted" || call.outcome === "number";
}
