// The names of all keys that one memcached holds, through its `lru_crawler metadump`, on a connection of its own. The
// dump is read at full speed and never paused: a stalled reader can hang the server's worker.
import { indexOf, latin1, LF, textOf } from "../bytes/ascii.ts";
import type { Address, Attempt, Clock, Net, Socket, SocketHandlers, Timer } from "../platform/platform.ts";

/** Without a byte for this long the dump is given up, ms. */
const STALL_MS = 1000;
/** What came while we were away ourselves lies in the kernel: so long it is waited for once more, ms. */
const UNREAD_MS = 100;
/** How often a crawler that is busy or locked is asked again, and after which time, ms. */
const BUSY_TRIES = 20, BUSY_MS = 250;
/** `metadump all` can miss keys while the LRU moves: passes are united until one adds nothing. */
const PASSES_MAX = 5;
const KEY_IS = latin1("key=");

export interface DumpWorld {
  readonly net: Net;
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
}

/** Where the keys of a dump go; a set of texts is one. */
export interface DumpedKeys {
  has(key: string): boolean;
  /** bytes[start, end) is the rest of the key's line: ` exp=… la=… cas=… …`. */
  add(key: string, bytes: Uint8Array, start: number, end: number): unknown;
}

export class Dump implements SocketHandlers {
  private socket: Socket | null = null;
  private attempt: Attempt | null = null;
  private timer: Timer | null = null;
  private rest: Uint8Array = new Uint8Array(0);
  private busy = 0;
  private passes = 0;
  private newKeys = 0;
  private over = false;

  /** Adds each key (as a text of characters 0–255) to `keys`; done(null) when complete, else done(why not). */
  constructor(
    private readonly world: DumpWorld,
    private readonly address: Address,
    /** The server knows `metadump hash`, which misses nothing in one pass (memcached ≥ 1.6.19). */
    private readonly byHash: boolean,
    private readonly keys: DumpedKeys,
    private readonly done: (problem: string | null) => void,
  ) {}

  start(): void {
    this.attempt = this.world.net.connect(this.address, this.world.connectTimeoutMs, this);
  }

  /** Gives up; done is not called any more. */
  abort(): void {
    this.over = true;
    this.timer?.cancel();
    this.attempt?.abort();
    this.socket?.abort();
  }

  onOpen(socket: Socket): void {
    this.attempt = null;
    this.socket = socket;
    if (this.over) return socket.abort();
    this.ask();
  }

  onData(chunk: Uint8Array): void {
    if (this.over) return;
    this.watch();
    let bytes = chunk;
    if (this.rest.length > 0) {
      bytes = new Uint8Array(this.rest.length + chunk.length);
      bytes.set(this.rest);
      bytes.set(chunk, this.rest.length);
    }
    let at = 0;
    for (let lf = indexOf(bytes, LF, at, bytes.length); lf !== -1; lf = indexOf(bytes, LF, at, bytes.length)) {
      this.line(bytes, at, lf);
      if (this.over) return;
      at = lf + 1;
    }
    this.rest = bytes.slice(at);
  }

  onDrain(): void {}
  onEnd(): void {
    this.finish("closed");
  }
  onClose(cause: string): void {
    this.finish(cause);
  }

  private ask(): void {
    const command = latin1(`lru_crawler metadump ${this.byHash ? "hash" : "all"}\r\n`);
    this.newKeys = 0;
    this.watch();
    // A few dozen bytes on a fresh connection: the kernel always takes them whole.
    if (this.socket!.write(command, 0, command.length) < command.length) this.finish("send buffer full");
  }

  private line(bytes: Uint8Array, start: number, lf: number): void {
    const end = bytes[lf - 1] === 13 ? lf - 1 : lf;
    if (end - start > 4 && KEY_IS.every((byte, i) => bytes[start + i] === byte)) {
      let space = start + 4;
      while (space < end && bytes[space] !== 32) space++;
      const key = unescape(bytes, start + 4, space);
      if (!this.keys.has(key)) this.newKeys++;
      this.keys.add(key, bytes, space, end);
      return;
    }
    const text = textOf(bytes, start, end);
    if (text === "END") return this.passDone();
    if (text === "OK" || text === "") return;
    if (!text.startsWith("BUSY") && !text.startsWith("ERROR locked")) return this.finish(text.slice(0, 80));
    if (++this.busy > BUSY_TRIES) return this.finish("the server's crawler stays busy");
    this.timer?.cancel();
    this.timer = this.world.clock.timer(BUSY_MS, () => this.ask());
  }

  private passDone(): void {
    this.passes++;
    if (this.byHash || (this.passes > 1 && this.newKeys === 0) || this.passes === PASSES_MAX) return this.finish(null);
    this.ask();
  }

  private watch(): void {
    this.timer?.cancel();
    this.timer = this.world.clock.timer(STALL_MS, () => {
      this.timer = this.world.clock.timer(UNREAD_MS, () => this.finish("stalled"));
    });
  }

  private finish(problem: string | null): void {
    if (this.over) return;
    this.abort();
    this.done(problem);
  }
}

/** A key as metadump writes it: bytes other than plain ones as %XX. */
function unescape(bytes: Uint8Array, start: number, end: number): string {
  const text = textOf(bytes, start, end);
  if (!text.includes("%")) return text;
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}
