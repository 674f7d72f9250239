// A connection on which lines are said and heard, and what a person is told when there is none.
import { indexOf, latin1, LF, textOf } from "../bytes/ascii.ts";
import type { Address, Attempt, CloseCause, Platform, Socket, SocketHandlers } from "../platform/platform.ts";

/** A line that is longer is none: the other end speaks something else. */
const LINE_MAX = 64 * 1024;

export const FOREIGN = "does not speak memcached's protocol";

const CAUSE_WORDS: Readonly<Partial<Record<CloseCause, string>>> = {
  refused: "nobody listens there", not_found: "no such host or socket", timeout: "cannot be connected to in time",
  unreachable: "no route to it", denied: "not permitted", reset: "closed the connection", ended: "closed the connection",
};

/** Why there is no connection, for a person. */
export function causeWords(cause: CloseCause): string {
  return CAUSE_WORDS[cause] ?? cause;
}

export interface Talk {
  opened(): void;
  /** One whole line, without its ending. */
  heard(line: string): void;
  /** Once and last, unless we hung up; reason says it to a person. */
  lost(reason: string, cause: CloseCause): void;
}

export class Conversation implements SocketHandlers {
  private rest = "";
  private socket: Socket | null = null;
  private readonly attempt: Attempt;
  private over = false;

  /** Connects within connectMs. */
  constructor(platform: Platform, address: Address, connectMs: number, private readonly talk: Talk) {
    this.attempt = platform.net.connect(address, connectMs, this);
  }

  /** Says a text of a few lines. Not before opened. */
  say(text: string): void {
    if (this.over || this.socket === null) return;
    const bytes = latin1(text);
    // Little enough for an idle connection's buffer; where even that is full, nobody listens at the other end.
    if (this.socket.write(bytes, 0, bytes.length) < bytes.length) this.end("timeout", "takes nothing");
  }

  hangUp(): void {
    this.over = true;
    this.attempt.abort();
    this.socket?.abort();
  }

  onOpen(socket: Socket): void {
    this.socket = socket;
    if (this.over) socket.abort();
    else this.talk.opened();
  }

  onData(bytes: Uint8Array): void {
    let at = 0;
    for (let lf = indexOf(bytes, LF, 0, bytes.length); lf !== -1 && !this.over; lf = indexOf(bytes, LF, at, bytes.length)) {
      const line = this.rest + textOf(bytes, at, lf);
      this.rest = "";
      at = lf + 1;
      this.talk.heard(line.replace(/\r$/, ""));
    }
    this.rest += textOf(bytes, at, bytes.length);
    if (this.rest.length > LINE_MAX) this.end("failed", FOREIGN);
  }

  onDrain(): void {}

  onEnd(): void {
    this.end("ended");
  }

  onClose(cause: CloseCause): void {
    this.end(cause);
  }

  private end(cause: CloseCause, reason: string = causeWords(cause)): void {
    if (this.over) return;
    this.hangUp();
    this.talk.lost(reason, cause);
  }
}
