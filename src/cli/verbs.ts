// What a running proxy can be told to do over its admin interface, a verb each.
import type { Verb } from "../observe/admin.ts";
import type { ToldProxy } from "./context.ts";

export const UPGRADE_OUTCOME = "/upgrade/outcome";

/** How the outcome begins where another process serves, and has its admin interface elsewhere. */
export const PASSED = "another process serves";

/** What became of the upgrade that was begun last: failure, why it came to nothing, or ""; heir: who has our place, or null. */
export interface UpgradeOutcome {
  readonly failure: string;
  readonly heir: number | null;
}

/** upgrade: begins one, or says why not. */
export function verbsOf(proxy: Pick<ToldProxy, "drain">, upgrade: () => string | null, outcome: () => UpgradeOutcome): Verb[] {
  const drain = (path: string, help: string, drained: boolean): Verb => ({
    path, help,
    run: (query, done) => {
      const server = query.get("server") ?? "";
      if (server === "") return done({ ok: false, text: `${path} needs a server: ${path}?server=10.0.0.1:11211` });
      proxy.drain(server, drained, done);
    },
  });
  return [
    drain("/drain", "takes a server out of reads: its peers answer in its place", true),
    drain("/undrain", "puts a drained server back", false),
    {
      path: "/upgrade", help: "starts the program as it is in its file by now to take our place",
      run: (_query, done) => {
        const obstacle = upgrade();
        done({ ok: obstacle === null, text: obstacle ?? "upgrading" });
      },
    },
    {
      path: UPGRADE_OUTCOME, help: "what became of the upgrade that was begun last",
      run: (_query, done) => {
        const { failure, heir } = outcome();
        done({ ok: failure === "", text: failure !== "" ? failure : heir === null ? "none has failed" : `${PASSED}, pid ${heir}; its admin interface is elsewhere` });
      },
    },
  ];
}
