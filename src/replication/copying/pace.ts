// How fast keys are copied: at most a rate of keys and of bytes, and less while the servers answer slowly. Copies wait in
// the same lanes as the clients' requests, so the time that they take is what clients wait too.

/** What is allowed at most, from the settings. */
export interface PaceLimits {
  readonly keysPerSecond: number;
  readonly bytesPerSecond: number;
}

/** Answer times below this are never slow, ms. */
const SLOW_MS = 8;
/** An answer that takes this many times the usual one is slow. */
const SLOW_TIMES = 2;
/** How often the answer times are looked at, ms. */
const LOOK_MS = 100;
/** At a look, what is left of the share when answers were slow, and what is added to it when they were not. */
const CUT = 0.6, RISE = 0.05;
/** The rate is never cut below this share of the limit. */
const LEAST_SHARE = 1 / 64;

export class Pace {
  /** The present share of the limits, 1 at most. */
  share = 1;
  private keys = 0;
  private bytes = 0;
  private atMs: number;
  /** What copies usually take, ms; 0: not known. */
  private usualMs = 0;
  /** Copies since the last look that were timed, and how long they took together, ms. */
  private count = 0;
  private sum = 0;
  private lookedMs: number;

  /** burstMs: unused allowance is kept for so long, so that copying is even. */
  constructor(private readonly limits: PaceLimits, private readonly burstMs: number, nowMs: number) {
    this.atMs = this.lookedMs = nowMs;
  }

  /** The present limit, keys a second. */
  get rate(): number {
    return this.limits.keysPerSecond * this.share;
  }

  /** How many copies may begin now. */
  allowed(nowMs: number): number {
    if (nowMs - this.lookedMs >= LOOK_MS) this.look(nowMs);
    const { keysPerSecond, bytesPerSecond } = this.limits;
    const passed = nowMs - this.atMs;
    this.atMs = nowMs;
    const most = (perSecond: number): number => (perSecond * this.share * this.burstMs) / 1000;
    this.keys = Math.min(this.keys + (keysPerSecond * this.share * passed) / 1000, Math.max(1, most(keysPerSecond)));
    this.bytes = Math.min(this.bytes + (bytesPerSecond * this.share * passed) / 1000, Math.max(1, most(bytesPerSecond)));
    return this.bytes > 0 ? Math.floor(this.keys) : 0;
  }

  /** A copy has begun. */
  began(): void {
    this.keys--;
  }

  /** So many bytes were copied; they are known only then, so the allowance may become less than nothing. */
  moved(bytes: number): void {
    this.bytes -= bytes;
  }

  /** A copy took so long from its first question to its last answer, ms. Many say more than one: they are averaged. */
  took(ms: number): void {
    this.sum += ms;
    this.count++;
  }

  /** Judges the copies since the last look. */
  private look(nowMs: number): void {
    this.lookedMs = nowMs;
    if (this.count === 0) return;
    const average = this.sum / this.count;
    this.sum = this.count = 0;
    const slow = average > SLOW_MS && average > this.usualMs * SLOW_TIMES;
    this.share = slow ? Math.max(LEAST_SHARE, this.share * CUT) : Math.min(1, this.share + RISE);
    // What is usual follows quickly down and slowly up: slowness must not become the measure of itself.
    if (this.usualMs === 0) this.usualMs = average;
    else this.usualMs += (average - this.usualMs) * (average < this.usualMs ? 0.2 : 0.01);
  }
}
