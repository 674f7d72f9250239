// The contract, part Files.
import { describe, expect } from "bun:test";
import type { Files } from "../../src/platform/platform.ts";
import type { Desk } from "./desk.ts";
import type { Sentence } from "./suite.ts";

/** What one call told, once it has. */
class Told {
  readonly reasons: (string | null)[] = [];

  constructor(private readonly desk: Desk) {}

  readonly done = (reason: string | null): void => {
    this.reasons.push(reason);
    this.desk.world.changed();
  };

  async all(count: number): Promise<readonly (string | null)[]> {
    await this.desk.world.until(`${count} answers of the disk`, () => this.reasons.length >= count);
    return this.reasons;
  }
}

export function fileSentences(name: string, sentence: Sentence): void {
  const within = (text: string, body: (files: Files, path: string, told: Told, desk: Desk) => Promise<unknown>): void =>
    sentence(text, async (desk) => {
      const path = desk.world.unixPath();
      if (path === null) return console.log(`${name}: no place for files`);
      await body(desk.world.platform.files, path, new Told(desk), desk);
    });
  const text = (files: Files, path: string): string => {
    const read = files.read(path);
    return read.ok ? read.text : read.reason;
  };

  describe(`${name}: Files`, () => {
    within("create makes a file, or replaces what it held, and done comes later than the call ends", async (files, path, told) => {
      files.create(path, "one é\n", told.done);
      expect(told.reasons).toEqual([]);
      expect(await told.all(1)).toEqual([null]);
      expect(text(files, path)).toBe("one é\n");
      files.create(path, "2", told.done);
      expect(await told.all(2)).toEqual([null, null]);
      expect(text(files, path)).toBe("2");
      const listed = files.list(path.slice(0, path.lastIndexOf("/")));
      expect(listed.ok && listed.names.includes(path.slice(path.lastIndexOf("/") + 1))).toBe(true);
    });

    within("append puts text at the end of a file that exists, in the order in which it was asked for", async (files, path, told) => {
      files.append(path, "x", told.done);
      const [missing] = await told.all(1);
      expect(typeof missing).toBe("string");
      files.create(path, "", told.done);
      for (let i = 0; i < 20; i++) files.append(path, `${i} `, told.done);
      await told.all(22);
      expect(told.reasons.slice(1).every((reason) => reason === null)).toBe(true);
      expect(text(files, path)).toBe(Array.from({ length: 20 }, (_, i) => `${i} `).join(""));
    });

    within("rename replaces what is at the other name", async (files, path, told) => {
      files.create(path, "old", told.done);
      files.create(`${path}.new`, "new", told.done);
      files.rename(`${path}.new`, path, told.done);
      files.rename(`${path}.none`, path, told.done);
      await told.all(4);
      expect(told.reasons.slice(0, 3)).toEqual([null, null, null]);
      expect(typeof told.reasons[3]).toBe("string");
      expect(text(files, path)).toBe("new");
      expect(files.read(`${path}.new`).ok).toBe(false);
    });

    within("remove takes a file away, and that it was not there is no failure", async (files, path, told) => {
      files.create(path, "x", told.done);
      files.remove(path, told.done);
      files.remove(path, told.done);
      expect(await told.all(3)).toEqual([null, null, null]);
      expect(files.read(path).ok).toBe(false);
    });

    within("what cannot be done is told, and what was asked for after it is done", async (files, path, told) => {
      files.create(`${path}/none/file`, "x", told.done);
      files.create(path, "y", told.done);
      await told.all(2);
      expect(typeof told.reasons[0]).toBe("string");
      expect(told.reasons[1]).toBe(null);
      expect(files.list(`${path}/none`).ok).toBe(false);
    });
  });
}
