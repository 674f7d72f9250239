// A log in a file of its own: kept open, so that it can be written after root was given up, and turned over when it has
// grown: log ─▶ log.1 ─▶ log.2 …, the oldest goes.
import { type Given, type Problem, wrong } from "../config/problem.ts";
import type { AppendFile, Host } from "../platform/platform.ts";
import type { LogSink } from "./log.ts";

export interface Rotation {
  /** A file does not grow beyond this, unless one line does. */
  readonly bytes: number;
  /** Old files that are kept. */
  readonly count: number;
}

const SIZES: Readonly<Record<string, number>> = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };
const BYTES_MIN = 1024, BYTES_MAX = 2 ** 40, COUNT_MAX = 1000;

/** "64m,5"; null, with a problem, when it is none. */
export function readRotation(given: Given, problems: Problem[]): Rotation | null {
  const match = /^(\d{1,12})([kmg]?),(\d{1,4})$/.exec(given.text);
  const bytes = match === null ? 0 : Number(match[1]) * SIZES[match[2]!]!;
  const count = match === null ? 0 : Number(match[3]);
  if (bytes >= BYTES_MIN && bytes <= BYTES_MAX && count >= 1 && count <= COUNT_MAX) return { bytes, count };
  problems.push(wrong(given, "is no size and number", `SIZE,COUNT: at least ${BYTES_MIN} bytes, with k, m or g; 1 to ${COUNT_MAX} old files`).problem);
  return null;
}

export class LogFile implements LogSink {
  readonly stamps = false;
  /** It could not be turned over and grows on; called once, until it can. */
  onStuck: (reason: string) => void = () => {};
  private stuck = false;
  private limit: number;

  private constructor(private readonly host: Host, private readonly path: string, private readonly rotation: Rotation | null, private file: AppendFile) {
    this.limit = rotation === null ? Infinity : rotation.bytes;
  }

  /** The reason when it cannot be opened. */
  static open(host: Host, path: string, rotation: Rotation | null): LogFile | string {
    const opened = host.openAppend(path);
    return opened.ok ? new LogFile(host, path, rotation, opened.file) : opened.reason;
  }

  write(line: string): void {
    const full = this.file.size > 0 && this.file.size + line.length > this.limit;
    const reason = full ? this.turnOver() : "";
    this.file.write(line);
    if (!full || this.stuck === (reason !== "")) return;
    this.stuck = reason !== "";
    if (this.stuck) this.onStuck(reason);
  }

  /** Makes the file anew where somebody has moved it. The reason when it cannot be made: the log goes on in the one it has. */
  reopen(): string {
    if (this.file.isAt(this.path)) return "";
    const opened = this.host.openAppend(this.path);
    if (!opened.ok) return opened.reason;
    this.file.close();
    this.file = opened.file;
    if (this.rotation !== null) this.limit = this.rotation.bytes;
    return "";
  }

  /** The reason when it cannot be: then it is tried again when the file has grown as much once more. */
  private turnOver(): string {
    const { host, path } = this;
    const { bytes, count } = this.rotation!;
    let reason = "";
    // Unless another process has done it already.
    if (this.file.isAt(path)) {
      for (let i = count - 1; i >= 1; i--) host.renameFile(`${path}.${i}`, `${path}.${i + 1}`);
      const renamed = host.renameFile(path, `${path}.1`);
      if (!renamed.ok) reason = renamed.reason;
    }
    if (reason === "") reason = this.reopen();
    if (reason !== "") this.limit = this.file.size + bytes;
    return reason;
  }
}
