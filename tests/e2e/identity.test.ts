// Who answers at a server's address: the same process after a cut, another one after a restart, another memcached, one
// of our own in the wrong place, or none at all. Told apart by identity alone, since nobody writes meanwhile.
import { describe, expect, test } from "bun:test";
import { Client, textOf } from "../support/client.ts";
import { freePort, newerMemcached, spawnMemcached, type Spawned, type Which } from "../support/memcached.ts";
import { Relay } from "../support/relay.ts";
import { PATIENT, spawnTandem, type Tandem } from "../support/tandem.ts";

const KEYS = Array.from({ length: 300 }, (_none, index) => `identity:${index}`);
/** Deleted at the beginning: whoever shows them has kept them from an earlier life. */
const GONE = KEYS.slice(0, 20);
const KEPT = KEYS.slice(20);
/** A returning server must prove itself for longer each time, and is then filled, ms. */
const BACK_MS = 40_000;

/** Two primaries and two backups behind relays, so that an address can lead to somebody else. */
class World {
  readonly servers: Spawned[] = [];
  readonly relays: Relay[] = [];
  tandem!: Tandem;
  client!: Client;

  static async open(which: Which): Promise<World> {
    const world = new World();
    for (let index = 0; index < 4; index++) {
      const server = await spawnMemcached({ which });
      world.servers.push(server);
      world.relays.push(new Relay(await freePort(), server.port));
    }
    // Every change here is one that a connection tells of at once: a server that is only slow must not look like another.
    world.tandem = await spawnTandem([...world.relays.flatMap(({ port }, index) => [index < 2 ? "-s" : "-b", `127.0.0.1:${port}`]), ...PATIENT]);
    world.client = await Client.open(world.tandem.port);
    for (const key of KEYS) expect(await world.client.ask(`set ${key} 7 0 ${key.length}\r\n${key}\r\n`)).toBe("STORED");
    for (const key of GONE) expect(await world.client.ask(`delete ${key}\r\n`)).toBe("DELETED");
    return world;
  }

  /** The log's words for what server `index` became: resolves with its reason. */
  async became(index: number, state: "up" | "down" | "rejoin", from: number): Promise<string> {
    const label = `127.0.0.1:${this.relays[index]!.port}`;
    const words = state === "rejoin" ? "server rejoins, not trusted yet" : `server is ${state}`;
    return (await this.tandem.said(new RegExp(`${words} server=${label} .*reason=("[^"]*"|\\S+)`), from, BACK_MS))[1]!;
  }

  /** Every key as clients see it is as it was stored, or gone. */
  async isRight(when: string): Promise<void> {
    const { values, end } = await this.client.fetch(`get ${KEYS.join(" ")}\r\n`);
    expect([when, end]).toEqual([when, "END"]);
    expect([when, values.filter(({ key, bytes, flags }) => textOf(bytes) !== key || flags !== "7").map(({ key }) => key)]).toEqual([when, []]);
    expect([when, values.map(({ key }) => key).join(" ")]).toEqual([when, KEPT.join(" ")]);
  }

  async close(): Promise<void> {
    this.client?.close();
    await this.tandem?.stop();
    for (const relay of this.relays) relay.close();
    for (const server of this.servers) await server.stop();
  }
}

/** Something else than tandem put these there. */
async function plant(server: Spawned, keys: readonly string[]): Promise<void> {
  const client = await Client.open(server.port);
  for (const key of keys) expect(await client.ask(`set ${key} 0 0 5\r\nalien\r\n`)).toBe("STORED");
  client.close();
}

async function story(world: World, which: Which): Promise<void> {
  const { tandem, servers, relays } = world;

  // Cut off, and the same process again.
  let from = tandem.log().length;
  relays[0]!.refuse();
  await world.became(0, "down", from);
  await world.isRight("cut off");
  relays[0]!.listen();
  expect(await world.became(0, "up", from)).toBe('"missed nothing"');

  // Restarted while nobody asked for anything.
  from = tandem.log().length;
  servers[1]!.kill("SIGKILL");
  await world.became(1, "down", from);
  servers[1] = await spawnMemcached({ which, port: servers[1]!.port });
  expect(await world.became(1, "rejoin", from)).toBe("restarted");
  await world.isRight("restarted");
  await world.became(1, "up", from);
  await world.isRight("filled");

  // Restarted faster than it is asked how it is. From the first moment on nothing is missing.
  from = tandem.log().length;
  servers[2]!.kill("SIGKILL");
  await servers[2]!.exited;
  servers[2] = await spawnMemcached({ which, port: servers[2]!.port });
  await world.isRight("restarted at once");
  expect(await world.became(2, "rejoin", from)).toBe("restarted");
  await world.became(2, "up", from);

  // What answers is no memcached; then it is one again.
  from = tandem.log().length;
  const web = Bun.listen({ hostname: "127.0.0.1", port: await freePort(), socket: { data: (socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n") } });
  relays[3]!.leadTo(web.port);
  expect(await world.became(3, "down", from)).toMatch(/^(unexpected_reply|unasked_reply|handshake)$/);
  await world.isRight("no memcached");
  relays[3]!.leadTo(servers[3]!.port);
  web.stop(true);
  expect(await world.became(3, "up", from)).toBe('"missed nothing"');

  // Another memcached, which holds what was deleted and other values for what was not.
  from = tandem.log().length;
  const other = await spawnMemcached({ which });
  servers.push(other);
  await plant(other, [...GONE, ...KEPT.slice(0, 100)]);
  relays[0]!.leadTo(other.port);
  await world.isRight("another memcached at once");
  expect(await world.became(0, "rejoin", from)).toBe("restarted");
  await world.isRight("another memcached written");
  await world.became(0, "up", from);
  await world.isRight("another memcached filled");

  // Two of our own change places: each holds keys that it had long ago.
  from = tandem.log().length;
  await plant(other, GONE);
  await plant(servers[1]!, [...GONE, ...KEPT.slice(100, 200)]);
  relays[0]!.leadTo(servers[1]!.port);
  relays[1]!.leadTo(other.port);
  await world.isRight("swapped at once");
  for (const index of [0, 1]) expect(await world.became(index, "rejoin", from)).toBe("restarted");
  await world.isRight("swapped");
  for (const index of [0, 1]) await world.became(index, "up", from);
  await world.isRight("swapped and filled");
  // The backups go: both primaries hold all that is theirs.
  for (const index of [2, 3]) servers[index]!.kill("SIGKILL");
  await world.isRight("primaries alone");
}

describe("who answers at an address is told by identity", () => {
  for (const which of ["installed", "newer"] as const) {
    test.skipIf(which === "newer" && newerMemcached() === null)(`${which} memcached`, async () => {
      const world = await World.open(which);
      try {
        await story(world, which);
      } finally {
        await world.close();
      }
    }, 120_000);
  }
});
