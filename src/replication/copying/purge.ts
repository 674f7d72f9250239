// What a server holds from an earlier time of keys that are to become its own: nobody writes them there by now, so it is
// old. Where no other side can tell what is right it is removed before the ring gives the server those keys.
import { latin1 } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import type { Server } from "../../backend/server.ts";
import { Expect, Status, type StatusCode } from "../../protocol/reply.ts";
import { isControlAt } from "../control.ts";
import { Dump, type DumpedKeys, dumpsByHash, type DumpWorld, intoTexts } from "./dump.ts";

/** Keys removed at a time. */
const AT_ONCE = 256;

/** Whether a key, bytes[start, end), is one that the server must not hold. */
export type IsOld = (bytes: Uint8Array, start: number, end: number) => boolean;

export class Purge extends SilentCaller {
  private keys: string[] = [];
  private open = 0;
  private failed = false;
  private removed = 0;
  private readonly dump: Dump;

  /** done is called once: how many keys were removed, or why that could not be done. */
  constructor(private readonly server: Server, world: DumpWorld, isOld: IsOld, private readonly done: (outcome: number | string) => void) {
    super();
    const seen = new Set<string>();
    const texts = intoTexts(seen);
    const keys: DumpedKeys = {
      add: (bytes, start, end, words, from, to) => !isControlAt(bytes, start, end) && isOld(bytes, start, end) && texts.add(bytes, start, end, words, from, to),
    };
    this.dump = new Dump(world, server.address, dumpsByHash(server.version), keys, (problem) => {
      if (problem !== null) return this.done(problem);
      this.keys = [...seen];
      this.go();
    });
  }

  start(): void {
    this.dump.start();
  }

  /** Nobody waits for it any more. */
  stop(): void {
    this.dump.abort();
  }

  private go(): void {
    const { control } = this.server;
    if (this.failed || !control.ready) return this.done("it does not remove them");
    if (this.keys.length === 0) return this.done(this.removed);
    const now = this.keys.splice(-AT_ONCE);
    this.open = now.length;
    this.removed += now.length;
    for (const key of now) {
      const line = latin1(`delete ${key}\r\n`);
      control.out.push(line, 0, line.length);
      control.expect(Expect.DELETE, this, 0);
    }
  }

  override onReply(_role: number, status: StatusCode): void {
    if (status !== Status.DELETED && status !== Status.NOT_FOUND) this.failed = true;
    this.answered();
  }

  override onFailure(): void {
    this.failed = true;
    this.answered();
  }

  private answered(): void {
    if (--this.open === 0) this.go();
  }
}
