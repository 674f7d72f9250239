// An item whose bytes come in several chunks, kept until it is whole: so that a reset in its middle can fail over
// cleanly. Who copies what it is told at once gets the parts as they came; all others one array.
//
// Parts cost no second copy and no array of the item's size: those arrays, fresh each time, were a third of the CPU time
// of gets of 20 KiB and more.
import { CR, LF } from "../bytes/ascii.ts";
import { hold } from "../bytes/lent.ts";
import { plainCopy } from "../bytes/outbound.ts";

export interface Part {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

export class Gather {
  /** Bytes that have come. */
  private got = 0;
  /** In one array, or null: in parts. */
  readonly whole: Uint8Array | null;
  readonly parts: Part[] = [];
  private lastBytes = 0;

  /** size: of the whole item with its header line and CR LF. */
  constructor(readonly size: number, readonly status: number, inParts: boolean) {
    this.whole = inParts ? null : new Uint8Array(size);
  }

  get complete(): boolean {
    return this.got === this.size;
  }

  /** Whether the complete item ends in CR LF, as it must. */
  get endsWell(): boolean {
    return this.lastBytes === ((CR << 8) | LF);
  }

  /** Takes what is still missing of bytes[start, end); returns where it stopped. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const stop = Math.min(end, start + this.size - this.got);
    if (this.whole !== null) plainCopy(bytes, start, stop, this.whole, this.got);
    else if (stop > start) {
      hold(bytes);
      this.parts.push({ bytes, start, end: stop });
    }
    for (let i = Math.max(start, stop - 2); i < stop; i++) this.lastBytes = ((this.lastBytes << 8) | bytes[i]!) & 0xffff;
    this.got += stop - start;
    return stop;
  }
}
