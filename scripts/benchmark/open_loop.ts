// Operations at times fixed ahead (90 % get, 10 % set, 100 byte values), whatever the answers do: the time of each counts
// from when it was due. It looks at the clock without pause, so it takes a processor for itself. Its own process:
//   bun open_loop.ts PORT CONNECTIONS RATE SECONDS
// prints one line of JSON: {operations, perSecond, p50, p99, p999, most (ms), errors}. RATE 0: as many as are answered,
// one in flight on each connection.

const [port = 0, connections = 0, rate = 0, seconds = 0] = Bun.argv.slice(2).map(Number);
const keysEach = 16;
const value = "v".repeat(100);

interface Command {
  readonly send: Buffer;
  readonly expect: Buffer;
}

/** Answers of one connection are told apart by their length alone; the bytes are compared when one is whole. */
class Connection {
  readonly commands: Command[] = [];
  private readonly due: number[] = [];
  private readonly asked: Command[] = [];
  private pending: Buffer = Buffer.alloc(0);
  private socket: Bun.Socket | null = null;
  private next = 0;
  closed = false;

  constructor(index: number) {
    for (let i = 0; i < 40; i++) {
      const key = `open:${index}:${i % keysEach}`;
      const set = i < keysEach || i % 10 === 0;
      const send = set ? `set ${key} 0 0 100\r\n${value}\r\n` : `get ${key}\r\n`;
      this.commands.push({ send: Buffer.from(send), expect: Buffer.from(set ? "STORED\r\n" : `VALUE ${key} 0 100\r\n${value}\r\nEND\r\n`) });
    }
    this.next = 0;
  }

  async open(): Promise<void> {
    const socket = { data: (_: unknown, bytes: Buffer) => this.data(bytes), close: () => this.lost(), connectError() {} };
    this.socket = await Bun.connect({ hostname: "127.0.0.1", port, socket });
  }

  get waiting(): number {
    return this.due.length;
  }

  send(dueMs: number): void {
    // The first sixteen commands fill the keys; the rest is the mix.
    const command = this.commands[this.next]!;
    this.next = this.next + 1 === this.commands.length ? keysEach : this.next + 1;
    this.due.push(dueMs);
    this.asked.push(command);
    if (this.socket!.write(command.send) !== command.send.length) this.lost();
  }

  private data(bytes: Buffer): void {
    let all = this.pending.length === 0 ? bytes : Buffer.concat([this.pending, bytes]);
    const now = performance.now();
    while (this.asked.length > 0 && all.length >= this.asked[0]!.expect.length) {
      const { expect } = this.asked.shift()!;
      if (!all.subarray(0, expect.length).equals(expect)) errors++;
      all = all.subarray(expect.length);
      took(now - this.due.shift()!);
      if (rate === 0 && now < end) this.send(now);
    }
    this.pending = all;
  }

  private lost(): void {
    if (this.closed) return;
    this.closed = true;
    errors++;
  }
}

const BUCKET_MS = 0.005;
const buckets = new Uint32Array(400_000); // up to 2 s
let operations = 0;
let errors = 0;
let most = 0;
let end = Infinity;

function took(ms: number): void {
  operations++;
  if (ms > most) most = ms;
  const bucket = Math.min(buckets.length - 1, Math.floor(ms / BUCKET_MS));
  buckets[bucket] = buckets[bucket]! + 1;
}

function percentile(share: number): number {
  let left = operations * share;
  for (let i = 0; i < buckets.length; i++) {
    left -= buckets[i]!;
    if (left <= 0) return (i + 1) * BUCKET_MS;
  }
  return most;
}

const all = Array.from({ length: connections }, (_, i) => new Connection(i));
await Promise.all(all.map((connection) => connection.open()));
const began = performance.now();
end = began + seconds * 1000;
let sent = 0;
if (rate === 0) for (const connection of all) connection.send(began);
const turn = (done: () => void): void => {
  const now = performance.now();
  if (rate > 0) {
    const due = Math.min(Math.floor(((now - began) * rate) / 1000), Math.floor(seconds * rate));
    for (; sent < due; sent++) all[sent % connections]!.send(began + (sent * 1000) / rate);
  }
  const waiting = all.some((connection) => connection.waiting > 0 && !connection.closed);
  if ((now >= end && !waiting) || now > end + 5000) return done();
  setImmediate(turn, done);
};
await new Promise<void>((done) => turn(done));
const elapsed = (performance.now() - began) / 1000;
const answer = { operations, perSecond: operations / elapsed, p50: percentile(0.5), p99: percentile(0.99), p999: percentile(0.999), most, errors };
console.log(JSON.stringify(answer));
process.exit(0);

export {};
