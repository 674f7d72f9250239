// A log that also remembers what changed lately, for those who look when it has happened: lines that concern a server,
// another proxy or the whole; not those of single clients.
import type { Log, LogFields } from "./log.ts";
import type { EventReport } from "./report.ts";

const KEPT = 200;

export class Recent implements Log {
  private kept: EventReport[] = [];

  /** wallSeconds: the time since 1970. */
  constructor(private readonly log: Log, private readonly wallSeconds: () => number) {}

  get verbosity(): number {
    return this.log.verbosity;
  }
  /** Oldest first. */
  get events(): readonly EventReport[] {
    return this.kept;
  }

  info(message: string, fields: LogFields = {}): void {
    this.keep("info", message, fields);
    this.log.info(message, fields);
  }
  warn(message: string, fields: LogFields = {}): void {
    this.keep("warn", message, fields);
    this.log.warn(message, fields);
  }
  error(message: string, fields: LogFields = {}): void {
    this.keep("error", message, fields);
    this.log.error(message, fields);
  }
  debug(message: string, fields?: LogFields): void {
    this.log.debug(message, fields);
  }

  private keep(level: EventReport["level"], message: string, fields: LogFields): void {
    if ("client" in fields) return;
    if (this.kept.length >= KEPT) this.kept = this.kept.slice(1 - KEPT);
    this.kept.push({ time: this.wallSeconds(), level, message, fields });
  }
}

/** With several pools each line says whose it is. */
export function poolLog(log: Log, pool: string): Log {
  return {
    verbosity: log.verbosity,
    info: (message, fields) => log.info(message, { pool, ...fields }),
    warn: (message, fields) => log.warn(message, { pool, ...fields }),
    error: (message, fields) => log.error(message, { pool, ...fields }),
    debug: log.verbosity > 0 ? (message, fields) => log.debug(message, { pool, ...fields }) : log.debug,
  };
}
