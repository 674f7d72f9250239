// Works off what one side of a pair lacks: stale entries one by one, and for a server that came back without a
// complete list, every key of its pairs. Few copies at a time per lane, so that clients come first.
import type { Counters } from "../../observe/counters.ts";
import type { Log } from "../../observe/log.ts";
import { other, type Pair, type Side, type Stale } from "../pair.ts";
import { Sync, type SyncOutcome } from "./sync.ts";

/** Copies under way per server and lane. */
const COPIES_PER_LANE = 16;
/** Stale entries of a pair queued at a time. */
const STALE_WINDOW = 1024;
/** A copy that failed is tried again after this time, ms. */
const RETRY_MS = 50;
/** A key that could not be copied for so long keeps no server from being trusted again, ms. */
const GIVE_UP_MS = 10_000;

/** One key that a side lacks, or may lack. */
export interface Job {
  readonly pair: Pair;
  readonly key: string;
  readonly laneIndex: number;
  readonly to: Side;
  /** The stale entry's generation, or 0 without one. */
  readonly generation: number;
  /** Told once when settled: equal, copied, removed, or turned (nothing to do any more). */
  readonly settled: ((outcome: SyncOutcome) => void) | null;
}

/** Copies of a key to a side fail, all of them since then, the last one because clients were faster. */
interface Trouble {
  readonly to: Side;
  readonly sinceMs: number;
  overtaken: boolean;
}

export class Copier {
  private queue: Job[] = [];
  private next = 0;
  private retries: { job: Job; atMs: number }[] = [];
  private running = 0;
  /** Keys of each pair that are queued because of a stale entry, or under way. */
  private readonly busy = new Map<Pair, Set<string>>();
  /** Of the entries whose keys are in some. */
  private readonly troubles = new WeakMap<Stale, Trouble>();

  constructor(private readonly counters: Counters, private readonly log: Log, private readonly lanes: number) {}

  /** Jobs that are not settled. */
  get backlog(): number {
    return this.queue.length - this.next + this.retries.length + this.running;
  }

  add(job: Job): void {
    this.queue.push(job);
    this.run();
  }

  /** Queues the stale entries of a pair whose two sides can both be reached. */
  addStale(pair: Pair, laneOf: (key: string) => number): void {
    if (pair.stale.size === 0 || pair.backup === null) return;
    if (pair.primary.state === "down" || pair.backup.state === "down") return;
    const busy = this.busyOf(pair);
    for (const [key, entry] of pair.stale) {
      if (busy.size >= STALE_WINDOW) return;
      if (busy.has(key) || pair.isFilled(key)) continue;
      busy.add(key);
      this.add({ pair, key, laneIndex: laneOf(key), to: entry.side, generation: entry.generation, settled: null });
    }
  }

  /** Called every tick. */
  tick(nowMs: number): void {
    while (this.retries.length > 0 && this.retries[0]!.atMs <= nowMs) this.queue.push(this.retries.shift()!.job);
    this.nowMs = nowMs;
    this.run();
  }
  private nowMs = 0;

  /** Forgets queued jobs that are not wanted any more; those under way end by themselves. */
  drop(unwanted: (job: Job) => boolean): void {
    this.queue = this.queue.slice(this.next).filter((job) => !unwanted(job));
    this.next = 0;
    this.retries = this.retries.filter(({ job }) => !unwanted(job));
  }

  /** Keys have moved: queued jobs of pairs that keep them no longer are forgotten. */
  reroute(pairOf: (key: string) => Pair): void {
    this.drop((job) => {
      if (pairOf(job.key) === job.pair) return false;
      if (job.generation !== 0) this.busyOf(job.pair).delete(job.key);
      return true;
    });
  }

  private run(): void {
    // A copy that fails at once ends inside this loop: it must not begin the loop again.
    if (this.starting) return;
    this.starting = true;
    while (this.running < COPIES_PER_LANE * this.lanes && this.next < this.queue.length) {
      const job = this.queue[this.next++]!;
      if (this.next > 1024 && this.next * 2 > this.queue.length) {
        this.queue = this.queue.slice(this.next);
        this.next = 0;
      }
      let generation = job.generation;
      if (generation === 0) {
        // What is compared as a whole has no entry. A copy that is under way may be one to the other side, or have looked
        // before what this one is for.
        generation = this.claim(job.pair, job.key, job.to);
        if (generation === -1) {
          this.retries.push({ job, atMs: this.nowMs + RETRY_MS });
          continue;
        }
      }
      this.running++;
      this.begin(job, generation);
    }
    this.starting = false;
  }
  private starting = false;

  private begin(job: Job, generation: number): void {
    const { pair, key, to } = job;
    const entry = pair.stale.get(key);
    const trouble = entry === undefined ? undefined : this.troubles.get(entry);
    const server = pair.server(to)!, source = pair.server(other(to))!;
    let removes = false;
    const sync = new Sync(pair, key, job.laneIndex, other(to), (outcome) => {
      if (removes && outcome === "refused") this.log.warn("key cannot be copied, the server is without it", { server: server.label, key });
      this.ended(job, generation, outcome, sync.overtaken);
      if (locks) pair.unlock(key);
    });
    const start = (): void => {
      // What a server's own troubles cost says nothing about the key. One that is trusted goes on as it is: the other
      // side leads the key.
      removes = trouble !== undefined && trouble.to === to && !server.leads &&
        this.nowMs - Math.max(trouble.sinceMs, server.sinceMs, source.sinceMs) >= GIVE_UP_MS;
      if (removes) sync.remove();
      else sync.start();
    };
    // Who writes faster than we copy waits for one copy.
    const locks = trouble !== undefined && trouble.overtaken;
    if (!locks || pair.lock(key, { lockGranted: start })) start();
  }

  /**
   * A copy of the key to a side begins, here or elsewhere: the generation of its entry, or 0 when it is the other side
   * that lacks the key; -1 when another copy is under way. Unless it is -1, release follows.
   */
  claim(pair: Pair, key: string, to: Side): number {
    const busy = this.busyOf(pair);
    if (busy.has(key) || pair.isFilled(key)) return -1;
    busy.add(key);
    return pair.hold(key, to);
  }

  /** It has ended; alike: both sides hold the same, and the entry goes unless somebody has renewed it. */
  release(pair: Pair, key: string, to: Side, generation: number, alike: boolean): void {
    const entry = pair.stale.get(key);
    if (alike && entry !== undefined && entry.generation === generation && entry.side === to) pair.clear(key);
    // What is left of the entry is queued again by the next addStale.
    this.busyOf(pair).delete(key);
  }

  /** The key is being copied, but for those that are filled in. */
  copies(pair: Pair, keyed: { readonly key: string }): boolean {
    const busy = this.busyOf(pair);
    return busy.size > 0 && busy.has(keyed.key);
  }

  private busyOf(pair: Pair): Set<string> {
    let busy = this.busy.get(pair);
    if (busy === undefined) this.busy.set(pair, (busy = new Set()));
    return busy;
  }

  private fails({ pair, key, to }: Job, overtaken: boolean): void {
    const entry = pair.stale.get(key);
    if (entry === undefined) return;
    const trouble = this.troubles.get(entry);
    if (trouble?.to === to) trouble.overtaken = overtaken;
    else this.troubles.set(entry, { to, sinceMs: this.nowMs, overtaken });
  }

  private ended(job: Job, generation: number, outcome: SyncOutcome, overtaken: boolean): void {
    this.running--;
    const { pair, key } = job;
    if (outcome === "failed") this.fails(job, overtaken);
    this.release(pair, key, job.to, generation, outcome !== "failed" && outcome !== "turned");
    if (job.generation === 0 && outcome === "failed") {
      this.retries.push({ job, atMs: this.nowMs + RETRY_MS });
      return;
    }
    if (outcome === "copied") this.counters.sync_copied++;
    else if (outcome === "removed") this.counters.sync_removed++;
    else if (outcome === "equal") this.counters.sync_equal++;
    else if (outcome === "refused") this.counters.unreplicable++;
    job.settled?.(outcome);
    this.run();
  }
}
