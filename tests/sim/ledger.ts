// The ledger of long runs: a line for each stretch of seeds that was run, so that runs of several days, processes and
// commits add up to a total.

/** One stretch of seeds. */
export interface Entry {
  readonly commit: string;
  readonly scenario: string;
  readonly runtime: string;
  readonly start: number;
  readonly seeds: number;
  /** Seeds that failed. */
  readonly failed: readonly number[];
  readonly events: number;
  readonly seconds: number;
}

export function lineOf(entry: Entry): string {
  return `${JSON.stringify(entry)}\n`;
}

/** Every line must be an entry; throws naming the one that is not. */
export function entriesOf(text: string): Entry[] {
  return text.split("\n").filter((line) => line !== "").map((line, i) => {
    let entry: Partial<Entry> = {};
    try {
      entry = JSON.parse(line) as Partial<Entry>;
    } catch {
      // Said below.
    }
    const numbers = [entry.start, entry.seeds, entry.events, entry.seconds];
    if (!Array.isArray(entry.failed) || typeof entry.scenario !== "string" || !numbers.every(Number.isFinite)) {
      throw new Error(`line ${i + 1} is no entry of a ledger: ${line.slice(0, 80)}`);
    }
    return entry as Entry;
  });
}

export interface Total {
  readonly scenario: string;
  /** Different seeds; the same one on another commit or runtime is another world. */
  readonly seeds: number;
  readonly commits: number;
  readonly events: number;
  readonly seconds: number;
  /** "commit seed", as often as they failed. */
  readonly failed: readonly string[];
}

/** Sums by scenario, with a last line for all of them. */
export function totals(entries: readonly Entry[]): Total[] {
  const names = [...new Set(entries.map(({ scenario }) => scenario))].sort();
  const sum = (scenario: string, those: readonly Entry[]): Total => ({
    scenario,
    seeds: different(those),
    commits: new Set(those.map(({ commit }) => commit)).size,
    events: those.reduce((n, { events }) => n + events, 0),
    seconds: those.reduce((n, { seconds }) => n + seconds, 0),
    failed: [...new Set(those.flatMap(({ commit, failed }) => failed.map((seed) => `${scenario} ${commit} ${seed}`)))],
  });
  const each = names.map((name) => sum(name, entries.filter(({ scenario }) => scenario === name)));
  const all = sum("all", entries);
  return [...each, { ...all, failed: each.flatMap(({ failed }) => failed) }];
}

/** How many worlds the entries ran, each counted once. */
function different(entries: readonly Entry[]): number {
  const worlds = new Map<string, [number, number][]>();
  for (const { commit, scenario, runtime, start, seeds } of entries) {
    const world = `${commit} ${scenario} ${runtime}`;
    if (!worlds.has(world)) worlds.set(world, []);
    worlds.get(world)!.push([start, start + seeds]);
  }
  let count = 0;
  for (const spans of worlds.values()) {
    spans.sort((a, b) => a[0] - b[0]);
    let reached = -Infinity;
    for (const [from, to] of spans) {
      count += Math.max(0, to - Math.max(from, reached));
      reached = Math.max(reached, to);
    }
  }
  return count;
}

/** The totals as a table for people. */
export function tableOf(sums: readonly Total[]): string {
  const rows = [["scenario", "seeds", "commits", "events", "hours", "failed"]];
  for (const { scenario, seeds, commits, events, seconds, failed } of sums) {
    rows.push([scenario, String(seeds), String(commits), String(events), (seconds / 3600).toFixed(2), String(failed.length)]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "));
  const failures = sums.at(-1)?.failed ?? [];
  return [...lines, ...failures.map((failure) => `failed: ${failure}`)].join("\n") + "\n";
}
