// What a state file says, whole and hurt.
import { describe, expect, test } from "bun:test";
import { END, header, keyRecord, lacksRecord, parseState, recordLine, wholeRecord } from "../../../src/replication/missed/state_record.ts";

const ID = "010badca", PRINT = "0123456789abcdef";

function file(records: readonly string[], fingerprint = PRINT): string {
  return [header(fingerprint, ID), ...records].map((record, index) => recordLine(ID, index, record)).join("");
}

/** "P lacks a b of B (why)", one for each. */
function say(text: string): string {
  const { lacks, problem, torn } = parseState(text, ID, PRINT);
  const all = lacks.map((each) => `${each.about} lacks ${each.hints.map(({ key }) => key).join(" ")} of ${each.keeper}${each.ended ? ", ended" : ""}${each.problem === null ? "" : ` (${each.problem})`}`);
  return [...all, ...(problem === null ? [] : [problem]), ...(torn ? ["torn"] : [])].join("; ");
}

const KEYS = [lacksRecord(0, 5, "keys", "B", "P"), keyRecord(0, 6, "a"), keyRecord(0, 7, "b\xe9")];

describe("a state file", () => {
  test("says what is lacking, and keeps every byte of a key", () => expect(say(file(KEYS))).toBe("P lacks a b\xe9 of B"));
  test("of a proxy that ended in order says so", () => {
    expect(say(file([...KEYS, END]))).toBe("P lacks a b\xe9 of B, ended");
    expect(say(file([END, ...KEYS]))).toBe("P lacks a b\xe9 of B");
  });
  test("forgets what was made up for, and keys of it that come late", () => {
    expect(say(file([...KEYS, wholeRecord(0), keyRecord(0, 9, "late")]))).toBe("");
    expect(say(file([...KEYS, wholeRecord(0), lacksRecord(1, 9, "keys", "P", "B"), keyRecord(1, 10, "c")]))).toBe("B lacks c of P");
  });
  test("that was cut anywhere says what is whole of it, and that it is torn", () => {
    const text = file(KEYS), [first, second] = [file([]).length, file(KEYS.slice(0, 1)).length];
    for (let at = 0; at < text.length; at++) {
      const said = say(text.slice(0, at));
      expect(said.endsWith("torn") || at === first || at === second || text[at - 1] === "\n").toBe(true);
      if (at >= second) expect(said.startsWith("P lacks")).toBe(true);
    }
  });
  test("of which any byte but its last is another one is not trusted", () => {
    const text = file([...KEYS, END]);
    for (let at = 0; at < text.length; at++) {
      const said = say(`${text.slice(0, at)}${text[at] === "0" ? "1" : "0"}${text.slice(at + 1)}`);
      expect(said.includes("damaged") || said.includes("torn")).toBe(true);
      expect(said).not.toContain("ended");
    }
  });
  test("of other settings names who lacks something, and no keys", () => {
    expect(say(file(KEYS, "fedcba9876543210"))).toBe("P lacks  of B (the state file was written under other settings)");
  });
  test("of another proxy, or of nothing that is one, is damaged", () => {
    expect(say(file(KEYS).replaceAll(ID, "010badcb"))).toBe("is damaged; torn");
    expect(say("hello\nworld\n")).toBe("is damaged; torn");
    expect(say("")).toBe("is empty; torn");
  });
});
