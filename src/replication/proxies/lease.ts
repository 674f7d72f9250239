// Who of several proxies copies to a server: one at a time. The lease is an item on that server itself, which all who
// want it can reach; it goes with the server's memory and expires by itself, so that nobody waits for a dead holder. Two
// may hold it for a moment (one stood still meanwhile): that is work done twice and no harm, since each copy is guarded.
//
//   __tandem:l:<server>    <proxy> <number> held|done      number: of the work, among those of its holder
//
//   none, or its holder is dead ─▶ ours, renewed while we get on ─▶ done
//   somebody's ─▶ wait and look ─▶ done, begun after we wanted it ─▶ nothing is left to do
//                             └──▶ none any more, or begun too early ─▶ ours
import { SilentCaller } from "../../backend/caller.ts";
import type { Server } from "../../backend/server.ts";
import { textOf } from "../../bytes/ascii.ts";
import { Expect, metaFlag, Status, type StatusCode, type ValueView } from "../../protocol/reply.ts";
import { putText } from "../compose.ts";
import { CONTROL_PREFIX, controlName } from "../control.ts";
import { put, store } from "../missed/hints.ts";

/** How often it is looked at and renewed, ms; how long it lives without that, seconds. */
const LOOK_MS = 500, LIFE_S = 5;
/** How long it stands that the work is done, for those who want it late, seconds. */
const DONE_S = 30;
/** A server that does not say whose it is keeps nobody from working, ms. */
const SILENT_MS = 1500;
/** Who gets on with nothing for so long lets others try, and so long they have for it, ms. */
const STUCK_MS = 10_000, YIELD_MS = 3000;
const LETTER_C = 99;

export interface LeaseAround {
  readonly proxyId: string;
  /** No other proxy is known to live. */
  readonly alone: boolean;
  /** It is certain that this proxy is dead. */
  isGone(id: string): boolean;
  /** What this proxy copies to a server is what we would. */
  isAlike(id: string): boolean;
  /** Higher than all before. */
  serial(): number;
}

export class Lease extends SilentCaller {
  /** We do the work. */
  mine: boolean;
  /** Somebody else has done it. */
  done = false;
  private readonly key: string;
  private readonly me: string;
  private lookMs = 0;
  private asked = false;
  private answeredMs: number;
  /** What stood there when we looked first; null: we have not looked. */
  private first: string | null = null;
  private cas = "";
  private nowMs: number;
  private marked = 0;
  private markedMs: number;
  private yieldsUntilMs = 0;
  private over = false;
  private ended = false;
  private claiming = false;

  /** early: what somebody began before we wanted it counts as well. */
  constructor(private readonly server: Server, private readonly early: boolean, nowMs: number, private readonly around: LeaseAround) {
    super();
    this.key = `${CONTROL_PREFIX}l:${controlName(server.label)}`;
    this.me = `${around.proxyId} ${around.serial()}`;
    this.mine = around.alone;
    this.nowMs = this.answeredMs = this.markedMs = nowMs;
  }

  /** Called every tick while the work is wanted; progress changes while it gets on. */
  tick(nowMs: number, progress: number): void {
    this.nowMs = nowMs;
    if (progress !== this.marked) {
      this.marked = progress;
      this.markedMs = nowMs;
    }
    if (this.done) return;
    if (!this.mine && nowMs - this.answeredMs > SILENT_MS) this.mine = true;
    if (nowMs < this.lookMs || this.asked || !this.server.control.ready) return;
    this.lookMs = nowMs + LOOK_MS;
    this.asked = true;
    putText(this.server.control.out, `mg ${this.key} v c\r\n`);
    this.server.control.expect(Expect.META, this, 0);
  }

  /** The work is done, or given up. */
  end(done: boolean): void {
    this.over = true;
    this.ended = done;
    if (!this.claiming) this.leave(done);
  }

  private leave(done: boolean): void {
    const { control } = this.server;
    if (!this.mine || !control.ready || this.cas === "") return;
    if (done) put(control, store(this.key, `${this.me} done`, `C${this.cas} T${DONE_S}`), () => {});
    else put(control, `md ${this.key} C${this.cas}\r\n`, () => {});
  }

  override onValue(_role: number, { bytes, flagsStart, flagsEnd, dataStart, dataBytes, partial }: ValueView): boolean {
    const at = new Int32Array(2);
    const cas = metaFlag(bytes, flagsStart, flagsEnd, LETTER_C, at) ? textOf(bytes, at[0]!, at[1]!) : "";
    if (!partial) this.found(textOf(bytes, dataStart, dataStart + dataBytes), cas);
    return true;
  }
  override onChunk(_role: number, _bytes: Uint8Array, _start: number, _end: number, last: boolean): void {
    if (last) this.found("", ""); // ours are small
  }
  override onReply(_role: number, status: StatusCode): void {
    if (status === Status.EN) this.found("", "");
    else this.asked = false;
  }
  override onFailure(): void {
    this.asked = false;
  }

  private found(text: string, cas: string): void {
    this.asked = false;
    this.answeredMs = this.nowMs;
    if (this.over) return;
    const [id, number, state] = text.split(" ");
    const holder = `${id} ${number}`;
    const before = this.first;
    this.first ??= state === undefined ? "" : holder;
    if (holder !== this.me) this.cas = "";
    if (state === "held" && holder === this.me) return this.renew(cas);
    // What we held ourselves, in an attempt that was given up, is taken over.
    if (state === "held" && id !== this.around.proxyId && !this.around.isGone(id!)) {
      this.mine = false;
      return;
    }
    if (state === "done" && !this.mine && this.around.isAlike(id!) && (this.early || (before !== null && before !== holder))) {
      this.done = true;
      return;
    }
    if (this.nowMs < this.yieldsUntilMs) return;
    this.claim(text === "" ? "ME" : `C${cas}`);
  }

  private renew(cas: string): void {
    if (this.nowMs - this.markedMs > STUCK_MS && !this.around.alone) {
      // Somebody else may reach what we cannot.
      this.mine = false;
      this.yieldsUntilMs = this.nowMs + YIELD_MS;
      this.markedMs = this.nowMs;
      return put(this.server.control, `md ${this.key} C${cas}\r\n`, () => {});
    }
    this.claim(`C${cas}`);
  }

  private claim(guard: string): void {
    if (!this.server.control.ready) return;
    this.claiming = true;
    const text = `${this.me} held`;
    putText(this.server.control.out, `ms ${this.key} ${text.length} ${guard} T${LIFE_S} c\r\n${text}\r\n`);
    this.server.control.expect(Expect.META, new Claim((cas) => {
      this.claiming = false;
      if (cas !== null) { // else somebody was faster: seen at the next look
        this.cas = cas;
        if (!this.over) this.mine = true;
      }
      if (this.over) this.leave(this.ended);
    }), 0);
  }
}

/** Hears the number of what was stored, or null. */
class Claim extends SilentCaller {
  constructor(private readonly done: (cas: string | null) => void) {
    super();
  }
  override onReply(_role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    const at = new Int32Array(2);
    this.done(status === Status.HD && metaFlag(bytes, start + 2, end - 2, LETTER_C, at) ? textOf(bytes, at[0]!, at[1]!) : null);
  }
  override onFailure(): void {
    this.done(null);
  }
}
