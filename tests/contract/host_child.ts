// The program that the host's tests run as a child on each runtime: one word says what it does with its platform.
// It speaks in lines on stdout and is asked by signals.
import type { Address, Listener, ListenOptions, Platform, Port, Socket, SocketHandlers } from "../../src/platform/platform.ts";

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
      return say(host.becomeUser(first, second ?? null, args.slice(3)));
    case "become twice":
      return say([host.becomeUser(first, null, []), host.becomeUser("root", null, [])]);
    case "print": // Much text and then an exit at once: nothing may be lost.
      host.stdout("x".repeat(Number(first)));
      host.stderr("last words\n");
      return host.exit(3);
    case "append":
      return append(platform, first, say);
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
    case "datagram":
      say(host.datagram(first, second ?? ""));
      return host.exit(0);
    case "inherited":
      return inherited(platform, say);
    case "echo":
      return echo(platform, say);
    case "crew":
      return superviseChild(platform, { kind: "unix", path: first }, say);
    case "crew child":
      return workInCrew(platform);
    default:
      host.stderr(`no command ${command}\n`);
      host.exit(2);
  }
}

/** Writes to a file, renames it, writes on, and begins a new one at its place; an exit follows at once. */
function append({ host }: Platform, path: string, say: (value: unknown) => void): never {
  const opened = host.openAppend(path);
  if (!opened.ok) throw new Error(opened.reason);
  const found = opened.file.size;
  const places = [opened.file.isAt(path), opened.file.isAt(`${path}.1`)];
  opened.file.write("two é\n");
  const renamed = host.renameFile(path, `${path}.1`);
  opened.file.write("three\n");
  places.push(opened.file.isAt(path), opened.file.isAt(`${path}.1`));
  const next = host.openAppend(path);
  if (next.ok) next.file.write("new\n");
  places.push(opened.file.isAt(path));
  say([places.join(" "), found, opened.file.size, renamed.ok, host.renameFile(`${path}.9`, path).ok, host.openAppend(`${path}/x`).ok]);
  return host.exit(0);
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

/** Opens a TCP address as two ports and a unix socket as one, starts a child that shares them, and says what it hears. */
function superviseChild(platform: Platform, unix: Address, say: (value: unknown) => void): void {
  const { crew, host } = platform;
  const options = { backlog: 64, unixMode: 0o600, count: 2, inherited: [] };
  if (crew.refusal !== "") {
    return crew.open({ kind: "tcp", host: "127.0.0.1", port: 0 }, options, (outcome) => {
      say({ refusal: crew.refusal, opened: outcome.ok });
      startOne(platform, [], say);
    });
  }
  crew.open({ kind: "tcp", host: "127.0.0.1", port: 0 }, options, (tcp) => {
    if (!tcp.ok) return say(tcp);
    crew.open(tcp.ports[0]!.address, options, (again) => {
      crew.open(unix, options, (path) => {
        if (!path.ok) return say(path);
        say({ addresses: [...tcp.ports, ...path.ports].map(({ address }) => address), again: again.ok ? "open" : again.cause });
        startOne(platform, [...tcp.ports, ...path.ports], say);
      });
    });
  });
  host.onSignal("SIGUSR2", () => host.exit(0));
}

function startOne(platform: Platform, ports: readonly Port[], say: (value: unknown) => void): void {
  const started = platform.crew.start(["crew child"], ports, {
    onText: (text) => say({ text: text.length > 1000 ? text.length : text }),
    onGone: (code) => say({ gone: code }),
  });
  if (!started.ok) return say(started);
  say({ child: started.child.pid });
  for (const text of ["1", "2", `3${"x".repeat(3_000_000)}`, "4"]) started.child.send(text);
  let asked = 0;
  // accept from both TCP ports · leave the first · accept from it again, and from the unix socket · from two that it is
  // given then · let go of these, as we do · end
  const steps = ["accept 0 1", "leave 0", "accept 0 2", "give", "drop 3 4", "exit 5"];
  let more: readonly Port[] = [];
  platform.host.onSignal("SIGUSR1", () => {
    const step = steps[asked++] ?? "";
    for (const port of step.startsWith("drop") ? more : []) port.close();
    if (step !== "give") return started.child.send(step);
    platform.crew.open({ kind: "tcp", host: "127.0.0.1", port: 0 }, { backlog: 64, unixMode: 0o600, count: 2, inherited: [] }, (opened) => {
      more = opened.ok ? opened.ports : [];
      say({ given: started.child.give(3, more), port: more.map(({ address }) => (address.kind === "tcp" ? address.port : 0))[0] });
      started.child.send("accept 3 4");
    });
  });
  platform.host.onSignal("SIGTERM", () => started.child.kill());
}

/** Says back what it is told; greets whoever connects to a port that it was told to accept from. */
function workInCrew(platform: Platform): void {
  const listeners = new Map<string, Listener>();
  const channel = platform.crew.parent({
    onText: (text) => {
      const [word, ...places] = text.split(" ");
      if (word === "exit") return platform.host.exit(Number(places[0]));
      if (word === "leave") {
        listeners.get(places[0]!)!.close();
        return channel!.send("left");
      }
      if (word === "drop") {
        for (const place of places) {
          listeners.get(place)!.close();
          platform.crew.drop(Number(place));
        }
        return channel!.send("dropped");
      }
      if (word !== "accept") return channel!.send(text.length > 1000 ? `${text[0]} ${text.length}` : text);
      for (const place of places) {
        platform.crew.accept(Number(place), { kind: place === "2" ? "unix" : "tcp", host: "127.0.0.1", port: 1, path: "" } as Address, 64, {
          onListening: (listener) => {
            listeners.set(place, listener);
            channel!.send(`accepting ${place}`);
          },
          onAccept: () => greet(place),
          onClose: (cause) => channel!.send(`closed ${cause}`),
        });
      }
    },
    onGone: () => platform.host.exit(6),
  });
  if (channel === null) platform.host.exit(8);
}

function greet(place: string): SocketHandlers {
  const bytes = Uint8Array.from(`${place}\n`, (c) => c.charCodeAt(0));
  return {
    onOpen: (socket) => {
      socket.write(bytes, 0, bytes.length);
      socket.finish(1000);
    },
    onData() {}, onDrain() {}, onEnd() {}, onClose() {},
  };
}
