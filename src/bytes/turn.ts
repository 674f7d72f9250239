// A turn of the event loop: whoever has bytes to send joins, and all leave together once every ready socket of the
// turn has been read. One write per socket and turn instead of one per request.

/** Something that flushes once at the end of the turn it joined. */
export interface Flushable {
  /** True while it waits for the end of this turn; only Turn changes it. */
  joined: boolean;
  flush(): void;
}

export class Turn {
  private clockMs = 0;
  private clockRead = false;
  private members: Flushable[] = [];
  private spare: Flushable[] = [];
  private scheduled = false;
  private readonly run = (): void => this.end();

  /** afterTurn is the platform's: runs its argument once after all ready sockets of this turn. now: a clock, for nowMs. */
  constructor(private readonly afterTurn: (run: () => void) => void, private readonly now: () => number = () => 0) {}

  /** The time in this turn, ms: the clock is read when it is first asked for, once for all that the turn serves. */
  get nowMs(): number {
    if (!this.clockRead) this.readClock();
    return this.clockMs;
  }

  private readClock(): void {
    this.clockRead = true;
    this.clockMs = this.now();
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.afterTurn(this.run);
  }

  join(member: Flushable): void {
    if (member.joined) return;
    member.joined = true;
    this.members.push(member);
    if (!this.scheduled) this.schedule();
  }

  private end(): void {
    this.scheduled = this.clockRead = false;
    const leaving = this.members;
    this.members = this.spare;
    this.spare = leaving;
    for (let i = 0; i < leaving.length; i++) {
      const member = leaving[i]!;
      member.joined = false;
      member.flush();
    }
    leaving.length = 0;
  }
}
