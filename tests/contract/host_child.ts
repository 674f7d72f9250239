// The program that the host's tests run as a child on each runtime: one word says what it does with its platform.
// It speaks in lines on stdout and is asked by signals.
import type { Address, ListenOptions, Platform, Socket, SocketHandlers } from "../../src/platform/platform.ts";

const OPTIONS: ListenOptions = { backlog: 512, reusePort: false, unixMode: 0o700 };
/** A child whose parent forgot it ends by itself, ms. */
const LIFE_MS = 60_000;

export function runChild(platform: Platform, args: readonly string[]): void {
  const { host, clock } = platform;
  const [command, first = "", second] = args;
  const say = (value: unknown): void => host.stdout(`${JSON.stringify(value)}\n`);
  clock.timer(LIFE_MS, () => host.exit(9));
  switch (command) {
    case "become":
      return say(host.becomeUser(first, second ?? null));
    case "become twice":
      return say([host.becomeUser(first, null), host.becomeUser("root", null)]);
    case "print": // Much text and then an exit at once: nothing may be lost.
      host.stdout("x".repeat(Number(first)));
      host.stderr("last words\n");
      return host.exit(3);
    case "terminal":
      say([host.isTerminal("stdout"), host.isTerminal("stderr")]);
      return host.exit(0);
    case "signals":
      for (const name of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT"] as const) host.onSignal(name, () => say(name));
      host.onSignal("SIGTERM", () => host.exit(7));
      return say("ready");
    case "spawn":
      say(host.spawnSelfDetached(["daemon", first], second ?? null));
      return host.exit(0);
    case "daemon":
      host.stdout("on stdout\n");
      host.stderr("on stderr\n");
      host.writeText(first, `${host.pid}\n`);
      return;
    case "dial": // Connects to host:port at each SIGUSR1 and says whom it reached.
      host.onSignal("SIGUSR1", () => dial(platform, { kind: "tcp", host: first, port: Number(second) }, say));
      return say("ready");
    case "notify":
      say(host.notify(first));
      return host.exit(0);
    case "inherited":
      return inherited(platform, say);
    case "echo":
      return echo(platform, say);
    default:
      host.stderr(`no command ${command}\n`);
      host.exit(2);
  }
}

function dial(platform: Platform, address: Address, say: (value: unknown) => void): void {
  let opened: Socket | null = null;
  platform.net.connect(address, 5000, {
    onOpen(socket) {
      opened = socket;
      say(socket.remote);
      socket.abort();
    },
    onData() {},
    onDrain() {},
    onEnd() {},
    onClose(cause) {
      if (opened === null) say(cause);
    },
  });
}

/** Says which sockets it was started with, and what becomes of listening on the first; answers one connection with "hello". */
function inherited(platform: Platform, say: (value: unknown) => void): void {
  const [address] = platform.host.inherited;
  say(platform.host.inherited);
  if (address === undefined) return platform.host.exit(0);
  platform.net.listen(address, { ...OPTIONS, inherited: 0 }, {
    onListening: (listener) => say(listener.address),
    onAccept: () => ({
      onOpen(socket) {
        socket.write(new TextEncoder().encode("hello"), 0, 5);
        socket.finish(1000);
      },
      onData() {},
      onDrain() {},
      onEnd() {},
      onClose: () => platform.host.exit(0),
    }),
    onClose: (_cause, detail) => {
      say(detail);
      platform.host.exit(0);
    },
  });
}

/** Serves echo on a port that it says; at SIGUSR1 says how many it accepted and has, and its CPU seconds. */
function echo(platform: Platform, say: (value: unknown) => void): void {
  let accepted = 0;
  let open = 0;
  const owner = (): SocketHandlers => {
    let socket: Socket;
    accepted++;
    open++;
    return {
      onOpen: (opened) => void (socket = opened),
      onData: (bytes) => void socket.write(bytes, 0, bytes.length),
      onDrain() {},
      onEnd: () => socket.finish(1000),
      onClose: () => void open--,
    };
  };
  platform.net.listen({ kind: "tcp", host: "127.0.0.1", port: 0 }, OPTIONS, {
    onListening: (listener) => say(listener.address),
    onAccept: owner,
    onClose: (cause, detail) => say({ cause, detail }),
  });
  platform.host.onSignal("SIGUSR1", () => {
    const { user, system } = platform.host.cpuSeconds();
    say({ accepted, open, cpu: user + system, fdLimit: platform.host.fdLimit() });
  });
}
