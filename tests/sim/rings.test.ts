// That the worlds with changing rings can fail: a proxy that leaves out a safeguard is found out.
import { expect, test } from "bun:test";
import type { PairWorld } from "./pair_world.ts";
import { ringsScenario } from "./rings_scenario.ts";
import { runSeed } from "./scenario.ts";

const LEFT_OUT: readonly { readonly name: string; readonly bend: (pair: PairWorld) => void }[] = [
  { name: "trusts new servers at once", bend: (pair) => void (pair.proxy.pool.comebacks.enters = () => {}) },
  { name: "trusts servers that gain keys", bend: (pair) => void (pair.proxy.pool.comebacks.gains = () => {}) },
  { name: "asks servers that come back with old keys for what they hold", bend: (pair) => void (pair.proxy.pool.comebacks.enters = (server) => void (server.cold = true)) },
];
const WITHIN = 40;

for (const { name, bend } of LEFT_OUT) {
  test(`a proxy that ${name} is found out`, () => {
    for (let seed = 1; seed <= WITHIN; seed++) {
      if (runSeed(ringsScenario(bend), seed).violations.length > 0) return;
    }
    expect(`found out within ${WITHIN} seeds`).toBe("never");
  }, 120_000);
}
