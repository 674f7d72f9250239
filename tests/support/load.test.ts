// The load and its checker against a server that lies: an honest one is found honest, and every lie is found out.
import { describe, expect, test } from "bun:test";
import { Liar, LIES } from "./liar.ts";
import { Load } from "./load.ts";
import { freePort } from "./memcached.ts";

describe("a load against a server that", () => {
  for (const lie of LIES) {
    test(lie === "none" ? "is honest finds nothing" : `${lie} finds it out`, async () => {
      const liar = new Liar(await freePort(), lie);
      const load = new Load({ ports: [liar.port], clients: 4, rate: 100_000, lengths: [20, 100], registersPerClient: 8 });
      await load.start();
      while (load.operations.length < 4000 && !(lie !== "none" && liar.lies >= 3 && load.findings.total > 0)) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await load.stop();
      await load.sweep();
      load.close();
      liar.close();
      if (lie === "none") {
        expect(load.findings.sentences).toEqual([]);
        expect(load.operations.filter((one) => one.error !== null)).toEqual([]);
      } else {
        expect(liar.lies).toBeGreaterThan(0);
        expect(load.findings.total).toBeGreaterThan(0);
      }
    }, 20_000);
  }
});
