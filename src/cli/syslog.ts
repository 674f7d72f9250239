// The system's log: lines as syslog(3) sends them, each a datagram to /dev/log. Not syslog(3) itself: it waits for a log that
// is busy, and so would every client; and it says nothing when there is none.
import type { Platform } from "../platform/platform.ts";
import type { LogSink } from "./log.ts";

/** What --log-file says in place of a path. */
export const SYSLOG = "syslog";

const PATH = "/dev/log";
const DAEMON = 3 << 3;
/** Severities of syslog(3) by logtape's levels. */
const SEVERITIES: Readonly<Record<string, number>> = { debug: 7, info: 6, warning: 4, error: 3 };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Lines that wait for a log that is busy or being restarted; what is more is lost, and counted. */
const WAITING_MAX = 1000;
const AGAIN_MS = 20;

export class Syslog implements LogSink {
  readonly stamps = true;
  private readonly waiting: string[] = [];
  private lost = 0;

  private constructor(private readonly platform: Platform) {}

  /** The reason when there is nobody who takes a line, of which the first one is said here. */
  static open(platform: Platform, version: string): Syslog | string {
    const syslog = new Syslog(platform);
    const said = platform.host.datagram(PATH, syslog.datagramOf(`INFO log begins version=${version}`, "info"));
    return said.ok ? syslog : said.reason;
  }

  write(line: string, level: string): void {
    if (this.waiting.length >= WAITING_MAX) this.lost++;
    else if (this.waiting.push(this.datagramOf(line.trimEnd(), level)) === 1) this.send();
  }

  /** Sends what waits, in its order, as far as it is taken. */
  private send(): void {
    const { host, clock } = this.platform;
    let sent = 0;
    while (sent < this.waiting.length && host.datagram(PATH, this.waiting[sent]!).ok) sent++;
    this.waiting.splice(0, sent);
    if (this.waiting.length > 0) return void clock.timer(AGAIN_MS, () => this.send());
    if (this.lost === 0) return;
    const lines = this.lost;
    this.lost = 0;
    this.write(`WARN log lines lost lines=${lines}`, "warning");
  }

  /** "<30>Nov 27 02:43:31 tandem[4711]: …", the time as this machine's clocks show it. */
  private datagramOf(line: string, level: string): string {
    const { clock, host } = this.platform;
    const at = new Date(clock.wallSeconds() * 1000);
    const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
    const day = String(at.getDate()).padStart(2, " ");
    return `<${DAEMON | (SEVERITIES[level] ?? 6)}>${MONTHS[at.getMonth()]} ${day} ${time} tandem[${host.pid}]: ${line}`;
  }
}
