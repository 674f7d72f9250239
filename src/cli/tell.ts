// tandem reload, tandem transition end: one word to a running proxy over its admin interface, and what it says to that.
import { askAdmin, readAdminDoor } from "./admin_client.ts";
import { type Context, EXIT_FAILED, EXIT_UNREACHABLE, fail, failUsage } from "./context.ts";
import type { Flags } from "./parse.ts";

/** verb: the path of one that is told without anything else. Ends the process: 0 done, 1 refused, 3 nobody there. */
export function tell(context: Context, flags: Flags, verb: "/reload" | "/transition/end"): void {
  const { platform } = context;
  const door = readAdminDoor(platform, flags);
  if (!door.ok) return failUsage(context, door.problem);
  askAdmin(platform, door.value, "POST", verb, (answer) => {
    if (!answer.ok) return fail(context, EXIT_UNREACHABLE, answer.reason);
    const text = answer.body.trim();
    if (answer.status === 200) {
      platform.host.stdout(`${text}\n`);
      return platform.host.exit(0);
    }
    // 409: the proxy understood, and will not.
    fail(context, answer.status === 409 ? EXIT_FAILED : EXIT_UNREACHABLE, `${door.value.place.label}: ${text}`);
  });
}

/** The only thing to tell of a transition is its end. */
export function transition(context: Context, flags: Flags, word: string | undefined, more: string | undefined): void {
  if (word === "end" && more === undefined) return tell(context, flags, "/transition/end");
  const fault = word === undefined ? "no word given" : "is not expected";
  failUsage(context, { flag: "transition", given: (word === "end" ? more : word) ?? "", fault, allowed: "end" });
}
