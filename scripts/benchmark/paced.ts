// Clients at a set rate, for what happens to them while something else goes on: reads of known keys and some sets, at
// times fixed ahead. An operation's time counts from when it was due, so that a pause shows in all that it delayed.

export interface PacedOptions {
  readonly port: number;
  readonly connections: number;
  /** Operations a second of all connections together. */
  readonly rate: number;
  readonly setShare: number;
  readonly keys: number;
  readonly keyOf: (number: number) => string;
  readonly valueOf: (number: number) => string;
}

/** What was seen within one stretch of time. */
export class Stretch {
  readonly tookMs: number[] = [];
  gets = 0;
  hits = 0;
  errors = 0;
  firstError = "";

  get hitRate(): number {
    return this.gets === 0 ? 1 : this.hits / this.gets;
  }

  /** The time that a share of the operations did not exceed, ms. */
  percentile(share: number): number {
    const sorted = this.tookMs.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  }
}

interface Pending {
  readonly dueMs: number;
  readonly isGet: boolean;
}

export class Paced {
  /** Where operations that end now are counted. */
  stretch = new Stretch();
  readonly #options: PacedOptions;
  readonly #connections: Connection[] = [];
  #begunMs = 0;
  #sent = 0;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(options: PacedOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    for (let i = 0; i < this.#options.connections; i++) {
      const connection = new Connection(this);
      await connection.open(this.#options.port);
      this.#connections.push(connection);
    }
    this.#begunMs = performance.now();
    this.#timer = setInterval(() => this.#pace(), 1);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const connection of this.#connections) connection.close();
  }

  #pace(): void {
    const { rate, keys, keyOf, valueOf, setShare } = this.#options;
    const due = Math.floor(((performance.now() - this.#begunMs) * rate) / 1000);
    for (; this.#sent < due; this.#sent++) {
      const dueMs = this.#begunMs + (this.#sent * 1000) / rate;
      const number = Math.floor(Math.random() * keys);
      const isGet = Math.random() >= setShare;
      const value = valueOf(number);
      const line = isGet ? `get ${keyOf(number)}\r\n` : `set ${keyOf(number)} 0 0 ${value.length}\r\n${value}\r\n`;
      this.#connections[this.#sent % this.#connections.length]!.send(line, { dueMs, isGet });
    }
    for (const connection of this.#connections) connection.flush();
  }
}

class Connection {
  readonly #paced: Paced;
  readonly #pending: Pending[] = [];
  #socket: Bun.Socket | null = null;
  #text = "";
  #unsent: Buffer = Buffer.alloc(0);
  #batch = "";

  constructor(paced: Paced) {
    this.#paced = paced;
  }

  async open(port: number): Promise<void> {
    this.#socket = await Bun.connect({
      hostname: "127.0.0.1", port,
      socket: {
        data: (_, bytes) => this.#data(bytes.toString("latin1")),
        drain: () => this.flush(),
        close: () => this.#lost(),
        connectError() {},
      },
    });
  }

  send(line: string, pending: Pending): void {
    this.#batch += line;
    this.#pending.push(pending);
  }

  flush(): void {
    if (this.#batch !== "") {
      this.#unsent = Buffer.concat([this.#unsent, Buffer.from(this.#batch, "latin1")]);
      this.#batch = "";
    }
    if (this.#unsent.length === 0 || this.#socket === null) return;
    const wrote = this.#socket.write(this.#unsent);
    if (wrote > 0) this.#unsent = this.#unsent.subarray(wrote);
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
  }

  #lost(): void {
    if (this.#socket === null) return;
    this.#socket = null;
    this.#paced.stretch.errors++;
    this.#paced.stretch.firstError ||= "connection closed";
  }

  #data(text: string): void {
    const { stretch } = this.#paced;
    this.#text += text;
    let at = 0;
    for (let end = this.#text.indexOf("\r\n", at); end !== -1; end = this.#text.indexOf("\r\n", at)) {
      const line = this.#text.slice(at, end);
      if (line.startsWith("VALUE ")) {
        const bytes = Number(line.slice(line.lastIndexOf(" ") + 1));
        // VALUE line, value, END: all or nothing.
        const whole = end + 2 + bytes + 2 + 5;
        if (this.#text.length < whole) break;
        at = whole;
        this.#done(stretch, true, "");
      } else {
        at = end + 2;
        this.#done(stretch, false, line === "END" || line === "STORED" ? "" : line);
      }
    }
    this.#text = this.#text.slice(at);
  }

  #done(stretch: Stretch, hit: boolean, error: string): void {
    const pending = this.#pending.shift();
    if (pending === undefined) return;
    stretch.tookMs.push(performance.now() - pending.dueMs);
    if (error !== "") {
      stretch.errors++;
      stretch.firstError ||= error;
    } else if (pending.isGet) {
      stretch.gets++;
      if (hit) stretch.hits++;
    }
  }
}
