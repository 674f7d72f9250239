// How the limit of clients is kept in sum: whatever workers ask, give and lose, their shares never exceed it.
import { describe, expect, test } from "bun:test";
import { Shares } from "../../src/workers/shares.ts";

/** Workers that hold what they were given and answer what they are asked, in any order. */
class Crew {
  readonly room: number[];
  readonly held: number[];
  readonly alive: boolean[];
  refused = 0;
  private readonly waiting = new Set<number>();

  constructor(readonly shares: Shares, public max: number, workers: number) {
    this.room = new Array<number>(workers).fill(0);
    this.held = new Array<number>(workers).fill(0);
    this.alive = new Array<boolean>(workers).fill(false);
  }

  begin(worker: number): void {
    this.alive[worker] = true;
    this.room[worker] = this.shares.begin(worker);
  }

  end(worker: number): void {
    this.alive[worker] = false;
    this.room[worker] = this.held[worker] = 0;
    this.waiting.delete(worker);
    this.shares.end(worker);
    this.settle();
  }

  resize(max: number): void {
    this.max = max;
    this.shares.resize(max, (worker, clients) => void (this.room[worker]! += clients));
    this.settle();
  }

  connect(worker: number): void {
    if (this.held[worker]! < this.room[worker]!) return this.shares.counted(worker, ++this.held[worker]!);
    this.waiting.add(worker);
    this.shares.full(worker);
    this.settle();
  }

  leave(worker: number): void {
    if (this.held[worker]! === 0) return;
    this.held[worker]!--;
    this.shares.counted(worker, this.held[worker]!);
  }

  private settle(): void {
    const demands = this.shares.settle((worker, clients) => {
      this.room[worker]! += clients;
      if (!this.waiting.delete(worker)) return;
      if (this.held[worker]! < this.room[worker]!) return this.shares.counted(worker, ++this.held[worker]!);
      if (clients === 0) return void this.refused++;
      this.waiting.add(worker);
      this.shares.full(worker);
    });
    for (const { worker, clients } of demands) {
      const given = Math.max(0, Math.min(clients, this.room[worker]! - this.held[worker]!));
      this.room[worker]! -= given;
      this.shares.gave(worker, given);
      this.settle();
    }
  }

  get total(): number {
    return this.held.reduce((sum, each) => sum + each, 0);
  }
}

function crew(max: number, workers: number, most = Infinity): Crew {
  const made = new Crew(new Shares(max, workers, most), max, workers);
  for (let worker = 0; worker < workers; worker++) made.begin(worker);
  return made;
}

describe("shares of the limit of clients", () => {
  test("one worker may have all of it when the others need none, and not one more", () => {
    const all = crew(10, 3);
    for (let i = 0; i < 13; i++) all.connect(1);
    expect(all.held[1]).toBe(10);
    expect(all.refused).toBe(3);
  });

  test("what clients leave behind can be had by another worker", () => {
    const all = crew(4, 2);
    for (let i = 0; i < 5; i++) all.connect(0);
    expect([all.held[0], all.refused]).toEqual([4, 1]);
    all.leave(0);
    all.connect(1);
    expect([all.total, all.refused]).toEqual([4, 1]);
  });

  test("fewer places than workers still serve", () => {
    const all = crew(1, 4);
    all.connect(3);
    all.connect(2);
    expect([all.held[3], all.refused]).toEqual([1, 1]);
  });

  test("no worker gets more than one process can hold", () => {
    const all = crew(10, 2, 6);
    for (let i = 0; i < 8; i++) all.connect(0);
    expect([all.held[0], all.refused]).toEqual([6, 2]);
    for (let i = 0; i < 4; i++) all.connect(1);
    expect(all.total).toBe(10);
  });

  test("with another limit more may come at once, or to each worker nobody before it has fewer than its part", () => {
    const all = crew(10, 2);
    for (let i = 0; i < 10; i++) all.connect(i % 2);
    all.resize(12);
    for (let i = 0; i < 3; i++) all.connect(0);
    expect([all.total, all.refused]).toEqual([12, 1]);
    all.resize(4);
    expect(all.room).toEqual([3, 1]);
    for (let left = all.held[0]!; left > 3; left--) {
      all.connect(0);
      all.connect(1);
      all.leave(0);
    }
    expect([all.refused, ...all.held]).toEqual([9, 3, 5]);
    all.leave(0);
    all.connect(0);
    expect([all.refused, ...all.held]).toEqual([9, 3, 5]);
    for (let i = 0; i < 5; i++) all.leave(1);
    all.connect(0);
    expect([all.refused, ...all.held, ...all.room]).toEqual([9, 4, 0, 4, 0]);
  });

  test("a dead worker's share is the others', and the sum holds through any course of events", () => {
    let dice = 7;
    const below = (n: number): number => ((dice = (Math.imul(dice, 1664525) + 1013904223) >>> 0) >>> 8) % n;
    for (let round = 0; round < 50; round++) {
      const workers = 2 + below(4);
      const all = crew(1 + below(40), workers);
      for (let step = 0; step < 400; step++) {
        const worker = below(workers);
        const dead = all.alive.indexOf(false);
        if (below(80) === 0) all.resize(1 + below(40));
        const { max } = all;
        if (below(40) === 0 && dead === -1) all.end(worker);
        else if (dead !== -1 && below(5) === 0) all.begin(dead);
        else if (below(3) > 0 && all.alive[worker]) {
          const before = all.total, refused = all.refused;
          all.connect(worker);
          // Refused only when all is full.
          if (all.refused > refused) expect(before).toBeGreaterThanOrEqual(max);
          if (all.total > before) expect(all.held[worker]!).toBeLessThanOrEqual(all.room[worker]!);
        } else all.leave(worker);
        expect(all.room.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(max);
      }
    }
  });
});
