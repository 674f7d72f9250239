// tandem version: what was built, and what it runs on.
import type { Context } from "./context.ts";

/** The lines of `tandem version`. */
export function versionLines(context: Context): string[] {
  const { host } = context.platform;
  const { version, commit, target } = context.build;
  return [
    `tandem ${version}`,
    `commit ${commit}`,
    `runtime ${host.runtime}`,
    `target ${target === "" ? host.target : target}`,
  ];
}
