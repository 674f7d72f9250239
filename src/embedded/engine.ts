// What the commands work on (one server's state) and with (the connection a command came from), so that they need
// not know the server or its sockets.
import type { Counters } from "./counters.ts";
import type { Item, Store } from "./store.ts";
import type { ServerTime } from "./time.ts";

export interface Settings {
  readonly version: string;
  /** The version is at least 1.6.27: the meta commands know E and x. */
  readonly tokens: boolean;
  readonly pid: number;
  readonly itemBytesMax: number;
  readonly memoryBytes: number;
  readonly connectionsMax: number;
  readonly shortStats: boolean;
}

export interface Engine {
  readonly settings: Settings;
  readonly time: ServerTime;
  readonly store: Store;
  readonly counters: Counters;
  /** A dump is on its way to some connection: no second one may start. */
  dumping: boolean;
  /** Open connections with their file numbers, lowest first. */
  connections(): readonly ConnectionView[];
}

/** A connection as `stats conns` shows it. */
export interface ConnectionView {
  readonly fd: number;
  readonly remote: string;
  readonly local: string;
  readonly state: string;
  /** The server second of the last command. */
  readonly lastCommand: number;
}

/** What a command may do to the connection it came from. */
export interface Session {
  readonly local: string;
  /** Answers with bytes of characters 0-255, as they are. */
  write(text: string): void;
  /** Answers with an item's value and its CR LF, by reference. */
  writeValue(value: Uint8Array): void;
  /** The next length bytes of input are a value: done is called with them, its own array. */
  readValue(length: number, done: (value: Uint8Array) => void): void;
  /** The next length bytes of input are thrown away, and only then the line is answered, unless it is null. */
  swallow(length: number, line: string | null): void;
  /** Streams a line for each item, then the last text; commands wait until it is through. */
  dump(items: Iterator<Item>, line: (item: Item) => string, last: string): void;
  /** Ends the connection once what is answered has left. */
  close(): void;
}

export const KEY_BYTES_MAX = 250;

/** True when the value read ends as it must. */
export function endsInCrLf(value: Uint8Array): boolean {
  return value[value.length - 2] === 13 && value[value.length - 1] === 10;
}
