// A small and strict HTTP/1.1 responder over platform.net, for the admin interface: GET, HEAD and POST, everything
// bounded, one request at a time on a connection, which may be kept. What it is not sure about it refuses and closes.
//
//   onData ─▶ head ─▶ body ─▶ handler ─▶ Answer.end: one reply │ Answer.stream: pieces until either side leaves
import type { Platform, Socket, SocketHandlers, Timer } from "../platform/platform.ts";

const HEAD_CHARS_MAX = 8 * 1024, BODY_BYTES_MAX = 64 * 1024;
/** Connections at once; one more is closed. */
const CONNECTIONS_MAX = 64;
/** How long a request may take to come, and a kept connection may be silent, ms. */
const PATIENCE_MS = 30_000;
/** Unsent bytes of a stream beyond which its reader is too slow and cut off. */
const BACKLOG_MAX = 4 * 1024 * 1024;
const GOODBYE_MS = 2000;

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST";
  /** Without the query: "/status". */
  readonly path: string;
  readonly query: ReadonlyMap<string, string>;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  /** One character for each byte. */
  readonly body: string;
}

/** Pieces of one answer, for as long as both sides want. */
export interface HttpStream {
  send(text: string): void;
}

/** How a request is answered: by exactly one call. */
export interface Answer {
  end(status: number, type: string, body: string, headers?: Readonly<Record<string, string>>): void;
  /** Status 200; gone is called once, when the reader has left. */
  stream(type: string, gone: () => void): HttpStream;
}

export type HttpHandler = (request: HttpRequest, answer: Answer) => void;

const STATUS_WORDS: Readonly<Record<number, string>> = {
  200: "OK", 202: "Accepted", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
  405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 431: "Request Header Fields Too Large",
  500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
};

export class HttpServer {
  private readonly connections = new Set<HttpConnection>();

  constructor(readonly clock: Platform["clock"], readonly handler: HttpHandler) {}

  /** The owner of a new connection. */
  accept(): SocketHandlers {
    const connection = new HttpConnection(this, this.connections.size >= CONNECTIONS_MAX);
    this.connections.add(connection);
    return connection;
  }

  left(connection: HttpConnection): void {
    this.connections.delete(connection);
  }

  /** Ends every connection now. */
  close(): void {
    for (const connection of [...this.connections]) connection.abort();
  }
}

class HttpConnection implements SocketHandlers, Answer, HttpStream {
  private socket: Socket | null = null;
  private input = "";
  private out: Uint8Array[] = [];
  private waiting = 0;
  private timer: Timer | null = null;
  /** The request being answered; null: one is awaited. */
  private request: HttpRequest | null = null;
  private keep = true;
  private gone: (() => void) | null = null;
  private ending = false;

  constructor(private readonly server: HttpServer, private readonly tooMany: boolean) {}

  onOpen(socket: Socket): void {
    this.socket = socket;
    if (this.tooMany) return this.abort();
    this.patience();
  }

  onData(bytes: Uint8Array): void {
    if (this.ending || this.gone !== null) return;
    let text = "";
    for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!);
    this.input += text;
    if (this.input.length > HEAD_CHARS_MAX + BODY_BYTES_MAX) return this.abort();
    this.read();
  }

  onDrain(): void {
    this.flush();
  }

  /** It asks no more; what is being answered is still wanted, but a stream that nobody reads is not. */
  onEnd(): void {
    this.keep = false;
    if (this.request === null || this.gone !== null) this.finish();
  }

  onClose(): void {
    this.ending = true;
    this.timer?.cancel();
    this.out = [];
    this.server.left(this);
    this.tellGone();
  }

  abort(): void {
    this.ending = true;
    this.socket?.abort();
  }

  end(status: number, type: string, body: string, headers: Readonly<Record<string, string>> = {}): void {
    const { request } = this;
    if (request === null || this.ending) return;
    const bytes = utf8(body);
    this.push(this.head(status, type, { ...headers, "Content-Length": String(bytes.length) }));
    if (request.method !== "HEAD" && status !== 204) this.push(bytes);
    this.request = null;
    if (!this.keep) return this.finish();
    this.patience();
    this.read();
  }

  stream(type: string, gone: () => void): HttpStream {
    this.keep = false;
    this.timer?.cancel();
    this.gone = gone;
    this.push(this.head(200, type, {}));
    return this;
  }

  send(text: string): void {
    if (this.ending) return;
    if (this.waiting > BACKLOG_MAX) return this.abort();
    this.push(utf8(text));
  }

  private head(status: number, type: string, headers: Readonly<Record<string, string>>): Uint8Array {
    const all = {
      "Content-Type": type, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", ...headers,
      Connection: this.keep ? "keep-alive" : "close",
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return utf8(`HTTP/1.1 ${status} ${STATUS_WORDS[status] ?? "Status"}\r\n${lines.join("")}\r\n`);
  }

  /** Takes the next request when all of it is there and none is being answered. */
  private read(): void {
    if (this.request !== null || this.ending) return;
    const headEnd = this.input.indexOf("\r\n\r\n");
    if ((headEnd === -1 ? this.input.length : headEnd) > HEAD_CHARS_MAX) return this.refuse(431);
    if (headEnd === -1) {
      // Whoever speaks something else is told so now: he would wait for an answer to his line.
      const lineEnd = this.input.indexOf("\n");
      if (lineEnd !== -1 && !REQUEST_LINE.test(this.input.slice(0, lineEnd).trimEnd())) this.refuse(400);
      return;
    }
    const head = readHead(this.input.slice(0, headEnd));
    if (typeof head === "number") return this.refuse(head);
    if (this.input.length < headEnd + 4 + head.bodyBytes) return;
    const body = this.input.slice(headEnd + 4, headEnd + 4 + head.bodyBytes);
    this.input = this.input.slice(headEnd + 4 + head.bodyBytes);
    this.timer?.cancel();
    if (!head.keep) this.keep = false;
    this.request = { ...head.request, body };
    this.server.handler(this.request, this);
  }

  /** What was asked is not understood, nor therefore what follows it. */
  private refuse(status: number): void {
    this.keep = false;
    this.request = { method: "GET", path: "", query: new Map(), headers: new Map(), body: "" };
    this.end(status, "text/plain", `${STATUS_WORDS[status]}\n`);
  }

  private patience(): void {
    this.timer?.cancel();
    this.timer = this.server.clock.timer(PATIENCE_MS, () => this.finish());
  }

  private push(bytes: Uint8Array): void {
    this.out.push(bytes);
    this.waiting += bytes.length;
    if (this.out.length === 1) this.flush();
  }

  private flush(): void {
    while (this.out.length > 0) {
      const bytes = this.out[0]!;
      const taken = this.socket!.write(bytes, 0, bytes.length);
      this.waiting -= taken;
      if (taken < bytes.length) {
        this.out[0] = bytes.subarray(taken);
        return;
      }
      this.out.shift();
    }
    if (this.finishing) this.socket!.finish(GOODBYE_MS);
  }
  private finishing = false;

  /** Ends the connection once all has left. */
  private finish(): void {
    if (this.ending) return;
    this.ending = this.finishing = true;
    this.timer?.cancel();
    this.tellGone();
    if (this.out.length === 0) this.socket!.finish(GOODBYE_MS);
  }

  private tellGone(): void {
    const { gone } = this;
    this.gone = null;
    gone?.();
  }
}

interface Head {
  readonly request: Omit<HttpRequest, "body">;
  readonly bodyBytes: number;
  readonly keep: boolean;
}

const REQUEST_LINE = /^([A-Z]+) (\/[\x21-\x7e]*) HTTP\/1\.([01])$/;

/** A request's head without its empty line, or the status that refuses it. */
export function readHead(text: string): Head | number {
  const [first, ...rest] = text.split("\r\n");
  const line = REQUEST_LINE.exec(first!);
  if (line === null) return 400;
  const method = line[1]!;
  if (method !== "GET" && method !== "HEAD" && method !== "POST") return 405;
  const headers = new Map<string, string>();
  for (const each of rest) {
    const header = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(each);
    if (header === null) return 400;
    const name = header[1]!.toLowerCase();
    // Twice the same length or host is how requests are smuggled.
    if (headers.has(name) && /^(host|content-length|authorization|origin)$/.test(name)) return 400;
    headers.set(name, header[2]!);
  }
  if (headers.has("transfer-encoding")) return 501;
  if (line[3] === "1" && !headers.has("host")) return 400;
  const length = headers.get("content-length") ?? "0";
  if (!/^\d{1,9}$/.test(length)) return 400;
  if (Number(length) > BODY_BYTES_MAX) return 413;
  const target = /^([^?#]*)(?:\?([^#]*))?$/.exec(line[2]!);
  const path = target === null ? null : decoded(target[1]!);
  const query = target === null ? null : readQuery(target[2] ?? "");
  if (path === null || query === null) return 400;
  const connection = (headers.get("connection") ?? "").toLowerCase();
  const keep = line[3] === "1" ? !connection.includes("close") : connection.includes("keep-alive");
  return { request: { method, path, query, headers }, bodyBytes: Number(length), keep };
}

function readQuery(text: string): Map<string, string> | null {
  const query = new Map<string, string>();
  for (const part of text.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = decoded(equals === -1 ? part : part.slice(0, equals));
    const value = decoded(equals === -1 ? "" : part.slice(equals + 1).replaceAll("+", " "));
    if (name === null || value === null) return null;
    query.set(name, value);
  }
  return query;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** The bytes of a text in UTF-8. */
export function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i)!;
    if (code > 0xffff) i++;
    if (code < 0x80) bytes[at++] = code;
    else if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
      bytes[at++] = 0x80 | (code & 63);
    } else if (code < 0x10000) {
      bytes[at++] = 0xe0 | (code >> 12);
      bytes[at++] = 0x80 | ((code >> 6) & 63);
      bytes[at++] = 0x80 | (code & 63);
    } else {
      bytes[at++] = 0xf0 | (code >> 18);
      bytes[at++] = 0x80 | ((code >> 12) & 63);
      bytes[at++] = 0x80 | ((code >> 6) & 63);
      bytes[at++] = 0x80 | (code & 63);
    }
  }
  return bytes.subarray(0, at);
}
