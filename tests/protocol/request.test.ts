// One line at a time: what it is, where its parts lie, and what memcached would answer instead of executing it. The
// answers of a live memcached to whole sessions are played in tests/frontend.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { latin1, textOf } from "../../src/bytes/ascii.ts";
import { COMMANDS, Op, VERB } from "../../src/protocol/commands.ts";
import { Found, RequestReader } from "../../src/protocol/request.ts";

/** The line as the reader understood it, in words. */
function understood(line: string, before = ""): string {
  const bytes = latin1(before + line);
  const reader = new RequestReader();
  const found = reader.read(bytes, before.length, bytes.length, 0);
  if (found !== Found.LINE) return found === Found.PARTIAL ? "partial" : "overlong";
  expect(reader.next).toBe(before.length + line.indexOf("\n") + 1);
  if (reader.error !== null) return `${reader.noreply ? "mute " : ""}${textOf(reader.error, 0, reader.error.length - 2)}`;
  const parts: string[] = [VERB[reader.op] ?? "?"];
  if (reader.op >= Op.GET && reader.op <= Op.GATS) {
    const keys: string[] = [];
    for (let at = reader.nextKey(bytes, reader.keysStart); at !== -1; at = reader.nextKey(bytes, reader.nextKeyEnd)) {
      keys.push(textOf(bytes, at, reader.nextKeyEnd));
    }
    expect(keys.length).toBe(reader.keys);
    parts.push(keys.join(","));
  } else if (reader.words > 1 && reader.op < Op.FLUSH_ALL) parts.push(textOf(bytes, reader.keyStart, reader.keyEnd));
  if (reader.valueBytes >= 0) parts.push(String(reader.valueBytes));
  if (reader.noreply) parts.push("noreply");
  if (reader.plain) parts.push("plain");
  return parts.join(" ");
}

const BAD = "CLIENT_ERROR bad command line format";
const EXPTIME = "CLIENT_ERROR invalid exptime argument";
const DELTA = "CLIENT_ERROR invalid numeric delta argument";
const DELETE = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
const K250 = "k".repeat(250), K251 = "k".repeat(251);

const TABLE: readonly (readonly [line: string, meaning: string])[] = [
  ["get k\r\n", "get k plain"],
  ["get k\n", "get k"],
  ["  get k\r\n", "get k"],
  ["get k \r\n", "get k"],
  ["get a b  a\r\n", "get a,b,a"],
  ["get a b a\r\n", "get a,b,a plain"],
  [`get ${K250}\r\n`, `get ${K250} plain`],
  [`get ${K251}\r\n`, BAD],
  [`get a ${K251} b\r\n`, BAD],
  ["get\r\n", "ERROR"],
  ["gets k\r\n", "gets k plain"],
  ["gat 10 k j\r\n", "gat k,j plain"],
  ["gat 10\r\n", "gat  plain"],
  ["gats -1 k\r\n", "gats k"],
  ["gat x k\r\n", EXPTIME],
  ["get a\0b\r\n", "get a"],
  ["set k 0 0 5\r\n", "set k 5 plain"],
  ["set k 0 0 5 noreply\r\n", "set k 5 noreply"],
  ["set k 0 0 5 other\r\n", "set k 5"],
  ["set k 0 0 5 noreply more\r\n", "ERROR"],
  ["set k 0 0\r\n", "ERROR"],
  ["set k 0 0 noreply\r\n", `mute ${BAD}`],
  ["set k -1 0 5\r\n", BAD],
  ["set k x 0 5\r\n", BAD],
  ["set k 4294967296 0 5\r\n", "set k 5 plain"],
  ["set k 18446744073709551616 0 5\r\n", BAD],
  ["set k 0 -1 5\r\n", "set k 5"],
  ["set k 0 1.5 5\r\n", BAD],
  ["set k 0 9223372036854775808 5\r\n", BAD],
  ["set k 0 0 -1\r\n", BAD],
  ["set k 0 0 +5\r\n", "set k 5"],
  ["set k 0 0 2147483645\r\n", "set k 2147483645 plain"],
  ["set k 0 0 2147483646\r\n", BAD],
  ["set k 0 0 4294967297\r\n", "set k 1"],
  [`add ${K251} 0 0 5 noreply\r\n`, `mute ${BAD}`],
  ["append k 1 2 3\r\n", "append k 3 plain"],
  ["prepend k 1 2 3\r\n", "prepend k 3 plain"],
  ["replace k 1 2 3\r\n", "replace k 3 plain"],
  ["cas k 0 0 5 77\r\n", "cas k 5 plain"],
  ["cas k 0 0 5 77 noreply\r\n", "cas k 5 noreply"],
  ["cas k 0 0 5 x\r\n", BAD],
  ["cas k 0 0 5 18446744073709551615\r\n", "cas k 5"],
  ["cas k 0 0 5 18446744073709551616\r\n", BAD],
  ["cas k 0 0 5\r\n", "ERROR"],
  ["incr k 1\r\n", "incr k plain"],
  ["incr k 18446744073709551615\r\n", "incr k"],
  ["incr k 18446744073709551616\r\n", DELTA],
  ["decr k -1\r\n", DELTA],
  ["decr k 1 noreply\r\n", "decr k noreply"],
  ["incr k\r\n", "ERROR"],
  [`incr ${K251} 1\r\n`, BAD],
  ["touch k 1\r\n", "touch k plain"],
  ["touch k -1 noreply\r\n", "touch k noreply"],
  ["touch k x\r\n", EXPTIME],
  ["delete k\r\n", "delete k plain"],
  ["delete k 0\r\n", "delete k"],
  ["delete k 0 noreply\r\n", "delete k noreply"],
  ["delete k 1\r\n", DELETE],
  ["delete k 0 x\r\n", DELETE],
  ["delete k noreply 0\r\n", DELETE],
  ["delete\r\n", "ERROR"],
  ["flush_all\r\n", "flush_all plain"],
  ["flush_all 10 noreply\r\n", "flush_all noreply"],
  ["flush_all x\r\n", EXPTIME],
  ["flush_all 1 2 3\r\n", "ERROR"],
  ["verbosity 1\r\n", "verbosity plain"],
  ["verbosity 1 2 3\r\n", "ERROR"],
  ["verbosity x\r\n", BAD],
  ["version\r\n", "version plain"],
  ["stats settings\r\n", "stats plain"],
  ["quit\r\n", "quit plain"],
  ["mn\r\n", "mn plain"],
  ["\r\n", "ERROR"],
  ["\n", "ERROR"],
  [" \r\n", "ERROR"],
  ["GET k\r\n", "ERROR"],
  ["gett k\r\n", "ERROR"],
  ["ge k\r\n", "ERROR"],
  ["\xff\xfe\r\n", "ERROR"],
  ["ms k 1\r\n", "ERROR"],
];

test("every line means what the table says, wherever it lies", () => {
  for (const [line, meaning] of TABLE) {
    expect([line, understood(line)]).toEqual([line, meaning]);
    expect([line, understood(line, "get before\r\n")]).toEqual([line, meaning]);
  }
});

test("the table has every command", () => {
  const seen = new Set(TABLE.map(([line]) => line.trim().split(" ")[0]!));
  expect(COMMANDS.filter(({ name }) => !seen.has(name)).map(({ name }) => name)).toEqual([]);
});

describe("lines that have not come whole", () => {
  test("every prefix is partial, and looking again from where it ended gives the same", () => {
    for (const [line, meaning] of TABLE) {
      const bytes = latin1(line);
      const lf = line.indexOf("\n");
      for (let end = 0; end <= lf; end++) {
        const reader = new RequestReader();
        expect(reader.read(bytes, 0, end, 0)).toBe(Found.PARTIAL);
        expect(reader.read(bytes, 0, bytes.length, end)).toBe(Found.LINE);
        if (meaning !== "ERROR") expect(reader.op).not.toBe(Op.UNKNOWN);
      }
    }
  });

  test("above 2 KiB only a get may go on", () => {
    const long = "x".repeat(2050);
    expect([`get ${long}`, `gets ${long}`, `  get ${long}`, `gat 0 ${long}`, `gats 0 ${long}`].map((line) => understood(line)))
      .toEqual(Array<string>(5).fill("partial"));
    expect([`set ${long}`, long, `${" ".repeat(2050)}`, `${" ".repeat(101)}get ${long}`].map((line) => understood(line)))
      .toEqual(Array<string>(4).fill("overlong"));
    expect(understood("x".repeat(2048))).toBe("partial");
  });

  test("a get of 64 KiB and more is read whole", () => {
    const keys = Array.from({ length: 20_000 }, (_, i) => `key${i}`);
    expect(understood(`get ${keys.join(" ")}\r\n`)).toBe(`get ${keys.join(",")} plain`);
  });
});

test("never throws, and never points outside of the line", () => {
  const word = fc.oneof(fc.constantFrom(...COMMANDS.map(({ name }) => name), "noreply", "0", "-1", "18446744073709551616", "", "\0", "k"), fc.string({ maxLength: 8 }));
  const line = fc.oneof(fc.uint8Array({ maxLength: 80 }).map((bytes) => textOf(bytes, 0, bytes.length)), fc.array(word, { maxLength: 12 }).map((words) => words.join(" ")));
  fc.assert(
    fc.property(line, fc.constantFrom("\r\n", "\n", ""), (text, ending) => {
      const bytes = latin1(text.replace(/[^\0-\xff]/g, "?") + ending);
      const reader = new RequestReader();
      if (reader.read(bytes, 0, bytes.length, 0) !== Found.LINE) return;
      expect(reader.next <= bytes.length && reader.textEnd < reader.next && reader.valueBytes >= -1).toBe(true);
      for (let i = 0; i < Math.min(reader.words, 9); i++) {
        expect(reader.at[i * 2]! < reader.at[i * 2 + 1]! && reader.at[i * 2 + 1]! <= reader.textEnd).toBe(true);
      }
      expect(reader.error === null || textOf(reader.error, 0, reader.error.length).endsWith("\r\n")).toBe(true);
    }),
    { numRuns: 3000, seed: 5 },
  );
});
