// Our own load generator, for what memcaslap cannot do and for warming up: it sends `depth` commands in one write, waits for all their
// answers, and sends the next. Every answer byte is compared with the one that must come. Runs as its own process:
//   bun pipeline.ts PORT CONNECTIONS DEPTH SECONDS SET_SHARE VALUE_BYTES
// and prints one line of JSON: {operations, perSecond, errors, firstError}.

const numbers = Bun.argv.slice(2).map(Number);
const [port = 0, connections = 0, depth = 0, seconds = 0, setShare = 0, valueBytes = 0] = numbers;
const keysEach = 16;
// A round is planned ahead, as bytes: long enough to vary, small enough to hold.
const stepsEach = depth * Math.max(4, Math.min(Math.ceil(512 / depth), Math.floor(2 ** 20 / (depth * valueBytes))));

interface Batch {
  readonly commands: number;
  readonly send: Buffer;
  readonly expect: Buffer;
}

// xorshift32 with a fixed seed: every run and every target gets the same commands.
let state = 0x9e3779b9;
function below(limit: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
}

function valueOf(key: string, version: number): string {
  return `${key}.${version}.`.padEnd(valueBytes, "abcdefghijklmnopqrstuvwxyz0123456789").slice(0, valueBytes);
}

function setLine(key: string, version: number): string {
  return `set ${key} 0 0 ${valueBytes}\r\n${valueOf(key, version)}\r\n`;
}

/**
 * The commands of one connection, which alone uses its keys: `fill` stores every key as the round leaves it, so each
 * pass through the round meets the same state and a stale, swapped or foreign value differs from what is expected.
 */
function plan(connection: number): { fill: Batch[]; round: Batch[] } {
  const keys = Array.from({ length: keysEach }, (_, i) => `bench:${connection}:${String(i).padStart(14, "0")}`);
  const steps = Array.from({ length: stepsEach }, (_, step) => ({
    key: keys[below(keysEach)] ?? "",
    set: below(1000) < setShare * 1000,
    version: step + 1,
  }));
  const now = new Map(keys.map((key) => [key, 0]));
  for (const step of steps) if (step.set) now.set(step.key, step.version);
  const fill = chunks([...now].map(([key, version]) => ({ send: setLine(key, version), expect: "STORED\r\n" })));
  const round = chunks(
    steps.map(({ key, set, version }) => {
      if (!set) return { send: `get ${key}\r\n`, expect: `VALUE ${key} 0 ${valueBytes}\r\n${valueOf(key, now.get(key) ?? 0)}\r\nEND\r\n` };
      now.set(key, version);
      return { send: setLine(key, version), expect: "STORED\r\n" };
    }),
  );
  return { fill, round };
}

function chunks(commands: readonly { send: string; expect: string }[]): Batch[] {
  const batches: Batch[] = [];
  for (let at = 0; at < commands.length; at += depth) {
    const part = commands.slice(at, at + depth);
    batches.push({
      commands: part.length,
      send: Buffer.from(part.map((command) => command.send).join(""), "latin1"),
      expect: Buffer.from(part.map((command) => command.expect).join(""), "latin1"),
    });
  }
  return batches;
}

function difference(got: Buffer, due: Buffer): string {
  let at = 0;
  while (at < due.length && got[at] === due[at]) at++;
  const excerpt = (bytes: Buffer): string => JSON.stringify(bytes.toString("latin1", at, at + 60));
  return `got ${excerpt(got)} where ${excerpt(due)} was due`;
}

let operations = 0;
let timed = 0;
let errors = 0;
let firstError = "";
let deadline = Infinity;

/** One connection: resolves when it has done `batches` once, or, when `forever`, until the deadline; or at its first error. */
class Client {
  #batches: readonly Batch[] = [];
  #forever = false;
  #index = 0;
  #received = 0;
  #sent = 0;
  #socket: Bun.Socket | null = null;
  #done: (() => void) | null = null;

  async open(): Promise<void> {
    const socket = { data: (_: unknown, bytes: Buffer) => this.#data(bytes), drain: () => this.#send(), close: () => this.#fail("connection closed"), connectError() {} };
    this.#socket = await Bun.connect({ hostname: "127.0.0.1", port, socket });
  }

  run(batches: readonly Batch[], forever: boolean): Promise<void> {
    this.#batches = batches;
    this.#forever = forever;
    this.#index = 0;
    return new Promise((done) => {
      this.#done = done;
      if (this.#socket === null) return done(); // it failed before
      this.#begin();
    });
  }

  /** Fails a run still waiting for an answer, then closes. */
  close(): void {
    if (this.#done !== null) this.#fail("no answer");
    this.#drop();
  }

  #begin(): void {
    this.#received = 0;
    this.#sent = 0;
    this.#send();
  }

  #send(): void {
    const batch = this.#batches[this.#index];
    if (batch === undefined || this.#sent >= batch.send.length) return;
    const wrote = this.#socket?.write(batch.send, this.#sent) ?? 0;
    if (wrote > 0) this.#sent += wrote;
  }

  #data(bytes: Buffer): void {
    const batch = this.#batches[this.#index];
    const end = this.#received + bytes.length;
    const due = this.#done === null || batch === undefined ? Buffer.alloc(0) : batch.expect.subarray(this.#received, end);
    if (batch === undefined || !due.equals(bytes)) return this.#fail(difference(bytes, due));
    this.#received = end;
    if (end < batch.expect.length) return;
    operations += batch.commands;
    if (this.#forever) timed += batch.commands;
    this.#index++;
    const over = this.#forever ? performance.now() >= deadline : this.#index === this.#batches.length;
    if (this.#index === this.#batches.length) this.#index = 0;
    if (over) this.#finish();
    else this.#begin();
  }

  #fail(why: string): void {
    if (this.#socket === null) return;
    errors++;
    if (firstError === "") firstError = why;
    this.#drop();
    this.#finish();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
  }

  #finish(): void {
    const done = this.#done;
    this.#done = null;
    done?.();
  }
}

const plans = Array.from({ length: connections }, (_, i) => plan(i));
const clients = plans.map(() => new Client());
const watchdog = setTimeout(() => clients.forEach((client) => client.close()), (seconds + 5) * 1000);
await Promise.all(clients.map((client) => client.open()));
await Promise.all(clients.map((client, i) => client.run(plans[i]?.fill ?? [], false)));
const began = performance.now();
deadline = began + seconds * 1000;
await Promise.all(clients.map((client, i) => client.run(plans[i]?.round ?? [], true)));
const elapsed = (performance.now() - began) / 1000;
clearTimeout(watchdog);
clients.forEach((client) => client.close());
console.log(JSON.stringify({ operations, perSecond: timed / elapsed, errors, firstError }));
process.exit(0);

export {};
