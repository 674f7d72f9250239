// The admin interface: what a proxy knows of itself over HTTP, for people (a page), programs (/status), Prometheus
// (/metrics) and whoever routes traffic (/healthz, /readyz); and what it can be told to do, a verb each.
import type { Address, Listener, Platform, Timer } from "../platform/platform.ts";
import { type Answer, type HttpRequest, HttpServer, type HttpStream } from "./http.ts";
import { isReady, metricsText } from "./metrics.ts";
import page from "./page.html" with { type: "text" };
import type { Report } from "./report.ts";

/** How often pages are told, ms. */
const EVENT_MS = 1000;
const BACKLOG = 64;
/** Its type depends on whose types are at hand; it is a text everywhere. */
const PAGE = page as unknown as string;
/** Of /status: grows when a field changes its meaning or goes. New fields may come at any time. */
const FORMAT = 1;
const TEXT = "text/plain; charset=utf-8", JSON_TYPE = "application/json";
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:";

/** What became of a verb: one line for people. */
export interface VerbOutcome {
  readonly ok: boolean;
  readonly text: string;
}

/** Something that a proxy can be told to do: POST /reload, POST /drain?server=10.0.0.1:11211. */
export interface Verb {
  /** "/reload" */
  readonly path: string;
  readonly help: string;
  /** done is called once; ok: false says that nothing was done and why. */
  run(query: ReadonlyMap<string, string>, done: (outcome: VerbOutcome) => void): void;
}

export interface AdminSource {
  /** done is called once, soon; null: nobody of those who know can tell. */
  collect(done: (report: Report | null) => void): void;
  readonly verbs: readonly Verb[];
}

export type AdminOpened =
  | { readonly ok: true; readonly address: Address }
  | { readonly ok: false; readonly cause: string; readonly detail: string };

export class Admin {
  private readonly http: HttpServer;
  private readonly streams = new Set<HttpStream>();
  private listener: Listener | null = null;
  private timer: Timer | null = null;
  private stopped = false;

  /** token: what a request must bear, or null. */
  constructor(private readonly platform: Platform, private readonly source: AdminSource, private readonly token: string | null) {
    this.http = new HttpServer(platform.clock, (request, answer) => this.handle(request, answer));
  }

  /** done is called once: when it listens, or when it cannot. unixMode: permission bits of a unix socket. */
  start(address: Address, unixMode: number, done: (opened: AdminOpened) => void): void {
    this.platform.net.listen(address, { backlog: BACKLOG, reusePort: false, unixMode }, {
      onListening: (listener) => {
        if (this.stopped) return listener.close();
        this.listener = listener;
        done({ ok: true, address: listener.address });
      },
      onAccept: () => this.http.accept(),
      onClose: (cause, detail) => {
        if (this.listener === null) done({ ok: false, cause, detail });
      },
    });
  }

  stop(): void {
    this.stopped = true;
    this.listener?.close();
    this.timer?.cancel();
    this.http.close();
  }

  private handle(request: HttpRequest, answer: Answer): void {
    const { path, method } = request;
    // Those that only ask whether it lives need not prove who they are.
    if (path === "/healthz") return answer.end(200, TEXT, "ok\n");
    if (path === "/readyz") {
      return this.source.collect((report) =>
        report !== null && isReady(report) ? answer.end(200, TEXT, "ready\n") : answer.end(503, TEXT, `${unready(report)}\n`));
    }
    if (!this.may(request)) return answer.end(401, TEXT, "a token is needed\n", { "WWW-Authenticate": "Bearer" });
    const verb = this.source.verbs.find((each) => each.path === path);
    if (verb !== undefined) {
      if (method !== "POST") return answer.end(405, TEXT, `${path} is done by POST\n`, { Allow: "POST" });
      if (!ownOrigin(request)) return answer.end(403, TEXT, "not from a page of another place\n");
      return verb.run(request.query, ({ ok, text }) => answer.end(ok ? 200 : 409, TEXT, `${text}\n`));
    }
    if (method === "POST") return answer.end(404, TEXT, "no such verb\n");
    switch (path) {
      case "/":
        return answer.end(200, "text/html; charset=utf-8", PAGE, { "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer" });
      case "/status":
        return this.collect(answer, (report) => answer.end(200, JSON_TYPE, `${statusText(report)}\n`));
      case "/metrics":
        return this.collect(answer, (report) => void metricsText(report).then(({ type, text }) => answer.end(200, type, text)));
      case "/events":
        return this.follow(answer);
      default:
        return answer.end(404, TEXT, "there are /, /status, /metrics, /healthz, /readyz and /events\n");
    }
  }

  private collect(answer: Answer, then: (report: Report) => void): void {
    this.source.collect((report) => (report === null ? answer.end(503, TEXT, `${unready(report)}\n`) : then(report)));
  }

  /** The report now and every second, as server-sent events. */
  private follow(answer: Answer): void {
    const stream = answer.stream("text/event-stream", () => {
      this.streams.delete(stream);
      if (this.streams.size > 0) return;
      this.timer?.cancel();
      this.timer = null;
    });
    this.streams.add(stream);
    this.source.collect((report) => {
      stream.send(`retry: ${EVENT_MS}\n`);
      if (report !== null) stream.send(`data: ${statusText(report)}\n\n`);
    });
    this.timer ??= this.platform.clock.timer(EVENT_MS, () => this.tell());
  }

  private tell(): void {
    this.timer = this.platform.clock.timer(EVENT_MS, () => this.tell());
    this.source.collect((report) => {
      if (report === null) return;
      const event = `data: ${statusText(report)}\n\n`;
      for (const stream of [...this.streams]) stream.send(event);
    });
  }

  /** A page cannot send a header with its stream of events: there the token stands in the query. */
  private may({ headers, query }: HttpRequest): boolean {
    if (this.token === null) return true;
    const bearer = /^Bearer (.*)$/i.exec(headers.get("authorization") ?? "")?.[1];
    return sameText(bearer ?? query.get("token") ?? "", this.token);
  }
}

function statusText(report: Report): string {
  const text = JSON.stringify({ format: FORMAT, ready: isReady(report), ...report });
  // ASCII: however it is read, it is read right.
  return text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Why it is not ready, in one line. */
function unready(report: Report | null): string {
  if (report === null) return "no worker tells";
  const { state, pools } = report;
  if (state !== "serving") return state;
  for (const { servers, pairs } of pools) {
    const down = new Set(servers.filter((each) => each.state === "down").map(({ address }) => address));
    const lost = pairs.find(({ primary, backup }) => down.has(primary) && (backup === "" || down.has(backup)));
    if (lost !== undefined) return `no server of the pair ${lost.primary} ${lost.backup}`.trimEnd();
  }
  return "not ready";
}

/**
 * Not asked by a page of somebody else in the reader's browser, which always says where it comes from: that must be
 * here, by a name that nobody can have pointed here.
 */
function ownOrigin({ headers }: HttpRequest): boolean {
  const origin = headers.get("origin");
  if (origin === undefined) return true;
  const host = headers.get("host") ?? "";
  return origin === `http://${host}` && /^(localhost|[0-9.]+|\[[0-9a-f:.]+\])(:\d+)?$/i.test(host);
}

/** Takes as long for a text that is nearly right as for any other. */
function sameText(given: string, wanted: string): boolean {
  let differs = given.length ^ wanted.length;
  for (let i = 0; i < given.length; i++) differs |= given.charCodeAt(i) ^ wanted.charCodeAt(i % wanted.length);
  return differs === 0;
}
