// Who joins a turn leaves once at its end.
import { expect, test } from "bun:test";
import { type Flushable, Turn } from "../../src/bytes/turn.ts";

/** A turn whose end is called by hand, and members that note when they leave. */
function table() {
  const runs: (() => void)[] = [];
  const left: string[] = [];
  const turn = new Turn((run) => void runs.push(run));
  const member = (name: string, then: () => void = () => {}): Flushable => ({
    joined: false,
    flush() {
      left.push(name);
      then();
    },
  });
  const end = (): void => {
    for (const run of runs.splice(0)) run();
  };
  return { turn, member, left, end, runs };
}

test("all leave together, in the order in which they joined, once", () => {
  const { turn, member, left, end, runs } = table();
  const a = member("a"), b = member("b");
  for (const each of [b, a, b, a]) turn.join(each);
  expect([runs.length, left, a.joined]).toEqual([1, [], true]);
  end();
  expect([left, a.joined, b.joined]).toEqual([["b", "a"], false, false]);
  end();
  expect(left.length).toBe(2);
});

test("who joins while leaving leaves with the next turn", () => {
  const { turn, member, left, end } = table();
  const again: Flushable = member("again", () => void (left.length < 3 && turn.join(again)));
  const other = member("other");
  turn.join(again);
  turn.join(other);
  end();
  expect([left, again.joined]).toEqual([["again", "other"], true]);
  end();
  end();
  end();
  expect(left).toEqual(["again", "other", "again"]);
});

test("the clock is read once a turn, when it is asked, and anew in the next one", () => {
  const runs: (() => void)[] = [];
  let clock = 5, reads = 0;
  const turn = new Turn((run) => void runs.push(run), () => (reads++, clock));
  expect([turn.nowMs, reads, runs.length]).toEqual([5, 1, 1]);
  clock = 9;
  expect([turn.nowMs, reads, runs.length]).toEqual([5, 1, 1]);
  runs.shift()!();
  expect([turn.nowMs, reads, runs.length]).toEqual([9, 2, 1]);
});
