// A small memcached client for tests over Bun.connect: raw bytes out, raw bytes or whole replies in. It shares no
// code with src, so that a mistake there cannot hide here.
import type { Socket } from "bun";

/** Text as bytes, one byte a character (all of Latin-1). */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** Bytes as text, one character a byte. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** Why a wait ended without a reply. */
export class NoReply extends Error {
  readonly reason: "closed" | "deadline";
  constructor(reason: "closed" | "deadline", detail: string) {
    super(`${reason}: ${detail}`);
    this.name = "NoReply";
    this.reason = reason;
  }
}

export interface Value {
  readonly key: string;
  readonly flags: string;
  readonly cas: string | null;
  readonly bytes: Uint8Array;
}

/** The whole answer of a retrieval command: its values in order, and the line that ended it ("END" when all is well). */
export interface Values {
  readonly values: Value[];
  readonly end: string;
}

interface Waiter {
  /** Looks at what has come; true when it took its reply. */
  attempt(): boolean;
  fail(problem: NoReply): void;
}

/** How long an answer may take where nothing is said of time, on however busy a machine, ms. */
const ANSWER_MS = 20_000;
const CR = 13;
const LF = 10;

export class Client {
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  #socket!: Socket<undefined>;
  #gone = false;
  #markClosed!: () => void;
  // Received bytes not yet taken: #in[#head, #tail).
  #in = new Uint8Array(16_384);
  #head = 0;
  #tail = 0;
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #drained: (() => void)[] = [];
  #waiter: Waiter | null = null;

  private constructor() {
    this.closed = new Promise((resolve) => (this.#markClosed = resolve));
  }

  /** Connects to a TCP port of loopback. Rejects when refused. */
  static async open(port: number, hostname = "127.0.0.1"): Promise<Client> {
    const client = new Client();
    client.#socket = await Bun.connect<undefined>({
      hostname, port, allowHalfOpen: true,
      socket: {
        binaryType: "uint8array",
        data: (_socket, bytes: Uint8Array) => client.#received(bytes),
        drain: () => client.#flush(),
        end: (socket) => {
          client.#lost();
          socket.end();
        },
        close: () => client.#lost(),
        error: () => client.#lost(),
      },
    });
    return client;
  }

  get isClosed(): boolean {
    return this.#gone;
  }

  /** Bytes received and not yet taken. */
  get waiting(): number {
    return this.#tail - this.#head;
  }

  /** Sends bytes in order; what the kernel does not take waits here. */
  send(data: string | Uint8Array): void {
    if (this.#gone) return;
    const bytes = typeof data === "string" ? bytesOf(data) : data;
    if (bytes.length === 0) return;
    this.#out.push(bytes);
    this.#outBytes += bytes.length;
    this.#flush();
  }

  /** Resolves when the kernel has taken everything sent so far (or the connection is gone). */
  flushed(): Promise<void> {
    if (this.#outBytes === 0 || this.#gone) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** Stops reading; bytes wait in the kernel. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** FIN after everything the kernel has taken; replies still arrive. */
  finish(): void {
    this.#socket.shutdown();
  }

  /** Ends the connection now. */
  close(): void {
    this.#socket.terminate();
    this.#lost();
  }

  /** Takes and returns everything received so far. */
  take(): Uint8Array {
    const bytes = this.#in.slice(this.#head, this.#tail);
    this.#head = this.#tail = 0;
    return bytes;
  }

  /** What has been received and not taken; valid until the next event. */
  peek(): Uint8Array {
    return this.#in.subarray(this.#head, this.#tail);
  }

  /** Waits until the received bytes satisfy `enough`; rejects with NoReply on close or after deadlineMs. */
  until(enough: (received: Uint8Array) => boolean, deadlineMs: number, what: string): Promise<void> {
    return this.#wait(() => (enough(this.peek()) ? { value: undefined } : null), deadlineMs, what);
  }

  /** Takes one line, without its ending. */
  line(deadlineMs: number): Promise<string> {
    return this.#wait(() => {
      const end = this.#lineEnd(this.#head);
      if (end === -1) return null;
      return { value: this.#takeLine(end) };
    }, deadlineMs, "a line");
  }

  /** Takes the whole answer of get, gets, gat or gats. */
  values(deadlineMs: number): Promise<Values> {
    const values: Value[] = [];
    return this.#wait(() => {
      for (;;) {
        const end = this.#lineEnd(this.#head);
        if (end === -1) return null;
        const text = this.#lineText(end);
        if (!text.startsWith("VALUE ")) {
          this.#takeLine(end);
          return { value: { values, end: text } };
        }
        const words = text.split(" ");
        const length = Number(words[3]);
        const start = end + 1;
        if (this.#tail < start + length + 2) return null;
        const bytes = this.#in.slice(start, start + length);
        const closes = this.#in[start + length] === CR && this.#in[start + length + 1] === LF;
        this.#head = start + length + 2;
        if (!closes) return { value: { values, end: `value of ${words[1]} is not followed by a line end` } };
        values.push({ key: words[1]!, flags: words[2]!, cas: words[4] ?? null, bytes });
      }
    }, deadlineMs, "values");
  }

  /** Sends and takes one line. */
  ask(command: string | Uint8Array, deadlineMs = ANSWER_MS): Promise<string> {
    this.send(command);
    return this.line(deadlineMs);
  }

  /** Sends a retrieval command and takes its values. */
  fetch(command: string, deadlineMs = ANSWER_MS): Promise<Values> {
    this.send(command);
    return this.values(deadlineMs);
  }

  #wait<T>(attempt: () => { value: T } | null, deadlineMs: number, what: string): Promise<T> {
    const ready = attempt();
    if (ready !== null) return Promise.resolve(ready.value);
    if (this.#gone) return Promise.reject(new NoReply("closed", this.#describe(what)));
    if (this.#waiter !== null) throw new Error("two waits at once on one client");
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiter = null;
        reject(new NoReply("deadline", this.#describe(what)));
      }, deadlineMs);
      this.#waiter = {
        attempt: () => {
          const got = attempt();
          if (got === null) return false;
          clearTimeout(timer);
          resolve(got.value);
          return true;
        },
        fail: (problem) => {
          clearTimeout(timer);
          reject(problem);
        },
      };
    });
  }

  #describe(what: string): string {
    const rest = textOf(this.peek().subarray(0, 200));
    return `waited for ${what}, had ${this.waiting} bytes ${JSON.stringify(rest)}`;
  }

  #lineEnd(from: number): number {
    const at = this.#in.indexOf(LF, from);
    return at === -1 || at >= this.#tail ? -1 : at;
  }

  #lineText(end: number): string {
    const stop = end > this.#head && this.#in[end - 1] === CR ? end - 1 : end;
    return textOf(this.#in.subarray(this.#head, stop));
  }

  #takeLine(end: number): string {
    const text = this.#lineText(end);
    this.#head = end + 1;
    return text;
  }

  #received(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#in.set(bytes, this.#tail);
    this.#tail += bytes.length;
    this.#wake();
  }

  #room(more: number): void {
    if (this.#head === this.#tail) this.#head = this.#tail = 0;
    if (this.#tail + more <= this.#in.length) return;
    const kept = this.#tail - this.#head;
    const into = kept + more > this.#in.length / 2 ? new Uint8Array((kept + more) * 2) : this.#in;
    into.set(this.#in.subarray(this.#head, this.#tail));
    this.#in = into;
    this.#head = 0;
    this.#tail = kept;
  }

  #wake(): void {
    const waiter = this.#waiter;
    if (waiter !== null && waiter.attempt()) this.#waiter = null;
  }

  #lost(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#out = [];
    this.#outBytes = 0;
    for (const resolve of this.#drained.splice(0)) resolve();
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null && !waiter.attempt()) waiter.fail(new NoReply("closed", this.#describe("a reply")));
    this.#markClosed();
  }

  #flush(): void {
    if (this.#socket === undefined) return;
    while (this.#out.length > 0) {
      const first = this.#out[0]!;
      const taken = this.#socket.write(first);
      if (taken < 0) return;
      this.#outBytes -= taken;
      if (taken < first.length) {
        this.#out[0] = first.subarray(taken);
        return;
      }
      this.#out.shift();
    }
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
