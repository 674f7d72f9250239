// How far a long command is: one line that redraws itself on a terminal, a line now and then elsewhere. It goes to
// stderr, so that results can be piped.
import type { Platform } from "../platform/platform.ts";
import { barText, durationText } from "./table.ts";

const REDRAW_MS = 200, PLAIN_MS = 5000;
const CLEAR_LINE = "\r\x1b[K";

/** "[##########----------]  50 %  500 of 1000 keys, 125 a second, 4 s left" */
export function progressText(done: number, total: number, elapsedMs: number): string {
  const rate = elapsedMs <= 0 ? 0 : done / (elapsedMs / 1000);
  const left = rate === 0 || done >= total ? "" : `, ${durationText(Math.ceil((total - done) / rate))} left`;
  return `${barText(done, total)}  ${done} of ${total} keys, ${Math.round(rate)} a second${left}`;
}

export class Progress {
  private readonly terminal: boolean;
  private begunMs: number;
  private saidMs: number;
  private drawn = false;
  private total = 0;

  constructor(private readonly platform: Platform) {
    this.terminal = platform.host.isTerminal("stderr");
    this.begunMs = this.saidMs = platform.clock.nowMs();
  }

  /** So many keys are to be worked off, from now on. */
  begin(total: number): void {
    this.total = total;
    this.begunMs = this.platform.clock.nowMs();
  }

  /** Since begin, ms. */
  get elapsedMs(): number {
    return this.platform.clock.nowMs() - this.begunMs;
  }

  /** Keys listed before begin; called as often as one likes. */
  listed(count: number): void {
    this.draw(() => `${count} keys listed`);
  }

  /** Keys worked off since begin; called as often as one likes. */
  show(done: number): void {
    this.draw(() => progressText(done, this.total, this.elapsedMs));
  }

  private draw(make: () => string): void {
    const now = this.platform.clock.nowMs();
    if (now - this.saidMs < (this.terminal ? REDRAW_MS : PLAIN_MS)) return;
    this.saidMs = now;
    const text = make();
    this.platform.host.stderr(this.terminal ? `${CLEAR_LINE}${text}` : `${text}\n`);
    this.drawn = this.terminal;
  }

  /** Leaves the terminal as it was. */
  end(): void {
    if (this.drawn) this.platform.host.stderr(CLEAR_LINE);
    this.drawn = false;
  }
}
