// A few servers as a command visits them: no clients, no probing of what is lost. Every server must be there and stay
// the process that it was, else the visit is over.
import { textOf } from "../../bytes/ascii.ts";
import { TailPool } from "../../bytes/outbound.ts";
import { Turn } from "../../bytes/turn.ts";
import { CasTags } from "../../backend/cas_tags.ts";
import type { HealthState } from "../../backend/health.ts";
import type { FailureReason } from "../../backend/reasons.ts";
import { type BackendWorld, Server, type ServerOwner } from "../../backend/server.ts";
import type { Address, Platform, Timer } from "../../platform/platform.ts";
import { CONTROL_PREFIX, isControlAt } from "../control.ts";
import { Dump, type DumpedKeys, dumpsByHash, type DumpWorld } from "./dump.ts";
import type { Holdings } from "./holdings.ts";
import { proxyOf, type Suspicion, Suspicions } from "./suspicions.ts";

const TICK_MS = 20;
/** A tick that comes this late says that we were stopped, not that the servers were slow. */
const LATE_TICK_MS = 100;
/** Nobody waits for a command as for a get. */
const CONNECT_MS = 2000, REQUEST_MS = 2000;

export interface VisitEvents {
  /** All servers can be asked; once. */
  ready(): void;
  /** A server cannot be reached, died or is another process now; once, and the visit is over. */
  lost(server: Server, reason: string): void;
  /** Every tick once ready. */
  tick(nowMs: number): void;
}

export class Visit implements ServerOwner, DumpWorld {
  readonly servers: readonly Server[];
  readonly connectTimeoutMs = CONNECT_MS;
  readonly alone = true;
  nowMs: number;
  private readonly dumps = new Set<Dump>();
  private timer: Timer | null = null;
  private here = 0;
  private over = false;

  constructor(
    private readonly platform: Platform,
    servers: readonly { readonly label: string; readonly address: Address }[],
    private readonly events: VisitEvents,
  ) {
    this.nowMs = platform.clock.nowMs();
    const world: BackendWorld = {
      net: platform.net, random: platform.random, turn: new Turn((run) => platform.afterTurn(run)), clock: this,
      tails: new TailPool(), connectTimeoutMs: CONNECT_MS, requestTimeoutMs: REQUEST_MS, controlPrefix: CONTROL_PREFIX,
      casTags: new CasTags(),
    };
    this.servers = servers.map(({ label, address }) => new Server(label, address, 1, world, this));
  }

  get net() {
    return this.platform.net;
  }
  get clock() {
    return this.platform.clock;
  }

  start(): void {
    for (const server of this.servers) server.start();
    this.schedule();
  }

  stop(): void {
    if (this.over) return;
    this.over = true;
    this.timer?.cancel();
    for (const dump of this.dumps) dump.abort();
    for (const server of this.servers) server.stop();
  }

  /** About how many keys the servers hold when each is on two of them, as they say themselves. */
  get expected(): number {
    return Math.ceil(this.servers.reduce((sum, { stats }) => sum + Number(stats.get("curr_items") ?? 0), 0) / 2);
  }

  /**
   * Lists the keys of all servers, without tandem's own and those that are not wanted, then tells which of the servers the
   * proxies at work there do not trust.
   */
  list(
    holdings: Holdings,
    wanted: (bytes: Uint8Array, start: number, end: number) => boolean,
    done: (suspicions: readonly Suspicion[]) => void,
  ): void {
    let open = this.servers.length;
    const proxies = new Set<string>();
    this.servers.forEach((server, index) => {
      const own = holdings.from(index);
      const keys: DumpedKeys = {
        add: (bytes, start, end, words, from, to) => {
          if (isControlAt(bytes, start, end)) {
            const proxy = proxyOf(textOf(bytes, start, end));
            if (proxy !== null) proxies.add(proxy);
            return false;
          }
          return wanted(bytes, start, end) && own.add(bytes, start, end, words, from, to);
        },
      };
      const dump = new Dump(this, server.address, dumpsByHash(server.version), keys, (problem) => {
        this.dumps.delete(dump);
        if (problem !== null) return this.lose(server, `its keys cannot be listed: ${problem}`);
        if (--open > 0 || this.over) return;
        new Suspicions(this.servers, (found) => void (this.over || done(found))).read(proxies);
      });
      this.dumps.add(dump);
      dump.start();
    });
  }

  stateChanged(server: Server, _from: HealthState, reason: string): void {
    if (server.state === "down") this.lose(server, `is lost: ${reason}`);
  }
  missing(server: Server, reason: FailureReason): void {
    this.lose(server, `cannot be reached: ${reason}`);
  }
  memoryLost(server: Server): void {
    this.lose(server, "is lost: restarted");
  }
  arrived(server: Server): void {
    server.admit("up", "answers");
    if (++this.here === this.servers.length) this.events.ready();
  }
  reconnected(server: Server): void {
    server.trust("reconnected");
  }
  opening(): void {}
  mustFlush(): boolean {
    return false;
  }
  canWait(): boolean {
    return false;
  }

  private lose(server: Server, reason: string): void {
    if (this.over) return;
    this.stop();
    this.events.lost(server, reason);
  }

  private schedule(): void {
    this.timer = this.platform.clock.timer(TICK_MS, () => this.tick());
  }

  private tick(): void {
    if (this.over) return;
    const before = this.nowMs;
    this.nowMs = this.platform.clock.nowMs();
    this.schedule();
    if (this.nowMs - before > LATE_TICK_MS) {
      for (const server of this.servers) server.excuse();
      return;
    }
    for (const server of this.servers) server.tick(this.nowMs);
    if (this.here === this.servers.length && !this.over) this.events.tick(this.nowMs);
  }
}
