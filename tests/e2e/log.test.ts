// The log of the binary in a file: what programs that turn logs over do to it, with one process and with workers.
import { afterAll, afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { freePort, spawnMemcached } from "../support/memcached.ts";
import { start } from "../support/program.ts";
import { tandemPath } from "../support/tandem.ts";

const { begun, keep, stopAll } = keeper();
const dir = mkdtempSync(join(tmpdir(), "tandem-log-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(stopAll);

/** Waits until a file is there and what is in it matches. It is looked at: fs.watch misses changes on Bun. */
async function says(path: string, pattern: RegExp): Promise<void> {
  while (!existsSync(path) || !pattern.test(readFileSync(path, "utf8"))) await new Promise((resolve) => setTimeout(resolve, 5));
}

for (const workers of ["1", "2"]) {
  test(`a file that was moved is made anew at SIGHUP, also where there are no settings to read again; ${workers} at work`, async () => {
    const server = await keep(spawnMemcached());
    const port = await freePort();
    const path = join(dir, `${workers}.log`);
    const tandem = begun(start(tandemPath(), ["-l", "127.0.0.1", "-p", String(port), "-s", `127.0.0.1:${server.port}`, "--admin", "off", "--workers", workers, "--log-file", path, "--log-format", "json", "-vv"]));
    await says(path, /"message":"serving /);
    await says(path, workers === "1" ? /"server is up"/ : /"server is up"[^]*"server is up"/);
    renameSync(path, `${path}.old`);
    tandem.kill("SIGHUP");
    await says(path, /"message":"reload refused, .*without -c/);
    const client = await Client.open(port);
    expect(await client.ask("ms k 6\r\nhidden\r\n")).toBe("ERROR");
    client.close();
    await says(path, /"client left"/);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line).message);
    expect(lines).toEqual(["reload refused, the settings stay as they are", "client connected", "command refused", "command refused", "client left"]);
    expect(readFileSync(path, "utf8")).not.toContain("hidden");
    expect(readFileSync(`${path}.old`, "utf8")).not.toContain("reload");
    tandem.kill("SIGTERM");
    expect(await tandem.ended).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });
}
