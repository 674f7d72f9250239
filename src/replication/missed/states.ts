// The files in which proxies of this pool wrote down what servers lack (state_file.ts): our own, and those of the ones
// before us and beside us (other workers, a process that we take the place of), which are read, and go when nobody can
// want them any more.
import { type StateAround, StateFile } from "./state_file.ts";
import { type Filed, parseState } from "./state_record.ts";

/** Whoever lives says so within this time, ms; how often it is looked whether files can go. */
const BEGIN_MS = 12_000, LOOK_MS = 100;

export interface StatesAround extends StateAround {
  /** What an earlier proxy wrote down cannot be read. */
  damaged(): void;
  /** What a proxy left has been dealt with, and it does not live. */
  isOver(id: string): boolean;
  /** What it says is lacking is lacking no more: both servers are trusted, and lack nothing of each other. */
  madeUp(filed: Filed): boolean;
}

export class States {
  readonly file: StateFile;
  private readonly prefix: string;
  /** Of proxies whose files were there, by id. */
  private readonly before = new Map<string, readonly Filed[]>();
  /** Those of them that do not tell all. */
  private readonly damaged = new Set<string>();
  private lookMs = 0;
  private readonly begunMs: number;

  constructor(private readonly around: StatesAround, private readonly directory: string, pool: string) {
    this.prefix = `${encodeURIComponent(pool)}-`;
    this.file = new StateFile(around, this.pathOf(around.proxyId));
    this.begunMs = around.nowMs;
    this.readAll();
  }

  /** What the proxies before us wrote down; of one: what its file says now. */
  filed(id?: string): readonly Filed[] {
    if (id !== undefined) this.read(id);
    return id === undefined ? [...this.before.values()].flat() : (this.before.get(id) ?? []);
  }

  /** Called every tick. */
  tick(now: number): void {
    this.file.tick(now);
    if (now < this.lookMs) return;
    this.lookMs = now + LOOK_MS;
    // What they said and still holds is in our own file first.
    if (this.before.size === 0 || !this.file.settled) return;
    // What was made up for must not be believed by the next proxy: whoever says that lives posts on the same servers.
    for (const [id, filed] of this.before) {
      const madeUp = !this.damaged.has(id) && filed.every((each) => this.around.madeUp(each));
      if (this.around.isOver(id) && (madeUp || now - this.begunMs >= BEGIN_MS)) this.forget(id);
    }
  }

  private forget(id: string): void {
    this.before.delete(id);
    for (const path of [this.pathOf(id), `${this.pathOf(id)}.new`]) {
      this.around.files.remove(path, (reason) => {
        if (reason !== null) this.around.log.warn("a state file cannot be removed", { path, reason });
      });
    }
  }

  private readAll(): void {
    const { around, directory, prefix } = this;
    const listed = around.files.list(directory);
    if (!listed.ok) return around.log.warn("state files cannot be read", { directory, reason: listed.reason });
    for (const name of listed.names) {
      const id = name.slice(prefix.length, prefix.length + ID_CHARACTERS);
      if (name.startsWith(prefix) && name === `${prefix}${id}${SUFFIX}` && id !== around.proxyId) this.read(id);
    }
  }

  private read(id: string): void {
    const { around } = this, path = this.pathOf(id);
    const read = around.files.read(path);
    if (!read.ok) {
      if (!this.before.has(id)) this.before.set(id, []);
      return;
    }
    const state = parseState(read.text, id, around.fingerprint);
    this.before.set(id, state.lacks);
    const fields = { path, servers: [...new Set(state.lacks.map(({ about }) => about))].join(",") || "none", keys: state.lacks.reduce((sum, { hints }) => sum + hints.length, 0) };
    if (state.problem !== null) {
      around.log.warn("a state file cannot be trusted, all keys are compared", { ...fields, reason: state.problem });
      this.damaged.add(id);
      around.damaged();
    } else around.log.info("what servers lacked was written down by an earlier proxy", { ...fields, ...(state.torn ? { torn: "yes" } : {}) });
  }

  private pathOf(id: string): string {
    return `${this.directory}/${this.prefix}${id}${SUFFIX}`;
  }
}

const ID_CHARACTERS = 8, SUFFIX = ".state";
