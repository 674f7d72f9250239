// A MemoryServer on a table: a clock that is turned by hand, turns that are ended by hand, and sockets whose kernel
// takes as much as the test lets it.
import { latin1 } from "../../src/bytes/ascii.ts";
import { Turn } from "../../src/bytes/turn.ts";
import { MemoryServer, type MemoryServerOptions } from "../../src/embedded/server.ts";
import type { Clock, Socket, SocketHandlers, Timer } from "../../src/platform/platform.ts";
import { textOf } from "../support/fake_platform.ts";

/** Start of every server on the table, seconds since 1970. */
export const START = 1_700_000_000;

export class HandClock implements Clock {
  ms = 5_000.25;
  nowMs(): number {
    return this.ms;
  }
  wallSeconds(): number {
    return START + 0.75;
  }
  timer(): Timer {
    throw new Error("an embedded server needs no timer");
  }
}

/** The server's end of one connection, and the client that sits at the other. */
export class Wire implements Socket {
  readonly remote: string;
  readonly local = "10.0.0.1:11211";
  /** What the kernel still takes, bytes. */
  room = Infinity;
  paused = false;
  finished = false;
  aborted = false;
  private got = "";
  private owedDrain = false;

  constructor(private readonly table: Table, private readonly owner: SocketHandlers, port: number) {
    this.remote = `10.0.0.9:${port}`;
    owner.onOpen(this);
    table.endTurn();
  }

  /** Sends and ends the turn; `cuts` are the places where the bytes are cut into pieces. */
  send(bytes: Uint8Array | string, cuts: readonly number[] = []): this {
    const whole = typeof bytes === "string" ? latin1(bytes) : bytes;
    const ends = [...cuts, whole.length];
    let start = 0;
    for (const end of ends) {
      if (end > start) this.deliver(whole.slice(start, end));
      start = end;
    }
    return this;
  }

  private deliver(piece: Uint8Array): void {
    if (this.finished) return;
    if (this.paused) throw new Error("input while paused");
    this.owner.onData(piece);
    this.table.endTurn();
  }

  /** What was answered since the last call, one character a byte. */
  take(): string {
    const got = this.got;
    this.got = "";
    return got;
  }

  ask(text: string): string {
    return this.send(text).take();
  }

  /** The kernel has room again. */
  drain(room: number): void {
    this.room = room;
    if (!this.owedDrain) return;
    this.owedDrain = false;
    this.owner.onDrain();
    this.table.endTurn();
  }

  /** The client has nothing more to say. */
  end(): void {
    this.owner.onEnd();
    this.table.endTurn();
  }

  gone(): void {
    this.owner.onClose("reset", "");
    this.table.endTurn();
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.finished || this.aborted) return 0;
    const taken = Math.min(this.room, end - start);
    this.room -= taken;
    this.got += textOf(bytes.subarray(start, start + taken));
    if (taken < end - start) this.owedDrain = true;
    return taken;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  finish(): void {
    this.finished = true;
  }

  abort(): void {
    this.aborted = true;
  }
}

export class Table {
  readonly clock = new HandClock();
  readonly server: MemoryServer;
  private runs: (() => void)[] = [];
  private port = 40_000;

  constructor(options: MemoryServerOptions = {}) {
    const turn = new Turn((run) => this.runs.push(run));
    this.server = new MemoryServer({ clock: this.clock, turn }, { pid: 42, ...options });
  }

  connect(): Wire {
    return new Wire(this, this.server.accept(), this.port++);
  }

  /** Everything that joined this turn leaves. */
  endTurn(): void {
    while (this.runs.length > 0) this.runs.shift()!();
  }

  pass(seconds: number): void {
    this.clock.ms += seconds * 1000;
  }
}

/** Replaces {text*count}. */
export function expand(shorthand: string): string {
  return shorthand.replace(/\{([^{}*]+)\*(\d+)\}/g, (_all, text: string, count: string) => text.repeat(Number(count)));
}

/** An answer with dates and long runs written as in transcripts.ts. */
export function comparable(answer: string): string {
  return answer
    .replace(/\b(la|exp)=[1-9]\d{9}\b/g, "$1=<date>")
    .replace(/([^\r\n])\1{63,}/g, (run, one: string) => `{${one}*${run.length}}`);
}
