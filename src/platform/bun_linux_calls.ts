// Linux's own calls for sockets, by Bun's foreign function interface: what bun_linux_loop.ts, bun_linux_net.ts and
// bun_linux_socket.ts stand on. Each returns as the manual page of section 2 says; why it was -1 tells errno().
import process from "node:process";
import { constants } from "node:os";
import { dlopen, FFIType, type Pointer, ptr, read, toArrayBuffer } from "bun:ffi";
import { addressOf, unixSockaddr } from "./host_service.ts";
import { endText } from "./host_common.ts";
import type { Peer } from "./bun_linux_socket.ts";
import type { Address } from "./platform.ts";

const { i32, u32, ptr: pointer } = FFIType;

const LIBRARIES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];

function open(library: string) {
  return dlopen(library, {
    epoll_create1: { args: [i32], returns: i32 },
    epoll_ctl: { args: [i32, i32, i32, pointer], returns: i32 },
    epoll_wait: { args: [i32, pointer, i32, i32], returns: i32 },
    recv: { args: [i32, pointer, u32, i32], returns: i32 },
    send: { args: [i32, pointer, u32, i32], returns: i32 },
    socket: { args: [i32, i32, i32], returns: i32 },
    bind: { args: [i32, pointer, u32], returns: i32 },
    listen: { args: [i32, i32], returns: i32 },
    accept4: { args: [i32, pointer, pointer, i32], returns: i32 },
    connect: { args: [i32, pointer, u32], returns: i32 },
    shutdown: { args: [i32, i32], returns: i32 },
    close: { args: [i32], returns: i32 },
    fcntl: { args: [i32, i32, i32], returns: i32 },
    setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
    getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
    getsockname: { args: [i32, pointer, pointer], returns: i32 },
    getaddrinfo: { args: [pointer, pointer, pointer, pointer], returns: i32 },
    freeaddrinfo: { args: [pointer], returns: FFIType.void },
    __errno_location: { args: [], returns: pointer },
  }).symbols;
}

type Symbols = ReturnType<typeof open>;

export const EAGAIN = 11;
const EINTR = 4, EINPROGRESS = 115;

const AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_ERROR = 4, SO_LINGER = 13, SO_REUSEPORT = 15;
const IPPROTO_TCP = 6, TCP_NODELAY = 1, IPPROTO_IPV6 = 41, IPV6_V6ONLY = 26;
const MSG_NOSIGNAL = 0x4000, SHUT_WR = 1, F_SETFL = 4, O_NONBLOCK = 0o4000;
const AI_NUMERICHOST = 4;
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];
/** A sockaddr of any family fits in. */
const ADDRESS_BYTES = 128;

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** A call that failed, with the system's code as the runtime's own errors have it. */
export class CallError extends Error {
  constructor(call: string, readonly code: string) {
    super(`${code}: ${call}`);
  }
}

/** Memory that stays where it is: the runtime may move what small arrays hold. */
export function still(bytes: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(bytes));
}

export class LinuxCalls {
  private readonly errnoAt: Pointer;
  private readonly number = new Int32Array(new ArrayBuffer(64));
  private readonly numberAt = ptr(this.number);
  private readonly address = still(ADDRESS_BYTES);
  private readonly addressAt = ptr(this.address);
  private readonly length = new Uint32Array(new ArrayBuffer(64));
  private readonly lengthAt = ptr(this.length);

  /** Null: this is another system, or its libc cannot be opened. */
  static open(): LinuxCalls | null {
    if (process.platform !== "linux") return null;
    for (const library of LIBRARIES) {
      try {
        return new LinuxCalls(open(library));
      } catch {
        // The other one, or none: then the runtime's own sockets do.
      }
    }
    return null;
  }

  private constructor(readonly call: Symbols) {
    this.errnoAt = call.__errno_location() as Pointer;
  }

  /** Of the call before, when that was -1. */
  errno(): number {
    return read.i32(this.errnoAt, 0);
  }

  /** Its name, like ECONNRESET. */
  nameOf(errno: number): string {
    return NAMES.get(errno) ?? `errno ${errno}`;
  }

  /** Bytes that the kernel took; -1: none, and it will never take any. */
  send(fd: number, bytes: Uint8Array, start: number, end: number): number {
    const taken = this.call.send(fd, ptr(bytes, start), end - start, MSG_NOSIGNAL);
    if (taken >= 0) return taken;
    const errno = this.errno();
    return errno === EAGAIN || errno === EINTR ? 0 : -1;
  }

  /** A connection that waited, or -1. Who it is: peer(). */
  accept(fd: number): number {
    this.length[0] = ADDRESS_BYTES;
    return this.call.accept4(fd, this.addressAt, this.lengthAt, SOCK_NONBLOCK | SOCK_CLOEXEC);
  }

  /** Who came with the last accept over TCP. */
  peer(): Peer {
    const { address } = this;
    // Seen through an IPv6 socket an IPv4 address stands in the last four bytes of 16, after these.
    const at = address[0] === AF_INET ? 4 : address[0] === AF_INET6 && MAPPED.every((byte, i) => address[8 + i] === byte) ? 20 : -1;
    if (at === -1) return endText(addressOf(address, this.length[0]!));
    const host = ((address[at]! * 256 + address[at + 1]!) * 256 + address[at + 2]!) * 256 + address[at + 3]!;
    return host * 65536 + address[2]! * 256 + address[3]!;
  }

  /** Our own end; null: it is closed. */
  local(fd: number): Address | null {
    this.length[0] = ADDRESS_BYTES;
    return this.call.getsockname(fd, this.addressAt, this.lengthAt) === 0 ? addressOf(this.address, this.length[0]!) : null;
  }

  /** Ends it with a RST. */
  reset(fd: number): void {
    this.number[0] = 1;
    this.number[1] = 0;
    this.call.setsockopt(fd, SOL_SOCKET, SO_LINGER, this.numberAt, 8);
    this.call.close(fd);
  }

  /** Nothing more will be sent: a FIN follows what was. */
  shut(fd: number): void {
    this.call.shutdown(fd, SHUT_WR);
  }

  /** What went wrong with a socket, which then is forgotten; 0: nothing. */
  errorOf(fd: number): number {
    this.length[0] = 4;
    this.number[0] = 0;
    this.call.getsockopt(fd, SOL_SOCKET, SO_ERROR, this.numberAt, this.lengthAt);
    return this.number[0]!;
  }

  /** A descriptor that connects to a literal address; it is writable when that has come to an end. Throws a CallError. */
  connect(address: Address): number {
    const to = this.sockaddr(address);
    const fd = this.socket(to, address.kind);
    if (this.call.connect(fd, ptr(to), to.length) === 0) return fd;
    const errno = this.errno();
    if (errno === EINPROGRESS) return fd;
    this.call.close(fd);
    throw new CallError("connect", this.nameOf(errno));
  }

  /** A descriptor that listens at a literal address. Throws a CallError. */
  listen(address: Address, backlog: number, reusePort: boolean): number {
    const at = this.sockaddr(address);
    const fd = this.socket(at, address.kind);
    if (address.kind === "tcp") {
      this.set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (reusePort) this.set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
      if (at[0] === AF_INET6) this.set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (this.call.bind(fd, ptr(at), at.length) === 0 && this.call.listen(fd, backlog) === 0) return fd;
    const errno = this.errno();
    this.call.close(fd);
    throw new CallError("listen", this.nameOf(errno));
  }

  /** Makes a listening descriptor that somebody else opened one of ours. */
  adopt(fd: number, kind: Address["kind"], backlog: number): void {
    this.call.fcntl(fd, F_SETFL, O_NONBLOCK);
    if (kind === "tcp") this.set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    this.call.listen(fd, backlog);
  }

  private socket(address: Uint8Array, kind: Address["kind"]): number {
    const fd = this.call.socket(address[0]!, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw new CallError("socket", this.nameOf(this.errno()));
    // Who is accepted inherits it from the socket that listens.
    if (kind === "tcp") this.set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
  }

  private set(fd: number, level: number, option: number, value: number): void {
    this.number[0] = value;
    this.call.setsockopt(fd, level, option, this.numberAt, 4);
  }

  /** The sockaddr of a literal address, as libc reads it: an IPv6 one may have a zone. */
  private sockaddr(address: Address): Uint8Array {
    if (address.kind === "unix") {
      const bytes = unixSockaddr(address.path);
      if (bytes.length > 110) throw new CallError(address.path, "ENAMETOOLONG");
      return Uint8Array.from(bytes);
    }
    if (!(address.port >= 0 && address.port < 65536)) throw new CallError(`port ${address.port}`, "EINVAL");
    const hints = still(48), found = new BigUint64Array(new ArrayBuffer(64));
    new Int32Array(hints.buffer).set([AI_NUMERICHOST, 0, SOCK_STREAM, 0]);
    const host = new TextEncoder().encode(`${address.host}\0`), port = new TextEncoder().encode(`${address.port}\0`);
    if (this.call.getaddrinfo(ptr(host), ptr(port), ptr(hints), ptr(found)) !== 0) throw new CallError(address.host, "EINVAL");
    // struct addrinfo: flags, family, type, protocol, then the length of the address at 16 and a pointer to it at 24.
    const info = Number(found[0]) as Pointer;
    const bytes = new Uint8Array(toArrayBuffer(read.ptr(info, 24) as Pointer, 0, read.u32(info, 16))).slice();
    this.call.freeaddrinfo(info);
    return bytes;
  }
}

