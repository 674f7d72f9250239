// What a running proxy can be told to do over its admin interface, a verb each.
import type { Verb } from "../observe/admin.ts";
import type { ToldProxy } from "./context.ts";

export function verbsOf(proxy: ToldProxy): Verb[] {
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
  ];
}
