// Asks a server for several things that tandem itself wants to know, in one packet over its control connection, and
// tells when all of it is answered.
import { SilentCaller } from "../../backend/caller.ts";
import type { Server } from "../../backend/server.ts";
import { textOf } from "../../bytes/ascii.ts";
import { Expect, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import { putText } from "../compose.ts";

/** Items as texts, by key; those that are not there are left out. */
export class Reading extends SilentCaller {
  private readonly texts = new Map<string, string>();
  private open: number;
  private failed = false;

  /** done(null): some were not answered. */
  constructor(private readonly keys: readonly string[], private readonly done: (texts: ReadonlyMap<string, string> | null) => void) {
    super();
    this.open = keys.length;
  }

  start({ control }: Server): void {
    if (this.keys.length === 0) return this.done(this.texts);
    if (!control.ready) return this.done(null);
    for (const [role, key] of this.keys.entries()) {
      putText(control.out, `mg ${key} v\r\n`);
      control.expect(Expect.META, this, role);
    }
  }

  override onValue(role: number, value: ValueView): boolean {
    // Ours are small; something that comes in pieces is none.
    this.texts.set(this.keys[role]!, value.partial ? "" : textOf(value.bytes, value.dataStart, value.dataStart + value.dataBytes));
    if (!value.partial) this.answered();
    return true;
  }
  override onChunk(_role: number, _bytes: Uint8Array, _start: number, _end: number, last: boolean): void {
    if (last) this.answered();
  }
  override onReply(_role: number, status: StatusCode): void {
    if (status !== Status.EN) this.failed = true;
    this.answered();
  }
  override onFailure(): void {
    this.failed = true;
    this.answered();
  }

  private answered(): void {
    if (--this.open === 0) this.done(this.failed ? null : this.texts);
  }
}

/** States in which a connection has nothing of ours left to execute, as far as the server has it. */
const IDLE: ReadonlySet<string> = new Set(["conn_read", "conn_waiting", "conn_new_cmd", "conn_nread", "conn_swallow"]);

/** The server's connections by the address of their other end: whether it is idle. */
export class Connections extends SilentCaller {
  private readonly lines = new Map<string, string>();

  constructor(private readonly done: (listed: ReadonlyMap<string, boolean> | null) => void) {
    super();
  }

  start({ control }: Server): void {
    if (!control.ready) return this.done(null);
    putText(control.out, "stats conns\r\n");
    control.expect(Expect.STATS, this, 0);
  }

  override onLine(_role: number, bytes: Uint8Array, start: number, end: number): void {
    const text = textOf(bytes, start + 5, end);
    const space = text.indexOf(" ");
    if (space !== -1) this.lines.set(text.slice(0, space), text.slice(space + 1));
  }
  override onReply(_role: number, status: StatusCode): void {
    if (status !== Status.END) return this.done(null);
    const listed = new Map<string, boolean>();
    for (const [name, value] of this.lines) {
      if (name.endsWith(":addr")) listed.set(value.replace(/^(tcp|udp)6?:/, ""), IDLE.has(this.lines.get(`${name.slice(0, -5)}:state`) ?? ""));
    }
    this.done(listed);
  }
  override onFailure(): void {
    this.done(null);
  }
}
