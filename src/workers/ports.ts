// The ports that all workers accept from: opened once, several of an address, and who accepts from which of them.
import type { PoolConfig } from "../config/config.ts";
import { groupInherited } from "../config/inherited.ts";
import type { Address, CloseCause, Platform, Port } from "../platform/platform.ts";
import { assign } from "./balance.ts";
import type { Order } from "./messages.ts";
import type { Shares } from "./shares.ts";

/** Connections the kernel may hold before they are accepted. */
const BACKLOG = 4096;

interface Place {
  readonly port: Port;
  readonly pool: number;
  readonly home: number;
  /** Who accepts from it, and who was told to and has not said that it does. */
  holder: number;
  next: number;
}

export class Ports {
  private readonly places: Place[] = [];
  readonly addresses: Address[] = [];

  constructor(private readonly platform: Platform, private readonly order: (worker: number, order: Order) => void) {}

  /** In the order in which workers get them. */
  get all(): readonly Port[] {
    return this.places.map(({ port }) => port);
  }

  /** As many of each address as there are workers; done: null, or why one cannot be opened. */
  open(pools: readonly PoolConfig[], workers: number, done: (problem: string | null) => void): void {
    const wanted = pools.flatMap(({ listen, unixMode }, pool) => listen.map((address) => ({ address, unixMode, pool })));
    const inherited = groupInherited(wanted.map(({ address }) => address), this.platform.host.inherited);
    if (typeof inherited === "string") return done(`${inherited} was bound for this process (LISTEN_FDS), which is not to listen there`);
    const next = (at: number): void => {
      const each = wanted[at];
      if (each === undefined) return done(null);
      this.platform.crew.open(each.address, { backlog: BACKLOG, unixMode: each.unixMode, count: workers, inherited: inherited[at]! }, (outcome) => {
        if (!outcome.ok) return done(`cannot listen on ${placeText(each.address)}: ${LISTEN_WORDS[outcome.cause] ?? (outcome.detail || outcome.cause)}`);
        this.addresses.push(outcome.ports[0]!.address);
        outcome.ports.forEach((port, index) => this.places.push({ port, pool: each.pool, home: index % workers, holder: -1, next: -1 }));
        next(at + 1);
      });
    };
    next(0);
  }

  /** ours: nobody else has them. */
  close(ours: boolean): void {
    for (const { port } of this.places) {
      port.close();
      if (ours && port.address.kind === "unix") this.platform.host.removeFile(port.address.path);
    }
    this.places.length = 0;
  }

  /** Somebody accepts from each. */
  get held(): boolean {
    return this.places.every(({ holder }) => holder !== -1);
  }

  /** A worker accepts from one: from then on the one who had it before is not needed. */
  accepting(worker: number, at: number): void {
    const place = this.places[at];
    if (place === undefined || place.next !== worker) return;
    const before = place.holder;
    place.holder = worker;
    place.next = -1;
    if (before !== -1 && before !== worker) this.order(before, { t: "leave", place: at });
  }

  gone(worker: number): void {
    for (const place of this.places) {
      if (place.holder === worker) place.holder = -1;
      if (place.next === worker) place.next = -1;
    }
  }

  /** Who accepts from what, as it should be now. alive: which workers may. */
  balance(alive: readonly boolean[], shares: readonly Shares[]): void {
    shares.forEach(({ clients }, pool) => {
      const mine = this.places.filter((place) => place.pool === pool);
      const wanted = assign(mine.map(({ home }) => home), alive, clients, mine.map(({ holder }) => holder));
      mine.forEach((place, index) => {
        const worker = wanted[index]!;
        if (worker === -1 || place.next !== -1 || place.holder === worker) return;
        place.next = worker;
        this.order(worker, { t: "accept", place: this.places.indexOf(place), pool, address: place.port.address });
      });
    });
  }
}

function placeText(address: Address): string {
  return address.kind === "unix" ? address.path : address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

const LISTEN_WORDS: Partial<Record<CloseCause, string>> = {
  in_use: "something listens there already", denied: "not permitted", not_found: "no such address or directory",
};
