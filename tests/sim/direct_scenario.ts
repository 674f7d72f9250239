// Clients straight at one embedded memcached to which nothing happens: shows that the clients, the model and the
// checker agree with memcached, so that what they find behind the proxy is the proxy's.
import type { MemoryServer } from "../../src/embedded/server.ts";
import { check } from "./checker.ts";
import { SimClient } from "./client.ts";
import { History } from "./history.ts";
import { CLOSING_US, drawHabits, Knowledge, MixedLoad } from "./load.ts";
import { MEMCACHED_PORT, MemcachedHost } from "./memcached_host.ts";
import { STRICT } from "./model.ts";
import { Prng } from "./prng.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";
import { drawSettings } from "./settings.ts";
import type { World } from "./world.ts";

const SECOND_US = 1_000_000;

/** lie may bend the server, to show that the checker notices. */
export function direct(lie: (server: MemoryServer) => void = () => {}): Scenario {
  return { name: "direct", settings: (seed) => drawSettings(new Prng(seed ^ 0x5eed)), run: (world) => run(world, lie) };
}

export const directScenario = direct();

function run(world: World, lie: (server: MemoryServer) => void): ScenarioResult {
  const memcached = new MemcachedHost(world.host("server"), { version: world.dice.load.pick(["1.6.18", "1.6.27"]) });
  lie(memcached.server!);
  const history = new History();
  const known = new Knowledge();
  const habits = drawHabits(world.dice.load);
  const sessions = { last: 0 };
  const clients: SimClient[] = [];
  for (let i = world.dice.load.range(1, 4); i > 0; i--) {
    world.host(`client${i}`).start((process) => {
      const load = new MixedLoad(world, habits, known, history);
      clients.push(new SimClient(process, { host: "server", port: MEMCACHED_PORT }, load, history, sessions, () => false));
    });
  }
  world.run(10 * SECOND_US);
  known.stopped = true;
  world.run(10 * SECOND_US + CLOSING_US);
  const { violations, undecided } = check(history, STRICT);
  const idle = clients.filter((client) => !client.done).length;
  return {
    violations: [...history.wrong, ...known.reused, ...violations, ...(idle > 0 ? [`${idle} clients are still waiting`] : [])],
    counts: { calls: history.calls.length, undecided: undecided.length },
  };
}
