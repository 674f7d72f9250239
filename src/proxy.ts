// Wires one proxy together from its settings: turn, pool, door, listeners. Starts, drains, stops.
import { TailPool } from "./bytes/outbound.ts";
import { Turn } from "./bytes/turn.ts";
import type { ProxyConfig } from "./config/config.ts";
import { addressText } from "./config/servers.ts";
import { Door } from "./frontend/door.ts";
import { Counters } from "./observe/counters.ts";
import type { Log } from "./observe/log.ts";
import type { Address, CloseCause, Listener, Platform } from "./platform/platform.ts";
import { Pool } from "./replication/pool.ts";
import { buildRing, ringServers } from "./ring/ring.ts";

/** Connections the kernel may hold before we accept them. */
const BACKLOG = 4096;

export type StartOutcome =
  | { readonly ok: true; readonly addresses: readonly Address[] }
  | { readonly ok: false; readonly reason: string };

export class Proxy {
  readonly pool: Pool;
  readonly door: Door;
  readonly counters = new Counters();
  private readonly listeners: Listener[] = [];
  private stopping = false;

  constructor(
    private readonly platform: Platform,
    private readonly config: ProxyConfig,
    log: Log,
    /** What `stats proxy` calls tandem_version. */
    version = "source",
  ) {
    const turn = new Turn((run) => platform.afterTurn(run));
    const tails = new TailPool();
    const { pool } = config;
    this.pool = new Pool(
      platform,
      {
        primaries: pool.primaries,
        backups: pool.backups,
        primaryRing: buildRing(pool.ring, ringServers(pool.primaries), pool.hashTag),
        backupRing: pool.backups.length === 0 ? null : buildRing(pool.ring, ringServers(pool.backups), pool.hashTag),
        lanes: pool.lanes,
        ack: pool.ack,
        connectTimeoutMs: pool.connectTimeoutMs,
        requestTimeoutMs: pool.requestTimeoutMs,
        itemBytesMax: pool.itemBytesMax,
        proxies: pool.proxies,
        refill: pool.refill,
        comeback: pool.comeback,
      },
      turn, tails, this.counters, log,
    );
    this.door = new Door(platform, this.pool, turn, tails, this.counters, log, config.clientsMax, version);
    this.pool.afterTick = () => this.door.tick();
  }

  /**
   * Binds every address at once, so that a taken port is known first, and tells done when all listen. Clients that
   * come before the servers have answered wait for them, or are told what is wrong.
   */
  start(done: (outcome: StartOutcome) => void): void {
    const addresses: Address[] = [];
    let open = this.config.listen.length;
    let failed = false;
    this.pool.start();
    for (const [index, address] of this.config.listen.entries()) {
      const options = { backlog: BACKLOG, reusePort: false, unixMode: this.config.unixMode };
      this.platform.net.listen(address, options, {
        onListening: (listener) => {
          if (failed) return listener.close();
          this.listeners.push(listener);
          addresses[index] = listener.address;
          if (--open === 0) done({ ok: true, addresses });
        },
        onAccept: () => this.door.accept(),
        onClose: (cause, detail) => {
          if (failed || this.stopping) return;
          failed = true;
          this.stop(0, () => {});
          const why = LISTEN_WORDS[cause] ?? (detail === "" ? cause : detail);
          done({ ok: false, reason: `cannot listen on ${addressText(address)}: ${why}` });
        },
      });
    }
  }

  /** Stops accepting, lets clients have the answers under way for at most drainMs, then ends everything. */
  stop(drainMs: number, done: () => void): void {
    this.stopping = true;
    for (const listener of this.listeners) listener.close();
    this.door.drain();
    const began = this.platform.clock.nowMs();
    const look = (): void => {
      if (this.door.clients.size > 0 && this.platform.clock.nowMs() - began < drainMs) {
        this.platform.clock.timer(10, look);
        return;
      }
      this.door.close();
      this.pool.stop();
      done();
    };
    look();
  }
}

const LISTEN_WORDS: Partial<Record<CloseCause, string>> = {
  in_use: "something listens there already", denied: "not permitted", not_found: "no such address or directory",
};
