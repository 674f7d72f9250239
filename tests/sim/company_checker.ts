// What several proxies owe their clients together. Two writes at the same moment may take effect in a different order
// on either server, so no single order explains everything; but what was over before something else began has an order:
// a read never shows a state that an acknowledged write had replaced before the read was asked (stale), never misses
// what was stored and not deleted (lost), never shows what was deleted before (resurrected: a kind of stale); a lock by
// add and a cas are won once; nothing is applied twice. Keys without numbers and without TTLs.
import type { Call } from "./history.ts";
import { say } from "./history.ts";

export type Fault = "stale" | "lost" | "double" | "twice";

export interface Finding {
  readonly fault: Fault;
  /** The acknowledged write, and what contradicts it. */
  readonly cause: Call;
  readonly call: Call;
  readonly text: string;
}

/** Everything that contradicts the above. lossy: a miss needs no explanation. */
export function findings(calls: readonly Call[], lossy: boolean): Finding[] {
  const keys = new Map<string, Call[]>();
  for (const call of calls) {
    const list = keys.get(call.key);
    if (list === undefined) keys.set(call.key, [call]);
    else list.push(call);
  }
  const out: Finding[] = [];
  for (const list of keys.values()) if (!list[0]!.key.startsWith("n")) judge(list, lossy, out);
  return out;
}

/** The unique pieces of a value, as written. */
function pieces(value: string): string[] {
  return value.match(/<\d+\*\d+>/g) ?? [];
}

function judge(calls: readonly Call[], lossy: boolean, out: Finding[]): void {
  const writes = calls.filter((call) => call.kind !== "get" && call.kind !== "gat" && call.kind !== "touch");
  const acked = writes.filter(({ outcome }) => outcome === "stored" || outcome === "deleted");
  const writer = new Map<string, Call>();
  for (const call of writes) for (const piece of pieces(call.value)) writer.set(piece, call);
  const settledUs = (call: Call): number => (call.outcome === "stored" ? call.endUs : Infinity);
  // In the order in which they ended, so that the latest that was over before a read is found first.
  const ended = [...acked].sort((a, b) => a.endUs - b.endUs);
  const before = (us: number): number => {
    let low = 0, high = ended.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ended[middle]!.endUs < us) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const latestStartUs: number[] = [];
  for (const [i, call] of ended.entries()) latestStartUs.push(Math.max(call.startUs, i === 0 ? -1 : latestStartUs[i - 1]!));
  for (const call of calls) {
    if (call.outcome === "hit") {
      const found = pieces(call.seen);
      if (new Set(found).size < found.length) out.push(finding("twice", call, call, ""));
      const newestUs = Math.max(...found.map((piece) => (writer.has(piece) ? settledUs(writer.get(piece)!) : Infinity)));
      const count = before(call.startUs);
      if (count === 0 || latestStartUs[count - 1]! <= newestUs) continue;
      const replaced = ended.slice(0, count).findLast(({ startUs }) => startUs > newestUs)!;
      out.push(finding("stale", replaced, call, `it had been replaced by: ${say(replaced)}`));
    } else if (call.outcome === "miss" && !lossy) {
      const stores = ended.slice(0, before(call.startUs)).filter(({ kind }) => kind !== "delete" && kind !== "append" && kind !== "prepend");
      if (stores.length === 0) continue;
      const last = stores.reduce((a, b) => (b.startUs > a.startUs ? b : a));
      const deleted = writes.some((write) => write.kind === "delete" && write.startUs <= call.endUs &&
        (write.outcome === "unknown" || write.outcome === "open" || write.endUs >= last.startUs));
      if (!deleted) out.push(finding("lost", last, call, `stored by: ${say(last)}`));
    }
  }
  const won = new Map<string, Call>();
  let lock: Call | null = null;
  for (const call of [...acked].sort((a, b) => a.startUs - b.startUs)) {
    if (call.kind === "cas" && call.expected !== null) {
      const other = won.get(call.expected);
      if (other !== undefined) out.push(finding("double", other, call, `the same state was replaced by: ${say(other)}`));
      won.set(call.expected, call);
    }
    if (call.kind !== "add") continue;
    const held = lock;
    lock = call;
    if (held === null) continue;
    const freed = (first: Call, second: Call): boolean => writes.some((write) => write.kind === "delete" && write.startUs <= second.endUs &&
      (write.outcome === "unknown" || write.outcome === "open" || write.endUs >= first.startUs));
    // Of two at the same time the one that was asked for later may have come first.
    if (!freed(held, call) && !(call.startUs <= held.endUs && freed(call, held)) && !lossy) out.push(finding("double", held, call, `already added by: ${say(held)}`));
  }
}

function finding(fault: Fault, cause: Call, call: Call, why: string): Finding {
  return { fault, cause, call, text: `${fault}: ${say(call)}${why === "" ? "" : `\n  ${why}`}` };
}
