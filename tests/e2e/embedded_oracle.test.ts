// The embedded server beside Debian's memcached: the same bytes over real sockets must be answered alike, CAS numbers
// included. Only what a passing second changes may differ by a little. Truth is always the live server.
import { beforeAll, describe, expect, test } from "bun:test";
import { Turn } from "../../src/bytes/turn.ts";
import { MemoryServer } from "../../src/embedded/server.ts";
import { createBunPlatform } from "../../src/platform/bun.ts";
import type { Listener } from "../../src/platform/platform.ts";
import { conversation, inOnePacket } from "../embedded/dialect.ts";
import { comparable, expand } from "../embedded/harness.ts";
import { META_SESSIONS } from "../embedded/meta_transcripts.ts";
import { CLASSIC_SESSIONS, RECORDED_FROM, type Step } from "../embedded/transcripts.ts";
import { Client, NoReply, textOf } from "../support/client.ts";
import { findProgram, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { dice, shrink } from "../support/sessions.ts";
import { converse, expand as expandStep, prefixOf, randomCuts, whole } from "../support/transcript.ts";
import { TRANSCRIPTS } from "../support/transcripts.ts";

const SEED = Number(process.env["SEED"] ?? 20_260_101);
const SESSIONS = Number(process.env["SESSIONS"] ?? 400);
const ANSWER_MS = 8000;
/** Two servers' seconds tick at different moments, and a session takes a while. */
const SECONDS_APART = 3;

/** Without its background, which at times holds an item, memcached too counts in place whenever the digits fit. */
const NO_BACKGROUND = ["-o", "no_lru_maintainer"];

const platform = createBunPlatform();

/** A MemoryServer behind the Bun adapter. */
function serve(): Promise<{ port: number; server: MemoryServer; close(): void }> {
  const turn = new Turn((run) => platform.afterTurn(run));
  const server = new MemoryServer({ clock: platform.clock, turn });
  return new Promise((resolve, reject) => {
    platform.net.listen({ kind: "tcp", host: "127.0.0.1", port: 0 }, { backlog: 64, reusePort: false, unixMode: 0o700 }, {
      onListening: (listener: Listener) => {
        const { address } = listener;
        if (address.kind === "tcp") resolve({ port: address.port, server, close: () => listener.close() });
      },
      onAccept: () => server.accept(),
      onClose: (cause, detail) => reject(new Error(`${cause} ${detail}`)),
    });
  });
}

/** True when two answers differ in nothing but lifetimes and ages, and in those by no more than SECONDS_APART. */
function alike(one: string, other: string): boolean {
  if (one === other) return true;
  const seconds = /( t| l|exp=|la=)(-?\d+)(?=[ \r\n])/g;
  if (one.replace(seconds, "$1") !== other.replace(seconds, "$1")) return false;
  const [ones, others] = [[...one.matchAll(seconds)], [...other.matchAll(seconds)]];
  return ones.every((match, i) => Math.abs(Number(match[2]) - Number(others[i]![2])) <= SECONDS_APART);
}

/** Plays one recorded session to a fresh server; a line for each step that was not answered as recorded. */
async function play(port: number, steps: readonly Step[]): Promise<string[]> {
  const client = await Client.open(port);
  const wrong: string[] = [];
  try {
    for (const [send, answer, ended] of steps) {
      client.send(expand(send));
      const length = expand(answer).length;
      let closed = false;
      try {
        if (ended === "closed") await client.until(() => false, ANSWER_MS, "the end");
        else await client.until((got) => comparable(textOf(got)).length >= Math.min(length, answer.length), ANSWER_MS, send);
      } catch (problem) {
        if (!(problem instanceof NoReply)) throw problem;
        closed = problem.reason === "closed";
      }
      const got = comparable(textOf(client.take()));
      if (!alike(got, answer) || closed !== (ended === "closed")) {
        wrong.push(`${JSON.stringify(send)}\n  recorded ${JSON.stringify(answer)} ${ended ?? ""}\n  answered ${JSON.stringify(got)}${closed ? " closed" : ""}`);
      }
      if (closed) return wrong;
    }
    return wrong;
  } finally {
    client.close();
  }
}

const recorded = Object.values({ ...CLASSIC_SESSIONS, ...META_SESSIONS }).flat();

test("the embedded server answers the recorded sessions over real sockets", async () => {
  const wrong: string[] = [];
  for (const steps of recorded) {
    const { port, close } = await serve();
    wrong.push(...(await play(port, steps)));
    close();
  }
  expect(wrong).toEqual([]);
}, 60_000);

describe("the proxy's transcripts", () => {
  const names: [string, typeof whole][] = [["in one write", whole], ["in random pieces", randomCuts(dice(SEED))]];
  for (const [name, cut] of names) {
    test(name, async () => {
      const { port, close } = await serve();
      let prefix = 0;
      const wrong: string[] = [];
      for (const [steps, text, ended = "open"] of Object.values(TRANSCRIPTS).flat()) {
        const got = await converse(port, steps, prefixOf(prefix++), cut, { silentMs: ended === "silent" ? 300 : ANSWER_MS });
        if (got.text !== text || got.ended !== ended) {
          wrong.push(`${JSON.stringify(steps)}\n  recorded ${ended} ${JSON.stringify(text)}\n  answered ${got.ended} ${JSON.stringify(got.text)}`);
        }
      }
      close();
      expect(wrong).toEqual([]);
    }, 60_000);
  }
});

const installed = findProgram("memcached") !== null;
if (!installed) console.log("embedded oracle: memcached is not installed; compared with its recorded answers only");

if (installed) {
  describe("beside a live memcached", () => {
    let version = "";

    beforeAll(async () => {
      const real = await live();
      const client = await Client.open(real.port);
      version = (await client.ask("version\r\n")).replace("VERSION ", "");
      client.close();
      await real.stop();
      console.log(`embedded oracle: SEED=${SEED} SESSIONS=${SESSIONS}, memcached ${version}`);
    });

    /** The answers are those of one version; another one is said and not compared with. */
    function comparableVersion(): boolean {
      if (version === RECORDED_FROM) return true;
      console.log(`embedded oracle: not compared: memcached is ${version}, the embedded server answers as ${RECORDED_FROM}`);
      return false;
    }

    function live(): Promise<Spawned> {
      return spawnMemcached({ args: NO_BACKGROUND });
    }

    test("memcached answers the recorded sessions", async () => {
      if (!comparableVersion()) return;
      const wrong: string[] = [];
      for (const steps of recorded) {
        const fresh = await live();
        wrong.push(...(await play(fresh.port, steps)));
        await fresh.stop();
      }
      expect(wrong).toEqual([]);
    }, 60_000);

    test(`${SESSIONS} random sessions`, async () => {
      if (!comparableVersion()) return;
      const real = await live();
      const ours = await serve();
      const pair = { real: await Talker.open(real.port), ours: await Talker.open(ours.port) };
      const wrong: string[] = [];
      for (let index = 0; index < SESSIONS && wrong.length === 0; index++) {
        const below = dice(SEED + index);
        const all = conversation(below);
        const piped = index % 2 === 1;
        const steps = piped ? [inOnePacket(all, below).join("")] : all;
        const difference = await compare(pair, steps, prefixOf(index));
        if (difference !== null) wrong.push(`SEED=${SEED + index} ${piped ? "in one packet" : ""}\n${difference}\n${JSON.stringify(await smaller(steps))}`);
      }
      // The same commands must also have counted alike.
      const counted = await Promise.all([pair.real.counters(), pair.ours.counters()]);
      if (wrong.length === 0) expect(counted[1]).toEqual(counted[0]);
      pair.real.close();
      pair.ours.close();
      ours.close();
      await real.stop();
      expect(wrong).toEqual([]);
    }, 240_000);

    /** The fewest commands that fresh servers still answer differently. */
    function smaller(steps: readonly string[]): Promise<string[]> {
      return shrink(steps, async (fewer) => {
        const fresh = await live();
        const ours = await serve();
        const pair = { real: await Talker.open(fresh.port), ours: await Talker.open(ours.port) };
        const difference = await compare(pair, fewer, prefixOf(0));
        pair.real.close();
        pair.ours.close();
        ours.close();
        await fresh.stop();
        return difference !== null;
      });
    }
  });
}

interface Pair {
  readonly real: Talker;
  readonly ours: Talker;
}

/** Plays steps to both; null, or the first step that they answer differently. */
async function compare(pair: Pair, steps: readonly string[], prefix: string): Promise<string | null> {
  for (const step of steps) {
    const bytes = expandStep(step, prefix).replaceAll("<cas>", () => pair.real.unique);
    const truth = await pair.real.say(bytes);
    const got = await pair.ours.say(bytes);
    if (!alike(truth, got)) return `${JSON.stringify(bytes)}\n  memcached ${JSON.stringify(truth)}\n  embedded  ${JSON.stringify(got)}`;
  }
  return null;
}

/** One connection that asks and waits. */
class Talker {
  /** The last CAS number answered. */
  unique = "1";
  private asked = 0;
  private constructor(private readonly client: Client) {}

  static async open(port: number): Promise<Talker> {
    return new Talker(await Client.open(port));
  }

  /** Sends bytes and a question with an answer of its own behind them; the answers without that one. */
  async say(bytes: string): Promise<string> {
    const last = `EN O${++this.asked} k~\r\n`;
    this.client.send(`${bytes}mg ~ O${this.asked} k\r\n`);
    await this.client.until((got) => textOf(got.subarray(-last.length)) === last, ANSWER_MS, JSON.stringify(bytes));
    const answer = textOf(this.client.take()).slice(0, -last.length);
    this.unique = [...answer.matchAll(/^VALUE \S+ \d+ \d+ (\d+)\r|^(?:HD|VA \d+)[^\r]* c(\d+)\b/gm)].map((m) => m[1] ?? m[2]!).at(-1) ?? this.unique;
    return answer;
  }

  async counters(): Promise<Record<string, string>> {
    const stats = await this.say("stats\r\n");
    const names = /^(cmd_\w+|get_hits|get_misses|(delete|incr|decr|cas|touch)_\w+|store_too_large|total_items)$/;
    return Object.fromEntries([...stats.matchAll(/STAT (\S+) (\S+)\r/g)].filter((m) => names.test(m[1]!)).map((m) => [m[1]!, m[2]!]));
  }

  close(): void {
    this.client.close();
  }
}
