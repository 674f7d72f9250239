// Two workers that write to the same key at the same moment can leave its two servers different, as two proxies can
// (verify.ts). But workers have a channel: each tells the others, a few times a second, which keys it wrote, and only
// those keys are looked at that two of them wrote at about the same time.
//
//   write is through ─▶ among theirs of late? look at it · kept until all have told what they wrote up to then
//   their word comes ─▶ any of ours among it? look at it · kept while writes of ours may be under way beside it
//
// Both ends of an overlap are covered: of two such writes the one that ends last finds the other's key here already, or
// its own key is still kept when the other's word comes. Keys are told as numbers; a wrong match costs one comparison.
import { fnv1a } from "../../bytes/ascii.ts";

/** How often it is told what was written, ms. */
const TELL_MS = 100;
/** Keys that are kept, at most; beyond, all keys are compared instead. */
const KEYS_MAX = 200_000;

export interface CrossingWord {
  readonly id: string;
  /** Its words of this kind are counted. */
  readonly told: number;
  /** Numbers of keys that it wrote since its last one. */
  readonly wrote: readonly number[];
  /** Up to which of their words it has heard each of the others. */
  readonly heard: Readonly<Record<string, number>>;
}

export interface CrossingsWorld {
  readonly proxyId: string;
  readonly nowMs: number;
  /** No write takes longer from its first byte to its end, ms. */
  readonly writeMs: number;
  /** Both sides may differ in this key. */
  doubt(key: string): void;
  /** More was written than can be kept. */
  tooMuch(): void;
}

interface Told {
  readonly told: number;
  readonly keys: Map<number, string>;
}

export class Crossings {
  /** What we wrote since the last word, and before, oldest first. */
  private young = new Map<number, string>();
  private kept: Told[] = [];
  private size = 0;
  /** What the others wrote of late, and before. */
  private theirs = new Set<number>();
  private theirsBefore = new Set<number>();
  private turnedMs: number;
  /** Up to which of our words each other worker has heard us, by its number; and it, by its id. */
  private readonly heardUs = new Map<number, number>();
  private readonly heard: Record<string, number> = {};
  private told = 0;
  private toldMs = 0;
  /** Somebody waits to be told that we heard him. */
  private owes = false;

  constructor(private readonly world: CrossingsWorld, private readonly say: (word: CrossingWord) => void, private readonly keysMax = KEYS_MAX) {
    this.turnedMs = world.nowMs;
  }

  /** A write of this key, or a copy, is through. */
  wrote(key: string): void {
    if (this.heardUs.size === 0) return;
    const number = fnv1a(key);
    if (this.theirs.has(number) || this.theirsBefore.has(number)) this.world.doubt(key);
    const known = this.young.get(number);
    if (known === key) return;
    if (known !== undefined) return this.world.doubt(key); // two keys of one number: this one is looked at in any case
    this.young.set(number, key);
    if (++this.size > this.keysMax) this.giveUp();
  }

  /** Called every tick. */
  tick(now: number): void {
    if (now - this.turnedMs >= Math.max(1000, 2 * this.world.writeMs)) {
      this.turnedMs = now;
      this.theirsBefore = this.theirs;
      this.theirs = new Set();
    }
    if (now - this.toldMs < TELL_MS || this.heardUs.size === 0 || (this.young.size === 0 && !this.owes)) return;
    this.toldMs = now;
    this.owes = false;
    this.kept.push({ told: ++this.told, keys: this.young });
    this.say({ id: this.world.proxyId, told: this.told, wrote: [...this.young.keys()], heard: this.heard });
    this.young = new Map();
  }

  /** Another worker has come: what it will write begins after all that we have told. */
  joined(worker: number): void {
    this.heardUs.set(worker, this.told);
  }

  gone(worker: number): void {
    this.heardUs.delete(worker);
    this.forget();
  }

  hears(worker: number, { id, told, wrote, heard }: CrossingWord): void {
    for (const number of wrote) {
      this.theirs.add(number);
      const key = this.young.get(number);
      if (key !== undefined) this.world.doubt(key);
      for (const { keys } of this.kept) {
        const before = keys.get(number);
        if (before !== undefined) this.world.doubt(before);
      }
    }
    this.heard[id] = told;
    // An empty word that says no more than that we were heard needs no answer, or there would be no end.
    if (wrote.length > 0) this.owes = true;
    const upTo = heard[this.world.proxyId];
    if (upTo === undefined || !this.heardUs.has(worker)) return;
    this.heardUs.set(worker, Math.max(this.heardUs.get(worker)!, upTo));
    this.forget();
  }

  /** What all have heard of they have compared with theirs of that time, and told us theirs. */
  private forget(): void {
    const heard = Math.min(...this.heardUs.values());
    while (this.kept.length > 0 && this.kept[0]!.told <= heard) this.size -= this.kept.shift()!.keys.size;
  }

  private giveUp(): void {
    this.kept = [];
    this.young = new Map();
    this.size = 0;
    this.world.tooMuch();
  }
}
