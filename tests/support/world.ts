// Two primaries and two backups as real processes, tandem over them, and checked loads running through it: what tests of
// faults break and mend.
import { Client, textOf } from "./client.ts";
import { Load, type LoadOptions } from "./load.ts";
import { freePort, spawnMemcached, type Spawned, type Which } from "./memcached.ts";
import { Relay } from "./relay.ts";
import { residentBytes, serverStates, spawnTandem, type Tandem } from "./tandem.ts";

/** How long both copies may take to be equal again once the load has ended, ms. */
export const WHOLE_MS = 20_000;

/** How long tandems may take to trust all servers under load, ms: a refill is slow where servers answer slowly. */
const UP_MS = 60_000;

export interface WorldOptions {
  /** Indexes of servers that stand behind a relay: 0 and 1 are primaries, 2 and 3 backups. */
  readonly relayed?: readonly number[];
  /** Which memcached each server is; the installed one where it says nothing. */
  readonly which?: readonly Which[];
  /** How many tandems serve, each over the same servers. */
  readonly proxies?: number;
  /** One load for each; their clients take the tandems in turn. */
  readonly loads?: readonly Partial<LoadOptions>[];
  /** Flags of tandem besides its servers. */
  readonly flags?: readonly string[];
}

export class World {
  readonly servers: Spawned[] = [];
  readonly relays = new Map<number, Relay>();
  /** As tandem knows the servers. */
  readonly ports: number[] = [];
  readonly loads: Load[] = [];
  readonly tandems: Tandem[] = [];
  #which: readonly Which[] = [];

  /** Everything runs and each load has stored its keys. Rejects, and leaves nothing behind, when something does not come up. */
  static async open(options: WorldOptions = {}): Promise<World> {
    const world = new World();
    try {
      await world.#open(options);
      return world;
    } catch (problem) {
      await world.close();
      throw problem;
    }
  }

  async #open({ relayed = [], loads = [{}], flags = [], which = [], proxies = 1 }: WorldOptions): Promise<void> {
    this.#which = which;
    for (let index = 0; index < 4; index++) {
      const server = await this.#spawn(index);
      this.servers.push(server);
      // This process also makes the load: were all servers behind its relays, a pause of it would look like all of them hanging.
      if (relayed.includes(index)) this.relays.set(index, new Relay(await freePort(), server.port));
      this.ports.push(this.relays.get(index)?.port ?? server.port);
    }
    const args = [...this.ports.flatMap((port, index) => [index < 2 ? "-s" : "-b", `127.0.0.1:${port}`]), ...flags];
    for (let count = 0; count < proxies; count++) this.tandems.push(await spawnTandem(args));
    for (const [index, options] of loads.entries()) {
      const load = new Load({ seed: index + 1, ...options, ports: this.tandems.map(({ port }) => port) });
      this.loads.push(load);
      await load.start();
    }
  }

  /** Starts a new, empty server where a killed one was. */
  async restart(index: number): Promise<void> {
    const old = this.servers[index]!;
    await old.exited;
    this.servers[index] = await this.#spawn(index, old.port);
  }

  #spawn(index: number, port?: number): Promise<Spawned> {
    const which = this.#which[index] ?? "installed";
    return spawnMemcached(port === undefined ? { which } : { which, port });
  }

  /** The only one, or the first. */
  get tandem(): Tandem {
    return this.tandems[0]!;
  }

  /** What is going on, for the sentences of what was found. */
  set phase(phase: string) {
    for (const load of this.loads) load.findings.phase = phase;
  }

  /** What was found wrong, in words. */
  get sentences(): string[] {
    return this.loads.flatMap(({ findings }) => findings.sentences);
  }

  /**
   * Servers other than the touched ones (by index) that a tandem found too slow, in the log's words. Nobody broke them:
   * the machine did not let them answer in time, and with two servers of a pair gone less is promised.
   */
  slowed(touched: readonly number[]): string[] {
    const ports = this.ports.filter((_port, index) => !touched.includes(index));
    const said = new RegExp(`server is (?:suspect|down) .*server=127\\.0\\.0\\.1:(?:${ports.join("|")}) .*reason=(?:request_timeout|connect_timeout|silent)`);
    return this.tandems.flatMap((tandem) => tandem.log().split("\n").filter((line) => said.test(line)));
  }

  get keys(): string[] {
    return this.loads.flatMap(({ keys }) => keys);
  }

  async stopLoads(): Promise<void> {
    await Promise.all(this.loads.map((load) => load.stop()));
  }

  /** Every key is read once more; after stopLoads. */
  async sweep(): Promise<void> {
    await Promise.all(this.loads.map((load) => load.sweep()));
  }

  /** What `stats proxy` and the kernel say of tandem now. */
  async gauges(client: Client): Promise<{ missedWrites: number; copied: number; residentMiB: number }> {
    const stats = new Map<string, number>();
    client.send("stats proxy\r\n");
    for (let line = await client.line(5000); line !== "END"; line = await client.line(5000)) {
      const [, name, value] = line.split(" ");
      stats.set(name!, Number(value));
    }
    return {
      missedWrites: stats.get("missed_writes")!, copied: stats.get("sync_copied")!,
      residentMiB: Math.round(residentBytes(this.tandem.pid) / 2 ** 20),
    };
  }

  /**
   * How long after now the primaries together hold what the backups together hold and tandem knows it (all its servers
   * are up), ms; null, and a line that says why, when it does not come to that.
   */
  async becomesWhole(keys: readonly string[] = this.keys): Promise<number | null> {
    const started = performance.now();
    let why = "";
    const client = await Client.open(this.tandem.port);
    try {
      while (performance.now() - started < WHOLE_MS) {
        const [first, second] = [await this.#contents([0, 1], keys), await this.#contents([2, 3], keys)];
        const different = keys.filter((key) => first.get(key) !== second.get(key));
        const states = await serverStates(client);
        if (different.length === 0 && states.every((state) => state === "up")) return Math.round(performance.now() - started);
        why = `${different.length} keys differ (${different.slice(0, 5).join(" ")}), servers are ${states.join(", ")}`;
        await pass(50);
      }
    } finally {
      client.close();
    }
    console.log(`not whole: ${why}`);
    return null;
  }

  /** Waits until each tandem says that all its servers are up; rejects after UP_MS. */
  async becomesUp(): Promise<void> {
    const started = performance.now();
    for (const tandem of this.tandems) {
      const client = await Client.open(tandem.port);
      for (let states: string[] = ["unknown"]; states.some((state) => state !== "up"); await pass(50)) {
        states = await serverStates(client);
        if (performance.now() - started > UP_MS) throw new Error(`servers are ${states.join(", ")}\n${tandem.log()}`);
      }
      client.close();
    }
  }

  /** The keys as these servers hold them, asked directly: flags and value. */
  async #contents(indexes: readonly number[], keys: readonly string[]): Promise<Map<string, string>> {
    const held = new Map<string, string>();
    for (const index of indexes) {
      const client = await Client.open(this.servers[index]!.port);
      for (let at = 0; at < keys.length; at += 100) {
        const answer = await client.fetch(`get ${keys.slice(at, at + 100).join(" ")}\r\n`, 10_000);
        for (const value of answer.values) held.set(value.key, `${value.flags} ${textOf(value.bytes)}`);
      }
      client.close();
    }
    return held;
  }

  async close(): Promise<void> {
    for (const load of this.loads) load.close();
    for (const tandem of this.tandems) await tandem.stop();
    for (const relay of this.relays.values()) relay.close();
    for (const server of this.servers) await server.stop();
  }
}

/**
 * A busy machine makes everything slower, nothing makes it faster: the best of a few tries is the program's own. `attempt`
 * says why it is worth another try, or "" when it has judged; told that it is the last one, it judges in any case.
 */
export async function bestOf(tries: number, name: string, attempt: (isLast: boolean) => Promise<string>): Promise<void> {
  for (let left = tries; left > 0; left--) {
    const why = await attempt(left === 1);
    if (why === "") return;
    console.log(`${name}: tried again, since ${why}`);
  }
}

/** Lets time pass under load: what is measured is what happens meanwhile. */
export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
