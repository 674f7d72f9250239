// tandem upgrade: has a running proxy replaced by the program as it is in its file by now, and waits until that serves.
import type { Report } from "../observe/report.ts";
import { askAdmin, readAdminDoor } from "./admin_client.ts";
import { type Context, EXIT_FAILED, EXIT_UNREACHABLE, fail, failUsage } from "./context.ts";
import type { Flags } from "./parse.ts";
import { PASSED, UPGRADE_OUTCOME } from "./verbs.ts";

const LOOK_MS = 100, PATIENCE_MS = 20_000;

export function upgrade(context: Context, flags: Flags): void {
  const { platform } = context;
  const door = readAdminDoor(platform, flags);
  if (!door.ok) return failUsage(context, door.problem);
  const { label } = door.value.place;
  const pids = (done: (pids: readonly number[] | null, version: string) => void): void =>
    askAdmin(platform, door.value, "GET", "/status", (answer) => {
      if (!answer.ok || answer.status !== 200) return done(null, answer.ok ? `${label}: ${answer.body.trim()}` : answer.reason);
      const report = JSON.parse(answer.body) as Report;
      done(report.workers.map(({ pid }) => pid), `${report.build.version} (${report.build.commit})`);
    });
  pids((before, reason) => {
    if (before === null) return fail(context, EXIT_UNREACHABLE, reason);
    askAdmin(platform, door.value, "POST", "/upgrade", (answer) => {
      if (!answer.ok) return fail(context, EXIT_UNREACHABLE, answer.reason);
      if (answer.status !== 200) return fail(context, EXIT_FAILED, `${label}: ${answer.body.trim()}`);
      const began = platform.clock.nowMs();
      // Nobody answers while the one gives its place to the other.
      const look = (): void => pids((now, version) => {
        const elapsedMs = Math.round(platform.clock.nowMs() - began);
        if (now !== null && now.every((pid) => !before.includes(pid))) {
          platform.host.stdout(`${label}: ${version} serves after ${elapsedMs} ms; the one before finishes its clients\n`);
          return platform.host.exit(0);
        }
        if (elapsedMs > PATIENCE_MS) return fail(context, EXIT_FAILED, `${label}: no other process serves after ${elapsedMs} ms`);
        if (now === null) return void platform.clock.timer(LOOK_MS, look);
        askAdmin(platform, door.value, "POST", UPGRADE_OUTCOME, (outcome) => {
          if (outcome.ok && outcome.status === 200 && outcome.body.startsWith(PASSED)) {
            platform.host.stdout(`${label}: ${outcome.body.trim()}\n`);
            return platform.host.exit(0);
          }
          if (outcome.ok && outcome.status === 409) return fail(context, EXIT_FAILED, `${label}: the upgrade failed, the one before goes on: ${outcome.body.trim()}`);
          platform.clock.timer(LOOK_MS, look);
        });
      });
      look();
    });
  });
}
