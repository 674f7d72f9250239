// What a proxy posts on every server: that it lives, when it wrote last, and which servers it does not trust.
//
//   __tandem:b:<id>    tandem 1 <seq> <wall ms> <mono ms> <ms since a client wrote, or -1> live|ended|buried <rings> (<server>=<why>:<chunks>)…
//
// Rings: their digest, or <digest before>><digest after>:<steps taken> while they change.
import type { Steps } from "./steps.ts";

/** down: not reachable; stale: it lacks writes; cold: it lost its memory; drained: it lacks nothing, but is not to be read. */
export const COMPLAINT_REASONS = ["down", "stale", "cold", "drained"] as const;
export type ComplaintReason = (typeof COMPLAINT_REASONS)[number];

/** A server that a proxy does not trust. */
export interface Complaint {
  /** controlName of the server. */
  readonly name: string;
  readonly why: ComplaintReason;
  /** How many chunks of hints the proxy has written of what the server missed. */
  readonly chunks: number;
}

export interface Notice {
  /** Grows with each posting: of several copies the one with the highest counts. */
  readonly seq: number;
  /** The poster's clocks, ms: Unix time, and since some start of its own. */
  readonly wallMs: number;
  readonly monoMs: number;
  /** When a client of it wrote last, ms before the posting; -1: never. */
  readonly wroteAgoMs: number;
  /** Posted by a survivor: this proxy is dead, and what it complained about is dealt with. */
  readonly buried: boolean;
  /** The last one: the proxy has ended, with nothing under way. What it complained about stands. */
  readonly ended?: boolean;
  /** Its rings; one of an older tandem does not tell. */
  readonly rings?: Steps;
  readonly complaints: readonly Complaint[];
}

export function noticeText(notice: Notice): string {
  const { seq, wallMs, monoMs, wroteAgoMs, buried, ended, rings, complaints } = notice;
  const head = `tandem 1 ${seq} ${wallMs} ${monoMs} ${wroteAgoMs} ${buried ? "buried" : ended === true ? "ended" : "live"}`;
  const steps = rings === undefined ? "" : rings.from === rings.to ? ` ${rings.to}` : ` ${rings.from}>${rings.to}:${rings.taken}`;
  return head + steps + complaints.map(({ name, why, chunks }) => ` ${name}=${why}:${chunks}`).join("");
}

/** Null when it is no notice, or not a whole one. */
export function parseNotice(text: string): Notice | null {
  const match = /^tandem 1 (\d{1,15}) (\d{1,15}) (\d{1,15}) (-1|\d{1,15}) (live|ended|buried)(?: ([0-9a-f]{16})(?:>([0-9a-f]{16}):(\d))?)?((?: [\x21-\x7e]+=[a-z]+:\d{1,9})*)$/.exec(text);
  if (match === null) return null;
  const complaints: Complaint[] = [];
  for (const word of match[9]!.split(" ")) {
    if (word === "") continue;
    const [, name, reason, chunks] = /^(.+)=([a-z]+):(\d+)$/.exec(word)!;
    const why = COMPLAINT_REASONS.find((each) => each === reason);
    if (why === undefined) return null;
    complaints.push({ name: name!, why, chunks: Number(chunks) });
  }
  return {
    seq: Number(match[1]), wallMs: Number(match[2]), monoMs: Number(match[3]), wroteAgoMs: Number(match[4]),
    buried: match[5] === "buried", complaints,
    ...(match[6] === undefined ? {} : { rings: { from: match[6], to: match[7] ?? match[6], taken: Number(match[8] ?? 0) } }),
    ...(match[5] === "ended" ? { ended: true } : {}),
  };
}

/** For people. */
export function complaintText(complaints: readonly Complaint[]): string {
  return complaints.length === 0 ? "none" : complaints.map(({ name, why }) => `${name} ${why}`).join(", ");
}
