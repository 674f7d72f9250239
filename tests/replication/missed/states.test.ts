// When the files of earlier proxies go: once nobody can want them, which is at once where what they say is made up for.
import { expect, test } from "bun:test";
import { header, keyRecord, lacksRecord, recordLine } from "../../../src/replication/missed/state_record.ts";
import { States } from "../../../src/replication/missed/states.ts";

const FINGERPRINT = "0123456789abcdef", EARLIER = "010badca", PATH = `/state/main-${EARLIER}.state`;
const FILE = [header(FINGERPRINT, EARLIER), lacksRecord(0, 5, "keys", "B", "P"), keyRecord(0, 6, "k")]
  .map((record, index) => recordLine(EARLIER, index, record)).join("");

/** A directory with the file of an earlier proxy. */
function found(text: string) {
  const disk = new Map([[PATH, text]]);
  const world = { over: false, madeUp: false };
  const nothing = (): void => {};
  const around = {
    proxyId: "01000001", pairs: [], fingerprint: FINGERPRINT, requestTimeoutMs: 300, nowMs: 0,
    log: { verbosity: 0, info: nothing, warn: nothing, error: nothing, debug: nothing },
    files: {
      list: () => ({ ok: true as const, names: [...disk.keys()].map((path) => path.slice("/state/".length)) }),
      read: (path: string) => (disk.has(path) ? { ok: true as const, text: disk.get(path)! } : { ok: false as const, reason: "not there" }),
      create: nothing, append: nothing, rename: nothing,
      remove: (path: string, done: (reason: string | null) => void) => (disk.delete(path), done(null)),
    },
    lacking: () => null, stamp: () => 7, soon: nothing, damaged: nothing,
    isOver: () => world.over, madeUp: () => world.madeUp,
  };
  const states = new States(around, "/state", "main");
  return { states, world, there: (nowMs: number): boolean => (states.tick(nowMs), disk.has(PATH)) };
}

test("it is read, and goes as soon as what it says is made up for and its proxy is gone", () => {
  const { states, world, there } = found(FILE);
  expect(states.filed().map(({ about, hints }) => [about, hints.map(({ key }) => key)])).toEqual([["P", ["k"]]]);
  expect(there(200)).toBe(true);
  world.madeUp = true;
  expect(there(400)).toBe(true);
  world.over = true;
  expect([there(600), states.filed()]).toEqual([false, []]);
});

test("what its proxy left and nobody can make up for stays for twelve seconds, in which whoever lives says so", () => {
  const { world, there } = found(FILE);
  world.over = true;
  expect([there(11_900), there(12_100)]).toEqual([true, false]);
});

test("one that is damaged says nothing that could be made up for", () => {
  const { world, there } = found(FILE.replace(" lacks ", " lacked "));
  world.over = world.madeUp = true;
  expect([there(11_900), there(12_100)]).toEqual([true, false]);
});
