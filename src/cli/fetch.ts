// Asks an admin interface for one path: HTTP/1.0, one answer, then the other end closes.
import { latin1, textOf } from "../bytes/ascii.ts";
import type { Address, CloseCause, Platform, Socket, SocketHandlers } from "../platform/platform.ts";

const ANSWER_CHARS_MAX = 64 * 1024 * 1024;
const CAUSE_WORDS: Readonly<Partial<Record<CloseCause, string>>> = {
  refused: "nobody listens there", not_found: "no such host or socket", timeout: "cannot be connected to in time",
  unreachable: "no route to it", denied: "not permitted", reset: "closed the connection", ended: "closed the connection",
};

export type Fetched =
  | { readonly ok: true; readonly status: number; readonly body: string }
  /** foreign: somebody is there and does not answer in HTTP. */
  | { readonly ok: false; readonly foreign: boolean; readonly reason: string };

/** done is called once, within timeoutMs. token: "" when there is none. */
export function fetchPath(
  platform: Platform, address: Address, path: string, token: string, timeoutMs: number, done: (fetched: Fetched) => void,
): void {
  let text = "";
  let socket: Socket | null = null;
  let over = false;
  const end = (fetched: Fetched): void => {
    if (over) return;
    over = true;
    timer.cancel();
    attempt?.abort();
    socket?.abort();
    done(fetched);
  };
  const whole = (reason: string): void => {
    const match = /^HTTP\/1\.[01] (\d{3}) [^]*?\r\n\r\n([^]*)$/.exec(text);
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(text)?.[1];
    if (match === null || (length !== undefined && Number(length) !== match[2]!.length)) return end({ ok: false, foreign: socket !== null, reason });
    end({ ok: true, status: Number(match[1]), body: match[2]! });
  };
  const handlers: SocketHandlers = {
    onOpen(opened) {
      socket = opened;
      if (over) return socket.abort();
      const request = latin1(`GET ${path} HTTP/1.0\r\nHost: localhost\r\n${token === "" ? "" : `Authorization: Bearer ${token}\r\n`}\r\n`);
      if (socket.write(request, 0, request.length) < request.length) end({ ok: false, foreign: false, reason: "takes nothing" });
    },
    onData(bytes) {
      text += textOf(bytes, 0, bytes.length);
      if (!text.startsWith("HTTP/1.".slice(0, text.length)) || text.length > ANSWER_CHARS_MAX) {
        end({ ok: false, foreign: true, reason: "does not speak HTTP" });
      }
    },
    onDrain() {},
    onEnd: () => whole("closed the connection"),
    onClose: (cause) => whole(CAUSE_WORDS[cause] ?? cause),
  };
  const timer = platform.clock.timer(timeoutMs, () => end({ ok: false, foreign: false, reason: `does not answer within ${timeoutMs} ms` }));
  const attempt = platform.net.connect(address, timeoutMs, handlers);
}
