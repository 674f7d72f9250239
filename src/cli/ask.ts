// Asks a running server for some of its `stats` over a connection of its own, one question after the other.
import type { Address, Platform } from "../platform/platform.ts";
import { Conversation, FOREIGN } from "./conversation.ts";

/** The lines of an answer, or null where the server does not know the question. */
export type Stats = ReadonlyMap<string, string> | null;

export type Asked =
  | { readonly ok: true; readonly answers: readonly Stats[] }
  /** foreign: somebody is there and speaks something else. */
  | { readonly ok: false; readonly foreign: boolean; readonly reason: string };

/** done is called once: with the answer to each question ("stats", "stats proxy"), or with why there is none. */
export function askStats(
  platform: Platform, address: Address, questions: readonly string[], timeoutMs: number, done: (asked: Asked) => void,
): void {
  const answers: Stats[] = [];
  let lines = new Map<string, string>();
  const end = (asked: Asked): void => {
    timer.cancel();
    conversation.hangUp();
    done(asked);
  };
  const fail = (reason: string): void => end({ ok: false, foreign: reason === FOREIGN, reason });
  const ask = (): void => conversation.say(`${questions[answers.length]!}\r\n`);
  const timer = platform.clock.timer(timeoutMs, () => fail(`does not answer within ${timeoutMs} ms`));
  const conversation = new Conversation(platform, address, timeoutMs, {
    opened: ask,
    heard: (line) => {
      const stat = /^STAT (\S+) ?(.*)$/.exec(line);
      if (stat !== null) return void lines.set(stat[1]!, stat[2]!);
      if (line === "END") answers.push(lines);
      else if (line.startsWith("ERROR") || line.startsWith("CLIENT_ERROR")) answers.push(null);
      else return fail(line.startsWith("SERVER_ERROR") ? `answers: ${line.slice(0, 80)}` : FOREIGN);
      lines = new Map();
      if (answers.length < questions.length) ask();
      else end({ ok: true, answers });
    },
    lost: fail,
  });
}
