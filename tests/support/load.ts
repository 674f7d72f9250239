// A running load of checked operations: several connections, each waiting for its answer before it goes on, at a set
// rate together. Every answer is judged by history.ts; every operation's time and outcome is kept.
import { Client, NoReply, textOf, type Values } from "./client.ts";
import { Counter, Findings, Journal, Register, valueFor, versionOf } from "./history.ts";
import { dice } from "./sessions.ts";

export type Kind = "get" | "multi-get" | "pipeline" | "set" | "delete" | "add" | "cas" | "incr" | "append";

export interface Operation {
  readonly kind: Kind;
  readonly client: number;
  /** When it was sent, ms of performance.now(). */
  readonly at: number;
  readonly tookMs: number;
  /** null when it was answered, else what came instead. */
  readonly error: string | null;
}

/** What clients do: weights of each kind of operation. */
export const MIXES = {
  mixed: { get: 45, "multi-get": 9, pipeline: 5, set: 21, delete: 5, add: 4, cas: 4, incr: 4, append: 3 },
  reading: { get: 60, "multi-get": 15, pipeline: 10, set: 12, delete: 3 },
  writing: { get: 20, set: 50, delete: 20, append: 10 },
  deciding: { get: 15, delete: 10, add: 20, cas: 25, incr: 20, append: 10 },
} as const satisfies Readonly<Record<string, Partial<Record<Kind, number>>>>;
export type Mix = keyof typeof MIXES;

export interface LoadOptions {
  /** Clients take them in turn. */
  readonly ports: readonly number[];
  readonly clients: number;
  /** Operations a second of all clients together. */
  readonly rate: number;
  readonly seed: number;
  readonly mix: Mix;
  /** Lengths that values take in turn, bytes. */
  readonly lengths: readonly number[];
  readonly registersPerClient: number;
}

export const DEFAULTS: Omit<LoadOptions, "ports"> = {
  clients: 16, rate: 3000, seed: 1, mix: "mixed", lengths: [20, 100, 100, 300, 100, 1500, 100, 40, 100, 20_000], registersPerClient: 40,
};

/** How long an operation may go unanswered before the client gives up, ms: far above what is allowed. */
const GIVE_UP_MS = 5000;

/** The server answered, but not with what the command asked for: "SERVER_ERROR …" and the like. */
class Refused extends Error {}

export class Load {
  readonly findings = new Findings();
  readonly operations: Operation[] = [];
  readonly options: LoadOptions;
  readonly registers: Register[] = [];
  #workers: Worker[] = [];
  #running: Promise<void>[] = [];
  stopping = false;

  constructor(options: Partial<LoadOptions> & { readonly ports: readonly number[] }) {
    this.options = { ...DEFAULTS, ...options };
  }

  /** Stores every key once and then begins. Rejects when a store fails: nothing is broken yet. */
  async start(): Promise<void> {
    for (let number = 0; number < this.options.clients; number++) this.#workers.push(new Worker(this, number));
    for (const worker of this.#workers) this.registers.push(...worker.registers);
    await Promise.all(this.#workers.map((worker) => worker.fill()));
    this.#running = this.#workers.map((worker) => worker.run());
  }

  /** Lets the operations in flight end. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.#running);
  }

  /** Reads every key once more; after stop. */
  async sweep(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.sweep()));
  }

  close(): void {
    for (const worker of this.#workers) worker.close();
  }

  /** Every key that the load has used. */
  get keys(): string[] {
    return this.#workers.flatMap((worker) => worker.keys);
  }
}

class Worker {
  readonly registers: Register[];
  readonly #load: Load;
  readonly #number: number;
  readonly #port: number;
  readonly #below: (n: number) => number;
  readonly #counters: Counter[];
  readonly #journals: Journal[];
  /** Each as often as it weighs in the mix. */
  readonly #kinds: readonly Kind[];
  #client: Client | null = null;
  /** Keys whose last reset has no known outcome: they are reset again before they are used. */
  readonly #doubtful = new Set<string>();
  #words = 0;
  #versionsSet = 0;

  constructor(load: Load, number: number) {
    this.#load = load;
    this.#number = number;
    this.#port = load.options.ports[number % load.options.ports.length]!;
    const weights = Object.entries(MIXES[load.options.mix]) as [Kind, number][];
    this.#kinds = weights.flatMap(([kind, weight]) => Array<Kind>(weight).fill(kind));
    this.#below = dice(load.options.seed * 1000 + number);
    const named = (what: string, index: number): string => `load:${load.options.seed}:${number}:${what}${index}`;
    const some = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_none, index) => make(index));
    this.registers = some(load.options.registersPerClient, (index) => new Register(named("r", index), load.findings));
    this.#counters = some(4, (index) => new Counter(named("n", index), load.findings));
    this.#journals = some(4, (index) => new Journal(named("j", index), load.findings));
  }

  get keys(): string[] {
    return [...this.registers, ...this.#counters, ...this.#journals].map((one) => one.key);
  }

  async fill(): Promise<void> {
    for (const register of this.registers) await this.#set(register);
    for (const counter of this.#counters) await this.#resetCounter(counter);
    for (const journal of this.#journals) await this.#resetJournal(journal);
  }

  async run(): Promise<void> {
    const spacing = (1000 * this.#load.options.clients) / this.#load.options.rate;
    let due = performance.now() + this.#below(100) * spacing / 100;
    while (!this.#load.stopping) {
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      // Late operations are not made up for: the load is what clients that wait for their answers bring.
      due = Math.max(due + spacing, performance.now());
      const [kind, work] = this.#choose();
      await this.#timed(kind, work);
    }
  }

  /** Reads every own key once more, with patience: nothing is broken any more. */
  async sweep(): Promise<void> {
    for (const register of this.registers) await this.#timed("get", () => this.#get(register));
    for (const counter of this.#counters) await this.#timed("incr", () => this.#increment(counter));
    for (const journal of this.#journals) await this.#timed("get", () => this.#readJournal(journal));
  }

  close(): void {
    this.#client?.close();
  }

  #choose(): [Kind, () => Promise<void>] {
    const kind = this.#kinds[this.#below(this.#kinds.length)]!;
    const own = (): Register => this.#one(this.registers);
    const any = (): Register => this.#one(this.#load.registers);
    switch (kind) {
      case "get": return [kind, () => this.#get(any())];
      case "multi-get": return [kind, () => this.#multiGet(distinct(12, any))];
      case "pipeline": return [kind, () => this.#pipeline(distinct(10, any))];
      case "set": return [kind, () => this.#set(own())];
      case "delete": return [kind, () => this.#delete(own())];
      case "add": return [kind, () => this.#add(own())];
      case "cas": return [kind, () => this.#cas(own())];
      case "incr": return [kind, () => this.#increment(this.#one(this.#counters))];
      case "append": return [kind, () => this.#append(this.#one(this.#journals))];
    }
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#below(of.length)]!;
  }

  async #timed(kind: Kind, work: () => Promise<void>): Promise<void> {
    const at = performance.now();
    let error: string | null = null;
    try {
      this.#client ??= await Client.open(this.#port);
      await work();
    } catch (problem) {
      error = problem instanceof Error ? problem.message : String(problem);
      if (!(problem instanceof Refused)) {
        this.#client?.close();
        this.#client = null;
        if (!(problem instanceof NoReply)) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    this.#load.operations.push({ kind, client: this.#number, at, tookMs: performance.now() - at, error });
  }

  /** Sends and takes one line; a line that the command cannot be answered with is wrong. */
  async #ask(command: string, allowed: RegExp): Promise<string> {
    this.#client ??= await Client.open(this.#port);
    const line = await this.#client.ask(command, GIVE_UP_MS);
    if (allowed.test(line)) return line;
    if (line.startsWith("SERVER_ERROR ")) throw new Refused(line);
    this.#wrong(`${command.slice(0, 60)} was answered ${line.slice(0, 100)}`);
    throw new NoReply("closed", "left after a wrong answer");
  }

  #wrong(sentence: string): void {
    this.#load.findings.add("wrong", JSON.stringify(sentence));
  }

  /** Takes a retrieval's answer and checks its form: the asked keys, in order, at most once each, then END. */
  async #values(keys: readonly string[]): Promise<Values> {
    const answer = await this.#client!.values(GIVE_UP_MS);
    let at = 0;
    for (const value of answer.values) {
      const found = keys.indexOf(value.key, at);
      if (found === -1) {
        this.#wrong(`asked for ${keys.join(" ")} and was answered ${value.key} out of place`);
        throw new NoReply("closed", "left after a wrong answer");
      }
      at = found + 1;
    }
    if (answer.end === "END") return answer;
    if (answer.end.startsWith("SERVER_ERROR ") && answer.values.length === 0) throw new Refused(answer.end);
    this.#wrong(`values of ${keys.join(" ")} ended with ${answer.end.slice(0, 100)} after ${answer.values.length} values`);
    throw new NoReply("closed", "left after a wrong answer");
  }

  #judge(register: Register, mark: ReturnType<Register["mark"]>, text: string | null): void {
    if (text === null) return register.answered(mark, null);
    const version = versionOf(register.key, text);
    if (version === null) this.#wrong(`${register.key} holds ${text.length} bytes that were never written: ${text.slice(0, 80)}`);
    else register.answered(mark, version);
  }

  async #get(register: Register): Promise<void> {
    const mark = register.mark();
    this.#client!.send(`get ${register.key}\r\n`);
    const { values } = await this.#values([register.key]);
    this.#judge(register, mark, values.length === 0 ? null : textOf(values[0]!.bytes));
  }

  async #multiGet(registers: readonly Register[]): Promise<void> {
    const marks = registers.map((register) => register.mark());
    const keys = registers.map((register) => register.key);
    this.#client!.send(`get ${keys.join(" ")}\r\n`);
    const { values } = await this.#values(keys);
    const texts = new Map(values.map((value) => [value.key, textOf(value.bytes)]));
    registers.forEach((register, index) => this.#judge(register, marks[index]!, texts.get(register.key) ?? null));
  }

  async #pipeline(registers: readonly Register[]): Promise<void> {
    const marks = registers.map((register) => register.mark());
    this.#client!.send(registers.map((register) => `get ${register.key}\r\n`).join(""));
    let refused: Refused | null = null;
    for (const [index, register] of registers.entries()) {
      try {
        const { values } = await this.#values([register.key]);
        this.#judge(register, marks[index]!, values.length === 0 ? null : textOf(values[0]!.bytes));
      } catch (problem) {
        if (!(problem instanceof Refused)) throw problem;
        refused = problem;
      }
    }
    if (refused !== null) throw refused;
  }

  /** Sends a storage command of the next version; true when it was stored. */
  async #store(register: Register, form: (key: string) => [string, string], allowed: RegExp): Promise<string> {
    const version = register.nextVersion();
    const lengths = this.#load.options.lengths;
    const text = valueFor(register.key, version, lengths[this.#versionsSet++ % lengths.length]!);
    const [head, tail] = form(register.key);
    const handle = register.begin(version);
    try {
      const line = await this.#ask(`${head} 0 0 ${text.length}${tail}\r\n${text}\r\n`, allowed);
      if (line === "STORED") register.acknowledged(handle);
      else register.refused(handle);
      return line;
    } catch (problem) {
      register.unknown(handle);
      throw problem;
    }
  }

  async #set(register: Register): Promise<void> {
    await this.#store(register, (key) => [`set ${key}`, ""], /^STORED$/);
  }

  async #add(register: Register): Promise<void> {
    const before = register.possible();
    const line = await this.#store(register, (key) => [`add ${key}`, ""], /^(NOT_)?STORED$/);
    if (line === "STORED" && !before.absent) this.#wrong(`add stored ${register.key}, which was there`);
    if (line === "NOT_STORED" && !before.present) this.#wrong(`add refused ${register.key}, which was not there`);
  }

  async #delete(register: Register): Promise<void> {
    const before = register.possible();
    const handle = register.begin(null);
    try {
      const line = await this.#ask(`delete ${register.key}\r\n`, /^(DELETED|NOT_FOUND)$/);
      register.acknowledged(handle);
      if (line === "DELETED" && !before.present) this.#wrong(`delete found ${register.key}, which was not there`);
      if (line === "NOT_FOUND" && !before.absent) this.#load.findings.add("lost", `delete did not find ${register.key}`);
    } catch (problem) {
      register.unknown(handle);
      throw problem;
    }
  }

  async #cas(register: Register): Promise<void> {
    const mark = register.mark();
    this.#client!.send(`gets ${register.key}\r\n`);
    const { values } = await this.#values([register.key]);
    this.#judge(register, mark, values.length === 0 ? null : textOf(values[0]!.bytes));
    if (values.length === 0) return;
    const before = register.possible();
    // EXISTS is allowed: a token may end with a failover, and the client reads again.
    const line = await this.#store(register, (key) => [`cas ${key}`, ` ${values[0]!.cas}`], /^(STORED|EXISTS|NOT_FOUND)$/);
    if (line === "NOT_FOUND" && !before.absent) this.#load.findings.add("lost", `cas did not find ${register.key}`);
  }

  async #resetCounter(counter: Counter): Promise<void> {
    this.#doubtful.add(counter.key);
    await this.#ask(`set ${counter.key} 0 0 1\r\n0\r\n`, /^STORED$/);
    this.#doubtful.delete(counter.key);
    counter.reset(0);
  }

  async #increment(counter: Counter): Promise<void> {
    if (this.#doubtful.has(counter.key)) return this.#resetCounter(counter);
    let line: string;
    try {
      line = await this.#ask(`incr ${counter.key} 1\r\n`, /^(\d+|NOT_FOUND)$/);
    } catch (problem) {
      counter.unknown();
      throw problem;
    }
    if (line !== "NOT_FOUND") return counter.incremented(Number(line));
    counter.missing();
    await this.#resetCounter(counter);
  }

  async #resetJournal(journal: Journal): Promise<void> {
    this.#doubtful.add(journal.key);
    await this.#ask(`set ${journal.key} 0 0 0\r\n\r\n`, /^STORED$/);
    this.#doubtful.delete(journal.key);
    journal.reset();
  }

  /** Appends one word and reads all; a new book when it has become long. */
  async #append(journal: Journal): Promise<void> {
    if (journal.length > 50 || this.#doubtful.has(journal.key)) await this.#resetJournal(journal);
    const word = String(++this.#words);
    let line: string;
    try {
      line = await this.#ask(`append ${journal.key} 0 0 ${word.length + 1}\r\n ${word}\r\n`, /^(NOT_)?STORED$/);
    } catch (problem) {
      journal.appended(word, false);
      throw problem;
    }
    if (line === "NOT_STORED") {
      journal.missing();
      return this.#resetJournal(journal);
    }
    journal.appended(word, true);
    await this.#readJournal(journal);
  }

  async #readJournal(journal: Journal): Promise<void> {
    if (this.#doubtful.has(journal.key)) return this.#resetJournal(journal);
    this.#client!.send(`get ${journal.key}\r\n`);
    const { values } = await this.#values([journal.key]);
    if (values.length === 0) return journal.missing();
    journal.read(textOf(values[0]!.bytes));
  }
}

/** Up to `count` different ones. */
function distinct<T>(count: number, draw: () => T): T[] {
  return [...new Set(Array.from({ length: count }, draw))];
}
