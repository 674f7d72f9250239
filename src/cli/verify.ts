// tandem verify: compares both sides of every key, or of a sample, with respect to placement, and mends what differs if
// asked to.
import { latin1, textOf } from "../bytes/ascii.ts";
import type { Server } from "../backend/server.ts";
import type { PoolConfig } from "../config/config.ts";
import { type Checked, wrong } from "../config/problem.ts";
import type { Random } from "../platform/platform.ts";
import type { Place } from "../replication/copying/compare.ts";
import type { Holdings } from "../replication/copying/holdings.ts";
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
    wanted: () => true,
    sources: repair && !flags.has("force") ? leads : [],
    plan: (visited, holdings) => {
      const placement = new Placement(pool, visited, backupLeads, holdings);
      const placed = placement.check((start, index) => {
        findings.misplaced(index);
        list(`misplaced ${keyText(holdings.bytes.subarray(start, holdings.endOf(start)))} ${servers[index]!.label}`);
      });
      const total = sizeOf(sample, placed);
      return { places: sampled(placement.places(), placed, total, random), total };
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

/** Where each key that the servers hold belongs. */
class Placement {
  private readonly pairs: Pair[] = [];
  private readonly primaryRing;
  private readonly backupRing;
  private readonly primaries: number;
  private readonly backups: number;

  constructor(pool: PoolConfig, private readonly servers: readonly Server[], backupLeads: boolean, private readonly holdings: Holdings) {
    this.primaryRing = buildRing(pool.ring, ringServers(pool.primaries), pool.hashTag);
    this.backupRing = buildRing(pool.ring, ringServers(pool.backups), pool.hashTag);
    this.primaries = pool.primaries.length;
    this.backups = pool.backups.length;
    const primaries = servers.slice(0, this.primaries), backups = servers.slice(this.primaries);
    for (const primary of primaries) {
      // Copies go from the pair's first to its second.
      for (const backup of backups) this.pairs.push(backupLeads ? new Pair(backup, primary) : new Pair(primary, backup));
    }
  }

  /**
   * How many keys are on a server to which they belong. Tells each key that is on another one: where it begins, and the
   * server's index.
   */
  check(misplaced: (start: number, index: number) => void): number {
    const { holdings } = this;
    let placed = 0;
    for (const start of holdings.starts()) {
      const { primary, backup } = this.ownersOf(start);
      if (holdings.holds(start, primary) || holdings.holds(start, backup)) placed++;
      for (let index = 0; index < this.servers.length; index++) {
        if (index !== primary && index !== backup && holdings.holds(start, index)) misplaced(start, index);
      }
    }
    return placed;
  }

  /** Those keys. */
  *places(): Generator<Place> {
    const { holdings } = this;
    for (const start of holdings.starts()) {
      const { primary, backup } = this.ownersOf(start);
      if (!holdings.holds(start, primary) && !holdings.holds(start, backup)) continue;
      const pair = this.pairs[primary * this.backups + backup - this.primaries]!;
      yield { key: textOf(holdings.bytes, start, holdings.endOf(start)), pair, laneIndex: 0 };
    }
  }

  /** The indexes of the two servers of the key that begins there. */
  private ownersOf(start: number): { primary: number; backup: number } {
    const { bytes } = this.holdings;
    const hash = this.primaryRing.hash(bytes, start, this.holdings.endOf(start));
    return { primary: this.primaryRing.ownerOfHash(hash), backup: this.primaries + this.backupRing.ownerOfHash(hash) };
  }
}

/** How many of so many a sample takes. */
export function sizeOf(sample: Sample, all: number): number {
  if (sample === null) return all;
  return Math.min(all, "keys" in sample ? sample.keys : Math.ceil((all * sample.percent) / 100));
}

/** `need` of so many, each as likely as any other, in their order. */
export function* sampled<T>(from: Iterable<T>, all: number, need: number, random: Random): Generator<T> {
  let left = all;
  for (const one of from) {
    if (need === 0) return;
    // As many of the rest as are needed: each of them with the same chance.
    if ((random.u32() / 0x1_0000_0000) * left-- >= need) continue;
    yield one;
    need--;
  }
}
