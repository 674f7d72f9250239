// Requests that took too long, told in the log: few a second, and how many more there were. Never a value.
import type { Log } from "../observe/log.ts";

/** Lines a second at most. */
const LINES_MAX = 5;
const SECOND_MS = 1000;

/** What the log is told of a request. */
export interface SlowRequest {
  readonly client: string;
  readonly command: string;
  /** "" where there is none. */
  readonly key: string;
  /** The pair of the key, "" for many keys. */
  readonly servers: string;
}

export class SlowRequests {
  private secondMs = -Infinity;
  private lines = 0;
  private unsaid = 0;

  constructor(private readonly log: Log) {}

  /** ms: how long it took. describe is called only when there is room for a line. */
  took(nowMs: number, ms: number, describe: () => SlowRequest): void {
    if (nowMs - this.secondMs >= SECOND_MS) {
      this.secondMs = nowMs;
      this.lines = 0;
    }
    if (this.lines >= LINES_MAX) {
      this.unsaid++;
      return;
    }
    this.lines++;
    const { client, command, key, servers } = describe();
    this.log.warn("slow request", {
      client, command, ...(key === "" ? {} : { key: visible(key) }), ...(servers === "" ? {} : { servers }), ms: Math.round(ms),
      ...(this.unsaid === 0 ? {} : { unsaid: this.unsaid }),
    });
    this.unsaid = 0;
  }
}

/** Longest part of a client's words shown in the log. */
export const SHOWN_CHARS = 80;

/** What clients wrote, as a log may show it: cut, and escaped where it is not visible ASCII. */
export function visible(text: string): string {
  const shown = text.slice(0, SHOWN_CHARS).replace(/[^\x20-\x7e]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return text.length > SHOWN_CHARS ? `${shown}…` : shown;
}
