// Whom the proxies over some servers do not trust, as they have posted there: a command asks before it copies from one
// of them. A proxy that is gone has left its word too.
import { SilentCaller } from "../../backend/caller.ts";
import type { Server } from "../../backend/server.ts";
import { textOf } from "../../bytes/ascii.ts";
import { Expect, type ValueView } from "../../protocol/reply.ts";
import { putText } from "../compose.ts";
import { boardKey, controlName } from "../control.ts";
import { type ComplaintReason, type Notice, parseNotice } from "../proxies/notice.ts";

export interface Suspicion {
  readonly proxy: string;
  readonly server: Server;
  readonly why: ComplaintReason;
}

const BOARD = boardKey("");

/** The id of the proxy that posts its notice as this key; null when the key is none of those. */
export function proxyOf(key: string): string | null {
  return key.startsWith(BOARD) ? key.slice(BOARD.length) : null;
}

/** Reads what these proxies have posted, on every server; of several copies the latest counts. */
export class Suspicions extends SilentCaller {
  private readonly asked: string[] = [];
  private readonly notices = new Map<string, Notice>();
  private open = 0;

  constructor(private readonly servers: readonly Server[], private readonly done: (found: readonly Suspicion[]) => void) {
    super();
  }

  read(proxies: ReadonlySet<string>): void {
    for (const proxy of proxies) {
      for (const server of this.servers) {
        const lane = server.lanes[0]!;
        if (!lane.ready) continue;
        putText(lane.out, `mg ${boardKey(proxy)} v\r\n`);
        lane.expect(Expect.META, this, this.asked.push(proxy) - 1);
        this.open++;
      }
    }
    if (this.open === 0) this.done([]);
  }

  override onValue(role: number, value: ValueView): boolean {
    const notice = parseNotice(textOf(value.bytes, value.dataStart, value.dataStart + value.dataBytes));
    const proxy = this.asked[role]!;
    if (notice !== null && notice.seq > (this.notices.get(proxy)?.seq ?? -1)) this.notices.set(proxy, notice);
    this.answered();
    return true;
  }
  override onReply(): void {
    this.answered();
  }
  override onFailure(): void {
    this.answered();
  }

  private answered(): void {
    if (--this.open > 0) return;
    const found: Suspicion[] = [];
    for (const [proxy, { buried, complaints }] of this.notices) {
      if (buried) continue;
      for (const server of this.servers) {
        const name = controlName(server.label);
        for (const { name: about, why } of complaints) if (about === name && why !== "drained") found.push({ proxy, server, why });
      }
    }
    this.done(found);
  }
}
