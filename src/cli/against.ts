// tandem check --against: asks any number of proxies for their fingerprints and how they see their servers, and prints
// where they differ from the first one, or from a file.
import { placementDifferences } from "../config/fingerprint.ts";
import { askStats, type Stats } from "./ask.ts";
import { type Context, EXIT_FAILED, EXIT_UNREACHABLE } from "./context.ts";
import type { Place } from "./place.ts";
import { table } from "./table.ts";

const ANSWER_MS = 3000;
const QUESTIONS = ["stats proxy", "stats settings", "stats servers"] as const;

/** One side of a comparison. */
export interface Compared {
  readonly label: string;
  readonly fingerprint: string;
  readonly placement: string;
  /** Of each server its state with the reason, "up" or "down (refused)"; null of a file. */
  readonly servers: ReadonlyMap<string, string> | null;
}

/** Asks them all, prints, and ends: 0 all agree, 1 some do not, 3 one of them does not answer. */
export function compareAgainst(context: Context, files: readonly Compared[], places: readonly Place[]): void {
  const found: (Compared | string)[] = [];
  let open = places.length;
  places.forEach(({ address, label }, index) => {
    askStats(context.platform, address, QUESTIONS, ANSWER_MS, (asked) => {
      found[index] = asked.ok ? comparedOf(label, asked.answers) : `${label}: ${asked.reason}`;
      if (--open > 0) return;
      const sides = [...files, ...found.filter((each) => typeof each !== "string")];
      const lost = found.filter((each) => typeof each === "string");
      const { lines, differ } = comparison(sides);
      context.platform.host.stdout([...lines, ...lost].map((line) => `${line}\n`).join(""));
      context.platform.host.exit(lost.length > 0 ? EXIT_UNREACHABLE : differ ? EXIT_FAILED : 0);
    });
  });
}

function comparedOf(label: string, [proxy, settings, servers]: readonly Stats[]): Compared | string {
  const fingerprint = proxy?.get("fingerprint");
  if (fingerprint === undefined) return `${label}: is no tandem that tells its fingerprint`;
  const states = new Map<string, string>();
  for (const [name, address] of servers ?? []) {
    if (!name.endsWith(":address")) continue;
    const of = (what: string): string => servers?.get(name.replace(/address$/, what)) ?? "";
    states.set(address, of("state") === "up" ? "up" : `${of("state")} (${of("reason")})`);
  }
  return { label, fingerprint, placement: settings?.get("placement") ?? "", servers: states };
}

/** A table of all, and a line for each difference. */
export function comparison(sides: readonly Compared[]): { readonly lines: string[]; readonly differ: boolean } {
  const rows = sides.map(({ label, fingerprint, servers }) => [label, fingerprint, servers === null ? "" : healthText(servers)]);
  const lines = sides.length === 0 ? [] : table([["compared", "fingerprint", "servers"], ...rows], "lll");
  const differences: string[] = [];
  const [first, ...others] = sides;
  for (const other of others) {
    if (other.fingerprint === first!.fingerprint) continue;
    const found = placementDifferences(first!.placement, other.placement);
    for (const each of found.length > 0 ? found : ["what is not known"]) differences.push(`${other.label} differs from ${first!.label}: ${each}`);
  }
  const seen = sides.filter((side) => side.servers !== null);
  for (const address of new Set(seen.flatMap(({ servers }) => [...servers!.keys()]))) {
    const views = seen.filter(({ servers }) => servers!.has(address)).map(({ label, servers }) => ({ label, state: servers!.get(address)! }));
    const known = new Set(views.map(({ state }) => state.split(" ")[0]));
    if (known.size > 1) differences.push(`${address} is ${views.map(({ label, state }) => `${state} for ${label}`).join(", ")}`);
  }
  return { lines: [...lines, ...differences, ...(differences.length === 0 && sides.length > 1 ? ["all agree"] : [])], differ: differences.length > 0 };
}

function healthText(servers: ReadonlyMap<string, string>): string {
  const bad = [...servers].filter(([, state]) => state !== "up").map(([address, state]) => `${address} ${state}`);
  return [`${servers.size - bad.length} up`, ...bad].join(", ");
}
