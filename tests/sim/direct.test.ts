// The clients and the checker against one memcached: silent when it is honest, loud when it is not.
import { describe, expect, test } from "bun:test";
import type { MemoryServer } from "../../src/embedded/server.ts";
import { direct } from "./direct_scenario.ts";
import { runSeed } from "./scenario.ts";

const SEEDS = 12;

/** How many of the seeds fail. */
function failures(lie: (server: MemoryServer) => void): number {
  let failed = 0;
  for (let seed = 1; seed <= SEEDS; seed++) if (runSeed(direct(lie), seed).violations.length > 0) failed++;
  return failed;
}

describe("an embedded memcached", () => {
  test("that is honest is never accused", () => {
    for (let seed = 1; seed <= 3 * SEEDS; seed++) expect(runSeed(direct(), seed).violations.join("\n")).toBe("");
  }, 60_000);

  test("that forgets to store now and then is found out", () => {
    const found = failures((server) => {
      const { store } = server.engine;
      const link = store.link.bind(store);
      let count = 0;
      store.link = (item, given) => {
        link(item, given);
        if (++count % 20 === 0) store.unlink(item);
      };
    });
    expect(found).toBeGreaterThan(SEEDS / 2);
  });

  test("that does not delete now and then is found out", () => {
    const found = failures((server) => {
      const { store } = server.engine;
      const unlink = store.unlink.bind(store);
      let count = 0;
      store.unlink = (item) => {
        if (++count % 2 === 0) unlink(item);
      };
    });
    expect(found).toBeGreaterThan(SEEDS / 2);
  });

  test("that lets items live too long is found out", () => {
    const found = failures((server) => {
      const { time } = server.engine;
      const due = time.due.bind(time);
      time.due = (exptime) => (exptime > 0 && exptime < 100 ? due(exptime + 20) : due(exptime));
    });
    expect(found).toBeGreaterThan(0);
  });
});
