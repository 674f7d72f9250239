// What the lines of a memcached say, which of them may answer what, and where the parts of an item lie.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { latin1, textOf } from "../../src/bytes/ascii.ts";
import { Expect, mayAnswer, metaFlag, Status, statusOf, type StatusCode, ValueView } from "../../src/protocol/reply.ts";
import { parseInt64, parseUint64 } from "../../src/protocol/numbers.ts";

const NAME = Object.fromEntries(Object.entries(Status).map(([name, code]) => [code, name]));
const statusText = (line: string): string => NAME[statusOf(latin1(`xx${line}\r\n`), 2, 2 + line.length)]!;

test("statuses by their words, and nothing by half a word", () => {
  const table: readonly [string, keyof typeof Status][] = [
    ["STORED", "STORED"], ["NOT_STORED", "NOT_STORED"], ["EXISTS", "EXISTS"], ["NOT_FOUND", "NOT_FOUND"], ["DELETED", "DELETED"],
    ["TOUCHED", "TOUCHED"], ["OK", "OK"], ["END", "END"], ["ERROR", "ERROR"], ["MN", "MN"], ["RESET", "RESET"], ["EN", "EN"],
    ["HD", "HD"], ["HD c5", "HD"], ["NF", "NF"], ["NS f1", "NS"], ["EX", "EX"], ["EX c0", "EX"],
    ["CLIENT_ERROR bad", "CLIENT_ERROR"], ["SERVER_ERROR no", "SERVER_ERROR"], ["STAT pid 1", "STAT"],
    ["VALUE k 0 1", "VALUE"], ["VA 1 f0", "VA"], ["0", "NUMBER"], ["18446744073709551615", "NUMBER"], ["7  ", "NUMBER"],
    ["", "UNKNOWN"], ["STORE", "UNKNOWN"], ["STOREDX", "UNKNOWN"], ["stored", "UNKNOWN"], ["HDX", "UNKNOWN"], ["EXIST", "UNKNOWN"],
    ["ERROR Too many open connections", "UNKNOWN"], ["VALUE", "UNKNOWN"], ["V", "UNKNOWN"], ["VAX", "UNKNOWN"], ["1a", "UNKNOWN"],
    ["123456789012345678901", "UNKNOWN"], ["-1", "UNKNOWN"], ["CLIENT_ERROR", "UNKNOWN"], ["HTTP/1.1 400 Bad Request", "UNKNOWN"],
  ];
  for (const [line, name] of table) expect([line, statusText(line)]).toEqual([line, name]);
});

test("errors may answer anything, everything else only what fits", () => {
  const fits: Record<keyof typeof Expect, string> = {
    STORE: "STORED NOT_STORED EXISTS NOT_FOUND", NUMBER: "NUMBER NOT_FOUND", DELETE: "DELETED NOT_FOUND", TOUCH: "TOUCHED NOT_FOUND",
    OK: "OK", VALUES: "VALUE END", META: "VA HD EN NF NS EX", STATS: "STAT END RESET", NOOP: "MN", META_STORE: "HD NS EX NF",
  };
  for (const [name, code] of Object.entries(Expect)) {
    const allowed = Object.values(Status).filter((status) => mayAnswer(code, status)).map((status) => NAME[status]!);
    const wanted = [...fits[name as keyof typeof Expect].split(" "), "ERROR", "CLIENT_ERROR", "SERVER_ERROR"];
    expect([name, allowed.sort()]).toEqual([name, wanted.sort()]);
  }
});

/** The header line read: its parts, or null when it is malformed. */
function header(line: string): Record<string, string | number> | null {
  const bytes = latin1(`${line}\r\n`);
  const view = new ValueView();
  const status: StatusCode = line.startsWith("VA ") ? Status.VA : Status.VALUE;
  if (!view.readHeader(status, bytes, 0, line.length, line.length + 2)) return null;
  const text = (start: number, end: number): string => textOf(bytes, start, end);
  const flags = text(view.flagsStart, view.flagsEnd);
  if (status === Status.VA) return { flags, length: view.dataBytes };
  return { key: text(view.keyStart, view.keyEnd), flags, length: view.dataBytes, cas: text(view.casStart, view.casEnd), item: view.itemBytes };
}

test("item headers", () => {
  expect(header("VALUE key 7 3")).toEqual({ key: "key", flags: "7", length: 3, cas: "", item: 20 });
  expect(header("VALUE key 7 0 18446744073709551615")).toEqual({ key: "key", flags: "7", length: 0, cas: "18446744073709551615", item: 38 });
  expect(header("VA 5 f3 t-1 c9")).toEqual({ flags: " f3 t-1 c9", length: 5 });
  expect(header("VA 0")).toEqual({ flags: "", length: 0 });
  for (const wrong of [
    "VALUE key", "VALUE key 7", "VALUE key 7 ", "VALUE  7 3", "VALUE key  3", "VALUE key 7 x", "VALUE key 7 -1", "VALUE key 7 1073741825",
    "VALUE key 7 3 what", "VALUE key 7 3 ", "VALUE key 7 3 1 2", "VALUE key 7 3 123456789012345678901", "VA x", "VA ", "VA 999999999999999",
  ]) expect([wrong, header(wrong)]).toEqual([wrong, null]);
});

test("a unique that passed can always be counted with", () => {
  fc.assert(fc.property(fc.string({ unit: "binary-ascii", maxLength: 22 }), (cas) => {
    const read = header(`VALUE k 0 1 ${cas}`);
    if (read !== null) expect(BigInt(read["cas"] as string) >= 0n).toBe(true);
  }));
});

test("meta flags by letter", () => {
  const line = latin1(" f3  t-1 c99 k t5");
  const out = new Int32Array(2);
  const flag = (letter: string): string | null =>
    metaFlag(line, 0, line.length, letter.charCodeAt(0), out) ? textOf(line, out[0]!, out[1]!) : null;
  expect(["f", "t", "c", "k", "3", "x"].map(flag)).toEqual(["3", "-1", "99", "", null, null]);
});

test("numbers as strtol reads them", () => {
  const signed = (text: string): bigint | null => parseInt64(latin1(text), 0, text.length);
  const unsigned = (text: string): bigint | null => parseUint64(latin1(text), 0, text.length);
  expect(["0", "-5", "+5", "\t7", "007", "9223372036854775807", "-9223372036854775808"].map(signed))
    .toEqual([0n, -5n, 5n, 7n, 7n, 9223372036854775807n, -9223372036854775808n]);
  expect(["", "-", "x", "5x", "1.5", "0x10", "9223372036854775808", "-9223372036854775809", "--1"].map(signed)).toEqual(Array<null>(9).fill(null));
  expect(["0", "-0", "+3", "18446744073709551615"].map(unsigned)).toEqual([0n, 0n, 3n, 18446744073709551615n]);
  expect(["-1", "", "18446744073709551616", "a"].map(unsigned)).toEqual([null, null, null, null]);
  // C's strtoull wraps it to a number that does not look negative.
  expect(unsigned("-18446744073709551615")).toBe(1n);
});
