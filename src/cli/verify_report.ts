// What tandem verify found, counted by pair of servers, and how it is told.
import type { Place, Verdict } from "../replication/copying/compare.ts";
import type { SyncOutcome } from "../replication/copying/sync.ts";
import type { Run } from "./errand.ts";
import { durationText, table } from "./table.ts";

/** How differences are called; in this order. */
const KINDS = ["only_primary", "only_backup", "value", "flags", "times"] as const;
type Kind = (typeof KINDS)[number];

interface Counts {
  readonly primary: string;
  readonly backup: string;
  compared: number;
  equal: number;
  readonly differences: Record<Kind, number>;
  /** Written again and again while it was looked at: neither equal nor different. */
  changing: number;
  /** Differences that were mended. */
  mended: number;
  /** A side did not answer. */
  failed: number;
}

export interface VerifyWords {
  readonly repair: boolean;
  readonly removes: boolean;
  readonly sampled: boolean;
}

export class Findings {
  private readonly pairs = new Map<string, Counts>();
  private readonly strays: number[];

  constructor(
    private readonly labels: readonly string[],
    primaries: number,
    /** Pairs come with their sides exchanged: the first is the backup. */
    private readonly exchanged: boolean,
  ) {
    this.strays = labels.map(() => 0);
    for (const primary of labels.slice(0, primaries)) {
      for (const backup of labels.slice(primaries)) {
        this.pairs.set(`${primary} ${backup}`, {
          primary, backup, compared: 0, equal: 0, changing: 0, mended: 0, failed: 0,
          differences: { only_primary: 0, only_backup: 0, value: 0, flags: 0, times: 0 },
        });
      }
    }
  }

  /** A key on the server of this index, where it does not belong. */
  misplaced(server: number): void {
    this.strays[server]!++;
  }

  /** Counts a settled key; answers what a list calls it, "" when it is equal. */
  add({ pair }: Place, verdict: Verdict, mended: SyncOutcome | null): string {
    const [primary, backup] = this.exchanged ? [pair.backup!, pair.primary] : [pair.primary, pair.backup!];
    const counts = this.pairs.get(`${primary.label} ${backup.label}`)!;
    counts.compared++;
    if (verdict === "equal" || verdict === "changing" || verdict === "failed") {
      counts[verdict]++;
      return verdict === "equal" ? "" : verdict;
    }
    const kind = this.exchanged ? EXCHANGED[verdict] : verdict;
    counts.differences[kind]++;
    if (mended === "copied" || mended === "removed") counts.mended++;
    return kind;
  }

  /** What is not as it should be in the end. */
  get left(): number {
    let left = this.misplacedKeys;
    for (const counts of this.pairs.values()) left += leftOf(counts);
    return left;
  }

  private get misplacedKeys(): number {
    return this.strays.reduce((sum, count) => sum + count, 0);
  }

  json(what: VerifyWords, run: Run): object {
    return {
      ended: run.ended, compared: run.settled, keys: run.total, sampled: what.sampled, seconds: Math.round(run.ms) / 1000,
      left: this.left,
      pairs: [...this.pairs.values()].map((counts) => ({ ...counts, left: leftOf(counts) })),
      misplaced: this.labels.map((server, i) => ({ server, keys: this.strays[i]! })).filter(({ keys }) => keys > 0),
    };
  }

  lines(what: VerifyWords, run: Run): string[] {
    const head = ["primary", "backup", "compared", "equal", "only primary", "only backup", "value", "flags", "times", "changing"];
    if (what.repair) head.push("mended");
    head.push("left");
    const rows = [head];
    for (const counts of this.pairs.values()) {
      const { differences, changing } = counts;
      const numbers = [counts.compared, counts.equal, ...KINDS.map((kind) => differences[kind]), changing];
      if (what.repair) numbers.push(counts.mended);
      rows.push([counts.primary, counts.backup, ...[...numbers, leftOf(counts)].map(String)]);
    }
    const time = durationText(run.ms / 1000);
    const keys = `${run.settled}${run.settled === run.total ? "" : ` of ${run.total}`} ${what.sampled ? "sample " : ""}keys`;
    const lines = [...table(rows, `ll${"r".repeat(head.length - 2)}`), `${keys} compared in ${time}, ${this.left} not as they should be`];
    this.strays.forEach((count, i) => {
      if (count > 0) lines.push(`${count} keys on ${this.labels[i]!} belong to other servers`);
    });
    if (what.repair && !what.removes && this.onlyOnOther > 0) {
      lines.push(`${this.onlyOnOther} keys that only the ${this.exchanged ? "primary" : "backup"} holds were left alone; --delete removes them`);
    }
    return lines;
  }

  private get onlyOnOther(): number {
    let sum = 0;
    for (const { differences } of this.pairs.values()) sum += this.exchanged ? differences.only_primary : differences.only_backup;
    return sum;
  }
}

const EXCHANGED: Readonly<Record<Kind, Kind>> = {
  only_primary: "only_backup", only_backup: "only_primary", value: "value", flags: "flags", times: "times",
};

/** Differences that were not mended, and keys of which nothing is known. */
function leftOf({ differences, mended, failed }: Counts): number {
  return KINDS.reduce((sum, kind) => sum + differences[kind], 0) - mended + failed;
}
