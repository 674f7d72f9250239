// Workers that tell each other what they wrote: every key that two of them wrote side by side is looked at, by one of them
// at least, after both writes.
import { describe, expect, test } from "bun:test";
import { Crossings, type CrossingWord } from "../../../src/replication/proxies/crossings.ts";

class Worker {
  readonly doubts: string[] = [];
  readonly words: CrossingWord[] = [];
  tooMuch = 0;
  nowMs = 0;
  readonly crossings: Crossings;
  constructor(readonly proxyId: string, readonly writeMs = 400) {
    const { doubts } = this;
    this.crossings = new Crossings({
      proxyId, writeMs, nowMs: 0, doubt: (key) => void doubts.push(key), tooMuch: () => void this.tooMuch++,
    }, (word) => void this.words.push(JSON.parse(JSON.stringify(word)) as CrossingWord), 2000);
  }
  at(ms: number): this {
    this.crossings.tick((this.nowMs = ms));
    return this;
  }
}

function two(): [Worker, Worker] {
  const a = new Worker("a"), b = new Worker("b");
  a.crossings.joined(1);
  b.crossings.joined(0);
  return [a, b];
}

/** What was said arrives. */
function pass(from: Worker, to: Worker): void {
  for (const word of from.words.splice(0)) to.crossings.hears(from.proxyId === "a" ? 0 : 1, word);
}

describe("crossings", () => {
  test("a key that one worker writes is looked at by nobody, and a worker without others says nothing", () => {
    const [a, b] = two(), alone = new Worker("c");
    for (const worker of [a, alone]) worker.crossings.wrote("k");
    b.crossings.wrote("other");
    for (const worker of [a, b, alone]) worker.at(100);
    pass(a, b);
    pass(b, a);
    expect([a.doubts, b.doubts, alone.words]).toEqual([[], [], []]);
  });

  test("a write that ends after the other's word came is looked at", () => {
    const [a, b] = two();
    a.crossings.wrote("k");
    a.at(100);
    pass(a, b.at(100));
    b.crossings.wrote("k");
    expect(b.doubts).toEqual(["k"]);
  });

  test("a write that ended before the other's word comes is looked at, however late it comes", () => {
    const [a, b] = two();
    a.crossings.wrote("k");
    b.crossings.wrote("k");
    for (let ms = 100; ms < 60_000; ms += 100) b.at(ms); // and nothing of a is heard
    a.at(60_000);
    pass(a, b);
    expect(b.doubts).toEqual(["k"]);
  });

  test("what all have heard of is forgotten, and what they told is, after the time that a write may take", () => {
    const [a, b] = two();
    a.crossings.wrote("k");
    pass(a.at(100), b);
    pass(b.at(100), a); // heard, and b told what it wrote up to then: nothing
    b.crossings.wrote("late");
    for (let ms = 200; ms < 3000; ms += 100) b.at(ms);
    b.words.length = 0;
    b.crossings.wrote("k");
    expect(b.doubts).toEqual([]);
    pass(b.at(3000), a);
    expect(a.doubts).toEqual([]);
  });

  test("words end when writes do", () => {
    const [a, b] = two();
    a.crossings.wrote("k");
    let words = 0;
    for (let ms = 100; ms < 3000; ms += 100) {
      for (const worker of [a, b]) words += worker.at(ms).words.length;
      pass(a, b);
      pass(b, a);
    }
    expect(words).toBe(2);
  });

  test("a worker that is gone is waited for no longer; more than can be kept is compared as a whole", () => {
    const [a] = two();
    for (let i = 0; i < 2000; i++) a.crossings.wrote(`k${i}`);
    a.at(100);
    expect(a.tooMuch).toBe(0);
    a.crossings.wrote("one more");
    expect(a.tooMuch).toBe(1);
    const [c] = two();
    c.crossings.wrote("k");
    c.at(100);
    c.crossings.gone(1);
    c.crossings.joined(2);
    for (let i = 0; i < 2000; i++) c.crossings.wrote(`k${i}`);
    expect(c.tooMuch).toBe(0);
  });
});
