// What must hold in a proxy at every moment, whatever its clients see of it: looked at while a world runs, every few
// events and at each question that goes to a server.
import type { Lane } from "../../src/backend/lane.ts";
import { Expect } from "../../src/protocol/reply.ts";
import { Decide } from "../../src/replication/requests/decide.ts";
import type { Pair } from "../../src/replication/pair.ts";
import type { Pool } from "../../src/replication/pool.ts";
import { Read } from "../../src/replication/requests/read.ts";
import { Sync } from "../../src/replication/copying/sync.ts";
import { Write } from "../../src/replication/requests/write.ts";

/** Questions under way on one lane, and bytes that wait for it, far beyond what the clients of these worlds can cause. */
const IN_FLIGHT_MAX = 5_000;
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** A key's lock is passed on or freed within this, ms: some deadlines, for each of those that wait. */
const LOCKED_MS_MAX = 20_000;
/** Copies under way per server and lane. */
const COPIES_MAX = 16;
/** Number of decide.ts' and sync.ts' questions. */
const COMMAND = 0, COPY = 2, SYNC_WRITE = 2;

/** Who may be trusted and what is known to be lacking; in words, empty when all is well. */
export function wrongNow(pool: Pool): string[] {
  const out: string[] = [];
  for (const server of pool.servers) {
    const { label, state, cold, leads } = server;
    if (leads && (cold || state === "down" || state === "rejoin")) out.push(`I10: ${label} leads, though it is ${cold ? "cold" : state}`);
    if (leads && pool.comebacks.returning.has(server)) out.push(`I10: ${label} leads while it is being synchronised`);
    for (const lane of server.lanes) {
      if (lane.ready && state === "down") out.push(`a lane of ${label} serves, though it is down`);
      if (lane.inFlight.count > IN_FLIGHT_MAX) out.push(`${lane.inFlight.count} questions under way on a lane of ${label}`);
      if (lane.out.total > WAITING_BYTES_MAX) out.push(`${lane.out.total} bytes wait for a lane of ${label}`);
    }
  }
  for (const pair of pool.pairs) {
    let first = 0, second = 0;
    if (pair.stale.size > 0) for (const { side } of pair.stale.values()) side === 0 ? first++ : second++;
    if (first !== pair.lacking[0] || second !== pair.lacking[1]) {
      out.push(`${[first, second]} stale entries, though ${pair.lacking} are counted`);
    }
  }
  return out;
}

/** A question that should not have been put to a side of a pair, in words, or null. */
export function wrongQuestion(pair: Pair, side: number, expect: number, caller: unknown, role: number): string | null {
  if (caller instanceof Read && expect === Expect.VALUES && pair.stale.get(caller.key)?.side === side) {
    return `I2: ${caller.key} is read from side ${side}, which lacks its newest state`;
  }
  if (caller instanceof Sync && role === SYNC_WRITE) {
    const { key } = caller as unknown as { key: string };
    if (pair.leadOf(key) === side) return `I8: a copy of ${key} is written to side ${side}, which leads it`;
  }
  return null;
}

/**
 * I9: writes of a key reach both sides in one order. A command in two steps has its place from its first step on, and
 * nothing else may have taken it on the other side when its result comes there.
 */
export class WriteOrder {
  private count = 0;
  /** Of each write: its place, and on which sides it was asked since it has that (a bit each). */
  private readonly placeOf = new WeakMap<object, { place: number; sides: number }>();
  /** By side and key: the place of what was sent there last. */
  private readonly last: readonly [Map<string, number>, Map<string, number>] = [new Map(), new Map()];

  /** A write was put to a side; in words when it comes too late there, or null. */
  asked(side: 0 | 1, caller: unknown, role: number): string | null {
    if (!(caller instanceof Write) && !(caller instanceof Decide)) return null;
    if (caller instanceof Decide && role !== COMMAND && role !== COPY) return null;
    let known = this.placeOf.get(caller);
    // What waited for a lane is asked anew.
    if (known === undefined || (caller instanceof Decide ? role === COMMAND : (known.sides & (1 << side)) !== 0)) {
      this.placeOf.set(caller, (known = { place: ++this.count, sides: 0 }));
    }
    known.sides |= 1 << side;
    const { place } = known;
    const last = this.last[side].get(caller.key) ?? 0;
    if (last > place) return `I9: the result of a command on ${caller.key} reaches side ${side} behind what was asked later`;
    this.last[side].set(caller.key, place);
    return null;
  }
}

/** Looks at one proxy while its world runs; what it finds is in `found`, each once. */
export class Watch {
  readonly found: string[] = [];
  private readonly seen = new Set<string>();
  /** What the servers were taken for at the last look. */
  private standing = 0;
  /** Since when each locked key has been so, by its queue. */
  private readonly lockedSince = new WeakMap<object, number>();

  /** changed is called when a server is taken for something else than at the look before. */
  constructor(
    private readonly pool: Pool, private readonly lanes: number, private readonly nowMs: () => number,
    private readonly changed: () => void = () => {},
  ) {
    for (const pair of pool.pairs) {
      if (pair.backup === null) continue;
      const order = new WriteOrder();
      for (const side of [0, 1] as const) for (const lane of pair.server(side)!.lanes) this.listen(pair, side, lane, order);
    }
  }

  /** Called every few events. */
  look(): void {
    let standing = 0;
    for (const { state, cold, fenced } of this.pool.servers) {
      standing = standing * 16 + (state === "up" ? 0 : state === "down" ? 1 : state === "rejoin" ? 2 : 3) + (cold ? 4 : 0) + (fenced ? 8 : 0);
    }
    if (standing !== this.standing) this.changed();
    this.standing = standing;
    for (const text of wrongNow(this.pool)) this.say(text);
    const running = (this.pool.copier as unknown as { running: number }).running;
    if (running > COPIES_MAX * this.lanes) this.say(`${running} copies at a time`);
    const now = this.nowMs();
    for (const { locks } of this.pool.pairs) {
      if (locks.size === 0) continue;
      for (const [key, queue] of locks) {
        const since = this.lockedSince.get(queue);
        if (since === undefined) this.lockedSince.set(queue, now);
        else if (now - since > LOCKED_MS_MAX) this.say(`${key} has been locked for ${LOCKED_MS_MAX} ms`);
      }
    }
  }

  /** A server belongs to several pairs: each judges the questions about its own keys. */
  private listen(pair: Pair, side: 0 | 1, lane: Lane, order: WriteOrder): void {
    // Lane.expect goes through it as well.
    const expect = lane.expectGet.bind(lane);
    lane.expectGet = (kind, caller, role) => {
      if ((caller as { pair?: Pair }).pair === pair) {
        this.say(wrongQuestion(pair, side, kind, caller, role));
        this.say(order.asked(side, caller, role));
      }
      expect(kind, caller, role);
    };
  }

  private say(text: string | null): void {
    if (text === null || this.seen.has(text) || this.found.length >= 10) return;
    this.seen.add(text);
    this.found.push(text);
  }
}
