// One life of one program on a simulated host: its Platform. It runs in turns, as an event loop does: due timers,
// then sockets that are ready, then what asked to run after the turn; then it is busy for a while.
import type { Clock, Crew, Files, Host, Net, Platform, Random, Timer } from "../../src/platform/platform.ts";
import { SimFiles } from "./files.ts";
import { Happening } from "./heap.ts";
import type { SimHost } from "./host.ts";
import { Prng } from "./prng.ts";
import { SimExit, SimProgram } from "./program.ts";
import { SimNet } from "./simnet.ts";
import type { AcceptQueue, Ready, SimAttempt, SimSocket } from "./socket.ts";
import type { World } from "./world.ts";

class SimTimer extends Happening implements Timer {
  private over = false;

  constructor(
    private readonly process: SimProcess,
    readonly number: number,
    private readonly what: () => void,
    /** Asked for by the program, not by its platform. */
    private readonly counted: boolean,
  ) {
    super();
  }

  /** Its time has come: it fires in the next turn. */
  run(): void {
    this.process.expired(this);
  }

  cancel(): void {
    if (this.over) return;
    this.over = true;
    if (this.counted) this.process.timers--;
  }

  fire(): void {
    if (this.over) return;
    this.cancel();
    if (this.counted) this.process.world.trace.event(this.process.world.nowUs, "timer", this.process.machine, this.number, "");
    this.what();
  }
}

class PlannedTurn extends Happening {
  constructor(private readonly process: SimProcess) {
    super();
  }

  run(): void {
    this.process.turn();
  }
}

const ONE = "a simulated host runs one process";

/** A simulated host has no second process to share anything with. */
const NO_CREW: Crew = {
  refusal: ONE,
  open: (_address, _options, done) => done({ ok: false, cause: "failed", detail: ONE }),
  start: () => ({ ok: false, reason: ONE }),
  portOf: () => null,
  startHeir: () => ({ ok: false, reason: ONE }),
  parent: () => null,
  accept: (_place, _address, _backlog, handlers) => handlers.onClose("failed", ONE),
  drop: () => {},
};

export class SimProcess implements Platform {
  alive = true;
  /** Turns so far. */
  turns = 0;
  /** Timers the program asked for that neither fired nor were cancelled. */
  timers = 0;
  readonly sockets = new Set<SimSocket>();
  readonly attempts = new Set<SimAttempt>();
  readonly listeners = new Set<AcceptQueue>();
  /** Faults of this process: accepted connections are not read; new ones are never answered; all answer rubbish. */
  deaf = false;
  mute = false;
  garbage = false;
  /** A broken platform, for tests of the tests: abort() lets the kernel deliver what it holds, as close() does. */
  gentle = false;
  /** What waits for the end of `deaf`. */
  readonly unheard = new Set<SimSocket>();

  readonly net: Net;
  readonly crew: Crew = NO_CREW;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  readonly files: Files;
  readonly program: SimProgram;

  private readonly disk: SimFiles;
  private readyList: Ready[] = [];
  private due: SimTimer[] = [];
  private afters: (() => void)[] = [];
  private spareReady: Ready[] = [];
  /** The turn that is planned while `scheduled`. */
  private readonly next = new PlannedTurn(this);
  private scheduled = false;
  private busyUntilUs = 0;
  private timerNumber = 0;

  constructor(
    readonly world: World,
    readonly machine: SimHost,
    pid: number,
    dice: Prng,
  ) {
    const startUs = dice.below(1_000_000_000);
    this.net = new SimNet(this);
    this.random = { u32: () => dice.u32() };
    this.clock = {
      nowMs: () => (world.nowUs * machine.rate + startUs) / 1000,
      wallSeconds: () => machine.wallUs() / 1_000_000,
      timer: (ms, fire) => this.timer(ms, fire, true),
    };
    this.program = new SimProgram(this, pid);
    this.host = this.program;
    // Dice of their own: nobody else's throws depend on whether files are used.
    this.disk = new SimFiles(this, new Prng(pid));
    this.files = this.disk;
  }

  readonly copy = null;

  afterTurn(run: () => void): void {
    this.afters.push(run);
    this.wake();
  }

  /** A timer of the platform itself: a deadline, not a timer the program must cancel. */
  ownTimer(ms: number, fire: () => void): Timer {
    return this.timer(ms, fire, false);
  }

  /** item has something to dispatch. */
  ready(item: Ready): void {
    if (item.queued || !this.alive) return;
    item.queued = true;
    this.readyList.push(item);
    this.wake();
  }

  /** A stall of the whole process (a collection of garbage, a stolen CPU): its next turn comes that much later. */
  stall(us: number): void {
    const now = this.world.nowUs;
    this.busyUntilUs = (this.busyUntilUs > now ? this.busyUntilUs : now) + us;
  }

  /** The scheduler may run it again after SIGCONT. Each connection is noticed in its own time. */
  continue(spreadUs: number): void {
    const late = this.readyList;
    this.readyList = [];
    for (const item of late) {
      item.queued = false;
      this.notice(item, spreadUs);
    }
    this.wake();
  }

  /** The end of `deaf`. */
  listenAgain(spreadUs: number): void {
    this.deaf = false;
    for (const socket of this.unheard) this.notice(socket, spreadUs);
    this.unheard.clear();
  }

  /** The process is gone: its timers and handlers never run again. */
  die(): void {
    this.alive = false;
    for (const socket of this.sockets) socket.forget();
    this.disk.tear();
    this.readyList = [];
    this.due = [];
    this.afters = [];
    this.timers = 0;
  }

  private notice(item: Ready, spreadUs: number): void {
    if (spreadUs === 0) this.ready(item);
    else this.world.after(1 + this.world.dice.net.below(spreadUs), () => this.ready(item));
  }

  private timer(ms: number, fire: () => void, counted: boolean): Timer {
    const timer = new SimTimer(this, ++this.timerNumber, fire, counted);
    if (counted) this.timers++;
    const late = this.world.settings.timerLateUs;
    const us = Math.max(1, Math.ceil((ms * 1000) / this.machine.rate)) + (late > 0 ? this.world.dice.net.below(late) : 0);
    this.world.plan(this.world.nowUs + us, timer);
    return timer;
  }

  /** A timer's time has come. */
  expired(timer: SimTimer): void {
    if (!this.alive) return;
    this.due.push(timer);
    this.wake();
  }

  private wake(): void {
    if (this.scheduled || !this.alive || this.machine.hung) return;
    this.scheduled = true;
    const now = this.world.nowUs;
    this.world.plan(this.busyUntilUs > now ? this.busyUntilUs : now, this.next);
  }

  /** Called by `next` alone. */
  turn(): void {
    this.scheduled = false;
    if (!this.alive || this.machine.hung) return;
    if (this.busyUntilUs > this.world.nowUs) {
      // Stalled after this turn was planned.
      this.wake();
      return;
    }
    this.turns++;
    try {
      if (this.due.length > 0) {
        const due = this.due;
        this.due = [];
        for (const timer of due) if (this.alive) timer.fire();
      }
      const ready = this.readyList;
      this.readyList = this.spareReady;
      if (ready.length > 1 && this.world.settings.shuffleReady) this.world.dice.net.shuffle(ready);
      for (let i = 0; i < ready.length && this.alive; i++) {
        ready[i]!.queued = false;
        ready[i]!.dispatch();
      }
      ready.length = 0;
      this.spareReady = ready;
      if (this.afters.length > 0) {
        const afters = this.afters;
        this.afters = [];
        for (const run of afters) if (this.alive) run();
      }
    } catch (problem) {
      if (!(problem instanceof SimExit)) throw problem;
      this.machine.crash("kill");
      return;
    }
    const [least, most] = this.world.settings.turnUs;
    this.busyUntilUs = this.world.nowUs + this.world.dice.net.range(least, most);
    if (this.readyList.length > 0 || this.due.length > 0 || this.afters.length > 0) this.wake();
  }
}
