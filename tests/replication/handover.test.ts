// A ring without backups that hands over to another one: when its new places take over, and when they do not yet.
import { expect, test } from "bun:test";
import type { Server } from "../../src/backend/server.ts";
import { Handover, type HandingOver } from "../../src/replication/handover.ts";
import { PRIMARY, type Pair } from "../../src/replication/pair.ts";
import type { RingServerSpec } from "../../src/replication/transition.ts";

interface Place {
  label: string;
  leads: boolean;
  state: string;
  lanes: { inFlight: { count: number }; out: { total: number } }[];
}
const place = (label: string): Place => ({ label, leads: true, state: "up", lanes: [{ inFlight: { count: 0 }, out: { total: 0 } }] });

/** p0:1 hands over to p1:1. What is done is said. */
class Fake implements HandingOver<RingServerSpec> {
  readonly old = place("p0:1");
  readonly young = place("p1:1");
  readonly pair = { backup: this.young, isBehind: () => this.behind, locks: new Map() };
  behind = false;
  purging = false;
  readonly did: string[] = [];
  readonly uploads = new Set<object>();
  readonly requestMs = 100;
  readonly log = { verbosity: 0, info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };
  readonly primaries = [this.old] as unknown as Server[];
  readonly backups = [this.young] as unknown as Server[];
  readonly pairs = [this.pair] as unknown as Pair[];
  stand = (): Server[] => (this.did.push("stand"), this.backups);
  fill = (): void => void this.did.push("fill");
  unfillable = (): string | null => (this.young.state === "down" ? "p1:1, which is down" : null);
  leaveOff = (): void => void this.did.push("leave off");
  turn = (_servers: readonly Server[], away: boolean): void => void this.did.push(away ? "turn" : "turn back");
  halt = (halted: boolean): void => void this.did.push(halted ? "halt" : "go on");
  takeOver = (): void => void this.did.push("take over");

  /** As far as both places hold all. */
  filled(waitMs: number): Handover<RingServerSpec> {
    const handover = new Handover(this, { side: PRIMARY, servers: [{ label: "p1:1" }], ring: null, shifts: true }, waitMs);
    for (const at of [0, 50, 100, 120]) handover.tick(at);
    expect(this.did.splice(0)).toEqual(waitMs === 0 ? ["stand", "fill", "turn"] : ["stand", "fill"]);
    return handover;
  }
}

test("both places are kept as long as was said, or until that is ended", () => {
  const one = new Fake(), first = one.filled(60_000);
  expect(first.text).toBe("primaries filled, old places are kept for 60 s");
  first.tick(59_999);
  expect(one.did).toEqual([]);
  first.tick(60_000);
  first.tick(60_100);
  expect([first.over, ...one.did]).toEqual([true, "turn", "halt", "take over", "go on"]);

  const two = new Fake(), second = two.filled(60_000);
  second.end(200);
  second.tick(300);
  expect([second.over, ...two.did]).toEqual([true, "turn", "halt", "take over", "go on"]);
});

test("a new place that missed a write after the turn is given it before it takes over", () => {
  const pool = new Fake(), handover = pool.filled(0);
  pool.behind = true;
  handover.tick(220);
  expect([handover.phase, ...pool.did.splice(0)]).toEqual(["filling", "turn back"]);
  handover.tick(240);
  pool.behind = false;
  for (const at of [260, 360]) handover.tick(at);
  expect([handover.over, ...pool.did]).toEqual([true, "turn", "halt", "take over", "go on"]);
});

test("nothing is under way when a new place takes over, but for what takes too long", () => {
  const pool = new Fake(), handover = pool.filled(0);
  pool.young.lanes[0]!.inFlight.count = 1;
  handover.tick(220);
  handover.tick(300);
  expect([handover.phase, ...pool.did]).toEqual(["pausing", "halt"]);
  handover.tick(320);
  expect([handover.over, ...pool.did]).toEqual([true, "halt", "take over", "go on"]);
});

test("a new place that is away is waited for as long as was said; then what it may hold of old values is dealt with", () => {
  const pool = new Fake(), handover = pool.filled(1000);
  Object.assign(pool.young, { state: "down", leads: false });
  handover.tick(500);
  expect(handover.text).toBe("primaries filling, waiting for p1:1, which is down");
  handover.tick(1499);
  expect(pool.did).toEqual([]);
  pool.purging = true;
  handover.tick(1500);
  expect([handover.phase, ...pool.did.splice(0)]).toEqual(["purging", "leave off"]);
  pool.purging = false;
  for (const at of [1520, 1620]) handover.tick(at);
  expect([handover.over, ...pool.did]).toEqual([true, "turn", "leave off", "halt", "leave off", "take over", "go on"]);
});
