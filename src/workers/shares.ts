// How many clients of one pool each worker may have: shares that never add up to more than the pool's limit. Pure: says
// what is to be asked of whom, and is told the answers.
//
//   worker full ─▶ free room? it gets some · else whoever has most to spare gives half of it · else: full
export interface Demand {
  /** Ask this worker to give back so many. */
  readonly worker: number;
  readonly clients: number;
}

export class Shares {
  /** Room that no worker has. */
  private free: number;
  private readonly share: number[];
  /** Clients, as each worker said last. */
  readonly clients: number[];
  private readonly waiting: number[] = [];
  private readonly alive = new Set<number>();
  /** Workers that were asked to give and have not answered. */
  private readonly asked = new Set<number>();
  /** They had nothing to give to the one that waits first; for the next they are asked again. */
  private readonly poor = new Set<number>();

  /** most: what one worker can hold at all. */
  constructor(private max: number, private readonly workers: number, public most = Infinity) {
    this.free = max;
    this.share = new Array<number>(workers).fill(0);
    this.clients = new Array<number>(workers).fill(0);
  }

  private get fair(): number {
    return Math.max(1, Math.floor(this.max / this.workers));
  }

  /**
   * Another limit. What is too much is taken from the workers at once, first what they do not use: clients that are there
   * stay, and none comes in their place. room: less than 0.
   */
  resize(max: number, room: (worker: number, clients: number) => void): void {
    this.free += max - this.max;
    this.max = max;
    const less = new Array<number>(this.workers).fill(0);
    const take = (worker: number, most: number): void => {
      const taken = Math.max(0, Math.min(most, -this.free));
      less[worker]! += taken;
      this.share[worker]! -= taken;
      this.free += taken;
    };
    for (let worker = 0; worker < this.workers; worker++) take(worker, this.share[worker]! - this.clients[worker]!);
    while (this.free < 0) {
      const part = Math.ceil(-this.free / this.workers);
      for (let worker = 0; worker < this.workers; worker++) take(worker, Math.min(part, this.share[worker]!));
    }
    less.forEach((clients, worker) => clients > 0 && room(worker, -clients));
  }

  /** A worker begins; returns its first room. */
  begin(worker: number): number {
    this.alive.add(worker);
    return this.grant(worker, this.fair);
  }

  /** A worker is gone, and its clients with it. */
  end(worker: number): void {
    this.alive.delete(worker);
    this.free += this.share[worker]!;
    this.share[worker] = this.clients[worker] = 0;
    this.asked.delete(worker);
    this.poor.delete(worker);
    const at = this.waiting.indexOf(worker);
    if (at !== -1) this.waiting.splice(at, 1);
  }

  begun(worker: number): boolean {
    return this.alive.has(worker);
  }

  counted(worker: number, clients: number): void {
    this.clients[worker] = clients;
  }

  /** A worker has no room left; it waits for settle's answer. */
  full(worker: number): void {
    this.clients[worker] = this.share[worker]!;
    if (!this.waiting.includes(worker)) this.waiting.push(worker);
  }

  gave(worker: number, clients: number): void {
    this.asked.delete(worker);
    if (clients === 0) this.poor.add(worker);
    this.share[worker]! -= clients;
    this.free += clients;
  }

  /** What is to be done for those that wait: room for some, 0 when there is none anywhere, and whom to ask for theirs. */
  settle(room: (worker: number, clients: number) => void): Demand[] {
    // It gave what the limit was lowered by meanwhile.
    this.share.forEach((share, worker) => share < 0 && room(worker, this.grant(worker, -share)));
    const demands: Demand[] = [];
    while (this.waiting.length > 0) {
      const worker = this.waiting[0]!;
      const granted = this.grant(worker, Math.max(1, Math.ceil(this.free / this.workers)));
      if (granted === 0) {
        if (this.asked.size > 0) break;
        const rich = this.share[worker]! >= this.most ? -1 : this.richest(worker);
        if (rich !== -1) {
          this.asked.add(rich);
          demands.push({ worker: rich, clients: Math.max(1, Math.ceil((this.share[rich]! - this.clients[rich]!) / 2)) });
          break;
        }
      }
      this.poor.clear();
      this.waiting.shift();
      room(worker, granted);
    }
    return demands;
  }

  private grant(worker: number, wanted: number): number {
    const granted = Math.min(wanted, this.free, this.most - this.share[worker]!);
    this.free -= granted;
    this.share[worker]! += granted;
    return granted;
  }

  /** Who may have most to spare; what it said last may be old, so all are asked before it is full everywhere. */
  private richest(except: number): number {
    let found = -1;
    for (let worker = 0; worker < this.workers; worker++) {
      if (worker === except || this.poor.has(worker) || this.share[worker] === 0) continue;
      if (found === -1 || this.share[worker]! - this.clients[worker]! > this.share[found]! - this.clients[found]!) found = worker;
    }
    return found;
  }
}
