// A host whose program is the embedded memcached: the servers behind a simulated proxy, and the truth it is compared with.
import { Turn } from "../../src/bytes/turn.ts";
import { MemoryServer, type MemoryServerOptions } from "../../src/embedded/server.ts";
import type { SimHost } from "./host.ts";
import type { SimProcess } from "./process.ts";
import { fastText } from "./values.ts";

export const MEMCACHED_PORT = 11211;

/** One memcached: the present life's server is `server`, or null while none runs. */
export class MemcachedHost {
  server: MemoryServer | null = null;

  constructor(
    readonly host: SimHost,
    private readonly options: MemoryServerOptions = {},
  ) {
    host.start((process) => this.boot(process));
  }

  private boot(process: SimProcess): void {
    const turn = new Turn((run) => process.afterTurn(run));
    const server = new MemoryServer(
      { clock: process.clock, random: process.random, turn, text: fastText },
      { ...this.options, pid: process.host.pid },
    );
    this.server = server;
    process.net.listen({ kind: "tcp", host: "0.0.0.0", port: MEMCACHED_PORT }, { backlog: 1024, reusePort: false, unixMode: 0o700 }, {
      onListening: () => {},
      onAccept: () => server.accept(),
      onClose: (cause, detail) => {
        throw new Error(`the embedded memcached cannot listen: ${cause} ${detail}`);
      },
    });
  }
}
