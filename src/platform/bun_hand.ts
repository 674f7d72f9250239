// Descriptors that go to a child while it runs: by SCM_RIGHTS over a pair of sockets, for which Bun has no name. Linux
// only: elsewhere the structs are others, and a child keeps to what it was started with.
import process from "node:process";
import { ptr } from "bun:ffi";

const AF_UNIX = 1, SOCK_SEQPACKET = 5, SOCK_NONBLOCK = 0x800, SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1, SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000;
/** Descriptors in one message; the kernel takes 253. */
const AT_ONCE = 250;
/** Where the parts of a message lie, bytes: struct msghdr, struct iovec, the number, struct cmsghdr, the descriptors. */
const VECTOR_AT = 56, NUMBER_AT = 72, CONTROL_AT = 80, FDS_AT = 96;
/** Within struct msghdr. */
const IOV_AT = 16, IOVLEN_AT = 24, CONTROL_POINTER_AT = 32, CONTROL_LENGTH_AT = 40;

export interface HandCalls {
  socketpair(family: number, type: number, protocol: number, pair: Int32Array): number;
  sendmsg(fd: number, message: Uint8Array, flags: number): number;
  recvmsg(fd: number, message: Uint8Array, flags: number): number;
  close(fd: number): number;
}

/** One number, and descriptors beside it: all in one piece of memory, which points to itself. */
class Message {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  /** fds: how many there is room for. */
  constructor(number: number, private readonly fds: number) {
    const memory = new ArrayBuffer(FDS_AT + ((4 * fds + 7) & ~7));
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
    const at = BigInt(ptr(this.bytes));
    this.view.setBigUint64(IOV_AT, at + BigInt(VECTOR_AT), true);
    this.view.setBigUint64(IOVLEN_AT, 1n, true);
    this.view.setBigUint64(VECTOR_AT, at + BigInt(NUMBER_AT), true);
    this.view.setBigUint64(VECTOR_AT + 8, 4n, true);
    this.view.setUint32(NUMBER_AT, number, true);
    if (fds === 0) return;
    this.view.setBigUint64(CONTROL_POINTER_AT, at + BigInt(CONTROL_AT), true);
    this.view.setBigUint64(CONTROL_LENGTH_AT, BigInt(memory.byteLength - CONTROL_AT), true);
  }

  /** As many as there is room for. */
  with(fds: readonly number[]): this {
    this.view.setBigUint64(CONTROL_AT, BigInt(FDS_AT - CONTROL_AT + 4 * fds.length), true);
    this.view.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
    this.view.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
    fds.forEach((fd, index) => this.view.setInt32(FDS_AT + 4 * index, fd, true));
    return this;
  }

  get number(): number {
    return this.view.getUint32(NUMBER_AT, true);
  }

  /** Those that have come with it. */
  get found(): number[] {
    if (this.view.getBigUint64(CONTROL_LENGTH_AT, true) === 0n) return [];
    const count = Math.min(this.fds, (Number(this.view.getBigUint64(CONTROL_AT, true)) - (FDS_AT - CONTROL_AT)) / 4);
    return Array.from({ length: count }, (_, index) => this.view.getInt32(FDS_AT + 4 * index, true));
  }
}

/** The parent's end. */
export class Hand {
  private constructor(private readonly calls: HandCalls, private readonly ours: number, readonly theirs: number) {}

  /** Null: not on this system. */
  static open(calls: HandCalls | null): Hand | null {
    if (process.platform !== "linux" || calls === null) return null;
    const pair = new Int32Array(2);
    return calls.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) === 0 ? new Hand(calls, pair[0]!, pair[1]!) : null;
  }

  /** The child has its end; it was started with so many ports. */
  started(ports: number): void {
    this.calls.close(this.theirs);
    this.send(new Message(ports, 0));
  }

  /** Their places are from this one on; false: they cannot be given. */
  give(place: number, fds: readonly number[]): boolean {
    for (let from = 0; from < fds.length; from += AT_ONCE) {
      const some = fds.slice(from, from + AT_ONCE);
      if (!this.send(new Message(place + from, some.length).with(some))) return false;
    }
    return true;
  }

  private send({ bytes }: Message): boolean {
    return this.calls.sendmsg(this.ours, bytes, MSG_NOSIGNAL) >= 0;
  }

  close(): void {
    this.calls.close(this.ours);
  }
}

/** The child's end, at this descriptor; what it was started with stands from first on. */
export class Taken {
  private readonly given = new Map<number, number>();
  /** How many it was started with. */
  private count = process.platform === "linux" ? 0 : Infinity;
  private told = false;

  constructor(private readonly calls: HandCalls | null, private readonly hand: number, private readonly first: number) {}

  /** The descriptor of the port at a place; -1: there is none. */
  at(place: number): number {
    this.read();
    return this.given.get(place) ?? (place < this.count ? this.first + place : -1);
  }

  drop(place: number): void {
    const fd = this.at(place);
    this.given.set(place, -1);
    if (fd >= 0) this.calls?.close(fd);
  }

  private read(): void {
    if (process.platform !== "linux" || this.calls === null) return;
    for (;;) {
      const message = new Message(0, AT_ONCE);
      if (this.calls.recvmsg(this.hand, message.bytes, MSG_CMSG_CLOEXEC) <= 0) return;
      const from = message.number;
      if (!this.told) this.count = from;
      else message.found.forEach((fd, index) => this.given.set(from + index, fd));
      this.told = true;
    }
  }
}
