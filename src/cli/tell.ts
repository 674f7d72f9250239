// One word to a running proxy over its admin interface, and what it says to that: tandem reload, tandem transition end.
import { type AdminDoor, askAdmin, readAdminDoor } from "./admin_client.ts";
import { type Context, EXIT_FAILED, EXIT_UNREACHABLE, fail, failUsage } from "./context.ts";
import type { Flags } from "./parse.ts";

/** verb: the path of one that is told without anything else. Ends the process: 0 done, 1 refused, 3 nobody there. */
export function tell(context: Context, flags: Flags, verb: "/reload" | "/transition/end"): void {
  const door = readAdminDoor(context.platform, flags);
  if (!door.ok) return failUsage(context, door.problem);
  order(context, door.value, verb, () => context.platform.host.exit(0));
}

/** Posts path (with its query) and prints what is said to that; then obeyed, unless it refused: that ends the process. */
export function order(context: Context, door: AdminDoor, path: string, obeyed: () => void): void {
  const { platform } = context;
  askAdmin(platform, door, "POST", path, (answer) => {
    if (!answer.ok) return fail(context, EXIT_UNREACHABLE, answer.reason);
    const text = answer.body.trim();
    // 409: the proxy understood, and will not.
    if (answer.status !== 200) return fail(context, answer.status === 409 ? EXIT_FAILED : EXIT_UNREACHABLE, `${door.place.label}: ${text}`);
    platform.host.stdout(`${text}\n`);
    obeyed();
  });
}

/** The only thing to tell of a transition is its end. */
export function transition(context: Context, flags: Flags, word: string | undefined, more: string | undefined): void {
  if (word === "end" && more === undefined) return tell(context, flags, "/transition/end");
  const fault = word === undefined ? "no word given" : "is not expected";
  failUsage(context, { flag: "transition", given: (word === "end" ? more : word) ?? "", fault, allowed: "end" });
}
