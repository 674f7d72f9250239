// tandem ping: a real round trip through a proxy. It answers `version` by itself, so that tells of the proxy alone; a
// get must be answered by a server behind it, so that tells of both.
import type { Platform } from "../platform/platform.ts";
import { type Context, EXIT_UNREACHABLE, failUsage } from "./context.ts";
import { Conversation, FOREIGN } from "./conversation.ts";
import type { CommandLine } from "./parse.ts";
import { type Place, readPlace } from "./place.ts";

/** Keys asked for, by chance: so many that with a few pairs each is likely asked. */
const KEYS = 16;
/** Some key could not be answered: the servers are in trouble, the proxy is not. */
export const EXIT_SERVERS = 1;

export interface Pinged {
  readonly code: number;
  readonly line: string;
}

export function ping(context: Context, line: CommandLine): void {
  const { host } = context.platform;
  const place = readPlace("ping", line.words);
  if (!place.ok) return failUsage(context, place.problem);
  sendPing(context.platform, place.value, line.flags.number("timeout"), ({ code, line }) => {
    if (code === 0) host.stdout(`${line}\n`);
    else host.stderr(`${context.called}: ${line}\n`);
    host.exit(code);
  });
}

/** done is called once, after two times timeoutMs at the latest: each of the two answers may take so long. */
export function sendPing(platform: Platform, place: Place, timeoutMs: number, done: (pinged: Pinged) => void): void {
  const { clock } = platform;
  let version: string | null = null;
  let versionMs = 0, slowestMs = 0;
  let answered = 0, refused = 0;
  let complaint = "";
  let began = clock.nowMs();
  const elapsed = (): number => clock.nowMs() - began;

  const end = (code: number, text: string): void => {
    timer.cancel();
    conversation.hangUp();
    done({ code, line: `${place.label}: ${text}` });
  };
  const late = (): void => {
    if (version === null) end(EXIT_UNREACHABLE, `does not answer within ${timeoutMs} ms`);
    else end(EXIT_SERVERS, `the proxy answers, but ${KEYS - answered - refused} of ${KEYS} keys are not answered within ${timeoutMs} ms`);
  };
  const settle = (): void => {
    if (answered + refused < KEYS) return;
    if (refused > 0) return end(EXIT_SERVERS, `the proxy answers, but ${refused} of ${KEYS} keys have no server: ${complaint}`);
    end(0, `answers in ${versionMs.toFixed(1)} ms, its servers for ${KEYS} keys in ${slowestMs.toFixed(1)} ms, version ${version}`);
  };

  let timer = clock.timer(timeoutMs, late);
  const conversation = new Conversation(platform, place.address, timeoutMs, {
    opened: () => conversation.say("version\r\n"),
    heard: (line) => {
      if (version === null) {
        const found = /^VERSION (\S+)/.exec(line);
        if (found === null) return end(EXIT_UNREACHABLE, line.startsWith("SERVER_ERROR") ? line.slice(0, 120) : FOREIGN);
        version = found[1]!;
        versionMs = elapsed();
        began = clock.nowMs();
        timer.cancel();
        timer = clock.timer(timeoutMs, late);
        // One get a key: of many keys in one get those without a server would be misses.
        const mark = platform.random.u32().toString(16);
        for (let i = 0; i < KEYS; i++) conversation.say(`get tandem-ping:${mark}:${i}\r\n`);
        return;
      }
      if (line === "END") answered++;
      else if (line.startsWith("SERVER_ERROR ")) {
        refused++;
        complaint = line.slice("SERVER_ERROR ".length, 220);
      } else return end(EXIT_UNREACHABLE, FOREIGN);
      slowestMs = elapsed();
      settle();
    },
    lost: (reason) => end(EXIT_UNREACHABLE, reason),
  });
}
