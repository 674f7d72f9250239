// Unmodified clients that people use, through the compiled binary: pylibmc, pymemcache and libmemcached's tools. Each
// plays first against a direct memcached, which shows that what it expects is memcached's own behaviour.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "../support/client.ts";
import { findProgram, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { PATIENT, spawnTandem } from "../support/tandem.ts";

/** Debian's Python, whose packages Debian's pylibmc and pymemcache are. */
const PYTHON = "/usr/bin/python3";

interface Place {
  readonly name: string;
  readonly primaries: number;
  readonly backups: number;
}

const PLACES: readonly Place[] = [
  { name: "a direct memcached", primaries: 0, backups: 0 },
  { name: "tandem over one and one", primaries: 1, backups: 1 },
  { name: "tandem over three and two", primaries: 3, backups: 2 },
];

for (const place of PLACES) {
  describe(place.name, () => {
    const servers: Spawned[] = [];
    let target: Spawned;
    let scratch = "";

    beforeAll(async () => {
      scratch = mkdtempSync(join(tmpdir(), "tandem-clients-"));
      for (let count = 0; count < Math.max(1, place.primaries + place.backups); count++) servers.push(await spawnMemcached());
      if (place.primaries === 0) target = servers[0]!;
      else {
        const ring = servers.flatMap((one, index) => [index < place.primaries ? "-s" : "-b", `127.0.0.1:${one.port}`]);
        target = await spawnTandem([...ring, ...PATIENT]);
      }
    });
    afterAll(async () => {
      await target?.stop();
      for (const server of servers) await server.stop();
      rmSync(scratch, { recursive: true, force: true });
    });

    for (const script of ["pylibmc_session.py", "pymemcache_session.py"]) {
      test(script.replace("_session.py", ""), async () => {
        const { code, output } = await run([PYTHON, join(import.meta.dir, "..", "support", script), String(target.port)]);
        expect(output).toMatch(/^\d+ checks\n$/);
        expect(code).toBe(0);
      }, 60_000);
    }

    test("memccp, memccat, memcexist, memctouch, memcrm, memcping, memcstat, memcflush", async () => {
      const file = join(scratch, "value.bin");
      // memccat prints a line end after the value; memccp takes the file's name for the key.
      const value = Buffer.alloc(100 * 1024, "\x00\x01line\r\nEND\r\n\xff", "latin1");
      writeFileSync(file, value);
      const to = `--servers=127.0.0.1:${target.port}`;
      expect(await run(["memcping", to])).toEqual({ code: 0, output: "" });
      expect((await run(["memccp", to, "--set", file])).code).toBe(0);
      const copy = join(scratch, "copy.bin");
      expect((await run(["memccat", to, `--file=${copy}`, "value.bin"])).code).toBe(0);
      expect(Buffer.compare(readFileSync(copy).subarray(0, value.length), value)).toBe(0);
      expect((await run(["memcexist", to, "value.bin"])).code).toBe(0);
      expect((await run(["memctouch", to, "--expire=100", "value.bin"])).code).toBe(0);
      expect((await run(["memcstat", to])).output).toContain("curr_connections");
      expect((await run(["memcrm", to, "value.bin"])).code).toBe(0);
      expect((await run(["memcexist", to, "value.bin"])).code).not.toBe(0);
      expect((await run(["memccp", to, "--set", file])).code).toBe(0);
      expect((await run(["memcflush", to])).code).toBe(0);
      expect((await run(["memcexist", to, "value.bin"])).code).not.toBe(0);
    }, 30_000);

    test("memcaslap verifies what it reads, one key and many keys a get", async () => {
      for (const division of ["1", "20"]) {
        const { code, output } = await run([
          "memcaslap", `--servers=127.0.0.1:${target.port}`, "--threads=1", "--concurrency=16", "--time=2s", "--verify=1.0",
          "--win_size=1k", "--fixed_size=100", `--division=${division}`,
        ]);
        expect(code).toBe(0);
        const figure = (name: string): number => Number(new RegExp(`^${name}: (\\d+)`, "m").exec(output)?.[1] ?? -1);
        expect(figure("verify_failed")).toBe(0);
        expect(figure("get_misses")).toBe(0);
        expect(Number(/Ops: (\d+)/.exec(output)?.[1] ?? 0)).toBeGreaterThan(1000);
      }
      const client = await Client.open(target.port);
      expect(await client.ask("mn\r\n")).toBe("MN");
      client.close();
    }, 60_000);
  });
}

/** Runs a program to its end; its output and errors together. */
async function run(command: readonly string[]): Promise<{ code: number; output: string }> {
  const program = findProgram(command[0]!) ?? command[0]!;
  const child = Bun.spawn([program, ...command.slice(1)], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, output: out + err };
}
