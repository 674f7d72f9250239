// The supervisor over workers on a table: they say what the test says, when it says so.
import { describe, expect, test } from "bun:test";
import type { ProxyConfig } from "../../src/config/config.ts";
import type { Log } from "../../src/observe/log.ts";
import type { Report } from "../../src/observe/report.ts";
import type { ChannelHandlers, Platform } from "../../src/platform/platform.ts";
import { Supervisor } from "../../src/workers/supervisor.ts";
import { FakePlatform } from "../support/fake_platform.ts";

type Order = Readonly<Record<string, unknown>> & { readonly t: string };

class Child {
  readonly orders: Order[] = [];
  killed = false;
  constructor(readonly handlers: ChannelHandlers, readonly args: readonly string[]) {}
  says(word: Order): void {
    this.handlers.onText(JSON.stringify(word));
  }
  took(t: string): Order[] {
    return this.orders.filter((order) => order.t === t);
  }
  begins(): void {
    this.says({ t: "ready" });
    this.says({ t: "met" });
  }
}

/** A pool of one address and a limit of ten clients, and so many workers. */
class Crew {
  readonly children: Child[] = [];
  readonly table = new FakePlatform();
  readonly lines: string[] = [];
  outcome = "";
  readonly supervisor: Supervisor;

  constructor(workers: number) {
    const crew: Platform["crew"] = {
      refusal: "", portOf: () => null, parent: () => null, accept: () => {},
      startHeir: () => ({ ok: false, reason: "" }),
      open: (address, { count }, done) => done({ ok: true, ports: Array.from({ length: count }, () => ({ address, close: () => {} })) }),
      start: (args, _ports, handlers) => {
        const child = new Child(handlers, args);
        this.children.push(child);
        const { length } = this.children;
        return { ok: true, child: { pid: 100 + length, send: (text) => void child.orders.push(JSON.parse(text) as Order), kill: () => void (child.killed = true) } };
      },
    };
    const say = (message: string): void => void this.lines.push(message);
    const log: Log = { verbosity: 0, info: say, warn: say, error: say, debug: say };
    const config = { pools: [{ listen: [{ kind: "tcp", host: "127.0.0.1", port: 1 }], unixMode: 0, clientsMax: 10 }] } as unknown as ProxyConfig;
    const platform = { net: this.table.net, clock: this.table.clock, host: this.table.host, crew } as unknown as Platform;
    this.supervisor = new Supervisor(platform, log, {
      workers, config, clientsPerWorker: Infinity, args: (number) => [String(number)], bound: () => null,
    });
    this.supervisor.start((outcome) => (this.outcome = outcome.ok ? "ok" : outcome.reason));
  }

  /** All begin, and accept where they are told to. */
  begin(): this {
    for (const child of this.children) child.begins();
    for (const child of this.children) for (const { place } of child.took("accept")) child.says({ t: "accepting", place });
    return this;
  }
}

describe("the supervisor", () => {
  test("has started once every worker knows the others and every port is accepted from", () => {
    const crew = new Crew(2);
    crew.children[0]!.begins();
    expect(crew.children[0]!.took("accept")).toEqual([]);
    crew.children[1]!.begins();
    expect(crew.children[0]!.took("joined")).toEqual([{ t: "joined", worker: 1 }]);
    expect(crew.children[1]!.orders.map(({ t }) => t).slice(0, 3)).toEqual(["begin", "joined", "company"]);
    expect(crew.outcome).toBe("");
    for (const child of crew.children) for (const { place } of child.took("accept")) child.says({ t: "accepting", place });
    expect(crew.outcome).toBe("ok");
  });

  test("says why it does not start when a worker ends before it could work", () => {
    const crew = new Crew(2);
    crew.children[0]!.handlers.onGone(3);
    expect(crew.children[1]!.killed).toBe(true);
    crew.children[1]!.handlers.onGone(null);
    expect(crew.outcome).toBe("worker 0 ended before it could work (exit code 3)");
  });

  test("gives a dead worker's port to another at once, and starts it again later and later", () => {
    const crew = new Crew(2).begin();
    crew.children[1]!.handlers.onGone(null);
    expect(crew.children[0]!.took("accept").map(({ place }) => place)).toEqual([0, 1]);
    expect(crew.children[0]!.took("gone")).toEqual([{ t: "gone", worker: 1 }]);
    for (const waitMs of [100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
      const before = crew.children.length;
      crew.table.pass(waitMs - 2);
      expect(crew.children.length).toBe(before);
      crew.table.pass(4);
      expect(crew.children.length).toBe(before + 1);
      crew.children.at(-1)!.handlers.onGone(1);
    }
  });

  test("kills a worker that says nothing, and not one that the supervisor could not hear", () => {
    const crew = new Crew(2).begin();
    const speak = (ms: number, who: readonly Child[]): void => {
      for (let passed = 0; passed < ms; passed += 500) {
        crew.table.pass(500);
        for (const child of who) child.says({ t: "alive" });
      }
    };
    speak(10_000, crew.children);
    expect(crew.children.map(({ killed }) => killed)).toEqual([false, false]);
    crew.table.nowMs += 60_000; // the whole host stood still
    speak(3000, []);
    speak(3000, crew.children);
    expect(crew.children.map(({ killed }) => killed)).toEqual([false, false]);
    speak(4500, [crew.children[0]!]);
    expect(crew.children.map(({ killed }) => killed)).toEqual([false, true]);
    expect(crew.lines.at(-1)).toBe("a worker hangs, it is killed");
    crew.children[1]!.handlers.onGone(null);
    let lost: unknown = null;
    crew.supervisor.collect((report) => (lost = report?.workersLost));
    crew.children[0]!.says({ t: "report", ask: 1, report: { pools: [] } });
    expect(lost).toEqual({ died: 0, hung: 1 });
  });

  /** Other settings for two workers, and the answer once it is there. */
  function reloading(crew: Crew): { outcome: unknown; config: ProxyConfig } {
    const config = { pools: [] } as unknown as ProxyConfig;
    const told: { outcome: unknown; config: ProxyConfig } = { outcome: null, config };
    crew.supervisor.reload(config, (outcome) => (told.outcome = outcome));
    return told;
  }

  test("gives other settings to all workers once all can take them, and to those that begin later", () => {
    const crew = new Crew(2).begin();
    const [a, b] = crew.children as [Child, Child];
    const told = reloading(crew);
    a.says({ t: "prepared", ask: 1, reason: null });
    expect([a.took("commit"), b.took("commit")]).toEqual([[], []]);
    b.says({ t: "prepared", ask: 1, reason: null });
    for (const child of [a, b]) {
      expect(child.took("commit")).toEqual([{ t: "commit", ask: 2 }]);
      expect(told.outcome).toBe(null);
      child.says({ t: "committed", ask: 2, changes: ["main: timeout"] });
    }
    expect(told.outcome).toEqual({ ok: true, changes: ["main: timeout"] });
    b.handlers.onGone(null);
    crew.table.pass(200);
    expect(crew.children[2]!.took("begin")[0]!["config"]).toEqual(told.config);
  });

  test("changes nothing when one worker cannot take them, dies or does not answer", () => {
    const cases: [string, (crew: Crew) => void][] = [
      ["no", ({ children }) => children[0]!.says({ t: "prepared", ask: 1, reason: "no" })],
      ["worker 0 died meanwhile", ({ children }) => children[0]!.handlers.onGone(null)],
      ["worker 0 does not answer", ({ table }) => table.pass(2100)],
    ];
    for (const [reason, happens] of cases) {
      const crew = new Crew(2).begin();
      const told = reloading(crew);
      crew.children[1]!.says({ t: "prepared", ask: 1, reason: null });
      happens(crew);
      expect(told.outcome).toEqual({ ok: false, reason });
      expect(crew.children[1]!.took("forget").length).toBe(1);
      crew.children[0]!.says({ t: "prepared", ask: 1, reason: null }); // too late
      expect(crew.children.flatMap((child) => child.took("commit"))).toEqual([]);
      // Another one begins anew.
      if (reason === "no") expect((reloading(crew), crew.children[0]!.took("prepare").length)).toBe(2);
    }
  });

  test("starts a worker in the place of another not before the rings of the others have changed", () => {
    const crew = new Crew(2).begin();
    const [a, b] = crew.children as [Child, Child];
    a.says({ t: "rings", changing: true });
    b.says({ t: "rings", changing: true });
    b.handlers.onGone(null);
    expect(crew.lines.at(-1)).toBe("the worker is started again when the rings have changed");
    crew.table.pass(5000);
    expect(crew.children.length).toBe(2);
    a.says({ t: "rings", changing: false });
    crew.table.pass(200);
    expect(crew.children.length).toBe(3);
  });

  test("hastens the change of rings in all workers, and says whether there is one", () => {
    for (const changing of [true, false]) {
      const crew = new Crew(2).begin();
      const said: boolean[] = [];
      crew.supervisor.endTransition((any) => said.push(any));
      for (const [at, child] of crew.children.entries()) {
        const [{ ask }] = child.took("hasten") as [Order];
        child.says({ t: "hastened", ask, changing: at === 0 && changing });
      }
      expect(said).toEqual([changing]);
    }
  });

  test("sums what those tell that answer in time", () => {
    const crew = new Crew(2).begin();
    const heard: (Report | null)[] = [];
    crew.supervisor.collect((report) => heard.push(report));
    const [{ ask }] = crew.children[1]!.took("tell") as [Order];
    crew.children[1]!.says({ t: "report", ask, report: { uptimeSeconds: 7 } });
    expect(heard).toEqual([]);
    crew.table.pass(1100); // worker 0 hangs
    expect(heard.map((report) => report?.uptimeSeconds)).toEqual([7]);
    crew.supervisor.collect((report) => heard.push(report));
    crew.table.pass(1100);
    expect(heard[1]).toBe(null);
  });

  test("passes on what one pool has to tell the others, or one of them", () => {
    const crew = new Crew(3).begin();
    crew.children[0]!.says({ t: "tell", pool: 0, word: { seq: 1 }, to: -1 });
    crew.children[2]!.says({ t: "tell", pool: 0, word: { ack: 1 }, to: 0 });
    expect(crew.children.map((child) => child.took("tell it").map(({ from, word }) => [from, word]))).toEqual([
      [[2, { ack: 1 }]], [[0, { seq: 1 }]], [[0, { seq: 1 }]],
    ]);
  });
});
