// The process log on @logtape/logtape: one line a record, "2026-11-22T17:00:00.123Z INFO message key=value", or
// the same as an object of JSON.
import { configureSync, getLogger, type LogRecord } from "@logtape/logtape";
import { quoted } from "../config/problem.ts";
import type { Log, LogFields } from "../observe/log.ts";
import type { Platform } from "../platform/platform.ts";
import type { LogFormat } from "./options.ts";

const LEVELS: Readonly<Record<string, string>> = { debug: "DEBUG", info: "INFO", warning: "WARN", error: "ERROR" };

/** Where lines go, each with its end. */
export interface LogSink {
  /** It tells the time itself: a line of text begins with its level. */
  readonly stamps: boolean;
  /** level: debug, info, warning or error. */
  write(line: string, level: string): void;
}

/**
 * Opens the log of this process, whose lines go to sink. logtape's configuration is the process's: a second call takes it over, so only
 * program.ts calls this, once.
 */
export function openLog(platform: Platform, verbosity: number, format: LogFormat, sink: LogSink): Log {
  const lineOf = format === "json" ? formatJson : sink.stamps ? (_wallMs: number, record: LogRecord) => formatText(record) : formatLine;
  configureSync({
    reset: true,
    sinks: {
      lines: (record: LogRecord): void => {
        sink.write(lineOf(platform.clock.wallSeconds() * 1000, record), record.level);
      },
    },
    loggers: [
      { category: "tandem", sinks: ["lines"], lowestLevel: verbosity > 0 ? "debug" : "info" },
      { category: ["logtape", "meta"], sinks: ["lines"], lowestLevel: "warning" },
    ],
  });
  const logger = getLogger("tandem");
  return {
    verbosity,
    info: (message: string, fields?: LogFields): void => logger.info(message, fields),
    warn: (message: string, fields?: LogFields): void => logger.warn(message, fields),
    error: (message: string, fields?: LogFields): void => logger.error(message, fields),
    // logtape builds a record even for a level that nobody hears: half a microsecond a call.
    debug: verbosity > 0 ? (message, fields) => logger.debug(message, fields) : () => {},
  };
}

/** {"time":"2026-11-22T17:00:00.123Z","level":"info","message":"server is up","server":…}; wallMs as for formatLine. */
export function formatJson(wallMs: number, record: Pick<LogRecord, "level" | "message" | "properties">): string {
  const message = record.message.map((part) => String(part)).join("");
  const level = (LEVELS[record.level] ?? record.level).toLowerCase();
  return `${JSON.stringify({ time: new Date(wallMs).toISOString(), level, message, ...record.properties })}\n`;
}

/** One line, ending in a newline; wallMs are milliseconds since 1970. */
export function formatLine(wallMs: number, record: Pick<LogRecord, "level" | "message" | "properties">): string {
  return `${new Date(wallMs).toISOString()} ${formatText(record)}`;
}

function formatText(record: Pick<LogRecord, "level" | "message" | "properties">): string {
  let line = `${LEVELS[record.level] ?? record.level.toUpperCase()} `;
  line += record.message.map((part) => String(part)).join("");
  for (const [key, value] of Object.entries(record.properties)) {
    const text = String(value);
    line += ` ${key}=${text.includes('"') || text.includes("=") ? JSON.stringify(text) : quoted(text)}`;
  }
  return `${line.replaceAll("\n", "\\n")}\n`;
}
