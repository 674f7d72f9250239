// A service of systemd's: says when it is ready and when it stops, and shows the watchdog that it still turns. Without
// such a manager nothing is said.
import type { Log } from "../observe/log.ts";
import type { Platform } from "../platform/platform.ts";

export class ManagedService {
  /** "" when no manager asked. */
  private readonly path: string;

  constructor(private readonly platform: Platform, private readonly log: Log) {
    this.path = platform.host.env("NOTIFY_SOCKET") ?? "";
  }

  /** Called once: clients are served from now on. status is shown beside the service. */
  ready(status: string): void {
    this.say(`READY=1\nSTATUS=${status}`);
    const everyMs = this.watchdogMs();
    if (everyMs > 0) this.bark(everyMs);
  }

  /** Another process has our place. */
  passed(pid: number): void {
    this.say(`MAINPID=${pid}`);
  }

  stopping(): void {
    this.say("STOPPING=1");
  }

  /** Half of what the manager waits, ms; 0 when it does not watch us. */
  private watchdogMs(): number {
    const { host } = this.platform;
    const pid = host.env("WATCHDOG_PID") ?? "";
    const us = host.env("WATCHDOG_USEC") ?? "";
    if (!/^[0-9]{1,15}$/.test(us) || (pid !== "" && pid !== String(host.pid))) return 0;
    return Math.floor(Number(us) / 2000);
  }

  // From a timer of the loop that serves clients: when that hangs, so does this.
  private bark(everyMs: number): void {
    this.say("WATCHDOG=1");
    this.platform.clock.timer(everyMs, () => this.bark(everyMs));
  }

  /** In the words of sd_notify(3). */
  private say(text: string): void {
    if (this.path === "") return;
    const said = this.platform.host.datagram(this.path, text);
    if (!said.ok) this.log.warn("service manager cannot be told", { reason: said.reason });
  }
}
