// The line of a log record, and a daemon's report.
import { describe, expect, test } from "bun:test";
import { readReport } from "../../src/cli/daemon.ts";
import { formatJson, formatLine } from "../../src/cli/log.ts";

describe("formatLine", () => {
  const at = Date.UTC(2026, 10, 22, 17, 0, 0, 123);
  test("is time, level, message and fields in order", () => {
    expect(formatLine(at, { level: "info", message: ["server is down"], properties: { server: "a:1", cause: "refused", ms: 3 } }))
      .toBe("2026-11-22T17:00:00.123Z INFO server is down server=a:1 cause=refused ms=3\n");
    expect(formatLine(at, { level: "warning", message: ["x"], properties: {} })).toBe("2026-11-22T17:00:00.123Z WARN x\n");
  });
  test("quotes what would break the line or the field", () => {
    expect(formatLine(at, { level: "error", message: ["a\nb"], properties: { k: "two words", e: "", q: 'a"b', s: "a=b", n: "a\nb" } }))
      .toBe('2026-11-22T17:00:00.123Z ERROR a\\nb k="two words" e="" q="a\\"b" s="a=b" n="a\\nb"\n');
  });
});

test("formatJson is one object a line, whatever is in it", () => {
  const at = Date.UTC(2026, 10, 22, 17, 0, 0, 123);
  const line = formatJson(at, { level: "warning", message: ["server is down"], properties: { server: "a:1", from: "up", reason: 'two "words"\n', missed: 3 } });
  expect(line).toBe('{"time":"2026-11-22T17:00:00.123Z","level":"warn","message":"server is down","server":"a:1","from":"up","reason":"two \\"words\\"\\n","missed":3}\n');
});

describe("readReport", () => {
  test("waits for the whole line", () => {
    expect(readReport("")).toBe(null);
    expect(readReport("failed 1 ab")).toBe(null);
    expect(readReport("ready\n")).toEqual({ code: 0, line: "" });
    expect(readReport(`failed 2 ${encodeURIComponent("-f a\u00e9: b")}\n`)).toEqual({ code: 2, line: "-f a\u00e9: b" });
  });
  test("does not take anything else for a word", () => {
    expect(readReport("hello\n")).toBe(null);
    expect(readReport("already\n")).toBe(null);
  });
});
