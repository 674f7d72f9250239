// tandem verify: compares both sides of every key, or of a sample, with respect to placement, and mends what differs if
// asked to.
import { latin1 } from "../bytes/ascii.ts";
import type { Server } from "../backend/server.ts";
import type { PoolConfig } from "../config/config.ts";
import { type Checked, wrong } from "../config/problem.ts";
import type { Random } from "../platform/platform.ts";
import type { Place } from "../replication/compare.ts";
import { Pair } from "../replication/pair.ts";
import { buildRing, ringServers } from "../ring/ring.ts";
import { type Context, failUsage } from "./context.ts";
import { EXIT_DIFFERENT, EXIT_EQUAL, runErrand } from "./errand.ts";
import type { Host } from "../platform/platform.ts";
import type { Flags } from "./parse.ts";
import { keyText } from "./ring.ts";
import { readPoolOf } from "./settings.ts";
import { Findings } from "./verify_report.ts";

/** How many keys to look at: a number, a share in percent, or all. */
export type Sample = { readonly keys: number } | { readonly percent: number } | null;

interface VerifySettings {
  readonly pool: PoolConfig;
  readonly sample: Sample;
  /** The backups' word counts where the sides differ. */
  readonly backupLeads: boolean;
}

export function verify(context: Context, flags: Flags): void {
  const read = readVerify(context.platform.host, flags, context.called);
  if (!read.ok) return failUsage(context, read.problem);
  const { pool, sample, backupLeads } = read.value;
  const { host, random } = context.platform;
  const repair = flags.has("repair"), removes = flags.has("delete"), json = flags.has("json");
  const servers = [...pool.primaries, ...pool.backups];
  const keys = servers.map(() => new Set<string>());
  const first = backupLeads ? pool.primaries.length : 0;
  const leads = (backupLeads ? pool.backups : pool.primaries).map((_, index) => first + index);
  const findings = new Findings(servers.map(({ label }) => label), pool.primaries.length, backupLeads);
  // Lists go out at once: they may be longer than the memory is wide.
  const list = (words: string): void => {
    if (flags.has("list")) host.stdout(`${words}\n`);
  };
  runErrand(context, {
    servers,
    keysPerSecond: flags.number("rate"),
    keys,
    sources: repair && !flags.has("force") ? leads : [],
    plan: (visited) => {
      const places = new Placement(pool, visited, backupLeads).places(keys, (key, index) => {
        findings.misplaced(index);
        list(`misplaced ${shown(key)} ${servers[index]!.label}`);
      });
      for (const set of keys) set.clear();
      const chosen = sampleOf(places, sample, random);
      return { places: chosen[Symbol.iterator](), total: chosen.length };
    },
    compare: {
      twice: true,
      // What only the other side holds is not taken away unasked: the lead may have lost its memory.
      mends: (verdict) => repair && (removes || verdict !== "only_backup"),
      told: (place, verdict, mended) => {
        const word = findings.add(place, verdict, mended);
        if (word !== "") list(`${word} ${shown(place.key)} ${place.pair.primary.label} ${place.pair.backup!.label}`);
      },
    },
    report: (run) => {
      const what = { repair, removes, sampled: sample !== null };
      if (json) host.stdout(`${JSON.stringify(findings.json(what, run), null, 2)}\n`);
      else for (const line of findings.lines(what, run)) host.stdout(`${line}\n`);
      return findings.left > 0 ? EXIT_DIFFERENT : EXIT_EQUAL;
    },
  });
}

function shown(key: string): string {
  return keyText(latin1(key));
}

export function readVerify(host: Host, flags: Flags, called: "tandem" | "magent"): Checked<VerifySettings> {
  const pool = readPoolOf(host, flags, called);
  if (!pool.ok) return pool;
  if (pool.value.backups.length === 0) return wrong({ flag: "-b", text: "" }, "no backup given", "at least one -b host:port");
  if (!flags.has("repair")) {
    for (const long of ["lead", "delete", "force"]) {
      if (flags.has(long)) return wrong(flags.one(long), "given without --repair", `--repair --${long}`);
    }
  }
  if (flags.has("list") && flags.has("json")) return wrong(flags.one("list"), "contradicts --json", "one of them");
  const sample = readSample(flags);
  if (!sample.ok) return sample;
  return { ok: true, value: { pool: pool.value, sample: sample.value, backupLeads: flags.one("lead").text === "backup" } };
}

function readSample(flags: Flags): Checked<Sample> {
  if (!flags.has("sample")) return { ok: true, value: null };
  const given = flags.one("sample");
  const match = /^(\d{1,9})(\.\d{1,6})?(%?)$/.exec(given.text);
  if (match !== null && match[3] === "%") {
    const percent = Number(given.text.slice(0, -1));
    if (percent > 0 && percent <= 100) return { ok: true, value: { percent } };
  } else if (match !== null && match[2] === undefined && Number(given.text) > 0) return { ok: true, value: { keys: Number(given.text) } };
  return wrong(given, "is no sample", "a number of keys, or a share as 5% (above 0%, at most 100%)");
}

/** Where each key of the listed sets belongs. */
class Placement {
  private readonly pairs: Pair[] = [];
  private readonly primaryRing;
  private readonly backupRing;

  constructor(private readonly pool: PoolConfig, servers: readonly Server[], backupLeads: boolean) {
    this.primaryRing = buildRing(pool.ring, ringServers(pool.primaries), pool.hashTag);
    this.backupRing = buildRing(pool.ring, ringServers(pool.backups), pool.hashTag);
    const primaries = servers.slice(0, pool.primaries.length), backups = servers.slice(pool.primaries.length);
    for (const primary of primaries) {
      // Copies go from the pair's first to its second.
      for (const backup of backups) this.pairs.push(backupLeads ? new Pair(backup, primary) : new Pair(primary, backup));
    }
  }

  /** Each key once that is on a server to which it belongs; the others are told, by the server's index. */
  places(keys: readonly ReadonlySet<string>[], misplaced: (key: string, index: number) => void): Place[] {
    const places: Place[] = [];
    const primaries = this.pool.primaries.length;
    keys.forEach((set, index) => {
      for (const key of set) {
        const bytes = latin1(key);
        const hash = this.primaryRing.hash(bytes, 0, bytes.length);
        const primary = this.primaryRing.ownerOfHash(hash), backup = this.backupRing.ownerOfHash(hash);
        if (index !== primary && index !== primaries + backup) misplaced(key, index);
        else if (index === primary || !keys[primary]!.has(key)) {
          places.push({ key, pair: this.pairs[primary * this.pool.backups.length + backup]!, laneIndex: 0 });
        }
      }
    });
    return places;
  }
}

/** Some of them, each as likely as any other, in their order. */
export function sampleOf<T>(all: readonly T[], sample: Sample, random: Random): readonly T[] {
  if (sample === null) return all;
  let need = Math.min(all.length, "keys" in sample ? sample.keys : Math.ceil((all.length * sample.percent) / 100));
  const chosen: T[] = [];
  for (let i = 0; i < all.length && need > 0; i++) {
    // As many of the rest as are needed: each of them with the same chance.
    if ((random.u32() / 0x1_0000_0000) * (all.length - i) >= need) continue;
    chosen.push(all[i]!);
    need--;
  }
  return chosen;
}
