// tandem drain, tandem undrain: take a server out of a running proxy's reads, wait until it is quiet, put it back.
import type { Report } from "../observe/report.ts";
import { askAdmin, type AdminDoor, readAdminDoor } from "./admin_client.ts";
import { type Context, EXIT_FAILED, EXIT_UNREACHABLE, fail, failUsage } from "./context.ts";
import type { CommandLine } from "./parse.ts";
import { readAddress } from "./place.ts";
import { order } from "./tell.ts";

const LOOK_MS = 100;

export function drain(context: Context, line: CommandLine): void {
  const { platform } = context;
  const drained = line.command === "drain";
  const [word, more] = line.words;
  if (word === undefined || more !== undefined) {
    return failUsage(context, { flag: line.command, given: more ?? "", fault: more === undefined ? "no server given" : "is not expected", allowed: "one server" });
  }
  const server = readAddress({ flag: line.command, text: word });
  if (!server.ok) return failUsage(context, server.problem);
  const door = readAdminDoor(platform, line.flags);
  if (!door.ok) return failUsage(context, door.problem);
  const { label } = server.value;
  order(context, door.value, `/${line.command}?server=${encodeURIComponent(label)}`, () => {
    if (!drained) return platform.host.exit(0);
    waitQuiet(context, door.value, label, line.flags.number("timeout"));
  });
}

/** Until nothing from before is under way there, or a while has passed. */
function waitQuiet(context: Context, door: AdminDoor, label: string, timeoutMs: number): void {
  const { platform } = context;
  const began = platform.clock.nowMs();
  const look = (): void => askAdmin(platform, door, "GET", "/status", (answer) => {
    if (!answer.ok || answer.status !== 200) return fail(context, EXIT_UNREACHABLE, answer.ok ? answer.body.trim() : answer.reason);
    const report = JSON.parse(answer.body) as Report;
    const elapsedMs = Math.round(platform.clock.nowMs() - began);
    const servers = report.pools.flatMap(({ servers }) => servers.filter(({ address }) => address === label));
    if (servers.every(({ quiet }) => quiet)) {
      platform.host.stdout(`${label} is quiet after ${elapsedMs} ms: no read is under way there, and none will come\n`);
      return platform.host.exit(0);
    }
    if (elapsedMs >= timeoutMs) return fail(context, EXIT_FAILED, `${label} is drained, and not quiet after ${elapsedMs} ms: its peers are not there, or an answer is due`);
    platform.clock.timer(LOOK_MS, look);
  });
  look();
}
