// The admin interface of a process: opened beside what it tells of.
import type { AdminConfig } from "../config/admin.ts";
import { addressText } from "../config/servers.ts";
import { Admin, type AdminSource } from "../observe/admin.ts";
import type { Log } from "../observe/log.ts";
import type { Platform } from "../platform/platform.ts";

/** Permission bits of the unix socket: for us alone. */
const UNIX_MODE = 0o600;
const TOKEN_ENV = "TANDEM_ADMIN_TOKEN";

/** ok: false only when it was asked for. */
export type AdminOutcome = AdminPlace | { readonly ok: false; readonly reason: string };

export interface AdminPlace {
  readonly ok: true;
  /** Null when there is none. */
  readonly admin: Admin | null;
  /** Where it listens, or should: "" when none was wanted. */
  readonly place: string;
  /** Why it does not. */
  readonly problem: string;
  /** Other hosts may reach it, and need no token. */
  readonly open: boolean;
}

/** done is called once. Where it was not asked for and cannot listen, nothing else is different. */
export function openAdmin(
  platform: Platform, config: AdminConfig | null, source: AdminSource, done: (outcome: AdminOutcome) => void,
): void {
  if (config === null) return done({ ok: true, admin: null, place: "", problem: "", open: false });
  const token = readToken(platform, config);
  if (!token.ok) return done(token);
  const admin = new Admin(platform, source, token.value);
  const wanted = addressText(config.address);
  admin.start(config.address, UNIX_MODE, (opened) => {
    if (opened.ok) {
      const open = token.value === null && config.address.kind === "tcp" && !/^(127\.|::1$|localhost$)/.test(config.address.host);
      return done({ ok: true, admin, place: addressText(opened.address), problem: "", open });
    }
    const why = opened.cause === "in_use" ? "something listens there already" : opened.detail || opened.cause;
    if (config.explicit !== null) return done({ ok: false, reason: `${config.explicit.flag} ${wanted}: cannot listen: ${why}` });
    done({ ok: true, admin: null, place: wanted, problem: why, open: false });
  });
}

/** The line of the log that says where it is, or why it is not. */
export function tellAdmin(log: Log, { admin, place, problem, open }: AdminPlace): void {
  if (open) log.warn("admin interface does without a token what any host asks: drain, reload, upgrade", { address: place });
  else if (admin !== null) log.info("admin interface", { address: place });
  else if (problem !== "") log.warn("no admin interface", { address: place, reason: problem });
}

function readToken(
  { host }: Platform, { tokenFile }: AdminConfig,
): { readonly ok: true; readonly value: string | null } | { readonly ok: false; readonly reason: string } {
  if (tokenFile === null) return { ok: true, value: host.env(TOKEN_ENV) || null };
  const read = host.readText(tokenFile.text);
  if (!read.ok) return { ok: false, reason: `${tokenFile.flag} ${tokenFile.text}: cannot be read: ${read.reason}` };
  const token = read.text.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) return { ok: false, reason: `${tokenFile.flag} ${tokenFile.text}: holds no token; allowed: one word of visible ASCII` };
  return { ok: true, value: token };
}
