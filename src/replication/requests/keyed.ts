// What every request on one key has: its place (pair and lane) and the bytes of its line.
import { textOf } from "../../bytes/ascii.ts";
import type { Lane } from "../../backend/lane.ts";
import type { Server } from "../../backend/server.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import { countRefusal } from "../../observe/counters.ts";
import { serverError } from "../../protocol/answers.ts";
import type { RequestReader } from "../../protocol/request.ts";
import { describe, type Pair, PRIMARY, type Side } from "../pair.ts";
import type { Pool } from "../pool.ts";
import { type Client, Slot } from "./slot.ts";

export abstract class Keyed extends Slot {
  readonly pair: Pair;
  readonly laneIndex: number;
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  private text: string | null = null;
  /** Why each side did not answer, for the client's error line. */
  private why: (FailureReason | null)[] | null = null;

  /** The pool has just routed the reader's key; bytes hold the line that the reader describes. */
  constructor(client: Client, readonly pool: Pool, reader: RequestReader, bytes: Uint8Array) {
    super(client, reader.op);
    this.pair = pool.pair;
    this.laneIndex = pool.laneIndex;
    this.bytes = bytes;
    this.keyStart = reader.keyStart;
    this.keyEnd = reader.keyEnd;
    this.mute = reader.noreply;
  }

  abstract start(): void;

  /** The key as a map entry's name; made when first needed. */
  get key(): string {
    return (this.text ??= textOf(this.bytes, this.keyStart, this.keyEnd));
  }

  override about(): { readonly key: string; readonly servers: string } {
    const { primary, backup } = this.pair;
    return { key: this.key, servers: backup === null ? primary.label : `${primary.label},${backup.label}` };
  }

  lane(side: Side): Lane {
    return this.server(side).lanes[this.laneIndex]!;
  }

  server(side: Side): Server {
    return this.pair.server(side)!;
  }

  protected blame(side: Side, reason: FailureReason): void {
    (this.why ??= [null, null])[side] = reason;
  }

  /** Ends with one line that says what was wanted and what each side did. */
  protected fail(what: "no server can answer" | "no server can take it" | "no server can decide it" | "outcome unknown"): void {
    const { counters } = this.pool;
    counters.proxy_errors++;
    counters[what === "outcome unknown" ? "error_unknown_outcome" : "error_no_server"]++;
    if (this.mute) counters.noreply_failed++;
    this.answer(serverError(`${what} (${describe(this.pair, this.why)})`));
  }

  /** memcached's own error line at bytes[start…] is what the client is told. */
  protected refused(bytes: Uint8Array, start: number): void {
    countRefusal(this.pool.counters, bytes, start);
  }

  protected isKey(bytes: Uint8Array, start: number, end: number): boolean {
    const length = this.keyEnd - this.keyStart;
    if (end - start !== length) return false;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== this.bytes[this.keyStart + i]) return false;
    return true;
  }

  /** Why a side cannot be asked right now. */
  protected absence(side: Side): FailureReason {
    return this.server(side).state === "down" ? "down" : "closed";
  }

  /** The side to wait for when none can be asked now: one whose lane is being opened. -1: none. */
  protected opening(first: Side): Side | -1 {
    if (this.isOpening(first)) return first;
    const second = (1 - first) as Side;
    return this.pair.backup !== null && this.isOpening(second) ? second : -1;
  }

  private isOpening(side: Side): boolean {
    const lane = this.lane(side);
    return !lane.ready && this.server(side).isOpening(lane);
  }
}

/** Where a key without an entry is led, or the primary. */
export function leadFor(pair: Pair, keyed: { readonly key: string }): Side {
  if (pair.stale.size === 0) {
    const usual = pair.usualLead;
    if (usual !== -1) return usual;
    if (pair.backup === null) return PRIMARY;
  }
  return pair.leadOf(keyed.key);
}
