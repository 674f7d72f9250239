// flush_all: every server at once. One that cannot be asked owes it, and does it first when it returns. The client's
// earlier requests are answered before it is sent, and later ones are read after it is answered, so that it keeps its
// place among them on every lane.
import { latin1, textOf } from "../bytes/ascii.ts";
import type { Server } from "../backend/server.ts";
import { countRefusal } from "../observe/counters.ts";
import { OK, serverError } from "../protocol/answers.ts";
import { Op } from "../protocol/commands.ts";
import { parseInt64 } from "../protocol/numbers.ts";
import { Expect, Status, type StatusCode } from "../protocol/reply.ts";
import type { RequestReader } from "../protocol/request.ts";
import type { Pool } from "./pool.ts";
import { type Client, Slot } from "./requests/slot.ts";

const UNKNOWN = serverError("outcome unknown (other workers could not be told which server missed it)");
const NOBODY = serverError("no server can be flushed");

export class FlushAll extends Slot {
  private readonly command: Uint8Array;
  private readonly delay: number;
  private readonly servers: readonly Server[];
  private pending = 1;
  private flushed = 0;
  /** A server missed it. */
  private owed = false;
  private refusal: Uint8Array | null = null;

  constructor(client: Client, private readonly pool: Pool, reader: RequestReader, bytes: Uint8Array) {
    super(client, Op.FLUSH_ALL);
    this.mute = reader.noreply;
    const withDelay = reader.words > (reader.noreply ? 2 : 1);
    const delay = withDelay ? parseInt64(bytes, reader.at[2]!, reader.at[3]!)! : 0n;
    this.delay = Number(delay > 0n ? delay : 0n);
    this.command = latin1(withDelay ? `flush_all ${textOf(bytes, reader.at[2]!, reader.at[3]!)}\r\n` : "flush_all\r\n");
    this.servers = pool.servers;
  }

  /** The client is blocked and has no request before this one. */
  start(): void {
    // Refused as a whole: nobody owes it, or a flush_all that failed would happen later.
    if (!this.servers.some(({ lanes }) => lanes[0]!.ready)) return this.nobody();
    for (const pair of this.pool.pairs) pair.writes(null);
    this.servers.forEach((server, index) => {
      const lane = server.lanes[0]!;
      if (!lane.ready) {
        this.owed = true;
        return this.pool.owesFlush(server, this.delay);
      }
      this.pending++;
      lane.out.push(this.command, 0, this.command.length);
      lane.expect(Expect.OK, this, index);
    });
    this.settled();
  }

  override onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    if (status === Status.OK) {
      this.flushed++;
      this.pool.flushed(this.servers[role]!);
    } else this.refusal ??= bytes.slice(start, end);
    this.settled();
  }

  override onFailure(role: number): void {
    this.owed = true;
    this.pool.owesFlush(this.servers[role]!, this.delay);
    this.settled();
  }

  private settled(): void {
    if (--this.pending > 0) return;
    // That somebody owes it is written down before anybody is told that it is done.
    this.pool.afterNotes(() => this.tell());
  }

  private tell(): void {
    const { counters, strict } = this.pool;
    if (this.refusal !== null) {
      countRefusal(counters, this.refusal, 0);
      return this.end(this.refusal);
    }
    if (this.flushed === 0) return this.nobody();
    if (strict === null || !this.owed) return this.end(OK);
    strict.whenKnown((ok) => {
      if (ok) return this.end(OK);
      counters.proxy_errors++;
      counters.error_unknown_outcome++;
      this.end(UNKNOWN);
    });
  }

  private nobody(): void {
    this.pool.counters.proxy_errors++;
    this.pool.counters.error_no_server++;
    this.end(NOBODY);
  }

  private end(line: Uint8Array): void {
    this.answer(line);
    this.client.resume();
  }
}
