// One client of the proxy: memcached's text protocol over one simulated connection at a time, pipelined, with its own
// strict reader of answers (nothing from src, so that no bug is shared). What it asks comes from a Load.
import type { Socket, SocketHandlers } from "../../src/platform/platform.ts";
import type { Call, CallKind, History, Outcome } from "./history.ts";
import type { SimProcess } from "./process.ts";
import type { SimSocket } from "./socket.ts";
import { fastText, shorten } from "./values.ts";

/** One command line (with its data) and the calls it stands for: one, or one per key of a multi-get. */
export interface Request {
  readonly text: string;
  readonly verb: CallKind | "gets" | "gats" | "version" | "mn" | "quit" | "flush_all";
  readonly keys: readonly string[];
  readonly noreply: boolean;
  /** The record of each key's call; empty for commands that concern no key. */
  begin(session: number, place: number, nowUs: number): Call[];
}

/** What a client asks, and when it is enough. */
export interface Load {
  /** The next pipeline of requests; empty: wait pauseUs and ask again; null: this client is done. */
  burst(): Request[] | null;
  pauseUs(): number;
  /** What a hit of gets taught: the token of that value. */
  learned(key: string, value: string, token: string): void;
  /** What to do once this burst is written. */
  mood(): "wait" | "half_close" | "abort";
}

interface Pending {
  readonly request: Request;
  readonly calls: Call[];
}

/** Sessions are numbered over all clients of a world. */
export interface Sessions {
  last: number;
}

/** Calls whose connection ended unanswered, and noreply ones, are settled within this. */
const SETTLED_US = 2_000_000;

const LARGE_CHARACTERS = 16_384;
const NOTHING = new Uint8Array(0);
const LF = 10;

export class SimClient implements SocketHandlers {
  /** Nothing is asked and nothing is owed any more. */
  done = false;
  private socket: SimSocket | null = null;
  private session = 0;
  private place = 0;
  private pending: Pending[] = [];
  private input = "";
  /** Characters of input without which nothing more can be read. */
  private need = 0;
  /** What waits to be written, and how much of it was taken. */
  private output: Uint8Array = NOTHING;
  private taken = 0;
  private hits = new Map<string, { value: string; flags: number; token: string }>();
  private ending = false;

  constructor(
    private readonly process: SimProcess,
    private readonly to: { readonly host: string; readonly port: number },
    private readonly load: Load,
    private readonly history: History,
    private readonly sessions: Sessions,
    /** True while the client's own side was impaired, so that ended connections are no fault of the proxy. */
    private readonly excused: () => boolean,
  ) {
    this.connect();
  }

  onOpen(socket: Socket): void {
    this.socket = socket as SimSocket;
    this.next();
  }

  onData(bytes: Uint8Array): void {
    this.input += fastText(bytes, 0, bytes.length);
    // What comes in small pieces is looked at once it is whole, not at each piece.
    if (this.need > 0 ? this.input.length >= this.need : bytes.includes(LF)) this.read();
    if (this.pending.length === 0 && !this.ending && this.socket !== null) this.rest();
  }

  onDrain(): void {
    this.flush();
  }

  onEnd(): void {
    if (!this.ending) this.complain("the proxy closed a connection it should keep");
    if (this.pending.length > 0 && this.ending) this.complain("the proxy ended a half-closed connection before it had answered all");
    this.socket?.finish(1000);
  }

  onClose(cause: string): void {
    // A large value is passed on as it comes: when its server dies meanwhile, the connection is all that can be ended.
    const torn = this.need > LARGE_CHARACTERS && cause === "reset";
    if (this.pending.length > 0 && !this.ending && !torn && cause !== "aborted" && this.socket !== null) {
      this.complain(`connection ended (${cause}) with ${this.pending.length} requests unanswered`);
    }
    const settledUs = this.process.world.nowUs + SETTLED_US;
    for (const { calls } of this.pending) for (const call of calls) this.history.abandon(call, settledUs);
    this.pending = [];
    if (this.socket === null) this.complain(`connecting failed: ${cause}`);
    this.socket = null;
    if (!this.done) this.process.clock.timer(1 + this.process.world.dice.load.below(20), () => this.connect());
  }

  /** Its own side notices that the machine at the other end is gone. */
  cut(): void {
    if (this.socket === null) return; // it is being opened, and what is there by then may answer
    this.ending = true;
    this.socket.abort();
  }

  private connect(): void {
    this.session = ++this.sessions.last;
    this.place = 0;
    this.input = "";
    this.output = NOTHING;
    this.taken = 0;
    this.need = 0;
    this.hits.clear();
    this.ending = false;
    this.process.net.connect({ kind: "tcp", host: this.to.host, port: this.to.port }, 1000, this);
  }

  /** Thinks, then asks again. */
  private rest(): void {
    const session = this.session;
    this.process.clock.timer(this.load.pauseUs() / 1000, () => {
      if (this.session === session && this.socket !== null && !this.ending) this.next();
    });
  }

  private next(): void {
    const burst = this.load.burst();
    if (burst === null) {
      this.done = true;
      this.ending = true;
      this.socket!.finish(1000);
      return;
    }
    const nowUs = this.process.world.nowUs;
    let text = "";
    for (const request of burst) {
      const calls = request.begin(this.session, this.place++, nowUs);
      text += request.text;
      if (request.noreply) for (const call of calls) this.history.abandon(call, nowUs + SETTLED_US);
      else this.pending.push({ request, calls });
      if (request.verb === "quit") this.ending = true;
    }
    this.queue(text);
    this.flush();
    if (this.ending || this.socket === null) return;
    if (this.pending.length === 0) {
      this.rest();
      return;
    }
    const mood = this.load.mood();
    if (mood === "abort") {
      this.ending = true;
      this.process.world.fired("client_abort");
      this.socket.abort();
    } else if (mood === "half_close" && this.taken === this.output.length) {
      this.ending = true;
      this.process.world.fired("client_half_close");
      this.socket.halfClose();
    }
  }

  /** Appends to what waits to be written. */
  private queue(text: string): void {
    const left = this.output.length - this.taken;
    const bytes = new Uint8Array(left + text.length);
    if (left > 0) bytes.set(this.output.subarray(this.taken));
    for (let i = 0; i < text.length; i++) bytes[left + i] = text.charCodeAt(i);
    this.output = bytes;
    this.taken = 0;
  }

  private flush(): void {
    if (this.socket === null || this.taken === this.output.length) return;
    this.taken += this.socket.write(this.output, this.taken, this.output.length);
  }

  /** Takes whole answers from the input, in the order of the questions. */
  private read(): void {
    for (;;) {
      const end = this.input.indexOf("\r\n");
      if (end === -1) return;
      const line = this.input.slice(0, end);
      const head = this.pending[0];
      if (head === undefined) {
        this.complain(`an answer nobody asked for: ${JSON.stringify(line)}`);
        this.input = "";
        this.socket?.abort();
        return;
      }
      if (line.startsWith("VALUE ")) {
        const parts = line.split(" ");
        const length = Number(parts[3]);
        this.need = end + 2 + length + 2;
        if (this.input.length < this.need) return;
        this.need = 0;
        const value = this.input.slice(end + 2, end + 2 + length);
        if (this.input.slice(end + 2 + length, end + 4 + length) !== "\r\n") this.complain(`no line end after the value of ${line}`);
        this.input = this.input.slice(end + 4 + length);
        this.hit(head, parts, value);
        continue;
      }
      this.input = this.input.slice(end + 2);
      this.pending.shift();
      this.answer(head, line);
    }
  }

  private hit(head: Pending, parts: readonly string[], value: string): void {
    const key = parts[1]!;
    const wantsToken = head.request.verb === "gets" || head.request.verb === "gats";
    if (!head.request.keys.includes(key)) this.complain(`VALUE of ${key}, asked was ${head.request.text.trim()}`);
    if (parts.length !== (wantsToken ? 5 : 4)) this.complain(`${parts.length} words in ${parts.join(" ")} after ${head.request.verb}`);
    if (this.hits.has(key)) this.complain(`VALUE of ${key} twice`);
    this.hits.set(key, { value, flags: Number(parts[2]), token: parts[4] ?? "" });
  }

  private answer(head: Pending, line: string): void {
    const { request, calls } = head;
    const nowUs = this.process.world.nowUs;
    const hits = this.hits;
    if (hits.size > 0) this.hits = new Map();
    if (line.startsWith("SERVER_ERROR ")) {
      this.history.error(line);
      if (hits.size > 0) this.complain(`${line} in the middle of an answer`);
      for (const call of calls) this.history.refuse(call, nowUs);
      return;
    }
    if (calls.length === 0) {
      if (!(request.verb === "version" ? line.startsWith("VERSION ") : line === "MN")) this.complain(`${line} to ${request.verb}`);
      return;
    }
    const reading = request.verb === "get" || request.verb === "gets" || request.verb === "gat" || request.verb === "gats";
    for (const call of calls) {
      const hit = hits.get(call.key);
      if (reading && line === "END") {
        if (hit === undefined) this.history.settle(call, nowUs, "miss");
        else this.history.settle(call, nowUs, "hit", shorten(hit.value.trimEnd()), hit.flags);
        if (hit !== undefined && hit.token !== "") this.load.learned(call.key, call.seen, hit.token);
        continue;
      }
      const outcome = OUTCOMES.get(line) ?? (/^[0-9]+ *$/.test(line) ? "number" : undefined);
      if (outcome === undefined || !(ALLOWED[call.kind] ?? []).includes(outcome)) {
        this.complain(`${JSON.stringify(line)} to ${request.text.split("\r\n")[0]}`);
        this.history.abandon(call, nowUs);
      } else {
        this.history.settle(call, nowUs, outcome, outcome === "number" ? line.trimEnd() : "");
      }
    }
  }

  private complain(what: string): void {
    if (!this.excused()) this.history.wrong.push(`${(this.process.world.nowUs / 1000).toFixed(3)} session ${this.session}: ${what}`);
  }
}

const OUTCOMES = new Map<string, Outcome>([
  ["STORED", "stored"], ["NOT_STORED", "not_stored"], ["EXISTS", "exists"], ["NOT_FOUND", "not_found"],
  ["DELETED", "deleted"], ["TOUCHED", "touched"], ["OK", "deleted"],
]);

const ALLOWED: Partial<Record<CallKind, readonly Outcome[]>> = {
  set: ["stored"],
  add: ["stored", "not_stored"],
  replace: ["stored", "not_stored"],
  append: ["stored", "not_stored"],
  prepend: ["stored", "not_stored"],
  cas: ["stored", "exists", "not_found"],
  incr: ["number", "not_found"],
  decr: ["number", "not_found"],
  touch: ["touched", "not_found"],
  delete: ["deleted", "not_found"],
  flush: ["deleted"],
};
