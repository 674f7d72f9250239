// One lane on the table, with a caller that writes down what it hears.
import type { Caller } from "../../src/backend/caller.ts";
import { newLatency } from "../../src/backend/kinds.ts";
import { Lane, type LaneOwner } from "../../src/backend/lane.ts";
import { latin1, textOf } from "../../src/bytes/ascii.ts";
import { TailPool } from "../../src/bytes/outbound.ts";
import { Turn } from "../../src/bytes/turn.ts";
import { type ExpectCode, Status, type ValueView } from "../../src/protocol/reply.ts";
import { type Cause, FakePlatform, type FakeSocket, type Peer } from "../support/fake_platform.ts";

const NAME = Object.fromEntries(Object.entries(Status).map(([name, code]) => [code, name]));

/** Hears of role 1: "1 value …", "1 chunk …", "1 line …", "1 END …", "1 failed reason sent", "1 ready". */
export class Listener implements Caller {
  readonly heard: string[] = [];
  /** Parts of an item are joined, so that how it was cut does not show. */
  private item = "";
  /** Answers to onValue: whether the item was asked for. */
  takes = true;
  holds = false;
  /** Called at each failure. */
  onFailed: () => void = () => {};

  onValue(role: number, value: ValueView): boolean {
    const text = textOf(value.bytes, value.start, value.end);
    if (value.partial) this.item = text;
    else this.heard.push(`${role} value ${text}`);
    return this.takes;
  }
  onChunk(role: number, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.item += textOf(bytes, start, end);
    if (last) this.heard.push(`${role} value ${this.item}`);
  }
  onLine(role: number, bytes: Uint8Array, start: number, end: number): void {
    this.heard.push(`${role} line ${textOf(bytes, start, end)}`);
  }
  onReply(role: number, status: number, bytes: Uint8Array, start: number, end: number): void {
    this.heard.push(`${role} ${NAME[status]} ${textOf(bytes, start, end)}`);
  }
  onFailure(role: number, reason: string, sent: boolean): void {
    this.heard.push(`${role} failed ${reason}${sent ? " sent" : ""}`);
    this.onFailed();
  }
  onReady(role: number): void {
    this.heard.push(`${role} ready`);
  }
}

export class Bench implements LaneOwner, Peer {
  readonly platform = new FakePlatform();
  readonly caller = new Listener();
  readonly lane: Lane;
  readonly latency = newLatency();
  readonly told: string[] = [];
  welcome: "accept" | "lost" | Cause = "accept";
  socket!: FakeSocket;
  reconnects = false;

  constructor() {
    this.platform.peers.set("m:1", this);
    const turn = new Turn((run) => this.platform.afterTurn(run), () => this.platform.clock.nowMs());
    this.lane = new Lane(
      this, this.platform.net, turn, this.platform, { kind: "tcp", host: "m", port: 1 }, 300, 300, new TailPool(),
      this.latency,
    );
  }

  /** Connects and begins to serve. */
  open(): this {
    this.lane.connect();
    this.platform.settle();
    this.lane.serve();
    return this;
  }
  asks(text: string, expect: ExpectCode, role: number): void {
    const bytes = latin1(text);
    this.lane.out.push(bytes, 0, bytes.length);
    this.lane.expect(expect, this.caller, role);
  }
  /** Lets the turn end. */
  settles(): this {
    this.platform.settle();
    return this;
  }
  sends(...texts: string[]): this {
    this.socket.send(...texts);
    return this.settles();
  }
  /** Time passes; deadlines are looked at every 20 ms. */
  pass(ms: number): this {
    for (let passed = 0; passed < ms; passed += 20) {
      this.platform.pass(20);
      this.lane.expire(this.platform.nowMs);
      this.settles();
    }
    return this;
  }

  accepted(socket: FakeSocket): void {
    this.socket = socket;
  }
  wrote(): void {}
  laneOpened(): void {
    this.told.push("opened");
  }
  laneClosed(lane: Lane, reason: string, established: boolean, unanswered: boolean): void {
    this.told.push(`closed ${reason}${established ? " established" : ""}${unanswered ? " unanswered" : ""}`);
    if (this.reconnects) lane.connect();
  }
}
