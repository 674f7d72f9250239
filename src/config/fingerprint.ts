// What two proxies must have in common to place and to replicate alike, as one text and as its digest. Nothing else is
// in it: neither listeners nor deadlines, neither zones nor names of pools.
import { FLAVOURS } from "../ring/flavours.ts";
import { Md5 } from "../ring/md5.ts";
import type { PoolConfig, ServerSpec } from "./config.ts";

/** "ring=libketama hash_tag= primaries=10.0.0.1:11211:1,… backups=… ack=both board=on strict=no verify=auto" */
export function placementText(pool: Pick<PoolConfig, "ring" | "hashTag" | "primaries" | "backups" | "ack" | "proxies">): string {
  const servers = (specs: readonly ServerSpec[]): string => {
    const texts = specs.map(({ label, weight, name }) => `${label}:${weight}${name === null ? "" : `=${name}`}`);
    // Only where a server is the hash modulo their number does the order in which they are given place anything.
    return (FLAVOURS[pool.ring].circle || FLAVOURS[pool.ring].order === "text" ? texts.sort() : texts).join(",");
  };
  const { proxies } = pool;
  return [
    `ring=${pool.ring}`, `hash_tag=${pool.hashTag}`, `primaries=${servers(pool.primaries)}`, `backups=${servers(pool.backups)}`, `ack=${pool.ack}`,
    `board=${proxies.board ? "on" : "off"}`, `strict=${proxies.strict ? "yes" : "no"}`, `verify=${proxies.verify}`,
  ].join(" ");
}

/** Of such a text what decides where keys are. */
export function ringsText(placement: string): string {
  return placement.slice(0, placement.indexOf(" ack="));
}

/** The digest of that for each pool, by its name. */
export function ringsDigests(pools: readonly PoolConfig[]): Record<string, string> {
  return Object.fromEntries(pools.map((pool) => [pool.name, fingerprint(ringsText(placementText(pool)))]));
}

/** 16 hex digits. */
export function fingerprint(placement: string): string {
  const bytes = Uint8Array.from(placement, (letter) => letter.charCodeAt(0) & 0xff);
  return [...new Md5().digest(bytes, 0, bytes.length).subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What differs between two placement texts: "ring twemproxy instead of libketama", "backups without 10.0.0.3:11211:1". */
export function placementDifferences(ours: string, theirs: string): string[] {
  const mine = fields(ours), other = fields(theirs);
  const found: string[] = [];
  for (const name of new Set([...mine.keys(), ...other.keys()])) {
    const [a, b] = [mine.get(name) ?? "", other.get(name) ?? ""];
    if (a === b) continue;
    if (name !== "primaries" && name !== "backups") {
      found.push(`${name} ${b || "none"} instead of ${a || "none"}`);
      continue;
    }
    const [before, after] = [a.split(",").filter((each) => each !== ""), b.split(",").filter((each) => each !== "")];
    const more = after.filter((each) => !before.includes(each)), less = before.filter((each) => !after.includes(each));
    if (more.length > 0) found.push(`${name} also ${more.join(", ")}`);
    if (less.length > 0) found.push(`${name} without ${less.join(", ")}`);
    if (more.length === 0 && less.length === 0) found.push(`${name} in another order`);
  }
  return found;
}

function fields(placement: string): Map<string, string> {
  // A value goes on until the next name: node names and tags may hold signs, but no blanks.
  return new Map(placement.split(" ").map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
}
