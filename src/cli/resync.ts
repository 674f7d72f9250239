// tandem resync: copies to one server what it lacks or holds differently from another one, while both serve.
import type { PoolConfig, ServerSpec } from "../config/config.ts";
import { type Checked, type Given, wrong } from "../config/problem.ts";
import { parseServer, sameServerKey } from "../config/servers.ts";
import { textOf } from "../bytes/ascii.ts";
import type { Place, Verdict } from "../replication/copying/compare.ts";
import type { Holdings } from "../replication/copying/holdings.ts";
import { Pair } from "../replication/pair.ts";
import { buildRing, ringServers } from "../ring/ring.ts";
import { type Context, failUsage } from "./context.ts";
import { EXIT_DIFFERENT, EXIT_EQUAL, type Run, runErrand } from "./errand.ts";
import type { Host } from "../platform/platform.ts";
import type { Flags } from "./parse.ts";
import { readPoolOf } from "./settings.ts";
import { durationText, table } from "./table.ts";

interface ResyncSettings {
  readonly from: ServerSpec;
  readonly to: ServerSpec;
  /** Whether the key bytes[start, end) is kept on `to`. */
  readonly belongs: Belongs;
}

type Belongs = (bytes: Uint8Array, start: number, end: number) => boolean;

export function resync(context: Context, flags: Flags): void {
  const read = readResync(context.platform.host, flags, context.called);
  if (!read.ok) return failUsage(context, read.problem);
  const { from, to, belongs } = read.value;
  const dry = flags.has("dry-run"), removes = flags.has("delete");
  const tally = new Tally();
  runErrand(context, {
    servers: [from, to],
    keysPerSecond: flags.number("rate"),
    wanted: belongs,
    sources: dry || flags.has("force") ? [] : [0],
    plan: (servers, holdings) => ({ places: placesOf(holdings, new Pair(servers[0]!, servers[1]!)), total: holdings.size }),
    compare: {
      // Sync itself never overwrites what it has not read: nothing is gained by a second look.
      twice: false,
      mends: (verdict) => !dry && (verdict !== "only_backup" || removes),
      told: (_place, verdict, mended) => tally.add(verdict, mended),
    },
    report: (run) => {
      for (const line of tally.lines({ from: from.label, to: to.label, dry, removes }, run)) context.platform.host.stdout(`${line}\n`);
      return tally.left(dry) > 0 ? EXIT_DIFFERENT : EXIT_EQUAL;
    },
  });
}

function* placesOf(holdings: Holdings, pair: Pair): Generator<Place> {
  for (const start of holdings.starts()) yield { key: textOf(holdings.bytes, start, holdings.endOf(start)), pair, laneIndex: 0 };
}

export function readResync(host: Host, flags: Flags, called: "tandem" | "magent"): Checked<ResyncSettings> {
  const ends: ServerSpec[] = [];
  for (const long of ["from", "to"]) {
    if (!flags.has(long)) return wrong({ flag: `--${long}`, text: "" }, "not given", "--from HOST:PORT --to HOST:PORT");
    const server = parseServer(flags.one(long));
    if (!server.ok) return server;
    if (server.value.weight !== 1 || server.value.name !== null) return wrong(flags.one(long), "is more than an address", "host:port or /socket");
    ends.push(server.value);
  }
  const [from, to] = ends as [ServerSpec, ServerSpec];
  if (sameServerKey(from) === sameServerKey(to)) return wrong(flags.one("to"), "is the server of --from too", "another server");
  if (!flags.has("server") && !flags.has("backup") && !flags.has("config")) return { ok: true, value: { from, to, belongs: () => true } };
  const pool = readPoolOf(host, flags, called);
  if (!pool.ok) return pool;
  const belongs = placedOn(pool.value, to, flags.one("to"));
  return belongs.ok ? { ok: true, value: { from, to, belongs: belongs.value } } : belongs;
}

/** Whether a key is kept on server, as its primary or its backup. */
function placedOn(pool: PoolConfig, server: ServerSpec, given: Given): Checked<Belongs> {
  for (const servers of [pool.primaries, pool.backups]) {
    const index = servers.findIndex((each) => sameServerKey(each) === sameServerKey(server));
    if (index === -1) continue;
    const ring = buildRing(pool.ring, ringServers(servers), pool.hashTag);
    return { ok: true, value: (bytes, start, end) => ring.ownerOfHash(ring.hash(bytes, start, end)) === index };
  }
  return wrong(given, "is none of the -s and -b servers", "one of them");
}

/** What became of the keys. */
export class Tally {
  /** Keys by what they were found to be: copied (or to be copied), refused, left alone … */
  private readonly found = new Map<Verdict, number>();
  private readonly settled = new Map<Verdict, number>();
  private refused = 0;
  private failed = 0;

  add(verdict: Verdict, mended: string | null): void {
    this.found.set(verdict, this.count(this.found, verdict) + 1);
    if (mended === "refused") this.refused++;
    else if (verdict === "failed" || mended === "failed") this.failed++;
    else if (mended !== null) this.settled.set(verdict, this.count(this.settled, verdict) + 1);
  }

  /** Keys that --from holds and --to does not hold alike at the end. */
  left(dry: boolean): number {
    return dry ? this.missing + this.different + this.failed : this.refused + this.failed;
  }

  private get missing(): number {
    return this.count(this.found, "only_primary");
  }
  private get different(): number {
    return this.count(this.found, "value") + this.count(this.found, "flags") + this.count(this.found, "times");
  }

  lines(what: { from: string; to: string; dry: boolean; removes: boolean }, run: Run): string[] {
    const { dry, removes } = what;
    const of = dry ? this.found : this.settled;
    const copied = this.count(of, "only_primary") + this.count(of, "value") + this.count(of, "flags") + this.count(of, "times");
    const extra = this.count(this.found, "only_backup");
    const rows = [["equal", String(this.count(this.found, "equal")), ""]];
    rows.push([
      dry ? "to be copied" : "copied", String(copied),
      `missing ${this.count(of, "only_primary")}, other value ${this.count(of, "value")}, other flags ${this.count(of, "flags")}, ` +
        `other time ${this.count(of, "times")}`,
    ]);
    rows.push([
      !removes ? "left alone" : dry ? "to be removed" : "removed",
      String(removes && !dry ? this.count(this.settled, "only_backup") : extra),
      `only ${what.to} has them${removes ? "" : "; --delete removes them"}`,
    ]);
    if (this.refused > 0) rows.push(["refused", String(this.refused), `too large for ${what.to}, or it is out of memory`]);
    if (this.failed > 0) rows.push(["not copied", String(this.failed), "no answer"]);
    const time = durationText(run.ms / 1000);
    const head = run.ended === "whole"
      ? `${run.settled} keys compared in ${time}`
      : `${run.settled} of ${run.total} keys compared in ${time}; run it again to go on`;
    return [`${what.from} -> ${what.to}${dry ? " (dry run: nothing is changed)" : ""}: ${head}`, ...table(rows, "lrl")];
  }

  private count(of: ReadonlyMap<Verdict, number>, verdict: Verdict): number {
    return of.get(verdict) ?? 0;
  }
}
