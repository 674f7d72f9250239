// One server's copy of the board: posts our notice there and reads the others', over the server's control connection.
//
//   read mine ─▶ post mine ─▶ read the roster ─▶ read each one on it          in one packet, once a poll
import { latin1, textOf } from "../../bytes/ascii.ts";
import { SilentCaller } from "../../backend/caller.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import type { Server } from "../../backend/server.ts";
import { Expect, metaFlag, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import { boardKey, ROSTER } from "../control.ts";
import { put, store } from "../missed/hints.ts";
import { type Notice, noticeText, parseNotice } from "./notice.ts";

const Asked = { POST: 0, ROSTER: 1, WRITE: 2, JOIN: 3, ENTRY: 4 } as const;
/** Ids beyond this number are not read: somebody else's item stands there. */
const IDS_MAX = 256;
const LETTER_C = 99;

/** What a wall tells the board. */
export interface WallOwner {
  readonly proxyId: string;
  readonly nowMs: number;
  /** What those who are gone left on a server has been read. */
  mayStrike(server: Server): boolean;
  /** The others that are known, by id. */
  readonly known: ReadonlyMap<string, unknown>;
  /** A notice of id was read; null: there is none on this server. */
  read(wall: Wall, id: string, notice: Notice | null): void;
  /** The poll that was sent at wall.viewMs is answered in full. */
  seen(wall: Wall): void;
}

export class Wall extends SilentCaller {
  /** When the last poll that was answered in full was sent, ms. */
  viewMs = -Infinity;
  /** Since when each complaint of ours stands here, ms, by controlName. */
  readonly posted = new Map<string, number>();
  private pending = 0;
  private sentMs = 0;
  private sent: Notice | null = null;
  /** Ids asked about in this poll, in the order of their roles. */
  private ids: string[] = [];
  private roster: string[] = [];
  private rosterCas = "";
  /** Ids of the roster without a living notice here. */
  private gone = new Set<string>();

  constructor(readonly server: Server, private readonly owner: WallOwner) {
    super();
  }

  /** Posts and reads; does nothing while the last poll is under way or the server is silent. Returns whether it was sent. */
  poll(notice: Notice): boolean {
    const lane = this.server.control;
    if (!lane.ready || this.pending > 0) return false;
    this.sentMs = this.owner.nowMs;
    this.sent = notice;
    this.roster = [];
    this.rosterCas = "";
    this.gone.clear();
    this.ids = [];
    this.readEntry(this.owner.proxyId);
    this.put(store(boardKey(this.owner.proxyId), noticeText(notice), "T0"), Asked.POST);
    for (const name of this.posted.keys()) if (!notice.complaints.some((one) => one.name === name)) this.posted.delete(name);
    this.put(`mg ${ROSTER} v c\r\n`, Asked.ROSTER);
    for (const id of this.owner.known.keys()) this.readEntry(id);
    return true;
  }

  /** Says for another that it is dead and dealt with; forgotten after a while. */
  bury(id: string, notice: Notice): void {
    if (this.server.control.ready) this.put(store(boardKey(id), noticeText(notice), "T600"), Asked.WRITE);
  }

  /** Our last word. done: it stands, or cannot. */
  leave(notice: Notice, done: () => void): void {
    const { control } = this.server;
    if (control.ready) put(control, store(boardKey(this.owner.proxyId), noticeText(notice), notice.buried ? "T600" : "T0"), done);
    else done();
  }

  /** Its memory is gone, and our notices with it. */
  forget(): void {
    this.posted.clear();
    this.viewMs = -Infinity;
  }

  private readEntry(id: string): void {
    if (this.ids.includes(id) || this.ids.length >= IDS_MAX) return;
    this.ids.push(id);
    this.put(`mg ${boardKey(id)} v\r\n`, Asked.ENTRY + this.ids.length - 1);
  }

  override onValue(role: number, value: ValueView): boolean {
    if (role !== Asked.ROSTER && role < Asked.ENTRY) return false;
    // Ours are small; something that comes in pieces is none.
    const text = value.partial ? "" : textOf(value.bytes, value.dataStart, value.dataStart + value.dataBytes);
    if (role === Asked.ROSTER) {
      const at = new Int32Array(2);
      if (metaFlag(value.bytes, value.flagsStart, value.flagsEnd, LETTER_C, at)) this.rosterCas = textOf(value.bytes, at[0]!, at[1]!);
      this.rosterRead(text);
    } else this.entryRead(this.ids[role - Asked.ENTRY]!, parseNotice(text));
    if (!value.partial) this.answered();
    return true;
  }

  override onChunk(_role: number, _bytes: Uint8Array, _start: number, _end: number, last: boolean): void {
    if (last) this.answered();
  }

  override onReply(role: number, status: StatusCode): void {
    if (role === Asked.POST && status === Status.HD) {
      for (const { name } of this.sent!.complaints) if (!this.posted.has(name)) this.posted.set(name, this.owner.nowMs);
    } else if (role === Asked.ROSTER && status === Status.EN) this.rosterRead("");
    else if (role === Asked.JOIN && status === Status.NS) {
      // There was none. (That an append makes one is not known to memcached before 1.6.19.)
      this.put(store(ROSTER, ` ${this.owner.proxyId}`, "ME T0"), Asked.WRITE);
    } else if (role >= Asked.ENTRY && status === Status.EN) this.entryRead(this.ids[role - Asked.ENTRY]!, null);
    this.answered();
  }

  override onFailure(_role: number, _reason: FailureReason): void {
    this.pending--;
    this.sentMs = -Infinity; // this poll tells nothing
  }

  private rosterRead(text: string): void {
    this.roster = text.split(" ").filter((id) => /^[0-9a-f]{8}$/.test(id));
    const me = this.owner.proxyId;
    if (!this.roster.includes(me)) this.put(store(ROSTER, ` ${me}`, "MA"), Asked.JOIN);
    for (const id of this.roster) this.readEntry(id);
  }

  private entryRead(id: string, notice: Notice | null): void {
    if (notice === null || notice.buried) this.gone.add(id);
    this.owner.read(this, id, notice);
  }

  private answered(): void {
    if (--this.pending > 0 || this.sentMs === -Infinity) return;
    this.viewMs = this.sentMs;
    this.owner.seen(this);
    // Who lives and is left out by this writes itself in again.
    const left = this.roster.filter((id) => id === this.owner.proxyId || !this.gone.has(id));
    if (left.length < this.roster.length && this.rosterCas !== "" && this.owner.mayStrike(this.server)) {
      this.sentMs = -Infinity; // what follows is no poll
      this.put(store(ROSTER, left.join(" "), `C${this.rosterCas} T0`), Asked.WRITE);
    }
  }

  private put(line: string, role: number): void {
    this.pending++;
    const { control } = this.server;
    const bytes = latin1(line);
    control.out.push(bytes, 0, bytes.length);
    control.expect(Expect.META, this, role);
  }
}

