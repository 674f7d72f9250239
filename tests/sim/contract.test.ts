// The simulated platform keeps the same contract as the real ones, on calm wires and on rough ones.
import { contract, type World as ContractWorld } from "../contract/suite.ts";
import { drawSettings } from "./settings.ts";
import { Prng } from "./prng.ts";
import { World, type Settings } from "./world.ts";

const STEPS_MAX = 200_000;

function join(seed: number, settings: Partial<Settings>, together: boolean): ContractWorld {
  const world = new World({ seed, settings });
  const host = world.host("self");
  const process = host.start(() => {});
  let paths = 0;
  return {
    platform: process,
    together,
    much: 3_000_000,
    async until(what, check) {
      for (let step = 0; !check(); step++) {
        if (step === STEPS_MAX || !world.step()) throw new Error(`waited in vain for ${what}, at ${world.nowUs / 1000} virtual ms`);
      }
    },
    async pass(ms) {
      world.run(world.nowUs + Math.ceil(ms * 1000));
    },
    changed() {},
    async blackhole() {
      const gone = world.host("gone");
      gone.off = true;
      return { kind: "tcp", host: gone.ip, port: 1 };
    },
    unixPath: () => `/tmp/socket${++paths}`,
    async staleUnix() {
      host.unixPaths.add("/tmp/stale");
      return "/tmp/stale";
    },
    async done() {
      world.run(world.nowUs + 60_000_000);
      const left = process.sockets.size + process.attempts.size + process.listeners.size;
      if (left > 0) throw new Error(`${left} sockets, attempts and listeners are left`);
    },
  };
}

contract("sim, calm", async () => join(1, { loopJitterUs: 0 }, true));
// The suite takes it that a few bytes into an empty socket are taken whole, as every kernel does: no short writes here
// (world.test.ts has them).
for (let seed = 1; seed <= 6; seed++) {
  const settings = { ...drawSettings(new Prng(seed)), fragments: seed % 2 === 0 ? 8 : 2, shortWrites: 0 };
  contract(`sim, rough ${seed}`, async () => join(seed, settings, false));
}
