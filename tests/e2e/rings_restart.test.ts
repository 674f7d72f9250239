// tandem is killed in the midst of a change of rings, and started again with the same file: it goes on with the change, or
// compares, and nothing old is read. Old values lie about on purpose: the rings were once what they change to.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { label, newerMemcached, spawnMemcached } from "../support/memcached.ts";
import { valuesOf, writeSame } from "../support/same_keys.ts";
import { spawnTandem, type Tandem } from "../support/tandem.ts";

const KEYS = 600, TEST_MS = 90_000, CHANGED_MS = 40_000;
const { kept, keep, stopAll } = keeper();
afterEach(stopAll);

interface Scene {
  readonly name: string;
  readonly workers: number;
  readonly stateDir: boolean;
  /** Lines of the file: what the rings are, become, and were and are to be again; the names of all servers are given. */
  readonly rings: (names: readonly string[]) => { readonly there: string; readonly back: string };
  /** The ring in whose change it dies, and the one that changes last. */
  readonly dies: "primaries" | "backups";
  readonly last: "primaries" | "backups";
  readonly said: RegExp;
}

const SCENES: readonly Scene[] = [
  ...[1, 2].map((workers): Scene => ({
    name: `a state directory tells, ${workers} at work`, workers, stateDir: true, dies: workers === 1 ? "primaries" : "backups", last: "backups",
    rings: ([a, b, x, y]) => {
      const servers = `servers = [${a}, ${b}]\nbackups = [${x}, ${y}]\n`;
      return { there: `${servers}ring = "twemproxy"\n`, back: `${servers}ring = "libketama"\n` };
    },
    said: /goes on with a change of rings in which the last process ended .*compared=127/,
  })),
  {
    name: "the other side's servers tell, where one ring changes", workers: 1, stateDir: false, dies: "primaries", last: "primaries",
    rings: ([a, b, x, y]) => ({ there: `servers = [${a}]\nbackups = [${x}, ${y}]\n`, back: `servers = [${a}, ${b}]\nbackups = [${x}, ${y}]\n` }),
    said: /what a server missed is not known, all of it is compared/,
  },
];

for (const { name, workers, stateDir, rings, dies, last, said } of SCENES) {
  test(`what ended in the midst of a change of rings serves nothing old: ${name}`, async () => {
    const dir = mkdtempSync(join(tmpdir(), "tandem-rings-")), state = mkdtempSync(join(dir, "state-"));
    try {
      const which = newerMemcached() === null ? "installed" : "newer";
      const servers = (await Promise.all(Array.from({ length: 4 }, () => spawnMemcached({ which, args: ["-t", "1", "-m", "64"] })))).map(kept);
      const { there, back } = rings(servers.map((each) => `"${label(each)}"`));
      const path = join(dir, "tandem.toml");
      const settings = (lines: string, rate: number): void =>
        writeFileSync(path, `${lines}refill_rate = ${rate}\ntimeout = "1s"\nworkers = "${workers}"\n${stateDir ? `state_dir = "${state}"\n` : ""}`);
      const start = (): Promise<Tandem> => keep(spawnTandem(["-c", path]));
      const inPlace = new RegExp(Array(workers).fill(`ring is in place.* ring=${last}`).join("[^]*"));
      const files = (): string[] => readdirSync(state).filter((file) => file.endsWith(".rings"));

      settings(back, 25_000);
      const first = await start();
      await writeSame(first.port, KEYS, "old");
      settings(there, 25_000);
      first.kill("SIGHUP");
      await first.said(inPlace, 0, CHANGED_MS);
      await writeSame(first.port, KEYS, "new");
      expect(files()).toEqual([]);

      // Back, slowly.
      settings(back, 100);
      const from = first.log().length;
      first.kill("SIGHUP");
      await first.said(new RegExp(`INFO ring changes.* ring=${dies}`), from, CHANGED_MS);
      await writeSame(first.port, KEYS, "newer");
      expect(files()).toEqual(stateDir ? ["main.rings"] : []);
      first.kill();
      await first.exited;

      settings(back, 500);
      const second = await start();
      const client = await Client.open(second.port);
      let through = false;
      const done = second.said(stateDir ? inPlace : /server is synchronised/, 0, CHANGED_MS).then(() => (through = true));
      for (let again = true; again;) {
        again = !through;
        expect(await valuesOf(client, KEYS)).toEqual(["newer"]);
      }
      await done;
      client.close();
      expect(second.log()).toMatch(said);
      expect(files()).toEqual([]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, TEST_MS);
}
