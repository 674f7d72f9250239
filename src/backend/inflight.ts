// Questions under way on one lane, oldest first: who asked, what kind of answer fits, until when. Parallel arrays, so
// that a request costs no object.
//
//   head ─▶ [caller, role, expect, deadline, endOffset, begun] … ◀─ tail       answers come in exactly this order
import type { ExpectCode } from "../protocol/reply.ts";
import type { Caller } from "./caller.ts";

export class InFlight {
  count = 0;
  /** endOffset of the question settled last: where the oldest one's bytes begin. */
  settledOffset = 0;
  private capacity = 64;
  private head = 0;
  private callers: (Caller | null)[] = new Array<Caller | null>(64).fill(null);
  private roles = new Int32Array(64);
  private expects = new Uint8Array(64);
  private deadlines = new Float64Array(64);
  private ends = new Float64Array(64);
  private begins = new Float64Array(64);

  /**
   * endOffset: bytes of the connection up to and including this request, to tell later whether it had left. begun: the
   * time in its turn, ms.
   */
  push(caller: Caller, role: number, expect: ExpectCode, deadline: number, endOffset: number, begun: number): void {
    if (this.count === this.capacity) this.grow();
    const at = (this.head + this.count) & (this.capacity - 1);
    this.callers[at] = caller;
    this.roles[at] = role;
    this.expects[at] = expect;
    this.deadlines[at] = deadline;
    this.ends[at] = endOffset;
    this.begins[at] = begun;
    this.count++;
  }

  /** The oldest question's fields; only while count > 0. */
  get caller(): Caller {
    return this.callers[this.head]!;
  }
  get role(): number {
    return this.roles[this.head]!;
  }
  get expect(): ExpectCode {
    return this.expects[this.head]! as ExpectCode;
  }
  get deadline(): number {
    return this.deadlines[this.head]!;
  }
  get endOffset(): number {
    return this.ends[this.head]!;
  }

  get begun(): number {
    return this.begins[this.head]!;
  }

  pop(): void {
    this.callers[this.head] = null;
    this.settledOffset = this.ends[this.head]!;
    this.head = (this.head + 1) & (this.capacity - 1);
    this.count--;
  }

  private grow(): void {
    const wide = this.capacity * 2;
    const order = (i: number): number => (this.head + i) & (this.capacity - 1);
    const callers = new Array<Caller | null>(wide).fill(null);
    const roles = new Int32Array(wide), expects = new Uint8Array(wide);
    const deadlines = new Float64Array(wide), ends = new Float64Array(wide), begins = new Float64Array(wide);
    for (let i = 0; i < this.count; i++) {
      const from = order(i);
      callers[i] = this.callers[from]!;
      roles[i] = this.roles[from]!;
      expects[i] = this.expects[from]!;
      deadlines[i] = this.deadlines[from]!;
      ends[i] = this.ends[from]!;
      begins[i] = this.begins[from]!;
    }
    this.callers = callers;
    this.roles = roles;
    this.expects = expects;
    this.deadlines = deadlines;
    this.ends = ends;
    this.begins = begins;
    this.head = 0;
    this.capacity = wide;
  }
}
