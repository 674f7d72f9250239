// The ports that all workers accept from: opened once, several of an address, and who accepts from which of them. Each
// worker has places of its own for them: first those that are there when it begins, then those that come by a reload.
import type { PoolConfig } from "../config/config.ts";
import { groupInherited } from "../config/inherited.ts";
import { addressText } from "../config/servers.ts";
import type { Address, CloseCause, Platform, Port } from "../platform/platform.ts";
import { assign } from "./balance.ts";
import type { Order } from "./messages.ts";
import type { Shares } from "./shares.ts";

/** Connections the kernel may hold before they are accepted. */
export const BACKLOG = 4096;

/** A pool among the workers. */
export interface SharedPool {
  readonly id: number;
  config: PoolConfig;
  readonly shares: Shares;
}

interface Place {
  readonly port: Port;
  /** As the settings say it: a port 0 is still 0. */
  readonly wanted: string;
  pool: number;
  readonly home: number;
  /** Where each worker has it. */
  readonly at: Map<number, number>;
  /** Who accepts from it, and who was told to and has not said that it does. */
  holder: number;
  next: number;
}

export class Ports {
  private places: Place[] = [];
  /** Opened for settings that are not decided yet. */
  private young: Place[] = [];
  /** How many places each worker has had. */
  private readonly had = new Map<number, number>();

  constructor(private readonly platform: Platform, private readonly workers: number, private readonly order: (worker: number, order: Order) => void) {}

  get all(): readonly Port[] {
    return this.places.map(({ port }) => port);
  }

  get addresses(): readonly Address[] {
    return [...new Map(this.places.map(({ port }) => [addressText(port.address), port.address])).values()];
  }

  /** As many of each address as there are workers; done: null, or why one cannot be opened. */
  open(pools: readonly PoolConfig[], done: (problem: string | null) => void): void {
    const wanted = pools.flatMap(({ listen, unixMode }) => listen.map((address) => ({ address, unixMode })));
    const inherited = groupInherited(wanted.map(({ address }) => address), this.platform.host.inherited);
    if (typeof inherited === "string") return done(`${inherited} was bound for this process (LISTEN_FDS), which is not to listen there`);
    this.bind(wanted.map((each, index) => ({ ...each, inherited: inherited[index]! })), done);
  }

  /** Those that these pools need and that are not there; they count once they are settled. */
  openMore(pools: readonly PoolConfig[], done: (problem: string | null) => void): void {
    const known = new Set(this.places.map(({ wanted }) => wanted));
    const wanted = pools.flatMap(({ listen, unixMode }) => listen.map((address) => ({ address, unixMode, inherited: [] })));
    this.bind(wanted.filter(({ address }) => !known.has(addressText(address))), done);
  }

  private bind(wanted: readonly { readonly address: Address; readonly unixMode: number; readonly inherited: readonly number[] }[], done: (problem: string | null) => void): void {
    const next = (at: number): void => {
      const each = wanted[at];
      if (each === undefined) return done(null);
      const { address, unixMode, inherited } = each;
      this.platform.crew.open(address, { backlog: BACKLOG, unixMode, count: this.workers, inherited }, (outcome) => {
        if (!outcome.ok) return done(listenProblem(address, outcome.cause, outcome.detail));
        outcome.ports.forEach((port, index) => this.young.push({
          port, wanted: addressText(address), pool: -1, home: index % this.workers, at: new Map(), holder: -1, next: -1,
        }));
        next(at + 1);
      });
    };
    next(0);
  }

  /** A worker that runs gets what was opened last; false: that cannot be done. */
  give(worker: number, give: (place: number, ports: readonly Port[]) => boolean): boolean {
    const { young } = this;
    const from = this.had.get(worker) ?? 0;
    if (young.length === 0) return true;
    this.number(worker, young);
    return give(from, young.map(({ port }) => port));
  }

  /** A worker begins: what it is to be started with. */
  begin(worker: number): readonly Port[] {
    this.had.set(worker, 0);
    for (const { at } of this.places) at.delete(worker);
    this.number(worker, this.places);
    return this.all;
  }

  private number(worker: number, places: readonly Place[]): void {
    let next = this.had.get(worker) ?? 0;
    for (const { at } of places) at.set(worker, next++);
    this.had.set(worker, next);
  }

  /** What was opened last is not to be used; answers with where each worker has it. */
  shut(): (worker: number) => readonly number[] {
    const { young } = this;
    this.young = [];
    this.closeAll(young, true);
    return placesAt(young);
  }

  /** These are the pools by now: what was opened for them counts, and what none of them has is closed. Answers with the latter. */
  settle(pools: readonly SharedPool[]): (worker: number) => readonly number[] {
    const owners = new Map(pools.flatMap(({ id, config }) => config.listen.map((address) => [addressText(address), id])));
    const all = [...this.places, ...this.young];
    this.young = [];
    for (const place of all) place.pool = owners.get(place.wanted) ?? -1;
    this.places = all.filter(({ pool }) => pool !== -1);
    const gone = all.filter(({ pool }) => pool === -1);
    this.closeAll(gone, true);
    return placesAt(gone);
  }

  /** Where a worker has each, and whose it is. */
  owners(worker: number): readonly (readonly [place: number, pool: number])[] {
    return this.places.flatMap(({ at, pool }) => (at.has(worker) ? [[at.get(worker)!, pool] as const] : []));
  }

  /** ours: nobody else has them. */
  close(ours: boolean): void {
    this.closeAll([...this.places, ...this.young], ours);
    this.places = [];
    this.young = [];
  }

  private closeAll(places: readonly Place[], ours: boolean): void {
    for (const { port } of places) {
      port.close();
      if (ours && port.address.kind === "unix") this.platform.host.removeFile(port.address.path);
    }
  }

  /** Somebody accepts from each. */
  get held(): boolean {
    return this.places.every(({ holder }) => holder !== -1);
  }

  /** A worker accepts from one: from then on the one who had it before is not needed. */
  accepting(worker: number, at: number): void {
    const place = this.places.find((each) => each.at.get(worker) === at);
    if (place === undefined || place.next !== worker) return;
    const before = place.holder;
    place.holder = worker;
    place.next = -1;
    if (before !== -1 && before !== worker) this.order(before, { t: "leave", place: place.at.get(before)! });
  }

  gone(worker: number): void {
    for (const place of this.places) {
      if (place.holder === worker) place.holder = -1;
      if (place.next === worker) place.next = -1;
    }
  }

  /** Who accepts from what, as it should be now. alive: which workers may serve a pool. */
  balance(pools: readonly SharedPool[], alive: (pool: number) => readonly boolean[]): void {
    for (const { id, shares } of pools) {
      const mine = this.places.filter((place) => place.pool === id);
      const wanted = assign(mine.map(({ home }) => home), alive(id), shares.clients, mine.map(({ holder }) => holder));
      mine.forEach((place, index) => {
        const worker = wanted[index]!;
        if (worker === -1 || place.next !== -1 || place.holder === worker) return;
        place.next = worker;
        this.order(worker, { t: "accept", place: place.at.get(worker)!, pool: id, address: place.port.address });
      });
    }
  }
}

function placesAt(places: readonly Place[]): (worker: number) => readonly number[] {
  return (worker) => places.flatMap(({ at }) => at.get(worker) ?? []);
}

const LISTEN_WORDS: Partial<Record<CloseCause, string>> = {
  in_use: "something listens there already", denied: "not permitted", not_found: "no such address or directory",
};

/** Why nobody can listen there, in words. */
export function listenProblem(address: Address, cause: CloseCause, detail: string): string {
  return `cannot listen on ${addressText(address)}: ${LISTEN_WORDS[cause] ?? (detail || cause)}`;
}
