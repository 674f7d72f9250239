// The test language: client sends, backend receives exactly, backend sends, client receives exactly, close, all pipes
// empty. One proxy with its real rooms over backends that are dumb sockets; time passes by hand.
import { expect } from "bun:test";
import type { ComebackConfig, ProxiesConfig } from "../../src/config/config.ts";
import type { Log } from "../../src/observe/log.ts";
import { PRIMARY, type Pair } from "../../src/replication/pair.ts";
import { Proxy } from "../../src/proxy.ts";
import { FakeBackend } from "../support/fake_backend.ts";
import { FakePlatform, type FakeSocket } from "../support/fake_platform.ts";

export interface TableOptions {
  readonly primaries?: number;
  /** 0: no backups. */
  readonly backups?: number;
  readonly lanes?: number;
  readonly ack?: "both" | "lead" | "any";
  readonly itemBytesMax?: number;
  readonly clientsMax?: number;
  readonly slowMs?: number;
  /** The zone whose copies are read first: primaries stand in "p", backups in "b". */
  readonly near?: "p" | "b";
  /** How it gets on with other proxies; alone by itself. */
  readonly proxies?: Partial<ProxiesConfig>;
  readonly comeback?: Partial<ComebackConfig>;
  readonly shareGets?: boolean;
  /** The backends take explicit cas uniques. */
  readonly explicit?: boolean;
  /** Of the log: 2 for -vv. */
  readonly verbosity?: number;
  /** Called before the proxy is made. */
  readonly before?: (table: Table) => void;
}

/** One backend with the verbs of the test language. */
export class Backend extends FakeBackend {
  constructor(private readonly platform: FakePlatform, readonly label: string, pid: number) {
    super(pid);
    platform.peers.set(label, this);
  }
  /** A lane got exactly this since it was last looked at. */
  receives(text: string, lane = 0): this {
    const socket = this.lanes[lane];
    expect([this.label, socket === undefined ? "no such lane" : short(socket.take())]).toEqual([this.label, short(text)]);
    return this;
  }
  sends(...texts: (string | Uint8Array)[]): this {
    return this.sendsOn(0, ...texts);
  }
  sendsOn(lane: number, ...texts: (string | Uint8Array)[]): this {
    this.lanes[lane]!.send(...texts);
    this.platform.settle();
    return this;
  }
  /** It is asked exactly this, and answers at once. */
  answers(question: string, answer: string, lane = 0): this {
    return this.receives(question, lane).sendsOn(lane, answer);
  }
  /** From now on the process of this pid answers, and takes explicit cas uniques. */
  livesExplicit(pid: number, answer = "HD c4611686018427387905\r\n"): void {
    this.lives(pid, "1.6.38");
    this.standing.set("stats settings\r\n", "STAT item_size_max 67108864\r\nSTAT cas_enabled yes\r\nEND\r\n");
    this.standing.set("ms __tandem:e 1 T5 E4611686018427387905 c\r\n1\r\n", answer);
  }
  /** One lane ends. */
  closes(lane = 0): void {
    this.lanes[lane]!.close("reset");
    this.platform.settle();
  }
  override dies(): void {
    super.dies();
    this.platform.settle();
  }
}

export class Customer {
  constructor(private readonly platform: FakePlatform, readonly socket: FakeSocket) {}
  sends(...texts: (string | Uint8Array)[]): this {
    this.socket.send(...texts);
    this.platform.settle();
    return this;
  }
  receives(text: string): this {
    expect(short(this.socket.take())).toBe(short(text));
    return this;
  }
  receivesMatch(pattern: RegExp): this {
    expect(short(this.socket.take())).toMatch(pattern);
    return this;
  }
  halfCloses(): void {
    this.socket.end();
    this.platform.settle();
  }
  closes(): void {
    this.socket.close("reset");
    this.platform.settle();
  }
}

/** Long runs of one character, shortened to their length, so that a failure can be read. */
function short(text: string): string {
  if (text.length < 64) return text;
  let out = "";
  for (let at = 0, end = 0; at < text.length; at = end) {
    const one = text[at]!;
    while (end < text.length && text[end] === one) end++;
    out += end - at < 64 ? text.slice(at, end) : `{${one}*${end - at}}`;
  }
  return out;
}

export class Table {
  readonly platform = new FakePlatform();
  readonly primaries: Backend[] = [];
  readonly backups: Backend[] = [];
  readonly proxy: Proxy;
  readonly said: string[] = [];
  readonly client: Customer;

  constructor(options: TableOptions = {}) {
    const { primaries = 1, backups = 1, lanes = 1, ack = "both", itemBytesMax = 64 * 1024 * 1024, clientsMax = 10 } = options;
    for (let i = 0; i < primaries; i++) this.primaries.push(new Backend(this.platform, `p${i}:1`, 100 + i));
    for (let i = 0; i < backups; i++) this.backups.push(new Backend(this.platform, `b${i}:1`, 200 + i));
    if (options.explicit === true) for (const [i, each] of [...this.primaries, ...this.backups].entries()) each.livesExplicit(300 + i);
    options.before?.(this);
    const spec = ({ label }: Backend) => ({
      address: { kind: "tcp", host: label.slice(0, -2), port: 1 } as const, weight: 1, name: null, label, zone: label.slice(0, 1),
    });
    const say = (message: string, fields: object = {}): void => void this.said.push(`${message} ${JSON.stringify(fields)}`);
    const log: Log = { verbosity: options.verbosity ?? 0, info: say, warn: say, error: say, debug: say };
    this.proxy = new Proxy(this.platform, {
      pools: [{
        listen: [{ kind: "tcp", host: "0.0.0.0", port: 11211 }], unixMode: 0o700, clientsMax,
        name: "pool", ring: "libketama", hashTag: "", primaries: this.primaries.map(spec), backups: this.backups.map(spec),
        lanes, ack, connectTimeoutMs: 300, requestTimeoutMs: 300, itemBytesMax, slowMs: options.slowMs ?? 0, refill: { keysPerSecond: 25_000, bytesPerSecond: 1 << 25 }, proxies: { board: false, strict: false, scrubHours: 0, verify: "off", hints: false, stateDir: "", ...options.proxies },
        comeback: { rejoin: "wait", missedKeysMax: 500_000, ...options.comeback }, shareGets: options.shareGets ?? false,
        region: { zone: options.near ?? "", read: options.near === undefined ? "primary" : "nearest", peers: [] }, transitionSeconds: 3600,
      }],
    }, log);
    this.proxy.start(() => {});
    this.platform.settle();
    this.client = this.join();
  }

  get P(): Backend {
    return this.primaries[0]!;
  }
  get B(): Backend {
    return this.backups[0]!;
  }
  get pair(): Pair {
    return this.proxy.pool.pairs[0]!;
  }
  /** One more client. */
  join(): Customer {
    const customer = new Customer(this.platform, this.platform.connectClient());
    this.platform.settle();
    return customer;
  }
  pass(ms: number): this {
    this.platform.pass(ms);
    return this;
  }
  /** Lets time pass, at most five seconds, until something holds. */
  passUntil(holds: () => boolean): void {
    for (let i = 0; i < 250 && !holds(); i++) this.pass(20);
    expect(holds()).toBe(true);
  }
  /** The side that lacks the key's newest state: "P", "B" or "". */
  lacks(key: string): string {
    const entry = this.pair.stale.get(key);
    return entry === undefined ? "" : entry.side === PRIMARY ? "P" : "B";
  }
  /** States of the primaries and the backups. */
  get states(): string {
    return this.proxy.pool.servers.map(({ state, cold }) => (cold ? `${state} cold` : state)).join(" ");
  }
  /** All pipes are empty: nothing unread, nothing unanswered, nothing locked. */
  ends(): void {
    const unread = [...this.primaries, ...this.backups].map((backend) => backend.unread);
    const waiting = this.proxy.pool.servers.flatMap(({ lanes }) => lanes.map(({ inFlight, out }) => inFlight.count + out.total));
    expect([this.client.socket.unread, unread.join(""), waiting.filter((count) => count > 0), [...this.pair.locks.keys()]])
      .toEqual(["", "", [], []]);
  }
}

/** `verb key flags 0 bytes` with its data. */
export function store(verb: string, key: string, data: string, words = ""): string {
  return `${verb} ${key} 0 0 ${data.length}${words}\r\n${data}\r\n`;
}

/** The answer to a get of one key. */
export function value(key: string, data: string, flags = "0"): string {
  return `VALUE ${key} ${flags} ${data.length}\r\n${data}\r\nEND\r\n`;
}

/** Both sides get the same request. */
export function both(table: Table, request: string): void {
  table.P.receives(request);
  table.B.receives(request);
}
