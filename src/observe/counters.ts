// What the proxy counts. Plain numbers, because the event path adds to them; names are those of memcached's `stats`
// where memcached has the same thing. `stats` and the metrics print every field, so adding one here shows it there.

export class Counters {
  curr_connections = 0;
  total_connections = 0;
  rejected_connections = 0;
  cmd_get = 0;
  cmd_set = 0;
  cmd_flush = 0;
  cmd_touch = 0;
  get_hits = 0;
  get_misses = 0;
  /** Of the keys hit and missed: those that the backup answered. */
  backup_hits = 0;
  backup_misses = 0;
  /** Of the keys missed: those that no server answered, because neither side could be asked or the newest copy is out of reach. */
  unserved_misses = 0;
  /** Reads answered by the other side because the key's lead did not. */
  failover_reads = 0;
  /** Keys that a server on its way back (--rejoin fast) did not hold yet and its peer did. */
  warming_misses = 0;
  /** Keys that the copy in this zone (--read nearest) did not hold and the primary did. */
  near_misses = 0;
  /** Gets that were answered with another's reply (--share-gets). */
  shared_gets = 0;
  /** How often a peer (--peer) was found to place or replicate differently, having agreed before. */
  peer_drifts = 0;
  /** Keys of a multi-key get answered as a miss because neither side could be asked. */
  unanswered_keys = 0;
  /** Requests answered with a SERVER_ERROR of tandem's own: no server, or an unknown outcome. */
  proxy_errors = 0;
  /** Requests that ended in an error line (noreply ones, which are told nothing, too), by reason; see ERRORS. */
  error_unknown_command = 0;
  error_bad_format = 0;
  error_bad_number = 0;
  error_bad_chunk = 0;
  error_reserved_key = 0;
  error_too_large = 0;
  error_no_server = 0;
  error_unknown_outcome = 0;
  error_memcached_client = 0;
  error_memcached_server = 0;
  /** Writes that only one side took; the key is repaired later. */
  single_writes = 0;
  /** Writes whose outcome neither side confirmed. */
  unknown_writes = 0;
  /** Failed writes of clients that asked for no reply. */
  noreply_failed = 0;
  /** Writes that one side took and the other refused (too large, out of memory). */
  unreplicable = 0;
  /** Keys copied, removed or found equal by synchronisation. */
  sync_copied = 0;
  sync_removed = 0;
  sync_equal = 0;
  /** Keys whose two sides were compared after a write, because several proxies write. */
  verified = 0;
  /** Of those: different, and made alike. */
  divergences = 0;
  /** Not compared, because too many waited. */
  verify_dropped = 0;
  /** Keys dropped because their newest copy is out of reach: a miss instead of a stale value. */
  forgotten = 0;
  /** Requests that took longer than --slow. */
  slow_requests = 0;
  /** Clients cut off in the middle of an answer that could not be finished. */
  clients_cut = 0;
}

/** The first one of CLIENT_ERROR. */
const LETTER_C = 67;

/** memcached's own error line at bytes[start…] is what a client is told. */
export function countRefusal(counters: Counters, bytes: Uint8Array, start: number): void {
  counters[bytes[start] === LETTER_C ? "error_memcached_client" : "error_memcached_server"]++;
}

/** Every error line that a client may be told: its first word, and why, by its counter. */
export const ERRORS: readonly { readonly counter: keyof Counters; readonly answer: "ERROR" | "CLIENT_ERROR" | "SERVER_ERROR"; readonly reason: string }[] = [
  { counter: "error_unknown_command", answer: "ERROR", reason: "unknown_command" },
  { counter: "rejected_connections", answer: "ERROR", reason: "too_many_clients" },
  { counter: "error_bad_format", answer: "CLIENT_ERROR", reason: "bad_format" },
  { counter: "error_bad_number", answer: "CLIENT_ERROR", reason: "bad_number" },
  { counter: "error_bad_chunk", answer: "CLIENT_ERROR", reason: "bad_chunk" },
  { counter: "error_reserved_key", answer: "CLIENT_ERROR", reason: "reserved_key" },
  // What memcached itself answered and tandem passed on: "cannot increment …", "out of memory …".
  { counter: "error_memcached_client", answer: "CLIENT_ERROR", reason: "memcached" },
  { counter: "error_too_large", answer: "SERVER_ERROR", reason: "too_large" },
  { counter: "error_no_server", answer: "SERVER_ERROR", reason: "no_server" },
  { counter: "error_unknown_outcome", answer: "SERVER_ERROR", reason: "unknown_outcome" },
  { counter: "error_memcached_server", answer: "SERVER_ERROR", reason: "memcached" },
];
