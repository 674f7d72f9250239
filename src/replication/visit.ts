// A few servers as a command visits them: no clients, no probing of what is lost. Every server must be there and stay
// the process that it was, else the visit is over.
import { TailPool } from "../bytes/outbound.ts";
import { Turn } from "../bytes/turn.ts";
import type { HealthState } from "../backend/health.ts";
import type { FailureReason } from "../backend/reasons.ts";
import { type BackendWorld, Server, type ServerOwner } from "../backend/server.ts";
import type { Address, Platform, Timer } from "../platform/platform.ts";
import { CONTROL_PREFIX } from "./control.ts";
import { Dump, dumpsByHash, type DumpWorld, intoTexts } from "./dump.ts";
import { proxiesIn, type Suspicion, Suspicions } from "./suspicions.ts";

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

  /**
   * Adds the keys of each server to the set of its index (servers may share one) without tandem's own, then tells which
   * of the servers the proxies at work there do not trust.
   */
  list(sets: readonly Set<string>[], done: (suspicions: readonly Suspicion[]) => void): void {
    let open = this.servers.length;
    this.servers.forEach((server, index) => {
      const dump = new Dump(this, server.address, dumpsByHash(server.version), intoTexts(sets[index]!), (problem) => {
        this.dumps.delete(dump);
        if (problem !== null) return this.lose(server, `its keys cannot be listed: ${problem}`);
        if (--open > 0 || this.over) return;
        const proxies = new Set(sets.flatMap((set) => proxiesIn(set)));
        for (const set of sets) for (const key of set) if (key.startsWith(CONTROL_PREFIX)) set.delete(key);
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
