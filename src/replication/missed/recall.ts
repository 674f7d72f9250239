// A proxy that starts does not trust blindly: before a server serves, it and the others are asked what earlier proxies
// left there. Nobody waits long: a server that does not answer in time is one that could not be reached.
//
//   lanes open ─▶ roster ─▶ connections of those on it gone, or with nothing left to say? ─▶ marks ─all─▶ verdict ─▶ arrive
import type { Server } from "../../backend/server.ts";
import type { Log } from "../../observe/log.ts";
import { boardKey, controlName, ROSTER } from "../control.ts";
import { BULK_SLOTS, put, store } from "./hints.ts";
import { chunkKey, connectionKey, type Hint, markKey, parseChunk, parseMark, WHOLE } from "./mark.ts";
import { parseNotice } from "../proxies/notice.ts";
import { Connections, Reading } from "./questions.ts";
import type { Peer } from "../copying/returning.ts";
import type { Filed } from "./state_record.ts";
import { type Found, type FoundMark, judge, type Verdict } from "./verdict.ts";

/** How often connections of an earlier proxy are looked for, and how long they are watched at least, ms. */
const POLL_MS = 25, SETTLE_MS = 100;
/** Servers that answer are waited for so many times as long where nobody else is sure of his memory. */
const MORE_PATIENCE = 4;
/** What a dead process left in its kernel may still arrive: a server that has its connections waits so long, ms. */
const LINGER_MS = 30_000;

export interface RecallAround {
  readonly proxyId: string;
  readonly servers: readonly Server[];
  readonly log: Log;
  readonly nowMs: number;
  /** How long the others are waited for once the first server has answered, ms. */
  readonly patienceMs: number;
  peersOf(server: Server): Peer[];
  /** What earlier proxies left on the servers that could be reached is known; those arrive next. */
  recalled(verdict: Verdict, servers: readonly Server[]): void;
  arrived(server: Server): void;
  /** A proxy was gone when we came: it has no connection to any server. */
  gone(id: string, ended: boolean): void;
  /** A proxy posts notices. */
  lives(id: string): boolean;
  /** By ourselves: up to which stamp marks of id on a server about its peer are void. */
  voidedUpTo(keeper: string, about: string, id: string): number;
  /** What is written down on our own disk, by proxies before us, or by one of them. */
  filed(id?: string): readonly Filed[];
}

/** What one server told so far. */
class Book {
  step: "roster" | "settles" | "marks" | "read" | "lingers" = "roster";
  whole = false;
  vouches: readonly string[] = [];
  /** Others on its roster, by id: it ended in order. */
  readonly ids = new Map<string, boolean>();
  /** Where the connections of those that did not end in order come from, by address: the id. */
  readonly ends = new Map<string, string>();
  marks: FoundMark[] = [];
  /** It could not be reached when the others were read. */
  late = false;
  /** Ids with connections that are still listed. */
  lingering = new Set<string>();
  nextMs = 0;
  readonly begunMs: number;

  constructor(readonly server: Server, nowMs: number) {
    this.begunMs = nowMs;
  }
}

export class Recall {
  private readonly books = new Map<Server, Book>();
  private readonly absent = new Set<Server>();
  private decided = false;
  private firstMs = -1;

  constructor(private readonly around: RecallAround) {}

  /** What earlier proxies left is judged, as far as it could be reached. */
  get hasDecided(): boolean {
    return this.decided;
  }

  /** What was read on this server is known. */
  knows(server: Server): boolean {
    const step = this.books.get(server)?.step;
    return this.decided && (step === "read" || step === "lingers");
  }

  /** Proxies before us, by id: ended in order. */
  get ids(): ReadonlyMap<string, boolean> {
    const all = new Map<string, boolean>();
    for (const { ids } of this.books.values()) for (const [id, ended] of ids) all.set(id, ended || all.get(id) === true);
    return all;
  }

  /** Servers that had a certificate. */
  get vouched(): string[] {
    return [...this.books.values()].flatMap(({ vouches }) => vouches);
  }

  /** Marks that were read on a server, of proxies before us. */
  marksOn(server: Server): readonly FoundMark[] {
    return this.books.get(server)?.marks ?? [];
  }

  /** A server that comes while we serve: it is filled in full, whatever earlier proxies left there, so nothing is asked. */
  takes(server: Server): void {
    if (!this.decided) return;
    const book = new Book(server, this.around.nowMs);
    book.step = "read";
    book.whole = true;
    this.books.set(server, book);
  }

  /** It left. */
  forget(server: Server): void {
    this.books.delete(server);
    this.absent.delete(server);
  }

  /** True when the server may arrive; otherwise arrived() is called once it may. */
  admits(server: Server): boolean {
    const book = this.books.get(server);
    if (book?.step === "read" && this.decided) return true;
    if (this.firstMs === -1) this.firstMs = this.around.nowMs;
    this.absent.delete(server);
    this.begin(new Book(server, this.around.nowMs));
    return false;
  }

  /** It could not be reached, or is gone again. */
  missing(server: Server): void {
    if (this.knows(server)) return;
    this.books.delete(server);
    this.absent.add(server);
    this.goOn();
  }

  /** It is not waited for any longer that earlier proxies' connections to it end. */
  hurry(server: Server): void {
    const book = this.books.get(server);
    if (book?.step !== "lingers") return;
    book.step = "read";
    if (server.lanes.every((lane) => lane.alive)) this.around.arrived(server);
  }

  /** Called every tick. */
  tick(now: number): void {
    if (this.books.size > 0) for (const book of [...this.books.values()]) {
      if ((book.step === "settles" || book.step === "lingers") && now >= book.nextMs) this.look(book);
    }
    if (this.decided || this.firstMs === -1) return;
    const { patienceMs } = this.around;
    if (now - this.firstMs < (this.mayBeEmpty ? MORE_PATIENCE * patienceMs : patienceMs)) return;
    // Whoever has not even said who was there is late.
    for (const server of this.around.servers) if (this.books.get(server)?.step !== "read") this.absent.add(server);
    this.goOn();
  }

  /** All that have told may have lost their memory, while others are just telling. */
  private get mayBeEmpty(): boolean {
    const books = [...this.books.values()], read = books.filter(({ step }) => step === "read");
    return read.length < books.length && read.every(({ whole }) => !whole);
  }

  private begin(book: Book): void {
    const { server } = book;
    this.books.set(server, book);
    this.read(book, [ROSTER, WHOLE], (texts) => {
      const roster = texts.get(ROSTER);
      book.whole = texts.has(WHOLE);
      book.vouches = (texts.get(WHOLE) ?? "").split(" ").filter((name) => name !== "");
      const ids = (roster ?? "").split(" ").filter((id) => /^[0-9a-f]{8}$/.test(id));
      if (!ids.includes(this.around.proxyId)) this.enrol(server, roster !== undefined);
      this.readNotices(book, [...new Set(ids)].filter((id) => id !== this.around.proxyId));
    });
  }

  /** From now on whoever comes after us knows that we were here. */
  private enrol(server: Server, exists: boolean): void {
    const text = ` ${this.around.proxyId}`;
    const append = (): void => put(server.control, store(ROSTER, text, "MA"), () => {});
    if (exists) append();
    else put(server.control, store(ROSTER, text, "ME T0"), (made) => void (made || (server.control.ready && append())));
  }

  private readNotices(book: Book, ids: readonly string[]): void {
    const keys = ids.flatMap((id) => [boardKey(id), ...endsOf(id)]);
    this.read(book, keys, (texts) => {
      for (const id of ids) {
        const notice = parseNotice(texts.get(boardKey(id)) ?? "");
        const ended = notice !== null && (notice.buried || notice.ended === true);
        book.ids.set(id, ended);
        if (!ended) for (const key of endsOf(id)) if (texts.has(key)) book.ends.set(texts.get(key)!, id);
      }
      book.step = "settles";
      this.look(book);
    });
  }

  /** Are the connections of earlier proxies gone, or at least without anything more to say? */
  private look(book: Book): void {
    if (book.ends.size === 0) return this.settled(book, new Map());
    book.nextMs = Infinity;
    new Connections((listed) => {
      if (this.books.get(book.server) !== book) return;
      if (listed === null) return this.failed(book);
      const open = [...book.ends].filter(([end]) => listed.has(end));
      this.settled(book, new Map(open.map(([end, id]) => [id, listed.get(end)!])));
    }).start(book.server);
  }

  /** open: ids with connections here, and whether those are idle. */
  private settled(book: Book, open: ReadonlyMap<string, boolean>): void {
    const waited = this.around.nowMs - book.begunMs;
    book.lingering = new Set(open.keys());
    if (book.step === "lingers") {
      if (this.alone(book) && waited < LINGER_MS) return void (book.nextMs = this.around.nowMs + POLL_MS * 4);
      book.step = "read";
      return this.around.arrived(book.server);
    }
    if (open.size > 0 && waited < SETTLE_MS) return void (book.nextMs = this.around.nowMs + POLL_MS);
    book.step = "marks";
    this.readMarks(book, [...book.ids.keys()], (marks) => this.marksRead(book, marks));
  }

  /**
   * A proxy whose connections are gone elsewhere has one here: it was killed while this server could not be reached,
   * and its kernel may still deliver.
   */
  private alone(book: Book): boolean {
    const others = [...this.books.values()].filter((other) => other !== book && (other.step === "read" || other.step === "lingers"));
    return [...book.lingering].some((id) => {
      if (this.around.lives(id)) return false;
      const known = others.filter(({ ends }) => [...ends.values()].includes(id));
      if (known.length > 0) return known.every(({ lingering }) => !lingering.has(id));
      // One that is only beginning has told the others of itself, but has no connections there yet. Of one that is gone
      // nobody else may know any more, and on a server that comes late also not where it was told: it has been dealt with.
      if (book.late) return others.length > 0;
      // Who has lost his memory remembers nobody, and cannot answer in its place.
      const remembering = others.filter(({ whole }) => whole);
      return remembering.length > 0 && !remembering.some(({ ids }) => ids.get(id) === false);
    });
  }

  /** Reads what one proxy left, which has died since. done: the verdict on that alone, and the servers that told. */
  reread(id: string, done: (verdict: Verdict, told: ReadonlySet<Server>) => void): void {
    const told = new Set<Server>();
    const books = [...this.books.values()].filter(({ server }) => this.knows(server));
    let open = books.length;
    if (open === 0) return done(this.judge(id), told);
    for (const book of books) {
      this.readMarks(book, [id], (marks) => {
        if (marks !== null) {
          book.marks = [...book.marks.filter((one) => one.id !== id), ...marks];
          told.add(book.server);
        }
        if (--open === 0) done(this.judge(id), told);
      });
    }
  }

  /** done(null): it was not answered. */
  private readMarks(book: Book, ids: readonly string[], done: (marks: FoundMark[] | null) => void): void {
    const wanted: { readonly key: string; readonly id: string; readonly lane: number; readonly about: Server }[] = [];
    for (const id of ids) {
      for (const { server: about } of this.around.peersOf(book.server)) {
        for (let lane = 0; lane < lanesOf(id); lane++) wanted.push({ key: markKey(about.label, id, lane), id, lane, about });
      }
    }
    this.ask(book, wanted.map(({ key }) => key), (texts) => {
      if (texts === null) return done(null);
      const marks: FoundMark[] = [];
      for (const { key, id, lane, about } of wanted) {
        const text = texts.get(key);
        if (text !== undefined) marks.push({ id, lane, about: controlName(about.label), mark: parseMark(key, text), hints: [], problem: null });
      }
      this.readHints(book, marks, done);
    });
  }

  private readHints(book: Book, marks: FoundMark[], done: (marks: FoundMark[] | null) => void): void {
    const wanted: { readonly key: string; readonly of: FoundMark }[] = [];
    for (const of of marks) {
      const { mark, id, lane, about } = of;
      // Where more is missed than is listed, what is listed says whose word is the later one.
      if (mark === null) continue;
      for (let n = mark.from; n < mark.to; n++) wanted.push({ key: chunkKey(about, id, lane, n), of });
    }
    this.ask(book, wanted.map(({ key }) => key), (texts) => {
      if (texts === null) return done(null);
      for (const { key, of } of wanted) {
        const text = texts.get(key);
        const hints: Hint[] | null = text === undefined ? null : parseChunk(key, text);
        if (hints === null) of.problem = `hints on ${book.server.label} are ${text === undefined ? "missing" : "torn"}`;
        else of.hints.push(...hints);
      }
      done(marks);
    });
  }

  private marksRead(book: Book, marks: FoundMark[] | null): void {
    if (marks === null) return this.failed(book);
    book.marks = marks;
    book.step = "read";
    if (this.decided) this.late(book);
    else this.goOn();
  }

  private goOn(): void {
    const { servers } = this.around;
    if (this.decided || this.firstMs === -1) return;
    if (!servers.every((server) => this.books.get(server)?.step === "read" || this.absent.has(server))) return;
    this.decided = true;
    const read = [...this.books.values()].filter(({ step }) => step === "read");
    const verdict = this.judge();
    for (const [id, ended] of this.ids) if (ended || this.hungUp(read, id)) this.around.gone(id, ended);
    // Nobody can wait for a server that alone has what its peers lack.
    for (const book of read) if (needed(book.server, verdict)) book.lingering.clear();
    this.around.recalled(verdict, read.map(({ server }) => server));
    // Those that can be trusted first, so that the others see that their peers lead; and nobody is asked before all are
    // admitted, or who waits would take a server for the only one.
    const doubted = ({ server }: Book): number => Number(verdict.lost.has(controlName(server.label)) || verdict.lacks.has(controlName(server.label)));
    read.sort((a, b) => doubted(a) - doubted(b));
    for (const { server } of read) server.held = true;
    for (const book of read) this.admit(book);
    for (const { server } of read) server.held = false;
    const admitted = read.map(({ server }) => server).filter((server) => server.state !== "down");
    for (const server of admitted) server.prepare();
    for (const server of admitted) server.release();
  }

  /** It had connections, and has none any more. */
  private hungUp(read: readonly Book[], id: string): boolean {
    return read.some(({ ends }) => [...ends.values()].includes(id)) && !read.some(({ lingering }) => lingering.has(id));
  }

  private late(book: Book): void {
    book.late = true;
    this.around.recalled(this.judge(), [book.server]);
    this.admit(book);
  }

  /** only: what one proxy left is looked at alone. */
  private judge(only?: string): Verdict {
    const found = [...this.books.values()].filter(({ step }) => step === "read" || step === "lingers").map(({ server, whole, vouches, marks, ids }): Found => ({
      name: controlName(server.label), peers: this.around.peersOf(server).map((peer) => controlName(peer.server.label)),
      whole: whole || only !== undefined, vouches: only === undefined ? vouches : [],
      marks: only === undefined ? marks : marks.filter(({ id }) => id === only), ids: only === undefined ? ids : new Map([[only, false]]),
    }));
    return judge(found, (keeper, about, id) => this.around.voidedUpTo(keeper, about, id), this.around.filed(only));
  }

  private admit(book: Book): void {
    const { server } = book;
    if (server.state !== "down" || !server.lanes.every((lane) => lane.alive)) return;
    if (this.alone(book)) {
      book.step = "lingers";
      book.nextMs = this.around.nowMs + POLL_MS;
      this.around.log.warn("connections of an earlier proxy are still open", { server: server.label });
      return;
    }
    this.around.arrived(server);
  }

  private read(book: Book, keys: readonly string[], done: (texts: ReadonlyMap<string, string>) => void): void {
    this.ask(book, keys, (texts) => {
      if (texts === null) this.failed(book);
      else done(texts);
    });
  }

  private ask(book: Book, keys: readonly string[], done: (texts: ReadonlyMap<string, string> | null) => void): void {
    new Reading(keys, (texts) => done(this.books.get(book.server) === book ? texts : null)).start(book.server);
  }

  /** The connection broke while we asked: the server arrives anew when it can. */
  private failed(book: Book): void {
    if (this.books.get(book.server) === book) this.missing(book.server);
  }
}

function needed({ label }: Server, { lacks, lost }: Verdict): boolean {
  return lost.size > 0 || [...lacks.values()].flat().some(({ keeper }) => keeper === controlName(label));
}

/** How many lanes a proxy has: its id begins with it. */
export function lanesOf(id: string): number {
  return Number.parseInt(id.slice(0, 2), 16);
}

/** Keys of what says where the connections of a proxy come from. */
export function endsOf(id: string): string[] {
  const keys: string[] = [];
  for (let i = 0; i < lanesOf(id); i++) keys.push(connectionKey(id, String(i)));
  for (let i = 0; i < BULK_SLOTS; i++) keys.push(connectionKey(id, `b${i}`));
  return keys;
}
