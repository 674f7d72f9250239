// The answers of `stats`: the general list, settings, conns, and the small ones. Names, their order and the form of
// the values are memcached 1.6.18's; what this server has no counterpart of stands there with the value of an idle one.
import type { Engine, Session } from "./engine.ts";
import { UPDATE_INTERVAL } from "./time.ts";

type Row = readonly [name: string, value: string | number];

/** `stats …`: words[1], if any, says which. */
export function runStats(engine: Engine, session: Session, words: readonly string[]): void {
  switch (words[1]) {
    case undefined:
      return list(session, engine.settings.shortStats ? short(engine) : general(engine));
    case "settings":
      return list(session, engine.settings.shortStats ? settings(engine).filter(([name]) => SHORT.has(name)) : settings(engine));
    case "conns":
      return list(session, connections(engine, session));
    case "items":
      return list(session, []);
    case "slabs":
      return list(session, [["active_slabs", 0], ["total_malloced", 0]]);
    case "sizes":
      return list(session, [["sizes_status", "disabled"]]);
    case "reset":
      engine.counters.reset();
      return session.write("RESET\r\n");
    case "detail":
      if (words[2] === "on" || words[2] === "off") return session.write("OK\r\n");
      if (words[2] === "dump") return list(session, []);
      return session.write("CLIENT_ERROR usage: stats detail on|off|dump\r\n");
    default:
      return session.write("ERROR\r\n");
  }
}

function list(session: Session, rows: readonly Row[]): void {
  let out = "";
  for (const [name, value] of rows) out += `STAT ${name} ${value}\r\n`;
  session.write(out + "END\r\n");
}

function zeros(names: string): Row[] {
  return names.split(" ").map((name) => [name, 0]);
}

/** Who it is. */
function identity({ settings: s, time }: Engine): Row[] {
  const now = time.now();
  return [["pid", s.pid], ["uptime", now - UPDATE_INTERVAL], ["time", now + time.processStarted], ["version", s.version]];
}

/** Of the settings. */
const SHORT: ReadonlySet<string> = new Set(["item_size_max", "cas_enabled"]);

function short(engine: Engine): Row[] {
  return [...identity(engine), ["curr_items", engine.store.length]];
}

function general(engine: Engine): Row[] {
  const { counters: c, store, settings: s } = engine;
  const open = engine.connections().length;
  return [
    ...identity(engine),
    ["libevent", "none"],
    ["pointer_size", 64],
    ["rusage_user", "0.000000"],
    ["rusage_system", "0.000000"],
    ["max_connections", s.connectionsMax],
    ["curr_connections", open],
    ["total_connections", c.total_connections],
    ["rejected_connections", c.rejected_connections],
    ["connection_structures", open + 1],
    ...zeros("response_obj_oom response_obj_count response_obj_bytes read_buf_count read_buf_bytes read_buf_bytes_free " +
      "read_buf_oom reserved_fds"),
    ["cmd_get", c.cmd_get],
    ["cmd_set", c.cmd_set],
    ["cmd_flush", c.cmd_flush],
    ["cmd_touch", c.cmd_touch],
    ["cmd_meta", c.cmd_meta],
    ["get_hits", c.get_hits],
    ["get_misses", c.get_misses],
    ["get_expired", c.get_expired],
    ["get_flushed", c.get_flushed],
    ["delete_misses", c.delete_misses],
    ["delete_hits", c.delete_hits],
    ["incr_misses", c.incr_misses],
    ["incr_hits", c.incr_hits],
    ["decr_misses", c.decr_misses],
    ["decr_hits", c.decr_hits],
    ["cas_misses", c.cas_misses],
    ["cas_hits", c.cas_hits],
    ["cas_badval", c.cas_badval],
    ["touch_hits", c.touch_hits],
    ["touch_misses", c.touch_misses],
    ["store_too_large", c.store_too_large],
    ...zeros("store_no_memory auth_cmds auth_errors"),
    ["bytes_read", c.bytes_read],
    ["bytes_written", c.bytes_written],
    ["limit_maxbytes", s.memoryBytes],
    ["accepting_conns", 1],
    ...zeros("listen_disabled_num time_in_listen_disabled_us"),
    ["threads", 1],
    ...zeros("conn_yields hash_power_level hash_bytes hash_is_expanding slab_reassign_rescues slab_reassign_chunk_rescues " +
      "slab_reassign_evictions_nomem slab_reassign_inline_reclaim slab_reassign_busy_items slab_reassign_busy_deletes " +
      "slab_reassign_running slabs_moved"),
    ["lru_crawler_running", engine.dumping ? 1 : 0],
    ["lru_crawler_starts", c.lru_crawler_starts],
    ...zeros("lru_maintainer_juggles malloc_fails log_worker_dropped log_worker_written log_watcher_skipped log_watcher_sent " +
      "log_watchers unexpected_napi_ids round_robin_fallback"),
    ["bytes", store.bytes],
    ["curr_items", store.length],
    ["total_items", c.total_items],
    ...zeros("slab_global_page_pool expired_unfetched evicted_unfetched evicted_active"),
    ["evictions", c.evictions],
    ["reclaimed", c.reclaimed],
    ...zeros("crawler_reclaimed crawler_items_checked lrutail_reflocked moves_to_cold moves_to_warm moves_within_lru " +
      "direct_reclaims lru_bumps_dropped"),
  ];
}

function settings(engine: Engine): Row[] {
  const { settings: s, store } = engine;
  return [
    ["maxbytes", s.memoryBytes],
    ["maxconns", s.connectionsMax],
    ["tcpport", 0],
    ["udpport", 0],
    ["inter", "NULL"],
    ["verbosity", 0],
    ["oldest", store.oldest],
    ["evictions", "on"],
    ["domain_socket", "NULL"],
    ["umask", 700],
    ["shutdown_command", "no"],
    ["growth_factor", "1.25"],
    ["chunk_size", 48],
    ["num_threads", 1],
    ["num_threads_per_udp", 0],
    ["stat_key_prefix", ":"],
    ["detail_enabled", "no"],
    ["reqs_per_event", 20],
    ["cas_enabled", "yes"],
    ["tcp_backlog", 1024],
    ["binding_protocol", "ascii"],
    ["auth_enabled_sasl", "no"],
    ["auth_enabled_ascii", "no"],
    ["item_size_max", s.itemBytesMax],
    ["maxconns_fast", "yes"],
    ["hashpower_init", 0],
    ["slab_reassign", "no"],
    ["slab_automove", 0],
    ["lru_crawler", "yes"],
    ["lru_crawler_sleep", 0],
    ["lru_crawler_tocrawl", 0],
    ["tail_repair_time", 0],
    ["flush_enabled", "yes"],
    ["dump_enabled", "yes"],
    ["hash_algorithm", "none"],
    ["lru_maintainer_thread", "no"],
    ["lru_segmented", "no"],
    ["temp_lru", "no"],
    ["idle_timeout", 0],
    ["track_sizes", "no"],
    ["inline_ascii_response", "no"],
    ["ssl_enabled", "no"],
  ];
}

/** The listener's number in `stats conns`; connections follow it. */
const LISTENER_FD = 23;

function connections(engine: Engine, session: Session): Row[] {
  const now = engine.time.now();
  const rows: Row[] = [
    [`${LISTENER_FD}:addr`, socketName(session.local)],
    [`${LISTENER_FD}:state`, "conn_listening"],
    [`${LISTENER_FD}:secs_since_last_cmd`, now],
  ];
  for (const connection of engine.connections()) {
    rows.push(
      [`${connection.fd}:addr`, socketName(connection.remote)],
      [`${connection.fd}:listen_addr`, socketName(connection.local)],
      [`${connection.fd}:state`, connection.state],
      [`${connection.fd}:secs_since_last_cmd`, now - connection.lastCommand],
    );
  }
  return rows;
}

function socketName(address: string): string {
  if (address.startsWith("[")) return "tcp6:" + address;
  return address.includes(":") && !address.startsWith("unix") ? "tcp:" + address : "unix:" + address;
}
