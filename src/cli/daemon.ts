// Going to the background. The parent listens on a private unix socket and starts this program again, detached, with
// the socket's path; the child connects first of all, and says "ready" once clients can connect, or why they cannot.
// The parent waits for that word, so its exit code is the truth; a child that dies without a word closes the socket.
import { latin1, textOf } from "../bytes/ascii.ts";
import type { Listener, Socket, SocketHandlers } from "../platform/platform.ts";
import { type Context, EXIT_FAILED, fail } from "./context.ts";

/** The child connects within this, and listens on everything within this again. */
const REPORT_DEADLINE_MS = 10_000;
const REPORT_BYTES_MAX = 4096;

/** Starts the background process and ends this one with its verdict. logPath: where its output goes, or null. */
export function goToBackground(context: Context, logPath: string | null): void {
  const { net, clock, host, random } = context.platform;
  const dir = host.env("TMPDIR") || "/tmp";
  const path = `${dir}/tandem-${host.pid}-${random.u32().toString(16).padStart(8, "0")}.sock`;
  let listener: Listener | null = null;
  let text = "";

  const end = (code: number, line: string): never => {
    listener?.close();
    host.removeFile(path);
    return code === 0 ? host.exit(0) : fail(context, code, line);
  };
  const silent = (): never => end(EXIT_FAILED, "-d: the background process ended without a word");

  const reporter = (): SocketHandlers => {
    let socket: Socket | null = null;
    return {
      onOpen: (opened) => { socket = opened; },
      onData: (bytes) => {
        text += textOf(bytes, 0, bytes.length);
        const verdict = readReport(text);
        if (verdict !== null) end(verdict.code, verdict.line);
        else if (text.length > REPORT_BYTES_MAX) socket?.abort();
      },
      onDrain: () => {},
      onEnd: () => { silent(); },
      onClose: () => { silent(); },
    };
  };

  net.listen({ kind: "unix", path }, { backlog: 1, reusePort: false, unixMode: 0o600 }, {
    onListening: (opened) => {
      listener = opened;
      const child = host.spawnSelfDetached(childArgs(context, path), logPath);
      if (!child.ok) end(EXIT_FAILED, `-d: the background process did not start: ${child.reason}`);
    },
    onAccept: reporter,
    onClose: (cause, detail) => {
      fail(context, EXIT_FAILED, `-d: cannot make ${path} to hear from the background process: ${cause} ${detail}`);
    },
  });
  clock.timer(REPORT_DEADLINE_MS, () => {
    end(EXIT_FAILED, `-d: no word from the background process in ${REPORT_DEADLINE_MS} ms`);
  });
}

/** The child's word, once its line is complete. */
export function readReport(text: string): { code: number; line: string } | null {
  const match = /^(?:(ready)|failed ([0-9]+) ([\x21-\x7e]*))\n/.exec(text);
  if (match === null) return null;
  return match[1] === undefined ? { code: Number(match[2]), line: decodeURIComponent(match[3]!) } : { code: 0, line: "" };
}

/** The flags that make this same command line the background process's. */
function childArgs(context: Context, path: string): string[] {
  const [first, ...rest] = context.args;
  const inner = [`--daemon-child=${path}`, `--called=${context.called}`];
  if (first === undefined) return inner;
  return first.startsWith("-") ? [...inner, first, ...rest] : [first, ...inner, ...rest];
}

/** Who hears how the start went. */
export interface Report {
  ready(): void;
  /** Ends the process with code once the line is said. */
  failed(code: number, line: string): void;
}

/** In front: ready says nothing, failed is a line on stderr. */
export function reportInFront(context: Context): Report {
  return {
    ready: () => {},
    failed: (code, line) => { fail(context, code, line); },
  };
}

/** In the background process: connects to the waiting parent, then calls begin with the way to report to it. */
export function reportToParent(context: Context, path: string, begin: (report: Report) => void): void {
  let opened = false;
  let exitCode: number | null = null;
  context.platform.net.connect({ kind: "unix", path }, REPORT_DEADLINE_MS, {
    onOpen: (socket) => {
      opened = true;
      // A line is far shorter than any socket buffer, so it is taken whole or the parent is gone.
      const say = (line: string): void => {
        const bytes = latin1(line);
        socket.write(bytes, 0, bytes.length);
        socket.finish(1000);
      };
      begin({
        ready: () => say("ready\n"),
        failed: (code, line) => {
          context.platform.host.stderr(`${context.called}: ${line}\n`);
          exitCode = code;
          say(`failed ${code} ${encodeURIComponent(line)}\n`);
        },
      });
    },
    onData: () => {},
    onDrain: () => {},
    onEnd: () => {},
    onClose: (cause) => {
      if (exitCode !== null) context.platform.host.exit(exitCode);
      // A parent that dies after it was reached has nothing more to say about us.
      if (!opened) fail(context, EXIT_FAILED, `--daemon-child ${path}: nobody waits there (${cause})`);
    },
  });
}
