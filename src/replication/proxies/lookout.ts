// Which writes are looked at afterwards (verify.ts): all of them while another proxy writes too, and those that several
// workers of this one made at about the same time (crossings.ts).
import type { Log } from "../../observe/log.ts";
import type { Board, ProxiesOptions } from "./board.ts";
import type { CrossingsWorld } from "./crossings.ts";
import type { Pair } from "../pair.ts";
import type { Scrubber } from "../copying/scrub.ts";
import type { Siblings } from "./siblings.ts";
import type { Verifier } from "../copying/verify.ts";

/** Another proxy writes too when it did within this, ms. */
const OTHERS_MS = 30_000;
/** A decision takes three answers, each in its time: a write takes so many request timeouts at most. */
const WRITE_TIMES = 4;

export interface LookoutWorld {
  readonly proxyId: string;
  readonly nowMs: number;
  readonly options: { readonly proxies: ProxiesOptions; readonly requestTimeoutMs: number };
  readonly log: Log;
  readonly board: Board | null;
  readonly siblings: Siblings | null;
  readonly scrubber: Scrubber;
  readonly verifier: Verifier;
  laneOf(key: string): number;
  pairOf(key: string): Pair;
}

export class Lookout implements CrossingsWorld {
  /** Somebody wants to hear of writes. */
  watched: boolean;

  constructor(private readonly world: LookoutWorld) {
    this.watched = world.verifier.active = world.options.proxies.verify === "on";
  }

  /** Both sides took a write of this key. */
  wrote(pair: Pair, key: string, laneIndex: number): void {
    const { verifier, siblings } = this.world;
    if (verifier.active) verifier.wrote(pair, key, laneIndex);
    siblings?.crossings.wrote(key);
  }

  /** A copy changed a side, or may have. */
  readonly copied = (key: string): void => {
    if (this.watched) this.world.siblings?.crossings.wrote(key);
  };

  /** Called every tick. */
  tick(now: number): void {
    const { world } = this;
    const { board, siblings, scrubber, verifier } = world;
    const { verify } = world.options.proxies;
    const active = verify === "on" || (verify === "auto" && board !== null && board.othersWrote(OTHERS_MS));
    // What was written before we heard of the other was not looked at.
    if (active && !verifier.active) scrubber.soon();
    verifier.active = active;
    this.watched = active || (siblings !== null && verify !== "off");
    siblings?.crossings.tick(now);
  }

  get proxyId(): string {
    return this.world.proxyId;
  }
  get nowMs(): number {
    return this.world.nowMs;
  }
  get writeMs(): number {
    return WRITE_TIMES * this.world.options.requestTimeoutMs;
  }

  doubt(key: string): void {
    this.world.verifier.wrote(this.world.pairOf(key), key, this.world.laneOf(key));
  }

  tooMuch(): void {
    this.world.log.warn("workers write more than they can compare, all keys are compared");
    this.world.scrubber.now();
  }
}
