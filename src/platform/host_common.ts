// What both runtimes' hosts share: the process, its files and its limits through node:process and node:fs, which Bun
// and Deno both supply, and the reading of /etc/passwd and /etc/group.
import process from "node:process";
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import type { Address, AppendFile, Clock, CloseCause, Host, Random, Timer } from "./platform.ts";

/** What a host does that a runtime does in its own way. */
export type HostOwn = Pick<Host, "runtime" | "becomeUser" | "spawnSelfDetached" | "fdLimit" | "inherited" | "datagram">;

/** A Host whose common part goes through node:process and node:fs. */
export function createHost(own: HostOwn): Host {
  return {
    ...own,
    target: `${process.platform}-${process.arch}`,
    pid: process.pid,
    cpuSeconds() {
      const used = process.cpuUsage();
      return { user: used.user / 1e6, system: used.system / 1e6 };
    },
    residentBytes: () => process.memoryUsage().rss,
    stdout: (text) => writeAll(1, text),
    stderr: (text) => writeAll(2, text),
    isTerminal: (stream) => isatty(stream === "stdout" ? 1 : 2),
    readText(path) {
      try {
        return { ok: true, text: readFileSync(path, "utf8") };
      } catch (error) {
        return { ok: false, reason: messageOf(error) };
      }
    },
    writeText(path, text) {
      try {
        writeFileSync(path, text);
        return { ok: true };
      } catch (error) {
        return { ok: false, reason: messageOf(error) };
      }
    },
    removeFile(path) {
      try {
        unlinkSync(path);
      } catch {
        // It is gone already, or not ours to remove: either way there is nothing left to do.
      }
    },
    renameFile(from, to) {
      try {
        renameSync(from, to);
        return { ok: true };
      } catch (error) {
        return { ok: false, reason: messageOf(error) };
      }
    },
    openAppend(path) {
      try {
        return { ok: true, file: new HostAppendFile(openSync(path, "a", 0o644)) };
      } catch (error) {
        return { ok: false, reason: messageOf(error) };
      }
    },
    env: (name) => process.env[name],
    onSignal: (name, run) => void process.on(name, run),
    exit: (code) => process.exit(code),
    cores: () => Math.max(1, availableParallelism()),
  };
}

class HostAppendFile implements AppendFile {
  size: number;

  constructor(private readonly fd: number) {
    this.size = fstatSync(fd).size;
  }

  isAt(path: string): boolean {
    try {
      const ours = fstatSync(this.fd), there = statSync(path);
      return there.ino === ours.ino && there.dev === ours.dev;
    } catch {
      return false; // nothing is there, as far as we may see
    }
  }

  write(text: string): void {
    this.size += Buffer.byteLength(text);
    writeAll(this.fd, text);
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** How long a full pipe on stdout or stderr may hold the process up, ms; then the text is lost. */
const PIPE_WAIT_MS = 1000;

/** Writes all of text to a descriptor before it returns, so that nothing is lost in an exit that follows. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, "utf8");
  let waited = 0;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at, bytes.length - at);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN" || waited >= PIPE_WAIT_MS) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      waited++;
    }
  }
}

/** The soft limit of open files as Linux shows it in /proc; 0 elsewhere or without a limit. */
export function fdLimitOfProc(): number {
  try {
    const row = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return row === null ? 0 : Number(row[1]);
  } catch {
    return 0;
  }
}

/** How many sockets an adapter may hold under a limit of open files: some descriptors stay for files and listeners. */
export function socketCeiling(fdLimit: number): number {
  if (fdLimit === 0) return Number.MAX_SAFE_INTEGER;
  return fdLimit - Math.min(64, fdLimit >> 2);
}

export interface UserIds {
  /** Null when only a number was given and /etc/passwd does not know it. */
  readonly name: string | null;
  readonly uid: number;
  readonly gid: number;
  /** The user's supplementary groups and gid itself. */
  readonly groups: readonly number[];
}

/**
 * Looks user (a name or a number) and group (likewise; null: the user's primary group) up in the text of /etc/passwd
 * and /etc/group. Returns the reason as a string when one of them is not there.
 */
export function findUser(passwd: string, groupFile: string, user: string, group: string | null): UserIds | string {
  const users = passwd.split("\n").map((line) => line.split(":"));
  const groups = groupFile.split("\n").map((line) => line.split(":"));
  const isNumber = /^\d+$/;
  const account = users.find((row) => row[0] === user && row.length > 3) ?? users.find((row) => row[2] === user);
  if (account === undefined && !isNumber.test(user)) return `no user "${user}" in /etc/passwd`;
  if (account === undefined && group === null) return `no user ${user} in /etc/passwd, so a group must be given`;
  let gid = account === undefined ? -1 : Number(account[3]);
  if (group !== null) {
    const row = groups.find((row) => row[0] === group && row.length > 2);
    if (row === undefined && !isNumber.test(group)) return `no group "${group}" in /etc/group`;
    gid = row === undefined ? Number(group) : Number(row[2]);
  }
  const name = account === undefined ? null : account[0]!;
  const member = groups.filter((row) => name !== null && (row[3] ?? "").split(",").includes(name));
  const ids = new Set([gid, ...member.map((row) => Number(row[2]))]);
  return { name, uid: account === undefined ? Number(user) : Number(account[2]), gid, groups: [...ids] };
}

export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

/** LISTEN_PID of a process that inherits from the one with this pid, whose own pid nobody knows before it runs. */
export function heirOf(pid: number): string {
  return `heir of ${pid}`;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system's error codes in the words of platform.ts. */
export function causeOf(code: string): CloseCause {
  switch (code) {
    case "ECONNRESET":
    case "EPIPE":
    case "ENOTCONN":
    case "ECONNABORTED":
      return "reset";
    case "ECONNREFUSED":
      return "refused";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "ENETDOWN":
    case "EHOSTDOWN":
      return "unreachable";
    case "ENOENT":
    case "ENOTDIR":
    case "ENOTFOUND":
    case "DNS_ENOTFOUND":
      return "not_found";
    case "ETIMEDOUT":
      return "timeout";
    case "EADDRINUSE":
      return "in_use";
    case "EACCES":
    case "EPERM":
      return "denied";
    default:
      return "failed";
  }
}

/**
 * "10.0.0.1:53124" or "[::1]:53124"; an IPv4 address seen through an IPv6 socket is shown as IPv4. "unknown" without
 * a host: a connection that was reset before it was accepted has none.
 */
export function addressText(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return "unknown";
  if (host.startsWith("::ffff:") && host.includes(".")) return `${host.slice(7)}:${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** One end of a connection as Socket.remote and Socket.local tell it; null: it is not known. */
export function endText(address: Address | null): string {
  return address === null ? "unknown" : address.kind === "unix" ? "unix" : addressText(address.host, address.port);
}

/** An address as a person writes it, for details of failures. */
export function describe(address: Address): string {
  return address.kind === "unix" ? address.path : addressText(address.host, address.port);
}

/** Timers of the runtimes hold 31 bits of milliseconds; a longer one is armed again. */
const TIMER_MAX_MS = 0x7fffffff;

class HostTimer implements Timer {
  private handle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly dueMs: number,
    private readonly fire: () => void,
  ) {
    this.arm();
  }

  cancel(): void {
    clearTimeout(this.handle);
    this.handle = undefined;
  }

  // setTimeout cuts fractions off and may fire a little early by performance.now: then the rest is waited again.
  private arm(): void {
    const left = Math.min(Math.max(Math.ceil(this.dueMs - performance.now()), 0), TIMER_MAX_MS);
    this.handle = setTimeout(() => {
      if (performance.now() < this.dueMs) this.arm();
      else this.fire();
    }, left);
  }
}

export const hostClock: Clock = {
  nowMs: () => performance.now(),
  wallSeconds: () => Date.now() / 1000,
  timer: (ms, fire) => new HostTimer(performance.now() + ms, fire),
};

/** Draws from the system's random source, some numbers at a time. */
export class HostRandom implements Random {
  private readonly drawn = new Uint32Array(64);
  private left = 0;

  u32(): number {
    if (this.left === 0) {
      crypto.getRandomValues(this.drawn);
      this.left = this.drawn.length;
    }
    return this.drawn[--this.left]!;
  }
}
