// Could one memcached have given all these answers? Per key, in the order of time: each call must take effect at one
// instant between its question and its answer, calls of one connection in their order. What is unknown may take
// effect once or never, until a later acknowledged change of the key settles it.
//
// The method keeps every possible (state, set of open calls that have taken effect) and narrows it at each answer;
// when nothing is left, that answer was impossible.
import { say, type Call, type History } from "./history.ts";
import { follow, nameOf, same, type Leniency, type State } from "./model.ts";

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
  const room: Room = [new Possibilities(), new Possibilities(), new Possibilities()];
  for (const [key, calls] of keys) {
    const judge = new Judge(calls, lenient, room);
    const found = judge.run();
    if (found === "undecided") undecided.push(key);
    else if (found !== null) violations.push(found);
  }
  return { violations, undecided };
}

/** What one key may be, and what has taken effect then: a state's number and a bit for each slot, each pair once, in order. */
class Possibilities {
  size = 0;
  states = new Int32Array(FIRST_SIZE);
  dones = new Int32Array(FIRST_SIZE);
  /**
   * Where each pair lies, plus `base`; less: free. Integers in a table of our own that is used again and again: Sets of
   * numbers were a quarter of a run's time.
   */
  private table = new Int32Array(2 * FIRST_SIZE);
  private base = 1;

  clear(): void {
    this.base += this.size;
    this.size = 0;
  }

  add(state: number, done: number): void {
    const { states, dones, table, base } = this;
    const mask = table.length - 1;
    let at = spread(state, done) & mask;
    for (let place = table[at]! - base; place >= 0; place = table[at]! - base) {
      if (states[place] === state && dones[place] === done) return;
      at = (at + 1) & mask;
    }
    const { size } = this;
    states[size] = state;
    dones[size] = done;
    table[at] = base + size;
    this.size = size + 1;
    if (this.size === states.length) this.widen();
  }

  private widen(): void {
    const { size, base } = this;
    const states = new Int32Array(4 * size), dones = new Int32Array(4 * size), table = new Int32Array(8 * size);
    states.set(this.states);
    dones.set(this.dones);
    for (let i = 0; i < size; i++) {
      let at = spread(states[i]!, dones[i]!) & (table.length - 1);
      while (table[at] !== 0) at = (at + 1) & (table.length - 1);
      table[at] = base + i;
    }
    this.states = states;
    this.dones = dones;
    this.table = table;
  }
}

const FIRST_SIZE = 64;

function spread(state: number, done: number): number {
  const mixed = Math.imul(Math.imul(state, 0x9e3779b1) ^ done, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

type Step = { readonly atUs: number; readonly begins: boolean; readonly call: Call };

/** What one judge after another works in. */
type Room = readonly [Possibilities, Possibilities, Possibilities];

class Judge {
  private possible: Possibilities;
  private spare: Possibilities;
  private readonly seen: Possibilities;
  private readonly slots: (Call | null)[] = [];
  /** Slots that are taken, a bit each. */
  private open = 0;
  private readonly slotOf = new Map<Call, number>();
  /** By slot: the slots of those calls of its connection that take effect before it, a bit each. */
  private readonly before: number[] = [];
  /** By slot and state's number: the numbers of the states that may follow, once tried. */
  private readonly known: (number[] | undefined)[][] = [];
  /** Every state met so far, by number, and its numbers by value. */
  private readonly states: State[] = [null];
  private readonly numbers = new Map<string, number[]>();

  constructor(
    private readonly calls: readonly Call[],
    private readonly lenient: Leniency,
    room: Room,
  ) {
    [this.possible, this.spare, this.seen] = room;
    this.possible.clear();
    this.possible.add(0, 0);
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
        if (!this.take(step.call)) return "undecided";
        continue;
      }
      if (!this.answered(step.call)) return "undecided";
      if (this.possible.size === 0) return this.explain(step.call, this.spare);
      this.close(step.call);
      if (changes(step.call)) this.settleOlder(step.call);
    }
    return null;
  }

  private take(call: Call): boolean {
    let slot = this.slots.indexOf(null);
    if (slot === -1) slot = this.slots.length;
    if (slot >= OPEN_MAX) return false;
    this.before[slot] = 0;
    for (let i = 0; i < this.slots.length; i++) {
      const other = this.slots[i];
      if (other === null || other === undefined) continue;
      if (this.precedes(other, call)) this.before[slot]! |= 1 << i;
      if (this.precedes(call, other)) this.before[i]! |= 1 << slot;
    }
    this.slots[slot] = call;
    this.slotOf.set(call, slot);
    this.known[slot] = [];
    this.open |= 1 << slot;
    return true;
  }

  /** Leaves every possibility in which `call` has taken effect, reached from the present ones; false when too many. */
  private answered(call: Call): boolean {
    const bit = 1 << this.slotOf.get(call)!;
    const { slots, before, open, seen, possible, spare: out } = this;
    out.clear();
    seen.clear();
    for (let i = 0; i < possible.size; i++) seen.add(possible.states[i]!, possible.dones[i]!);
    for (let at = 0; at < seen.size; at++) {
      const state = seen.states[at]!, done = seen.dones[at]!;
      if ((done & bit) !== 0) {
        out.add(state, done);
        continue;
      }
      // From the lowest of those that are open and not done to the highest.
      for (let rest = open & ~done; rest !== 0; rest &= rest - 1) {
        const slot = 31 - Math.clz32(rest & -rest);
        if ((done & before[slot]!) !== before[slot]!) continue;
        const after = this.follow(state, slot, slots[slot]!);
        for (let i = 0; i < after.length; i++) seen.add(after[i]!, done | (1 << slot));
      }
      if (seen.size > POSSIBILITIES_MAX) return false;
    }
    this.leave(out);
    return true;
  }

  /** The numbers of the states that may follow a state when the call in that slot takes effect. */
  private follow(state: number, slot: number, call: Call): number[] {
    const known = this.known[slot]!;
    let after = known[state];
    if (after === undefined) {
      known[state] = after = [];
      for (const one of follow(this.states[state]!, call, this.lenient)) after.push(this.number(one));
    }
    return after;
  }

  private number(state: State): number {
    if (state === null) return 0;
    let numbers = this.numbers.get(state.value);
    if (numbers === undefined) this.numbers.set(state.value, (numbers = []));
    for (const number of numbers) if (same(this.states[number]!, state)) return number;
    numbers.push(this.states.length);
    return this.states.push(state) - 1;
  }

  /** True when both are of one connection and the earlier one must have taken effect first. */
  private precedes(earlier: Call, call: Call): boolean {
    return earlier.session === call.session && earlier.place < call.place && earlier.outcome !== "unknown" && earlier.outcome !== "open" &&
      !this.drifts(call) && !this.drifts(earlier);
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
    this.open &= ~(1 << slot);
    for (let i = 0; i < this.before.length; i++) this.before[i]! &= ~(1 << slot);
    const { possible, spare: kept } = this;
    kept.clear();
    for (let i = 0; i < possible.size; i++) kept.add(possible.states[i]!, possible.dones[i]! & ~(1 << slot));
    this.leave(kept);
  }

  /** Those in `spare` are possible now. */
  private leave(kept: Possibilities): void {
    this.spare = this.possible;
    this.possible = kept;
  }

  private explain(call: Call, before: Possibilities): string {
    const states = new Set(Array.from(before.states.subarray(0, before.size), (one) => nameOf(this.states[one]!).slice(0, 120)));
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
