// A proxy that leaves out one of its safeguards is found out: the simulation can fail. scripts/sim --mutations says how.
import { describe, expect, test } from "bun:test";
import { findOut, MUTATIONS } from "./mutations.ts";

describe("a proxy", () => {
  for (const mutation of MUTATIONS) {
    test(mutation.name, () => {
      const found = findOut(mutation);
      console.log(found === null ? "not found out" : `seed ${found.seed}: ${found.violation}`);
      expect(found === null).toBe(false);
    }, 300_000);
  }
});
