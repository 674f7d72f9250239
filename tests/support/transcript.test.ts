// When an answer that differs from the recorded one is memcached's all the same.
import { expect, test } from "bun:test";
import { isAnswer } from "./transcript.ts";

const padded = "5\r\nVALUE $k 0 20\r\n5                   \r\nEND\r\n";
const anew = "5\r\nVALUE $k 0 1\r\n5\r\nEND\r\n";

test("a number that shrinks after a get may lose its spaces, and nothing else may differ", () => {
  const steps = ["get $k\r\nincr $k 5\r\nget $k\r\n"];
  expect(isAnswer(steps, padded, padded)).toBe(true);
  expect(isAnswer(steps, padded, anew)).toBe(true);
  expect(isAnswer(steps, padded, anew.replaceAll("5", "6"))).toBe(false);
  expect(isAnswer(steps, padded, anew.replace("VALUE $k 0", "VALUE $k 1"))).toBe(false);
});

test("one that nobody read since it was stored keeps them", () => {
  expect(isAnswer(["incr $k 5\r\nget $k\r\n"], padded, anew)).toBe(false);
  expect(isAnswer(["get $k\r\n", "incr $k 5\r\nget $k\r\n"], padded, anew)).toBe(false);
  expect(isAnswer(["get $k\r\nset $k 0 0 1\r\n5\r\nget $k\r\n"], padded, anew)).toBe(false);
});
