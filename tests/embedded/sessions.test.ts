// Every recorded session, as recorded, and with its bytes cut in every place.
import { describe, expect, test } from "bun:test";
import { latin1 } from "../../src/bytes/ascii.ts";
import { comparable, expand, Table } from "./harness.ts";
import { META_SESSIONS } from "./meta_transcripts.ts";
import { CLASSIC_SESSIONS, RECORDED_FROM, type Step } from "./transcripts.ts";

/** Sessions longer than this are cut in 40 places only, and above MEGABYTE in 6, bytes. */
const EVERY_CUT_MAX = 4000;
const MEGABYTE = 1_000_000;

function bytesOf(steps: readonly Step[]): Uint8Array {
  return latin1(steps.map(([send]) => expand(send)).join(""));
}

function answerOf(steps: readonly Step[]): string {
  return steps.map(([, answer]) => answer).join("");
}

/** What a fresh server answers to bytes cut at the given places, and whether it ended the connection. */
function play(bytes: Uint8Array, cuts: readonly number[]): { text: string; closed: boolean } {
  const wire = new Table().connect();
  wire.send(bytes, cuts);
  return { text: comparable(wire.take()), closed: wire.finished };
}

describe(`as memcached ${RECORDED_FROM}`, () => {
  for (const [name, sessions] of Object.entries({ ...CLASSIC_SESSIONS, ...META_SESSIONS })) {
    test(name, () => {
      for (const steps of sessions) {
        const wire = new Table().connect();
        for (const [send, answer, ended] of steps) {
          const got = comparable(wire.ask(expand(send)));
          expect([send, got, wire.finished]).toEqual([send, answer, ended === "closed"]);
        }
      }
    });

    test(`${name}, in any pieces`, () => {
      for (const steps of sessions) {
        const bytes = bytesOf(steps);
        const whole = { text: answerOf(steps), closed: steps.at(-1)![2] === "closed" };
        const places = Array.from({ length: bytes.length - 1 }, (_, i) => i + 1);
        const stride = bytes.length > EVERY_CUT_MAX ? Math.ceil(bytes.length / (bytes.length > MEGABYTE ? 6 : 40)) : 1;
        for (let cut = 1; cut < bytes.length; cut += stride) {
          expect([cut, play(bytes, [cut])]).toEqual([cut, whole]);
        }
        const single = bytes.length > EVERY_CUT_MAX ? places.filter((at) => at % 997 < 5) : places;
        expect(play(bytes, single)).toEqual(whole);
      }
    });
  }
});
