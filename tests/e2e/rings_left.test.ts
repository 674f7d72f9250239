// A server that is to be filled, in the midst of a change of rings, falls away: who waits says for whom, the operator ends
// it, and nothing old is read from the server when it comes back, not even when tandem was killed meanwhile.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { label, newerMemcached, spawnMemcached, type Spawned } from "../support/memcached.ts";
import { valuesOf, writeSame } from "../support/same_keys.ts";
import { spawnTandem, tandemPath } from "../support/tandem.ts";

const KEYS = 400, TEST_MS = 90_000, CHANGED_MS = 40_000;
const { kept, keep, stopAll } = keeper();
afterEach(stopAll);

for (const workers of [1, 2]) {
  test(`a change of rings whose new server falls away is ended, and goes on when it comes: ${workers} at work`, async () => {
    const dir = mkdtempSync(join(tmpdir(), "tandem-left-")), state = mkdtempSync(join(dir, "state-"));
    try {
      const which = newerMemcached() === null ? "installed" : "newer";
      const [a, b, x] = (await Promise.all(Array.from({ length: 3 }, () => spawnMemcached({ which, args: ["-t", "1", "-m", "64"] })))).map(kept) as [Spawned, Spawned, Spawned];
      const path = join(dir, "tandem.toml"), admin = join(dir, "admin");
      const settings = (servers: readonly Spawned[], rate: number): void => writeFileSync(path,
        `servers = [${servers.map((each) => `"${label(each)}"`)}]\nbackups = ["${label(x)}"]\nrefill_rate = ${rate}\ntimeout = "500ms"\nworkers = "${workers}"\nstate_dir = "${state}"\n`);
      const told = (...words: string[]): string => {
        const { stdout, stderr } = spawnSync(tandemPath(), words, { encoding: "utf8" });
        return stdout + stderr;
      };
      const each = (line: string): RegExp => new RegExp(Array(workers).fill(line).join("[^]*"));

      settings([a, b], 25_000);
      const first = await keep(spawnTandem(["-c", path, "--admin", admin]));
      await writeSame(first.port, KEYS, "old");
      settings([a], 25_000);
      let from = first.log().length;
      first.kill("SIGHUP");
      await first.said(each("ring is in place.* ring=primaries"), from, CHANGED_MS);
      await writeSame(first.port, KEYS, "new");

      settings([a, b], 25);
      from = first.log().length;
      first.kill("SIGHUP");
      await first.said(each("INFO ring changes.* ring=primaries"), from, CHANGED_MS);
      b.kill("SIGSTOP");
      await first.said(new RegExp(`ring change waits.* ring=primaries for="${label(b)}, which is down" ended_by="tandem transition end"`), from, CHANGED_MS);
      expect(told("status", admin)).toMatch(new RegExp(`rings change: primaries filling, waiting for ${label(b)}, which is down`));
      expect(told("transition", "end", "--admin", admin)).toBe("rings wait no longer\n");
      await first.said(each("ring changes without waiting any longer: who is not filled leads nothing until he is"), from);
      expect(told("status", admin)).not.toContain("rings change");
      expect(told("reload", "--admin", admin)).toBe("nothing has changed\n");
      await writeSame(first.port, KEYS, "newer");
      // What is not filled is written down until it is.
      expect(readdirSync(state).filter((file) => file.endsWith(".rings"))).toEqual(["main.rings"]);
      first.kill();
      await first.exited;

      settings([a, b], 500);
      const second = await keep(spawnTandem(["-c", path, "--admin", admin], "any"));
      const client = await Client.open(second.port);
      b.kill("SIGCONT");
      let through = false;
      const done = second.said(each("ring is in place.* ring=primaries"), 0, CHANGED_MS).then(() => (through = true));
      for (let again = true; again;) {
        again = !through;
        expect(await valuesOf(client, KEYS, 20_000)).toEqual(["newer"]);
      }
      await done;
      client.close();
      expect(readdirSync(state).filter((file) => file.endsWith(".rings"))).toEqual([]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, TEST_MS);
}
