// Where the clients of each pool come from: the addresses that a process listens on by itself, or the ports that a worker
// is told to accept from. Either may become another pool's by a reload, with whoever waits in it.
import { addressText } from "../config/servers.ts";
import type { Address, Listener, Platform, Socket, SocketHandlers } from "../platform/platform.ts";
import type { Committed } from "../workers/messages.ts";
import { BACKLOG, listenProblem } from "../workers/ports.ts";
import type { Service } from "../proxy.ts";

/** Where we listen, and for whom. */
interface Place {
  /** As the settings say it: a port 0 is still 0. */
  readonly wanted: Address;
  readonly listener: Listener;
  service: Service | null;
}

export interface Wanted {
  readonly service: Service | null;
  readonly address: Address;
  readonly unixMode: number;
}

export class Places {
  private places: Place[] = [];
  private closed = false;

  constructor(private readonly platform: Platform) {}

  get addresses(): Address[] {
    return this.places.map(({ listener }) => listener.address);
  }

  get listeners(): Listener[] {
    return this.places.map(({ listener }) => listener);
  }

  has(address: Address): boolean {
    return this.places.some(({ wanted }) => addressText(wanted) === addressText(address));
  }

  /** All of these addresses more, or none and why. */
  bind(wanted: readonly Wanted[], inherited: readonly (number | null)[], done: (problem: string | null) => void): void {
    const bound: Place[] = [];
    let open = wanted.length;
    let failed = false;
    const all = (): void => {
      this.places.push(...bound);
      done(null);
    };
    if (open === 0) return all();
    for (const [index, { service, address, unixMode }] of wanted.entries()) {
      let place: Place | null = null;
      this.platform.net.listen(address, { backlog: BACKLOG, reusePort: false, unixMode, inherited: inherited[index] ?? null }, {
        onListening: (listener) => {
          if (failed) return listener.close();
          bound[index] = place = { wanted: address, listener, service };
          if (--open === 0) all();
        },
        // Bound for a pool that is not there yet: whoever is that quick is shown out, and comes again.
        onAccept: () => place?.service?.door.accept() ?? new Nobody(),
        onClose: (cause, detail) => {
          if (failed || this.closed || open === 0) return;
          failed = true;
          for (const each of bound) each?.listener.close();
          done(listenProblem(address, cause, detail));
        },
      });
    }
  }

  /** These are the pools by now: each gets what it listens on, and what none of them does is closed. */
  settle(services: readonly Service[]): void {
    const owners = new Map(services.flatMap((service) => service.config.listen.map((address) => [addressText(address), service])));
    this.places = this.places.filter((place) => {
      place.service = owners.get(addressText(place.wanted)) ?? null;
      if (place.service === null) place.listener.close();
      return place.service !== null;
    });
    for (const service of services) {
      service.listening = service.config.listen.flatMap((address) =>
        this.places.filter((place) => place.service === service && addressText(place.wanted) === addressText(address)).map(({ listener }) => listener.address));
    }
  }

  close(): void {
    this.closed = true;
    for (const { listener } of this.places) listener.close();
  }
}

/** What a worker was told to accept from. */
interface Held {
  service: Service;
  /** Null: not yet. */
  listener: Listener | null;
}

export class WorkerPorts {
  private readonly held = new Map<number, Held>();
  private closed = false;

  constructor(private readonly platform: Platform) {}

  accept(place: number, service: Service, address: Address, accepting: () => void, failed: (reason: string) => void): void {
    const held: Held = { service, listener: null };
    this.held.set(place, held);
    this.platform.crew.accept(place, address, BACKLOG, {
      onListening: (listener) => {
        if (this.closed || this.held.get(place) !== held) return listener.close();
        held.listener = listener;
        held.service.listening = once([...held.service.listening, address]);
        accepting();
      },
      onAccept: () => held.service.door.accept(),
      onClose: (cause, detail) => failed(`cannot accept on ${addressText(address)}: ${detail === "" ? cause : detail}`),
    });
  }

  leave(place: number): void {
    this.held.get(place)?.listener?.close();
    this.held.delete(place);
  }

  drop(places: readonly number[]): void {
    for (const place of places) {
      this.leave(place);
      this.platform.crew.drop(place);
    }
  }

  /** Other settings: whose clients come from which port by now. */
  settle({ places, gone }: Committed, services: readonly Service[]): void {
    for (const [place, pool] of places) {
      const held = this.held.get(place);
      if (held !== undefined) held.service = services.find(({ id }) => id === pool)!;
    }
    this.drop(gone);
    for (const service of services) {
      const listeners = [...this.held.values()].flatMap((each) => (each.service === service ? (each.listener ?? []) : []));
      service.listening = once(listeners.map(({ address }) => address));
    }
  }

  close(): void {
    this.closed = true;
    for (const { listener } of this.held.values()) listener?.close();
  }
}

function once(addresses: readonly Address[]): Address[] {
  return [...new Map(addresses.map((address) => [addressText(address), address])).values()];
}

/** Whoever comes before there is a pool for him. */
class Nobody implements SocketHandlers {
  onOpen(socket: Socket): void {
    socket.abort();
  }
  onData(): void {}
  onDrain(): void {}
  onEnd(): void {}
  onClose(): void {}
}
