// All that the supervisor and its workers say to each other, one JSON text a message. Both are the same binary, so what
// arrives is what was sent; a text that is not is a bug, and ends the worker it came from or went to. Pools have numbers
// among them, which are never used again: while settings change, one may have gone here and be there still.
import type { ProxyConfig } from "../config/config.ts";
import type { VerbOutcome } from "../observe/admin.ts";
import type { LogFields } from "../observe/log.ts";
import type { Report } from "../observe/report.ts";
import type { Address } from "../platform/platform.ts";

/** What comes with other settings: the numbers of their pools, and places of ports. */
export interface Committed {
  readonly pools: readonly number[];
  /** Those that stay or are new, each with its pool. */
  readonly places: readonly (readonly [place: number, pool: number])[];
  readonly gone: readonly number[];
}

/** Supervisor → worker. */
export type Order =
  /** First of all: what to serve. Not read from files and flags again, or a worker that starts later might differ. */
  | { readonly t: "begin"; readonly number: number; readonly config: ProxyConfig; readonly pools: readonly number[]; readonly verbosity: number }
  /** Accept clients of a pool from the port at this place; answered with `accepting`. */
  | { readonly t: "accept"; readonly place: number; readonly pool: number; readonly address: Address }
  /** Accept no more from it. */
  | { readonly t: "leave"; readonly place: number }
  /** So many more clients of a pool may be connected, or fewer when below 0; 0: there is no room for more anywhere. */
  | { readonly t: "room"; readonly pool: number; readonly clients: number }
  /** Give back room for so many clients of a pool, or what is not used of it; answered with `gave`. */
  | { readonly t: "give"; readonly pool: number; readonly clients: number }
  /** Say what you know of yourself; answered with `report`. */
  | { readonly t: "tell"; readonly ask: number }
  /** The sum of what all know, as asked for by `sum`. */
  | { readonly t: "summed"; readonly ask: number; readonly report: Report }
  /** Take a server out of reads, or put it back; answered with `drained`. force: whatever its peers are. */
  | { readonly t: "drain"; readonly ask: number; readonly server: string; readonly drained: boolean; readonly force: boolean }
  /** Could you take these settings? Answered with `prepared`; nothing changes yet. */
  | { readonly t: "prepare"; readonly ask: number; readonly config: ProxyConfig }
  /** Take what you prepared last; answered with `committed`. */
  | { readonly t: "commit"; readonly ask: number } & Committed
  /** Rings that are to change wait no longer; answered with `hastened`. */
  | { readonly t: "hasten"; readonly ask: number }
  /** What you prepared does not come, nor are these places any use. */
  | { readonly t: "forget"; readonly ask: number; readonly gone: readonly number[] }
  /** A client of another worker asked for counters to begin again at 0. */
  | { readonly t: "reset"; readonly pool: number }
  /** Another worker has come; all that there are, once `company` follows; or it is gone. */
  | { readonly t: "joined"; readonly worker: number }
  | { readonly t: "company" }
  | { readonly t: "gone"; readonly worker: number }
  /** What another worker's pool has to say to this one's. */
  | { readonly t: "tell it"; readonly pool: number; readonly from: number; readonly word: unknown }
  /** Accept no more, answer what was asked for at most so long, and leave. */
  | { readonly t: "stop"; readonly drainMs: number }
  /** Accept no more, serve those that are there for at most so long, and leave. */
  | { readonly t: "retire"; readonly drainMs: number };

/** Worker → supervisor. */
export type Word =
  /** It can be told to accept. */
  | { readonly t: "ready" }
  /** It cannot work. */
  | { readonly t: "failed"; readonly reason: string }
  /** It knows what the others know of these pools: it may serve them. Said when it has changed. */
  | { readonly t: "met"; readonly pools: readonly number[] }
  /** For the same pool of the others, or of one; order is kept. */
  | { readonly t: "tell"; readonly pool: number; readonly word: unknown; readonly to: number }
  | { readonly t: "accepting"; readonly place: number }
  /** It has said nothing for a while, and works. */
  | { readonly t: "alive" }
  /** Clients of each pool; said when it has changed. */
  | { readonly t: "load"; readonly clients: readonly (readonly [pool: number, clients: number])[] }
  /** A client came that it has no room for, and waits. */
  | { readonly t: "full"; readonly pool: number }
  | { readonly t: "gave"; readonly pool: number; readonly clients: number }
  | { readonly t: "report"; readonly ask: number; readonly report: Report }
  | { readonly t: "drained"; readonly ask: number; readonly outcome: VerbOutcome }
  /** reason: why it cannot take them; null: it can. */
  | { readonly t: "prepared"; readonly ask: number; readonly reason: string | null }
  /** What has changed, in words. */
  | { readonly t: "committed"; readonly ask: number; readonly changes: readonly string[] }
  /** changing: there are rings that are to change. */
  | { readonly t: "hastened"; readonly ask: number; readonly changing: boolean }
  /** Rings have begun to change, or have changed; said when it is so. */
  | { readonly t: "rings"; readonly changing: boolean }
  | { readonly t: "sum"; readonly ask: number }
  | { readonly t: "reset"; readonly pool: number }
  /** A line for the one log. */
  | { readonly t: "log"; readonly level: "info" | "warn" | "error" | "debug"; readonly message: string; readonly fields: LogFields };

export function encode(message: Order | Word): string {
  return JSON.stringify(message);
}

export function decodeOrder(text: string): Order {
  return JSON.parse(text) as Order;
}

export function decodeWord(text: string): Word {
  return JSON.parse(text) as Word;
}
