// What the system's services and a process have to do with each other, on both runtimes: sockets that a service manager
// (systemd) bound before the process began, and datagrams to it and to the log. The calls to libc are the adapters'.
import process from "node:process";
import { Buffer } from "node:buffer";
import type { Address, Host } from "./platform.ts";
import { heirOf, messageOf } from "./host_common.ts";

/** The first inherited descriptor, by the rule of sd_listen_fds(3). */
const FIRST_FD = 3;
const AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, SOCK_DGRAM_CLOEXEC = 2 | 0x80000;

/** The calls to libc, as the runtime's foreign functions take them. */
export interface ServiceCalls {
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  socket(family: number, type: number, protocol: number): number;
  /** Bytes sent, or -1. */
  sendto(fd: number, bytes: Uint8Array, length: number, flags: number, address: Uint8Array, addressLength: number): number;
  close(fd: number): number;
}

export interface Inherited {
  readonly fd: number;
  readonly address: Address;
}

/** The sockets that this process was started with. They are its own alone: what it starts itself is not told of them. */
export function inheritedSockets(calls: ServiceCalls | null): Inherited[] {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  if (process.platform !== "linux" || calls === null || ![String(process.pid), heirOf(process.ppid)].includes(LISTEN_PID ?? "") || !/^[0-9]{1,4}$/.test(LISTEN_FDS ?? "")) return [];
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete process.env[name];
  const found: Inherited[] = [];
  for (let fd = FIRST_FD; fd < FIRST_FD + Number(LISTEN_FDS); fd++) {
    const bytes = new Uint8Array(128);
    const length = new Uint8Array(new Uint32Array([bytes.length]).buffer);
    const address = calls.getsockname(fd, bytes, length) === 0 ? addressOf(bytes, new Uint32Array(length.buffer)[0]!) : null;
    if (address !== null) found.push({ fd, address });
  }
  return found;
}

/** Linux's struct sockaddr, as both byte orders of a port in it and little endian families have it; null: none of ours. */
export function addressOf(bytes: Uint8Array, length: number): Address | null {
  const family = bytes[0]! | (bytes[1]! << 8);
  const port = (bytes[2]! << 8) | bytes[3]!;
  if (family === AF_INET) return { kind: "tcp", host: bytes.subarray(4, 8).join("."), port };
  if (family === AF_INET6) {
    const words = Array.from({ length: 8 }, (_, i) => ((bytes[8 + 2 * i]! << 8) | bytes[9 + 2 * i]!).toString(16));
    return { kind: "tcp", host: URL.parse(`http://[${words.join(":")}]/`)?.hostname.slice(1, -1) ?? words.join(":"), port };
  }
  if (family !== AF_UNIX) return null;
  const path = bytes.subarray(2, length);
  const end = path.indexOf(0, 1);
  return { kind: "unix", path: Buffer.from(end === -1 ? path : path.subarray(0, end)).toString("utf8") };
}

/** A sockaddr_un; a path that begins with @ is Linux's abstract one. */
export function unixSockaddr(path: string): Uint8Array {
  const name = Buffer.from(path, "utf8");
  const bytes = new Uint8Array(2 + name.length + (path.startsWith("@") ? 0 : 1));
  bytes[0] = AF_UNIX;
  bytes.set(name, 2);
  if (path.startsWith("@")) bytes[2] = 0;
  return bytes;
}

/** Host.datagram over these calls. */
export function datagrams(calls: ServiceCalls | null): Host["datagram"] {
  return (path, text) => {
    if (process.platform !== "linux" || calls === null) return { ok: false, reason: "libc cannot be called here" };
    try {
      const fd = calls.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
      if (fd < 0) return { ok: false, reason: "no socket can be made" };
      const bytes = Buffer.from(text, "utf8");
      const to = unixSockaddr(path);
      const MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;
      const sent = calls.sendto(fd, new Uint8Array(bytes), bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, to, to.length);
      calls.close(fd);
      return sent === bytes.length ? { ok: true } : { ok: false, reason: `${path} takes nothing` };
    } catch (error) {
      return { ok: false, reason: messageOf(error) };
    }
  };
}
