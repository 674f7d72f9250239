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
  /** It was given more ports while it ran: from which place on, and how many; the words it has had before that. */
  readonly given: { readonly place: number; readonly count: number; readonly after: string }[] = [];
  takes = true;
  gets(place: number, count: number): boolean {
    if (this.takes) this.given.push({ place, count, after: this.orders.at(-1)!.t });
    return this.takes;
  }
  begins(): void {
    this.says({ t: "ready" });
    this.says({ t: "met", pools: [0] });
  }
}

/** A pool with ports of its own on 127.0.0.1. */
const POOL = (name: string, clientsMax: number, ...ports: number[]): object => ({
  name, listen: ports.map((port) => ({ kind: "tcp", host: "127.0.0.1", port })), unixMode: 0, clientsMax,
});
const CONFIG = (...pools: object[]): ProxyConfig => ({ pools }) as unknown as ProxyConfig;

/** A pool of one address and a limit of ten clients, and so many workers. */
class Crew {
  readonly children: Child[] = [];
  readonly table = new FakePlatform();
  readonly lines: string[] = [];
  /** Those that nobody may listen on. */
  readonly taken = new Set<number>();
  /** How many of each are open. */
  readonly ports = new Map<number, number>();
  outcome = "";
  readonly supervisor: Supervisor;

  constructor(workers: number) {
    const crew: Platform["crew"] = {
      refusal: "", portOf: () => null, parent: () => null, accept: () => {}, drop: () => {},
      startHeir: () => ({ ok: false, reason: "" }),
      open: (address, { count }, done) => {
        const port = address.kind === "tcp" ? address.port : 0;
        if (this.taken.has(port)) return done({ ok: false, cause: "in_use", detail: "" });
        this.ports.set(port, count);
        const close = (): void => void this.ports.set(port, this.ports.get(port)! - 1);
        done({ ok: true, ports: Array.from({ length: count }, () => ({ address, close })) });
      },
      start: (args, _ports, handlers) => {
        const child = new Child(handlers, args);
        this.children.push(child);
        const { length } = this.children;
        return { ok: true, child: { pid: 100 + length, give: (place, ports) => child.gets(place, ports.length), send: (text) => void child.orders.push(JSON.parse(text) as Order), kill: () => void (child.killed = true) } };
      },
    };
    const say = (message: string): void => void this.lines.push(message);
    const log: Log = { verbosity: 0, info: say, warn: say, error: say, debug: say };
    const config = CONFIG(POOL("main", 10, 1));
    const platform = { net: this.table.net, clock: this.table.clock, host: this.table.host, crew } as unknown as Platform;
    this.supervisor = new Supervisor(platform, log, {
      workers, config, clientsPerWorker: () => Infinity, args: (number) => [String(number)], bound: () => null,
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
  function reloading(crew: Crew, config = CONFIG(POOL("main", 10, 1))): { outcome: unknown; config: ProxyConfig } {
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
      expect(child.took("commit")).toEqual([{ t: "commit", ask: 2, pools: [0], places: [[0, 0], [1, 0]], gone: [] }]);
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

  /** All can take them, and do. */
  function taking(crew: Crew): void {
    const asked = (t: string): void => {
      for (const child of crew.children) child.says({ t: t === "prepare" ? "prepared" : "committed", ask: child.took(t).at(-1)!["ask"], ...(t === "prepare" ? { reason: null } : { changes: ["new"] }) });
    };
    asked("prepare");
    if (crew.children.every((child) => child.took("commit").length > 0)) asked("commit");
  }

  test("opens new ports when all workers can take them, gives them to all, and then all change at once", () => {
    const crew = new Crew(2).begin();
    const told = reloading(crew, CONFIG(POOL("main", 10, 1, 2), POOL("young", 6, 3)));
    expect([...crew.ports.keys()]).toEqual([1]);
    taking(crew);
    expect(told.outcome).toEqual({ ok: true, changes: ["new"] });
    for (const child of crew.children) {
      expect(child.given).toEqual([{ place: 2, count: 4, after: "prepare" }]);
      const after = child.orders.slice(child.orders.findIndex(({ t }) => t === "commit"));
      expect(after).toEqual([
        { t: "commit", ask: 2, pools: [0, 1], places: [[0, 0], [1, 0], [2, 0], [3, 0], [4, 1], [5, 1]], gone: [] },
        { t: "room", pool: 1, clients: 3 },
        { t: "accept", place: child === crew.children[0] ? 2 : 3, pool: 0, address: { kind: "tcp", host: "127.0.0.1", port: 2 } },
      ]);
    }
    // Nobody accepts for a pool before he knows what the others know of it.
    crew.children[1]!.says({ t: "met", pools: [0, 1] });
    expect(crew.children[1]!.took("accept").slice(-2).map(({ place, pool }) => [place, pool])).toEqual([[4, 1], [5, 1]]);
    // One that begins later has the same ports, and all of them as places from the first.
    crew.children[0]!.handlers.onGone(null);
    crew.table.pass(200);
    const late = crew.children[2]!;
    late.says({ t: "ready" });
    late.says({ t: "met", pools: [0, 1] });
    expect(late.took("begin")[0]!["pools"]).toEqual([0, 1]);
    for (const child of crew.children) for (const { place } of child.took("accept")) child.says({ t: "accepting", place });
    crew.table.pass(200);
    expect(late.took("accept").map(({ place, pool }) => [place, pool])).toEqual([[0, 0], [2, 0], [4, 1]]);
  });

  test("changes nothing when a port cannot be opened, or cannot be given to a worker", () => {
    const crew = new Crew(2).begin();
    crew.taken.add(3);
    const told = reloading(crew, CONFIG(POOL("main", 10, 1, 2), POOL("young", 6, 3)));
    taking(crew);
    expect(told.outcome).toEqual({ ok: false, reason: "cannot listen on 127.0.0.1:3: something listens there already" });
    expect([...crew.ports]).toEqual([[1, 2], [2, 0]]);
    crew.taken.clear();
    crew.children[1]!.takes = false;
    const again = reloading(crew, CONFIG(POOL("main", 10, 1, 2)));
    taking(crew);
    expect(again.outcome).toEqual({ ok: false, reason: "workers that run cannot be given other ports on this system; restart tandem for that" });
    expect([...crew.ports]).toEqual([[1, 2], [2, 0]]);
    expect(crew.children[0]!.took("forget").map(({ gone }) => gone)).toEqual([[], [2, 3]]);
    expect(crew.children.flatMap((child) => child.took("commit"))).toEqual([]);
    // The next ones have places of their own.
    crew.children[1]!.takes = true;
    reloading(crew, CONFIG(POOL("main", 10, 1, 2)));
    taking(crew);
    expect(crew.children[0]!.took("commit")[0]!["places"]).toEqual([[0, 0], [1, 0], [4, 0], [5, 0]]);
  });

  test("closes ports of no pool any more, keeps those that change hands, and gives numbers of pools only once", () => {
    const crew = new Crew(2).begin();
    reloading(crew, CONFIG(POOL("other", 10, 1), POOL("young", 6, 3)));
    taking(crew);
    expect(crew.children[0]!.took("commit")[0]).toEqual({ t: "commit", ask: 2, pools: [1, 2], places: [[0, 1], [1, 1], [2, 2], [3, 2]], gone: [] });
    for (const child of crew.children) child.says({ t: "met", pools: [1, 2] });
    reloading(crew, CONFIG(POOL("main", 10, 3)));
    taking(crew);
    expect([...crew.ports]).toEqual([[1, 0], [3, 2]]);
    expect(crew.children[1]!.took("commit")[1]).toEqual({ t: "commit", ask: 4, pools: [3], places: [[2, 3], [3, 3]], gone: [0, 1] });
    // What comes too late of a pool that is gone is nobody's.
    crew.children[0]!.says({ t: "load", clients: [[1, 4]] });
    crew.children[0]!.says({ t: "full", pool: 1 });
    crew.children[0]!.says({ t: "gave", pool: 2, clients: 1 });
    const refused = reloading(crew);
    expect(refused.outcome).toEqual({ ok: false, reason: "a worker is just beginning, or servers of a new pool have not answered yet; try again in a moment" });
  });

  test("raises and lowers the limit of clients in sum", () => {
    const crew = new Crew(2).begin();
    crew.children[0]!.says({ t: "load", clients: [[0, 4]] });
    const rooms = (): unknown[] => crew.children.map((child) => child.took("room").map(({ clients }) => clients));
    expect(rooms()).toEqual([[5], [5]]);
    reloading(crew, CONFIG(POOL("main", 3, 1)));
    taking(crew);
    expect(rooms()).toEqual([[5, -2], [5, -5]]);
    reloading(crew, CONFIG(POOL("main", 20, 1)));
    taking(crew);
    crew.children[0]!.says({ t: "full", pool: 0 });
    expect(rooms()).toEqual([[5, -2, 9], [5, -5]]);
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
