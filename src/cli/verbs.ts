// What a running proxy can be told to do over its admin interface, a verb each.
import type { Verb } from "../observe/admin.ts";
import type { ToldProxy } from "./context.ts";

/** upgrade: begins one, or says why not. */
export function verbsOf(proxy: Pick<ToldProxy, "drain">, upgrade: () => string | null): Verb[] {
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
  ];
}
