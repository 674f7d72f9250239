// Files that survive a loss of power, for both runtimes: node:fs/promises, whose calls run beside the process. One at a
// time, in order; what is told as done was flushed, with the directory where names changed.
import { constants, readdirSync, readFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf } from "./host_common.ts";
import type { Files } from "./platform.ts";

/** Calls run on threads of the runtime, and not more than one of these at a time. */
export class HostFiles implements Files {
  private last: Promise<void> = Promise.resolve();

  list(directory: string): { ok: true; names: readonly string[] } | { ok: false; reason: string } {
    try {
      return { ok: true, names: readdirSync(directory).sort() };
    } catch (error) {
      return { ok: false, reason: messageOf(error) };
    }
  }

  read(path: string): { ok: true; text: string } | { ok: false; reason: string } {
    try {
      return { ok: true, text: readFileSync(path, "utf8") };
    } catch (error) {
      return { ok: false, reason: messageOf(error) };
    }
  }

  create(path: string, text: string, done: (reason: string | null) => void): void {
    this.next(done, async () => {
      await write(path, "w", text);
      await flushDirectory(path);
    });
  }

  append(path: string, text: string, done: (reason: string | null) => void): void {
    // Not with "a", which would make a file that is not there.
    this.next(done, () => write(path, constants.O_WRONLY | constants.O_APPEND, text));
  }

  rename(from: string, to: string, done: (reason: string | null) => void): void {
    this.next(done, async () => {
      await rename(from, to);
      await flushDirectory(to);
    });
  }

  remove(path: string, done: (reason: string | null) => void): void {
    this.next(done, () => rm(path, { force: true }));
  }

  private next(done: (reason: string | null) => void, run: () => Promise<void>): void {
    this.last = this.last.then(run).then(() => done(null), (error: unknown) => done(messageOf(error)));
  }
}

async function write(path: string, flags: string | number, text: string): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** A name is only as lasting as the directory that has it. */
async function flushDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
