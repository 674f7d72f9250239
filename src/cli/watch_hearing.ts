// Whether this host hears anybody: a network card, switch or firewall that lets out and lets nothing in leaves VRRP's
// adverts going, so that no other host takes over. Asked are places that the operator named (the gateway, the other
// proxy), where even a refusal is an answer, and the proxy's servers. When all are silent, this host is deaf.
import type { Address, CloseCause, Platform } from "../platform/platform.ts";

/** What a network stack says for itself when nothing listens. */
const ANSWERS: ReadonlySet<CloseCause> = new Set<CloseCause>(["refused", "reset", "ended"]);
/** An answer is no news for so many looks. */
const REST_LOOKS = 2;
/** A place that was silent for a while is asked every so many looks only: an attempt stays in the kernel for minutes. */
const SILENT_REST_LOOKS = 10;

class Witness {
  /** Looks since it was heard. */
  silence = 0;
  /** It is this host itself, which it always hears. */
  own = false;
  private asking = false;

  constructor(private readonly platform: Platform, private readonly address: Address, private readonly named: boolean) {}

  look(deadlineMs: number, deafLooks: number): void {
    this.silence++;
    if (this.asking || this.own || this.silence <= REST_LOOKS) return;
    if (this.silence > deafLooks && this.silence % SILENT_REST_LOOKS !== 0) return;
    this.asking = true;
    this.platform.net.connect(this.address, deadlineMs, {
      onOpen: (socket) => {
        this.own = hostOf(socket.local) === hostOf(socket.remote);
        this.silence = 0;
        socket.abort();
      },
      onData: () => {},
      onDrain: () => {},
      onEnd: () => {},
      onClose: (cause) => {
        this.asking = false;
        // A server that refuses may be on this very host, and then it was not heard over the network.
        if (this.named && ANSWERS.has(cause)) this.silence = 0;
      },
    });
  }
}

export class Hearing {
  private readonly named: readonly Witness[];
  private servers = new Map<string, Witness>();

  /** Without named witnesses nothing is asked: servers that are all down are no reason to give anything up. */
  constructor(
    private readonly platform: Platform,
    named: readonly Address[],
    private readonly deafLooks: number,
    private readonly deadlineMs: number,
  ) {
    this.named = named.map((address) => new Witness(platform, address, true));
  }

  get deaf(): boolean {
    return this.named.length > 0 && this.witnesses().every(({ own, silence }) => own || silence > this.deafLooks);
  }

  look(): void {
    if (this.named.length > 0) for (const witness of this.witnesses()) witness.look(this.deadlineMs, this.deafLooks);
  }

  /** addresses of the proxy's servers by label; those that are there already stay. */
  serversAre(addresses: ReadonlyMap<string, Address>): void {
    const next = new Map<string, Witness>();
    for (const [label, address] of addresses) next.set(label, this.servers.get(label) ?? new Witness(this.platform, address, false));
    this.servers = next;
  }

  private witnesses(): Witness[] {
    return [...this.named, ...this.servers.values()];
  }
}

function hostOf(end: string): string {
  return end.slice(0, end.lastIndexOf(":"));
}
