// The classic text commands. Each takes the line's words and answers byte for byte as memcached 1.6.18 does, in its
// order of checks: the order decides which of several errors a client sees.
import { endsInCrLf, KEY_BYTES_MAX, type Engine, type Session } from "./engine.ts";
import { runMeta } from "./meta.ts";
import { parseI32, parseU32, parseU64 } from "./numbers.ts";
import { slabClass } from "./slabs.ts";
import { runStats } from "./stats.ts";
import { NO_EXTRAS, type Item, type StoreMode } from "./store.ts";

const BAD_FORMAT = "CLIENT_ERROR bad command line format";
const BAD_EXPTIME = "CLIENT_ERROR invalid exptime argument";
const BAD_DELETE = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
const BUSY = "BUSY currently processing crawler request";
/** memcached cuts a line into this many words; only the get family looks further. */
const WORDS_MAX = 23;

/** One command with its words: what the functions below share. */
interface Call {
  readonly engine: Engine;
  readonly session: Session;
  readonly words: readonly string[];
  /** The last word was noreply, on a command that looks for it. */
  quiet: boolean;
}

/** Runs one line, without its line end. */
export function runLine(engine: Engine, session: Session, line: string): void {
  const nul = line.indexOf("\0");
  let all = (nul === -1 ? line : line.slice(0, nul)).split(" ");
  if (all.includes("")) all = all.filter((word) => word !== "");
  const name = all[0];
  if (name === undefined || name.length < 2) return session.write("ERROR\r\n");
  if (name.length === 2 && name.startsWith("m")) return runMeta(engine, session, cut(all));
  const get = GETS.get(name);
  if (get !== undefined) return runGet({ engine, session, words: all, quiet: false }, get.cas, get.touch);
  const call: Call = { engine, session, words: cut(all), quiet: false };
  const command = COMMANDS.get(name);
  if (command !== undefined && all.length >= command.least && all.length <= command.most) return command.run(call);
  if (command === undefined && call.words.at(-1)!.startsWith("HTTP/") && !/^[gsacidt]/.test(name)) return session.close();
  session.write("ERROR\r\n");
}

function cut(words: readonly string[]): readonly string[] {
  return words.length > WORDS_MAX ? words.slice(0, WORDS_MAX) : words;
}

const GETS: ReadonlyMap<string, { readonly cas: boolean; readonly touch: boolean }> = new Map([
  ["get", { cas: false, touch: false }],
  ["gets", { cas: true, touch: false }],
  ["gat", { cas: false, touch: true }],
  ["gats", { cas: true, touch: true }],
  ["bget", { cas: false, touch: false }],
]);

interface Command {
  /** Bounds of the number of words. */
  readonly least: number;
  readonly most: number;
  readonly run: (call: Call) => void;
}

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["set", { least: 5, most: 6, run: (call) => runStore(call, "set") }],
  ["add", { least: 5, most: 6, run: (call) => runStore(call, "add") }],
  ["replace", { least: 5, most: 6, run: (call) => runStore(call, "replace") }],
  ["append", { least: 5, most: 6, run: (call) => runStore(call, "append") }],
  ["prepend", { least: 5, most: 6, run: (call) => runStore(call, "prepend") }],
  ["cas", { least: 6, most: 7, run: (call) => runStore(call, "cas") }],
  ["incr", { least: 3, most: 4, run: (call) => runDelta(call, true) }],
  ["decr", { least: 3, most: 4, run: (call) => runDelta(call, false) }],
  ["touch", { least: 3, most: 4, run: runTouch }],
  ["delete", { least: 2, most: 4, run: runDelete }],
  ["flush_all", { least: 1, most: 3, run: runFlush }],
  ["verbosity", { least: 2, most: 3, run: runVerbosity }],
  ["version", { least: 1, most: Infinity, run: (call) => answer(call, `VERSION ${call.engine.settings.version}`) }],
  ["quit", { least: 1, most: Infinity, run: (call) => call.session.close() }],
  ["stats", { least: 1, most: Infinity, run: (call) => runStats(call.engine, call.session, call.words) }],
  ["lru_crawler", { least: 1, most: Infinity, run: runCrawler }],
  ["shutdown", { least: 1, most: Infinity, run: (call) => answer(call, "ERROR: shutdown not enabled") }],
]);

/** One line to the client, unless it said noreply: errors found after that are kept back too. */
function answer(call: Call, line: string): void {
  if (!call.quiet) call.session.write(line + "\r\n");
}

function lookForNoreply(call: Call): void {
  call.quiet = call.words.at(-1) === "noreply";
}

function runGet(call: Call, cas: boolean, touch: boolean): void {
  const { engine, session, words } = call;
  const { store, counters } = engine;
  if (words.length < 2) return session.write("ERROR\r\n");
  let first = 1;
  let exptime = 0;
  if (touch) {
    const given = parseI32(words[1]!);
    if (given === null) return answer(call, BAD_EXPTIME);
    exptime = engine.time.due(given);
    first = 2;
  }
  // One key too long spoils the whole answer, but the keys before it have been fetched by then.
  const tooLong = words.findIndex((word, i) => i >= first && word.length > KEY_BYTES_MAX);
  const end = tooLong === -1 ? words.length : tooLong;
  for (let i = first; i < end; i++) {
    const key = words[i]!;
    const item = store.find(key, true);
    if (touch) {
      counters.cmd_touch++;
      if (item === null) counters.touch_misses++;
      else counters.touch_hits++;
    } else {
      counters.cmd_get++;
      if (item === null) counters.get_misses++;
      else counters.get_hits++;
    }
    if (item === null) continue;
    if (touch) item.exptime = exptime;
    if (tooLong !== -1) continue;
    session.write(`VALUE ${key} ${item.flags} ${item.value.length - 2}${cas ? ` ${item.cas}` : ""}\r\n`);
    session.writeValue(item.value);
  }
  session.write(tooLong === -1 ? "END\r\n" : BAD_FORMAT + "\r\n");
}

function runStore(call: Call, mode: StoreMode): void {
  const { engine, session, words } = call;
  const { store, counters } = engine;
  lookForNoreply(call);
  const key = words[1]!;
  if (key.length > KEY_BYTES_MAX) return answer(call, BAD_FORMAT);
  const flags = parseU32(words[2]!);
  const lifetime = parseI32(words[3]!);
  const length = parseI32(words[4]!);
  if (flags === null || lifetime === null || length === null) return answer(call, BAD_FORMAT);
  const exptime = engine.time.due(lifetime);
  const wanted = mode === "cas" ? parseU64(words[5]!) : 0n;
  if (wanted === null || length < 0 || length > 0x7fffffff - 2) return answer(call, BAD_FORMAT);
  if (!store.fits(key.length, flags, length + 2)) {
    counters.store_too_large++;
    session.swallow(length + 2, call.quiet ? null : "SERVER_ERROR object too large for cache");
    // A set that fails must not leave the old value behind.
    const old = mode === "set" ? store.find(key, false) : null;
    if (old !== null) store.unlink(old);
    return;
  }
  session.readValue(length + 2, (value) => {
    counters.cmd_set++;
    if (!endsInCrLf(value)) return answer(call, "CLIENT_ERROR bad data chunk");
    const item = store.create(key, flags, exptime, value);
    answer(call, store.store(item, mode, { ...NO_EXTRAS, wanted }));
  });
}

function runDelta(call: Call, up: boolean): void {
  const { store, counters } = call.engine;
  lookForNoreply(call);
  const key = call.words[1]!;
  if (key.length > KEY_BYTES_MAX) return answer(call, BAD_FORMAT);
  const by = parseU64(call.words[2]!);
  if (by === null) return answer(call, "CLIENT_ERROR invalid numeric delta argument");
  const delta = store.delta(key, up, by, 0n);
  if (delta.kind === "ok") return answer(call, delta.digits);
  if (delta.kind === "non_numeric") return answer(call, "CLIENT_ERROR cannot increment or decrement non-numeric value");
  if (up) counters.incr_misses++;
  else counters.decr_misses++;
  answer(call, "NOT_FOUND");
}

function runTouch(call: Call): void {
  const { store, counters, time } = call.engine;
  lookForNoreply(call);
  const key = call.words[1]!;
  if (key.length > KEY_BYTES_MAX) return answer(call, BAD_FORMAT);
  const lifetime = parseI32(call.words[2]!);
  if (lifetime === null) return answer(call, BAD_EXPTIME);
  const item = store.find(key, true);
  counters.cmd_touch++;
  if (item === null) {
    counters.touch_misses++;
    return answer(call, "NOT_FOUND");
  }
  counters.touch_hits++;
  item.exptime = time.due(lifetime);
  answer(call, "TOUCHED");
}

function runDelete(call: Call): void {
  const { store, counters } = call.engine;
  const { words } = call;
  if (words.length > 2) {
    lookForNoreply(call);
    // Old clients sent a delay of 0.
    const zero = words[2] === "0";
    if (!(words.length === 3 ? zero || call.quiet : zero && call.quiet)) return answer(call, BAD_DELETE);
  }
  const key = words[1]!;
  if (key.length > KEY_BYTES_MAX) return answer(call, BAD_FORMAT);
  const item = store.find(key, false);
  if (item === null) {
    counters.delete_misses++;
    return answer(call, "NOT_FOUND");
  }
  counters.delete_hits++;
  store.unlink(item);
  answer(call, "DELETED");
}

function runFlush(call: Call): void {
  lookForNoreply(call);
  call.engine.counters.cmd_flush++;
  let delay: number | null = 0;
  if (call.words.length !== (call.quiet ? 2 : 1)) delay = parseI32(call.words[1]!);
  if (delay === null) return answer(call, BAD_EXPTIME);
  call.engine.store.flush(delay);
  answer(call, "OK");
}

function runVerbosity(call: Call): void {
  lookForNoreply(call);
  answer(call, parseU32(call.words[1]!) === null ? BAD_FORMAT : "OK");
}

function runCrawler(call: Call): void {
  const { engine, session, words } = call;
  if (words.length !== 3 || (words[1] !== "metadump" && words[1] !== "crawl")) return answer(call, "ERROR");
  const classes = crawlClasses(words[2]!);
  if (classes === "bad") return answer(call, "BADCLASS invalid class id");
  if (engine.dumping) return answer(call, BUSY);
  engine.counters.lru_crawler_starts++;
  if (words[1] === "crawl") {
    engine.store.reclaim();
    return answer(call, "OK");
  }
  const line = (item: Item): string => {
    const slab = slabClass(item.size);
    return classes === "all" || classes.has(slab) ? dumpLine(item, slab, engine.time.processStarted) : "";
  };
  session.dump(engine.store.dump(), line, "END\r\n");
}

/** The slab classes a crawl is asked for: "all", "hash" or a list of numbers with commas. */
function crawlClasses(word: string): "all" | "bad" | ReadonlySet<number> {
  if (word === "all" || word === "hash") return "all";
  const numbers = word.split(",").filter((part) => part !== "").map(parseU32);
  return numbers.every((n) => n !== null && n >= 1 && n < 64) ? new Set(numbers as number[]) : "bad";
}

function dumpLine(item: Item, slab: number, processStarted: number): string {
  let key = "";
  for (const c of item.key) {
    key += /[A-Za-z0-9\-._~]/.test(c) ? c : "%" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
  }
  const exp = item.exptime === 0 ? -1 : item.exptime + processStarted;
  return `key=${key} exp=${exp} la=${item.time + processStarted} cas=${item.cas} ` +
    `fetch=${item.fetched ? "yes" : "no"} cls=${slab} size=${item.size}\n`;
}
