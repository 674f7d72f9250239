// An upgrade without a closed port: the program as it is in its file by now is started as our heir and gets our
// listening sockets; once it serves we accept nobody, finish the clients that are here, and leave.
//
//   SIGUSR2 ─▶ admin interface closed ─▶ heir started with our ports ─▶ "ready": retire, leave
//                                                                   └─▶ anything else: we go on as before
//
// Both serve for a while, so they keep keys in the same places: none begins while rings change, nor with other rings.
import type { Log } from "../observe/log.ts";
import type { Platform } from "../platform/platform.ts";
import type { Context, RunnableProxy } from "./context.ts";
import type { Report } from "./daemon.ts";

/** The heir must serve within this, ms. */
const READY_MS = 15_000;
/** We stay so long at least, for whoever asks what came of it, ms. */
const ASKED_MS = 1000;
/** What it is told of its predecessor comes within this, ms. */
const TOLD_MS = 1000;

export interface Estate {
  readonly proxy: RunnableProxy;
  readonly drainMs: number;
  /** Gives up what only one process can have, and takes it back. */
  release(): void;
  retake(): void;
  /** The service manager is told who has our place. */
  passed(pid: number): void;
  /** Ends this process; what is the heir's by now stays. */
  leave(): void;
}

/** What the heir is told: where each pool keeps its keys (ringsDigests), and which servers were taken out of reads by hand. */
export interface Legacy {
  readonly rings: Readonly<Record<string, string>>;
  readonly drained: readonly string[];
}

export class Succession {
  /** An upgrade is under way, or done. */
  under = false;
  /** Why the last one came to nothing; "" while one is under way, and before the first. */
  failure = "";
  /** The process that has our place; null: none has. */
  heir: number | null = null;

  constructor(private readonly context: Context, private readonly log: Log, private readonly estate: Estate) {}

  /** Why none can begin now; null: it can. */
  get obstacle(): string | null {
    if (this.under) return "an upgrade is under way already";
    return this.estate.proxy.changing ? "rings are changing: wait for that (tandem transition end hastens it)" : null;
  }

  /** Begins, unless it cannot; says what comes of it in the log. */
  begin(): void {
    const { log, estate, obstacle } = this;
    const { crew, clock } = this.context.platform;
    this.failure = obstacle ?? "";
    if (obstacle !== null) return log.warn("no upgrade", { reason: obstacle });
    const ports = estate.proxy.handOn();
    if (ports === null) {
      this.failure = "this runtime cannot hand its ports on";
      return log.error("no upgrade", { reason: this.failure });
    }
    this.under = true;
    estate.release();
    let over = false;
    let said = "";
    const failed = (reason: string): void => {
      if (over) return;
      over = true;
      this.under = false;
      this.failure = reason;
      log.error("the upgrade failed, this process goes on", { reason });
      estate.retake();
    };
    const heir = crew.startHeir(heirArgs(this.context), ports, {
      onText: (text) => {
        if (text !== "ready") return void (said = text);
        if (over) return;
        over = true;
        late.cancel();
        if (heir.ok) this.pass(heir.child.pid);
      },
      onGone: (code) => {
        late.cancel();
        failed(said !== "" ? said : `the new process ended (${code === null ? "by a signal" : `exit code ${code}`})`);
      },
    });
    const { rings, drained } = estate.proxy;
    if (heir.ok) heir.child.send(JSON.stringify({ rings, drained } satisfies Legacy));
    // The heir has its own hold of them.
    for (const port of ports) if (this.ownCopies) port.close();
    const late = clock.timer(READY_MS, () => {
      if (heir.ok) heir.child.kill();
      failed(`the new process does not serve after ${READY_MS} ms`);
    });
    if (!heir.ok) {
      late.cancel();
      failed(heir.reason);
    }
  }

  private pass(pid: number): void {
    const { log, estate } = this;
    log.info("a new process serves, this one finishes its clients", { pid, drain_ms: estate.drainMs });
    this.heir = pid;
    // Where it has its own elsewhere, whoever asks here hears who serves by now.
    estate.retake();
    estate.passed(pid);
    const { clock } = this.context.platform;
    const untilMs = clock.nowMs() + ASKED_MS;
    estate.proxy.retire(estate.drainMs, () => clock.timer(Math.max(0, untilMs - clock.nowMs()), () => estate.leave()));
  }

  private get ownCopies(): boolean {
    return this.estate.proxy.portsAreCopies;
  }
}

/** The same command line, in front: our parent is not asked again, and the background is where we are. */
function heirArgs({ args, called }: Context): string[] {
  const own = args.filter((word) => !/^--(daemon-child|called|heir)\b/.test(word));
  const at = own[0] !== undefined && !own[0].startsWith("-") ? 1 : 0;
  return [...own.slice(0, at), "--heir", `--called=${called}`, ...own.slice(at)];
}

/** The heir's side: its predecessor hears how the start went. met: once, with what that has left. */
export function reportToPredecessor(platform: Platform, called: string, met: (legacy: Legacy) => void): Report | null {
  let waits = true;
  const told = (legacy: Legacy): void => {
    if (waits) met(legacy);
    waits = false;
  };
  const channel = platform.crew.parent({ onText: (text) => told(legacyOf(JSON.parse(text) as Legacy | Legacy["rings"])), onGone: () => {} });
  if (channel === null) return null;
  platform.clock.timer(TOLD_MS, () => told({ rings: {}, drained: [] })); // one of before
  return {
    ready: () => channel.send("ready"),
    failed: (code, line) => {
      platform.host.stderr(`${called}: ${line}\n`);
      channel.send(line);
      // The text must have left; nothing of ours serves anybody.
      platform.clock.timer(100, () => platform.host.exit(code));
    },
  };
}

/** One of before told its rings alone. */
function legacyOf(told: Legacy | Legacy["rings"]): Legacy {
  return Array.isArray(told["drained"]) ? (told as Legacy) : { rings: told as Legacy["rings"], drained: [] };
}
