// What a server counts. The names are those of `stats`, so the table is also its answer.

/** Counters that `stats reset` sets to zero. */
export class Counters {
  total_connections = 0;
  rejected_connections = 0;
  cmd_get = 0;
  cmd_set = 0;
  cmd_flush = 0;
  cmd_touch = 0;
  cmd_meta = 0;
  get_hits = 0;
  get_misses = 0;
  get_expired = 0;
  get_flushed = 0;
  delete_misses = 0;
  delete_hits = 0;
  incr_misses = 0;
  incr_hits = 0;
  decr_misses = 0;
  decr_hits = 0;
  cas_misses = 0;
  cas_hits = 0;
  cas_badval = 0;
  touch_hits = 0;
  touch_misses = 0;
  store_too_large = 0;
  bytes_read = 0;
  bytes_written = 0;
  lru_crawler_starts = 0;
  total_items = 0;
  evictions = 0;
  reclaimed = 0;

  reset(): void {
    Object.assign(this, new Counters());
  }
}
