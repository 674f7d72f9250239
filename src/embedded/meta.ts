// The meta commands mg, ms, md, ma, me and mn, with memcached 1.6.18's flags and quirks, and with E (a CAS number of
// the client's choice) and x (drop the value only) when the version says 1.6.27 or later.
import { latin1 } from "../bytes/ascii.ts";
import { endsInCrLf, KEY_BYTES_MAX, type Engine, type Session } from "./engine.ts";
import { echo, keyFlag, OPAQUE_MAX, parseMeta, timeLeft, tooLongOpaque, type Meta } from "./meta_flags.ts";
import { decodeBase64, encodeBase64, parseI32 } from "./numbers.ts";
import { slabClass } from "./slabs.ts";
import type { Item, StoreMode, Verdict } from "./store.ts";

const BAD_FORMAT = "CLIENT_ERROR bad command line format";
const BAD_FLAG = "CLIENT_ERROR invalid or duplicate flag";
const LONG_OPAQUE = "CLIENT_ERROR opaque token too long";
const LONG_FLAGS = "CLIENT_ERROR options flags too long";
/** More words than this are too many flags, the command and its key included. */
const WORDS_MAX = 19;
const EMPTY_VALUE = latin1("\r\n");

/** Runs a command of two letters that begins with m. */
export function runMeta(engine: Engine, session: Session, words: readonly string[]): void {
  const name = words[0]!;
  if (name === "mn") return session.write("MN\r\n");
  if (name === "me") return runDebug(engine, session, words);
  const run = name === "mg" ? runGet : name === "ms" ? runSet : name === "md" ? runDelete : name === "ma" ? runArithmetic : null;
  if (run === null || words.length < 2) return session.write("ERROR\r\n");
  if (words[1]!.length > KEY_BYTES_MAX || (name === "ms" && words.length === 2)) return say(session, BAD_FORMAT);
  if (words.length >= WORDS_MAX + 1) return say(session, name === "mg" ? "CLIENT_ERROR options flags are too long" : LONG_FLAGS);
  run(engine, session, words);
}

function say(session: Session, line: string): void {
  session.write(line + "\r\n");
}

function runGet(engine: Engine, session: Session, words: readonly string[]): void {
  const meta = parseMeta(engine, words, 2);
  if (typeof meta === "string") return say(session, meta);
  const { store, counters } = engine;
  // These flags want to see the item as it was before this use.
  const late = meta.flags.some((flag) => "NTRlh".includes(flag[0]!));
  let item = store.find(meta.key, !late && !meta.noUpdate);
  let created = false;
  if (item === null && meta.vivify !== null) {
    item = store.create(meta.key, 0, 0, EMPTY_VALUE);
    store.link(item, meta.given);
    created = true;
  }
  if (item === null) {
    // A miss never counts as a touch: the flag only takes effect on a hit.
    counters.cmd_get++;
    counters.get_misses++;
    if (tooLongOpaque(meta)) say(session, LONG_OPAQUE);
    else if (!meta.quiet) say(session, "EN" + echo(meta));
    return;
  }
  const out = hit(meta, item, created);
  if (tooLongOpaque(meta)) return say(session, LONG_OPAQUE);
  if (late && !meta.noUpdate) store.use(item);
  if (meta.ttl === null) {
    counters.cmd_get++;
    counters.get_hits++;
  } else {
    counters.cmd_touch++;
    counters.touch_hits++;
  }
  say(session, out);
  if (meta.value) session.writeValue(item.value);
}

/** The status line of a hit; the flags act on the item in the order in which they stand. */
function hit(meta: Meta, item: Item, created: boolean): string {
  const now = meta.engine.time.now();
  let out = meta.value ? `VA ${item.value.length - 2}` : "HD";
  let won = false;
  for (const flag of meta.flags) {
    switch (flag[0]) {
      case "T":
        item.exptime = meta.ttl!;
        break;
      case "N":
        if (!created) break;
        item.exptime = meta.vivify!;
        won = true;
        break;
      case "R":
        if (!item.tokenSent && !created && item.exptime !== 0 && item.exptime < meta.recache!) won = true;
        break;
      case "s":
        out += ` s${item.value.length - 2}`;
        break;
      case "t":
        out += ` t${timeLeft(item, now)}`;
        break;
      case "c":
        out += ` c${item.cas}`;
        break;
      case "f":
        out += ` f${item.flags}`;
        break;
      case "l":
        out += ` l${now - item.time}`;
        break;
      case "h":
        out += item.fetched ? " h1" : " h0";
        break;
      case "O":
        if (flag.length > OPAQUE_MAX) return out;
        out += " " + flag;
        break;
      case "k":
        out += keyFlag(item.key, item.binaryKey);
        break;
    }
  }
  if (item.tokenSent) out += " Z";
  if (item.stale) {
    out += " X";
    if (!item.tokenSent) won = true;
  }
  if (won) {
    out += " W";
    item.tokenSent = true;
  }
  return out;
}

const MODES: ReadonlyMap<string, StoreMode> = new Map([
  ["", "set"], ["S", "set"], ["E", "add"], ["A", "append"], ["P", "prepend"], ["R", "replace"],
] as const);

const STATUS: Readonly<Record<Verdict, string>> = { STORED: "HD", EXISTS: "EX", NOT_FOUND: "NF", NOT_STORED: "NS" };

function runSet(engine: Engine, session: Session, words: readonly string[]): void {
  const { store, counters } = engine;
  const length = parseI32(words[2]!);
  if (length === null || length < 0 || length > 0x7fffffff - 2) return say(session, BAD_FORMAT);
  const refuse = (line: string): void => session.swallow(length + 2, line);
  const meta = parseMeta(engine, words, 3);
  if (typeof meta === "string") return refuse(meta);
  let mode = MODES.get(meta.mode);
  if (mode === undefined) return refuse("CLIENT_ERROR invalid mode for ms M token");
  if (meta.wanted !== null && (mode === "set" || mode === "replace")) mode = "cas";
  if (tooLongOpaque(meta)) return refuse(LONG_OPAQUE);
  if (!store.fits(meta.key.length, meta.clientFlags, length + 2)) {
    counters.store_too_large++;
    const old = store.find(meta.key, false);
    if (old !== null) store.unlink(old);
    return refuse("SERVER_ERROR object too large for cache");
  }
  const vivify = engine.settings.tokens && meta.vivify !== null;
  const exptime = vivify && (mode === "append" || mode === "prepend") ? meta.vivify! : (meta.ttl ?? 0);
  session.readValue(length + 2, (value) => {
    counters.cmd_set++;
    if (!endsInCrLf(value)) return say(session, "CLIENT_ERROR bad data chunk");
    const item = store.create(meta.key, meta.clientFlags, exptime, value);
    item.binaryKey = meta.binaryKey;
    const verdict = store.store(item, mode, {
      wanted: meta.wanted ?? 0n, allowStale: meta.stale && mode === "cas", given: meta.given, vivify,
    });
    if (verdict === "STORED" && meta.quiet) return;
    let out = STATUS[verdict];
    for (const flag of meta.flags) {
      if (flag[0] === "O") out += " " + flag;
      else if (flag[0] === "k") out += keyFlag(meta.key, meta.binaryKey);
      else if (flag[0] === "c") out += ` c${item.cas}`;
    }
    say(session, out);
  });
}

function runDelete(engine: Engine, session: Session, words: readonly string[]): void {
  const { store, counters } = engine;
  const meta = parseMeta(engine, words, 2);
  if (typeof meta === "string") return say(session, engine.settings.tokens ? meta : BAD_FLAG);
  if (tooLongOpaque(meta)) return say(session, LONG_OPAQUE);
  const tail = echo(meta);
  let item = store.find(meta.key, false);
  if (item === null) {
    counters.delete_misses++;
    return say(session, "NF" + tail);
  }
  if (meta.wanted !== null && item.cas !== meta.wanted) {
    counters.delete_misses++;
    return say(session, "EX" + tail);
  }
  if (meta.emptied) {
    const empty = store.create(meta.key, meta.clientFlags, meta.ttl ?? 0, EMPTY_VALUE);
    const cas = meta.hasGiven ? meta.given : item.cas;
    store.unlink(item);
    store.link(empty, cas);
    item = empty;
  }
  if (meta.stale) {
    if (meta.ttl !== null) item.exptime = meta.ttl;
    item.stale = true;
    item.tokenSent = false;
    item.cas = meta.hasGiven ? meta.given : store.nextCas();
  } else {
    counters.delete_hits++;
    if (!meta.emptied) store.unlink(item);
  }
  if (!meta.quiet) say(session, "HD" + tail);
}

function runArithmetic(engine: Engine, session: Session, words: readonly string[]): void {
  const { store, counters } = engine;
  const meta = parseMeta(engine, words, 2);
  if (typeof meta === "string") return say(session, BAD_FLAG);
  if (!["", "I", "+", "D", "-"].includes(meta.mode)) return say(session, "CLIENT_ERROR invalid mode for ma M token");
  const up = meta.mode !== "D" && meta.mode !== "-";
  const delta = store.delta(meta.key, up, meta.delta, meta.wanted ?? 0n);
  if (delta.kind === "non_numeric") return say(session, "CLIENT_ERROR cannot increment or decrement non-numeric value");
  if (delta.kind === "mismatch") return counted(session, meta, "EX");
  if (delta.kind === "missing" && meta.vivify === null) {
    if (up) counters.incr_misses++;
    else counters.decr_misses++;
    return counted(session, meta, "NF");
  }
  let item: Item;
  let digits: string;
  let created = false;
  if (delta.kind === "ok") {
    ({ item, digits } = delta);
    // As memcached does it: on the item returned, which is no longer the stored one when the digits did not fit.
    if (meta.hasGiven) item.cas = meta.given;
  } else {
    digits = String(meta.initial);
    item = store.create(meta.key, 0, 0, latin1(digits + "\r\n"));
    store.link(item, meta.given);
    created = true;
  }
  const line = counter(meta, item, digits, created);
  if (tooLongOpaque(meta)) return say(session, LONG_OPAQUE);
  if (meta.quiet && (!created || engine.settings.tokens)) return;
  say(session, meta.value ? `${line}\r\n${digits}` : line);
}

/** An answer of ma without an item. */
function counted(session: Session, meta: Meta, status: string): void {
  say(session, tooLongOpaque(meta) ? LONG_OPAQUE : status + echo(meta));
}

/** The status line of ma on an item; the flags act on it in the order in which they stand. */
function counter(meta: Meta, item: Item, digits: string, created: boolean): string {
  const now = meta.engine.time.now();
  let out = meta.value ? `VA ${digits.length}` : "HD";
  for (const flag of meta.flags) {
    switch (flag[0]) {
      case "c":
        out += ` c${item.cas}`;
        break;
      case "t":
        out += ` t${timeLeft(item, now)}`;
        break;
      case "T":
        item.exptime = meta.ttl!;
        break;
      case "N":
        if (created) item.exptime = meta.vivify!;
        break;
      case "O":
        if (flag.length > OPAQUE_MAX) return out;
        out += " " + flag;
        break;
      case "k":
        out += keyFlag(meta.key, meta.binaryKey);
        break;
    }
  }
  return out;
}

function runDebug(engine: Engine, session: Session, words: readonly string[]): void {
  if (words.length < 2 || words[1]!.length > KEY_BYTES_MAX) return say(session, BAD_FORMAT);
  let key: string | null = words[1]!;
  if (words.length > 2 && words[2] === "b") key = decodeBase64(key);
  if (key === null) return say(session, BAD_FORMAT);
  engine.counters.cmd_meta++;
  const item = engine.store.find(key, false);
  if (item === null) return say(session, "EN");
  const now = engine.time.now();
  const name = item.binaryKey ? encodeBase64(item.key) : item.key;
  const exp = item.exptime === 0 ? -1 : now - item.exptime;
  say(session, `ME ${name} exp=${exp} la=${now - item.time} cas=${item.cas} ` +
    `fetch=${item.fetched ? "yes" : "no"} cls=${slabClass(item.size)} size=${item.size}`);
}
