// tandem status: asks a running proxy how it and its servers are, once or every second: its admin interface, or where its
// clients connect.
import { readToken, WANTS_TOKEN } from "./admin_client.ts";
import { askStats } from "./ask.ts";
import { type Context, EXIT_UNREACHABLE, fail, failUsage } from "./context.ts";
import type { Report as LiveReport } from "../observe/report.ts";
import type { Platform } from "../platform/platform.ts";
import type { CommandLine } from "./parse.ts";
import { fetchPath } from "./fetch.ts";
import { type Place, readAddress, readPlace } from "./place.ts";
import { allTrusted, coloured, liveLines } from "./status_live.ts";
import { allUp, QUESTIONS, readReport, type Report, statusLines } from "./status_report.ts";

const ANSWER_MS = 3000;
const WATCH_MS = 1000;
/** Some server is not up. */
const EXIT_NOT_UP = 1;
/** A screen of our own without a cursor, on which long lines are cut; and back. */
const SCREEN = "\x1b[?1049h\x1b[?25l\x1b[?7l", SCREEN_END = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/** Where an admin interface is by itself. */
const ADMIN_ADDRESS = "127.0.0.1:12080";

/** What one look found: what the admin interface told, and at the look before; or what clients are told. */
type Look =
  | { readonly live: LiveReport; readonly before: LiveReport | null; readonly place: string }
  | { readonly report: Report }
  /** there: somebody answers, so that others need not be asked. */
  | { readonly problem: string; readonly there?: boolean };

/** What is asked: one place after the other until somebody answers, with the token for an admin interface, or "". */
interface Question {
  readonly places: readonly Place[];
  readonly token: string;
}

export function status(context: Context, line: CommandLine): void {
  const { platform } = context;
  const place = readPlace("status", line.words);
  if (!place.ok) return failUsage(context, place.problem);
  const admin = readAddress({ flag: "status", text: ADMIN_ADDRESS });
  if (!admin.ok) return failUsage(context, admin.problem);
  const token = readToken(platform, line.flags);
  if (!token.ok) return failUsage(context, token.problem);
  // Without an address: the admin interface of this host, or else its proxy at the usual port.
  const question = { places: line.words.length > 0 ? [place.value] : [admin.value, place.value], token: token.value };
  const json = line.flags.has("json");
  if (line.flags.has("watch")) return watch(context, question, json);
  look(platform, question, null, (found) => {
    if ("problem" in found) return fail(context, EXIT_UNREACHABLE, found.problem);
    platform.host.stdout(textOf(found, json, false));
    platform.host.exit(exitCode(found));
  });
}

/** Until a signal ends it, with the exit code of the last look. */
function watch({ platform }: Context, question: Question, json: boolean): void {
  const { host, clock } = platform;
  const screen = host.isTerminal("stdout");
  let last: Look = { problem: `${question.places.at(-1)!.label}: not asked yet` };
  const again = (): void => look(platform, question, last, (found) => {
    last = found;
    host.stdout(screen ? drawn(textOf(found, json, true)) : textOf(found, json, false));
    clock.timer(WATCH_MS, again);
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    host.onSignal(signal, () => {
      if (screen) host.stdout(`${SCREEN_END}${textOf(last, json, false)}`);
      host.exit(exitCode(last));
    });
  }
  if (screen) host.stdout(SCREEN);
  again();
}

/** The last place's problem counts. */
function look(platform: Platform, { places, token }: Question, last: Look | null, done: (found: Look) => void): void {
  const [place, ...others] = places as [Place, ...Place[]];
  const admin = (then: (found: Look | null) => void): void => lookAtAdmin(platform, place, token, last, then);
  const door = (then: (found: Look | null) => void): void => lookAtDoor(platform, place, then);
  // Where clients connect HTTP would count as mistakes of theirs, and the token be sent in vain: an address is taken for such a place first.
  const [first, second] = others.length > 0 || (last !== null && "live" in last) ? [admin, door] : [door, admin];
  const settle = (found: Look | null): void => {
    if (found === null) return done({ problem: `${place.label}: answers, but is no tandem` });
    if (!("problem" in found) || found.there === true || others.length === 0) return done(found);
    look(platform, { places: others, token }, last, (next) => done("problem" in next ? { problem: `${found.problem}; ${next.problem}` } : next));
  };
  first((found) => (found === null ? second(settle) : settle(found)));
}

/** Null: who is there does not speak HTTP. */
function lookAtAdmin(platform: Platform, { address, label }: Place, token: string, last: Look | null, done: (found: Look | null) => void): void {
  fetchPath(platform, address, "/status", token, ANSWER_MS, (fetched) => {
    if (fetched.ok) return done(readLive(label, fetched.status, fetched.body, last));
    done(fetched.foreign ? null : { problem: `${label}: ${fetched.reason}` });
  });
}

/** Asks where clients connect, in memcached's words. Null: who is there does not know them. */
function lookAtDoor(platform: Platform, { address, label }: Place, done: (found: Look | null) => void): void {
  askStats(platform, address, QUESTIONS, ANSWER_MS, (asked) => {
    if (!asked.ok) return done(asked.foreign ? null : { problem: `${label}: ${asked.reason}` });
    const report = readReport(label, asked.answers);
    done(report === null ? { problem: `${label}: answers, but is no tandem`, there: true } : { report });
  });
}

function readLive(place: string, status: number, body: string, last: Look | null): Look {
  if (status === 401) return { problem: `${place}: ${WANTS_TOKEN}`, there: true };
  if (status === 503) return { problem: `${place}: ${body.trim()}`, there: true };
  let live: unknown = null;
  try {
    live = JSON.parse(body);
  } catch {
    // Then it is somebody else.
  }
  const known = typeof live === "object" && live !== null && "format" in live && live.format === 1;
  if (status !== 200 || !known) return { problem: `${place}: answers, but is no tandem`, there: true };
  return { live: live as unknown as LiveReport, before: last !== null && "live" in last ? last.live : null, place };
}

/** Each line in its place, so that a screen which is too low keeps its upper ones: those beyond it all go to its last. */
function drawn(text: string): string {
  const lines = text.trimEnd().split("\n");
  return `${lines.map((line, index) => `\x1b[${index + 1};1H\x1b[2K${line}`).join("")}\x1b[J`;
}

function textOf(found: Look, json: boolean, colours: boolean): string {
  if (json) return `${JSON.stringify("live" in found ? found.live : "report" in found ? found.report : found, null, 2)}\n`;
  if ("problem" in found) return `${found.problem}\n`;
  const lines = "live" in found ? liveLines(found.place, found.live, found.before) : statusLines(found.report);
  return `${(colours ? coloured(lines) : lines).join("\n")}\n`;
}

function exitCode(found: Look): number {
  if ("problem" in found) return EXIT_UNREACHABLE;
  return ("live" in found ? allTrusted(found.live) : allUp(found.report)) ? 0 : EXIT_NOT_UP;
}
