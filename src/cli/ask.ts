// Asks a running server for some of its `stats` over a connection of its own, one question after the other.
import { indexOf, latin1, LF, textOf } from "../bytes/ascii.ts";
import type { Address, Attempt, Platform, Socket, SocketHandlers, Timer } from "../platform/platform.ts";

/** The lines of an answer, or null where the server does not know the question. */
export type Stats = ReadonlyMap<string, string> | null;

export type Asked =
  | { readonly ok: true; readonly answers: readonly Stats[] }
  | { readonly ok: false; readonly reason: string };

/** done is called once: with the answer to each question ("stats", "stats proxy"), or with why there is none. */
export function askStats(
  platform: Platform, address: Address, questions: readonly string[], timeoutMs: number, done: (asked: Asked) => void,
): void {
  new Asker(platform, questions, done).start(address, timeoutMs);
}

class Asker implements SocketHandlers {
  private readonly answers: Stats[] = [];
  private lines = new Map<string, string>();
  private rest = "";
  private socket: Socket | null = null;
  private attempt: Attempt | null = null;
  private timer: Timer | null = null;
  private over = false;

  constructor(
    private readonly platform: Platform,
    private readonly questions: readonly string[],
    private readonly done: (asked: Asked) => void,
  ) {}

  start(address: Address, timeoutMs: number): void {
    this.timer = this.platform.clock.timer(timeoutMs, () => this.fail(`does not answer within ${timeoutMs} ms`));
    this.attempt = this.platform.net.connect(address, timeoutMs, this);
  }

  onOpen(socket: Socket): void {
    this.attempt = null;
    this.socket = socket;
    if (this.over) return socket.abort();
    this.ask();
  }

  onData(bytes: Uint8Array): void {
    let at = 0;
    for (let lf = indexOf(bytes, LF, 0, bytes.length); lf !== -1 && !this.over; lf = indexOf(bytes, LF, at, bytes.length)) {
      const line = this.rest + textOf(bytes, at, lf);
      this.rest = "";
      at = lf + 1;
      this.line(line.replace(/\r$/, ""));
    }
    this.rest += textOf(bytes, at, bytes.length);
    if (this.rest.length > LINE_MAX) this.fail("does not speak memcached's protocol");
  }

  onDrain(): void {}
  onEnd(): void {
    this.fail("closed the connection");
  }
  onClose(cause: string): void {
    this.fail(WORDS[cause] ?? cause);
  }

  private ask(): void {
    const question = latin1(`${this.questions[this.answers.length]!}\r\n`);
    // A few bytes on an idle connection: the kernel always takes them whole.
    if (this.socket!.write(question, 0, question.length) < question.length) this.fail("takes nothing");
  }

  private line(line: string): void {
    const stat = /^STAT (\S+) ?(.*)$/.exec(line);
    if (stat !== null) return void this.lines.set(stat[1]!, stat[2]!);
    if (line === "END") this.answers.push(this.lines);
    else if (line.startsWith("ERROR") || line.startsWith("CLIENT_ERROR")) this.answers.push(null);
    else return this.fail(line.startsWith("SERVER_ERROR") ? `answers: ${line.slice(0, 80)}` : "does not speak memcached's protocol");
    this.lines = new Map();
    if (this.answers.length < this.questions.length) return this.ask();
    this.end({ ok: true, answers: this.answers });
  }

  private fail(reason: string): void {
    this.end({ ok: false, reason });
  }

  private end(asked: Asked): void {
    if (this.over) return;
    this.over = true;
    this.timer?.cancel();
    this.attempt?.abort();
    this.socket?.abort();
    this.done(asked);
  }
}

const LINE_MAX = 64 * 1024;
const WORDS: Readonly<Record<string, string>> = {
  refused: "nobody listens there", not_found: "no such host or socket", timeout: "cannot be connected to in time",
  unreachable: "no route to it", denied: "not permitted", reset: "closed the connection", ended: "closed the connection",
};
