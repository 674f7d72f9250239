// What processes of one crew share, seen from outside: a child of the contract's tests starts a child of its own.
import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Child } from "./children.ts";

interface Addresses {
  readonly addresses: readonly { readonly kind: string; readonly port: number }[];
  readonly again: string;
}

/** child is the command line that runs host_child.ts; shares says whether this runtime can share ports. */
export function crewContract(name: string, child: readonly string[], shares: boolean): void {
  const within = (text: string, body: (one: Child, path: string) => Promise<void>): void =>
    void test(text, async () => {
      const dir = mkdtempSync(join(tmpdir(), "tandem-crew-"));
      const one = new Child([...child, "crew", join(dir, "socket")]);
      try {
        await body(one, join(dir, "socket"));
      } finally {
        await one.end();
        rmSync(dir, { recursive: true });
      }
    }, 30_000);

  /** The child's pid, once all four first texts have come back. */
  const greeted = async (one: Child): Promise<number> => {
    const { child: pid } = (await one.json()) as { child: number };
    for (const text of ["1", "2", "3 3000001", "4"]) expect(await one.json()).toEqual({ text });
    return pid;
  };

  describe(`${name}: Crew`, () => {
    within("texts arrive whole, once and in order, and the end of the child is told with its code", async (one) => {
      if (!shares) expect(await one.json()).toEqual({ refusal: "Deno cannot accept from a socket that it is given: run the compiled binary, or on Bun", opened: false });
      else await one.json();
      await greeted(one);
      one.signal("SIGTERM");
      expect(await one.json()).toEqual({ gone: null });
    });

    within("a child hears that its parent is gone, however it went", async (one) => {
      await one.json();
      const pid = await greeted(one);
      one.signal("SIGKILL");
      await one.exit();
      for (let tries = 0; runs(pid); tries++) {
        if (tries > 500) throw new Error(`${pid} lives on`);
        await new Promise((resolve) => setTimeout(resolve, 10)); // nobody tells us of another's child
      }
    });

    within("connections wait in a port until somebody accepts, are accepted by who was told to, and stay in the port when he leaves; so it is with ports that he is given later", async (one, path) => {
      if (!shares) return console.log("ports are not shared on this runtime");
      const { addresses, again } = (await one.json()) as Addresses;
      expect(addresses.map(({ kind }) => kind)).toEqual(["tcp", "tcp", "unix"]);
      expect(addresses[0]!.port).toBe(addresses[1]!.port);
      expect(again).toBe("in_use");
      await greeted(one);
      const { port } = addresses[0]!;
      const early = await Promise.all(Array.from({ length: 40 }, () => knock(port)));
      one.signal("SIGUSR1");
      expect([await one.json(), await one.json()].map((said) => (said as { text: string }).text).sort()).toEqual(["accepting 0", "accepting 1"]);
      const answers = await Promise.all(early.map(({ answer }) => answer));
      expect(new Set(answers)).toEqual(new Set(["0", "1"]));
      one.signal("SIGUSR1");
      expect(await one.json()).toEqual({ text: "left" });
      const late = await Promise.all(Array.from({ length: 40 }, () => knock(port)));
      const unix = await knock(path);
      one.signal("SIGUSR1");
      expect([await one.json(), await one.json()].map((said) => (said as { text: string }).text).sort()).toEqual(["accepting 0", "accepting 2"]);
      expect(new Set(await Promise.all(late.map(({ answer }) => answer)))).toEqual(new Set(["0", "1"]));
      expect(await unix.answer).toBe("2");
      one.signal("SIGUSR1");
      const { given, port: other } = (await one.json()) as { given: boolean; port: number };
      expect(given).toBe(process.platform === "linux");
      if (!given) return;
      const first = await Promise.all(Array.from({ length: 40 }, () => knock(other)));
      expect([await one.json(), await one.json()].map((said) => (said as { text: string }).text).sort()).toEqual(["accepting 3", "accepting 4"]);
      expect(new Set(await Promise.all(first.map(({ answer }) => answer)))).toEqual(new Set(["3", "4"]));
      one.signal("SIGUSR1");
      expect(await one.json()).toEqual({ text: "dropped" });
      expect(await knock(other).then(() => "connected", ({ code }: { code: string }) => code)).toBe("ECONNREFUSED");
      one.signal("SIGUSR1");
      expect(await one.json()).toEqual({ gone: 5 });
    });
  });
}

/** A connection that was made, and the line that it brings. */
function knock(at: number | string): Promise<{ answer: Promise<string> }> {
  return new Promise((resolve, reject) => {
    const socket: Socket = typeof at === "string" ? connect(at) : connect(at, "127.0.0.1");
    const answer = new Promise<string>((said) => {
      socket.on("data", (bytes) => said(String(bytes).trim()));
      socket.on("close", () => said("closed"));
    });
    socket.on("connect", () => resolve({ answer })).on("error", reject);
  });
}

/** A process that has ended but is not yet reaped does not run. */
function runs(pid: number): boolean {
  if (process.platform !== "linux") return process.kill(pid, 0);
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}
