// Where clients come in: counts them, refuses the one too many with memcached's own line, and holds what all of them
// share.
import type { TailPool } from "../bytes/outbound.ts";
import type { Turn } from "../bytes/turn.ts";
import type { Counters } from "../observe/counters.ts";
import { Latency, type LatencyReport } from "../observe/latency.ts";
import type { Log } from "../observe/log.ts";
import type { CloseCause, Platform, Socket, SocketHandlers } from "../platform/platform.ts";
import { TOO_MANY_CLIENTS } from "../protocol/answers.ts";
import { Op, VERB } from "../protocol/commands.ts";
import { RequestReader } from "../protocol/request.ts";
import type { Pool } from "../replication/pool.ts";
import { removeRefused } from "../replication/requests/removal.ts";
import { Said, type Slot, type Upstream } from "../replication/requests/slot.ts";
import { Upload } from "../replication/requests/upload.ts";
import { latin1, textOf } from "../bytes/ascii.ts";
import { ClientConnection } from "./client.ts";
import { SHOWN_CHARS, SlowRequests, visible } from "./slow.ts";
import type { Seen } from "./stats.ts";

/** How long a refused client may take to hang up, ms. */
const GOODBYE_MS = 1000;
/** Unread answers of all clients together, bytes, and how often they are summed up, in ticks. */
const BACKLOG_TOTAL_MAX = 256 * 1024 * 1024, BUDGET_TICKS = 10;
/** What `version` says while no server's version is known. */
const VERSION_UNKNOWN = "1.6.0";
/** Commands of memcached's that clients may try, and that are told by their names. */
const META_VERBS: readonly string[] = ["mg", "ms", "md", "ma", "me"];

export class Door {
  /** In no order; each knows its place. (A Set took a tenth of an idle client's memory.) */
  readonly clients: ClientConnection[] = [];
  /** Clients that wait for room on a lane. */
  crowded: { client: ClientConnection; lane: Upstream }[] = [];
  readonly startedMs: number;
  /** How many clients may be connected now: all, or this worker's part of them. */
  room: number;
  /** Clients that wait until there is room for them; only where others may give some. */
  private hoping: Waiting[] = [];
  /** Asks the other workers for room; addRoom brings the answer. Null: nobody else has any. */
  askRoom: (() => void) | null = null;
  /** Asks what all workers know, as `stats` tells it (null: they do not know the pool any more); null: there are no others. */
  askAll: ((done: (seen: Seen | null) => void) => void) | null = null;
  /** Other workers' counters begin again too. */
  resetOthers: () => void = () => {};
  private ticks = 0;
  private readonly latency = new Latency(VERB.length);
  private readonly slow: SlowRequests;
  /** One for all clients: of their own they made 0.3 KiB of an idle one's memory. */
  readonly reader = new RequestReader();
  /** A request that takes as long is told of; Infinity: none is. */
  slowMs: number;

  constructor(
    readonly platform: Platform,
    readonly pool: Pool,
    readonly turn: Turn,
    readonly tails: TailPool,
    readonly counters: Counters,
    readonly log: Log,
    public clientsMax: number,
    readonly version: string,
  ) {
    this.startedMs = platform.clock.nowMs();
    this.slow = new SlowRequests(log);
    this.slowMs = pool.options.slowMs || Infinity;
    this.room = clientsMax;
  }

  /** The owner of a new connection. */
  accept(): SocketHandlers {
    // Counted at accept, not at open: the limit is exact however many come in one turn.
    if (this.clients.length >= this.room) return this.askRoom === null ? this.refuse() : this.hope();
    return this.admit();
  }

  private admit(): ClientConnection {
    const client = new ClientConnection(this);
    client.place = this.clients.push(client) - 1;
    this.counters.total_connections++;
    this.counters.curr_connections++;
    return client;
  }

  private refuse(): Refused {
    this.counters.rejected_connections++;
    return new Refused();
  }

  private hope(): Waiting {
    const waiting = new Waiting();
    this.hoping.push(waiting);
    if (this.hoping.length === 1) this.askRoom!();
    return waiting;
  }

  /** So many more clients may be connected, or fewer when below 0; 0: there is no room anywhere, and those that wait are told. */
  addRoom(clients: number): void {
    this.room += clients;
    const hoping = this.hoping;
    this.hoping = [];
    for (const waiting of hoping) {
      if (waiting.gone) continue;
      if (this.clients.length < this.room) waiting.pass(this.admit());
      else if (clients === 0) waiting.pass(this.refuse());
      else this.hoping.push(waiting);
    }
    if (this.hoping.length > 0) this.askRoom!();
  }

  /** Gives back room that nobody uses, at most so much; returns how much. */
  giveRoom(clients: number): number {
    const given = Math.max(0, Math.min(clients, this.room - this.clients.length));
    this.room -= given;
    return given;
  }

  opened(client: ClientConnection): void {
    if (this.log.verbosity > 0) this.log.debug("client connected", { client: client.remote });
  }

  left(client: ClientConnection): void {
    const { place } = client;
    if (place === -1) return;
    client.place = -1;
    const last = this.clients.pop()!;
    if (last !== client) {
      this.clients[place] = last;
      last.place = place;
    }
    this.counters.curr_connections--;
    this.crowded = this.crowded.filter((entry) => entry.client !== client);
    if (this.log.verbosity > 0) this.log.debug("client left", { client: client.remote });
  }

  cut(client: ClientConnection, why: string): void {
    this.counters.clients_cut++;
    this.log.warn("client cut off", { client: client.remote, reason: why });
  }

  /** All of a client's answer was handed over. */
  took(client: ClientConnection, slot: Slot): void {
    const ms = this.turn.nowMs - slot.begunMs;
    this.latency.add(slot.op, ms);
    if (ms >= this.slowMs) this.tellSlow(client, slot, ms);
  }

  private tellSlow(client: ClientConnection, slot: Slot, ms: number): void {
    this.counters.slow_requests++;
    this.slow.took(this.turn.nowMs, ms, () => ({ client: client.remote, command: VERB[slot.op] ?? "refused", ...slot.about() }));
  }

  /** How long clients waited, by command, those that came; but for `stats`, which those ask who look at tandem itself. */
  latencies(): Record<string, LatencyReport> {
    const found: Record<string, LatencyReport> = {};
    VERB.forEach((verb, op) => {
      const report = this.latency.report(op);
      if (report.count > 0 && op !== Op.STATS) found[verb] = report;
    });
    return found;
  }

  /** Called every tick. */
  tick(): void {
    if (++this.ticks % BUDGET_TICKS === 0) this.keepBudget();
    if (this.crowded.length === 0) return;
    const waiting = this.crowded;
    this.crowded = [];
    for (const entry of waiting) if (!entry.client.roomOn(entry.lane)) this.crowded.push(entry);
  }

  /** Answers that clients do not read may fill so much memory and no more: the one that is owed most is cut off. */
  private keepBudget(): void {
    let total = 0;
    for (const { backlog } of this.clients) total += backlog;
    while (total > BACKLOG_TOTAL_MAX) {
      let worst: ClientConnection | null = null;
      for (const client of this.clients) if (worst === null || client.backlog > worst.backlog) worst = client;
      total -= worst!.backlog;
      worst!.cut("answers that are not read fill the memory");
    }
  }

  /** A constant line in its place among the client's answers. */
  say(client: ClientConnection, line: Uint8Array): void {
    const said = new Said(client, line);
    client.add(said);
    said.start();
  }

  /** The largest value the key's lead can take, bytes. */
  itemBytesMax(reader: RequestReader, bytes: Uint8Array): number {
    if (reader.valueBytes < SURELY_FITS) return SURELY_FITS;
    const pool = this.pool;
    pool.route(bytes, reader.keyStart, reader.keyEnd);
    const { pair } = pool;
    const lead = pair.usualLead === 1 ? pair.backup! : pair.primary;
    const server = lead.itemBytesMax || pair.backup?.itemBytesMax || Infinity;
    return Math.min(pool.options.itemBytesMax, server);
  }

  refuseTooLarge(reader: RequestReader, bytes: Uint8Array): void {
    this.counters.cmd_set++;
    if (reader.op !== Op.SET) return;
    this.pool.route(bytes, reader.keyStart, reader.keyEnd);
    removeRefused(this.pool, bytes, reader.keyStart, reader.keyEnd);
  }

  startUpload(client: ClientConnection, reader: RequestReader, bytes: Uint8Array): Upload {
    this.counters.cmd_set++;
    this.pool.route(bytes, reader.keyStart, reader.keyEnd);
    const upload = new Upload(client, this.pool, reader, bytes);
    client.add(upload);
    upload.start();
    return upload;
  }

  /** The oldest version among the servers: what a client may count on. */
  get serverVersion(): string {
    return this.pool.oldestVersion || VERSION_UNKNOWN;
  }

  versionLine(): Uint8Array {
    return latin1(`VERSION ${this.serverVersion}\r\n`);
  }

  /** -vv: the command line, cut and escaped. Of one that is refused only its verb: it may be the value of the one before. */
  trace({ remote: client, reader }: ClientConnection, bytes: Uint8Array, lineStart: number): void {
    if (this.log.verbosity < 2) return;
    if (reader.error === null) {
      return this.log.debug("command", { client, line: visible(textOf(bytes, lineStart, Math.min(reader.textEnd, lineStart + SHOWN_CHARS + 1))) });
    }
    const verb = reader.words === 0 ? "" : textOf(bytes, reader.at[0]!, reader.at[1]!);
    const known = VERB.includes(verb) || META_VERBS.includes(verb);
    this.log.debug("command refused", { client, command: known ? verb : "unknown", bytes: reader.textEnd - lineStart });
  }

  /** No new requests are read; answers under way are given. */
  drain(): void {
    for (const client of [...this.clients]) client.finishUp();
  }

  /** Clients that have asked nothing for so long, ms, are shown out; the others are served on. */
  dismissIdle(ms: number): void {
    const now = this.platform.clock.nowMs();
    for (const client of [...this.clients]) if (client.idleFor(ms, now)) client.finishUp();
  }

  /** Ends every connection now. */
  close(): void {
    for (const client of [...this.clients]) client.cutSilently();
  }
}
/** Values below this need no look at the server's limit. */
const SURELY_FITS = 64 * 1024;

/** A client that waits for room: nothing is read from it until its owner is known. */
class Waiting implements SocketHandlers {
  gone = false;
  private socket: Socket | null = null;
  private owner: SocketHandlers | null = null;

  pass(owner: SocketHandlers): void {
    this.owner = owner;
    if (this.socket === null) return; // its onOpen is still to come
    owner.onOpen(this.socket);
    this.socket.resume();
  }

  onOpen(socket: Socket): void {
    this.socket = socket;
    if (this.owner !== null) this.owner.onOpen(socket);
    else socket.pause();
  }
  onData(bytes: Uint8Array): void {
    this.owner?.onData(bytes);
  }
  onDrain(): void {
    this.owner?.onDrain();
  }
  onEnd(): void {
    this.owner?.onEnd();
  }
  onClose(cause: CloseCause, detail: string): void {
    this.gone = true;
    this.owner?.onClose(cause, detail);
  }
}

/** One client too many: hears why and is shown out. */
class Refused implements SocketHandlers {
  onOpen(socket: Socket): void {
    socket.write(TOO_MANY_CLIENTS, 0, TOO_MANY_CLIENTS.length);
    socket.finish(GOODBYE_MS);
  }
  onData(): void {}
  onDrain(): void {}
  onEnd(): void {}
  onClose(): void {}
}
