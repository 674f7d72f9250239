// Servers taken out of reads by hand: by all workers or by none, and by each that starts later.
import type { VerbOutcome } from "../observe/admin.ts";
import type { Rounds } from "./rounds.ts";

/** Workers must answer within this, ms. */
const ANSWER_MS = 1000;

export class Drains {
  /** In all workers. */
  readonly drained = new Set<string>();

  constructor(private readonly rounds: Rounds) {}

  /** Takes a server out in these workers, or puts it back. */
  drain(workers: readonly number[], server: string, drained: boolean, done: (outcome: VerbOutcome) => void): void {
    const took: number[] = [];
    let first: VerbOutcome | null = null, refused: VerbOutcome | null = null;
    this.rounds.ask(workers, ANSWER_MS, (ask) => ({ t: "drain", ask, server, drained, force: false }), (worker, answer) => {
      if (answer.t !== "drained") return;
      if (answer.outcome.ok) took.push(worker);
      else refused ??= answer.outcome;
      first ??= answer.outcome;
    }, () => {
      if (drained && refused === null && took.length > 0) this.drained.add(server);
      else this.drained.delete(server);
      if (drained && refused !== null) for (const worker of took) this.rounds.order(worker, { t: "drain", ask: 0, server, drained: false, force: true });
      done(refused ?? first ?? { ok: false, text: "no worker answers" });
    });
  }

  /** A worker starts while some are taken out. */
  tell(worker: number): void {
    for (const server of this.drained) this.rounds.order(worker, { t: "drain", ask: 0, server, drained: true, force: true });
  }
}
