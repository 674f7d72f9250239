// Questions to several workers at once: each is over when all that were asked have answered or died, or when its time is
// up, whichever comes first.
import type { Clock, Timer } from "../platform/platform.ts";
import type { Order, Word } from "./messages.ts";

/** What a worker says only when it is asked. */
export type Answer = Extract<Word, { readonly t: "report" | "drained" | "prepared" | "committed" | "hastened" }>;

interface Round {
  /** Who has not answered. */
  readonly open: Set<number>;
  readonly heard: (worker: number, answer: Answer) => void;
  readonly over: (silent: readonly number[]) => void;
  readonly timer: Timer;
}

export class Rounds {
  private readonly rounds = new Map<number, Round>();
  private last = 0;

  constructor(private readonly clock: Clock, readonly order: (worker: number, order: Order) => void) {}

  /** heard: each answer; over: once, after the last one, with those that did not answer in time. Returns its number. */
  ask(
    workers: readonly number[], waitMs: number, question: (ask: number, worker: number) => Order,
    heard: (worker: number, answer: Answer) => void, over: (silent: readonly number[]) => void,
  ): number {
    const ask = ++this.last;
    this.rounds.set(ask, { open: new Set(workers), heard, over, timer: this.clock.timer(waitMs, () => this.end(ask)) });
    for (const worker of workers) this.order(worker, question(ask, worker));
    if (workers.length === 0) this.end(ask);
    return ask;
  }

  /** Its answers do not count any more. */
  drop(ask: number): void {
    this.rounds.get(ask)?.timer.cancel();
    this.rounds.delete(ask);
  }

  answered(worker: number, answer: Answer): void {
    const round = this.rounds.get(answer.ask);
    if (round === undefined || !round.open.delete(worker)) return;
    round.heard(worker, answer);
    if (round.open.size === 0) this.end(answer.ask);
  }

  gone(worker: number): void {
    for (const [ask, { open }] of [...this.rounds]) if (open.delete(worker) && open.size === 0) this.end(ask);
  }

  private end(ask: number): void {
    const round = this.rounds.get(ask);
    if (round === undefined) return; // dropped by what was heard last
    this.drop(ask);
    round.over([...round.open]);
  }
}
