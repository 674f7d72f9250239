// What the process may do to itself on Bun: the user it runs as, starting itself again, and two calls to libc.
import process from "node:process";
import { closeSync, lchownSync, lstatSync, openSync, readFileSync } from "node:fs";
import { dlopen, FFIType } from "bun:ffi";
import type { HandCalls } from "./bun_hand.ts";
import type { Host } from "./platform.ts";
import { createHost, fdLimitOfProc, findUser, messageOf } from "./host_common.ts";
import { datagrams, type Inherited, inheritedSockets, type ServiceCalls } from "./host_service.ts";

const LIBC_NAMES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`, "libSystem.B.dylib"];

const F_DUPFD_CLOEXEC = 1030;
/** Above the descriptors that a child is given, which would take its place before it is run. */
const PROGRAM_FD_MIN = 200;

function openLibc() {
  for (const name of LIBC_NAMES) {
    try {
      return dlopen(name, {
        listen: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
        getrlimit: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
        getsockname: { args: [FFIType.i32, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
        socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
        sendto: { args: [FFIType.i32, FFIType.ptr, FFIType.u64_fast, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i64_fast },
        fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
        dup: { args: [FFIType.i32], returns: FFIType.i32 },
        socketpair: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
        sendmsg: { args: [FFIType.i32, FFIType.ptr, FFIType.i32], returns: FFIType.i64_fast },
        recvmsg: { args: [FFIType.i32, FFIType.ptr, FFIType.i32], returns: FFIType.i64_fast },
        close: { args: [FFIType.i32], returns: FFIType.i32 },
      }).symbols;
    } catch {
      // Another system names it otherwise; with none of them the calls below do without.
    }
  }
  return null;
}

/** The few calls that Bun has no name for; each does nothing where libc cannot be opened. */
export class BunLibc {
  private readonly calls = openLibc();
  readonly service: ServiceCalls | null = this.calls === null ? null : serviceCalls(this.calls);
  readonly hand: HandCalls | null = this.calls === null ? null : handCalls(this.calls);
  readonly inherited: readonly Inherited[] = inheritedSockets(this.service);

  /** listen(2) on a socket that listens already: sets its backlog. False when that was not possible. */
  listen(fd: number, backlog: number): boolean {
    return this.calls !== null && this.calls.listen(fd, backlog) === 0;
  }

  get works(): boolean {
    return this.calls !== null;
  }

  /** Another descriptor of the same socket, which no other program inherits; -1 when that was not possible. */
  copy(fd: number): number {
    if (this.calls === null) return -1;
    // Elsewhere than on Linux fcntl takes its third argument in another way, and children inherit the copy.
    return process.platform === "linux" ? this.calls.fcntl(fd, F_DUPFD_CLOEXEC, 0) : this.calls.dup(fd);
  }

  close(fd: number): void {
    this.calls?.close(fd);
  }

  /** Our own file, kept open while we may still look where it lies; -1: not kept. */
  program = -1;

  /** To be called before a change of user. */
  keepProgram(): void {
    if (!COMPILED || process.platform !== "linux" || this.calls === null) return;
    const fd = openSync(process.execPath, "r");
    this.program = this.calls.fcntl(fd, F_DUPFD_CLOEXEC, PROGRAM_FD_MIN);
    closeSync(fd);
  }

  /** The soft limit of open files; 0 when it is not known or without a limit. */
  fdLimit(): number {
    if (process.platform === "linux" || this.calls === null) return fdLimitOfProc();
    const limits = new BigUint64Array(2);
    const resource = 8; // RLIMIT_NOFILE on darwin and the BSDs
    if (this.calls.getrlimit(resource, limits) !== 0) return 0;
    return limits[0]! > 0x7fffffffn ? 0 : Number(limits[0]);
  }
}

function serviceCalls(calls: NonNullable<ReturnType<typeof openLibc>>): ServiceCalls {
  const { getsockname, socket, close } = calls;
  return {
    getsockname, socket, close,
    sendto: (fd, bytes, length, flags, address, addressLength) => Number(calls.sendto(fd, bytes, length, flags, address, addressLength)),
  };
}

function handCalls(calls: NonNullable<ReturnType<typeof openLibc>>): HandCalls {
  const { socketpair, close } = calls;
  return {
    socketpair, close,
    sendmsg: (fd, message, flags) => Number(calls.sendmsg(fd, message, flags)),
    recvmsg: (fd, message, flags) => Number(calls.recvmsg(fd, message, flags)),
  };
}

export function createBunHost(libc: BunLibc): Host {
  return createHost({
    runtime: `bun ${Bun.version}`,
    fdLimit: () => libc.fdLimit(),
    becomeUser(user, group, owned) {
      libc.keepProgram();
      return becomeUser(user, group, owned);
    },
    spawnSelfDetached,
    inherited: libc.inherited.map(({ address }) => address),
    datagram: datagrams(libc.service),
  });
}

/** Groups first, then the group, then the user: after setuid there is no right left to change the others. */
function becomeUser(user: string, group: string | null, owned: readonly string[]): ReturnType<Host["becomeUser"]> {
  const { getuid, getgid, setuid, setgid, setgroups } = process;
  if (!getuid || !getgid || !setuid || !setgid || !setgroups) return { ok: false, reason: "this system has no users to become" };
  try {
    const ids = findUser(readFileSync("/etc/passwd", "utf8"), readFileSync("/etc/group", "utf8"), user, group);
    if (typeof ids === "string") return { ok: false, reason: ids };
    if (getuid() !== 0) return { ok: false, reason: "only root can become another user" };
    for (const path of owned) if (lstatSync(path).isFile()) lchownSync(path, ids.uid, ids.gid);
    setgroups([...ids.groups]);
    setgid(ids.gid);
    setuid(ids.uid);
    if (getuid() !== ids.uid || getgid() !== ids.gid) return { ok: false, reason: "the change of user did not hold" };
    return ids.uid === 0 || cannotReturn(setuid) ? { ok: true } : { ok: false, reason: "root could be had again" };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

function cannotReturn(setuid: (id: number) => void): boolean {
  try {
    setuid(0);
    return false;
  } catch {
    return true;
  }
}

/** Where we were started from; asked later Bun names what has become of that file: "… (deleted)". */
const SELF = process.execPath;
const COMPILED = Bun.main.startsWith("/$bunfs/") || /^[A-Za-z]:[\\/]~BUN[\\/]/.test(Bun.main);

/** A compiled binary is its own program; from source the runtime needs the script again. It is read from its file anew. */
export function selfCommand(args: readonly string[]): string[] {
  return COMPILED ? [SELF, ...args] : [SELF, Bun.main, ...args];
}

/**
 * The very program that runs here, even when another one stands in its file by now; where the system has no name for
 * it: as above. kept: the descriptor of it that was kept before a change of user, after which /proc/…/exe is root's; -1: none.
 */
export function sameCommand(args: readonly string[], kept: number): string[] {
  if (kept !== -1) return [`/proc/self/fd/${kept}`, ...args];
  return COMPILED && process.platform === "linux" ? [`/proc/${process.pid}/exe`, ...args] : selfCommand(args);
}

function spawnSelfDetached(args: readonly string[], outputPath: string | null): ReturnType<Host["spawnSelfDetached"]> {
  const command = selfCommand(args);
  let output: number | "ignore" = "ignore";
  try {
    if (outputPath !== null) output = openSync(outputPath, "a", 0o644);
    const child = Bun.spawn(command, { detached: true, stdio: ["ignore", output, output], env: process.env });
    child.unref();
    return { ok: true, pid: child.pid };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  } finally {
    if (output !== "ignore") closeSync(output);
  }
}
