// One change of rings by itself: what it waits for, and what it does not wait for any more.
import { expect, test } from "bun:test";
import type { Server } from "../../src/backend/server.ts";
import { PRIMARY } from "../../src/replication/pair.ts";
import { REPLACED, TURNED } from "../../src/replication/proxies/steps.ts";
import { type Changing, type RingServerSpec, Transition } from "../../src/replication/transition.ts";

const server = (label: string): Server => ({ label, leads: true, state: "up", drained: false, fenced: false, doubted: false }) as unknown as Server;

/** A pool of one pair, another worker of which is always as far; taken: what that one has taken. */
class Fake implements Changing<RingServerSpec> {
  readonly primaries = [server("p0:1")];
  readonly backups = [server("b0:1")];
  readonly pairs = [];
  readonly uploads = new Set<object>();
  readonly requestMs = 100;
  readonly purging = false;
  taken = 0;
  replaced = 0;
  readonly log = { verbosity: 0, info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };
  replaceRing = (): Server[] => (this.replaced++, []);
  purge = (): void => {};
  turn = (): void => {};
  gains = (): void => {};
  fill = (): void => {};
  filled = (): void => {};
  leaves = (): void => {};
  unfillable = (): null => null;
  stepped = (): void => {};
  laggingWorker = (steps: number): string | null => (steps > this.taken ? "worker 1" : null);
  laggingProxy = (): null => null;
  isAhead = (steps: number): boolean => this.taken > steps;
}

test("who sees a fault once another one has replaced the ring replaces it too", () => {
  const pool = new Fake();
  const change = new Transition(pool, [{ side: PRIMARY, servers: [{ label: "p0:1" }], ring: null, shifts: false }], 3600_000);
  change.tick(0);
  expect(change.phase).toBe("turning");
  pool.taken = TURNED;
  Object.assign(pool.backups[0]!, { state: "down", leads: false });
  change.tick(200);
  expect([change.phase, pool.replaced, change.text]).toEqual(["turning", 0, "primaries turning, waiting for b0:1, which is down"]);
  pool.taken = REPLACED;
  change.tick(220);
  expect([change.phase, pool.replaced, change.taken, change.text]).toEqual(["settling", 1, REPLACED, "primaries settling"]);
});
