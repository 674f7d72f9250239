// What the host does to a whole process, seen from outside: each test runs host_child.ts on the runtime under test and
// looks at it through /proc, its exit code and its output.
import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Child } from "./children.ts";

const LINUX = process.platform === "linux";
const ROOT = process.getuid?.() === 0;

/** child is the command line that runs host_child.ts; becomes says whether this runtime can become another user. */
export function hostContract(name: string, child: readonly string[], becomes: boolean): void {
  const within = (text: string, body: (start: (...args: string[]) => Child, dir: string) => Promise<void>, timeoutMs = 30_000): void =>
    void test(
      text,
      async () => {
        const children: Child[] = [];
        const dir = mkdtempSync(join(tmpdir(), "tandem-host-"));
        const start = (...args: string[]): Child => {
          children.push(new Child([...child, ...args]));
          return children.at(-1)!;
        };
        try {
          await body(start, dir);
        } finally {
          for (const one of children) await one.end();
          rmSync(dir, { recursive: true });
        }
      },
      timeoutMs,
    );

  describe(`${name}: Host`, () => {
    within("what was printed is whole when exit follows at once, and the code arrives", async (start) => {
      const one = start("print", "1000000");
      expect(await one.exit()).toBe(3);
      expect(one.text).toBe("x".repeat(1_000_000));
    });

    within("isTerminal tells a terminal from a pipe", async (start) => {
      const one = start("terminal");
      expect(((await one.json()) as boolean[])[0]).toBe(false);
      await one.end();
      // script(1) gives the child a terminal of its own.
      const other = new Child(["script", "-qec", `${child.join(" ")} terminal 2>&1`, "/dev/null"]);
      try {
        const line = await other.line();
        if (line === null) return console.log("terminals did not run: script is missing");
        expect(JSON.parse(line)).toEqual([true, true]);
      } finally {
        await other.end();
      }
    });

    within("a file that is appended to is written when write returns, also after it was renamed", async (start, dir) => {
      const path = join(dir, "log");
      writeFileSync(path, "one\n");
      expect(await start("append", path).json()).toEqual(["true false false true false", 4, 17, true, false, false]);
      expect([readFileSync(`${path}.1`, "utf8"), readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["one\ntwo é\nthree\n", "new\n", 0o644]);
    });

    within("signals run what was registered instead of ending the process", async (start) => {
      const one = start("signals");
      expect(await one.json()).toBe("ready");
      for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT"] as const) {
        one.signal(signal);
        expect(await one.json()).toBe(signal);
      }
      one.signal("SIGTERM");
      expect(await one.exit()).toBe(7);
    });

    within("a datagram reaches who listens there, whole, and that nobody does is told", async (start, dir) => {
      if (!LINUX) return console.log("datagram did not run: only Linux's addresses are known");
      const path = join(dir, "datagram");
      expect(await start("datagram", path, "READY=1").json()).toEqual({ ok: false, reason: `${path} takes nothing` });
      for (const socket of [path, `@tandem-contract-${process.pid}-${becomes}`]) {
        const listener = new Child(["python3", new URL("../support/datagram_socket.py", import.meta.url).pathname, socket]);
        try {
          if ((await listener.line()) === null) return console.log("datagram did not run: python3 is missing");
          expect(await start("datagram", socket, "READY=1\nSTATUS=ä").json()).toEqual({ ok: true });
          expect(await listener.json()).toBe("READY=1\nSTATUS=ä");
        } finally {
          await listener.end();
        }
      }
    });

    within("sockets that were bound before the process began are known by their addresses and served", async (start, dir) => {
      expect(await start("inherited").json()).toEqual([]);
      const path = join(dir, "inherited");
      for (const [asked, address] of [["127.0.0.1:0", null], [path, { kind: "unix", path }]] as const) {
        const port = address === null ? await unusedPort() : 0;
        const flags = ["-E", `HOME=${process.env["HOME"] ?? "/"}`, "-l", address === null ? `127.0.0.1:${port}` : asked];
        const one = new Child(["sh", "-c", "exec 2>&1; exec \"$@\"", "sh", "systemd-socket-activate", ...flags, ...child, "inherited"]);
        try {
          const line = await one.line();
          if (line === null || !line.startsWith("Listening on")) return console.log("inherited sockets did not run: systemd-socket-activate is missing");
          const client = address === null ? connect(port, "127.0.0.1") : connect(path);
          const greeted = new Promise<string>((resolve) => client.once("data", (bytes) => resolve(String(bytes))).once("error", () => resolve("lost")));
          let said = await one.line();
          while (said !== null && !said.startsWith("[")) said = await one.line(); // systemd-socket-activate tells what it does
          const bound = address ?? { kind: "tcp", host: "127.0.0.1", port };
          expect(JSON.parse(said!)).toEqual([bound]);
          const outcome = await one.json();
          if (!becomes) expect(outcome).toMatch(/^Deno cannot take over the sockets of a service manager/);
          else {
            expect(outcome).toEqual(bound);
            expect(await greeted).toBe("hello");
          }
          client.destroy();
        } finally {
          await one.end();
        }
      }
    });

    within("spawnSelfDetached starts the same program in a session of its own, its output in a file", async (start, dir) => {
      const pidFile = join(dir, "pid");
      const log = join(dir, "log");
      writeFileSync(log, "before\n");
      const one = start("spawn", pidFile, log);
      const answer = (await one.json()) as { ok: boolean; pid: number };
      expect(answer.ok).toBe(true);
      expect(await one.exit()).toBe(0);
      try {
        expect(Number(await appears(pidFile))).toBe(answer.pid);
        expect(readFileSync(log, "utf8")).toBe("before\non stdout\non stderr\n");
        if (!LINUX) return console.log("sessions are only looked at on Linux");
        const stat = readFileSync(`/proc/${answer.pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
        expect(Number(stat[3])).toBe(answer.pid); // the session is its own
        expect(stat[4]).toBe("0"); // and has no terminal
      } finally {
        process.kill(answer.pid, "SIGKILL");
      }
    });

    within("spawnSelfDetached says why when the output file cannot be opened", async (start, dir) => {
      const answer = (await start("spawn", join(dir, "pid"), join(dir, "missing", "log")).json()) as { ok: boolean; reason: string };
      expect(answer.ok).toBe(false);
      expect(answer.reason).toMatch(/ENOENT|No such file/);
    });

    within("becomeUser changes user, group and supplementary groups of every thread, for good", async (start, dir) => {
      if (!becomes) {
        const answer = (await start("become", "nobody").json()) as { ok: boolean; reason: string };
        expect(answer.ok).toBe(false);
        return expect(answer.reason).toMatch(/^Deno has no initgroups/);
      }
      if (!ROOT || !LINUX) return console.log("becomeUser did not run: it needs root on Linux");
      const member = readFileSync("/etc/group", "utf8").split("\n").map((row) => row.split(":")[3] ?? "");
      const grouped = member.find((row) => row !== "")?.split(",")[0];
      if (grouped === undefined) console.log("no user of this machine has supplementary groups: tried with nobody only");
      for (const user of ["nobody", ...(grouped === undefined ? [] : [grouped])]) {
        const one = start("become", user);
        expect(await one.json()).toEqual({ ok: true });
        const ids = (option: string): string => execFileSync("id", [option, user], { encoding: "utf8" }).trim();
        const wanted = [new Array(4).fill(ids("-u")).join(" "), new Array(4).fill(ids("-g")).join(" "), sorted(ids("-G"))];
        for (const thread of readdirSync(`/proc/${one.pid}/task`)) {
          const status = readFileSync(`/proc/${one.pid}/task/${thread}/status`, "utf8");
          const row = (field: string): string => new RegExp(`^${field}:\\s*(.*)$`, "m").exec(status)![1]!.replace(/\s+/g, " ").trim();
          expect([row("Uid"), row("Gid"), sorted(row("Groups"))]).toEqual(wanted);
        }
      }
      const gid = execFileSync("id", ["-g", "daemon"], { encoding: "utf8" }).trim();
      const [log, link, elsewhere] = [join(dir, "log"), join(dir, "link"), join(dir, "elsewhere")];
      for (const path of [log, elsewhere]) writeFileSync(path, "");
      symlinkSync(elsewhere, link);
      const other = start("become", "nobody", "daemon", log, link, "/dev/null");
      expect(await other.json()).toEqual({ ok: true });
      const owners = [log, link, elsewhere, "/dev/null"].map((path) => lstatSync(path)).map((each) => `${each.uid} ${each.gid}`);
      expect(owners).toEqual([`${execFileSync("id", ["-u", "nobody"], { encoding: "utf8" }).trim()} ${gid}`, "0 0", "0 0", "0 0"]);
      expect(readFileSync(`/proc/${other.pid}/status`, "utf8")).toMatch(new RegExp(`Gid:\\s+${gid}\\s`));
      const [first, second] = (await start("become twice", "nobody").json()) as [object, object];
      expect(first).toEqual({ ok: true });
      expect(second).toEqual({ ok: false, reason: "only root can become another user" });
      const none = (await start("become", "no-such-user").json()) as { reason: string };
      expect(none.reason).toBe('no user "no-such-user" in /etc/passwd');
      const noGroup = (await start("become", "nobody", "no-such-group").json()) as { reason: string };
      expect(noGroup.reason).toBe('no group "no-such-group" in /etc/group');
    });

    within("names are asked anew at each connect, and each address of a name is tried", async (_start, dir) => {
      // The child gets a hosts file of its own, which changes under it.
      const hosts = join(dir, "hosts");
      writeFileSync(hosts, "127.0.0.1 tandem-test.example\n");
      const server = createServer((socket) => void socket.on("error", () => {}).destroy());
      await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
      const { port } = server.address() as { port: number };
      const one = new Child(["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--bind", hosts, "/etc/hosts", ...child, "dial", "tandem-test.example", String(port)]);
      const narrow = createServer((socket) => void socket.on("error", () => {}).destroy());
      try {
        const ready = await one.line();
        if (ready === null) return console.log("names did not run: bwrap is missing or not permitted");
        const target = childOf(one.pid);
        process.kill(target, "SIGUSR1");
        expect(await one.json()).toBe(`127.0.0.1:${port}`);
        writeFileSync(hosts, "127.0.0.2 tandem-test.example\n");
        process.kill(target, "SIGUSR1");
        expect(await one.json()).toBe(`127.0.0.2:${port}`);
        await new Promise((resolve) => server.close(resolve));
        await new Promise<void>((resolve) => narrow.listen(port, "127.0.0.4", resolve));
        // The resolver sorts by likeness to our own address: 127.0.0.3 comes first and is dead.
        writeFileSync(hosts, "127.0.0.3 tandem-test.example\n127.0.0.4 tandem-test.example\n127.0.0.5 tandem-test.example\n");
        process.kill(target, "SIGUSR1");
        expect(await one.json()).toBe(`127.0.0.4:${port}`);
        writeFileSync(hosts, "127.0.0.3 tandem-test.example\n127.0.0.5 tandem-test.example\n");
        process.kill(target, "SIGUSR1");
        expect(await one.json()).toBe("refused");
        writeFileSync(hosts, "\n");
        process.kill(target, "SIGUSR1");
        expect(await one.json()).toBe("not_found");
      } finally {
        await one.end();
        server.close();
        narrow.close();
      }
    });

    within("at the limit of open files connections are refused, the rest is served, and nothing spins", async (_start) => {
      const limit = 120;
      const one = new Child(["sh", "-c", `ulimit -n ${limit} && exec "$@"`, "sh", ...child, "echo"]);
      const clients: Socket[] = [];
      try {
        const { port } = (await one.json()) as { port: number };
        let ended = 0;
        for (let i = 0; i < 2 * limit; i++) {
          const client = connect(port, "127.0.0.1");
          client.on("error", () => {});
          client.on("close", () => void ended++);
          await new Promise<void>((resolve) => client.once("connect", resolve).once("close", () => resolve()));
          clients.push(client);
        }
        const answered = new Promise<void>((resolve, reject) => {
          clients[0]!.once("data", () => resolve()).once("close", () => reject(new Error("the first connection was closed")));
        });
        clients[0]!.write("x");
        await answered;
        const before = await cpu(one);
        await new Promise((resolve) => setTimeout(resolve, 400)); // the time in which a spinning accept would burn CPU
        const after = await cpu(one);
        expect(after.cpu - before.cpu).toBeLessThan(0.2);
        expect(after.fdLimit).toBe(limit);
        expect(after.accepted).toBeGreaterThan(limit / 2 - 1);
        expect(after.accepted).toBeLessThan(limit);
        expect(ended).toBe(2 * limit - after.accepted);
        // With room again it accepts again.
        for (const client of clients.splice(1)) client.destroy();
        while ((await cpu(one)).open > 1);
        const late = connect(port, "127.0.0.1");
        clients.push(late);
        const echoed = new Promise<string>((resolve, reject) => late.once("data", (bytes) => resolve(String(bytes))).once("close", () => reject(new Error("refused"))));
        late.write("again");
        expect(await echoed).toBe("again");
      } finally {
        for (const client of clients) client.destroy();
        await one.end();
      }
    });
  });
}

function sorted(ids: string): string {
  return ids.split(/\s+/).map(Number).sort((a, b) => a - b).join(" ");
}

interface Load {
  cpu: number;
  accepted: number;
  open: number;
  fdLimit: number;
}

async function cpu(child: Child): Promise<Load> {
  child.signal("SIGUSR1");
  return (await child.json()) as Load;
}

function unusedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** The innermost process under pid: bwrap keeps one or two between itself and the program. */
function childOf(pid: number): number {
  const below = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return below === "" ? pid : childOf(Number(below.split(" ")[0]));
}

/** The text of a file that another process is about to write. */
async function appears(path: string): Promise<string> {
  for (const limit = Date.now() + 10_000; Date.now() < limit; ) {
    try {
      const text = readFileSync(path, "utf8");
      if (text !== "") return text;
    } catch {
      // Not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${path} did not appear`);
}
