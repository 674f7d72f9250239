// Columns, durations and bars, by table.
import { expect, test } from "bun:test";
import { barText, durationText, percentText, table } from "../../src/cli/table.ts";

test("columns are as wide as their widest cell, and no line ends in blanks", () => {
  expect(table([["a", "bbb", "c"], ["dd", "e", ""]], "lrl")).toEqual(["a   bbb  c", "dd    e"]);
});

test("durations in two units at most", () => {
  const said = [-1, 0, 59.9, 60, 125, 3600, 3660 * 3, 86_400, 200_000].map(durationText);
  expect(said).toEqual(["0 s", "0 s", "59 s", "1 min 00 s", "2 min 05 s", "1 h 00 min", "3 h 03 min", "1 d 00 h", "2 d 07 h"]);
});

test("a bar is full only when all is done, and nothing to do is done", () => {
  expect([barText(0, 10, 4), barText(5, 10, 4), barText(999, 1000, 4), barText(10, 10, 4), barText(12, 10, 4), barText(0, 0, 4)])
    .toEqual(["[----]   0 %", "[##--]  50 %", "[###-]  99 %", "[####] 100 %", "[####] 100 %", "[####] 100 %"]);
});

test("percentages", () => {
  expect([percentText(1, 3), percentText(0, 0)]).toEqual(["33.3 %", "0.0 %"]);
});
