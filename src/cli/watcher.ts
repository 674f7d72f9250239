// Decides whether the address that clients connect to may stay on this host: the proxy answers, and the host hears.
// It goes at once, and comes back only after all has been well for a while, so that nothing flaps.
import { parseServer } from "../config/servers.ts";
import type { Address, Platform, Timer } from "../platform/platform.ts";
import { Hearing } from "./watch_hearing.ts";
import { ProxyCheck } from "./watch_proxy.ts";

export interface WatchSettings {
  readonly proxy: Address;
  readonly hear: readonly Address[];
  readonly intervalMs: number;
  /** Without an answer for so long the proxy is silent. */
  readonly silentMs: number;
  readonly deafMs: number;
  /** All must be well for so long before the address may come back. */
  readonly backMs: number;
}

/** Called when the verdict changes; why is "" when the address may stay, else "deaf", "silent", "refused" … */
export type Told = (mayStay: boolean, why: string) => void;

export class Watcher {
  private readonly proxy: ProxyCheck;
  private readonly hearing: Hearing;
  private readonly backLooks: number;
  private wellLooks = 0;
  private timer: Timer | null = null;
  private stopped = false;

  /** mayStay: the verdict of whoever watched before; it holds until there is a reason for another one. */
  constructor(
    private readonly platform: Platform,
    private readonly settings: WatchSettings,
    private mayStay: boolean,
    private readonly told: Told,
    /** After each look. */
    private readonly looked: () => void,
  ) {
    const looks = (ms: number): number => Math.ceil(ms / settings.intervalMs);
    this.backLooks = looks(settings.backMs);
    const check = { address: settings.proxy, connectMs: settings.silentMs, silentLooks: looks(settings.silentMs) };
    this.hearing = new Hearing(platform, settings.hear, looks(settings.deafMs), Math.max(1, Math.floor(settings.deafMs / 2)));
    this.proxy = new ProxyCheck(platform, check, () => this.judge(), (labels) => this.hearing.serversAre(addressesOf(labels)));
  }

  start(): void {
    this.look();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.proxy.stop();
  }

  private look(): void {
    this.timer = this.platform.clock.timer(this.settings.intervalMs, () => this.look());
    this.proxy.look();
    this.hearing.look();
    this.wellLooks = this.proxy.known && this.fault === "" ? this.wellLooks + 1 : 0;
    this.judge();
    this.looked();
  }

  private get fault(): string {
    return this.proxy.fault !== "" ? this.proxy.fault : this.hearing.deaf ? "deaf" : "";
  }

  private judge(): void {
    if (this.stopped) return;
    const { fault } = this;
    if (fault !== "") {
      this.wellLooks = 0;
      if (!this.mayStay) return;
      this.mayStay = false;
      this.told(false, fault);
    } else if (!this.mayStay && this.wellLooks >= this.backLooks) {
      this.mayStay = true;
      this.told(true, "");
    }
  }
}

/** Unix sockets tell nothing of the network. */
function addressesOf(labels: readonly string[]): Map<string, Address> {
  const addresses = new Map<string, Address>();
  for (const text of labels) {
    const server = parseServer({ flag: "", text });
    if (server.ok && server.value.address.kind === "tcp") addresses.set(text, server.value.address);
  }
  return addresses;
}
