// One key of a memcached as clients may see it: which answers a state allows, and which state follows. Expiry is a
// span, not an instant: memcached counts whole seconds, and a copied item may gain or lose one per copy.
import type { Call } from "./history.ts";

/** A key's content; null when there is none. */
export interface Content {
  readonly value: string;
  readonly flags: number;
  /** It may be gone from here on, and must be gone after mustUs. Infinity: never. */
  readonly mayGoUs: number;
  readonly mustGoUs: number;
  /** When the change that made it was asked for; 0 where that does not matter (Leniency.lossy). */
  readonly sinceUs: number;
}

export type State = Content | null;

/** What may differ from one memcached that nothing ever happens to. */
export interface Leniency {
  /**
   * Whether what was written at one time may be lost at another, or null: nothing may. A command may find nothing then;
   * what was overwritten or deleted must still never be seen.
   */
  readonly lossy: ((writtenUs: number, missedUs: number, key: string) => boolean) | null;
  /** A cas may be answered EXISTS although nothing changed (its token came from another server). */
  readonly spuriousExists: boolean;
  /**
   * A read that is asked again at the other server comes behind what its own connection asked after it, and may see
   * it: reads are not bound to the order of their connection, only to their own time.
   */
  readonly readsDrift: boolean;
  /** How far an expiry may be off beyond memcached's own second, microseconds. */
  readonly ttlSlackUs: number;
}

export const STRICT: Leniency = { lossy: null, spuriousExists: false, readsDrift: false, ttlSlackUs: 0 };

const SECOND_US = 1_000_000;

/** True when nothing tells two contents of one value apart. */
export function same(one: Content, two: Content): boolean {
  return one.flags === two.flags && one.mayGoUs === two.mayGoUs && one.mustGoUs === two.mustGoUs && one.sinceUs === two.sinceUs;
}

/** A state in words. */
export function nameOf(state: State): string {
  return state === null ? "-" : `${state.flags} ${state.mayGoUs} ${state.mustGoUs} ${state.sinceUs} ${state.value}`;
}

/** The states that may follow when `call`, with the outcome it had, takes effect in `state`; none: it cannot. */
export function follow(state: State, call: Call, lenient: Leniency): State[] {
  if (call.outcome === "unknown" || call.outcome === "open") return effects(state, call, lenient);
  if (call.kind === "flush") return flushed(state, call);
  const absent = isGone(state, call, lenient);
  const present = state !== null && call.startUs <= state.mustGoUs;
  switch (call.outcome) {
    case "miss":
      return absent ? [state] : [];
    case "hit": {
      if (!present || state.value !== call.seen || state.flags !== call.seenFlags) return [];
      return call.kind === "gat" ? [{ ...state, ...expiry(call, lenient) }] : [state];
    }
    case "stored":
      return stored(state, call, lenient, absent, present);
    case "not_stored":
      return (call.kind === "add" ? present : absent) ? [state] : [];
    case "exists":
      return present && (state.value !== call.expected || lenient.spuriousExists) ? [state] : [];
    case "not_found":
      // A delete that found nothing has still deleted: what it missed must not come back.
      return absent ? [call.kind === "delete" ? null : state] : [];
    case "deleted":
      return present ? [null] : [];
    case "touched":
      return present ? [{ ...state, ...expiry(call, lenient) }] : [];
    case "number": {
      if (!present) return [];
      const result = count(state.value, call);
      return result !== null && result === call.seen ? [{ ...state, value: result, sinceUs: since(call, lenient) }] : [];
    }
  }
}

/**
 * A flush_all that was answered: what is older than memcached's second is gone. What is younger may be gone or not, on
 * each server for itself (lossy says so); so may all, when it was being copied at that time.
 */
function flushed(state: State, call: Call): State[] {
  const old = state !== null && call.value !== "weak" && state.sinceUs + 2 * SECOND_US <= call.startUs;
  return [old ? null : state];
}

function stored(state: State, call: Call, lenient: Leniency, absent: boolean, present: boolean): State[] {
  switch (call.kind) {
    case "set":
      return [fresh(call, lenient)];
    case "add":
      return absent ? [fresh(call, lenient)] : [];
    case "replace":
      return present ? [fresh(call, lenient)] : [];
    case "cas":
      return present && state!.value === call.expected ? [fresh(call, lenient)] : [];
    case "append":
      return present ? [{ ...state!, value: state!.value + call.value, sinceUs: since(call, lenient) }] : [];
    case "prepend":
      return present ? [{ ...state!, value: call.value + state!.value, sinceUs: since(call, lenient) }] : [];
    default:
      return [];
  }
}

/** What a command of unknown outcome may have done, other than nothing. */
function effects(state: State, call: Call, lenient: Leniency): State[] {
  switch (call.kind) {
    case "get":
    case "flush": // what it may have taken away is lossy
      return [];
    case "set":
      return [fresh(call, lenient)];
    case "add":
      return isGone(state, call, lenient) ? [fresh(call, lenient)] : [];
    case "delete":
      return state === null ? [] : [null];
    case "replace":
      return state === null ? [] : [fresh(call, lenient)];
    case "cas":
      return state === null || state.value !== call.expected ? [] : [fresh(call, lenient)];
    case "append":
      return state === null ? [] : [{ ...state, value: state.value + call.value, sinceUs: since(call, lenient) }];
    case "prepend":
      return state === null ? [] : [{ ...state, value: call.value + state.value, sinceUs: since(call, lenient) }];
    case "touch":
    case "gat":
      return state === null ? [] : [{ ...state, ...expiry(call, lenient) }];
    case "incr":
    case "decr": {
      const result = state === null ? null : count(state.value, call);
      return result === null ? [] : [{ ...state!, value: result, sinceUs: since(call, lenient) }];
    }
  }
}

/** True when a command may find nothing where the state should be. */
function isGone(state: State, call: Call, lenient: Leniency): boolean {
  return state === null || call.endUs >= state.mayGoUs || (lenient.lossy !== null && lenient.lossy(state.sinceUs, call.endUs, call.key));
}

function since(call: Call, lenient: Leniency): number {
  return lenient.lossy === null ? 0 : call.startUs;
}

function fresh(call: Call, lenient: Leniency): Content {
  return { value: call.value, flags: call.flags, sinceUs: since(call, lenient), ...expiry(call, lenient) };
}

function expiry(call: Call, lenient: Leniency): { mayGoUs: number; mustGoUs: number } {
  if (call.ttl === 0) return { mayGoUs: Infinity, mustGoUs: Infinity };
  const ttlUs = Math.max(0, call.ttl) * SECOND_US;
  // A server that was deaf executes it much later, and counts from then on.
  const late = (call.outcome === "unknown" || call.outcome === "open") && (!call.noreply || lenient.lossy !== null);
  if (late) return { mayGoUs: call.ttl < 0 ? call.startUs : call.startUs + ttlUs - SECOND_US - lenient.ttlSlackUs, mustGoUs: Infinity };
  const end = call.endUs === Infinity ? call.startUs + SECOND_US : call.endUs;
  if (call.ttl < 0) return { mayGoUs: call.startUs, mustGoUs: end };
  return { mayGoUs: call.startUs + ttlUs - SECOND_US - lenient.ttlSlackUs, mustGoUs: end + ttlUs + lenient.ttlSlackUs };
}

/** What incr or decr makes of a value, or null when it is no number. */
function count(value: string, call: Call): string | null {
  if (!/^[0-9]{1,15}$/.test(value)) return null;
  const now = Number(value);
  const delta = Number(call.value);
  return String(call.kind === "incr" ? now + delta : Math.max(0, now - delta));
}
