// A turn of the event loop: whoever has bytes to send joins, and all leave together once every ready socket of the
// turn has been read. One write per socket and turn instead of one per request.

/** Something that flushes once at the end of the turn it joined. */
export interface Flushable {
  /** True while it waits for the end of this turn; only Turn changes it. */
  joined: boolean;
  flush(): void;
}

export class Turn {
  private members: Flushable[] = [];
  private spare: Flushable[] = [];
  private scheduled = false;
  private readonly run = (): void => this.end();

  /** afterTurn is the platform's: runs its argument once after all ready sockets of this turn. */
  constructor(private readonly afterTurn: (run: () => void) => void) {}

  join(member: Flushable): void {
    if (member.joined) return;
    member.joined = true;
    this.members.push(member);
    if (!this.scheduled) {
      this.scheduled = true;
      this.afterTurn(this.run);
    }
  }

  private end(): void {
    this.scheduled = false;
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
