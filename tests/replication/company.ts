// A proxy among others over the same servers: its table, and the control items on both of its servers. The others are
// texts that a test posts.
import { expect } from "bun:test";
import type { ProxiesConfig } from "../../src/config/config.ts";
import { boardKey, ROSTER } from "../../src/replication/control.ts";
import { type Notice, noticeText, parseNotice } from "../../src/replication/proxies/notice.ts";
import { type Backend, Table } from "./table.ts";

export const OTHER = "0badcafe";

export function notice(seq: number, more: Partial<Notice> = {}): Notice {
  return { seq, wallMs: 1, monoMs: 1, wroteAgoMs: -1, buried: false, complaints: [], ...more };
}

/** The control items of one backend; answers what is asked about them on the control connection. */
export class Items {
  readonly held = new Map<string, string>();
  constructor(private readonly backend: Backend) {}

  /** Answers all that was asked; returns how much it was. */
  serve(): number {
    let asked = 0;
    for (let text = this.backend.watch.take(); text !== ""; text = this.backend.watch.take()) {
      const lines = text.split("\r\n");
      for (let i = 0; i < lines.length - 1; i++, asked++) {
        const [verb, key, ...flags] = lines[i]!.split(" ");
        if (verb === "mg") {
          const item = this.held.get(key!);
          this.backend.watch.send(item === undefined ? "EN\r\n" : `VA ${item.length}${flags.includes("c") ? " c1" : ""}\r\n${item}\r\n`);
          continue;
        }
        if (verb === "stats") {
          this.backend.watch.send(this.backend.standing.get(`${lines[i]}\r\n`)!);
          continue;
        }
        expect(verb).toBe("ms");
        const data = lines[++i]!;
        expect(data.length).toBe(Number(flags[0]));
        const old = this.held.get(key!);
        const stored = flags.includes("MA") ? old !== undefined : !flags.includes("ME") || old === undefined;
        if (stored) this.held.set(key!, flags.includes("MA") ? old + data : data);
        this.backend.watch.send(stored ? "HD\r\n" : "NS\r\n");
      }
    }
    return asked;
  }

  /** The notice of the proxy under test. */
  posted(id: string): Notice {
    return parseNotice(this.held.get(boardKey(id))!)!;
  }
  post(id: string, what: Notice): void {
    this.held.set(boardKey(id), noticeText(what));
    if (!(this.held.get(ROSTER) ?? "").includes(id)) this.held.set(ROSTER, `${this.held.get(ROSTER) ?? ""} ${id}`);
  }
}

export class Company {
  readonly t: Table;
  readonly P: Items;
  readonly B: Items;

  constructor(proxies: Partial<ProxiesConfig> = {}, before: (table: Table) => void = () => {}) {
    this.t = new Table({ proxies: { board: true, ...proxies }, before });
    this.P = new Items(this.t.P);
    this.B = new Items(this.t.B);
  }

  get me(): string {
    return this.t.proxy.pool.proxyId;
  }
  get fences(): string {
    return this.t.proxy.pool.servers.map(({ fenced }) => (fenced ? "fenced" : "free")).join(" ");
  }
  /** Lets time pass, at most five seconds, until something holds. */
  passUntil(holds: () => boolean): void {
    for (let i = 0; i < 250 && !holds(); i++) this.pass(20);
    expect(holds()).toBe(true);
  }
  /** Lets time pass; whoever is there answers. */
  pass(ms: number): this {
    for (let at = 0; at < ms; at += 20) {
      this.t.pass(20);
      for (const [backend, items] of [[this.t.P, this.P], [this.t.B, this.B]] as const) {
        if (backend.welcome === "accept" && backend.met) while (items.serve() > 0) this.t.pass(0);
      }
    }
    return this;
  }
}
