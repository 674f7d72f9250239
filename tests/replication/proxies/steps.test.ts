// How far others are with a change of rings, as their notices tell.
import { expect, test } from "bun:test";
import { noticeText, parseNotice } from "../../../src/replication/proxies/notice.ts";
import { type Steps, stepsTaken } from "../../../src/replication/proxies/steps.ts";
import { notice } from "../company.ts";

const OLD = "0123456789abcdef", NEW = "fedcba9876543210", OTHERS = "00000000ffffffff", MORE = "1111111122222222";
const steps = (from: string, to = from, taken = 0): Steps => ({ from, to, taken });

test("who shares our rings is waited for, and nobody else", () => {
  const ours = steps(OLD, NEW, 2);
  const cases: [what: string, theirs: Steps, taken: number | null][] = [
    ["was not told", steps(OLD), -1],
    ["makes the same change", steps(OLD, NEW, 1), 1],
    ["has made it, or began with it", steps(NEW), Infinity],
    ["comes there from elsewhere: its steps are others", steps(MORE, NEW, 5), -1],
    ["goes elsewhere", steps(OLD, MORE, 5), -1],
    ["has other rings over the same servers", steps(OTHERS), null],
    ["changes those", steps(OTHERS, MORE, 1), null],
  ];
  for (const [what, theirs, taken] of cases) expect([what, stepsTaken(theirs, ours)]).toEqual([what, taken]);
});

test("notices tell of rings, and those of an older tandem do not", () => {
  for (const rings of [steps(OLD), steps(OLD, NEW, 4)]) {
    for (const more of [{}, { complaints: [{ name: "a:1", why: "down" as const, chunks: 3 }] }, { ended: true }]) {
      const whole = notice(7, { rings, ...more });
      expect(parseNotice(noticeText(whole))).toEqual(whole);
    }
  }
  expect(parseNotice("tandem 1 7 1 1 -1 live a:1=down:0")?.rings).toBe(undefined);
  expect(parseNotice(`tandem 1 7 1 1 -1 live ${OLD}>${NEW} a:1=down:0`)).toBe(null);
});
