// When what is lacking is on the disk, and what waits for it. The disk is the test: it does a step when it is told to.
import { describe, expect, test } from "bun:test";
import type { Server } from "../../../src/backend/server.ts";
import { BACKUP, Pair, PRIMARY, type Side } from "../../../src/replication/pair.ts";
import { StateFile } from "../../../src/replication/missed/state_file.ts";
import { parseState } from "../../../src/replication/missed/state_record.ts";

const ID = "010badca", PATH = "/state/main-010badca.state";

class Desk {
  readonly disk = new Map<string, string>();
  readonly steps: { name: string; run: () => string | null; done: (reason: string | null) => void }[] = [];
  readonly said: string[] = [];
  readonly server = (label: string): Server => ({ label, state: "up", cold: false }) as unknown as Server;
  readonly pair = new Pair(this.server("P"), this.server("B"));
  nowMs = 0;
  fingerprint = "0123456789abcdef";
  private last = 0;
  private turn: (() => void)[] = [];
  private readonly log = (message: string): void => void this.said.push(message);
  readonly file = new StateFile(
    Object.assign(this, {
      proxyId: ID, pairs: [this.pair], requestTimeoutMs: 300,
      log: { verbosity: 0, info: this.log, warn: this.log, error: this.log, debug: this.log },
      files: {
        list: () => ({ ok: true as const, names: [] }),
        read: () => ({ ok: false as const, reason: "" }),
        create: (path: string, text: string, done: (reason: string | null) => void) => this.step("create", done, () => this.put(path, text)),
        append: (path: string, text: string, done: (reason: string | null) => void) =>
          this.step("append", done, () => (this.disk.has(path) ? this.put(path, this.disk.get(path)! + text) : "no such file")),
        rename: (from: string, to: string, done: (reason: string | null) => void) => this.step("rename", done, () => {
          this.put(to, this.disk.get(from)!);
          this.disk.delete(from);
          return null;
        }),
        remove: (path: string, done: (reason: string | null) => void) => this.step("remove", done, () => (this.disk.delete(path), null)),
      },
      lacking: (pair: Pair, side: Side) => (pair.overflow[side] ? "compare" as const : pair.lacking[side] > 0 ? "keys" as const : null),
      stamp: () => ++this.last,
      soon: (run: () => void) => void this.turn.push(run),
    }),
    PATH,
  );

  constructor() {
    this.pair.onMissed = (pair, key, side) => this.file.missed(pair, key, side);
  }
  private put(path: string, text: string): null {
    this.disk.set(path, text);
    return null;
  }
  private step(name: string, done: (reason: string | null) => void, run: () => string | null): void {
    this.steps.push({ name, run, done });
  }
  /** The turn ends; then the disk does its steps, up to so many. Their names. */
  works(most = Infinity): string {
    const names: string[] = [];
    this.endTurn();
    for (let step = this.steps.shift(); step !== undefined; step = names.length < most ? this.steps.shift() : undefined) {
      names.push(step.name);
      step.done(step.run());
      this.endTurn();
    }
    return names.join(" ");
  }
  endTurn(): void {
    for (const run of this.turn.splice(0)) run();
  }
  pass(ms: number): void {
    this.nowMs += ms;
    this.file.tick(this.nowMs);
  }
  get kept(): string {
    const text = this.disk.get(PATH);
    return text === undefined ? "none" : parseState(text, ID, this.fingerprint).lacks.map((each) => `${each.about}: ${each.hints.map(({ key }) => key).join(" ")}`).join("; ");
  }
}

describe("a state file", () => {
  test("is there before the first answer, and later keys of one turn are one step of the disk", () => {
    const d = new Desk();
    let told = 0;
    d.pair.mark("a", PRIMARY);
    d.file.whenKept(() => told++);
    expect([d.works(1), told, d.kept]).toEqual(["create", 0, "none"]);
    expect([d.works(1), told, d.kept]).toEqual(["rename", 1, "P: a"]);
    d.pair.mark("b", PRIMARY);
    d.pair.mark("c", PRIMARY);
    d.pair.mark("a", PRIMARY); // known already
    d.file.whenKept(() => told++);
    expect([told, d.works(), told, d.kept]).toEqual([1, "append", 2, "P: a b c"]);
    d.file.whenKept(() => told++);
    expect(told).toBe(3);
  });

  test("goes when nothing is lacking, and comes again", () => {
    const d = new Desk();
    d.pair.mark("a", BACKUP);
    d.works();
    d.pair.clear("a");
    d.pass(100);
    expect([d.works(), d.kept, d.file.settled]).toEqual(["remove", "none", true]);
    d.pair.mark("b", BACKUP);
    expect([d.works(), d.kept]).toEqual(["create rename", "B: b"]);
  });

  test("of a proxy that ends in order says so at its end", () => {
    const d = new Desk();
    d.pair.mark("a", PRIMARY);
    let told = false;
    d.file.end(() => void (told = true));
    d.works();
    expect([told, parseState(d.disk.get(PATH)!, ID, d.fingerprint).lacks[0]!.ended]).toEqual([true, true]);
  });

  test("is written anew, a slice at a time, when most of it was made up for; what comes meanwhile waits for one step only", () => {
    const d = new Desk();
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 3000; i++) d.pair.mark(`k${i}`, PRIMARY);
      d.works(2);
      for (let i = 100; i < 3000; i++) d.pair.clear(`k${i}`);
    }
    for (let i = 100; i < 1500; i++) d.pair.mark(`k${i}`, PRIMARY);
    d.works(2);
    let told = false;
    d.pair.mark("late", PRIMARY);
    d.file.whenKept(() => void (told = true));
    const names = d.works();
    expect(names).toMatch(/create( append)+ rename/);
    expect(told).toBe(true);
    expect(d.disk.get(PATH)!.split("\n").length).toBeLessThan(3000);
    expect(new Set(d.kept.split(" ")).size).toBe(1 + d.pair.stale.size);
    expect([...d.disk.keys()]).toEqual([PATH]);
  });

  test("that the disk does not take in time holds nobody up longer than a deadline, and is written again once it has", () => {
    const d = new Desk();
    let told = 0;
    d.pair.mark("a", PRIMARY);
    d.file.whenKept(() => told++);
    d.endTurn();
    d.pass(299);
    expect(told).toBe(0);
    d.pass(1);
    expect([told, d.said.length]).toEqual([1, 1]);
    d.pair.mark("b", PRIMARY);
    d.file.whenKept(() => told++);
    expect(told).toBe(2);
    d.pass(100);
    d.works();
    expect(d.file.settled).toBe(false);
    d.pass(100);
    d.works();
    expect([d.kept, d.file.settled]).toEqual(["P: a b", true]);
  });

  test("that was taken away is made again with all that is lacking", () => {
    const d = new Desk();
    d.pair.mark("a", PRIMARY);
    d.works();
    d.disk.clear();
    d.pair.mark("b", PRIMARY);
    d.works();
    expect(d.file.settled).toBe(false);
    d.pass(1000);
    d.works();
    expect([d.kept, d.file.settled]).toEqual(["P: a b", true]);
  });

  test("is written anew when the settings are others", () => {
    const d = new Desk();
    d.pair.mark("a", PRIMARY);
    d.works();
    d.fingerprint = "fedcba9876543210";
    d.pass(100);
    expect([d.works(), d.kept]).toEqual(["create rename", "P: a"]);
  });
});
