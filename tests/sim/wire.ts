// The wire and the kernels at its two ends: links with latency, loss and partitions; one pipe per direction of a
// connection with a bounded send buffer, segments in flight and retransmission; endpoints with a bounded receive
// buffer that fills even while the process that owns it is stopped.
//
//   write ─▶ [queue] ─transmit─▶ flying ─arrive─▶ [received] ─dispatch─▶ onData
//              └─ lost in a partition: held, sent again after it heals; an abort discards queue and lost, and what
//                 flies or is received already is still read and executed by the peer, stopped or not.
import { Happening } from "./heap.ts";
import type { SimHost } from "./host.ts";
import type { SimProcess } from "./process.ts";
import type { AcceptQueue, SimSocket } from "./socket.ts";
import type { World } from "./world.ts";

/** Bytes in order. Parts are copied, for a view of an array costs more than a short copy of it. */
export class ByteQueue {
  length = 0;
  private chunks: Uint8Array[] = [];
  private offset = 0;

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.chunks.push(bytes);
    this.length += bytes.length;
  }

  /** Removes and returns the first n bytes, 1 <= n <= length. */
  take(n: number): Uint8Array {
    const first = this.chunks[0]!;
    this.length -= n;
    if (first.length - this.offset > n) {
      this.offset += n;
      return first.slice(this.offset - n, this.offset);
    }
    if (first.length - this.offset === n) {
      if (this.chunks.length === 1) this.chunks.pop();
      else this.chunks.shift();
      const whole = this.offset === 0 ? first : first.slice(this.offset);
      this.offset = 0;
      return whole;
    }
    const out = new Uint8Array(n);
    let at = 0;
    while (at < n) {
      const chunk = this.chunks[0]!;
      const some = Math.min(chunk.length - this.offset, n - at);
      if (some > LOOP_BYTES) out.set(chunk.subarray(this.offset, this.offset + some), at);
      else for (let i = 0; i < some; i++) out[at + i] = chunk[this.offset + i]!;
      at += some;
      this.offset += some;
      if (this.offset === chunk.length) {
        this.chunks.shift();
        this.offset = 0;
      }
    }
    return out;
  }

  clear(): void {
    this.chunks = [];
    this.offset = this.length = 0;
  }
}

/** Up to here a loop copies faster. */
const LOOP_BYTES = 512;

/** One direction between two hosts. */
export class Link {
  /** How many partitions hold this direction. */
  private blocks = 0;
  private blockedSinceUs = 0;
  /** Added to every packet while a link is slow, microseconds. */
  slowUs = 0;
  /** Segments lost, of 10,000. */
  loss = 0;
  /** Connects fail at once with "unreachable". */
  noRoute = false;
  /** No later packet arrives much before an earlier one, even when the link has become faster meanwhile. */
  private floorUs = 0;
  private waiting: (() => void)[] = [];

  constructor(
    private readonly world: World,
    readonly from: SimHost,
    readonly to: SimHost,
    private readonly baseUs: number,
    private readonly jitterUs: number,
  ) {}

  /** True while nothing gets through. */
  get down(): boolean {
    return this.blocks > 0 || this.to.off;
  }

  /** When a packet sent now arrives. */
  arrivalUs(): number {
    const plain = this.world.nowUs + this.baseUs + this.slowUs;
    this.floorUs = plain > this.floorUs ? plain : this.floorUs;
    return this.floorUs + this.world.dice.net.below(this.jitterUs + 1);
  }

  loses(): boolean {
    return this.loss > 0 && this.world.dice.net.chance(this.loss, 10_000);
  }

  block(): void {
    if (this.blocks++ === 0) this.blockedSinceUs = this.world.nowUs;
  }

  unblock(): void {
    if (--this.blocks === 0) this.heal();
  }

  /** Runs once this direction works again, after the delay of a retransmission timer that has backed off. */
  whenUp(run: () => void): void {
    this.waiting.push(run);
  }

  /** Lets what waited go. */
  heal(): void {
    if (this.down) return;
    const waited = this.waiting;
    this.waiting = [];
    const backedOffUs = Math.min(10_000_000, Math.max(200_000, this.world.nowUs - this.blockedSinceUs));
    for (const run of waited) this.world.after(1 + this.world.dice.net.below(backedOffUs), run);
  }
}

class Segment extends Happening {
  constructor(
    private readonly pipe: Pipe,
    /** Its place among the segments of its pipe; a RST has none. */
    readonly place: number,
    readonly bytes: Uint8Array,
    readonly fin = false,
    readonly rst = false,
  ) {
    super();
  }

  run(): void {
    this.pipe.arrive(this);
  }
}

const NONE = new Uint8Array(0);

/** One direction of a connection, from the sender's buffer to the receiver's. */
export class Pipe {
  private readonly queue = new ByteQueue();
  private flying = 0;
  private unacknowledged = 0;
  private lost: Segment[] = [];
  private lostBytes = 0;
  private stalled = false;
  private finQueued = false;
  private finSent = false;
  private dead = false;
  private lastArrivalUs = 0;
  /** Places given, and the place that the receiver waits for. */
  private places = 0;
  private expected = 0;
  private retries = 0;
  /** The receiver's kernel has our FIN and we know it. */
  finAcknowledged = false;

  constructor(
    private readonly world: World,
    readonly from: Endpoint,
    readonly to: Endpoint,
    private readonly link: Link,
    private readonly back: Link,
    private readonly sendLimit: number,
  ) {}

  /** Bytes the sender's kernel would take now. */
  get room(): number {
    return this.dead ? 0 : this.sendLimit - this.queue.length - this.flying - this.lostBytes - this.unacknowledged;
  }

  /** True while something lost waits to be sent again. */
  get waits(): boolean {
    return this.stalled;
  }

  push(bytes: Uint8Array): void {
    this.queue.push(bytes);
    this.transmit();
  }

  /** The last step of a handshake: makes the other side's endpoint real. */
  greet(): void {
    this.send(new Segment(this, this.places++, NONE));
  }

  fin(): void {
    this.finQueued = true;
    this.transmit();
  }

  /** The sender's side is gone: what is not on the wire is discarded; a RST follows what is, if `tell`. */
  kill(tell: boolean): void {
    if (this.dead) return;
    this.dead = true;
    this.queue.clear();
    this.lost = [];
    this.lostBytes = 0;
    if (tell) this.send(new Segment(this, -1, NONE, false, true));
  }

  /** The receiver reads and throws away. */
  discard(): void {
    if (this.to.received.length === 0) return;
    this.to.received.clear();
    this.transmit();
  }

  /** Sends what the receiver's window allows. */
  transmit(): void {
    if (this.dead || this.stalled) return;
    const queue = this.queue;
    while (queue.length > 0) {
      const window = this.to.gone ? 65_536 : this.to.receiveLimit - this.to.received.length - this.flying;
      if (window <= 0) return;
      this.send(new Segment(this, this.places++, queue.take(Math.min(queue.length, window, this.world.settings.segmentBytes))));
    }
    if (this.finQueued && !this.finSent) {
      this.finSent = true;
      this.send(new Segment(this, this.places++, NONE, true));
    }
  }

  private send(segment: Segment): void {
    const arrival = this.link.arrivalUs();
    this.lastArrivalUs = arrival > this.lastArrivalUs ? arrival : this.lastArrivalUs;
    this.fly(segment, this.lastArrivalUs);
  }

  private fly(segment: Segment, arrivalUs: number): void {
    this.flying += segment.bytes.length;
    this.world.plan(arrivalUs, segment);
  }

  arrive(segment: Segment): void {
    this.flying -= segment.bytes.length;
    if (this.link.down || this.link.loses()) {
      if (!segment.rst && !this.dead) this.lose(segment, this.link.down);
      return;
    }
    if (segment.rst) {
      this.to.reset();
      return;
    }
    if (this.stalled) {
      // Something before it is missing: the receiver cannot use it yet.
      if (!this.dead) this.keep(segment);
      return;
    }
    if (segment.place !== this.expected) {
      // It flew while something before it was lost, which has been sent again since and comes later.
      if (!this.dead) this.fly(segment, this.lastArrivalUs);
      return;
    }
    this.expected++;
    this.retries = 0;
    if (this.to.gone || this.to.wasReset) {
      if (segment.fin) this.acknowledge(segment);
      else this.refuse();
      return;
    }
    this.unacknowledged += segment.bytes.length;
    this.to.receive(segment.bytes, segment.fin);
    if (this.back.down) this.back.whenUp(() => this.acknowledge(segment));
    else this.acknowledge(segment);
  }

  private acknowledge(segment: Segment): void {
    this.unacknowledged -= segment.bytes.length;
    if (segment.fin) this.finAcknowledged = true;
    this.from.acknowledged();
  }

  private keep(segment: Segment): void {
    this.lost.push(segment);
    this.lostBytes += segment.bytes.length;
  }

  private lose(segment: Segment, down: boolean): void {
    this.keep(segment);
    if (this.stalled) return;
    this.stalled = true;
    if (down) this.link.whenUp(() => this.retransmit());
    else this.world.after(200_000 * 2 ** Math.min(this.retries++, 4), () => this.retransmit());
  }

  private retransmit(): void {
    this.stalled = false;
    const again = this.lost.sort((one, two) => one.place - two.place);
    this.lost = [];
    this.lostBytes = 0;
    if (this.dead) return;
    for (const segment of again) this.send(segment);
    this.transmit();
  }

  /** A packet for a connection that the receiving kernel does not know is answered by a RST, which may be lost. */
  private refuse(): void {
    this.world.at(this.back.arrivalUs(), () => {
      if (!this.back.down && !this.back.loses()) this.from.reset();
    });
  }
}

/** One end of a connection as the kernel of its host sees it. */
export class Endpoint {
  readonly received = new ByteQueue();
  /** Set by join(). */
  out!: Pipe;
  in!: Pipe;
  private joined = false;
  /** The application's side, once there is one. */
  socket: SimSocket | null = null;
  /** The listener that will accept it, until it has. */
  queue: AcceptQueue | null = null;
  /** The peer sent FIN and all its bytes are in `received`. */
  finReceived = false;
  /** A RST came. */
  wasReset = false;
  /** Nobody here knows this connection any more: packets for it are answered by RST. */
  gone = false;

  constructor(
    readonly id: number,
    readonly process: SimProcess,
    readonly receiveLimit: number,
    readonly local: string,
    readonly remote: string,
  ) {}

  /** Ties the two directions to this end. */
  join(out: Pipe, incoming: Pipe): void {
    this.out = out;
    this.in = incoming;
    this.joined = true;
  }

  /** True when nothing of a past fault clings to this connection: both ends live, answer, and miss no bytes. */
  get sound(): boolean {
    const { peer } = this;
    return !peer.gone && !peer.wasReset && !this.wasReset && !this.out.waits && !this.in.waits && peer.socket?.silent !== true;
  }

  /** The other end. */
  get peer(): Endpoint {
    return this.out.to;
  }

  receive(bytes: Uint8Array, fin: boolean): void {
    this.queue?.established(this);
    if (bytes.length > 0) this.received.push(bytes);
    if (fin) this.finReceived = true;
    if (bytes.length > 0 || fin) this.socket?.wake();
  }

  acknowledged(): void {
    this.socket?.acknowledged();
  }

  /** A RST came: nothing more can be sent; bytes already received stay readable. */
  reset(): void {
    if (this.gone || this.wasReset) return;
    this.wasReset = true;
    // A handshake that was never completed leaves nothing behind.
    if (this.queue !== null && !this.queue.knows(this)) this.leave();
    this.out.kill(false);
    this.socket?.wake();
  }

  /** Ends this end with a RST (unless one came): its unsent bytes and its unread bytes are gone. */
  abort(): void {
    if (this.gone) return;
    this.leave();
    if (!this.joined) return;
    this.out.kill(!this.wasReset);
    this.in.transmit();
  }

  /** What the kernel does when the process dies: FIN after the last bytes, or a RST if something was unread. */
  orphan(): void {
    if (this.gone) return;
    if (!this.joined || this.queue !== null || this.received.length > 0 || this.wasReset) {
      this.abort();
      return;
    }
    this.leave();
    this.out.fin();
    this.in.transmit();
  }

  /** Both directions ended in order. */
  release(): void {
    this.leave();
    this.in.transmit();
  }

  /** The machine lost its power: no packet leaves. */
  vanish(): void {
    this.leave();
    if (this.joined) this.out.kill(false);
  }

  private leave(): void {
    this.gone = true;
    this.received.clear();
    this.process.machine.endpoints.delete(this);
  }
}
