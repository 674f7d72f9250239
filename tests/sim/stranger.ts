// Somebody else who writes to the servers, between what a proxy reads and what it does about it: the same value again,
// under another unique. Clients see nothing of it, but a copy or a removal that follows must not succeed: unless what
// the stranger wrote is gone by then. So he writes only where nothing in front of the copy can remove it: no other
// question on the key is under way in its lane (a key has one lane per server), and the item does not end by itself.
import type { InFlight } from "../../src/backend/inflight.ts";
import { Status } from "../../src/protocol/reply.ts";
import { Forget } from "../../src/replication/requests/forget.ts";
import { Sync } from "../../src/replication/copying/sync.ts";
import type { PairWorld } from "./pair_world.ts";
import type { World } from "./world.ts";

/** Number of sync.ts' and forget.ts' questions that change something. */
const SYNC_WRITE = 2, FORGET_REMOVE = 1;
/** Of 8 changes, before how many the stranger writes. */
const WRITES = 2;

interface Asker {
  readonly key: string;
  onReply(role: number, status: number, ...rest: unknown[]): void;
}

export class Stranger {
  /** What succeeded and should not have. */
  readonly found: string[] = [];
  writes = 0;

  constructor(private readonly world: World, pair: PairWorld) {
    for (const { pool } of pair.proxies) {
      for (const server of pool.servers) {
        const host = pair.servers.find(({ host: { ip } }) => server.label.startsWith(`${ip}:`))!;
        for (const lane of server.lanes) {
          const expect = lane.expect.bind(lane);
          lane.expect = (kind, caller, role) => {
            const changes = (caller instanceof Sync && role === SYNC_WRITE) || (caller instanceof Forget && role === FORGET_REMOVE);
            if (changes && alone(lane.inFlight, (caller as unknown as Asker).key) && this.write(host.server, (caller as unknown as Asker).key)) this.follow(caller as unknown as Asker, role);
            expect(kind, caller, role);
          };
        }
      }
    }
  }

  /** Renews what the server holds of the key; false when there is nothing, or no wish to. */
  private write(server: PairWorld["servers"][number]["server"], key: string): boolean {
    if (server === null || !this.world.dice.faults.chance(WRITES, 8)) return false;
    const item = server.engine.store.find(key, false);
    if (item === null || item.exptime !== 0) return false;
    item.cas = server.engine.store.nextCas();
    this.writes++;
    this.world.note(`a stranger writes ${key}, which is now c${item.cas}`);
    return true;
  }

  private follow(asker: Asker, asked: number): void {
    const onReply = asker.onReply.bind(asker);
    asker.onReply = (role, status, ...rest) => {
      if (role === asked) {
        asker.onReply = onReply;
        this.world.note(`the change of ${asker.key} behind it is answered ${status === Status.HD ? "HD" : "otherwise"}`);
        if (status === Status.HD) this.found.push(`I8: what another one wrote to ${asker.key} is overwritten or removed unread`);
      }
      onReply(role, status, ...rest);
    };
  }
}

/** No question under way concerns the key, as far as who asks says which key he is about. */
function alone(inFlight: InFlight, key: string): boolean {
  const { callers } = inFlight as unknown as { callers: readonly ({ key?: unknown; of?: { key: unknown } } | null)[] };
  return callers.every((caller) => {
    if (caller === null) return true;
    const about = caller.key ?? caller.of?.key;
    return typeof about === "string" && about !== key;
  });
}
