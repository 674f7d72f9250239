// tandem status: asks a running proxy how it and its servers are, once or every second.
import { askStats } from "./ask.ts";
import { type Context, EXIT_UNREACHABLE, fail, failUsage } from "./context.ts";
import type { CommandLine } from "./parse.ts";
import { type Place, readPlace } from "./place.ts";
import { allUp, QUESTIONS, readReport, type Report, statusLines } from "./status_report.ts";

const ANSWER_MS = 3000;
const WATCH_MS = 1000;
/** Some server is not up. */
const EXIT_NOT_UP = 1;
/** A screen of our own without a cursor, and back; and its first place, with nothing below. */
const SCREEN = "\x1b[?1049h\x1b[?25l", SCREEN_END = "\x1b[?25h\x1b[?1049l", HOME = "\x1b[H\x1b[J";

/** What one look found. */
type Look = { readonly report: Report } | { readonly problem: string };

export function status(context: Context, line: CommandLine): void {
  const place = readPlace("status", line.words);
  if (!place.ok) return failUsage(context, place.problem);
  const json = line.flags.has("json");
  if (line.flags.has("watch")) return watch(context, place.value, json);
  look(context, place.value, (found) => {
    if ("problem" in found) return fail(context, EXIT_UNREACHABLE, found.problem);
    context.platform.host.stdout(textOf(found, json));
    context.platform.host.exit(exitCode(found));
  });
}

/** Until a signal ends it, with the exit code of the last look. */
function watch(context: Context, place: Place, json: boolean): void {
  const { host, clock } = context.platform;
  const screen = host.isTerminal("stdout");
  let last: Look = { problem: `${place.label}: not asked yet` };
  const again = (): void => look(context, place, (found) => {
    last = found;
    host.stdout(screen ? `${HOME}${textOf(found, json)}` : textOf(found, json));
    clock.timer(WATCH_MS, again);
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    host.onSignal(signal, () => {
      if (screen) host.stdout(`${SCREEN_END}${textOf(last, json)}`);
      host.exit(exitCode(last));
    });
  }
  if (screen) host.stdout(SCREEN);
  again();
}

function look(context: Context, { address, label }: Place, done: (found: Look) => void): void {
  askStats(context.platform, address, QUESTIONS, ANSWER_MS, (asked) => {
    if (!asked.ok) return done({ problem: `${label}: ${asked.reason}` });
    const report = readReport(label, asked.answers);
    done(report === null ? { problem: `${label}: answers, but is no tandem` } : { report });
  });
}

function textOf(found: Look, json: boolean): string {
  if (json) return `${JSON.stringify("report" in found ? found.report : found, null, 2)}\n`;
  return "report" in found ? `${statusLines(found.report).join("\n")}\n` : `${found.problem}\n`;
}

function exitCode(found: Look): number {
  return "problem" in found ? EXIT_UNREACHABLE : allUp(found.report) ? 0 : EXIT_NOT_UP;
}
