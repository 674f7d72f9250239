// Other settings for all workers, or for none: each is asked first whether it can take them, and all are told to only when
// all can. A worker that starts meanwhile, or one that dies, makes it fail while it is not decided; from then on a new
// worker begins with the new settings.
//
//   prepare ─▶ every worker: it can · it cannot, and why · no answer ─▶ one that cannot: forget, nothing has changed
//                   └─ all can ─▶ commit ─▶ every worker: what has changed ─▶ answer
import type { ProxyConfig } from "../config/config.ts";
import type { Clock, Timer } from "../platform/platform.ts";
import type { Order } from "./messages.ts";

/** Workers must answer within this, ms. */
const ANSWER_MS = 2000;

export type ReloadOutcome =
  | { readonly ok: true; readonly changes: readonly string[] }
  | { readonly ok: false; readonly reason: string };

export interface GenerationWorld {
  readonly clock: Clock;
  /** Workers that serve, by number; null while one of them is missing. */
  serving(): readonly number[] | null;
  order(worker: number, order: Order): void;
  /** From now on these are the settings with which workers begin. */
  decided(config: ProxyConfig): void;
}

export class Generations {
  private ask = 0;
  private open = new Set<number>();
  private all: readonly number[] = [];
  private config: ProxyConfig | null = null;
  private committing = false;
  private changes: readonly string[] = [];
  private timer: Timer | null = null;
  private done: (outcome: ReloadOutcome) => void = () => {};

  constructor(private readonly world: GenerationWorld) {}

  begin(config: ProxyConfig, done: (outcome: ReloadOutcome) => void): void {
    if (this.config !== null) return done({ ok: false, reason: "another reload is under way" });
    const all = this.world.serving();
    if (all === null) return done({ ok: false, reason: "a worker is just being started again; try again in a moment" });
    this.config = config;
    this.all = all;
    this.done = done;
    this.committing = false;
    this.askAll({ t: "prepare", ask: ++this.ask, config });
  }

  /** A worker can take the settings, or cannot for this reason. */
  prepared(worker: number, ask: number, reason: string | null): void {
    if (ask !== this.ask || this.committing || !this.open.delete(worker)) return;
    if (reason !== null) return this.fail(reason);
    if (this.open.size > 0) return;
    this.committing = true;
    this.world.decided(this.config!);
    this.askAll({ t: "commit", ask: ++this.ask });
  }

  /** A worker has taken them. */
  committed(worker: number, ask: number, changes: readonly string[]): void {
    if (ask !== this.ask || !this.committing || !this.open.delete(worker)) return;
    this.changes = changes;
    if (this.open.size === 0) this.end({ ok: true, changes });
  }

  /** A worker is gone. Once it is decided the one in its place has the new settings from its start. */
  gone(worker: number): void {
    if (this.config === null || !this.all.includes(worker)) return;
    if (!this.committing) return this.fail(`worker ${worker} died meanwhile`);
    if (this.open.delete(worker) && this.open.size === 0) this.end({ ok: true, changes: this.changes });
  }

  private askAll(order: Order): void {
    this.open = new Set(this.all);
    this.timer?.cancel();
    this.timer = this.world.clock.timer(ANSWER_MS, () => this.late());
    for (const worker of this.all) this.world.order(worker, order);
  }

  /** One that hangs is killed in the end, and begins anew with the new settings when they were decided. */
  private late(): void {
    const silent = [...this.open].join(", ");
    if (!this.committing) return this.fail(`worker ${silent} does not answer`);
    this.end({ ok: true, changes: [...this.changes, `worker ${silent} does not answer: it takes them when it does, or when it is started again`] });
  }

  private fail(reason: string): void {
    for (const worker of this.all) this.world.order(worker, { t: "forget", ask: this.ask });
    this.end({ ok: false, reason });
  }

  private end(outcome: ReloadOutcome): void {
    this.timer?.cancel();
    this.config = null;
    this.open.clear();
    this.done(outcome);
  }
}
