// A platform on a table: time passes when the test says so, sockets hand over what the test sends, and nothing happens
// inside a call that the proxy makes. Shares nothing with src but the shapes of platform.ts.

export type Cause =
  | "ended" | "reset" | "refused" | "unreachable" | "not_found" | "timeout" | "aborted" | "in_use" | "denied" | "failed";
type Address = { readonly kind: "tcp"; readonly host: string; readonly port: number } | { readonly kind: "unix"; readonly path: string };

/** What the owner of a connection hears. */
export interface Owner {
  onOpen(socket: FakeSocket): void;
  onData(bytes: Uint8Array): void;
  onDrain(): void;
  onEnd(): void;
  onClose(cause: Cause, detail: string): void;
}
interface ListenOwner {
  onListening(listener: { readonly address: Address; close(): void }): void;
  onAccept(): Owner;
  onClose(cause: Cause, detail: string): void;
}

/** Who answers at an address that the proxy connects to. */
export interface Peer {
  /** How an attempt ends: "accept", a cause, or "lost": nobody says anything until the deadline. */
  readonly welcome: "accept" | "lost" | Cause;
  accepted(socket: FakeSocket): void;
  /** The proxy wrote. */
  wrote(socket: FakeSocket): void;
}

export const bytesOf = (text: string): Uint8Array => {
  // Millions of bytes pass here: Uint8Array.from takes thirty times as long.
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
};
export const textOf = (bytes: Uint8Array): string => {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
};

/** The proxy's end of one connection; the test sits at the other. */
export class FakeSocket {
  /** What the kernel still takes, bytes. */
  room = Infinity;
  paused = false;
  finished = false;
  aborted = false;
  closed = false;
  /** Sizes of the writes so far. */
  readonly writes: number[] = [];
  private written = "";
  private waiting: (() => void)[] = [];
  private owedDrain = false;

  constructor(
    private readonly platform: FakePlatform,
    private readonly owner: Owner,
    readonly remote: string,
    readonly local: string,
    private readonly wrote: (socket: FakeSocket) => void,
  ) {
    platform.soon(() => this.owner.onOpen(this));
  }

  /** What the proxy wrote since the last call, one character a byte. */
  take(): string {
    const text = this.written;
    this.written = "";
    return text;
  }
  get unread(): string {
    return this.written;
  }
  /** Puts back what was taken too much. */
  untake(text: string): void {
    this.written = text + this.written;
  }

  /** Bytes for the proxy; several texts come as several chunks. */
  send(...texts: readonly (string | Uint8Array)[]): void {
    for (const text of texts) {
      const bytes = typeof text === "string" ? bytesOf(text) : text;
      if (bytes.length > 0) this.arrives(() => this.owner.onData(bytes));
    }
  }
  end(): void {
    this.arrives(() => this.owner.onEnd());
  }
  close(cause: Cause): void {
    this.waiting = [];
    this.platform.soon(() => this.over(cause));
  }
  drain(room: number): void {
    this.room = room;
    if (!this.owedDrain) return;
    this.owedDrain = false;
    this.platform.soon(() => void (this.closed || this.owner.onDrain()));
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.closed || this.aborted || this.finished) return 0;
    const taken = Math.min(this.room, end - start);
    this.room -= taken;
    this.written += textOf(bytes.slice(start, start + taken));
    this.writes.push(taken);
    if (taken < end - start) this.owedDrain = true;
    this.wrote(this);
    return taken;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.platform.soon(() => this.deliver());
  }
  finish(): void {
    if (this.aborted) return;
    this.finished = true;
  }
  abort(): void {
    if (this.aborted || this.closed) return;
    this.aborted = true;
    this.platform.soon(() => this.over("aborted"));
  }

  private arrives(run: () => void): void {
    this.waiting.push(run);
    this.platform.soon(() => this.deliver());
  }
  private deliver(): void {
    while (this.waiting.length > 0 && !this.paused && !this.closed && !this.aborted) {
      const run = this.waiting.shift()!;
      if (!this.finished) run();
    }
  }
  private over(cause: Cause): void {
    if (this.closed) return;
    this.closed = true;
    this.owner.onClose(cause, "");
  }
}

interface FakeTimer {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
  cancel(): void;
}

export class FakePlatform {
  nowMs = 1000;
  readonly peers = new Map<string, Peer>();
  readonly listeners: ListenOwner[] = [];
  private events: (() => void)[] = [];
  private afters: (() => void)[] = [];
  private timers: FakeTimer[] = [];
  private order = 0;
  private port = 40_000;
  private dice = 1;

  /** Runs as an event of its own, after the present one. */
  soon(run: () => void): void {
    this.events.push(run);
  }

  /** Lets everything happen that needs no time: each turn all ready events, then what waits for the turn's end. */
  settle(): void {
    while (this.events.length > 0 || this.afters.length > 0) {
      const events = this.events;
      this.events = [];
      for (const run of events) run();
      const afters = this.afters;
      this.afters = [];
      for (const run of afters) run();
    }
  }

  /** Lets time pass, timer by timer. */
  pass(ms: number): void {
    const until = this.nowMs + ms;
    this.settle();
    for (;;) {
      const next = this.timers.reduce<FakeTimer | null>(
        (first, timer) => (first === null || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order) ? timer : first), null);
      if (next === null || next.atMs > until) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.cancel();
      next.fire();
      this.settle();
    }
    this.nowMs = until;
  }

  /** A client connects to the first listener; returns the proxy's end. */
  connectClient(): FakeSocket {
    const port = this.port++;
    return new FakeSocket(this, this.listeners[0]!.onAccept(), `10.0.0.7:${port}`, "10.0.0.1:11211", () => {});
  }

  readonly net = {
    listen: (address: Address, _options: object, owner: ListenOwner): void => {
      this.listeners.push(owner);
      this.soon(() => owner.onListening({ address, close: () => {} }));
    },
    connect: (address: Address, deadlineMs: number, owner: Owner): { abort(): void } => {
      const peer = this.peers.get(address.kind === "tcp" ? `${address.host}:${address.port}` : address.path);
      let over = false;
      const end = (cause: Cause): void => {
        if (over) return;
        over = true;
        owner.onClose(cause, "");
      };
      const welcome = peer?.welcome ?? "refused";
      if (welcome === "lost") this.clock.timer(deadlineMs, () => end("timeout"));
      else {
        this.soon(() => {
          if (over) return;
          if (welcome !== "accept") return end(welcome);
          over = true;
          const local = address.kind === "unix" ? "unix" : `10.0.0.1:${this.port++}`;
          peer!.accepted(new FakeSocket(this, owner, "", local, (socket) => peer!.wrote(socket)));
        });
      }
      return { abort: () => this.soon(() => end("aborted")) };
    },
  };

  readonly crew = {
    refusal: "no processes here",
    open: (_address: Address, _options: object, done: (outcome: { ok: false; cause: Cause; detail: string }) => void): void =>
      done({ ok: false, cause: "failed", detail: "no processes here" }),
    start: (): { ok: false; reason: string } => ({ ok: false, reason: "no processes here" }),
    portOf: (): null => null,
    startHeir: (): { ok: false; reason: string } => ({ ok: false, reason: "no processes here" }),
    parent: (): null => null,
    accept: (_place: number, _address: Address, _backlog: number, owner: ListenOwner): void => owner.onClose("failed", "no processes here"),
    drop: (): void => {},
  };

  readonly clock = {
    nowMs: (): number => this.nowMs,
    wallSeconds: (): number => 1_700_000_000 + this.nowMs / 1000,
    timer: (ms: number, fire: () => void): FakeTimer => {
      const timer: FakeTimer = {
        atMs: this.nowMs + ms, order: this.order++, fire,
        cancel: () => void (this.timers = this.timers.filter((each) => each !== timer)),
      };
      this.timers.push(timer);
      return timer;
    },
  };

  readonly random = {
    u32: (): number => (this.dice = (Math.imul(this.dice, 1664525) + 1013904223) >>> 0),
  };

  readonly host = {
    runtime: "table", target: "table", pid: 7,
    cpuSeconds: () => ({ user: 0, system: 0 }),
    residentBytes: () => 0,
    stdout: (_text: string): void => {},
    stderr: (_text: string): void => {},
    isTerminal: (_stream: string): boolean => false,
    readText: (_path: string): { ok: false; reason: string } => ({ ok: false, reason: "no files here" }),
    writeText: (_path: string, _text: string): { ok: false; reason: string } => ({ ok: false, reason: "no files here" }),
    removeFile: (_path: string): void => {},
    renameFile: (_from: string, _to: string): { ok: false; reason: string } => ({ ok: false, reason: "no files here" }),
    openAppend: (_path: string): { ok: false; reason: string } => ({ ok: false, reason: "no files here" }),
    env: (_name: string): undefined => undefined,
    onSignal: (_name: string, _run: () => void): void => {},
    exit: (_code: number): never => {
      throw new Error("exit");
    },
    fdLimit: () => 0,
    inherited: [],
    datagram: (_path: string, _text: string): { ok: false; reason: string } => ({ ok: false, reason: "nobody listens" }),
    cores: () => 1,
    becomeUser: (): { ok: false; reason: string } => ({ ok: false, reason: "nobody else here" }),
    spawnSelfDetached: (): { ok: false; reason: string } => ({ ok: false, reason: "no processes here" }),
  };

  readonly files = {
    list: (_directory: string): { ok: false; reason: string } => ({ ok: false, reason: "no files here" }),
    read: (_path: string): { ok: false; reason: string } => ({ ok: false, reason: "no files here" }),
    create: (_path: string, _text: string, _done: (reason: string | null) => void): void => {},
    append: (_path: string, _text: string, _done: (reason: string | null) => void): void => {},
    rename: (_from: string, _to: string, _done: (reason: string | null) => void): void => {},
    remove: (_path: string, _done: (reason: string | null) => void): void => {},
  };

  readonly copy = null;

  afterTurn(run: () => void): void {
    this.afters.push(run);
  }
}
