// What the clients of a run ask: a few keys under contention, every command of the text protocol on them, pipelined.
import type { Load, Request } from "./client.ts";
import type { Call, CallKind, History } from "./history.ts";
import type { Prng } from "./prng.ts";
import { nameOfPiece, piece } from "./values.ts";
import type { World } from "./world.ts";

/** How a run's clients behave; drawn per run. */
export interface Habits {
  readonly keys: number;
  /** Requests of one burst, at most. */
  readonly depth: number;
  /** Between bursts, at most, microseconds. */
  readonly pauseUs: number;
  /** Of 100 stores, how many have a TTL. */
  readonly ttls: number;
  /** Some of them are dates (the servers' clocks are right). */
  readonly dates?: boolean;
  /** Of 100 writes, how many are noreply. */
  readonly noreply: number;
  /** Of 1000 stores, how many are 20 KiB or more. */
  readonly large: number;
  /** Of 1000 bursts, how many end in an abort and in a half-close. */
  readonly aborts: number;
  readonly halfCloses: number;
  /** Of 8 bursts, how many are left out while nothing happens (World.lively). */
  readonly idle: number;
}

export function drawHabits(dice: Prng, dates = false): Habits {
  const depth = dice.pick([1, 1, 4, 8, 16]);
  return {
    keys: dice.pick([2, 4, 6, 10, 20, 40]),
    depth,
    pauseUs: dice.pick([20_000, 60_000, 120_000]) * (1 + depth),
    ttls: dice.pick([0, 0, 20, 70]),
    dates,
    noreply: dice.pick([0, 5, 20]),
    large: dice.pick([0, 0, 10]),
    aborts: dice.pick([0, 0, 5]),
    halfCloses: dice.pick([0, 0, 10]),
    idle: dice.pick([0, 6, 7, 7]),
  };
}

/** What the clients of one world share: the last token seen per key, and when to stop. */
export class Knowledge {
  readonly tokens = new Map<string, { value: string; token: string }>();
  /** A token that came with two values of one key. */
  readonly reused: string[] = [];
  private readonly byToken = new Map<string, string>();
  stopped = false;
  /** What is left is to wait for: little is asked. */
  waning = false;
  pieces = 0;
  clients = 0;

  learned(key: string, value: string, token: string): void {
    this.tokens.set(key, { value, token });
    const known = this.byToken.get(`${key} ${token}`);
    if (known === undefined) this.byToken.set(`${key} ${token}`, value);
    else if (known !== value) this.reused.push(`the token ${token} of ${key} came with ${known} and with ${value}`);
  }
}

/** A TTL that can only be said as a date, seconds. */
const DATED_S = 3_000_000;
/** Of 100 requests. */
const READS = 45;
/** When the run is over each client reads every key this often, that far apart: what was lost or lives too long shows. */
const LAST_READS = 3;
const LAST_PAUSE_US = 2_500_000;
/** How long a stopped client needs at most, if every answer comes at once. */
export const CLOSING_US = LAST_READS * LAST_PAUSE_US + 4_000_000;

export class MixedLoad implements Load {
  private lastReads = LAST_READS;
  private readonly number: number;

  constructor(
    private readonly world: World,
    private readonly habits: Habits,
    private readonly known: Knowledge,
    private readonly history: History,
  ) {
    this.number = known.clients++;
  }

  burst(): Request[] | null {
    if (this.known.stopped) return this.lastReads-- > 0 ? this.everything() : null;
    const dice = this.world.dice.load;
    const out: Request[] = [];
    if (dice.chance(this.known.waning ? 7 : this.world.lively ? 0 : this.habits.idle, 8)) return out;
    const n = dice.range(1, this.habits.depth);
    for (let i = 0; i < n; i++) out.push(this.request(dice));
    return out;
  }

  pauseUs(): number {
    return this.known.stopped ? LAST_PAUSE_US : this.world.dice.load.range(100, this.habits.pauseUs);
  }

  learned(key: string, value: string, token: string): void {
    this.known.learned(key, value, token);
  }

  mood(): "wait" | "half_close" | "abort" {
    if (this.known.stopped) return "wait";
    const throwUp = this.world.dice.load.below(1000);
    if (throwUp < this.habits.aborts) return "abort";
    return throwUp < this.habits.aborts + this.habits.halfCloses ? "half_close" : "wait";
  }

  /** The clients of a world share the keys among them, another share each time. */
  private everything(): Request[] {
    const out: Request[] = [];
    const { clients } = this.known;
    for (let number = (this.number + this.lastReads) % clients; number < this.habits.keys; number += clients) {
      const key = keyOf(number);
      out.push(this.one("gets", key, `gets ${key}\r\n`, { kind: "get" }));
    }
    return out;
  }

  private request(dice: Prng): Request {
    const number = dice.below(this.habits.keys);
    const key = keyOf(number);
    const counter = holdsNumber(number);
    if (dice.chance(1, 200)) return plain(dice.pick(["version", "mn"]));
    if (dice.chance(READS, 100)) return this.read(dice, key);
    return this.write(dice, key, counter);
  }

  private read(dice: Prng, key: string): Request {
    if (dice.chance(1, 20)) {
      // Not "expire at once": asked again at the other server, which has been told already, it finds nothing.
      const ttl = Math.max(0, this.ttl(dice));
      const verb = dice.pick(["gat", "gats"] as const);
      return this.one(verb, key, `${verb} ${this.exptime(ttl)} ${key}\r\n`, { kind: "gat", ttl });
    }
    const verb = dice.chance(1, 3) ? "gets" : "get";
    const keys = [key];
    while (dice.chance(1, 4) && keys.length < 6) {
      const another = keyOf(dice.below(this.habits.keys));
      if (!keys.includes(another)) keys.push(another);
    }
    return this.make(verb, keys, `${verb} ${keys.join(" ")}\r\n`, false, { kind: "get" });
  }

  private write(dice: Prng, key: string, counter: boolean): Request {
    const kind = counter
      ? dice.pick(["set", "add", "incr", "incr", "incr", "decr", "delete", "touch"] as const)
      : dice.pick(["set", "set", "set", "add", "replace", "append", "prepend", "cas", "cas", "delete", "touch"] as const);
    const quiet = dice.chance(this.habits.noreply, 100);
    const tail = quiet ? " noreply\r\n" : "\r\n";
    if (kind === "delete") return this.one(kind, key, `delete ${key}${tail}`, { kind }, quiet);
    if (kind === "touch") {
      const ttl = this.ttl(dice);
      return this.one(kind, key, `touch ${key} ${this.exptime(ttl)}${tail}`, { kind, ttl }, quiet);
    }
    if (kind === "incr" || kind === "decr") {
      const delta = String(dice.skewed(1, kind === "incr" ? 40 : 20));
      return this.one(kind, key, `${kind} ${key} ${delta}${tail}`, { kind, value: delta }, quiet);
    }
    const id = ++this.known.pieces;
    const length = dice.chance(this.habits.large, 1000) ? dice.range(20_000, 60_000) : dice.skewed(0, 200);
    const data = counter ? String(id * 1000 + dice.below(1000)) : piece(id, length);
    const value = counter ? data : nameOfPiece(id, length);
    const keeps = kind === "append" || kind === "prepend";
    const flags = keeps ? 0 : dice.below(5);
    const ttl = keeps ? 0 : this.ttl(dice);
    if (kind !== "cas") {
      return this.one(kind, key, `${kind} ${key} ${flags} ${this.exptime(ttl)} ${data.length}${tail}${data}\r\n`, { kind, value, flags, ttl }, quiet);
    }
    const seen = dice.chance(1, 30) ? undefined : this.known.tokens.get(key);
    const token = seen?.token ?? String(dice.range(1, 1_000_000_000));
    const text = `cas ${key} ${flags} ${this.exptime(ttl)} ${data.length} ${token}${tail}${data}\r\n`;
    return this.one("cas", key, text, { kind: "cas", value, flags, ttl, expected: seen?.value ?? null }, quiet);
  }

  private ttl(dice: Prng): number {
    if (!dice.chance(this.habits.ttls, 100)) return 0;
    const ttl = dice.pick([2, 3, 3, 5, 5, 8, 1000, 2_591_999, -1]);
    return ttl === 1000 && this.habits.dates ? DATED_S : ttl;
  }

  /** A TTL in the words of memcached: more than 30 days are said as a date. */
  private exptime(ttl: number): number {
    if (ttl <= 2_592_000) return ttl;
    return Math.floor((this.world.epochUs + this.world.nowUs) / 1_000_000) + ttl;
  }

  private one(verb: Request["verb"], key: string, text: string, call: Partial<Call> & { kind: CallKind }, noreply = false): Request {
    return this.make(verb, [key], text, noreply, call);
  }

  private make(verb: Request["verb"], keys: readonly string[], text: string, noreply: boolean, call: Partial<Call> & { kind: CallKind }): Request {
    const history = this.history;
    return {
      text, verb, keys, noreply,
      begin: (session, place, startUs) =>
        keys.map((key) =>
          history.begin({
            session, place, key, noreply, startUs, kind: call.kind,
            value: call.value ?? "", flags: call.flags ?? 0, ttl: call.ttl ?? 0, expected: call.expected ?? null,
          }),
        ),
    };
  }
}

/** A third of the keys hold numbers. */
function holdsNumber(number: number): boolean {
  return number % 3 === 2;
}

/** Every key that is asked for. */
export function keysOf(habits: Habits): string[] {
  return Array.from({ length: habits.keys }, (_, number) => keyOf(number));
}

function keyOf(number: number): string {
  return `${holdsNumber(number) ? "n" : "k"}${number}`;
}

function plain(verb: "version" | "mn"): Request {
  return { text: `${verb}\r\n`, verb, keys: [], noreply: false, begin: () => [] };
}
