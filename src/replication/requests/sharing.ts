// --share-gets: gets of one key that wait in the same unsent batch of a lane are one question; each asker hears its
// answer. A hot key that a thousand clients ask for in one turn costs its server one get.
//
//   A: get k ─▶ lane: [get k …            B: get k ─▶ follows A's      set k ─▶ lane: [get k, set k …   C: get k ─▶ asks anew
//
// Nobody sees an older value for it. The batch has not left when the follower asks, so the server executes the one get
// after the follower's question came: whatever was acknowledged to anybody by then is in the answer. And what the
// follower's own connection sent before is in it too: a write of the key takes the same lane, and whatever is not a plain
// get, placed in a lane, ends the sharing of all that was placed before it (lane.epoch).
import type { Lane } from "../../backend/lane.ts";
import { equal } from "../../bytes/ascii.ts";

/** Gets that can be followed at once; more than are asked for in one turn need not be found. */
const SLOTS = 256;

/** A get of one key, as sharing sees it. */
export interface Asker {
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
}

export class Sharing<A extends Asker> {
  private readonly askers: (A | null)[] = new Array<A | null>(SLOTS).fill(null);
  private readonly lanes: (Lane | null)[] = new Array<Lane | null>(SLOTS).fill(null);
  private readonly epochs = new Float64Array(SLOTS);
  private used = false;

  /** The get of the same key that waits unsent in this lane; null: there is none, and the asker is the one to follow. */
  leader(asker: A, lane: Lane): A | null {
    const { bytes, keyStart, keyEnd } = asker;
    const length = keyEnd - keyStart;
    let hash = length;
    for (let i = keyStart; i < keyEnd; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const other = this.askers[slot]!;
    if (
      other !== null && this.lanes[slot] === lane && this.epochs[slot] === lane.epoch &&
      other.keyEnd - other.keyStart === length && equal(other.bytes, other.keyStart, bytes, keyStart, length)
    ) return other;
    this.askers[slot] = asker;
    this.lanes[slot] = lane;
    this.epochs[slot] = lane.epoch;
    this.used = true;
    return null;
  }

  /** Called every tick: what was asked long ago is not kept in memory. */
  tick(): void {
    if (!this.used) return;
    this.used = false;
    this.askers.fill(null);
    this.lanes.fill(null);
  }
}
