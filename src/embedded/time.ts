// A server's own time, as memcached keeps it: whole seconds since a start that lies 62 seconds in the past, so that
// 0 and 1 are free to mean "never" and "long ago". Every lifetime, age and flush is compared in these seconds.
import type { Clock } from "../platform/platform.ts";

/** memcached's ITEM_UPDATE_INTERVAL: an item's access time is renewed at most this often, seconds. */
export const UPDATE_INTERVAL = 60;
/** A larger lifetime is not a lifetime but a date, seconds since 1970. */
const LIFETIME_MAX = 60 * 60 * 24 * 30;
const FIRST_SECOND = UPDATE_INTERVAL + 2;

export class ServerTime {
  /** Server second 0 as seconds since 1970. */
  readonly processStarted: number;
  private readonly startMs: number;

  /** startSeconds: when this server began, seconds since 1970; by default now. */
  constructor(private readonly clock: Clock, startSeconds: number | undefined) {
    this.startMs = clock.nowMs();
    this.processStarted = Math.floor(startSeconds ?? clock.wallSeconds()) - FIRST_SECOND;
  }

  /** The current server second: 62 at the start, one more with each full second since. */
  now(): number {
    return FIRST_SECOND + Math.floor((this.clock.nowMs() - this.startMs) / 1000);
  }

  /** memcached's realtime(): the server second at which a client's exptime falls due; 0 is never, 1 long ago. */
  due(exptime: number): number {
    if (exptime === 0) return 0;
    const positive = exptime < 0 ? LIFETIME_MAX + 1 : exptime;
    if (positive <= LIFETIME_MAX) return positive + this.now();
    return positive <= this.processStarted ? 1 : positive - this.processStarted;
  }
}
