// Who copies to a server, when several proxies want to. The server is one item with a number, and forgets it in time.
import { describe, expect, test } from "bun:test";
import type { Caller } from "../../../src/backend/caller.ts";
import type { Server } from "../../../src/backend/server.ts";
import { latin1 } from "../../../src/bytes/ascii.ts";
import { Status, type ValueView } from "../../../src/protocol/reply.ts";
import { Lease } from "../../../src/replication/proxies/lease.ts";

class Desk {
  nowMs = 0;
  item: { text: string; cas: number; untilMs: number } | null = null;
  silent = false;
  readonly gone = new Set<string>();
  private cas = 0;
  private sent = "";
  private readonly asked: { caller: Caller; role: number }[] = [];
  private readonly control = {
    ready: true,
    out: { push: (bytes: Uint8Array, from: number, to: number) => void (this.sent += String.fromCharCode(...bytes.subarray(from, to))) },
    expect: (_what: number, caller: Caller, role: number) => void this.asked.push({ caller, role }),
  };
  readonly server = { label: "s:1", control: this.control } as unknown as Server;

  lease(id: string, early: boolean, alone = false): Lease {
    let serial = 0;
    return new Lease(this.server, early, this.nowMs, { proxyId: id, alone, isGone: (of) => this.gone.has(of), isAlike: () => true, serial: () => ++serial });
  }
  /** Time passes; each wants its work, and those that work get on. */
  pass(ms: number, ...leases: Lease[]): this {
    for (let at = 0; at < ms; at += 20) {
      this.nowMs += 20;
      for (const lease of leases) lease.tick(this.nowMs, this.stuck.has(lease) ? 1 : this.nowMs);
      if (!this.silent) this.serve();
    }
    return this;
  }
  readonly stuck = new Set<Lease>();

  private serve(): void {
    const lines = this.sent.split("\r\n");
    this.sent = "";
    for (let i = 0; i < lines.length - 1; i++) {
      const [verb, key, ...flags] = lines[i]!.split(" ");
      expect(key).toBe("__tandem:l:s:1");
      if (this.item !== null && this.item.untilMs <= this.nowMs) this.item = null;
      const { caller, role } = this.asked.shift()!;
      const say = (status: number, line: string): void => caller.onReply(role, status as never, latin1(`${line}\r\n`), 0, line.length + 2);
      const guard = flags.find((flag) => /^C\d/.test(flag));
      const fits = guard === undefined || guard === `C${this.item?.cas}`;
      const flag = (letter: string): number => Number(flags.find((each) => each.startsWith(letter))!.slice(1));
      if (verb === "mg") {
        if (this.item === null) say(Status.EN, "EN");
        else {
          const bytes = latin1(`VA 1 c${this.item.cas}\r\n${this.item.text}`);
          const dataStart = bytes.length - this.item.text.length;
          caller.onValue(role, { bytes, flagsStart: 4, flagsEnd: dataStart - 2, dataStart, dataBytes: this.item.text.length, partial: false } as unknown as ValueView);
        }
      } else if (verb === "md") {
        if (fits) this.item = null;
        say(fits ? Status.HD : Status.EX, "HD");
      } else {
        const text = lines[++i]!;
        const stored = fits && (!flags.includes("ME") || this.item === null);
        if (stored) this.item = { text, cas: ++this.cas, untilMs: this.nowMs + flag("T") * 1000 };
        say(stored ? Status.HD : Status.NS, stored ? `HD c${this.cas}` : "NS");
      }
    }
    if (this.sent !== "") this.serve();
  }
}

const said = (...leases: Lease[]): string => leases.map(({ mine, done }) => (done ? "done" : mine ? "mine" : "waits")).join(" ");

test("what an earlier attempt of our own holds is taken over", () => {
  const desk = new Desk();
  desk.item = { text: "a 0 held", cas: 1, untilMs: 5000 };
  const again = desk.lease("a", true, true);
  desk.pass(100, again);
  expect([said(again), desk.item!.text]).toEqual(["mine", "a 1 held"]);
});

describe("of two proxies", () => {
  test("one copies, and what it did counts for the other one, which wanted it before", () => {
    const d = new Desk(), a = d.lease("aaaaaaaa", false), b = d.lease("bbbbbbbb", false);
    expect(said(a, b)).toBe("waits waits");
    d.pass(20_000, a, b);
    expect(said(a, b)).toBe("mine waits");
    a.end(true);
    expect(said(...d.pass(1000, b) && [b])).toBe("done");
  });
  test("what was begun before the other one wanted it counts only where it is enough", () => {
    for (const [early, end] of [[true, "done"], [false, "mine"]] as const) {
      const d = new Desk(), a = d.lease("aaaaaaaa", false);
      d.pass(1000, a);
      const b = d.lease("bbbbbbbb", early);
      d.pass(1000, a, b);
      a.end(true);
      d.pass(1500, b);
      expect(said(b)).toBe(end);
    }
  });
  test("who dies keeps the other one waiting for a few seconds, and not at all when it is known", () => {
    for (const known of [false, true]) {
      const d = new Desk(), a = d.lease("aaaaaaaa", false), b = d.lease("bbbbbbbb", false);
      d.pass(1000, a, b);
      if (known) d.gone.add("aaaaaaaa");
      d.pass(known ? 600 : 6000, b);
      expect(said(b)).toBe("mine");
    }
  });
  test("who stood still sees that it has lost it, and takes nothing away", () => {
    const d = new Desk(), a = d.lease("aaaaaaaa", false), b = d.lease("bbbbbbbb", false);
    d.pass(1000, a, b);
    d.pass(6000, b);
    d.pass(1000, a, b);
    expect(said(a, b)).toBe("waits mine");
  });
  test("who does not get on lets the other one try", () => {
    const d = new Desk(), a = d.lease("aaaaaaaa", false), b = d.lease("bbbbbbbb", false);
    d.pass(1000, a, b);
    d.stuck.add(a);
    d.pass(12_000, a, b);
    expect(said(a, b)).toBe("waits mine");
  });
  test("who gives up leaves it at once", () => {
    const d = new Desk(), a = d.lease("aaaaaaaa", false), b = d.lease("bbbbbbbb", false);
    d.pass(1000, a, b);
    a.end(false);
    d.pass(600, b);
    expect(said(b)).toBe("mine");
  });
});

test("a proxy that is alone works at once, and stops when it finds out that it is not", () => {
  const d = new Desk(), a = d.lease("aaaaaaaa", false);
  d.pass(1000, a);
  const b = d.lease("bbbbbbbb", false, true);
  expect(said(b)).toBe("mine");
  d.pass(1000, a, b);
  expect(said(a, b)).toBe("mine waits");
});

test("a server that does not say whose it is keeps nobody from working", () => {
  const d = new Desk(), a = d.lease("aaaaaaaa", false);
  d.silent = true;
  d.pass(1600, a);
  expect(said(a)).toBe("mine");
});
