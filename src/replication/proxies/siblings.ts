// The other workers of this proxy: what one of them knows of the servers all know, before anybody is told that he can
// count on it. Each is a proxy of its own on the servers; what they must agree on goes over a channel that keeps order.
//
//   a write that one side missed:   marked here ─▶ told ─▶ marked by each ─▶ acknowledged by each ─▶ the client is answered
//   whom we do not trust:           told at once; each of the others does not let it lead either
//   which side decides for a pair:  our last command on the old side is through ─▶ we say the new side; we decide there
//                                   once each of the others has heard it and none of them says another one
//
// Two workers never decide on different sides: one that decides has the word of each other one that it knows his side,
// and his last word, which came before or with it, is what the other would have to find changed.
import type { Server } from "../../backend/server.ts";
import type { Board } from "./board.ts";
import { Crossings, type CrossingsWorld, type CrossingWord } from "./crossings.ts";
import type { ComplaintReason } from "./notice.ts";
import { BACKUP, other, type Pair, PRIMARY, type Side } from "../pair.ts";
import { type Steps, stepsAhead, stepsTaken } from "./steps.ts";

/** What workers say to each other. Servers by their labels: while rings change, places differ. */
export type SiblingWord =
  | {
    readonly seq: number;
    /** Who says it, on the board. */
    readonly id: string;
    /** Told for the sake of this worker, who has just come; the others know it. */
    readonly only?: number;
    /** The last part of all that there is to tell to one who has just come. */
    readonly all?: boolean;
    /** Servers that it does not trust. */
    readonly complaints?: readonly (readonly [server: string, why: ComplaintReason])[];
    /** The side on which it decides, for each pair ("primary backup"); -1: on none. */
    readonly sides?: Readonly<Record<string, Side | -1>>;
    /** Keys that a server lacks which another has. */
    readonly lacks?: readonly (readonly [server: string, keeper: string, key: string])[];
    /** Servers that missed a flush_all, and when it takes effect, seconds from now. */
    readonly flushes?: readonly (readonly [server: string, seconds: number])[];
    /** How far it is with a change of rings. */
    readonly steps?: Steps;
  }
  | { readonly ack: number; readonly to: number }
  | CrossingWord;

/** Our end of the channel. */
export interface SiblingsEnd {
  /** Which of the workers we are. */
  readonly number: number;
  readonly say: (word: SiblingWord) => void;
}

export interface SiblingsWorld {
  readonly proxyId: string;
  readonly nowMs: number;
  readonly lookout: CrossingsWorld;
  readonly servers: readonly Server[];
  readonly pairs: readonly Pair[];
  /** Our rings, and how far their change is. */
  readonly steps: Steps;
  pairOf(key: string): Pair;
  /** A side lacks a key: as if we had found it. */
  learned(pair: Pair, key: string, side: Side): void;
  /** A server missed a flush_all: as if we had sent it. */
  learnedFlush(server: Server, seconds: number): void;
  /** Runs it when this turn is over. */
  soon(run: () => void): void;
  /** A worker died: what it had under way may be half done. */
  siblingDied(): void;
}

interface Sibling {
  /** Up to which of our words it has heard. */
  heard: number;
  sides: Readonly<Record<string, Side | -1>>;
  complaints: readonly (readonly [string, ComplaintReason])[];
  /** Null: it has not told. */
  steps: Steps | null;
  id: string;
  /** It has told all that it knew when we met. */
  met: boolean;
  /** Its words that cannot be acknowledged yet, in order. */
  readonly pending: { readonly seq: number; readonly keys: readonly (readonly [string, string, string])[] }[];
}

/** Where we decide for a pair, and the word that told it. */
interface Decides {
  readonly pair: string;
  side: Side | -1;
  seq: number;
}

/** Keys in one word to one who has just come. */
const PART = 5000;

export class Siblings {
  private readonly others = new Map<number, Sibling>();
  private seq = 0;
  private lacks: [string, string, string][] = [];
  private flushes: [string, number][] = [];
  private complaints = "";
  private decides = new Map<Pair, Decides>();
  private flushing = false;
  /** Which keys several of us write. */
  readonly crossings: Crossings;
  /** Called when others have heard something. */
  onHeard: () => void = () => {};

  constructor(private readonly world: SiblingsWorld, private readonly board: Board, private readonly ends: SiblingsEnd) {
    this.crossings = new Crossings(world.lookout, ends.say);
    this.ringsChanged();
  }

  ringsChanged(): void {
    const before = this.decides;
    this.decides = new Map(this.world.pairs.map((pair) => [
      pair, before.get(pair) ?? { pair: `${pair.primary.label} ${pair.backup!.label}`, side: -1 as const, seq: 0 },
    ]));
    this.refence();
  }

  /** What one of us does for all is ours to do: of those that live we have the lowest number. */
  get first(): boolean {
    for (const number of this.others.keys()) if (number < this.ends.number) return false;
    return true;
  }

  /** All that are there have told us what they knew. */
  get met(): boolean {
    for (const { met } of this.others.values()) if (!met) return false;
    return true;
  }

  /** A worker has come: it hears all that we know, and must have heard it before it serves anybody. */
  joined(number: number): void {
    this.crossings.joined(number);
    this.others.set(number, { heard: -1, sides: {}, complaints: [], steps: null, id: "", met: false, pending: [] });
    this.tell();
    const lacks = this.world.pairs.flatMap((pair) => [...pair.stale].map(([key, { side }]) => lack(pair, side, key)));
    for (let from = 0; ; from += PART) {
      const all = from + PART >= lacks.length;
      this.send({ only: number, all, lacks: lacks.slice(from, from + PART), complaints: this.complained() });
      if (all) return;
    }
  }

  /** A worker is gone, with all that it had under way. */
  gone(number: number): void {
    const sibling = this.others.get(number);
    if (sibling === undefined) return;
    this.others.delete(number);
    this.crossings.gone(number);
    this.refence();
    // What it knew we know.
    if (sibling.id !== "") this.board.bury(sibling.id);
    this.world.siblingDied();
    this.onHeard();
  }

  /** A side lacks the newest state of a key, as we have found. */
  missed(pair: Pair, key: string, side: Side): void {
    this.lacks.push(lack(pair, side, key));
    this.flushSoon();
  }

  missedFlush(server: Server, seconds: number): void {
    this.flushes.push([server.label, seconds]);
    this.flushSoon();
  }

  /** The word with which all is told that was found up to now. */
  get latest(): number {
    return this.lacks.length > 0 || this.flushes.length > 0 ? this.seq + 1 : this.seq;
  }

  /** All have heard up to this word. */
  knows(seq: number): boolean {
    if (seq > this.seq) return false;
    for (const { heard } of this.others.values()) if (heard < seq) return false;
    return true;
  }

  /** A command that decides may be sent to the pair's lead. */
  mayDecide(pair: Pair): boolean {
    // Before its ring was replaced all of us had turned to the side that stays.
    if (this.others.size === 0 || pair.retired) return true;
    const decides = this.decides.get(pair)!;
    const side = pair.usualLead;
    if (side === -1) return true; // it fails by itself
    if (decides.side !== side) {
      this.look();
      if (decides.side !== side) return false;
    }
    // What we found to be lacking may be led from another side by those who do not know it.
    if (pair.stale.size > 0 && !this.knows(this.latest)) return false;
    for (const sibling of this.others.values()) {
      const theirs = sibling.sides[decides.pair] ?? -1;
      if (sibling.heard < decides.seq || (theirs !== -1 && theirs !== side)) return false;
    }
    return true;
  }

  /** Called every tick and when something has changed: says what others must know. */
  look(): void {
    let told = false;
    for (const [pair, decides] of this.decides) {
      const side = pair.usualLead;
      // Its last commands on the old side come first.
      if (side === decides.side || pair.deciding > 0) continue;
      decides.side = side;
      decides.seq = this.seq + 1;
      told = true;
    }
    if (told || this.complained().join(";") !== this.complaints) this.tell();
    this.acknowledge();
  }

  heard(from: number, word: SiblingWord): void {
    const sibling = this.others.get(from);
    if (sibling === undefined) return;
    if ("wrote" in word) return this.crossings.hears(from, word);
    if ("ack" in word) {
      sibling.heard = Math.max(sibling.heard, word.ack);
      return this.onHeard();
    }
    if (sibling.id === "") {
      sibling.id = word.id;
      this.board.knowSibling(word.id);
    }
    if (word.only === undefined || !sibling.met) this.learn(sibling, word);
    sibling.pending.push({ seq: word.seq, keys: word.only === undefined ? (word.lacks ?? []) : [] });
    this.look();
    this.onHeard();
  }

  private learn(sibling: Sibling, word: Exclude<SiblingWord, { ack: number } | CrossingWord>): void {
    for (const [label, , key] of word.lacks ?? []) {
      // Of a server that does not have the key by our rings nobody asks us.
      const pair = this.world.pairOf(key);
      if (pair.primary.label === label) this.world.learned(pair, key, PRIMARY);
      else if (pair.backup!.label === label) this.world.learned(pair, key, BACKUP);
    }
    for (const [label, seconds] of word.flushes ?? []) {
      const server = this.world.servers.find((each) => each.label === label);
      if (server !== undefined) this.world.learnedFlush(server, seconds);
    }
    if (word.sides !== undefined) sibling.sides = word.sides;
    if (word.steps !== undefined) sibling.steps = word.steps;
    if (word.complaints !== undefined) {
      sibling.complaints = word.complaints;
      this.refence();
    }
    if (word.all === true) sibling.met = true;
  }

  /** A copy or a command of ours that began before we knew may still undo what was told: then the word waits. */
  private acknowledge(): void {
    for (const [number, { pending }] of this.others) {
      let upTo = -1;
      while (pending.length > 0 && !pending[0]!.keys.some(([, , key]) => this.isBusy(this.world.pairOf(key), key))) upTo = pending.shift()!.seq;
      if (upTo !== -1) this.ends.say({ ack: upTo, to: number });
    }
  }

  private isBusy(pair: Pair, key: string): boolean {
    return pair.syncing.has(key) || pair.decided.has(key);
  }

  /** Servers are turned away from, or others' trust in them has changed. */
  refence(): void {
    // All workers are told by their supervisor what the operator has drained.
    const doubted = new Set<string>();
    for (const { complaints } of this.others.values()) for (const [label, why] of complaints) if (why !== "drained") doubted.add(label);
    for (const server of this.world.servers) server.doubted = server.turned || doubted.has(server.label);
    for (const pair of this.world.pairs) pair.watchLead(this.world.nowMs);
  }

  private complained(): [string, ComplaintReason][] {
    const found: [string, ComplaintReason][] = [];
    for (const server of this.world.servers) {
      const why = this.board.complaint(server);
      if (why !== null) found.push([server.label, why]);
    }
    return found;
  }

  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    this.world.soon(() => {
      this.flushing = false;
      if (this.lacks.length > 0 || this.flushes.length > 0) this.look();
      if (this.lacks.length > 0 || this.flushes.length > 0) this.tell();
    });
  }

  /** Who of us has taken fewer steps of our change, in words; null: nobody. */
  lagging(steps: number): string | null {
    for (const [number, sibling] of this.others) {
      const taken = sibling.steps === null ? -1 : (stepsTaken(sibling.steps, this.world.steps) ?? -1);
      if (taken < steps) return `worker ${number}, which ${taken < 0 ? "was not told of it" : "is not as far"}`;
    }
    return null;
  }

  /** One of us has taken more steps of our change, which it has not ended. */
  isAhead(steps: number): boolean {
    return [...this.others.values()].some((sibling) => sibling.steps !== null && stepsAhead(sibling.steps, this.world.steps, steps));
  }

  tell(): void {
    const complaints = this.complained();
    this.complaints = complaints.join(";");
    const { lacks, flushes } = this;
    this.lacks = [];
    this.flushes = [];
    this.send({ complaints, lacks, flushes });
  }

  private send(what: object): void {
    this.seq++;
    if (this.others.size === 0) return;
    const sides = Object.fromEntries([...this.decides.values()].map(({ pair, side }) => [pair, side]));
    this.ends.say({ seq: this.seq, id: this.world.proxyId, sides, steps: this.world.steps, ...what });
  }
}

function lack(pair: Pair, side: Side, key: string): [string, string, string] {
  return [pair.server(side)!.label, pair.server(other(side))!.label, key];
}
