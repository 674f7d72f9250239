// A person who takes servers out of reads and puts them back, for no reason: clients must not notice.
import type { Proxy } from "../../src/proxy.ts";
import { Prng } from "./prng.ts";
import type { World } from "./world.ts";

export class Operator {
  drains = 0;
  private readonly dice: Prng;

  /** Has dice of its own: what else happens to a seed stays as it was. Nothing is begun from untilUs on. */
  constructor(private readonly world: World, private readonly proxies: () => readonly Proxy[], private readonly untilUs: number) {
    this.dice = new Prng(world.seed ^ 0x0d7a);
  }

  start(): void {
    this.world.after(this.dice.range(50_000, 1_500_000), () => {
      if (this.world.nowUs >= this.untilUs) return this.end();
      const proxy = this.dice.pick(this.proxies());
      const { label, drained } = this.dice.pick(proxy.pool.servers);
      if (proxy.drainNow(label, !drained, false).ok && !drained) this.drains++;
      this.start();
    });
  }

  /** Puts every server back. */
  private end(): void {
    for (const proxy of this.proxies()) for (const { label } of proxy.pool.servers) proxy.drainNow(label, false, false);
  }
}
