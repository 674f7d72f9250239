// A simulated machine: one address, one clock that may be wrong, one process at a time, and the kernel state that
// outlives a process.
import { SimProcess } from "./process.ts";
import type { World } from "./world.ts";
import type { Endpoint, Link } from "./wire.ts";

/** What runs on a host; called at each start with the Platform of that life. */
export type Boot = (process: SimProcess) => void;

export class SimHost {
  readonly ip: string;
  /** The power is gone: packets to it vanish. */
  off = false;
  /** Its ports are closed to new connections. */
  refusing = false;
  /** Stopped by SIGSTOP: the kernel works, the process does not. */
  hung = false;
  /** The present life, or null while the process is dead. */
  process: SimProcess | null = null;
  /** How wrong the wall clock is, microseconds. */
  skewUs = 0;
  /** How fast its clocks run: 1 is right. Set before anything runs on it. */
  rate = 1;
  readonly files = new Map<string, string>();
  readonly environment = new Map<string, string>();
  readonly directories = new Set(["", "/tmp", "/run"]);
  /** Paths of unix sockets that exist in the file system, alive or stale. */
  readonly unixPaths = new Set<string>();
  /** Links to other hosts by their index; filled by World.link. */
  readonly links: (Link | undefined)[] = [];
  readonly endpoints = new Set<Endpoint>();
  private boot: Boot | null = null;
  private nextPort: number;
  private nextPid: number;

  constructor(
    readonly world: World,
    readonly index: number,
    readonly name: string,
  ) {
    this.ip = `10.0.0.${index + 1}`;
    this.nextPort = 32_768 + world.dice.hosts.below(20_000);
    this.nextPid = 100 + world.dice.hosts.below(30_000);
  }

  /** Starts the program; the same boot runs again at every restart. */
  start(boot: Boot): SimProcess {
    this.boot = boot;
    return this.restart();
  }

  /** Gives the host power and a new process, with a new pid. */
  restart(): SimProcess {
    if (this.process !== null) return this.process;
    this.hung = false;
    const process = new SimProcess(this.world, this, this.nextPid++, this.world.dice.hosts.fork());
    this.process = process;
    if (this.off) {
      this.off = false;
      this.world.poweredOn(this);
    }
    this.boot?.(process);
    return process;
  }

  /**
   * Ends the process. "kill": the kernel closes its sockets (FIN, or RST where bytes were unread) and refuses new
   * connections. "power": nothing leaves any more and packets to it vanish until restart().
   */
  crash(how: "kill" | "power"): void {
    const process = this.process;
    if (process === null) return;
    this.process = null;
    this.hung = false;
    process.die();
    if (how === "power") this.off = true;
    for (const endpoint of [...this.endpoints]) {
      if (how === "power") endpoint.vanish();
      else endpoint.orphan();
    }
    for (const listener of [...process.listeners]) listener.drop();
    this.endpoints.clear();
  }

  /** SIGSTOP. */
  hang(): void {
    if (this.process !== null) this.hung = true;
  }

  /** SIGCONT: what waited is noticed within spreadUs, each connection in its own time. */
  resume(spreadUs: number): void {
    if (!this.hung) return;
    this.hung = false;
    this.process?.continue(spreadUs);
  }

  /** The wall clock in microseconds since 1970. */
  wallUs(): number {
    return this.world.epochUs + this.world.nowUs * this.rate + this.skewUs;
  }

  /** A port that no live connection of this host uses. */
  port(): number {
    const port = this.nextPort++;
    if (this.nextPort > 60_999) this.nextPort = 32_768;
    return port;
  }
}
