// A set that is too large is refused before its value is read, and removes the key's old value, as memcached does.
import { latin1, textOf } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import { Expect } from "../../protocol/reply.ts";
import { leadFor } from "./keyed.ts";
import { BACKUP, other, type Pair, PRIMARY } from "../pair.ts";
import type { Pool } from "../pool.ts";

/** Removes the key bytes[start, end), which the pool has just routed, on every side. */
export function removeRefused(pool: Pool, bytes: Uint8Array, start: number, end: number): void {
  const { pair, laneIndex } = pool;
  const key = textOf(bytes, start, end);
  const command = latin1(`delete ${key}\r\n`);
  const removal = new Removal(pool, pair, key);
  pair.writes(removal);
  for (const side of [PRIMARY, BACKUP] as const) {
    const lane = pair.server(side)?.lanes[laneIndex];
    if (lane === undefined || !lane.ready) continue;
    lane.out.push(command, 0, command.length);
    lane.expect(Expect.DELETE, removal, side);
  }
  // Whatever the order of this among commands in two steps on the key: the copier makes both sides alike.
  if (pair.backup !== null) pool.lacks(pair, key, other(leadFor(pair, removal)));
}

class Removal extends SilentCaller {
  constructor(private readonly pool: Pool, private readonly pair: Pair, readonly key: string) {
    super();
  }
  override onFailure(): void {
    if (this.pair.backup !== null) this.pool.lacks(this.pair, this.key, other(leadFor(this.pair, this)));
  }
}
