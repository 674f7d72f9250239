// What is read into: one array for all sockets. What comes of little is copied from it; much is lent as it stands, and the
// next read goes to another array, or to one that came back. That spares values of 20 KiB and more a copy and fresh memory.
import { Buffer } from "node:buffer";
import { type Pointer, ptr } from "bun:ffi";
import type { Received } from "./platform.ts";

/** Less than this is copied, and less than a quarter of the array. */
const LENT_BYTES_MIN = 16 * 1024;
/** From here on slice is faster, which does not fill with zeros first; below it takes half as long again. */
const SLICED_BYTES_MIN = 4096;
/** Arrays kept for the next reads, bytes. */
const SPARE_BYTES_MAX = 2 * 1024 * 1024;

/** Works on any Uint8Array. */
const copy = Buffer.prototype.copy;

export class Input {
  private array: Uint8Array<ArrayBuffer>;
  /** Where the next read goes to. */
  at: Pointer;
  private readonly spare: ArrayBuffer[] = [];
  private readonly lentMin: number;

  constructor(readonly size: number) {
    this.array = new Uint8Array(new ArrayBuffer(size));
    this.at = ptr(this.array);
    this.lentMin = Math.max(LENT_BYTES_MIN, size / 4);
  }

  /** What a read has brought: the first bytes there. */
  take(length: number): Received {
    const { array } = this;
    if (length < SLICED_BYTES_MIN) {
      const bytes = new Uint8Array(length);
      copy.call(array as unknown as Buffer, bytes, 0, 0, length);
      return bytes;
    }
    if (length < this.lentMin) return array.slice(0, length);
    const lent: Received = new Uint8Array(array.buffer, 0, length);
    lent.home = this;
    this.array = new Uint8Array(this.spare.pop() ?? new ArrayBuffer(this.size));
    this.at = ptr(this.array);
    return lent;
  }

  /** Nobody needs it any more. Moved into a buffer of its own, so that who does need it finds nothing rather than what comes next. */
  back(bytes: Uint8Array): void {
    const { buffer } = bytes as Uint8Array<ArrayBuffer>;
    if (buffer.byteLength !== this.size) return;
    const mine = buffer.transfer();
    if (this.spare.length * this.size < SPARE_BYTES_MAX) this.spare.push(mine);
  }
}
