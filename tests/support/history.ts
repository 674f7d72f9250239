// What clients were told, key by key, and whether all of it can be true of one memcached. Every key has one writer, who
// waits for each answer before the next write, so the order of writes is known and staleness can be decided. Time is
// the order in which this process sends and receives.

/** What was found wrong. Each is counted and the first few are kept as sentences. */
export const VIOLATIONS = ["stale", "resurrected", "lost", "wrong", "backwards"] as const;
export type Violation = (typeof VIOLATIONS)[number];

/** One write to a register: a stored version, or null for a delete. */
interface Write {
  readonly version: number | null;
  settled: "pending" | "acknowledged" | "unknown" | "refused";
}

/** What a read must remember from the moment it was sent. */
export interface ReadMark {
  /** Index of the newest write acknowledged before; -1: none, the key was never stored. */
  readonly floor: number;
  /** Index of the newest write that a finished read had shown before; -1: none. */
  readonly seen: number;
}

export class Findings {
  readonly counts: Record<Violation, number> = { stale: 0, resurrected: 0, lost: 0, wrong: 0, backwards: 0 };
  /** When each was found, ms of performance.now(). */
  readonly times: number[] = [];
  /** The first of them in words. */
  readonly sentences: string[] = [];
  /** What is going on, for the sentences. */
  phase = "";

  add(kind: Violation, sentence: string): void {
    this.counts[kind] += 1;
    this.times.push(performance.now());
    if (this.sentences.length < 12) this.sentences.push(`${this.phase}${this.phase === "" ? "" : ", "}${kind}: ${sentence}`);
  }

  get total(): number {
    return VIOLATIONS.reduce((sum, kind) => sum + this.counts[kind], 0);
  }
}

/** A key that holds versions: set, add, cas, replace, delete, get. */
export class Register {
  readonly key: string;
  readonly #findings: Findings;
  readonly #writes: Write[] = [];
  readonly #indexOf = new Map<number, number>();
  #acknowledged = -1;
  #seen = -1;
  #versions = 0;

  constructor(key: string, findings: Findings) {
    this.key = key;
    this.#findings = findings;
  }

  /** A version that was not used before. */
  nextVersion(): number {
    return ++this.#versions;
  }

  /** The owner is about to send a write of a version, or a delete (null). Returns its handle. */
  begin(version: number | null): number {
    const last = this.#writes.at(-1);
    if (last?.settled === "pending") throw new Error(`${this.key}: two writes at once`);
    this.#writes.push({ version, settled: "pending" });
    const index = this.#writes.length - 1;
    if (version !== null) this.#indexOf.set(version, index);
    return index;
  }

  /** The write was acknowledged. */
  acknowledged(index: number): void {
    this.#writes[index]!.settled = "acknowledged";
    this.#acknowledged = index;
  }

  /** The write failed, or its answer never came: it may have happened or not, but not after the next acknowledged one. */
  unknown(index: number): void {
    this.#writes[index]!.settled = "unknown";
  }

  /** The server said that it did not do it (NOT_STORED, EXISTS): its version must never be seen. */
  refused(index: number): void {
    this.#writes[index]!.settled = "refused";
  }

  /** Whether the key may hold a value, or may hold none, as far as its owner can know between two writes. */
  possible(): { present: boolean; absent: boolean } {
    const states = this.#writes.slice(Math.max(0, this.#acknowledged)).filter((write) => write.settled !== "refused");
    const never = this.#acknowledged === -1;
    return {
      present: states.some((write) => write.version !== null),
      absent: never || states.some((write) => write.version === null),
    };
  }

  /** Called when a read is sent. */
  mark(): ReadMark {
    return { floor: this.#acknowledged, seen: this.#seen };
  }

  /** Called when the read is answered: with a version, or null for a miss. */
  answered(mark: ReadMark, version: number | null): void {
    if (version === null) this.#missed(mark);
    else this.#hit(mark, version);
  }

  #hit(mark: ReadMark, version: number): void {
    const index = this.#indexOf.get(version);
    if (index === undefined) {
      this.#findings.add("wrong", `${this.key} shows version ${version}, which nobody wrote`);
      return;
    }
    if (this.#writes[index]!.settled === "refused") {
      this.#findings.add("wrong", `${this.key} shows version ${version}, which was refused`);
      return;
    }
    if (index < mark.floor) {
      const newer = this.#writes[mark.floor]!.version;
      const then = newer === null ? "its delete" : `version ${newer}`;
      this.#findings.add(newer === null ? "resurrected" : "stale", `${this.key} shows version ${version} after ${then} was acknowledged`);
      return;
    }
    if (index < mark.seen) this.#findings.add("backwards", `${this.key} shows version ${version} after a newer one was read`);
    this.#seen = Math.max(this.#seen, index);
  }

  #missed(mark: ReadMark): void {
    const floor = Math.max(0, mark.floor);
    const mayBeGone = mark.floor === -1 || this.#writes.slice(floor).some((write) => write.version === null);
    if (!mayBeGone) {
      this.#findings.add("lost", `${this.key} is missing though version ${this.#writes[floor]!.version} was acknowledged`);
    }
  }
}

/** A key that holds a number which its owner increments by one. */
export class Counter {
  readonly key: string;
  readonly #findings: Findings;
  #known = 0;
  #open = 0;

  constructor(key: string, findings: Findings) {
    this.key = key;
    this.#findings = findings;
  }

  /** An increment was answered with a number. */
  incremented(to: number): void {
    if (to < this.#known + 1) this.#findings.add("lost", `${this.key} is ${to} after ${this.#known} and one more`);
    if (to > this.#known + 1 + this.#open) {
      this.#findings.add("wrong", `${this.key} is ${to} after ${this.#known} and ${this.#open} unanswered: applied twice`);
    }
    this.#known = to;
    this.#open = 0;
  }

  /** An increment failed, or its answer never came: it may have happened, once. */
  unknown(): void {
    this.#open += 1;
  }

  /** The counter was set anew (or its set is unknown and it is not used until a set is acknowledged). */
  reset(to: number): void {
    this.#known = to;
    this.#open = 0;
  }

  /** The key was not there though nobody deleted it. */
  missing(): void {
    this.#findings.add("lost", `${this.key} is missing, it was ${this.#known}`);
  }
}

/** A key to which its owner appends numbered words. */
export class Journal {
  readonly key: string;
  readonly #findings: Findings;
  #words: { word: string; certain: boolean }[] = [];

  constructor(key: string, findings: Findings) {
    this.key = key;
    this.#findings = findings;
  }

  /** How many words it may hold. */
  get length(): number {
    return this.#words.length;
  }

  reset(): void {
    this.#words = [];
  }

  /** An append was acknowledged (certain) or its outcome is unknown. */
  appended(word: string, certain: boolean): void {
    this.#words.push({ word, certain });
  }

  /** The owner read it, with no append on its way. A word of unknown outcome is settled by being there or not. */
  read(text: string): void {
    const found = text.split(" ").filter((word) => word !== "");
    const settled: { word: string; certain: boolean }[] = [];
    let at = 0;
    for (const { word, certain } of this.#words) {
      if (found[at] === word) {
        at += 1;
        settled.push({ word, certain: true });
      } else if (certain) {
        const twice = found.slice(0, at).includes(found[at] ?? "");
        if (twice) this.#findings.add("wrong", `${this.key} has ${found[at]} twice or out of order`);
        else this.#findings.add("lost", `${this.key} lacks ${word}, it has ${found.slice(-3).join(" ")}`);
        this.#adopt(found);
        return;
      }
    }
    if (at < found.length) this.#findings.add("wrong", `${this.key} has ${found[at]} in excess`);
    this.#words = settled;
    if (at < found.length) this.#adopt(found);
  }

  missing(): void {
    if (this.#words.some((one) => one.certain)) this.#findings.add("lost", `${this.key} is missing`);
    this.#words = [];
  }

  /** After a finding: count it once and go on from what is there. */
  #adopt(found: readonly string[]): void {
    this.#words = found.map((word) => ({ word, certain: true }));
  }
}

/** The value that stands for a version of a key: names both, and its filler can be told from any other value's. */
export function valueFor(key: string, version: number, length: number): string {
  const head = `${key} ${version} ${length}\n`;
  const filler = `${key}#${version}\r\nEND\r\n\x00\xff`;
  return (head + filler.repeat(Math.ceil(length / filler.length))).slice(0, Math.max(length, head.length));
}

/** The version that a value stands for; null when the text is not exactly what was written for this key. */
export function versionOf(key: string, text: string): number | null {
  const head = /^(\S+) (\d+) (\d+)\n/.exec(text.slice(0, 300));
  if (head === null || head[1] !== key) return null;
  const version = Number(head[2]);
  return valueFor(key, version, Number(head[3])) === text ? version : null;
}
