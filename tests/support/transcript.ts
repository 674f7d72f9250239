// How the oracle talks: a step's shorthand becomes bytes, the bytes go out whole or in pieces, and the answer comes
// back as text in which only what must differ between two servers (cas uniques, key prefixes, versions) is made equal.
import { Client, NoReply, bytesOf, textOf } from "./client.ts";

/**
 * A step in shorthand, one character a byte: `$` stands for the session's own key prefix, `{x*250}` for 250 times
 * "x", `<cas>` for the last cas unique that this connection was told for the command's key.
 */
export type Step = string;

/** What one connection was answered: the text, and what became of it ("silent": alive, but no answer to the sentinel). */
export interface Answer {
  readonly text: string;
  readonly ended: "open" | "closed" | "silent";
}

/** Cuts bytes into the pieces that are written one by one. */
export type Cut = (bytes: Uint8Array) => Uint8Array[];

export const whole: Cut = (bytes) => [bytes];

export const singleBytes: Cut = (bytes) => Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1));

/** Random pieces, mostly short, from a generator of integers in [0, n). */
export function randomCuts(below: (n: number) => number): Cut {
  return (bytes) => {
    const pieces: Uint8Array[] = [];
    const longest = bytes.length > 4096 ? 65_536 : 24;
    for (let at = 0; at < bytes.length; ) {
      const length = 1 + below(longest);
      pieces.push(bytes.subarray(at, at + length));
      at += length;
    }
    return pieces;
  };
}

/** Replaces `{text*count}` and `$`. A prefix has always the same length, so that key limits fall at the same place. */
export function expand(step: Step, prefix: string): string {
  return step
    .replace(/\{([^{}*]+)\*(\d+)\}/g, (_all, text: string, count: string) => text.repeat(Number(count)))
    .replaceAll("$", () => prefix);
}

/** A key prefix of six characters for session number n (up to 36^5). */
export function prefixOf(n: number): string {
  return `x${n.toString(36).padStart(5, "0")}`;
}

// A command whose one answer shows that everything before it was answered; one is chosen that the step does not use.
const SENTINELS = [
  { command: "mn\r\n", answer: /(?:^|\n)MN\r\n$/, used: /mn/i },
  { command: "version\r\n", answer: /(?:^|\n)VERSION [^\r\n]+\r\n$/, used: /version/i },
  { command: "stats reset\r\n", answer: /(?:^|\n)RESET\r\n$/, used: /reset/i },
] as const;

export interface Manner {
  /** How long a sentinel may go unanswered before the connection counts as silent, ms. */
  readonly silentMs: number;
  /** Spaces after a number are left out, and not counted. */
  readonly unpadded?: boolean;
}

/**
 * Sends the steps one after the other over one new connection, each followed by a sentinel whose answer is waited
 * for, and returns all answers, without the sentinels', as comparable text.
 */
export async function converse(
  port: number, steps: readonly Step[], prefix: string, cut: Cut, manner: Manner,
): Promise<Answer> {
  const client = await Client.open(port);
  const uniques = new Uniques();
  let text = "";
  try {
    for (const step of steps) {
      const command = uniques.fill(expand(step, prefix));
      const sentinel = SENTINELS.find((one) => !one.used.test(command)) ?? SENTINELS[2];
      for (const piece of cut(bytesOf(command))) {
        client.send(piece);
        if (client.isClosed) break;
        await turn();
      }
      client.send(sentinel.command);
      let ended: Answer["ended"] = "open";
      try {
        await client.until((got) => sentinel.answer.test(textOf(got.subarray(-64))), manner.silentMs, "the sentinel");
      } catch (problem) {
        if (!(problem instanceof NoReply)) throw problem;
        ended = problem.reason === "closed" ? "closed" : "silent";
      }
      const answer = client.take();
      if (ended !== "open") return { text: text + comparable(answer, prefix, uniques, manner.unpadded), ended };
      const own = sentinel.answer.exec(textOf(answer.subarray(-64)))![0].replace(/^\n/, "").length;
      text += comparable(answer.subarray(0, answer.length - own), prefix, uniques, manner.unpadded);
    }
    return { text, ended: "open" };
  } finally {
    client.close();
  }
}

/**
 * Whether two answers to the steps are memcached's own. A number that got shorter keeps the length of its item, filled
 * with spaces, only while nobody else holds the item: memcached then writes into it, else it makes a new one that is as
 * long as the number. A get before it in the same write may hold it, for its answer may not have left yet (memcached
 * 1.6.38 by itself answers in both ways), or it was asked in another of its threads. So after a get spaces are not
 * looked at; all else, and a length that nobody read before, is.
 */
export function isAnswer(steps: readonly Step[], recorded: string, got: string): boolean {
  if (recorded === got) return true;
  const held = steps.some((step) => /^get [^]*\n(?:incr|decr) /m.test(step));
  return held && withoutPadding(recorded) === withoutPadding(got);
}

function withoutPadding(answers: string): string {
  return comparable(bytesOf(answers), "$", new Uniques(), true);
}

/** Lets the event loop hand what was written to the kernel before the next piece. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The cas uniques that one connection was told, key by key: between keys of different servers they may coincide. */
export class Uniques {
  readonly #names = new Map<string, Map<string, string>>();
  readonly #last = new Map<string, string>();

  /** A name that is the same for the same unique of a key, and equal on two servers that behave alike. */
  name(key: string, unique: string): string {
    this.#last.set(key, unique);
    let names = this.#names.get(key);
    if (names === undefined) this.#names.set(key, (names = new Map()));
    let name = names.get(unique);
    if (name === undefined) names.set(unique, (name = `<c${names.size + 1}>`));
    return name;
  }

  /** The command with the last unique of its key for `<cas>`, or one that nobody has. */
  fill(command: string): string {
    return command.replace(/^(\S+ (\S+) [^\r\n]*)<cas>/gm, (_all, head: string, key: string) => head + (this.#last.get(key) ?? "424242424242"));
  }
}

/**
 * Answer bytes as text with cas uniques named, the prefix written `$`, versions hidden and long runs shortened. A number
 * that shrinks by decr keeps its length and is filled with spaces, unless an answer with its old value is still on its
 * way: `unpadded` leaves such spaces out.
 */
export function comparable(answer: Uint8Array, prefix: string, uniques: Uniques, unpadded = false): string {
  const raw = textOf(answer);
  let text = "";
  for (let at = 0; at < raw.length; ) {
    const newline = raw.indexOf("\n", at);
    const end = newline === -1 ? raw.length : newline + 1;
    const line = raw.slice(at, end);
    at = end;
    const value = /^VALUE (\S+) (\d+) (\d+)(?: (\d+))?\r\n$/.exec(line);
    if (value === null) {
      text += line.startsWith("VERSION ") ? "VERSION <v>\r\n" : line;
      continue;
    }
    const [, key, flags, length, unique] = value;
    const stop = Math.min(raw.length, at + Number(length) + 2);
    const number = unpadded ? /^(\d+) +\r\n$/.exec(raw.slice(at, stop)) : null;
    const shown = number === null ? length : number[1]!.length;
    text += `VALUE ${key} ${flags} ${shown}${unique === undefined ? "" : ` ${uniques.name(key!, unique)}`}\r\n`;
    text += number === null ? raw.slice(at, stop) : `${number[1]}\r\n`;
    at = stop;
  }
  return text
    .replaceAll(prefix, "$")
    .replace(/([^\r\n])\1{63,}/g, (run, one: string) => `{${one}*${run.length}}`);
}
