// What a pool is given: its servers with their rings, and its policies. Plain data but for the rings.
import type { Address } from "../platform/platform.ts";
import type { Ring } from "../ring/ring.ts";
import type { ProxiesOptions } from "./proxies/board.ts";
import type { PaceLimits } from "./copying/pace.ts";
import type { Side } from "./pair.ts";
import type { SiblingsEnd } from "./proxies/siblings.ts";

export interface PoolServer {
  readonly label: string;
  readonly weight?: number;
  readonly address: Address;
  readonly zone?: string;
}

/** Who writes down what becomes of rings that change, at once. */
export interface RingsKeeper {
  /** The ring of a side is replaced next; from then on its servers may lack keys. */
  replaces(side: Side): void;
  /** They lack none any more. */
  filled(): void;
  /** All rings have changed. */
  over(): void;
}

export interface PoolOptions {
  readonly name: string;
  readonly primaries: readonly PoolServer[];
  readonly backups: readonly PoolServer[];
  /** What all proxies over these servers must have in common, and its digest. */
  readonly placement: string;
  readonly fingerprint: string;
  /** Digest of what decides where keys are. */
  readonly rings: string;
  /** The zone whose copies are asked first by a get; "": the primary always. */
  readonly near: string;
  /** How long a change of rings waits for a server that is needed for it, ms. */
  readonly transitionMs: number;
  readonly primaryRing: Ring;
  /** Null without backups. */
  readonly backupRing: Ring | null;
  readonly lanes: number;
  readonly ack: "both" | "lead" | "any";
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly itemBytesMax: number;
  /** A request that takes as long is told of in the log, ms; 0: none is. */
  readonly slowMs: number;
  readonly proxies: ProxiesOptions;
  readonly refill: PaceLimits;
  /** The way to the other workers of this proxy; null when there are none. */
  readonly siblings: SiblingsEnd | null;
  /** Null: nobody needs to know after us. */
  readonly keeper: RingsKeeper | null;
  /** Gets of one key that wait in one unsent batch are one question to the server. */
  readonly shareGets: boolean;
  readonly comeback: { readonly rejoin: "wait" | "fast"; readonly missedKeysMax: number };
}
