// A world in one thread and one seed: virtual time, an event heap, machines and the links between them. Nothing here
// asks the real clock or real dice.
import { Heap, Happening } from "./heap.ts";
import { SimHost } from "./host.ts";
import { Prng } from "./prng.ts";
import { Trace } from "./trace.ts";
import { Link } from "./wire.ts";

/** How the wires and kernels of one world behave while no fault is active. Times in microseconds, sizes in bytes. */
export interface Settings {
  /** One way, between two hosts; drawn once per direction. */
  latencyUs: readonly [number, number];
  jitterUs: number;
  /** The same for a host's connections to itself. */
  loopJitterUs: number;
  segmentBytes: number;
  /** Drawn once per connection and direction. */
  sendBuffer: readonly [number, number];
  receiveBuffer: readonly [number, number];
  /** Of 1000 writes, how many take less than there is room for. */
  shortWrites: number;
  /** Of 8 connections, how many hand over their bytes in pieces. */
  fragments: number;
  /** Those pieces are small however much there is: a reader is slow then. */
  smallPieces: boolean;
  /** They do so only while the world is lively: pieces cost most of the time of a run, and matter where things change. */
  sparing: boolean;
  /** How long a process is busy after a turn. */
  turnUs: readonly [number, number];
  /** Timers are late by up to this. */
  timerLateUs: number;
  /** Ready sockets of one turn are served in any order, not in the order they became ready. */
  shuffleReady: boolean;
}

const CALM: Settings = {
  latencyUs: [40, 400],
  jitterUs: 40,
  loopJitterUs: 5,
  segmentBytes: 16_384,
  sendBuffer: [65_536, 262_144],
  receiveBuffer: [65_536, 262_144],
  shortWrites: 0,
  fragments: 0,
  smallPieces: false,
  sparing: false,
  turnUs: [5, 40],
  timerLateUs: 0,
  shuffleReady: false,
};

export interface WorldOptions {
  readonly seed: number;
  readonly settings?: Partial<Settings>;
  /** Receives every event in words. */
  readonly say?: (line: string) => void;
}

/** 2026-01-01 in microseconds: where every wall clock starts. */
const EPOCH_US = 1_767_225_600_000_000;

export class World {
  nowUs = 0;
  readonly epochUs = EPOCH_US;
  readonly seed: number;
  readonly trace: Trace;
  /** Separate dice, so that one part's throws do not shift another's. */
  readonly dice: { readonly net: Prng; readonly hosts: Prng; readonly faults: Prng; readonly load: Prng };
  readonly settings: Settings & { bite(dice: Prng): number };
  /** How often each fault really happened. */
  readonly faults: Record<string, number> = {};
  readonly hosts: SimHost[] = [];
  private readonly names = new Map<string, SimHost>();
  private readonly heap = new Heap();
  private order = 0;
  private connections = 0;
  private stopped = false;
  /** Called after every LOOK_EVENTS events: the eyes of invariants. */
  look: (() => void) | null = null;
  private events = 0;
  private livelyUntilUs = 0;
  /** When it was stirred, in order. */
  private readonly stirs: number[] = [];

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.trace = new Trace(options.say ?? null);
    const root = new Prng(options.seed);
    this.dice = { net: root.fork(), hosts: root.fork(), faults: root.fork(), load: root.fork() };
    const settings = { ...CALM, ...options.settings };
    this.settings = {
      ...settings,
      bite(dice) {
        if (!dice.chance(this.fragments, 8)) return 0;
        return dice.pick([1, 3, 40, 40, 1460]);
      },
    };
  }

  /** Runs at a virtual time; in the past means now. */
  at(us: number, run: () => void): void {
    this.plan(us, new Deed(run));
  }

  after(us: number, run: () => void): void {
    this.plan(this.nowUs + us, new Deed(run));
  }

  /** at() for something that is not waited for yet. */
  plan(us: number, item: Happening): void {
    item.order = this.order++;
    if (us > this.nowUs) {
      item.atUs = us;
      this.heap.push(item);
    } else {
      item.atUs = this.nowUs;
      this.heap.append(item);
    }
  }

  /** The machine of that name; made at the first call. */
  host(name: string): SimHost {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    const host = new SimHost(this, this.hosts.length, name);
    this.hosts.push(host);
    this.names.set(name, host);
    this.names.set(host.ip, host);
    return host;
  }

  /** Gives a machine one more name. */
  alias(name: string, host: SimHost | null): void {
    if (host === null) this.names.delete(name);
    else this.names.set(name, host);
  }

  lookUp(name: string): SimHost | null {
    return this.names.get(name) ?? null;
  }

  /** One direction between two hosts. */
  link(from: SimHost, to: SimHost): Link {
    const known = from.links[to.index];
    if (known !== undefined) return known;
    const [least, most] = this.settings.latencyUs;
    const base = from === to ? this.dice.net.range(5, 30) : this.dice.net.range(least, most);
    const link = new Link(this, from, to, base, from === to ? this.settings.loopJitterUs : this.settings.jitterUs);
    from.links[to.index] = link;
    return link;
  }

  poweredOn(host: SimHost): void {
    for (const other of this.hosts) other.links[host.index]?.heal();
  }

  nextConnection(): number {
    return ++this.connections;
  }

  /** Counts a fault that really happened. */
  fired(kind: string): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
  }

  /** Something happens or is about to: the world is lively for so long, microseconds. */
  stir(us: number): void {
    const until = this.nowUs + us;
    if (this.stirs.at(-1) !== this.nowUs) this.stirs.push(this.nowUs);
    if (until > this.livelyUntilUs) this.livelyUntilUs = until;
  }

  /** True when something happened in that span. */
  stirred(fromUs: number, toUs: number): boolean {
    const { stirs } = this;
    let low = 0, high = stirs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (stirs[middle]! < fromUs) low = middle + 1;
      else high = middle;
    }
    return low < stirs.length && stirs[low]! <= toUs;
  }

  /** True while something is going on, and now and then for no reason; always in a world that spares nothing. */
  get lively(): boolean {
    return !this.settings.sparing || this.nowUs < this.livelyUntilUs || this.nowUs % SPAN_US < SPAN_LIVELY_US;
  }

  /** A line for the trace from the scenario. */
  note(text: string): void {
    this.trace.event(this.nowUs, "note", WORLD, 0, text);
  }

  /** Bytes that begin like no answer of memcached. */
  garbage(): Uint8Array {
    const dice = this.dice.faults;
    const text = dice.pick(["HTTP/1.1 400 Bad Request\r\n", "\r\n", "VALU", "?\r\nSTORED\r\n", "VALUE\r\n", "\0\0\0\n", ""]);
    const out = new Uint8Array(text.length + 1 + dice.below(64));
    for (let i = 0; i < out.length; i++) out[i] = i < text.length ? text.charCodeAt(i) : 128 + dice.below(128);
    return out;
  }

  /** Lets the next thing happen; false when nothing is left to happen. */
  step(): boolean {
    const next = this.heap.peek();
    if (next === undefined) return false;
    this.heap.drop(next);
    this.nowUs = next.atUs;
    next.run();
    return true;
  }

  /** Ends run() after the present event. */
  stop(): void {
    this.stopped = true;
  }

  /** Lets the world go on until a virtual time, or until nothing is left to happen. */
  run(untilUs: number): void {
    this.stopped = false;
    for (;;) {
      const next = this.heap.peek();
      if (next === undefined || next.atUs > untilUs || this.stopped) break;
      this.heap.drop(next);
      this.nowUs = next.atUs;
      next.run();
      if (this.look !== null && ++this.events % LOOK_EVENTS === 0) this.look();
    }
    if (!this.stopped && untilUs > this.nowUs) this.nowUs = untilUs;
  }

  /** Runs until check() holds, looking every stepUs; false when it still does not at limitUs. */
  runUntil(check: () => boolean, limitUs: number, stepUs = 10_000): boolean {
    while (!check()) {
      if (this.nowUs >= limitUs) return false;
      this.run(Math.min(limitUs, this.nowUs + stepUs));
    }
    return true;
  }
}

class Deed extends Happening {
  constructor(private readonly what: () => void) {
    super();
  }

  run(): void {
    this.what();
  }
}

const LOOK_EVENTS = 20;
const SPAN_US = 2_000_000, SPAN_LIVELY_US = 200_000;
const WORLD = { index: 255, name: "world" };
