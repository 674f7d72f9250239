// What somebody changed on one server alone, past the proxies, is found by the scrubber and made like the lead.
import { describe, expect, test } from "bun:test";
import { differences } from "./pair_scenario.ts";
import { PairWorld } from "./pair_world.ts";
import { World } from "./world.ts";

const SECOND_US = 1_000_000;
const HABITS = { keys: 30, depth: 4, pauseUs: 50_000, ttls: 20, noreply: 0, large: 0, aborts: 0, halfCloses: 0, idle: 0 };

describe("the scrubber", () => {
  for (const version of ["1.6.18", "1.6.27"]) {
    test(`repairs what was planted past the proxies (memcached ${version})`, () => {
      const world = new World({ seed: 7 });
      const pair = new PairWorld(world, { primaries: 2, backups: 2, clients: 2, lanes: 2, versions: [version, version] }, HABITS);
      world.runUntil(() => pair.serving && pair.quiet(), 10 * SECOND_US);
      pair.startClients();
      world.run(world.nowUs + 5 * SECOND_US);
      pair.known.stopped = true;
      world.run(world.nowUs + 15 * SECOND_US);
      expect(differences(pair)).toEqual([]);

      // Of every third key the backup loses its copy, or keeps one that the primary has lost.
      const planted: string[] = [];
      for (const [i, item] of pair.primaries.flatMap(({ server }) => [...server!.engine.store.dump()]).entries()) {
        if (item.key.startsWith("__tandem:") || i % 3 === 0) continue;
        const owner = pair.proxy.pool.pairOf(item.key);
        const label = i % 3 === 1 ? owner.primary.label : owner.backup!.label;
        const { store } = pair.servers.find(({ host }) => `${host.ip}:11211` === label)!.server!.engine;
        store.unlink(store.find(item.key, false)!);
        planted.push(item.key);
      }
      expect(planted.length > 5).toBe(true);
      expect(differences(pair).length).toBe(planted.length);
      pair.proxy.pool.scrubber.soon();
      world.run(world.nowUs + 30 * SECOND_US);
      expect(differences(pair)).toEqual([]);
      expect(pair.proxy.counters.divergences).toBe(planted.length);
    }, 60_000);
  }
});
