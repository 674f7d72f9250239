// What holds for the whole process from its start on: a reload that finds it changed says so, and what takes it.
import { addressText } from "../config/servers.ts";
import type { ServeSettings } from "./settings.ts";

/** The command asks the admin interface how it went, as that was before. */
const UPGRADE = "tandem upgrade", SIGNAL = "SIGUSR2 (an upgrade)", RESTART = "a restart";

/** What takes each, and how to read it; "": none. */
export const PROCESS_WIDE: Readonly<Record<string, { readonly by: string; readonly read: (settings: ServeSettings) => string }>> = {
  workers: { by: UPGRADE, read: ({ workers }) => workers.text },
  drain: { by: UPGRADE, read: ({ drainMs }) => `${drainMs}ms` },
  // The process that takes our place runs as who we are, and does not take away a file of ours.
  user: { by: RESTART, read: ({ user }) => user?.text ?? "" },
  group: { by: RESTART, read: ({ group }) => group?.text ?? "" },
  daemon: { by: RESTART, read: ({ background }) => (background ? "true" : "false") },
  pid_file: { by: RESTART, read: ({ pidFile }) => pidFile?.text ?? "" },
  log_file: { by: UPGRADE, read: ({ logFile }) => logFile?.text ?? "" },
  log_rotate: { by: UPGRADE, read: ({ rotation }) => (rotation === null ? "" : `${rotation.bytes},${rotation.count}`) },
  log_format: { by: UPGRADE, read: ({ logFormat }) => logFormat },
  verbose: { by: UPGRADE, read: ({ verbosity }) => String(verbosity) },
  admin: { by: SIGNAL, read: ({ admin }) => (admin === null ? "off" : addressText(admin.address)) },
  admin_token_file: { by: SIGNAL, read: ({ admin }) => admin?.tokenFile?.text ?? "" },
};

/** A setting that is another by now than the one that holds. */
export interface Left {
  /** "workers 4 instead of 2" */
  readonly change: string;
  readonly by: string;
}

/** What has changed since the start, and waits for more than a reload. */
export function leftOf(holds: ServeSettings, now: ServeSettings): Left[] {
  return Object.entries(PROCESS_WIDE).flatMap(([name, { by, read }]) => {
    const [before, after] = [read(holds), read(now)];
    return before === after ? [] : [{ change: `${name} ${after || "none"} instead of ${before || "none"}`, by }];
  });
}
