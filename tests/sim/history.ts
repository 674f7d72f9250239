// What clients asked and what they were told: the record that checker.ts judges.

/** What a call may have been told. "unknown": an error line, noreply, or the connection ended first. */
export type Outcome =
  | "open" // not answered yet
  | "hit" | "miss"
  | "stored" | "not_stored" | "exists" | "not_found"
  | "deleted" | "touched" | "number"
  | "unknown";

export type CallKind = "get" | "set" | "add" | "replace" | "append" | "prepend" | "cas" | "incr" | "decr" | "touch" | "gat" | "delete" | "flush";

/** One command on one key (a multi-get is one call per key). Times are virtual microseconds. */
export interface Call {
  readonly id: number;
  /** The client connection, and the place among its calls: they take effect in that order. */
  readonly session: number;
  readonly place: number;
  readonly kind: CallKind;
  readonly key: string;
  /** What is stored, appended or prepended; the delta of incr and decr. */
  readonly value: string;
  readonly flags: number;
  /** Relative seconds, 0 for ever, negative at once. For commands without a TTL: 0. */
  readonly ttl: number;
  /** cas: the value that came with the token; null when the token was made up. */
  readonly expected: string | null;
  readonly noreply: boolean;
  readonly startUs: number;
  /** When the answer was read; for an unknown outcome, from when on it is settled. */
  endUs: number;
  outcome: Outcome;
  /** It was answered by an error line. */
  refused: boolean;
  /** The value of a hit (trailing spaces of numbers cut), or the number that incr and decr answered. */
  seen: string;
  seenFlags: number;
}

/** Everything that was asked in one world. */
export class History {
  readonly calls: Call[] = [];
  /** What no memcached would have done, found while reading answers. */
  readonly wrong: string[] = [];
  /** Lines that began with SERVER_ERROR, by text. */
  readonly errors = new Map<string, number>();
  /** The longest time from a command to its answer, microseconds. */
  slowestUs = 0;

  begin(call: Omit<Call, "id" | "endUs" | "outcome" | "refused" | "seen" | "seenFlags">): Call {
    const { session, place, kind, key, value, flags, ttl, expected, noreply, startUs } = call;
    const whole: Call = {
      id: this.calls.length, session, place, kind, key, value, flags, ttl, expected, noreply, startUs,
      endUs: Infinity, outcome: "open", refused: false, seen: "", seenFlags: 0,
    };
    this.calls.push(whole);
    return whole;
  }

  /** The answer came at nowUs. */
  settle(call: Call, nowUs: number, outcome: Outcome, seen = "", seenFlags = 0): void {
    call.endUs = nowUs;
    call.outcome = outcome;
    call.seen = seen;
    call.seenFlags = seenFlags;
    this.timed(call, nowUs);
  }

  private timed(call: Call, nowUs: number): void {
    const took = nowUs - call.startUs;
    if (took > this.slowestUs && !call.noreply) this.slowestUs = took;
  }

  /** An error line came at nowUs. */
  refuse(call: Call, nowUs: number): void {
    call.endUs = nowUs;
    call.outcome = "unknown";
    call.refused = true;
    this.timed(call, nowUs);
  }

  /** No answer will come: what it did is settled by settledUs. */
  abandon(call: Call, settledUs: number): void {
    call.endUs = settledUs;
    call.outcome = "unknown";
  }

  error(line: string): void {
    this.errors.set(line, (this.errors.get(line) ?? 0) + 1);
  }
}

/** A call in one line, for people. */
export function say(call: Call): string {
  const end = call.endUs === Infinity ? "?" : ms(call.endUs);
  const cas = call.kind === "cas" ? ` if ${brief(call.expected ?? "a made-up token")}` : "";
  const ttl = call.ttl === 0 ? "" : ` ttl ${call.ttl}`;
  const reads = call.kind === "get" || call.kind === "delete" || call.kind === "touch" || call.kind === "gat";
  const told = call.outcome === "hit" || call.outcome === "number" ? `${call.outcome} ${brief(call.seen)}` : call.outcome;
  return `${ms(call.startUs)}–${end} session ${call.session}.${call.place} ${call.kind} ${call.key}${reads ? "" : ` ${brief(call.value)}`}${cas}${ttl}${call.noreply ? " noreply" : ""} → ${told}`;
}

function ms(us: number): string {
  return (us / 1000).toFixed(3);
}

function brief(text: string): string {
  return text.length > 60 ? `${text.slice(0, 28)}…${text.slice(-28)} (${text.length})` : JSON.stringify(text);
}
