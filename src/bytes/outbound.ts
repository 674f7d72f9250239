// Bytes on their way out of one socket. Small pieces are copied together so that a turn leaves in one write; large
// ones are referenced, not copied. What the kernel did not take waits here, in order.
//
//   head ─▶ [piece: start..end) [piece) … [tail buffer: ....used )        total = bytes waiting
import { borrowed, hold, LENT_BYTES_MIN, release } from "./lent.ts";

/** Tail buffers come in two sizes: most turns need little, and a value of some KiB should still leave in one write. */
const SMALL_BYTES = 4 * 1024, LARGE_BYTES = 64 * 1024;
/** Free tails kept of each size. */
const SMALL_KEPT = 1024, LARGE_KEPT = 64;
/** From here on a piece is referenced instead of copied: the copy would cost more than a write of its own. */
const REFERENCE_BYTES = 32 * 1024;

/** Copies source[start, end) to target[at, …). A runtime may know a faster way than the plain one. */
export type Copy = (source: Uint8Array, start: number, end: number, target: Uint8Array, at: number) => void;

/** Below this a byte loop beats the call into TypedArray.set. */
const LOOP_BYTES = 48;

export function plainCopy(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  const length = end - start;
  if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) target[at + i] = source[start + i]!;
  else target.set(source.subarray(start, end), at);
}

/** Tail buffers between uses: thousands of idle connections share a few. One per proxy. */
export class TailPool {
  private readonly small: Uint8Array[] = [];
  private readonly large: Uint8Array[] = [];

  constructor(readonly copy: Copy = plainCopy) {}

  /** A buffer with room for at least length bytes (at most LARGE_BYTES). */
  take(length: number): Uint8Array {
    if (length <= SMALL_BYTES) return this.small.pop() ?? new Uint8Array(SMALL_BYTES);
    return this.large.pop() ?? new Uint8Array(LARGE_BYTES);
  }

  give(tail: Uint8Array): void {
    if (tail.length === SMALL_BYTES) {
      if (this.small.length < SMALL_KEPT) this.small.push(tail);
    } else if (this.large.length < LARGE_KEPT) this.large.push(tail);
  }
}

/** What Outbound needs of a socket. */
export interface Sink {
  write(bytes: Uint8Array, start: number, end: number): number;
}

interface Piece {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** A tail of the pool's, which gets it back. */
  tail: boolean;
}

export class Outbound {
  /** Bytes waiting. */
  total = 0;
  /** Bytes the kernel has taken since reset(). */
  taken = 0;
  /** True after a partial write until drained() is called: the kernel is full. */
  blocked = false;
  /** Null while it has none: thousands of connections are idle. */
  private pieces: Piece[] | null = null;
  private tail: Uint8Array | null = null;
  private tailStart = 0;
  private tailUsed = 0;

  constructor(private readonly pool: TailPool) {}

  /** Appends bytes[start, end); a large piece is kept by reference (and held), so the caller must not change it afterwards. */
  push(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (this.tailStart === this.tailUsed && this.continues(bytes, start, end)) return;
    // One that leaves alone needs no copy either.
    if (length >= REFERENCE_BYTES || (length >= LENT_BYTES_MIN && this.total === 0)) return this.refer(bytes, start, end);
    const at = this.reserve(length);
    this.pool.copy(bytes, start, end, this.tail!, at);
  }

  private refer(bytes: Uint8Array, start: number, end: number): void {
    this.sealTail();
    const pieces = (this.pieces ??= []);
    if (this.blocked && borrowed(bytes)) pieces.push({ bytes: bytes.slice(start, end), start: 0, end: end - start, tail: false });
    else {
      hold(bytes);
      pieces.push({ bytes, start, end, tail: false });
    }
    this.total += end - start;
  }

  /** What is borrowed for this turn goes back after it. */
  private block(): void {
    this.blocked = true;
    if (this.pieces !== null) for (const piece of this.pieces) {
      const { bytes, start, end } = piece;
      if (piece.tail || !borrowed(bytes)) continue;
      piece.bytes = bytes.slice(start, end);
      piece.start = 0;
      piece.end = end - start;
      release(bytes);
    }
  }

  /** What follows the last piece in its own array goes with it: an END behind its value, in one write. */
  private continues(bytes: Uint8Array, start: number, end: number): boolean {
    const { pieces } = this;
    if (pieces === null) return false;
    const piece = pieces[pieces.length - 1]!;
    if (piece.bytes !== bytes || piece.end !== start || piece.tail) return false;
    piece.end = end;
    this.total += end - start;
    return true;
  }

  /** Makes room for length bytes (fewer than 32 KiB) and returns where in `buffer` they start; the caller fills them. */
  reserve(length: number): number {
    const tail = this.tail;
    if (tail === null || this.tailUsed + length > tail.length) this.widen(length);
    const at = this.tailUsed;
    this.tailUsed += length;
    this.total += length;
    return at;
  }

  /** A small tail that is full moves into a large one; a large one is sealed. */
  private widen(length: number): void {
    const tail = this.tail;
    if (tail === null || this.tailStart === this.tailUsed || tail.length !== SMALL_BYTES) {
      this.sealTail();
      this.tail = this.pool.take(length);
      return;
    }
    const wide = this.pool.take(LARGE_BYTES);
    wide.set(tail.subarray(this.tailStart, this.tailUsed));
    this.tail = wide;
    this.tailUsed -= this.tailStart;
    this.tailStart = 0;
    this.pool.give(tail);
  }

  /** The array that reserve's offset points into, until the next call. */
  get buffer(): Uint8Array {
    return this.tail!;
  }

  /** Offers everything that waits to the sink, in order. False when some of it must wait for a drain. */
  flush(sink: Sink): boolean {
    if (this.blocked) return false;
    while (this.pieces !== null) {
      const piece = this.pieces[0]!;
      const taken = sink.write(piece.bytes, piece.start, piece.end);
      this.total -= taken;
      this.taken += taken;
      piece.start += taken;
      if (piece.start < piece.end) {
        this.block();
        return false;
      }
      if (this.pieces.length === 1) this.pieces = null;
      else this.pieces.shift();
      if (piece.tail) this.pool.give(piece.bytes);
      else release(piece.bytes);
    }
    if (this.tailStart < this.tailUsed) {
      const taken = sink.write(this.tail!, this.tailStart, this.tailUsed);
      this.total -= taken;
      this.taken += taken;
      this.tailStart += taken;
      if (this.tailStart < this.tailUsed) {
        this.blocked = true;
        return false;
      }
      this.pool.give(this.tail!);
      this.tail = null;
      this.tailStart = this.tailUsed = 0;
    }
    return true;
  }

  /** The kernel has room again. */
  drained(): void {
    this.blocked = false;
  }

  /** Forgets everything that waits. */
  clear(): void {
    this.pieces = null;
    this.tail = null;
    this.tailStart = this.tailUsed = this.total = 0;
    this.blocked = false;
  }

  /** A new connection: nothing waits, nothing was taken. */
  reset(): void {
    this.clear();
    this.taken = 0;
  }

  private sealTail(): void {
    if (this.tail !== null && this.tailStart < this.tailUsed) {
      (this.pieces ??= []).push({ bytes: this.tail, start: this.tailStart, end: this.tailUsed, tail: true });
    }
    this.tail = null;
    this.tailStart = this.tailUsed = 0;
  }
}
