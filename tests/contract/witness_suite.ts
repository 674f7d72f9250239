// What platform and peer cannot settle between themselves: the far side here is Python's plain sockets, and the kernel's
// own tables are read. The contract's suite talks to itself, so a mistake made on both sides would pass there.
import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import type { Platform } from "../../src/platform/platform.ts";
import { type Child, python } from "./children.ts";
import { Desk, LOOPBACK } from "./desk.ts";
import { realWorld } from "./real_world.ts";

const MUCH = 12 * 1024 * 1024;

// Accepts one connection and does what each line on stdin says; prints what it saw.
const PEER = `
import socket, sys
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(5); l.settimeout(10)
print(l.getsockname()[1], flush=True)
s, _ = l.accept(); s.settimeout(10)
def drain():
    n, x = 0, 0
    try:
        while True:
            b = s.recv(65536)
            if not b: return "end %d %d" % (n, x)
            n += len(b); x = (x + sum(b)) % 65521
    except ConnectionResetError: return "reset %d" % n
for line in sys.stdin:
    what, _, arg = line.strip().partition(" ")
    if what == "drain": print(drain(), flush=True)
    elif what == "send": s.sendall(b"y" * int(arg)); print("sent", flush=True)
    elif what == "stuff":
        s.setblocking(False); n = 0
        try:
            while True: n += s.send(b"z" * 65536)
        except BlockingIOError: pass
        s.setblocking(True); s.settimeout(10); print(n, flush=True)
    elif what == "bye": s.sendall(b"last words"); s.close(); print("closed", flush=True)
`;

// Connects and resets at once, some after a few bytes.
const GONE = `
import socket, struct, sys
for i in range(40):
    c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if i % 2: c.sendall(b"gone")
    c.close()
`;

// Accepts so late that the deadline of the connect has passed: its queue of one is full until it is told. A connect that
// waits tries again after one second.
const LATE = `
import socket, sys
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(0); l.settimeout(2)
c = socket.create_connection(l.getsockname())
print(l.getsockname()[1], flush=True)
sys.stdin.readline()
l.accept()
try:
    s, _ = l.accept(); s.settimeout(5)
    try: print("end" if s.recv(1) == b"" else "data", flush=True)
    except ConnectionResetError: print("reset", flush=True)
except TimeoutError: print("nobody", flush=True)
`;

export function witnessed(name: string, makePlatform: () => Platform): void {
  const seen = (text: string, body: (desk: Desk, peer: Child) => Promise<unknown>): void =>
    void test(text, async () => {
      const world = await realWorld(makePlatform());
      const desk = new Desk(world);
      const peer = python(PEER);
      try {
        await body(desk, peer);
        expect(desk.violations).toEqual([]);
        desk.endAll();
        await world.until("every socket to be closed", () => desk.allClosed());
      } finally {
        await peer.end();
        await world.done();
      }
    });
  const dial = async (desk: Desk, peer: Child) => {
    const near = desk.connect({ kind: "tcp", host: "127.0.0.1", port: Number(await peer.line()) });
    await desk.world.until("the connection", () => near.opened);
    return near;
  };
  const ask = async (peer: Child, line: string): Promise<string | null> => {
    peer.tell(`${line}\n`);
    return await peer.line();
  };

  describe(`${name}, as others see it`, () => {
    seen("abort is a RST and not a FIN, with nothing unsent and nothing unread", async (desk, peer) => {
      const near = await dial(desk, peer);
      near.socket.abort();
      expect(await ask(peer, "drain")).toBe("reset 0");
    });

    seen("abort takes back what the peer's kernel has not got yet", async (desk, peer) => {
      const near = await dial(desk, peer);
      const bytes = new Uint8Array(MUCH);
      let taken = near.socket.write(bytes, 0, MUCH);
      near.onDrained = () => void (taken += near.socket.write(bytes, 0, MUCH));
      await desk.world.pass(50);
      near.socket.abort();
      const answer = await ask(peer, "drain");
      expect(answer).toMatch(/^reset \d+$/);
      expect(Number(answer!.slice(6))).toBeLessThan(taken);
    });

    seen("finish delivers every byte although the peer's own bytes lie unread", async (desk, peer) => {
      const near = await dial(desk, peer);
      near.socket.pause();
      expect(await ask(peer, "send 50000")).toBe("sent");
      const bytes = new Uint8Array(MUCH).fill(1);
      const taken = near.socket.write(bytes, 0, MUCH);
      near.socket.finish(10_000);
      expect(await ask(peer, "drain")).toBe(`end ${taken} ${taken % 65521}`);
      peer.tell("bye\n");
      await desk.world.until("the end", () => near.closed);
      expect(near.cause).toBe("ended");
    });

    seen("while paused the peer is held up by its kernel, and loses nothing", async (desk, peer) => {
      const near = await dial(desk, peer);
      near.socket.pause();
      const stuffed = Number(await ask(peer, "stuff"));
      await desk.world.pass(30);
      expect(near.received).toBe(0);
      expect(stuffed).toBeLessThan(100 * 1024 * 1024);
      near.socket.resume();
      await desk.world.until("everything", () => near.received === stuffed);
    });

    seen("last words of a peer that is gone are heard before the reset that a write meets", async (desk, peer) => {
      const near = await dial(desk, peer);
      expect(await ask(peer, "bye")).toBe("closed");
      // Written before its end could be heard, as a proxy with a request in hand does.
      near.socket.write(new Uint8Array(10), 0, 10);
      near.socket.write(new Uint8Array(10), 0, 10);
      await desk.world.until("the end of it", () => near.ends === 1 || near.closed);
      expect(new TextDecoder().decode(near.bytes())).toBe("last words");
      near.socket.write(new Uint8Array(10), 0, 10);
      near.socket.write(new Uint8Array(10), 0, 10);
      await desk.world.until("the close", () => near.closed);
      expect(near.cause).toBe("reset");
    });

    seen("the backlog is the one that was asked for", async (desk) => {
      const most = Number(readOr("/proc/sys/net/core/somaxconn", "0"));
      if (most < 1000) return console.log("the backlog did not run: the kernel allows less than 1000, or does not say");
      const listener = await desk.listen(LOOPBACK, { backlog: 1000 });
      const port = listener.address.kind === "tcp" ? listener.address.port : 0;
      let row: string;
      try {
        row = execFileSync("ss", ["-Hltn", `sport = :${port}`], { encoding: "utf8" }).trim();
      } catch {
        return console.log("the backlog did not run: ss is missing");
      }
      expect(row.split(/\s+/)[2]).toBe("1000");
    });

    seen("several listeners share a port with reusePort, and not without", async (desk) => {
      const first = await desk.listen(LOOPBACK, { reusePort: true });
      const second = await desk.listen(first.address, { reusePort: true });
      expect(second.address).toEqual(first.address);
      expect(await desk.listenFails(first.address)).toBe("in_use");
    });

    seen("a unix socket has its permission bits, and is gone when its listener closed", async (desk) => {
      for (const unixMode of [0o700, 0o666]) {
        const path = desk.world.unixPath()!;
        const listener = await desk.listen({ kind: "unix", path }, { unixMode });
        expect(statSync(path).mode & 0o777).toBe(unixMode);
        listener.close();
        await desk.world.pass(5);
        expect(statSync(path, { throwIfNoEntry: false })).toBe(undefined);
      }
    });

    seen("addresses that cannot be are an outcome like any other", async (desk) => {
      const path = desk.world.unixPath()!.padEnd(300, "x");
      for (const address of [{ kind: "tcp", host: "127.0.0.1", port: 70_000 }, { kind: "unix", path }] as const) {
        expect(await desk.listenFails(address)).toBe("failed");
        const peer = desk.connect(address);
        await desk.world.until("the outcome", () => peer.closed);
        expect(peer.cause).toBe("failed");
      }
      expect(await desk.listenFails({ kind: "tcp", host: "no-such-host.invalid", port: 0 })).toBe("not_found");
    });

    seen("a connect that comes through after its deadline is reset, unseen", async (desk) => {
      const peer = python(LATE);
      try {
        const near = desk.connect({ kind: "tcp", host: "127.0.0.1", port: Number(await peer.line()) }, 100);
        await desk.world.until("the deadline", () => near.closed);
        expect(near.cause).toBe("timeout");
        peer.tell("accept\n");
        // Where the runtime can take a connect back there is nothing to accept.
        expect(await peer.line()).toMatch(/^(reset|nobody)$/);
        expect(near.events).toEqual(["close"]);
      } finally {
        await peer.end();
      }
    });

    seen("connections that were reset before they were accepted are ended like any other, and accepting goes on", async (desk) => {
      const listener = await desk.listen(LOOPBACK);
      const port = listener.address.kind === "tcp" ? listener.address.port : 0;
      // While this runs our event loop stands still.
      execFileSync("python3", ["-c", GONE, String(port)]);
      await desk.world.pass(50);
      const late = desk.connect(listener.address);
      await desk.world.until("the living one", () => late.opened && desk.accepted.at(-1)?.opened === true && !desk.accepted.at(-1)!.closed);
      const gone = desk.accepted.slice(0, -1);
      await desk.world.until("the ends of the others", () => gone.every((one) => one.closed));
      for (const one of gone) expect([one.cause, one.detail.includes("TypeError")]).toEqual(["reset", false]);
    });

    seen("a file that is not a socket is never replaced", async (desk) => {
      const path = desk.world.unixPath()!;
      writeFileSync(path, "precious");
      expect(await desk.listenFails({ kind: "unix", path })).toBe("in_use");
      expect(readFileSync(path, "utf8")).toBe("precious");
    });

    seen("a handler that throws ends its own connection with its reason, and no other", async (desk) => {
      const [, other] = await desk.pair(LOOPBACK);
      for (const when of ["data", "end", "drain"] as const) {
        const [near, far] = await desk.pair(LOOPBACK);
        const fail = (): never => {
          throw new Error(`thrown in ${when}`);
        };
        far.onBytes = far.onEnded = far.onDrained = null;
        if (when === "data") far.onBytes = fail;
        if (when === "end") far.onEnded = fail;
        if (when === "drain") far.onDrained = fail;
        if (when === "data") near.socket.write(new Uint8Array(5), 0, 5);
        if (when === "end") near.socket.finish(1000);
        if (when === "drain") far.socket.write(new Uint8Array(MUCH), 0, MUCH);
        await desk.world.until(`the end after ${when}`, () => far.closed && near.closed);
        expect(far.cause).toBe("failed");
        expect(far.detail).toContain(`thrown in ${when}`);
      }
      expect(other.closed).toBe(false);
    });
  });
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
