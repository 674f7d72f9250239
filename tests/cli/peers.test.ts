// Proxies that compare themselves with their peers: what the log, the counters and the report tell of one that differs.
import { expect, test } from "bun:test";
import { Peers } from "../../src/cli/peers.ts";
import { Counters } from "../../src/observe/counters.ts";
import type { Log } from "../../src/observe/log.ts";
import { FakePlatform, type FakeSocket } from "../support/fake_platform.ts";

function regions(...names: string[]) {
  const platform = new FakePlatform();
  /** What each peer says of itself; null: it is silent. */
  const theirs = new Map<string, { fingerprint: string; placement: string } | null>();
  for (const name of names) {
    theirs.set(name, { fingerprint: "f1", placement: "ring=a ack=both" });
    platform.peers.set(`${name}:1`, {
      welcome: "accept",
      accepted: () => {},
      wrote: (socket: FakeSocket) => {
        const question = socket.take();
        const said = theirs.get(name)!;
        if (said === null) return;
        socket.send(question === "stats proxy\r\n" ? `STAT fingerprint ${said.fingerprint}\r\nEND\r\n` : `STAT placement ${said.placement}\r\nEND\r\n`);
      },
    });
  }
  const told: string[] = [];
  const say = (level: string) => (message: string, fields: object = {}): void => void told.push(`${level} ${message} ${Object.values(fields).join(" | ")}`);
  const log: Log = { verbosity: 0, info: say("info"), warn: say("warn"), error: say("error"), debug: say("debug") };
  const counters = new Counters();
  const peers = new Peers(
    platform, names.map((name) => ({ address: { kind: "tcp", host: name, port: 1 }, label: `${name}:1` })), { fingerprint: "f1", placement: "ring=a ack=both" }, counters, log,
  );
  peers.start();
  const states = (): string => peers.report().map(({ address, state, fingerprint }) => `${address} ${state} ${fingerprint}`).join(", ");
  return { platform, theirs, told, counters, peers, states };
}

test("one that begins to differ is warned of once and counted, and told again when it agrees", () => {
  const t = regions("north", "south");
  expect(t.states()).toBe("north:1 unknown , south:1 unknown ");
  t.platform.pass(1100);
  expect(t.states()).toBe("north:1 agrees f1, south:1 agrees f1");
  expect(t.told.splice(0)).toEqual(["info peer places and replicates alike north:1 | f1", "info peer places and replicates alike south:1 | f1"]);
  t.theirs.set("south", { fingerprint: "f2", placement: "ring=b ack=both" });
  t.platform.pass(30_000);
  expect(t.told.splice(0)).toEqual(["warn peer places or replicates differently south:1 | f2 | f1 | ring b instead of a"]);
  expect([t.states(), t.counters.peer_drifts]).toEqual(["north:1 agrees f1, south:1 drifts f2", 1]);
  t.theirs.set("south", { fingerprint: "f1", placement: "ring=a ack=both" });
  t.platform.pass(10_000);
  expect(t.told.splice(0)).toEqual(["info peer places and replicates alike south:1 | f1"]);
  expect([t.states(), t.counters.peer_drifts]).toEqual(["north:1 agrees f1, south:1 agrees f1", 1]);
});

test("one that does not answer is no drift; of one that drifted what it said last still stands", () => {
  const t = regions("north", "south");
  t.theirs.set("north", null);
  t.theirs.set("south", { fingerprint: "f2", placement: "ring=a ack=any" });
  t.platform.pass(5000);
  expect(t.told.splice(0)).toEqual(["warn peer places or replicates differently south:1 | f2 | f1 | ack any instead of both", "info peer cannot be compared north:1 | does not answer within 3000 ms"]);
  t.theirs.set("south", null);
  t.platform.pass(30_000);
  expect([t.told, t.states(), t.counters.peer_drifts]).toEqual([[], "north:1 silent , south:1 drifts f2", 1]);
  t.peers.stop();
  t.theirs.set("north", { fingerprint: "f1", placement: "" });
  t.platform.pass(30_000);
  expect(t.states()).toBe("north:1 silent , south:1 drifts f2");
});
