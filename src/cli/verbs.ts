// What a running proxy can be told to do over its admin interface, a verb each.
import type { Verb } from "../observe/admin.ts";
import type { ToldProxy } from "./context.ts";

export const UPGRADE_OUTCOME = "/upgrade/outcome";

/** upgrade: begins one, or says why not; failure: why the last one came to nothing, or "". */
export function verbsOf(proxy: Pick<ToldProxy, "drain">, upgrade: () => string | null, failure: () => string): Verb[] {
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
      path: UPGRADE_OUTCOME, help: "why the upgrade that was begun last came to nothing",
      run: (_query, done) => done({ ok: failure() === "", text: failure() || "none has failed" }),
    },
  ];
}
