// That the worlds with changing rings can fail: a proxy that leaves out a safeguard is found out.
import { expect, test } from "bun:test";
import type { PairWorld } from "./pair_world.ts";
import { type Kind, ringsScenario } from "./rings_scenario.ts";
import { runSeed } from "./scenario.ts";

const LEFT_OUT: readonly { readonly name: string; readonly kind?: Kind; readonly bend: (pair: PairWorld) => void }[] = [
  { name: "trusts new servers at once", bend: (pair) => void (pair.proxy.pool.comebacks.enters = () => {}) },
  { name: "trusts servers that gain keys", bend: (pair) => void (pair.proxy.pool.comebacks.gains = () => {}) },
  { name: "asks servers that come back with old keys for what they hold", bend: (pair) => void (pair.proxy.pool.comebacks.enters = (server) => void (server.cold = true)) },
  { name: "does not wait for other proxies", kind: "rings-two", bend: (pair) => pair.proxies.forEach(({ pool }) => void (pool.changes.laggingProxy = () => null)) },
  { name: "does not wait for other workers", kind: "rings-workers", bend: (pair) => pair.proxies.forEach(({ pool }) => void (pool.changes.laggingWorker = () => null)) },
  { name: "goes on to lead from the ring that changes", kind: "rings-two", bend: (pair) => pair.proxies.forEach(({ pool }) => void (pool.changes.turn = () => {})) },
];
const WITHIN = 40;

for (const { name, kind, bend } of LEFT_OUT) {
  test(`a proxy that ${name} is found out`, () => {
    for (let seed = 1; seed <= WITHIN; seed++) {
      if (runSeed(ringsScenario(bend, kind), seed).violations.length > 0) return;
    }
    expect(`found out within ${WITHIN} seeds`).toBe("never");
  }, 120_000);
}
