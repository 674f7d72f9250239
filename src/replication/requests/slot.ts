// What a client is owed for one request. Slots of a client form a queue in the order of its requests; only the head
// may speak, the others keep their answer until they are head. So answers leave in the order of the questions.
//
//   client ─▶ [slot done, head: speaks] ─▶ [slot waiting] ─▶ [slot done: keeps its answer]
import { SilentCaller } from "../../backend/caller.ts";
import { hold, release } from "../../bytes/lent.ts";
import { Op, type OpCode } from "../../protocol/commands.ts";

/** What a client sees of a lane. */
export interface Upstream {
  /** What waits to be sent on it. */
  readonly out: { readonly total: number };
  /** Stops reading from it for at most ms. */
  hold(ms: number): void;
  release(): void;
}

/** What replication sees of a client. */
export interface Client {
  /** Gone: nothing more is owed. */
  readonly closed: boolean;
  /** Bytes that wait to leave. */
  readonly backlog: number;
  /** Sends bytes of the head slot; large ones are kept by reference. */
  emit(bytes: Uint8Array, start: number, end: number): void;
  /** A slot has said all. */
  slotDone(slot: Slot): void;
  /** No further request is read until resume(): the one just taken must be placed first. */
  block(): void;
  resume(): void;
  /** Ends the connection: an answer that began cannot be finished. */
  cut(why: string): void;
  /** Reads no more requests until the lane has room. */
  awaitRoom(lane: Upstream): void;
  /** The lane is read no further until this client's backlog has left. */
  holdLane(lane: Upstream): void;
}

/** Part of an answer that waits for its turn. */
interface Piece {
  bytes: Uint8Array;
  start: number;
  end: number;
}

export abstract class Slot extends SilentCaller {
  next: Slot | null = null;
  /** The client's oldest unanswered request. */
  head = false;
  /** It has said all it will. */
  done = false;
  /** noreply: nothing is said. */
  mute = false;
  /** Part of the answer has been given to the client: it cannot be taken back. */
  spoken = false;
  private pieces: Piece[] | null = null;
  /** When it came, ms; set by its client. */
  begunMs = 0;

  /** op: what was asked; UNKNOWN for lines that tandem answers by itself. */
  constructor(readonly client: Client, readonly op: OpCode) {
    super();
  }

  /** For the log: its key, or the first of many, and the servers that keep it; "" where there is none. */
  about(): { readonly key: string; readonly servers: string } {
    return { key: "", servers: "" };
  }

  /** Says bytes[start, end) as the next part of the answer. The bytes must not change afterwards. */
  protected say(bytes: Uint8Array, start: number, end: number): void {
    if (this.mute || this.client.closed) return;
    if (this.head) {
      this.spoken = true;
      this.client.emit(bytes, start, end);
    } else {
      hold(bytes);
      (this.pieces ??= []).push({ bytes, start, end });
    }
  }

  /** The answer is complete. */
  protected finish(): void {
    this.done = true;
    this.client.slotDone(this);
  }

  /** Says one constant line and finishes. */
  protected answer(line: Uint8Array): void {
    this.say(line, 0, line.length);
    this.finish();
  }

  /** Takes back what was kept for later; false when some of it has left. */
  protected unsay(): boolean {
    this.pieces = null;
    return !this.spoken;
  }

  /** The client made it the head: what was kept leaves now. */
  promote(): void {
    this.head = true;
    const pieces = this.pieces;
    if (pieces === null) return;
    this.pieces = null;
    if (this.client.closed) return;
    this.spoken = true;
    for (const { bytes, start, end } of pieces) {
      this.client.emit(bytes, start, end);
      release(bytes);
    }
  }
}

/** A request that tandem answers by itself. */
export class Said extends Slot {
  constructor(client: Client, private readonly line: Uint8Array) {
    super(client, Op.UNKNOWN);
  }
  start(): void {
    this.answer(this.line);
  }
}
