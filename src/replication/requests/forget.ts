// The newest copy of a key is out of reach and the reachable one is stale: it is dropped, so that an old value is
// never served. An acknowledged write turns into a miss; when the other side returns, it is told the same.
import { latin1 } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import { Expect, metaFlag, Status, type StatusCode } from "../../protocol/reply.ts";
import { putBytes, putText } from "../compose.ts";
import { other, type Pair, type Side } from "../pair.ts";

const LETTER_C = 99;
const MG = latin1("mg "), MD = latin1("md ");
const Asked = { READ: 0, REMOVE: 1 } as const;

/** True when the key's entry names the only side that can be reached. */
export function mustForget(pair: Pair, key: string): boolean {
  const entry = pair.stale.get(key);
  // Strict: an error instead of a miss.
  if (entry === undefined || pair.strict !== null) return false;
  return pair.server(other(entry.side))!.state === "down" && pair.server(entry.side)!.state !== "down";
}

export class Forget extends SilentCaller {
  private readonly side: Side;
  private readonly generation: number;
  private readonly cas = new Int32Array(2);

  /**
   * done(true): the entry was turned and the key is a miss, which needs no further question; done(false): it has
   * changed meanwhile, or the stale side did not answer.
   */
  constructor(
    private readonly pair: Pair,
    private readonly key: string,
    private readonly laneIndex: number,
    private readonly done: (gone: boolean) => void,
  ) {
    super();
    const entry = pair.stale.get(key)!;
    this.side = entry.side;
    this.generation = entry.generation;
  }

  start(): void {
    const lane = this.pair.server(this.side)!.lanes[this.laneIndex]!;
    if (!lane.ready) return this.done(false);
    putBytes(lane.out, MG);
    putText(lane.out, `${this.key} c\r\n`);
    lane.expect(Expect.META, this, Asked.READ);
  }

  override onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    const entry = this.pair.stale.get(this.key);
    // A write came in between: what the side holds now is its business.
    if (entry === undefined || entry.generation !== this.generation) return this.done(false);
    if (role === Asked.READ && status === Status.HD) {
      const lane = this.pair.server(this.side)!.lanes[this.laneIndex]!;
      if (!lane.ready || !metaFlag(bytes, start + 2, end - 2, LETTER_C, this.cas)) return this.done(false);
      putBytes(lane.out, MD);
      // Guarded by the unique just read: never removes what a later write stored.
      putText(lane.out, `${this.key} C`);
      lane.out.push(bytes, this.cas[0]!, this.cas[1]!);
      putText(lane.out, "\r\n");
      return lane.expect(Expect.META, this, Asked.REMOVE);
    }
    if (status === Status.ERROR || status === Status.CLIENT_ERROR || status === Status.SERVER_ERROR) return this.done(false);
    if (status === Status.EX) return this.done(false);
    this.pair.mark(this.key, other(this.side));
    this.done(true);
  }

  override onFailure(): void {
    this.done(false);
  }
}
