// What the process may do to itself on Deno, and the calls to libc that make abort a real reset.
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Crew, Host } from "./platform.ts";
import { parentChannel, startChild } from "./crew_common.ts";
import { createHost, fdLimitOfProc, messageOf } from "./host_common.ts";
import { datagrams, inheritedSockets, type ServiceCalls } from "./host_service.ts";

const SYMBOLS = {
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

const DARWIN = Deno.build.os === "darwin";
const LIBC_NAMES = DARWIN ? ["libSystem.B.dylib"] : ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`];
const [SOL_SOCKET, SO_LINGER] = DARWIN ? [0xffff, 0x80] : [1, 13];
/** struct linger { on = 1, seconds = 0 }: close drops what is unsent and sends RST. */
const NO_LINGER = new Uint8Array(new Int32Array([1, 0]).buffer);
/** A sockaddr of family AF_UNSPEC. */
const UNSPECIFIED = new Uint8Array(16);

function openLibc() {
  const reasons: string[] = [];
  for (const name of LIBC_NAMES) {
    try {
      return Deno.dlopen(name, SYMBOLS).symbols;
    } catch (error) {
      reasons.push(messageOf(error));
    }
  }
  throw new Error(`Deno has no way to reset a connection but through libc, so tandem needs --allow-ffi: ${reasons.join("; ")}`);
}

/** Resets connections: Deno itself can only close them in order, and does not say which descriptor they have. */
export class DenoReset {
  private readonly libc = openLibc();
  readonly service: ServiceCalls = {
    getsockname: (fd, address, length) => this.libc.getsockname(fd, own(address), own(length)),
    socket: this.libc.socket, close: this.libc.close,
    sendto: (fd, bytes, length, flags, address, addressLength) =>
      Number(this.libc.sendto(fd, own(bytes), BigInt(length), flags, own(address), addressLength)),
  };
  private readonly address = new Uint8Array(32);
  private readonly length = new Uint32Array(1);
  private readonly lengthBytes = new Uint8Array(this.length.buffer);

  /**
   * Sends RST on a TCP connection, which the caller then closes. Does nothing when its descriptor cannot be found
   * (it is closed already) or it is a unix socket, which has no RST.
   */
  reset(connection: Deno.Conn): void {
    const { localAddr, remoteAddr } = connection;
    if (localAddr.transport !== "tcp" || remoteAddr.transport !== "tcp") return;
    const fd = this.find(localAddr, remoteAddr);
    if (fd < 0) return;
    this.libc.setsockopt(fd, SOL_SOCKET!, SO_LINGER!, NO_LINGER, NO_LINGER.length);
    // Deno sends FIN before it closes, which a peer may take for an orderly end; on Linux dissolving the association
    // sends the RST at once and in its place.
    if (!DARWIN) this.libc.connect(fd, UNSPECIFIED, UNSPECIFIED.length);
  }

  /** The descriptor with these two ends, or -1. Aborts are rare enough for a search. */
  private find(local: Deno.NetAddr, remote: Deno.NetAddr): number {
    try {
      for (const entry of Deno.readDirSync("/dev/fd")) {
        const fd = Number(entry.name);
        if (this.isAt("getsockname", fd, local) && this.isAt("getpeername", fd, remote)) return fd;
      }
    } catch {
      // Without the right to read /dev/fd the connection is closed in order instead.
    }
    return -1;
  }

  private isAt(which: "getsockname" | "getpeername", fd: number, wanted: Deno.NetAddr): boolean {
    const bytes = this.address;
    this.length[0] = bytes.length;
    if (this.libc[which](fd, bytes, this.lengthBytes) !== 0) return false;
    if (bytes[2]! * 256 + bytes[3]! !== wanted.port) return false;
    if (this.length[0] === 16) return bytes.subarray(4, 8).join(".") === wanted.hostname;
    const words: string[] = [];
    for (let at = 8; at < 24; at += 2) words.push((bytes[at]! * 256 + bytes[at + 1]!).toString(16));
    return canonical(words.join(":")) === canonical(wanted.hostname);
  }
}

/** Deno's foreign functions take no bytes of a buffer that threads might share. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.buffer instanceof ArrayBuffer) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return new Uint8Array(bytes);
}

/** An IPv6 address in the one spelling that URL gives it. */
function canonical(host: string): string {
  return URL.parse(`http://[${host}]/`)?.hostname ?? host;
}

export function createDenoHost(libc: DenoReset): Host {
  return createHost({
    runtime: `deno ${Deno.version.deno}`,
    fdLimit: fdLimitOfProc,
    becomeUser: () => ({ ok: false, reason: "Deno has no initgroups, so it cannot become another user for good: start it as that user" }),
    spawnSelfDetached,
    inherited: inheritedSockets(libc.service).map(({ address }) => address),
    datagram: datagrams(libc.service),
  });
}

/** A compiled binary is its own program; from source the runtime needs its flags and the script again. */
function selfCommand(args: readonly string[]): string[] {
  const before = Deno.build.standalone ? [] : ["run", "--allow-all", "--unstable-net", Deno.mainModule];
  return [Deno.execPath(), ...before, ...args];
}

/** Deno can start itself with a channel, but not accept from a socket that it was given. */
export function createDenoCrew(): Crew {
  const refusal = "Deno cannot accept from a socket that it is given: run the compiled binary, or on Bun";
  return {
    refusal,
    open: (_address, _options, done) => void setTimeout(() => done({ ok: false, cause: "failed", detail: refusal }), 0),
    start: (args, _ports, handlers) => startChild(selfCommand(args), null, [], handlers),
    portOf: () => null,
    startHeir: () => ({ ok: false, reason: refusal }),
    parent: parentChannel,
    accept: (_place, _address, _backlog, handlers) => void setTimeout(() => handlers.onClose("failed", refusal), 0),
    drop: () => {},
  };
}

function spawnSelfDetached(args: readonly string[], outputPath: string | null): ReturnType<Host["spawnSelfDetached"]> {
  const command = selfCommand(args);
  let output: number | "ignore" = "ignore";
  try {
    if (outputPath !== null) output = openSync(outputPath, "a", 0o644);
    // Not Deno.Command: it cannot write to a file.
    const child = spawn(command[0]!, command.slice(1), { detached: true, stdio: ["ignore", output, output] });
    child.unref();
    return child.pid === undefined ? { ok: false, reason: `${Deno.execPath()} cannot be started` } : { ok: true, pid: child.pid };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  } finally {
    if (output !== "ignore") closeSync(output);
  }
}
