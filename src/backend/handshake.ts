// What is asked on every new connection before client traffic: who answers there (identity), what it allows, and
// whether bytes of our dead connections may still be executed behind our back (the barrier).
import { latin1, textOf } from "../bytes/ascii.ts";
import { Expect, type ExpectCode, Status, type StatusCode } from "../protocol/reply.ts";
import { SilentCaller } from "./caller.ts";
import type { Lane } from "./lane.ts";

const STATS = latin1("stats\r\n");
const STATS_SETTINGS = latin1("stats settings\r\n");
const STATS_CONNS = latin1("stats conns\r\n");
/** How long between two looks at the server's connections, ms. */
const BARRIER_POLL_MS = 25;
/** A connection of ours that was seen idle twice this far apart has nothing left to execute. */
const BARRIER_IDLE_MS = 100;

/** One that is stuck in a write that we will never read can do nothing but fail; it is given longer, ms. */
const BARRIER_WRITE_MS = 2000;

/**
 * States in which a connection does nothing until more bytes come. None will come from a socket that we have reset, so
 * half a value (conn_nread) whose RST was lost is as harmless as silence.
 */
const WAITS_FOR_INPUT: ReadonlySet<string> = new Set(["conn_read", "conn_waiting", "conn_new_cmd", "conn_nread", "conn_swallow"]);

const Asked = { STATS: 1, SETTINGS: 2, CONNS: 3, EXPLICIT: 4 } as const;

/** What the handshake needs of the server it introduces. */
export interface Introduced {
  readonly nowMs: number;
  /** Local addresses of our dead connections that had unanswered requests; the barrier removes them. */
  readonly ghosts: Set<string>;
  /** Identity was read; false: this connection must not be used (the server has dealt with it). */
  identified(lane: Lane, stats: Map<string, string>): boolean;
  /** Returns the question that shows whether it takes explicit cas uniques, or null when that is known. */
  settingsRead(settings: Map<string, string>): Uint8Array | null;
  explicitAnswered(status: StatusCode, bytes: Uint8Array, start: number, end: number): void;
  /** Identity known and barrier passed. */
  introduced(lane: Lane): void;
}

export class Handshake extends SilentCaller {
  /** When to look at the connections again; 0: no look is due. */
  private pollAt = 0;
  private lines = new Map<string, string>();
  private idleSince = new Map<string, number>();

  constructor(
    private readonly server: Introduced,
    private readonly lane: Lane,
    /** Read the settings as well (once per server is enough). */
    private readonly withSettings: boolean,
  ) {
    super();
  }

  begin(): void {
    this.pollAt = 0;
    this.ask(STATS, Asked.STATS);
  }

  /** Called every tick while the lane is open. */
  tick(now: number): void {
    if (this.pollAt === 0 || now < this.pollAt) return;
    this.pollAt = 0;
    this.ask(STATS_CONNS, Asked.CONNS);
  }

  override onLine(_role: number, bytes: Uint8Array, start: number, end: number): void {
    const text = textOf(bytes, start + 5, end);
    const space = text.indexOf(" ");
    if (space !== -1) this.lines.set(text.slice(0, space), text.slice(space + 1));
  }

  override onReply(role: number, status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    const lines = this.lines;
    this.lines = new Map();
    if (status !== Status.END && (role === Asked.STATS || role === Asked.SETTINGS)) return this.lane.fail("handshake");
    if (role === Asked.STATS) {
      if (!this.server.identified(this.lane, lines)) return;
      if (this.withSettings) return this.ask(STATS_SETTINGS, Asked.SETTINGS);
    } else if (role === Asked.SETTINGS) {
      const question = this.server.settingsRead(lines);
      if (question !== null) return this.ask(question, Asked.EXPLICIT, Expect.META);
    } else if (role === Asked.EXPLICIT) this.server.explicitAnswered(status, bytes, start, end);
    else this.judge(lines);
    if (this.server.ghosts.size === 0) {
      this.idleSince.clear();
      this.server.introduced(this.lane);
    }
    else this.pollAt = this.server.nowMs + (role === Asked.CONNS ? BARRIER_POLL_MS : 0);
  }

  override onFailure(): void {
    this.lines = new Map();
    this.pollAt = 0;
  }

  private ask(command: Uint8Array, role: number, expect: ExpectCode = Expect.STATS): void {
    this.lane.out.push(command, 0, command.length);
    this.lane.expect(expect, this, role);
  }

  /** Which ghosts are gone: not listed any more, or seen idle for a while (their RST was lost). */
  private judge(lines: Map<string, string>): void {
    const now = this.server.nowMs;
    /** Of each address: how long it must be seen as it is now, ms; Infinity while it may execute something. */
    const listed = new Map<string, number>();
    // All connections over a unix socket look alike, without a name: one busy one stands for all, but for the one
    // that asks.
    let unixBusy = -1;
    for (const [name, value] of lines) {
      if (!name.endsWith(":addr")) continue;
      const connection = name.slice(0, -5);
      const state = lines.get(`${connection}:state`) ?? "";
      if (state === "conn_listening") continue;
      const patience = WAITS_FOR_INPUT.has(state) ? BARRIER_IDLE_MS : state === "conn_mwrite" ? BARRIER_WRITE_MS : Infinity;
      if (!/^(tcp|udp)6?:/.test(value)) unixBusy += patience === BARRIER_IDLE_MS ? 0 : 1;
      else listed.set(value.replace(/^(tcp|udp)6?:/, ""), patience);
    }
    listed.set("unix", unixBusy <= 0 ? BARRIER_IDLE_MS : Infinity);
    for (const ghost of this.server.ghosts) {
      const patience = listed.get(ghost);
      if (patience === undefined) this.server.ghosts.delete(ghost);
      else if (patience === Infinity) this.idleSince.delete(ghost);
      else {
        const since = this.idleSince.get(ghost) ?? now;
        this.idleSince.set(ghost, since);
        if (now - since >= patience) this.server.ghosts.delete(ghost);
      }
    }
  }
}
