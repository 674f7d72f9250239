// tandem status: asks a running proxy how it and its servers are.
import { type Address } from "../platform/platform.ts";
import { type Checked, type Given, wrong } from "../config/problem.ts";
import { parseServer } from "../config/servers.ts";
import { askStats } from "./ask.ts";
import { type Context, EXIT_UNREACHABLE, fail, failUsage } from "./context.ts";
import type { CommandLine } from "./parse.ts";
import { allUp, QUESTIONS, readReport, statusLines } from "./status_report.ts";

const DEFAULT_ADDRESS = "127.0.0.1:11211";
const ANSWER_MS = 3000;
/** Some server is not up. */
const EXIT_NOT_UP = 1;

export function status(context: Context, line: CommandLine): void {
  const place = readPlace(line.words);
  if (!place.ok) return failUsage(context, place.problem);
  const { address, label } = place.value;
  const { host } = context.platform;
  askStats(context.platform, address, QUESTIONS, ANSWER_MS, (asked) => {
    if (!asked.ok) return fail(context, EXIT_UNREACHABLE, `${label}: ${asked.reason}`);
    const report = readReport(label, asked.answers);
    if (report === null) return fail(context, EXIT_UNREACHABLE, `${label}: answers, but is no tandem`);
    host.stdout(line.flags.has("json") ? `${JSON.stringify(report, null, 2)}\n` : `${statusLines(report).join("\n")}\n`);
    host.exit(allUp(report) ? 0 : EXIT_NOT_UP);
  });
}

/** Where clients of the proxy connect: the one word there may be. */
function readPlace(words: readonly string[]): Checked<{ address: Address; label: string }> {
  const given: Given = { flag: "status", text: words[0] ?? DEFAULT_ADDRESS };
  if (words.length > 1) return wrong({ flag: "status", text: words[1]! }, "is not expected", "one address");
  const server = parseServer(given);
  if (!server.ok) return server;
  if (server.value.weight !== 1 || server.value.name !== null) return wrong(given, "is more than an address", "host:port or /socket");
  return server;
}
