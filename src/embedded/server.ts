// A small, correct memcached in memory: the servers of `tandem dev` and the peers of the simulator. It answers byte
// for byte as memcached 1.6.18 does, CAS numbers included; the end-to-end test compares the two. Nothing in it depends
// on anything but its input and the clock it is given, and how the input is cut into pieces never matters.
//
// Where it differs from memcached on purpose:
// - An answer never depends on how the bytes arrived. memcached 1.6.18 drops answers not yet sent when a later get of
//   the same packet has too long a key, refuses a dump or a watch behind other commands of the same packet, leaves
//   commands behind a dump lying until more input comes, lets a line of more than 2 KiB pass when it arrives in one
//   piece, and forgets unsent answers when it ends a connection over its input. Here those answers are sent, the
//   dump starts, what follows it runs, and only get and gets may be longer.
// - Counting is in place whenever the digits fit. memcached takes a new item, without the padding, while a mg of the
//   same packet or its own background (a second fetch of a cold item) still holds the old one.
// - Dead and flushed items go when they are asked for, when room is needed or on `lru_crawler crawl`, never in the
//   background: curr_items, bytes, get_expired and get_flushed can be higher than memcached's.
// - One LRU by use for all sizes, bounded by the sum of item sizes; no slabs, no segments. The access time (`la`, and
//   the l flag) is renewed by the second fetch only, if 60 seconds have passed; memcached's maintainer allows more.
// - A dump shows each item once, in order of use, and what a second dump meanwhile gets is BUSY; memcached's order is
//   that of its hash table, and its second client hangs.
// - Counting looks at the value only. memcached reads on into the memory behind it: a value of white space may be a
//   number there, and one of 2^63 or more may be none.
// - In `stats`, what has no counterpart here is 0; `stats items`, `slabs`, `sizes` and `detail dump` are empty.
// - No binary protocol (a first byte of 0x80 ends the connection), no UDP, SASL, TLS, watch, slabs, lru, extstore,
//   cache_memlimit or cachedump, and of lru_crawler only metadump and crawl: the rest answers ERROR.
// - From 1.6.27 on the flags E and x, N with the append modes of ms, and the silent vivifying ma are the newer ones;
//   everything else stays as in 1.6.18.
import { textOf } from "../bytes/ascii.ts";
import { TailPool } from "../bytes/outbound.ts";
import type { Turn } from "../bytes/turn.ts";
import type { Clock, Random, SocketHandlers } from "../platform/platform.ts";
import { Connection, type Home } from "./connection.ts";
import { Counters } from "./counters.ts";
import type { Engine, Settings } from "./engine.ts";
import { Store } from "./store.ts";
import { ServerTime } from "./time.ts";

/** File numbers of connections start here, as in a real memcached with one listener. */
const FIRST_FD = 24;

export interface MemoryServerOptions {
  /** Largest item, header and key included, bytes. Default 1 MiB. */
  readonly itemBytesMax?: number;
  /** All items together, bytes; the least recently used go first. Default 64 MiB. */
  readonly memoryBytes?: number;
  /** The version it says it is; 1.6.27 and later know the meta flag E. Default "1.6.18". */
  readonly version?: string;
  /** Default: by the dice if there are any, else 1. */
  readonly pid?: number;
  /** When it says it started, seconds since 1970. Default: now. */
  readonly startSeconds?: number;
  /** One more connection is refused with memcached's line. Default 1024. */
  readonly connectionsMax?: number;
  /** `stats` and `stats settings` say only what tandem asks for: in simulations they would be most of the traffic. */
  readonly shortStats?: boolean;
}

export class MemoryServer implements Home {
  readonly engine: Engine;
  readonly turn: Turn;
  readonly pool = new TailPool();
  readonly text: typeof textOf;
  /** Open connections, by file number from FIRST_FD. */
  private readonly open: (Connection | undefined)[] = [];

  /** text: a runtime may know a faster way than the plain one. */
  constructor(deps: { clock: Clock; random?: Random; turn: Turn; text?: typeof textOf }, options: MemoryServerOptions = {}) {
    this.text = deps.text ?? textOf;
    const version = options.version ?? "1.6.18";
    const settings: Settings = {
      version,
      tokens: atLeast(version, [1, 6, 27]),
      pid: options.pid ?? (deps.random === undefined ? 1 : 2 + (deps.random.u32() % 32766)),
      itemBytesMax: options.itemBytesMax ?? 1024 * 1024,
      memoryBytes: options.memoryBytes ?? 64 * 1024 * 1024,
      connectionsMax: options.connectionsMax ?? 1024,
      shortStats: options.shortStats ?? false,
    };
    const time = new ServerTime(deps.clock, options.startSeconds);
    const counters = new Counters();
    const store = new Store(time, counters, settings.itemBytesMax, settings.memoryBytes);
    this.turn = deps.turn;
    this.engine = { settings, time, counters, store, dumping: false, connections: () => this.list() };
  }

  /** The owner of one new connection: what Net.listen's onAccept returns. */
  accept(): SocketHandlers {
    return new Connection(this);
  }

  /** Items held, dead ones nobody has asked for included. */
  get items(): number {
    return this.engine.store.length;
  }

  /** Bytes of all items, as memcached accounts them. */
  get bytes(): number {
    return this.engine.store.bytes;
  }

  /** Open connections. */
  get connections(): number {
    return this.list().length;
  }

  /** Values of `stats` by name, such as cmd_get or evictions, since the start or the last `stats reset`. */
  get stats(): Readonly<Record<keyof Omit<Counters, "reset">, number>> {
    return { ...this.engine.counters };
  }

  enter(connection: Connection): number | null {
    if (this.connections >= this.engine.settings.connectionsMax) {
      this.engine.counters.rejected_connections++;
      return null;
    }
    this.engine.counters.total_connections++;
    const free = this.open.indexOf(undefined);
    const at = free === -1 ? this.open.length : free;
    this.open[at] = connection;
    return FIRST_FD + at;
  }

  leave(connection: Connection): void {
    const at = this.open.indexOf(connection);
    if (at !== -1) this.open[at] = undefined;
  }

  private list(): Connection[] {
    return this.open.filter((connection) => connection !== undefined);
  }
}

/** True when a version of numbers with dots is at least the one given. */
function atLeast(version: string, least: readonly number[]): boolean {
  const parts = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  for (let i = 0; i < least.length; i++) {
    const part = parts[i] ?? 0;
    if (part !== least[i]) return part > least[i]!;
  }
  return true;
}
