// tandem is killed in the midst of a change of rings, and started again with the same file: with a state directory it goes
// on with the change, and nothing old is read. Old values lie about on purpose: the rings were once what they change to.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "bun:test";
import { Client, textOf } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { label, newerMemcached, spawnMemcached } from "../support/memcached.ts";
import { spawnTandem, type Tandem } from "../support/tandem.ts";

const KEYS = 600, TEST_MS = 90_000, CHANGED_MS = 40_000;
const { kept, keep, stopAll } = keeper();
afterEach(stopAll);

async function write(port: number, value: string): Promise<void> {
  const client = await Client.open(port);
  for (let i = 0; i < KEYS; i++) client.send(`set k${i} 0 0 ${value.length}\r\n${value}\r\n`);
  for (let i = 0; i < KEYS; i++) expect(await client.line(20_000)).toBe("STORED");
  client.close();
}

/** What the keys are, each value once. */
async function values(client: Client): Promise<string[]> {
  const { values } = await client.fetch(`get ${Array.from({ length: KEYS }, (_none, i) => `k${i}`).join(" ")}\r\n`);
  return [...new Set([...values.map(({ bytes }) => textOf(bytes)), ...(values.length < KEYS ? [`${KEYS - values.length} misses`] : [])])];
}

for (const workers of [1, 2]) {
  test(`what ended in the midst of a change of rings goes on with it: ${workers} at work`, async () => {
    const dir = mkdtempSync(join(tmpdir(), "tandem-rings-")), state = mkdtempSync(join(dir, "state-"));
    try {
      const which = newerMemcached() === null ? "installed" : "newer";
      const servers = (await Promise.all(Array.from({ length: 4 }, () => spawnMemcached({ which, args: ["-t", "1", "-m", "64"] })))).map(kept);
      const [a, b, x, y] = servers.map((each) => `"${label(each)}"`);
      const path = join(dir, "tandem.toml");
      const settings = (ring: string, rate: number): void => writeFileSync(path, `servers = [${a}, ${b}]\nbackups = [${x}, ${y}]\nring = "${ring}"\n` +
        `refill_rate = ${rate}\ntimeout = "1s"\nworkers = "${workers}"\nstate_dir = "${state}"\n`);
      const start = (): Promise<Tandem> => keep(spawnTandem(["-c", path]));
      const inPlace = new RegExp(Array(workers).fill("ring is in place.* ring=backups").join("[^]*"));

      settings("libketama", 25_000);
      const first = await start();
      await write(first.port, "old");
      settings("twemproxy", 25_000);
      first.kill("SIGHUP");
      await first.said(inPlace, 0, CHANGED_MS);
      await write(first.port, "new");
      expect(readdirSync(state).filter((name) => name.endsWith(".rings"))).toEqual([]);

      // Back, slowly.
      settings("libketama", 100);
      const from = first.log().length;
      first.kill("SIGHUP");
      await first.said(/ring changes.* ring=primaries/, from, CHANGED_MS);
      await write(first.port, "newer");
      expect(readdirSync(state).filter((name) => name.endsWith(".rings"))).toEqual(["main.rings"]);
      first.kill();
      await first.exited;

      settings("libketama", 500);
      const second = await start();
      const client = await Client.open(second.port);
      let through = false;
      const done = second.said(inPlace, 0, CHANGED_MS).then(() => (through = true));
      for (let last = false; !last;) {
        last = through;
        expect(await values(client)).toEqual(["newer"]);
      }
      await done;
      client.close();
      expect(second.log()).toMatch(/goes on with a change of rings in which the last process ended .*compared=127/);
      expect(readdirSync(state).filter((name) => name.endsWith(".rings"))).toEqual([]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, TEST_MS);
}
