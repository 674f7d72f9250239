// Recorded conversations with a live memcached, through the proxy: the same answers, however the bytes are cut.
import { describe, expect, test } from "bun:test";
import { bytesOf } from "../support/fake_platform.ts";
import { comparable, expand, Uniques } from "../support/transcript.ts";
import { TRANSCRIPTS, type Transcript } from "../support/transcripts.ts";
import { Table } from "../replication/table.ts";
import { MemoryBackend } from "./memory_backend.ts";

/** Sessions longer than this are cut in five places only, bytes. */
const SHORT_MAX = 300;
/**
 * The others at each so manyth, beginning at another one in each session: all places are cut in the tests of the reader
 * (protocol/request.test.ts), and a proxy of its own for each of 20,000 took half a minute.
 */
const STRIDE = "Deno" in globalThis ? 11 : 3, STRIDE_WITH_BACKUP = 7;
const PREFIX = "x00000";
/** A session in which memcached waits for the rest of a value is answered by tandem before that; its statistics are its own. */
const same = ([steps, , ended]: Transcript): boolean => ended !== "silent" && !steps.some((step) => /\bstats\b/.test(step));

type Cut = (text: string) => string[];

function play([steps]: Transcript, cut: Cut, backups: number): { text: string; ended: boolean } {
  const t = new Table({
    primaries: 2, backups, itemBytesMax: 1024 * 1024,
    before: (table) => {
      [...table.primaries, ...table.backups].forEach(({ label }, i) => new MemoryBackend(table.platform, label, i + 1));
    },
  });
  const uniques = new Uniques();
  let text = "";
  for (const step of steps) {
    t.client.sends(...cut(uniques.fill(expand(step, PREFIX))));
    text += comparable(bytesOf(t.client.socket.take()), PREFIX, uniques);
  }
  return { text, ended: t.client.socket.finished || t.client.socket.aborted };
}

const whole: Cut = (text) => [text];

for (const backups of [0, 1]) {
  describe(backups === 0 ? "without backups" : "with a backup", () => {
    for (const [name, transcripts] of Object.entries(TRANSCRIPTS)) {
      const mine = transcripts.filter(same);
      test(`${name}: as recorded`, () => {
        for (const transcript of mine) {
          const [steps, answer, ended] = transcript;
          expect([steps, play(transcript, whole, backups)]).toEqual([steps, { text: answer, ended: ended === "closed" }]);
        }
      });

      test(`${name}: in any two pieces, and byte by byte`, () => {
        for (const [number, transcript] of mine.entries()) {
          const [steps, answer, ended] = transcript;
          const wanted = { text: answer, ended: ended === "closed" };
          const length = Math.max(...steps.map((step) => expand(step, PREFIX).length));
          const stride = length > SHORT_MAX ? Math.ceil(length / 5) : backups === 0 ? STRIDE : STRIDE_WITH_BACKUP;
          for (let at = 1 + (number % stride); at < length; at += stride) {
            const got = play(transcript, (text) => [text.slice(0, at), text.slice(at)], backups);
            expect([at, steps, got]).toEqual([at, steps, wanted]);
          }
          if (length <= 20_000) expect([steps, play(transcript, (text) => [...text], backups)]).toEqual([steps, wanted]);
        }
      }, 60_000);
    }
  });
}
