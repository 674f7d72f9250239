// Whether a proxy answers, asked over one connection that stays: `version`, which it answers by itself, so that servers
// which are down are no reason to distrust it. Time is counted in the watch's own looks, never by the clock: after a
// pause of the whole machine, the watch included, only one look is late.
import type { Address, CloseCause, Platform } from "../platform/platform.ts";
import { Conversation } from "./conversation.ts";

/** Every so many questions the proxy's servers are asked for too. */
const SERVERS_EVERY = 10;

export interface ProxyCheckSettings {
  readonly address: Address;
  readonly connectMs: number;
  /** Looks without an answer that make it silent. */
  readonly silentLooks: number;
}

export class ProxyCheck {
  /** Looks since the last answer. */
  private silence = 0;
  private heardOnce = false;
  /** Why no connection can be had; null while one may be. */
  private refusal: CloseCause | null = null;
  private conversation: Conversation | null = null;
  private isOpen = false;
  /** Answers that are due. */
  private due = 0;
  private asked = 0;
  private servers: string[] = [];

  constructor(
    private readonly platform: Platform,
    private readonly settings: ProxyCheckSettings,
    /** A refusal came, or the first answer: worth a look at once. */
    private readonly changed: () => void,
    /** The labels of its servers. */
    private readonly serversAre: (labels: readonly string[]) => void,
  ) {}

  /** What is wrong with it: "silent", or why it cannot be connected to; "" when it answers. */
  get fault(): string {
    return this.refusal ?? (this.silence > this.settings.silentLooks ? "silent" : "");
  }

  /** False until it has answered for the first time. */
  get known(): boolean {
    return this.heardOnce;
  }

  look(): void {
    this.silence++;
    // What was said on a connection may be lost with everything on it: then another one tells.
    if (this.isOpen && this.silence % (this.settings.silentLooks + 1) === 0) this.drop();
    if (this.conversation === null) this.connect();
    else if (this.isOpen && this.due === 0) this.ask();
  }

  stop(): void {
    this.drop();
  }

  private connect(): void {
    this.conversation = new Conversation(this.platform, this.settings.address, this.settings.connectMs, {
      opened: () => {
        this.isOpen = true;
        this.asked = 0;
        this.ask();
      },
      heard: (line) => this.heard(line),
      lost: (_reason, cause) => {
        const wasOpen = this.isOpen;
        this.drop();
        // One that was open and ends is a proxy that ends, or one that restarts: the next attempt tells, and now.
        if (wasOpen) return this.connect();
        if (cause === "timeout") return;
        this.refusal = cause;
        this.changed();
      },
    });
  }

  private ask(): void {
    const withServers = this.asked++ % SERVERS_EVERY === 0;
    this.due = withServers ? 2 : 1;
    this.servers = [];
    this.conversation!.say(withServers ? "version\r\nstats servers\r\n" : "version\r\n");
  }

  /** Any whole line shows that it is alive, also a complaint about too many clients. */
  private heard(line: string): void {
    this.silence = 0;
    const first = !this.heardOnce || this.refusal !== null;
    this.heardOnce = true;
    this.refusal = null;
    const stat = /^STAT \S+:address (\S+)$/.exec(line);
    if (stat !== null) this.servers.push(stat[1]!);
    else if (!line.startsWith("STAT ")) {
      this.due--;
      if (line === "END" && this.due === 0) this.serversAre(this.servers);
    }
    if (first) this.changed();
  }

  private drop(): void {
    this.conversation?.hangUp();
    this.conversation = null;
    this.isOpen = false;
    this.due = 0;
  }
}
