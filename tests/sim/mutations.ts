// Proxies that leave out one of their safeguards, each of which the simulation must find out: what shows that it can
// fail. A row: what is left out, where it is looked for, how many seeds that took, and how many it may take.
import { SilentCaller } from "../../src/backend/caller.ts";
import { Lane } from "../../src/backend/lane.ts";
import type { FailureReason } from "../../src/backend/reasons.ts";
import { latin1, textOf } from "../../src/bytes/ascii.ts";
import { Op } from "../../src/protocol/commands.ts";
import { Expect, Status } from "../../src/protocol/reply.ts";
import { Copier } from "../../src/replication/copying/copier.ts";
import { Decide } from "../../src/replication/requests/decide.ts";
import { Forget } from "../../src/replication/requests/forget.ts";
import { other, type Side } from "../../src/replication/pair.ts";
import type { Notice } from "../../src/replication/proxies/notice.ts";
import { Sync } from "../../src/replication/copying/sync.ts";
import type { Verdict } from "../../src/replication/missed/verdict.ts";
import { Write } from "../../src/replication/requests/write.ts";
import { companyScenario, isKind, type Kind } from "./company_scenario.ts";
import type { FaultKind } from "./faults.ts";
import { type Mood, pairScenario } from "./pair_scenario.ts";
import type { PairWorld } from "./pair_world.ts";
import { restartScenario } from "./restart_scenario.ts";
import { runSeed, type Scenario } from "./scenario.ts";

const NOOP = latin1("mn\r\n"), TOUCHED = latin1("TOUCHED\r\n");

/** Tells a touch that it was done, though another thing was asked. */
class Pretended extends SilentCaller {
  constructor(private readonly touch: Write) {
    super();
  }
  override onReply(side: number): void {
    this.touch.onReply(side, Status.TOUCHED, TOUCHED, 0, TOUCHED.length);
  }
  override onFailure(side: number, reason: FailureReason, sent: boolean): void {
    this.touch.onFailure(side, reason, sent);
  }
}

export interface Mutation {
  /** "a proxy …" */
  readonly name: string;
  /** The worlds in which it is looked for. */
  readonly mood: Mood | Kind | "restart-a" | "restart-disk";
  /** Bends the proxies that were just made; returns what straightens classes again, if it bent any. */
  readonly bend: (pair: PairWorld) => void | (() => void);
  /** Looked for in worlds that are a rush. */
  readonly rush?: boolean;
  /** … and in those of several proxies where nothing but this happens. */
  readonly kinds?: readonly FaultKind[];
  /** The seed that found it out when this was written, of all from 1 on (worlds change with the product). */
  readonly seed: number;
  /** Found within so many seeds from a few before that one. */
  readonly within: number;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "whose abort is a plain close executes bytes of dead connections", mood: "zombie", seed: 56, within: 400,
    bend: (pair) => void (pair.proxyHost.process!.gentle = true),
  },
  {
    name: "without the zombie barrier executes bytes of dead connections", mood: "zombie", seed: 184, within: 400,
    bend(pair) {
      for (const server of pair.proxy.pool.servers) server.ghosts.add = () => server.ghosts;
    },
  },
  {
    name: "that forgets which keys a server lacks serves old values", mood: "A", seed: 5, within: 100,
    bend(pair) {
      for (const each of pair.proxy.pool.pairs) each.mark = () => {};
    },
  },
  {
    name: "that gives two writes one version takes different values for the same", mood: "A", seed: 28, within: 200,
    bend: (pair) => void (pair.proxy.pool.versions.next = () => {}),
  },
  {
    name: "that trusts a restarted server at once loses what was stored", mood: "A", seed: 111, within: 300,
    bend: (pair) => void (pair.proxy.pool.memoryLost = () => {}),
  },
  {
    name: "that forgets what a server missed when it returns serves old values", mood: "A", seed: 2, within: 100,
    bend({ proxy: { pool } }) {
      const arrived = pool.arrived.bind(pool);
      pool.arrived = (server) => {
        for (const pair of pool.pairs) {
          for (const [key, { side }] of [...pair.stale]) if (pair.server(side) === server) pair.clear(key);
        }
        arrived(server);
      };
    },
  },
  {
    name: "that forgets what a server missed when another process answers there serves old values",
    mood: "four-strict", seed: 821, within: 60, kinds: ["crash", "power"],
    bend({ proxies }) {
      for (const { pool } of proxies) {
        const memoryLost = pool.memoryLost.bind(pool);
        pool.memoryLost = (server) => {
          for (const pair of pool.pairs) {
            for (const [key, { side }] of [...pair.stale]) if (pair.server(side) === server) pair.clear(key);
          }
          memoryLost(server);
        };
      }
    },
  },
  {
    name: "that reads from the side that lacks a key is seen doing it", mood: "B", seed: 1, within: 100,
    bend(pair) {
      for (const each of pair.proxy.pool.pairs) each.leadOf = () => (each.usualLead === 1 ? 1 : 0);
    },
  },
  {
    name: "that asks a primary on its way back for any key is seen reading one that it lacks", mood: "fast", seed: 4, within: 60,
    bend(pair) {
      for (const each of pair.proxy.pool.pairs) each.mayHold = () => each.primary.warming;
    },
  },
  {
    name: "whose copies have no guard undoes writes", mood: "A", seed: 2, within: 100, rush: true,
    bend: (pair) => rewrite(pair, (line) => line.replace(/^ms (\S+) (\d+) (?:ME|C\d+) F/, "ms $1 $2 F")),
  },
  {
    name: "that forgets without a guard removes later writes", mood: "B", seed: 17, within: 100, rush: true,
    bend: () => patch(Forget.prototype, "onReply", (original) => function (this: Forget, ...args) {
      const { key, pair, side, laneIndex } = this as unknown as { key: string; pair: PairWorld["proxy"]["pool"]["pair"]; side: Side; laneIndex: number };
      const push = pair.server(side)!.lanes[laneIndex]!.out.push;
      const out = pair.server(side)!.lanes[laneIndex]!.out;
      // "md key C" + unique: the letter and what follows it are dropped.
      let dropped = 0;
      out.push = (bytes, start, end) => {
        const text = textOf(bytes, start, end);
        if (text === `${key} C`) {
          dropped = 1;
          return push.call(out, latin1(key), 0, key.length);
        }
        if (dropped === 1) return void (dropped = 2);
        push.call(out, bytes, start, end);
      };
      original.apply(this, args);
      out.push = push;
    }),
  },
  {
    name: "that does not copy what a command made of an item keeps two different ones", mood: "A", seed: 2, within: 100,
    bend: () => patch(Decide.prototype, "copy", (original) => function (this: Decide, ...args) {
      if (args[0] === null) return original.apply(this, args);
      (this as unknown as { conclude(): void }).conclude();
    }),
  },
  {
    name: "that copies from the side that lacks the key undoes writes", mood: "A", seed: 1, within: 100,
    bend() {
      const undo = [
        patch(Sync.prototype, "compare", (original) => function (this: Sync, ...args) {
          const { pair, from } = this as unknown as { pair: PairWorld["proxy"]["pool"]["pair"]; from: Side };
          const { leadOf } = pair;
          pair.leadOf = () => from;
          original.apply(this, args);
          pair.leadOf = leadOf;
        }),
        patch(Copier.prototype, "add", (original) => function (this: Copier, job) {
          original.call(this, { ...job, to: other(job.to) });
        }),
      ];
      return () => undo.forEach((one) => one());
    },
  },
  {
    name: "whose writes do not wait for a command in two steps undoes them on one side", mood: "A", seed: 2, within: 100,
    bend: () => patch(Write.prototype, "start", () => function (this: Write) {
      (this as unknown as { place(): void }).place();
    }),
  },
  {
    name: "that touches one side only keeps two different times", mood: "A", seed: 6, within: 100,
    bend: () => patch(Write.prototype, "send", (original) => function (this: Write, side: Side) {
      const lane = this.lane(side);
      if (this.op !== Op.TOUCH || side === (this as unknown as { lead: Side }).lead || !lane.ready) return original.call(this, side);
      lane.out.push(NOOP, 0, NOOP.length);
      lane.expect(Expect.NOOP, new Pretended(this), side);
    }),
  },
  {
    name: "that copies times of 30 days and more as they are loses the copies", mood: "A", seed: 22, within: 100,
    bend: (pair) => rewrite(pair, (line) => line.replace(/^(ms \S+ \d+ (?:ME|C\d+) F\d+ T)(\d{10})\b/, "$14000000")),
  },
  {
    name: "that lets gets follow one whose batch has left leaves clients without an answer", mood: "hot", seed: 1, within: 20,
    bend: () => patch(Lane.prototype, "flush", (original) => function (this: Lane) {
      const { epoch } = this;
      original.call(this);
      this.epoch = epoch;
    }),
  },
  {
    name: "that sends a command of unknown outcome again applies it twice", mood: "A", seed: 87, within: 200,
    bend: () => patch(Decide.prototype, "unknown", (original) => function (this: Decide) {
      const decide = this as unknown as { again?: boolean; parked: boolean; lead: Side; release(): void };
      if (decide.again === true || this.server(decide.lead).state === "down") return original.call(this);
      decide.again = decide.parked = true;
      this.client.block();
      this.lane(decide.lead).wait(this, 0);
      decide.release();
    }),
  },
  {
    name: "that marks what it could not verify as stale loses it", mood: "two-strict", seed: 251, within: 300, rush: true,
    bend({ proxies }) {
      for (const { pool: { verifier } } of proxies) {
        const ended = verifier.ended.bind(verifier);
        verifier.ended = (doubt, outcome) => {
          const { pair, key } = doubt;
          if (outcome === "failed" && !pair.stale.has(key)) pair.mark(key, pair.leadOf(key) === 0 ? 1 : 0);
          ended(doubt, outcome);
        };
      }
    },
  },
  {
    name: "that does not fence what another one distrusts stays of another mind", mood: "two-a", seed: 4, within: 100,
    bend({ proxies }) {
      for (const { pool } of proxies) pool.board!.read = () => {};
    },
  },
  {
    name: "whose workers answer before the others know shows what was replaced", mood: "two-workers", seed: 6, within: 200,
    bend({ proxies }) {
      for (const { pool } of proxies) Object.assign(pool.siblings!, { knows: () => true, learn: () => {} });
    },
  },
  {
    name: "whose workers do not tell each other what they wrote leaves both sides different", mood: "four-workers", seed: 90, within: 200,
    bend({ proxies }) {
      for (const { pool } of proxies) Object.assign(pool.siblings!.crossings, { hears: () => {} });
    },
  },
  {
    name: "that does not verify what it wrote beside another one leaves both sides different", mood: "two-a", seed: 19, within: 200,
    bend({ proxies }) {
      for (const { pool } of proxies) pool.verifier.wrote = () => {};
    },
  },
  {
    name: "that takes any copy of a notice for the newest is misled by an old one", mood: "two-a", seed: 138, within: 200,
    bend({ proxies }) {
      for (const { pool } of proxies) {
        const board = pool.board!;
        const read = board.read.bind(board);
        let seq = 10 ** 14;
        board.read = (wall, id, notice: Notice | null) => read(wall, id, notice === null || id === pool.proxyId ? notice : { ...notice, seq: ++seq });
      }
    },
  },
  {
    name: "that writes nothing down and reads nothing serves old values after a restart", mood: "restart-a", seed: 11, within: 60,
    bend: (pair) => void Object.assign(pair.proxy.pool, { memory: null }),
  },
  {
    name: "that does not believe marks serves old values", mood: "restart-a", seed: 12, within: 60,
    bend: (pair) => believes(pair, ({ lacks }) => lacks.clear()),
  },
  {
    name: "that trusts hints whether they are complete or not serves old values", mood: "restart-a", seed: 30, within: 60,
    bend: (pair) => believes(pair, ({ lacks }) => {
      for (const all of lacks.values()) all.forEach((lack, i) => void (all[i] = lack.why?.startsWith("hints") === true ? { ...lack, why: null } : lack));
    }),
  },
  {
    name: "that writes a hint long after the write loses it with its process", mood: "restart-a", seed: 12, within: 60,
    bend(pair) {
      const { hints } = pair.proxy.pool.memory!;
      const missed = hints.missed.bind(hints);
      hints.missed = (of, key, side) => pair.world.after(400_000, () => missed(of, key, side));
    },
  },
  {
    name: "that does not notice a restart which nobody saw loses what was stored", mood: "restart-a", seed: 71, within: 60,
    bend: (pair) => believes(pair, ({ lost }) => lost.clear()),
  },
  {
    name: "that does not read what it wrote to its disk serves old values when the server that took them is restarted too",
    mood: "restart-disk", seed: 2, within: 60,
    bend: (pair) => void Object.assign(pair.proxy.pool.memory!, { filed: () => [] }),
  },
  {
    name: "that takes a mark back before the last key is copied serves old values", mood: "restart-a", seed: 12, within: 60,
    bend(pair) {
      const memory = pair.proxy.pool.memory!;
      const lacking = memory.lacking.bind(memory);
      memory.lacking = (of, side) => {
        const lacks = lacking(of, side);
        return lacks === "keys" ? null : lacks;
      };
    },
  },
];

/** Changes what a proxy concludes from what earlier ones left. */
function believes(pair: PairWorld, change: (verdict: Verdict) => void): void {
  const memory = pair.proxy.pool.memory!;
  const recalled = memory.recalled.bind(memory);
  memory.recalled = (verdict, servers) => {
    change(verdict);
    recalled(verdict, servers);
  };
}

const BEFORE = 5;

/** The first seed that finds a mutation out, and how; null when none does. */
export function findOut({ mood, bend, seed: known, within, rush, kinds }: Mutation): { seed: number; violation: string } | null {
  let straighten = (): void => {};
  const scenario = scenarioOf(mood, (pair) => {
    const undo = bend(pair);
    if (undo !== undefined) straighten = undo;
  }, rush === true ? () => true : undefined, kinds);
  const from = Math.max(1, known - BEFORE);
  for (let seed = from; seed < from + within; seed++) {
    try {
      const [violation] = runSeed(scenario, seed).violations;
      if (violation !== undefined) return { seed, violation: violation.split("\n")[0]! };
    } finally {
      straighten();
      straighten = () => {};
    }
  }
  return null;
}

function scenarioOf(
  mood: Mutation["mood"], bend: (pair: PairWorld) => void, inRush?: (seed: number) => boolean, kinds?: readonly FaultKind[],
): Scenario {
  if (isKind(mood)) return companyScenario(mood, bend, inRush, kinds);
  if (mood === "restart-a" || mood === "restart-disk") return restartScenario(bend, mood === "restart-disk");
  return pairScenario(mood, bend, inRush);
}

type Method = (...args: never[]) => void;

/** Replaces a method of a class, private ones too; returns what puts it back. */
function patch<T extends object>(prototype: T, name: string, make: (original: (...args: any[]) => void) => (this: T, ...args: any[]) => void): () => void {
  const methods = prototype as unknown as Record<string, Method>;
  const original = methods[name]!;
  methods[name] = make(original as (...args: any[]) => void) as unknown as Method;
  return () => void (methods[name] = original);
}

/** Changes what is sent to the servers, each piece by itself. */
function rewrite(pair: PairWorld, change: (line: string) => string): void {
  for (const server of pair.proxy.pool.servers) for (const lane of server.lanes) rewriteLane(lane, change);
}

function rewriteLane({ out }: Lane, change: (line: string) => string): void {
  const push = out.push.bind(out);
  out.push = (bytes, start, end) => {
    if (bytes[start] !== 109 || bytes[start + 1] !== 115) return push(bytes, start, end); // not "ms"
    const line = latin1(change(textOf(bytes, start, end)));
    push(line, 0, line.length);
  };
}
