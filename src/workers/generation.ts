// Other settings for all workers, or for none: each is asked first whether it can take them, then new ports are opened and
// given to all, and all are told to take them at once. A worker that starts meanwhile, or one that dies, makes it fail while
// it is not decided; from then on a new worker begins with the new settings.
//
//   prepare ─▶ every worker: it can · it cannot, and why · no answer ─▶ one that cannot: forget, nothing has changed
//                   └─ all can ─▶ ports ─▶ one that cannot be opened, or given: closed again, forget
//                                   └─ all there ─▶ commit ─▶ every worker: what has changed ─▶ answer
import type { ProxyConfig } from "../config/config.ts";
import type { Committed } from "./messages.ts";
import type { Rounds } from "./rounds.ts";

/** Workers must answer within this, ms. */
const ANSWER_MS = 2000;

export type ReloadOutcome =
  | { readonly ok: true; readonly changes: readonly string[] }
  | { readonly ok: false; readonly reason: string };

export interface GenerationWorld {
  readonly rounds: Rounds;
  /** Workers that serve, by number; null while one of them is missing. */
  serving(): readonly number[] | null;
  /** Opens the ports that these settings need beside those that are there, and gives them to all; done: null, or why not. */
  open(config: ProxyConfig, done: (problem: string | null) => void): void;
  /** Closes them again; answers with their places at each worker. */
  shut(): (worker: number) => readonly number[];
  /** From now on these are the settings with which workers begin; answers with what each that serves is told with them. */
  decided(config: ProxyConfig): (worker: number) => Committed;
  /** All have been told: what they are told next they hear with the new settings. */
  told(): void;
}

export class Generations {
  private ask = 0;
  private all: readonly number[] = [];
  private config: ProxyConfig | null = null;
  private committing = false;
  /** It is being found out or said what settings hold. */
  get under(): boolean {
    return this.config !== null;
  }

  private done: (outcome: ReloadOutcome) => void = () => {};

  constructor(private readonly world: GenerationWorld) {}

  begin(config: ProxyConfig, done: (outcome: ReloadOutcome) => void): void {
    if (this.config !== null || this.opening) return done({ ok: false, reason: "another reload is under way" });
    const all = this.world.serving();
    if (all === null) return done({ ok: false, reason: "a worker is just beginning, or servers of a new pool have not answered yet; try again in a moment" });
    this.config = config;
    this.all = all;
    this.done = done;
    this.committing = false;
    this.ask = this.world.rounds.ask(all, ANSWER_MS, (ask) => ({ t: "prepare", ask, config }), (_worker, answer) => {
      if (answer.t === "prepared" && answer.reason !== null) this.fail(answer.reason);
    }, (silent) => {
      if (silent.length > 0) this.fail(`worker ${silent.join(", ")} does not answer`);
      else this.open(config);
    });
  }

  private open(config: ProxyConfig): void {
    this.opening = true;
    this.world.open(config, (problem) => {
      this.opening = false;
      if (this.config === null) this.forget(); // it has failed meanwhile
      else if (problem !== null) this.fail(problem);
      else this.commit(config);
    });
  }
  private opening = false;

  private commit(config: ProxyConfig): void {
    this.committing = true;
    const words = this.world.decided(config);
    let changes: readonly string[] = [];
    this.world.rounds.ask(this.all, ANSWER_MS, (ask, worker) => ({ t: "commit", ask, ...words(worker) }), (_worker, answer) => {
      if (answer.t === "committed") changes = answer.changes;
    }, (silent) => {
      // One that hangs is killed in the end, and begins anew with the new settings.
      const late = silent.map((worker) => `worker ${worker} does not answer: it takes them when it does, or when it is started again`);
      this.end({ ok: true, changes: [...changes, ...late] });
    });
    this.world.told();
  }

  /** A worker is gone. Once it is decided the one in its place has the new settings from its start. */
  gone(worker: number): void {
    if (this.config !== null && !this.committing && this.all.includes(worker)) this.fail(`worker ${worker} died meanwhile`);
  }

  private fail(reason: string): void {
    this.world.rounds.drop(this.ask);
    if (!this.opening) this.forget();
    this.end({ ok: false, reason });
  }

  private forget(): void {
    const gone = this.world.shut();
    for (const worker of this.all) this.world.rounds.order(worker, { t: "forget", ask: this.ask, gone: gone(worker) });
  }

  private end(outcome: ReloadOutcome): void {
    this.config = null;
    this.done(outcome);
  }
}
