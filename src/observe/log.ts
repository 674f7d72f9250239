// What a part of the proxy may tell the person who runs it. Types and sentences only: where the lines go is decided
// by whoever composes the program.

/** Facts beside a message; printed as key=value in the order in which they were given. */
export type LogFields = Record<string, string | number | boolean>;

/**
 * Messages are constant texts of lower-case words ("server is down"); what varies goes into fields. Never called per
 * command without asking verbosity first: a refused call still builds its fields.
 */
export interface Log {
  /** 0: state changes and errors; 1 (-v): connections too; 2 (-vv): each command too. */
  readonly verbosity: number;
  /** Something changed as it should: printed at every verbosity. */
  info(message: string, fields?: LogFields): void;
  /** Something is wrong, and the service goes on. */
  warn(message: string, fields?: LogFields): void;
  /** Something is wrong, and someone is not served. */
  error(message: string, fields?: LogFields): void;
  /** Detail for verbosity 1 and 2; printed only when verbosity is above 0. */
  debug(message: string, fields?: LogFields): void;
}
