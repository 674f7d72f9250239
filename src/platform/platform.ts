// THE CUT. Everything that touches the world (sockets, clock, dice, files, process) stands behind these
// interfaces; the core imports nothing else. Types and sentences only, no code. Each sentence marked "¶" is a
// named test in tests/contract, run against every implementation: bun.ts, deno.ts and the simulator.

/** Where a socket listens or connects. A tcp host is a name or a literal address without brackets. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** Why a socket (or an attempt to make one) ended. The closed list that every adapter maps its runtime's errors to. */
export type CloseCause =
  | "ended" // both directions finished in order
  | "reset" // the peer sent RST, or writing to it failed
  | "refused" // nothing listens there
  | "unreachable" // no route, host or network down
  | "not_found" // the host name or the socket path does not exist
  | "timeout" // the connect or finish deadline passed
  | "aborted" // we called abort()
  | "in_use" // listen: the address is taken
  | "denied" // listen or connect: not permitted
  | "failed"; // anything else; the detail says what

export interface Socket {
  /**
   * ¶ write offers bytes[start, end) and returns how many were taken, 0 to all; the bytes are not kept.
   * ¶ When fewer than offered were taken, exactly one onDrain follows unless onClose comes first.
   * ¶ After close it takes 0 and does nothing.
   */
  write(bytes: Uint8Array, start: number, end: number): number;
  /** ¶ No onData while paused; bytes wait in the kernel. Idempotent. */
  pause(): void;
  /** ¶ resume delivers what waited. Idempotent. */
  resume(): void;
  /**
   * ¶ finish sends FIN once every taken byte has left and never truncates; what still arrives is discarded.
   * ¶ A peer that does not close in its turn within deadlineMs is ended with cause "timeout".
   */
  finish(deadlineMs: number): void;
  /** ¶ abort ends the connection now with a RST (bytes the peer has not read are lost); idempotent. */
  abort(): void;
  /** The peer as text: "10.0.0.1:53124", "[::1]:53124" or "unix". ¶ Told after the end too. */
  readonly remote: string;
  /** Our own address as text, as the peer sees it: "10.0.0.9:40112"; "unix" for a unix socket. */
  readonly local: string;
}

/** What has come. With a home it may be given back there, once, when nobody needs any of it; whoever still reads it then finds nothing. */
export interface Received extends Uint8Array {
  home?: { back(bytes: Uint8Array): void };
}

/**
 * What one connection's owner hears.
 * ¶ No handler is called from inside write, connect, listen, finish, abort, pause or resume.
 */
export interface SocketHandlers {
  /** ¶ onOpen comes once and before any other handler but onClose. */
  onOpen(socket: Socket): void;
  /** ¶ The bytes belong to the handler: the platform never touches them again, unless they are given back. Never empty. */
  onData(bytes: Received): void;
  /** See Socket.write. */
  onDrain(): void;
  /** ¶ The peer sent FIN; we may still write. At most once. */
  onEnd(): void;
  /** ¶ onClose comes exactly once and last. detail is free text for the log. */
  onClose(cause: CloseCause, detail: string): void;
}

export interface Listener {
  /** The bound address; port 0 was replaced by the real one. */
  readonly address: Address;
  /** ¶ close stops accepting and keeps accepted connections. Idempotent. */
  close(): void;
}

export interface ListenHandlers {
  onListening(listener: Listener): void;
  /** A new connection; returns its owner. Called before the owner's onOpen. */
  onAccept(): SocketHandlers;
  /** ¶ A failed listen reports onClose, once, with a cause, and never throws. */
  onClose(cause: CloseCause, detail: string): void;
}

export interface ListenOptions {
  /** Connections the kernel may hold before accept. */
  readonly backlog: number;
  /** Several processes share the port; the kernel spreads connections. */
  readonly reusePort: boolean;
  /** Permission bits of a unix socket, for example 0o700. */
  readonly unixMode: number;
  /**
   * ¶ Which of Host.inherited is listened on, by its index, in place of a new socket. Without one, or null: a new one. A
   * runtime that cannot take it over reports onClose.
   */
  readonly inherited?: number | null;
}

export interface Net {
  /**
   * ¶ listen never throws and never rejects: the outcome is onListening, or onClose with a cause.
   * ¶ A stale unix socket file (nobody answers) is replaced; a live one is "in_use".
   */
  listen(address: Address, options: ListenOptions, handlers: ListenHandlers): void;
  /**
   * ¶ connect never throws and never rejects: the outcome is onOpen, or onClose with a cause within deadlineMs
   * ("timeout"). Host names are asked anew at each call. Returns a way to give up early (then onClose "aborted").
   */
  connect(address: Address, deadlineMs: number, handlers: SocketHandlers): Attempt;
}

export interface Attempt {
  /** Gives up a pending connect; does nothing once onOpen or onClose has come. */
  abort(): void;
}

export interface Timer {
  /** ¶ A cancelled timer never fires. Idempotent. */
  cancel(): void;
}

export interface Clock {
  /** ¶ nowMs is monotonic, in milliseconds with a fraction, from an arbitrary start. */
  nowMs(): number;
  /** Seconds since 1970 as the wall shows it, with a fraction: only for what people and memcached read. */
  wallSeconds(): number;
  /** ¶ timer fires once, not before ms have passed. */
  timer(ms: number, fire: () => void): Timer;
}

export interface Random {
  /** An integer in [0, 2^32). */
  u32(): number;
}

/** A file that grows. */
export interface AppendFile {
  /** Bytes in it, as far as we wrote them or found them. */
  readonly size: number;
  /** ¶ Whether that is its path: nobody has moved, removed or replaced it. */
  isAt(path: string): boolean;
  /** ¶ All of the text is in the file when it returns; what the disk does not take is lost. */
  write(text: string): void;
  close(): void;
}

/**
 * Files that survive us, and the loss of power. ¶ Neither of create, append, rename and remove holds the process up: what
 * they did they tell done later, null, or why it could not be done. They happen in the order in which they were asked for.
 */
export interface Files {
  /** Names of what lies in a directory. */
  list(directory: string): { ok: true; names: readonly string[] } | { ok: false; reason: string };
  read(path: string): { ok: true; text: string } | { ok: false; reason: string };
  /** ¶ create makes a file of this text, with mode 0600, or replaces what it held; it is on the disk when done comes. */
  create(path: string, text: string, done: (reason: string | null) => void): void;
  /** ¶ append puts text at the end of a file that exists; it is on the disk when done comes. */
  append(path: string, text: string, done: (reason: string | null) => void): void;
  /** ¶ rename replaces what is at `to` at once: whoever comes after us finds one or the other, whole. */
  rename(from: string, to: string, done: (reason: string | null) => void): void;
  /** ¶ remove takes a file away; that it was not there is no failure. */
  remove(path: string, done: (reason: string | null) => void): void;
}

/** What the program may do to its process. The core never does: only program.ts and cli do. */
export interface Host {
  readonly runtime: string; // "bun 1.4.5", "deno 2.9.6", "sim"
  readonly target: string; // "linux-x64"
  readonly pid: number;
  /** User and system CPU seconds of this process so far. */
  cpuSeconds(): { user: number; system: number };
  /** Resident bytes of this process. */
  residentBytes(): number;
  stdout(text: string): void;
  stderr(text: string): void;
  /** A person looks at it: lines may be drawn over. */
  isTerminal(stream: "stdout" | "stderr"): boolean;
  readText(path: string): { ok: true; text: string } | { ok: false; reason: string };
  writeText(path: string, text: string): { ok: true } | { ok: false; reason: string };
  removeFile(path: string): void;
  /** Replaces what is at `to`. */
  renameFile(from: string, to: string): { ok: true } | { ok: false; reason: string };
  /** ¶ Opens a file to append to, made with mode 0644 when missing, and keeps it open: it may be renamed meanwhile. */
  openAppend(path: string): { ok: true; file: AppendFile } | { ok: false; reason: string };
  env(name: string): string | undefined;
  onSignal(name: "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGUSR1" | "SIGUSR2", run: () => void): void;
  exit(code: number): never;
  /**
   * ¶ The listening sockets that a service manager started this process with (LISTEN_FDS), by their addresses; a wildcard
   * is 0.0.0.0 or ::. Empty when there are none or the runtime cannot say.
   */
  readonly inherited: readonly Address[];
  /**
   * ¶ datagram sends text as one to the unix socket at path ("@name": Linux's abstract one), as a service manager and the
   * system's log take them. It is sent at once or not at all; ok:false with the reason.
   */
  datagram(path: string, text: string): { ok: true } | { ok: false; reason: string };
  /** Processor cores that this process may use; at least 1. */
  cores(): number;
  /** Soft limit of open files, or 0 when the runtime cannot say. */
  fdLimit(): number;
  /**
   * Becomes user (and group, or the user's primary group) for good, supplementary groups included; of owned those that are
   * files, and no links to some, are that user's from then on. ok:false with the reason when the runtime or the
   * rights do not allow it.
   */
  becomeUser(user: string, group: string | null, owned: readonly string[]): { ok: true } | { ok: false; reason: string };
  /**
   * Starts this same program again, detached from the terminal, with args; ok with its pid. Its stdout and stderr are
   * appended to outputPath (made with mode 0644 when missing), or discarded when null; stdin is empty.
   */
  spawnSelfDetached(
    args: readonly string[],
    outputPath: string | null,
  ): { ok: true; pid: number } | { ok: false; reason: string };
}

/** A socket that listens, with its queue, whether anybody accepts from it or not: processes that it is given to do. */
export interface Port {
  /** The bound address; port 0 was replaced by the real one. */
  readonly address: Address;
  /** ¶ close takes our hold of it; while a process that was given it lives, it goes on listening. Idempotent. */
  close(): void;
}

/** Texts between a process and one that it started. */
export interface Channel {
  /** ¶ send passes a text on; texts arrive whole, once, and in order. After the other side's end it does nothing. */
  send(text: string): void;
}

export interface ChannelHandlers {
  onText(text: string): void;
  /** ¶ In the child: the parent is gone. In the parent: the child is gone, with its exit code, or null by a signal. Last, and once. */
  onGone(code: number | null): void;
}

export interface Child extends Channel {
  readonly pid: number;
  /**
   * ¶ Gives it more ports while it runs: their places are from `place` on, which is behind those that it has, and it can
   * accept from them when it hears what is sent next. False: that cannot be done here.
   */
  give(place: number, ports: readonly Port[]): boolean;
  /** Ends it at once; onGone follows. */
  kill(): void;
}

/** Other processes that run this same program and share its ports. */
export interface Crew {
  /** Why this runtime cannot share ports, in words; "" when it can. */
  readonly refusal: string;
  /**
   * ¶ Binds an address as several ports among which the kernel spreads connections (a unix socket: one), and accepts
   * from none of them: connections wait. An address in use is told as listen tells it. inherited: those of Host.inherited
   * that are bound to it already, which the ports then stand for.
   */
  open(
    address: Address,
    options: { readonly backlog: number; readonly unixMode: number; readonly count: number; readonly inherited: readonly number[] },
    done: (outcome: { ok: true; ports: readonly Port[] } | { ok: false; cause: CloseCause; detail: string }) => void,
  ): void;
  /** Starts this program again with args, our output and these ports; it ends when it loses its channel to us. */
  start(args: readonly string[], ports: readonly Port[], handlers: ChannelHandlers): { ok: true; child: Child } | { ok: false; reason: string };
  /** The port of a listener of ours, to be handed on; closing the listener then leaves it open. Null: this runtime cannot. */
  portOf(listener: Listener): Port | null;
  /**
   * Starts this program again from its file as it is by now, with our output, to take our place: the ports are its
   * Host.inherited, and it goes on when we are gone.
   */
  startHeir(args: readonly string[], ports: readonly Port[], handlers: ChannelHandlers): { ok: true; child: Child } | { ok: false; reason: string };
  /** The channel to whoever started us with start or startHeir; null when nobody did. Asked for once. */
  parent(handlers: ChannelHandlers): Channel | null;
  /**
   * In a process that was given ports: accepts from one, by its place among them. backlog: as it was opened with. ¶ close
   * stops accepting; what waits in the port then waits for others who accept from it, and it can be accepted from again.
   */
  accept(place: number, address: Address, backlog: number, handlers: ListenHandlers): void;
  /** In such a process: lets go of a port that it does not accept from. ¶ When nobody holds it, it listens no more. */
  drop(place: number): void;
}

export interface Platform {
  readonly net: Net;
  readonly crew: Crew;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  readonly files: Files;
  /**
   * ¶ afterTurn runs once after all ready sockets of this turn have been served. That is where batched writes
   * leave. Runs asked for inside a run come in the next turn.
   */
  afterTurn(run: () => void): void;
  /**
   * ¶ copy puts source[start, end) at target[at, …), and nothing else changes. Null: the runtime has no faster way than
   * the language's own.
   */
  readonly copy: ((source: Uint8Array, start: number, end: number, target: Uint8Array, at: number) => void) | null;
}
