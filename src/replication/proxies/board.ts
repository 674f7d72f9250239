// How the proxies of the same servers know of each other without talking: each posts a notice on every server (wall.ts)
// and reads the others'. A server that another proxy does not trust is fenced: it gets writes and answers when its peer
// is down, but does not lead. A proxy that falls silent is dead; its complaints stay until a survivor has dealt with them.
import type { Server } from "../../backend/server.ts";
import type { Log } from "../../observe/log.ts";
import type { Clock } from "../../platform/platform.ts";
import { controlName } from "../control.ts";
import type { LeaseAround } from "./lease.ts";
import { type Complaint, type ComplaintReason, complaintText, type Notice } from "./notice.ts";
import { type Steps, stepsAhead, stepsTaken } from "./steps.ts";
import { Wall, type WallOwner } from "./wall.ts";

/** How often notices are posted and read, ms. */
const POLL_MS = 1000, STRICT_POLL_MS = 200;
/** Without a new notice for this long a proxy is dead, ms on our clock. */
const DEAD_MS = 10_000;
/** Dead ones that are remembered. */
const BURIED_MAX = 256;
/** When we have read nothing for this long, the others' silence is not theirs. */
const BLIND_MS = 3000;

/** How proxies over the same servers get on with each other. */
export interface ProxiesOptions {
  /** They tell each other over the servers whom they do not trust. */
  readonly board: boolean;
  /** How often all keys are compared, hours; 0: never. */
  readonly scrubHours: number;
  /** Nothing that another proxy has acknowledged is missed, at the price of waiting after a fault. */
  readonly strict: boolean;
  /** Whether writes are looked at afterwards; auto: while another proxy writes too. */
  readonly verify: "auto" | "on" | "off";
  /** What a server misses is written down on those that took it, for the proxy that comes after us. */
  readonly hints: boolean;
  /** The directory on our own disk where it is written down too; "": nowhere. */
  readonly stateDir: string;
}

/** Another proxy as far as its notices tell. */
export interface Neighbour {
  readonly id: string;
  /** The newest one that was read on any server. */
  notice: Notice;
  /** When that was, and when the first was, ms on our clock. */
  seenMs: number;
  readonly firstMs: number;
  dead: boolean;
  /** How often its death was told. */
  told: number;
}

/** What the board needs to know of its proxy. */
export interface BoardWorld {
  readonly proxyId: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly servers: readonly Server[];
  /** Time of this tick, ms. */
  readonly nowMs: number;
  /** When a client wrote last, ms; -Infinity: never. */
  readonly wroteMs: number;
  /** What earlier proxies left on a server has been read. */
  recalled(server: Server): boolean;
  /** Stale entries name it, or too many to list. */
  lacksWrites(server: Server): boolean;
  /** Our rings, and how far their change is. */
  readonly steps: Steps;
}

export class Board implements WallOwner, LeaseAround {
  readonly known = new Map<string, Neighbour>();
  /** How many chunks of hints tell what a server missed of our writes; supplied by whoever writes them. */
  chunksOf: (server: Server) => number = () => 0;
  /**
   * A proxy is dead: called every ten seconds until bury(id) is called, or until it lives again.
   * Whoever takes over makes sure first that we complain about what it complained about, or that nothing is lacking.
   */
  onDeath: (id: string, complaints: readonly Complaint[]) => void = (id) => this.bury(id);
  /** A proxy fell silent: what it had under way may be half done. */
  onSilence: () => void = () => {};
  /** Other workers of this proxy, of whom we hear sooner and more than is posted. */
  private readonly siblings = new Set<string>();
  /** After each change of whom a server is fenced by. */
  onFence: (server: Server) => void = () => {};
  private walls: readonly Wall[];
  private readonly names = new Map<Server, string>();
  /** By whom each server is fenced, in words. */
  private readonly fences = new Map<Server, string>();
  /** Numbers of the last notices of those that were buried: older ones are still being read. */
  private readonly buried = new Map<string, number>();
  /** Dead for certain: nobody waits for their silence. */
  private readonly gone = new Set<string>();
  private readonly burying = new Set<string>();
  private seq: number;
  private nextMs = 0;
  private readMs: number;

  constructor(private readonly world: BoardWorld, readonly strict: boolean) {
    this.walls = world.servers.map((server) => new Wall(server, this));
    for (const server of world.servers) this.names.set(server, controlName(server.label));
    // Higher than those of an earlier life under the same id.
    this.seq = Math.max(0, Math.floor(world.clock.wallSeconds() * 1000));
    this.readMs = world.nowMs;
  }

  get proxyId(): string {
    return this.world.proxyId;
  }
  get nowMs(): number {
    return this.world.nowMs;
  }
  mayStrike(server: Server): boolean {
    return this.world.recalled(server);
  }

  /** Called every tick. */
  tick(now: number): void {
    if (now < this.nextMs) return;
    this.nextMs = now + this.pollMs;
    this.post();
    for (const neighbour of [...this.known.values()]) this.lives(neighbour, now);
  }

  /** We stood still: nobody's silence meanwhile counts. */
  excuse(ms: number): void {
    for (const neighbour of this.known.values()) neighbour.seenMs += ms;
  }

  /** Posts at the next tick instead of waiting for the next poll. */
  soon(): void {
    this.nextMs = 0;
  }

  /** What a server held is gone, our notices too. */
  memoryLost(server: Server): void {
    this.wallOf(server).forget();
  }

  /** This is another worker of our proxy. */
  knowSibling(id: string): void {
    this.siblings.add(id);
    this.refence();
  }

  /** Servers came or went. */
  serversChanged(): void {
    this.walls = this.world.servers.map((server) => this.walls.find((wall) => wall.server === server) ?? new Wall(server, this));
    for (const server of this.world.servers) this.names.set(server, controlName(server.label));
  }

  /** A dead proxy's complaints are dealt with: everybody forgets it, once our own complaints of now are posted. */
  bury(id: string): void {
    this.burying.add(id);
    this.soon();
  }

  private buryNow(id: string): void {
    const neighbour = this.known.get(id);
    if (neighbour === undefined) return;
    const { notice } = neighbour;
    for (const wall of this.walls) wall.bury(id, { ...notice, seq: notice.seq + 1, buried: true, complaints: [] });
    this.forget(id, notice.seq + 1);
    this.world.log.info("a dead proxy is dealt with", { proxy: id });
    this.refence();
  }

  /** Why we do not trust a server, or null. What was never reached yet is not complained about: nothing was missed. */
  complaint(server: Server): ComplaintReason | null {
    if (server.state === "down") {
      if (server.health.reason !== "starting") return "down";
      return this.world.lacksWrites(server) ? "stale" : null;
    }
    if (server.cold) return "cold";
    if (server.state === "rejoin" || this.world.lacksWrites(server)) return "stale";
    return server.drainedHere ? "drained" : null;
  }

  get pollMs(): number {
    return this.strict ? STRICT_POLL_MS : POLL_MS;
  }

  /** When the board was read on a server, ms; -Infinity: not yet. */
  viewMs(server: Server): number {
    return this.wallOf(server).viewMs;
  }

  /** Since when our complaint about a server stands on every other server that can be reached, ms; Infinity: it does not. */
  postedMs(about: Server): number {
    const name = this.names.get(about)!;
    let since = -Infinity;
    for (const { server, posted } of this.walls) {
      if (server === about || (server.state === "down" && !posted.has(name))) continue;
      since = Math.max(since, posted.get(name) ?? Infinity);
    }
    return since === -Infinity ? Infinity : since;
  }

  /** No other proxy is known to live. */
  get alone(): boolean {
    for (const { id, dead } of this.known.values()) if (!dead && !this.gone.has(id)) return false;
    return true;
  }

  isGone(id: string): boolean {
    return this.gone.has(id);
  }

  /** No notice on a server says that it lives. */
  isForgotten(id: string, server: Server): boolean {
    return this.viewMs(server) !== -Infinity && !this.known.has(id);
  }

  /** It is dead for certain, and what it left is known. */
  departed(id: string): void {
    this.gone.add(id);
    this.refence();
  }

  /** As alone, with our own workers. */
  private get solitary(): boolean {
    for (const { id, dead } of this.known.values()) if (!dead && !this.gone.has(id) && !this.siblings.has(id)) return false;
    return true;
  }

  /** What it copies to a server is what we would: the rings are the same. */
  isAlike(id: string): boolean {
    return this.known.get(id)?.notice.rings?.to === this.world.steps.to;
  }

  /** Who of those that live has taken fewer steps of our change, in words; null: nobody. Workers tell us themselves. */
  lagging(steps: number): string | null {
    for (const { server, viewMs } of this.walls) {
      if (server.state === "up" && viewMs === -Infinity) return "proxies that are not known yet";
    }
    for (const { id, notice, dead } of this.known.values()) {
      if (dead || notice.ended === true || this.gone.has(id) || this.siblings.has(id) || notice.rings === undefined) continue;
      const taken = stepsTaken(notice.rings, this.world.steps);
      if (taken !== null && taken < steps) return `proxy ${id}, which ${taken < 0 ? "was not told of it" : "is not as far"}`;
    }
    return null;
  }

  /** One of those that live has taken more steps of our change, which it has not ended. */
  isAhead(steps: number): boolean {
    return [...this.known.values()].some(({ notice, dead }) => !dead && notice.rings !== undefined && stepsAhead(notice.rings, this.world.steps, steps));
  }

  /** Higher than all before. */
  serial(): number {
    return ++this.leases;
  }
  private leases = 0;

  /** Whether another proxy that lives wrote within the last ms; of what our workers write they tell us. */
  othersWrote(withinMs: number): boolean {
    for (const { id, notice, seenMs, dead } of this.known.values()) {
      if (!dead && !this.siblings.has(id) && notice.wroteAgoMs >= 0 && this.nowMs - seenMs + notice.wroteAgoMs <= withinMs) return true;
    }
    return false;
  }

  /** By whom and why a server is fenced, in words; null: it is not. */
  fencedBy(server: Server): string | null {
    return this.fences.get(server) ?? null;
  }

  read(_wall: Wall, id: string, notice: Notice | null): void {
    if (notice === null) return;
    if (id === this.proxyId) {
      // An earlier life's, or somebody's who held us for dead.
      if (notice.seq > this.seq) this.seq = notice.seq;
      return;
    }
    const neighbour = this.known.get(id);
    if (notice.seq <= (this.buried.get(id) ?? -1)) return;
    // Who posts after its funeral lives.
    if (neighbour === undefined && this.buried.has(id)) this.gone.delete(id);
    if (notice.buried) {
      if (neighbour === undefined || notice.seq > neighbour.notice.seq) this.forget(id, notice.seq);
      return this.refence();
    }
    if (neighbour === undefined) {
      this.known.set(id, { id, notice, seenMs: this.nowMs, firstMs: this.nowMs, dead: false, told: 0 });
      if (!this.siblings.has(id)) this.world.log.info("another proxy uses these servers", { proxy: id });
    } else if (notice.seq > neighbour.notice.seq) {
      neighbour.notice = notice;
      neighbour.seenMs = this.nowMs;
      if (neighbour.dead) this.world.log.info("a proxy lives again", { proxy: id });
      neighbour.dead = false;
      neighbour.told = 0;
    } else return;
    this.refence();
  }

  seen(_wall: Wall): void {
    const now = this.nowMs;
    if (now - this.readMs > BLIND_MS) this.excuse(now - this.readMs);
    this.readMs = now;
  }

  private post(): void {
    const notice = this.notice();
    for (const wall of this.walls) wall.poll(notice);
    for (const id of this.burying) this.buryNow(id);
    this.burying.clear();
  }

  private notice(): Notice {
    const { world } = this;
    const now = this.nowMs;
    const complaints: Complaint[] = [];
    for (const server of world.servers) {
      const why = this.complaint(server);
      if (why !== null) complaints.push({ name: this.names.get(server)!, why, chunks: this.chunksOf(server) });
    }
    return {
      seq: ++this.seq, wallMs: Math.floor(world.clock.wallSeconds() * 1000), monoMs: Math.floor(now),
      wroteAgoMs: world.wroteMs === -Infinity ? -1 : Math.floor(now - world.wroteMs), buried: false, rings: world.steps, complaints,
    };
  }

  /**
   * Our last word: what we complained about stands, and nothing else is left open; but what we had only drained lacks
   * nothing. done comes when it is posted.
   */
  farewell(done: () => void): void {
    const all = this.notice(), notice = { ...all, complaints: all.complaints.filter(({ why }) => why !== "drained") };
    const last = notice.complaints.length === 0 ? { ...notice, buried: true } : { ...notice, ended: true };
    let open = 1;
    const told = (): void => void (--open === 0 && done());
    for (const wall of this.walls) {
      open++;
      wall.leave(last, told);
    }
    told();
  }

  private lives(neighbour: Neighbour, now: number): void {
    const { id, notice } = neighbour;
    const ended = notice.ended === true || this.gone.has(id);
    if ((now - neighbour.seenMs <= DEAD_MS && !(ended && !neighbour.dead)) || now - this.readMs > BLIND_MS) return;
    if (!neighbour.dead && ended) {
      neighbour.dead = true;
      this.world.log.info("a proxy before us is gone", { proxy: id, complaints: complaintText(notice.complaints) });
    } else if (!neighbour.dead) {
      neighbour.dead = true;
      this.world.log.warn("a proxy is silent", { proxy: id, complaints: complaintText(notice.complaints) });
      this.onSilence();
    } else if (now - neighbour.seenMs < DEAD_MS * (neighbour.told + 1)) return;
    neighbour.told++;
    if (this.siblings.has(id)) this.bury(id);
    // What it had only drained lacks nothing.
    else this.onDeath(id, notice.complaints.filter(({ why }) => why !== "drained"));
  }

  private forget(id: string, seq: number): void {
    this.known.delete(id);
    this.buried.delete(id);
    this.buried.set(id, seq);
    if (this.buried.size > BURIED_MAX) this.buried.delete(this.buried.keys().next().value!);
  }

  private refence(): void {
    const { solitary } = this;
    for (const server of this.world.servers) {
      const name = this.names.get(server)!;
      let by = "";
      const drained = server.drainedElsewhere;
      server.drainedElsewhere = false;
      for (const { id, notice } of this.known.values()) {
        if (this.siblings.has(id)) continue;
        // What it complained about is led key by key by now. Its word would turn all other keys, for a poll, to the side
        // that what it did last may not have reached, and that was read meanwhile. Others who live still go by it.
        if (solitary && this.gone.has(id)) continue;
        const complaint = notice.complaints.find((each) => each.name === name);
        if (complaint?.why === "drained") server.drainedElsewhere = true;
        else if (complaint !== undefined) by += `${by === "" ? "" : ", "}${id} ${complaint.why}`;
      }
      if (server.drainedElsewhere !== drained) {
        this.world.log.info(drained ? "server is no longer drained by another proxy" : "server is drained by another proxy", { server: server.label });
      }
      const before = this.fences.get(server) ?? "";
      if (by === before) continue;
      if (by === "") this.fences.delete(server);
      else this.fences.set(server, by);
      server.fenced = by !== "";
      if ((by === "") === (before === "")) continue;
      if (by === "") this.world.log.info("server is led again", { server: server.label });
      else this.world.log.warn("server is fenced: another proxy does not trust it", { server: server.label, by });
      this.onFence(server);
    }
  }

  private wallOf(server: Server): Wall {
    return this.walls[this.world.servers.indexOf(server)]!;
  }
}
