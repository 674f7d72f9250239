// What servers lack, in a file of this proxy's own (--state-dir): for the case in which those that took the writes, and
// the hints on them (hints.ts), are gone as well. Each life of a proxy has a file, which exists while something is lacking.
//
//   a key is lacking ─▶ record ─end of the turn─▶ append, flushed ─▶ the answers that waited for it
//   many records of what was made up for ─▶ all that is lacking now, slice by slice into PATH.new ─▶ PATH
//   nothing is lacking any more ─▶ the file goes
import type { Log } from "../../observe/log.ts";
import type { Files } from "../../platform/platform.ts";
import { controlName } from "../control.ts";
import type { MarkKind } from "./mark.ts";
import { BACKUP, other, type Pair, PRIMARY, type Side } from "../pair.ts";
import { END, header, keyRecord, lacksRecord, recordLine, wholeRecord } from "./state_record.ts";

/** How often it is looked whether what was said still holds, ms; how soon a disk is tried again that failed. */
const LOOK_MS = 100, RETRY_MS = 1000;
/** Records of what was made up for that a file may hold beside those that count. */
const IDLE_RECORDS_MAX = 10_000;
/** Records written at a time while a file is written anew: what one append may hold the process up for, about 1 ms. */
const SLICE = 1000;

export interface StateAround {
  readonly proxyId: string;
  readonly files: Files;
  readonly log: Log;
  readonly pairs: readonly Pair[];
  readonly fingerprint: string;
  /** Answers wait no longer than this for the disk, ms. */
  readonly requestTimeoutMs: number;
  readonly nowMs: number;
  /** What a side lacks; null: nothing. */
  lacking(pair: Pair, side: Side): MarkKind | null;
  /** A number higher than all before. */
  stamp(): number;
  /** Runs it when this turn is over. */
  soon(run: () => void): void;
}

/** Lines with their numbers. */
class Sheet {
  lines = 0;
  constructor(private readonly id: string, readonly fingerprint: string) {}

  write(records: readonly string[]): string {
    let text = "";
    for (const record of records) text += recordLine(this.id, this.lines++, record);
    return text;
  }
}

/** A file on its way to be written anew. */
interface Renewal {
  readonly sheet: Sheet;
  readonly records: Iterator<string>;
  /** What was recorded since it began. */
  readonly since: string[];
  /** How many had been recorded then. */
  readonly upTo: number;
  step: "create" | "fill" | "rename";
}

export class StateFile {
  /** What was said of each pair's sides. */
  private readonly said = new Map<Pair, [MarkKind | null, MarkKind | null]>();
  private readonly numbers = new Map<Pair, number>();
  private records: string[] = [];
  /** Records so far, and those that are on the disk or need not be. */
  private made = 0;
  private kept = 0;
  private readonly waiting: { readonly count: number; readonly untilMs: number; readonly run: () => void }[] = [];
  /** The file, while there is one. */
  private sheet: Sheet | null = null;
  private renewal: Renewal | null = null;
  private busy = false;
  private scheduled = false;
  private lookMs = 0;
  /** The disk does not do what it is told, or not in time: nobody waits for it. */
  private failing = "";
  private retryMs = 0;
  private ended = false;

  constructor(private readonly around: StateAround, readonly path: string) {}

  /** All that is known to be lacking is on the disk. */
  get settled(): boolean {
    return this.failing === "" && this.kept === this.made;
  }

  /** The pair has a new entry, or one that has turned, or one too many. */
  missed(pair: Pair, key: string, side: Side): void {
    const said = this.saidOf(pair);
    if (said[side] === null || !pair.stale.has(key)) this.say(pair, side);
    if (pair.stale.has(key)) this.record(keyRecord(this.numberOf(pair, side), this.around.stamp(), key));
  }

  /** Runs once what was recorded is on the disk, or cannot be. */
  whenKept(run: () => void): void {
    if (this.kept === this.made || this.failing !== "") return run();
    this.waiting.push({ count: this.made, untilMs: this.around.nowMs + this.around.requestTimeoutMs, run });
  }

  /** Servers came or went. */
  serversChanged(): void {
    for (const pair of [...this.said.keys()]) if (!this.around.pairs.includes(pair)) this.said.delete(pair);
  }

  /** Called every tick. */
  tick(now: number): void {
    if (this.waiting.length > 0 && now >= this.waiting[0]!.untilMs) this.fails("the disk is slow");
    if (now < this.lookMs) return;
    this.lookMs = now + LOOK_MS;
    this.look();
    if (this.busy || this.renewal !== null) return;
    // What was written under other settings is trusted by nobody.
    if (this.failing !== "" ? now >= this.retryMs : this.sheet !== null && this.sheet.fingerprint !== this.around.fingerprint) this.renew();
  }

  /** Says what is not said yet, and takes back what is made up for. */
  look(): void {
    for (const pair of this.around.pairs) {
      if (pair.backup === null) continue;
      for (const side of [PRIMARY, BACKUP] as const) {
        const said = this.saidOf(pair), kind = this.around.lacking(pair, side);
        if (kind !== null && kind !== said[side]) this.say(pair, side);
        else if (kind === null && said[side] !== null) {
          said[side] = null;
          this.record(wholeRecord(this.numberOf(pair, side)));
        }
      }
    }
  }

  /** We end in order: what is written down is all. done comes when it is on the disk, or cannot be. */
  end(done: () => void): void {
    this.look();
    this.ended = true;
    if (this.sheet !== null || this.renewal !== null || this.records.length > 0) this.record(END);
    this.whenKept(done);
  }

  private say(pair: Pair, side: Side): void {
    const kind = this.around.lacking(pair, side) ?? "keys";
    this.saidOf(pair)[side] = kind;
    this.record(this.lacks(pair, side, kind));
  }

  private lacks(pair: Pair, side: Side, kind: MarkKind): string {
    const keeper = controlName(pair.server(other(side))!.label), about = controlName(pair.server(side)!.label);
    return lacksRecord(this.numberOf(pair, side), this.around.stamp(), kind, keeper, about);
  }

  private record(record: string): void {
    this.made++;
    // All that is lacking is written anew when the disk can.
    if (this.failing !== "" && this.renewal === null) return;
    this.records.push(record);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.around.soon(() => {
      this.scheduled = false;
      this.next();
    });
  }

  /** The disk does one thing at a time. */
  private next(): void {
    if (this.busy || (this.failing !== "" && this.renewal === null)) return;
    if (this.renewal === null && this.sheet !== null && this.nothing) return this.remove();
    if (this.records.length > 0) {
      if (this.sheet !== null) return this.append();
      if (this.renewal === null) {
        // Nothing is lacking and nothing was written: it need not be said.
        if (this.nothing) return this.drop();
        this.renew();
      }
    }
    if (this.renewal !== null) this.goOn(this.renewal);
  }

  private append(): void {
    const upTo = this.made, records = this.take();
    this.renewal?.since.push(...records);
    this.does((done) => this.around.files.append(this.path, this.sheet!.write(records), done), () => {
      this.reached(upTo);
      const counting = this.around.pairs.reduce((sum, { stale }) => sum + stale.size, 0);
      if (this.renewal === null && this.sheet !== null && this.sheet.lines > 2 * counting + IDLE_RECORDS_MAX) this.renew();
    });
  }

  /** All that is lacking now, in a file that takes the place of the one there is. */
  private renew(): void {
    this.renewal = { sheet: new Sheet(this.around.proxyId, this.around.fingerprint), records: this.present(), since: [], upTo: this.made, step: "create" };
    // What there is no file for is in the new one.
    if (this.sheet === null) this.records = [];
    this.schedule();
  }

  private goOn(renewal: Renewal): void {
    const { files } = this.around, young = `${this.path}.new`;
    if (renewal.step === "rename") {
      return this.does((done) => files.rename(young, this.path, done), () => {
        if (this.renewal !== renewal) return;
        this.sheet = renewal.sheet;
        this.renewal = null;
        if (this.failing !== "") this.around.log.info("the state file is written again", { path: this.path });
        this.failing = "";
        this.reached(renewal.upTo);
      });
    }
    const records: string[] = [];
    if (renewal.step === "create") records.push(header(renewal.sheet.fingerprint, this.around.proxyId));
    let done = false;
    while (!done && records.length < SLICE) {
      const next = renewal.records.next();
      if (next.done === true) done = true;
      else records.push(next.value);
    }
    if (done) {
      records.push(...renewal.since, ...(this.ended ? [END] : []));
      renewal.since.length = 0;
    }
    const text = renewal.sheet.write(records), create = renewal.step === "create";
    renewal.step = done ? "rename" : "fill";
    this.does((then) => (create ? files.create(young, text, then) : files.append(young, text, then)), () => {});
  }

  private *present(): Iterator<string> {
    for (const pair of this.around.pairs) {
      if (pair.backup === null) continue;
      for (const side of [PRIMARY, BACKUP] as const) {
        const kind = this.around.lacking(pair, side);
        this.saidOf(pair)[side] = kind;
        if (kind === null) continue;
        yield this.lacks(pair, side, kind);
        const n = this.numberOf(pair, side), stamp = this.around.stamp();
        for (const [key, entry] of pair.stale) if (entry.side === side) yield keyRecord(n, stamp, key);
      }
    }
  }

  private remove(): void {
    const upTo = this.made;
    this.take();
    this.sheet = null;
    this.does((done) => this.around.files.remove(this.path, done), () => this.reached(upTo));
  }

  private drop(): void {
    this.take();
    this.reached(this.made);
  }

  private take(): string[] {
    const { records } = this;
    this.records = [];
    return records;
  }

  /** Nothing is lacking, as far as was said. */
  private get nothing(): boolean {
    for (const said of this.said.values()) if (said[PRIMARY] !== null || said[BACKUP] !== null) return false;
    return true;
  }

  private does(run: (done: (reason: string | null) => void) => void, then: () => void): void {
    this.busy = true;
    run((reason) => {
      this.busy = false;
      this.retryMs = 0; // a disk that was slow is not any more
      if (reason !== null) this.fails(reason);
      else then();
      this.next();
    });
  }

  private reached(count: number): void {
    this.kept = Math.max(this.kept, count);
    while (this.waiting.length > 0 && this.waiting[0]!.count <= this.kept) this.waiting.shift()!.run();
  }

  private fails(reason: string): void {
    const { log } = this.around;
    if (this.failing === "") log.warn("the state file is not written: answers do not wait for it", { path: this.path, reason });
    this.failing = reason;
    this.sheet = this.renewal = null; // whatever stands there is not what we think
    this.records = [];
    this.retryMs = this.around.nowMs + RETRY_MS;
    for (const { run } of this.waiting.splice(0)) run();
  }

  private saidOf(pair: Pair): [MarkKind | null, MarkKind | null] {
    let said = this.said.get(pair);
    if (said === undefined) this.said.set(pair, (said = [null, null]));
    return said;
  }

  private numberOf(pair: Pair, side: Side): number {
    let number = this.numbers.get(pair);
    if (number === undefined) this.numbers.set(pair, (number = this.numbers.size * 2));
    return number + side;
  }
}
