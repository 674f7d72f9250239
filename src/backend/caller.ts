// Whoever asks a backend something: the lane tells it what came back. `role` is the caller's own number for this one
// question (it may have several under way).
import type { ValueView } from "../protocol/reply.ts";
import type { StatusCode } from "../protocol/reply.ts";
import type { FailureReason } from "./reasons.ts";

export interface Caller {
  /**
   * What it keeps of an answer it holds (bytes/lent.ts). An item may be told to it in parts though it is whole; to all
   * others up to GATHER_BYTES_MAX in one array.
   */
  readonly holds: boolean;
  /**
   * One item of the answer, valid only during the call (its bytes may be kept). For a meta command it is the whole
   * answer; otherwise more items and the final onReply follow. Returns false when the item was not asked for: the
   * lane then closes.
   */
  onValue(role: number, value: ValueView): boolean;
  /** The next bytes of an item that began with value.partial; last with its CR LF. */
  onChunk(role: number, bytes: Uint8Array, start: number, end: number, last: boolean): void;
  /** One STAT line, without CR LF. */
  onLine(role: number, bytes: Uint8Array, start: number, end: number): void;
  /** The answer's last (mostly only) line, with its CR LF. The question is settled. */
  onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void;
  /** No answer will come. sent: the server may have got the request and may have executed it. */
  onFailure(role: number, reason: FailureReason, sent: boolean): void;
  /** The lane that wait() was called on serves now. */
  onReady(role: number): void;
}

/** A caller that wants none of it: base of those that override what they need. */
export abstract class SilentCaller implements Caller {
  get holds(): boolean {
    return false;
  }
  onValue(_role: number, _value: ValueView): boolean {
    return false;
  }
  onChunk(_role: number, _bytes: Uint8Array, _start: number, _end: number, _last: boolean): void {}
  onLine(_role: number, _bytes: Uint8Array, _start: number, _end: number): void {}
  onReply(_role: number, _status: StatusCode, _bytes: Uint8Array, _start: number, _end: number): void {}
  onFailure(_role: number, _reason: FailureReason, _sent: boolean): void {}
  onReady(_role: number): void {}
}
