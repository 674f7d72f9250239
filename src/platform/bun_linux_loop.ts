// The event loop on Linux: one epoll for all our sockets, asked once a turn. Bun's own costs 0.6 µs of user time for each
// message, this 0.25. Bun goes on in between: its poll is one of our descriptors, its immediates call us.
//
//   Bun's loop ─▶ [wait ─▶ every ready socket reads once ─▶ those that have more ─▶ what was asked for after the turn] ─▶ Bun's loop
//                 └────────────────────── as long as the runtime has nothing to do ───────────────────────┘
import { readdirSync, readlinkSync } from "node:fs";
import { ptr } from "bun:ffi";
import { drainMicrotasks } from "bun:jsc";
import process from "node:process";
import { hostClock } from "./host_common.ts";
import { Input } from "./bun_linux_input.ts";
import type { LinuxCalls } from "./bun_linux_calls.ts";
import type { Clock } from "./platform.ts";

export const READABLE = 1, WRITABLE = 4, FAILED = 8, HUNG_UP = 16, PEER_ENDED = 0x2000;
const EDGE_TRIGGERED = 1 << 31;
const EPOLL_CLOEXEC = 0o2000000, ADD = 1, DELETE = 2;
/** Sockets served a turn. */
const EVENTS_MAX = 1024;
/** struct epoll_event in 32-bit words (packed on x86 alone), and where in it our number stands. */
const WORDS = process.arch === "x64" ? 3 : 4, DATA = process.arch === "x64" ? 1 : 2;
/** Timers that others asked the runtime for may be late by so much, ms. */
const WAIT_MAX_MS = 20;

/** A descriptor's owner. */
export interface Ready {
  /** events: READABLE and so on, of which some may be of before; whoever owns it looks for himself. */
  ready(events: number): void;
  /** Asked for with again(). */
  more(): void;
  /** ready or more threw it. */
  threw(error: unknown): void;
}

export class Loop {
  /** Where reads go to, one after the other; and those of sockets that had more than fits in there. */
  readonly input = new Input(32 * 1024);
  readonly largeInput = new Input(256 * 1024);
  readonly clock: Clock;
  private readonly epoll: number;
  private readonly events = new Int32Array(new ArrayBuffer(EVENTS_MAX * WORDS * 4));
  private readonly eventsAt = ptr(this.events);
  private readonly wish = new Int32Array(new ArrayBuffer(64));
  private readonly wishAt = ptr(this.wish);
  /** By descriptor; and how often each was taken, so that an event of an earlier one is told apart. */
  private readonly owners: (Ready | null)[] = [];
  private readonly lives: number[] = [];
  private open = 0;
  private pending: (() => void)[] = [];
  private spare: (() => void)[] = [];
  private hungry: Ready[] = [];
  private fed: Ready[] = [];
  private armed = false;
  /** There is something for the runtime. */
  private called = false;
  private readonly run = (): void => this.turn();
  private readonly alarms = new Set<{ readonly dueMs: number }>();
  private nextMs = Infinity;

  /** Null: the runtime's own poll was not found. */
  static over(calls: LinuxCalls): Loop | null {
    const theirs = runtimePoll();
    return theirs === -1 ? null : new Loop(calls, theirs);
  }

  private constructor(readonly calls: LinuxCalls, private readonly theirs: number) {
    this.epoll = calls.call.epoll_create1(EPOLL_CLOEXEC);
    // Something for the runtime ends our wait.
    this.watch(theirs, READABLE);
    const { nowMs, wallSeconds } = hostClock;
    this.clock = { nowMs, wallSeconds, timer: (ms, fire) => this.timer(ms, fire) };
  }

  /** edge: told once each time there is something new, not as long as there is. */
  add(fd: number, owner: Ready, edge: boolean): void {
    this.owners[fd] = owner;
    this.lives[fd] = ((this.lives[fd] ?? 0) + 1) | 0;
    this.open++;
    this.watch(fd, edge ? READABLE | WRITABLE | PEER_ENDED | EDGE_TRIGGERED : READABLE);
    this.arm();
  }

  /** Before it is closed; shared: others have descriptors of the same, with which it would go on to be ready. */
  remove(fd: number, shared: boolean): void {
    this.owners[fd] = null;
    this.open--;
    if (shared) this.calls.call.epoll_ctl(this.epoll, DELETE, fd, this.wishAt);
  }

  /** Its more() is called in this turn, or in the next when this one has got that far. */
  again(owner: Ready): void {
    this.hungry.push(owner);
    this.arm();
  }

  /** At the end of this turn; asked for there, or outside of any: of the next. */
  after(run: () => void): void {
    this.pending.push(run);
    this.arm();
  }

  private watch(fd: number, events: number): void {
    this.wish[0] = events;
    this.wish[DATA] = fd;
    this.wish[DATA + 1] = this.lives[fd] ?? 0;
    this.calls.call.epoll_ctl(this.epoll, ADD, fd, this.wishAt);
  }

  private arm(): void {
    if (this.armed) return;
    this.armed = true;
    setImmediate(this.run);
  }

  private turn(): void {
    this.armed = false;
    if (this.open === 0 && this.pending.length === 0 && this.hungry.length === 0) return;
    const begunMs = performance.now();
    let nowMs = begunMs;
    this.called = false;
    try {
      // To give the runtime a turn of its own costs as much as to serve a request: it gets one when it has something to do.
      do {
        this.serve(this.pending.length > 0 || this.hungry.length > 0 ? 0 : this.waitMs(nowMs));
        if (this.hungry.length > 0) this.feed();
        if (this.pending.length > 0) this.finish();
        drainMicrotasks();
        nowMs = performance.now();
      } while (!this.called && nowMs < this.nextMs && nowMs - begunMs < WAIT_MAX_MS && this.open > 0);
    } finally {
      if (this.open > 0 || this.pending.length > 0 || this.hungry.length > 0) this.arm();
    }
  }

  private serve(waitMs: number): void {
    const { events, owners, lives } = this;
    const words = this.calls.call.epoll_wait(this.epoll, this.eventsAt, EVENTS_MAX, waitMs) * WORDS;
    for (let at = 0; at < words; at += WORDS) {
      const fd = events[at + DATA]!;
      const owner = owners[fd];
      if (owner === undefined || owner === null || lives[fd] !== events[at + DATA + 1]) {
        if (fd === this.theirs) this.called = true;
        continue;
      }
      try {
        owner.ready(events[at]!);
      } catch (error) {
        owner.threw(error);
      }
    }
  }

  private feed(): void {
    const waiting = this.hungry;
    this.hungry = this.fed;
    this.fed = waiting;
    for (let i = 0; i < waiting.length; i++) {
      const owner = waiting[i]!;
      try {
        owner.more();
      } catch (error) {
        owner.threw(error);
      }
    }
    waiting.length = 0;
  }

  private finish(): void {
    const runs = this.pending;
    this.pending = this.spare;
    this.spare = runs;
    for (let i = 0; i < runs.length; i++) {
      try {
        runs[i]!();
      } catch (error) {
        setImmediate(() => {
          throw error;
        });
      }
    }
    runs.length = 0;
  }

  /** How long there is nothing to do but for sockets, ms. */
  private waitMs(nowMs: number): number {
    if (this.nextMs <= nowMs) {
      this.nextMs = Infinity;
      for (const { dueMs } of this.alarms) if (dueMs < this.nextMs) this.nextMs = dueMs;
    }
    const left = this.nextMs - nowMs;
    // One that is due fires as soon as the runtime's coarser clock says so.
    return left >= WAIT_MAX_MS ? WAIT_MAX_MS : left <= 1 ? 1 : Math.ceil(left);
  }

  private timer(ms: number, fire: () => void): ReturnType<Clock["timer"]> {
    const alarm = { dueMs: performance.now() + ms };
    this.alarms.add(alarm);
    if (alarm.dueMs < this.nextMs) this.nextMs = alarm.dueMs;
    const timer = hostClock.timer(ms, () => {
      this.alarms.delete(alarm);
      fire();
    });
    return {
      cancel: () => {
        this.alarms.delete(alarm);
        timer.cancel();
      },
    };
  }
}

/** The descriptor of the epoll that the runtime's loop waits in, the first that it made; -1: there is none. */
function runtimePoll(): number {
  const fds = readdirSync("/proc/self/fd").map(Number).sort((a, b) => a - b);
  for (const fd of fds) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventpoll]") return fd;
    } catch {
      // It was the one that listed them.
    }
  }
  return -1;
}
