// Which worker accepts from which port.
import { describe, expect, test } from "bun:test";
import { assign } from "../../src/workers/balance.ts";

describe("who accepts from what", () => {
  test("each its own port while they hold about the same", () => {
    expect(assign([0, 1, 2], [true, true, true], [30, 32, 31], [-1, -1, -1])).toEqual([0, 1, 2]);
  });

  test("a worker with too many gives its port to the one with the fewest, until it is at the average", () => {
    expect(assign([0, 1, 2], [true, true, true], [30, 40, 20], [0, 1, 2])).toEqual([0, 2, 2]);
    expect(assign([0, 1, 2], [true, true, true], [30, 32, 28], [0, 2, 2])).toEqual([0, 2, 2]);
    expect(assign([0, 1, 2], [true, true, true], [31, 30, 32], [0, 2, 2])).toEqual([0, 1, 2]);
  });

  test("a dead worker's port is another's at once, and stays there", () => {
    expect(assign([0, 1, 2], [true, false, true], [9, 0, 5], [0, -1, 2])).toEqual([0, 2, 2]);
    expect(assign([0, 1, 2], [true, false, true], [7, 0, 8], [0, 2, 2])).toEqual([0, 2, 2]);
    expect(assign([0, 1, 2], [true, true, true], [5, 0, 5], [0, 2, 2])).toEqual([0, 1, 2]);
  });

  test("nobody lives: nobody accepts", () => {
    expect(assign([0, 1], [false, false], [0, 0], [0, 1])).toEqual([-1, -1]);
  });

  test("connections that come by chance and stay are spread within the bound", () => {
    let dice = 3;
    const below = (n: number): number => ((dice = (Math.imul(dice, 1664525) + 1013904223) >>> 0) >>> 8) % n;
    for (const workers of [2, 4, 8]) {
      const homes = Array.from({ length: workers }, (_, at) => at);
      const clients = new Array<number>(workers).fill(0), alive = new Array<boolean>(workers).fill(true);
      let holders = [...homes];
      for (let i = 0; i < 5000; i++) {
        clients[holders[below(workers)]!]!++;
        if (i % 5 === 0) holders = assign(homes, alive, clients, holders);
        const average = (i + 1) / workers;
        expect(Math.max(...clients)).toBeLessThanOrEqual(average + Math.max(2, average / 16) + 5);
      }
    }
  });
});
