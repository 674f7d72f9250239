// The items of one server: look-up with lazy expiry, the storing commands, arithmetic, flush and eviction, with
// memcached 1.6.18's rules for CAS numbers and lifetimes. One map holds them in order of use, oldest first.
//
// A value's bytes are never changed once they are in: answers on their way out may point into them.
import { latin1, textOf } from "../bytes/ascii.ts";
import { Counters } from "./counters.ts";
import { parseU64 } from "./numbers.ts";
import { CHUNK_MAX, itemSize } from "./slabs.ts";
import { UPDATE_INTERVAL, type ServerTime } from "./time.ts";

export interface Item {
  /** One character a byte. */
  readonly key: string;
  readonly flags: number;
  /** The value and its CR LF. */
  value: Uint8Array;
  /** Bytes as memcached accounts them. */
  readonly size: number;
  /** The server second it dies at; 0 is never. */
  exptime: number;
  /** The server second of its last noted use. */
  time: number;
  cas: bigint;
  /** When it was stored, counted in stores. */
  order: number;
  fetched: boolean;
  active: boolean;
  stale: boolean;
  tokenSent: boolean;
  /** Its key came as base 64 and goes out so. */
  binaryKey: boolean;
}

export type StoreMode = "set" | "add" | "replace" | "append" | "prepend" | "cas";
export type Verdict = "STORED" | "NOT_STORED" | "EXISTS" | "NOT_FOUND";

/** Beyond the command itself: what the meta commands can ask of a store. All zero for the classic ones. */
export interface StoreExtras {
  /** The CAS number the present item must have; 0n asks for none. */
  readonly wanted: bigint;
  /** An older wanted number than the present one stores all the same, as stale. */
  readonly allowStale: boolean;
  /** The CAS number to give; 0n takes the next of the server. */
  readonly given: bigint;
  /** append and prepend create the item when there is none. */
  readonly vivify: boolean;
}

export const NO_EXTRAS: StoreExtras = { wanted: 0n, allowStale: false, given: 0n, vivify: false };

export type Delta =
  | { readonly kind: "ok"; readonly item: Item; readonly digits: string }
  | { readonly kind: "missing" | "non_numeric" | "mismatch" };

export class Store {
  /** Bytes of all items. */
  bytes = 0;
  private readonly map = new Map<string, Item>();
  private lastCas = 0n;
  private stores = 0;
  /**
   * What a flush_all leaves behind: memcached's oldest_live, and for the second in which it came what was stored first. A
   * cas unique would not tell that: it may be the client's own.
   */
  private oldestLive = 0;
  private oldestOrder = 0;

  constructor(
    private readonly time: ServerTime,
    private readonly counters: Counters,
    private readonly itemBytesMax: number,
    private readonly memoryBytes: number,
  ) {}

  /** Items held, dead ones that nobody has asked for included. */
  get length(): number {
    return this.map.size;
  }

  /** The server second before which everything counts as flushed, for `stats settings`. */
  get oldest(): number {
    return this.oldestLive;
  }

  nextCas(): bigint {
    return ++this.lastCas;
  }

  /** True when an item of this shape is small enough; valueLength is with its CR LF. */
  fits(keyLength: number, flags: number, valueLength: number): boolean {
    return itemSize(keyLength, flags, valueLength) <= this.itemBytesMax;
  }

  /** An item that is not in the store yet. */
  create(key: string, flags: number, exptime: number, value: Uint8Array): Item {
    return {
      key, flags, value, exptime, size: itemSize(key.length, flags, value.length), time: 0, cas: 0n, order: 0,
      fetched: false, active: false, stale: false, tokenSent: false, binaryKey: false,
    };
  }

  /** The living item of key, or null; a dead one is dropped. use notes the use, as a fetch does. */
  find(key: string, use: boolean): Item | null {
    const item = this.map.get(key);
    if (item === undefined) return null;
    if (this.flushed(item)) {
      this.counters.get_flushed++;
      this.unlink(item);
      return null;
    }
    if (item.exptime !== 0 && item.exptime <= this.time.now()) {
      this.counters.get_expired++;
      this.unlink(item);
      return null;
    }
    if (use) this.use(item);
    return item;
  }

  /** Notes a fetch: the second one makes an item active, and only then its time is renewed. */
  use(item: Item): void {
    if (this.map.get(item.key) !== item) return;
    this.map.delete(item.key);
    this.map.set(item.key, item);
    if (!item.fetched) item.fetched = true;
    else if (!item.active) {
      item.active = true;
      this.renew(item);
    }
  }

  /** Puts a new item in under a given CAS number, or under the next one for 0n, and makes room for it. */
  link(item: Item, given: bigint): void {
    item.time = this.time.now();
    item.cas = given === 0n ? this.nextCas() : given;
    item.order = ++this.stores;
    this.map.set(item.key, item);
    this.bytes += item.size;
    this.counters.total_items++;
    for (const oldest of this.map.values()) {
      if (this.bytes <= this.memoryBytes || oldest === item) break;
      this.unlink(oldest);
      if (this.dead(oldest)) this.counters.reclaimed++;
      else this.counters.evictions++;
    }
  }

  unlink(item: Item): void {
    if (this.map.get(item.key) !== item) return;
    this.map.delete(item.key);
    this.bytes -= item.size;
  }

  /** The storing commands. When STORED, item.cas is the number the stored state has; otherwise it stays 0n. */
  store(item: Item, mode: StoreMode, extras: StoreExtras): Verdict {
    const old = this.find(item.key, false);
    if (old === null) return this.storeNew(item, mode, extras);
    const { wanted } = extras;
    const match = wanted === 0n ? "none" : wanted === old.cas ? "equal" : extras.allowStale && wanted < old.cas ? "older" : "other";
    switch (mode) {
      case "add":
        this.renew(old);
        return "NOT_STORED";
      case "cas":
        if (match === "none" || match === "other") {
          this.counters.cas_badval++;
          return "EXISTS";
        }
        if (match === "older") {
          item.exptime = old.exptime;
          item.stale = true;
          item.tokenSent = old.tokenSent;
        }
        this.counters.cas_hits++;
        break;
      case "append":
      case "prepend": {
        if (match === "other" || match === "older") return "EXISTS";
        const value = mode === "append" ? joined(old.value, item.value) : joined(item.value, old.value);
        if (!this.fits(item.key.length, old.flags, value.length)) return "NOT_STORED";
        const longer = this.create(item.key, old.flags, old.exptime, value);
        this.unlink(old);
        this.link(longer, extras.given);
        item.cas = longer.cas;
        return "STORED";
      }
      default:
        break;
    }
    this.unlink(old);
    this.link(item, extras.given);
    return "STORED";
  }

  /**
   * incr and decr. In place (same lifetime, same length, padded with blanks) when the digits fit; else in a new item,
   * and then the item returned is the old one, already out of the store, as memcached returns it.
   */
  delta(key: string, up: boolean, by: bigint, wanted: bigint): Delta {
    const item = this.find(key, false);
    if (item === null) return { kind: "missing" };
    if (item.value.length <= 2 || item.size > CHUNK_MAX) return { kind: "non_numeric" };
    if (wanted !== 0n && item.cas !== wanted) return { kind: "mismatch" };
    const value = parseU64(textOf(item.value, 0, item.value.length));
    if (value === null) return { kind: "non_numeric" };
    const digits = String(up ? BigInt.asUintN(64, value + by) : by > value ? 0n : value - by);
    if (up) this.counters.incr_hits++;
    else this.counters.decr_hits++;
    if (digits.length + 2 <= item.value.length) {
      item.value = latin1(digits.padEnd(item.value.length - 2, " ") + "\r\n");
      item.cas = this.nextCas();
      this.renew(item);
    } else {
      const longer = this.create(key, item.flags, item.exptime, latin1(digits + "\r\n"));
      this.unlink(item);
      this.link(longer, 0n);
      item.cas = longer.cas;
    }
    return { kind: "ok", item, digits };
  }

  /** flush_all: delay in seconds, or a date; 0 and below is now. */
  flush(delay: number): void {
    const from = delay > 0 ? this.time.due(delay) : this.time.now();
    this.oldestLive = from - 1;
    if (this.oldestLive > this.time.now()) return;
    this.nextCas();
    this.oldestOrder = this.stores;
  }

  /** Drops what is dead, as a run of the LRU crawler does. */
  reclaim(): void {
    for (const item of [...this.map.values()]) {
      if (!this.dead(item)) continue;
      this.unlink(item);
      this.counters.reclaimed++;
    }
  }

  /** The living items as a dump meets them: those present now, each looked at when its turn comes, none twice. */
  *dump(): Generator<Item> {
    for (const key of [...this.map.keys()]) {
      const item = this.map.get(key);
      if (item !== undefined && !this.dead(item)) yield item;
    }
  }

  private storeNew(item: Item, mode: StoreMode, extras: StoreExtras): Verdict {
    if (mode === "cas") {
      this.counters.cas_misses++;
      return "NOT_FOUND";
    }
    if (mode !== "set" && mode !== "add" && !(extras.vivify && mode !== "replace")) return "NOT_STORED";
    this.link(item, extras.given);
    return "STORED";
  }

  private renew(item: Item): void {
    const now = this.time.now();
    if (item.time < now - UPDATE_INTERVAL) item.time = now;
  }

  private flushed(item: Item): boolean {
    if (this.oldestLive === 0 || this.oldestLive > this.time.now()) return false;
    return item.time <= this.oldestLive || item.order <= this.oldestOrder;
  }

  /** What the background of memcached reclaims: one second later than what a fetch no longer returns. */
  private dead(item: Item): boolean {
    return (item.exptime !== 0 && item.exptime < this.time.now()) || this.flushed(item);
  }
}

/** Two values, each with its CR LF, as one. */
function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const out = new Uint8Array(first.length - 2 + second.length);
  out.set(first.subarray(0, first.length - 2));
  out.set(second, first.length - 2);
  return out;
}
