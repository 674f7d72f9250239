// sync(key, from → to): the only procedure that copies. It never overwrites a state that it has not read (equality
// guard), and never copies against the key's lead.
//
//   read both ─▶ equal: done · from has none: remove guarded · to has none: add · else: replace guarded ─▶ from
//   unchanged? done : again
//
// Whoever does not know which side is behind (verify.ts) names the difference that it saw before: no other one is written over.
//
// Where both sides take explicit cas uniques, equal versions say that the values are equal, so that no value is read
// for it, and a copy carries its version. What somebody else stored has none: there the values count, as elsewhere.
import { latin1, textOf } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import type { Lane } from "../../backend/lane.ts";
import { Expect, metaFlag, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import { putBytes, putText } from "../compose.ts";
import { addChunk, differenceOf, hasVersion, type Held, heldFrom, heldWithoutValue, sameTime, sameVersion } from "./held.ts";
import { type Copying, other, type Pair, type Side } from "../pair.ts";

const ROUNDS_MAX = 12;
/** From here on memcached takes a number for a date (30 days). */
const RELATIVE_MAX_S = 30 * 24 * 3600;
const LETTER_C = 99, LETTER_T = 116;

const Asked = { TO: 0, FROM: 1, WRITE: 2, AGAIN: 3, DROP: 4, VALUE: 5 } as const;

/**
 * equal, copied, removed: both sides hold the same. refused: the target cannot hold it (too large for it) and holds
 * nothing older. turned: from is not the key's lead any more. differs: in another way than was seen before. failed: ask
 * again later.
 */
export type SyncOutcome = "equal" | "copied" | "removed" | "refused" | "turned" | "differs" | "failed";

/**
 * The exptime that gives a copy the remaining time `t` of a meta answer: -1 (unlimited) becomes 0, and times of 30
 * days and more become dates on the server's clock; 0 (about to expire) becomes -1.
 */
export function exptimeOf(bytes: Uint8Array, start: number, end: number, serverUnixSeconds: number): number {
  const seconds = Number(textOf(bytes, start, end));
  if (seconds === -1) return 0;
  if (!(seconds > 0)) return -1;
  return seconds < RELATIVE_MAX_S ? seconds : Math.floor(serverUnixSeconds) + seconds;
}

export class Sync extends SilentCaller {
  private readonly to: Side;
  private rounds = 0;
  /** What each side holds, by Asked.TO and Asked.FROM; null: nothing. */
  private held: [Held | null, Held | null] = [null, null];
  /** When the source began to tell, ms. */
  private toldMs = 0;
  private over = false;
  private copying: Copying | null = null;
  /** Of clients, when this round began. */
  private writes = 0;
  /** Of this round: versions tell whether the sides hold the same. */
  private explicit = false;
  /** The source holds no version. */
  private unversioned = false;
  /** Nothing is copied: what the target holds goes. */
  private removes = false;

  constructor(
    private readonly pair: Pair,
    private readonly key: string,
    private readonly laneIndex: number,
    private readonly from: Side,
    private readonly done: (outcome: SyncOutcome) => void,
    /** The only difference that may be written over, as `difference` told it before; null: any. */
    private readonly seen: string | null = null,
  ) {
    super();
    this.to = other(from);
  }

  /** What both sides hold, by their cas uniques. */
  get difference(): string {
    return this.held.map((held) => held?.cas ?? "-").join(" ");
  }

  /** Failed because somebody wrote in between each time. */
  get overtaken(): boolean {
    return this.rounds > ROUNDS_MAX;
  }

  /** In place of start, when the source does not tell what it holds: the target is to hold nothing ("refused"). */
  remove(): void {
    this.removes = true;
    this.start();
  }

  start(): void {
    const { syncing } = this.pair;
    if (this.rounds === 0) {
      this.copying = syncing.get(this.key) ?? { copies: 0, writes: 0 };
      this.copying.copies++;
      syncing.set(this.key, this.copying);
    }
    this.writes = this.copying!.writes;
    if (++this.rounds > ROUNDS_MAX) return this.end("failed");
    this.held = [null, null];
    this.explicit = this.pair.explicit && !this.unversioned;
    // The target first, the source on its answer: a write that comes between is then in what the source tells.
    this.read(this.to, Asked.TO);
  }

  private read(side: Side, role: number): void {
    this.put(side, `mg ${this.key} ${this.explicit && role !== Asked.VALUE ? "t c u" : "v f t c u"}\r\n`, role);
  }

  private readDone(role: number): void {
    if (role === Asked.TO && this.removes) this.drop();
    else if (role === Asked.TO) this.read(this.from, Asked.FROM);
    else this.compare(role === Asked.VALUE);
  }

  override onValue(role: number, value: ValueView): boolean {
    if (role !== Asked.TO && role !== Asked.FROM && role !== Asked.VALUE) return false;
    this.held[role === Asked.TO ? Asked.TO : Asked.FROM] = heldFrom(value);
    if (role !== Asked.TO) this.toldMs = this.nowMs;
    if (!value.partial) this.readDone(role);
    return true;
  }

  override onChunk(role: number, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    addChunk(this.held[role === Asked.TO ? Asked.TO : Asked.FROM]!, bytes, start, end);
    if (last) this.readDone(role);
  }

  override onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    if (this.over) return;
    if (role === Asked.WRITE && status === Status.SERVER_ERROR) return this.refused();
    if (status === Status.ERROR || status === Status.CLIENT_ERROR || status === Status.SERVER_ERROR) {
      return this.end("failed");
    }
    switch (role) {
      case Asked.TO:
      case Asked.FROM:
        // An answer without a value: that side has none, or none was asked for.
        if (status === Status.HD) this.held[role] = heldWithoutValue(bytes, start, end);
        this.toldMs = this.nowMs;
        return this.readDone(role);
      case Asked.VALUE:
        return this.start(); // it went meanwhile
      case Asked.WRITE:
        if (status !== Status.HD) return this.start(); // someone wrote in between
        this.put(this.from, `mg ${this.key} c t u\r\n`, Asked.AGAIN);
        return;
      case Asked.DROP:
        return status === Status.EX ? this.start() : this.end("refused");
      case Asked.AGAIN: {
        const source = this.held[Asked.FROM];
        if (source === null) return status === Status.HD ? this.start() : this.end("removed");
        if (status !== Status.HD) return this.start();
        const at = new Int32Array(2);
        const word = (letter: number): string =>
          metaFlag(bytes, start + 2, end - 2, letter, at) ? textOf(bytes, at[0]!, at[1]!) : "";
        // A touch changes the time and not the unique.
        const same = word(LETTER_C) === source.cas && sameTime(Number(word(LETTER_T)), this.remaining(source));
        return same ? this.end("copied") : this.start();
      }
    }
  }

  override onFailure(): void {
    this.end("failed");
  }

  /** Both sides' states are known. */
  private compare(valueRead: boolean): void {
    if (this.pair.leadOf(this.key) !== this.from) return this.end("turned");
    const source = this.held[Asked.FROM], target = this.held[Asked.TO];
    if (source === null && target === null) return this.end("equal");
    if (source !== null && target !== null) {
      if (this.explicit ? sameVersion(source, target) : differenceOf(source, target) === null) return this.end("equal");
      if (this.explicit && !hasVersion(source)) {
        this.unversioned = true;
        return this.start();
      }
    }
    if (this.seen !== null && this.seen !== this.difference && !this.isNewer(source, target)) return this.end("differs");
    if (source === null) {
      this.put(this.to, `md ${this.key} C${target!.cas}\r\n`, Asked.WRITE);
      return;
    }
    if (this.explicit && !valueRead) return this.read(this.from, Asked.VALUE);
    // Where there was nothing the guard would let it pass behind a set and a delete.
    if (target === null && this.copying!.writes !== this.writes) return this.start();
    const exptime = this.exptime(this.remaining(source));
    const guard = target === null ? "ME" : `C${target.cas}`;
    const lane = this.lane(this.to);
    if (!lane.ready) return this.end("failed");
    const given = this.pair.explicit ? ` E${source.cas}` : "";
    putText(lane.out, `ms ${this.key} ${source.data.length - 2} ${guard} F${source.flags} T${exptime}${given}\r\n`);
    putBytes(lane.out, source.data);
    lane.expect(Expect.META, this, Asked.WRITE);
  }

  /** The source's write was drawn after the target's, which both sides have had before it, or which loses against it. */
  private isNewer(source: Held | null, target: Held | null): boolean {
    return this.explicit && source !== null && target !== null && hasVersion(source) && hasVersion(target) && source.cas > target.cas;
  }

  private drop(): void {
    if (this.pair.leadOf(this.key) !== this.from) return this.end("turned");
    this.refused();
  }

  /** The target does not take it. What it holds may be older, so it goes. */
  private refused(): void {
    const target = this.held[Asked.TO];
    if (target === null) return this.end("refused");
    this.put(this.to, `md ${this.key} C${target.cas}\r\n`, Asked.DROP);
  }

  /** What is left by now of the time that the source told, seconds; -1: unlimited. A large value takes its time. */
  private remaining(source: Held): number {
    if (source.ttl === -1) return -1;
    return Math.max(0, source.ttl - Math.floor((this.nowMs - this.toldMs) / 1000));
  }

  private get nowMs(): number {
    return this.pair.server(this.from)!.nowMs;
  }

  private exptime(ttl: number): number {
    const text = latin1(String(ttl));
    return exptimeOf(text, 0, text.length, this.pair.server(this.to)!.unixSeconds);
  }

  private put(side: Side, line: string, role: number): void {
    const lane = this.lane(side);
    if (!lane.ready) return this.end("failed");
    putText(lane.out, line);
    lane.expect(Expect.META, this, role);
  }

  private lane(side: Side): Lane {
    return this.pair.server(side)!.lanes[this.laneIndex]!;
  }

  private end(outcome: SyncOutcome): void {
    if (this.over) return;
    this.over = true;
    const { syncing } = this.pair;
    if (--this.copying!.copies === 0) syncing.delete(this.key);
    if (outcome !== "equal" && outcome !== "turned") this.pair.onCopied?.(this.key);
    this.done(outcome);
  }
}
