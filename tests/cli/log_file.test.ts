// A log file on the machine's own files: appended to, turned over, kept when it cannot be.
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogFile, type Rotation } from "../../src/cli/log_file.ts";
import { createHost } from "../../src/platform/host_common.ts";

const host = createHost({
  runtime: "test", fdLimit: () => 0, inherited: [], datagram: () => ({ ok: false, reason: "" }), becomeUser: () => ({ ok: false, reason: "" }),
  spawnSelfDetached: () => ({ ok: false, reason: "" }),
});
const root = mkdtempSync(join(tmpdir(), "tandem-log-"));
afterAll(() => rmSync(root, { recursive: true }));

function open(dir: string, rotation: Rotation | null): { file: LogFile; path: string; files: () => Record<string, string> } {
  const path = join(root, dir, "log");
  mkdirSync(join(root, dir), { recursive: true });
  const file = LogFile.open(host, path, rotation);
  if (typeof file === "string") throw new Error(file);
  const files = () => Object.fromEntries(readdirSync(join(root, dir)).sort().map((name) => {
    const at = join(root, dir, name);
    return [name, statSync(at).isDirectory() ? "a directory" : readFileSync(at, "utf8")];
  }));
  return { file, path, files };
}

test("what is in the file stays, without rotation it only grows", () => {
  mkdirSync(join(root, "a"));
  writeFileSync(join(root, "a", "log"), "before\n");
  const { file, files } = open("a", null);
  for (let i = 0; i < 100; i++) file.write(`line ${i}\n`);
  expect(files()["log"]!.startsWith("before\nline 0\n")).toBe(true);
  expect(Object.keys(files())).toEqual(["log"]);
});

test("it is turned over before it grows beyond the size; the oldest goes; no line is lost or cut", () => {
  const { file, files } = open("b", { bytes: 20, count: 2 });
  for (const line of ["one 67890\n", "two 67890\n", "three\n", "x".repeat(30) + "\n", "four\n", "five\n"]) file.write(line);
  expect(files()).toEqual({ log: "four\nfive\n", "log.1": "x".repeat(30) + "\n", "log.2": "three\n" });
});

test("where it cannot be turned over it goes on in the file it has", () => {
  const { file, files } = open("c", { bytes: 10, count: 1 });
  const told: string[] = [];
  file.onStuck = (reason) => void told.push(reason);
  mkdirSync(join(root, "c", "log.1"));
  for (const line of ["one 567\n", "two 567\n", "three 7\n"]) file.write(line);
  expect(files()).toEqual({ log: "one 567\ntwo 567\nthree 7\n", "log.1": "a directory" });
  // That is told once, and again when it could be in between.
  for (let i = 0; i < 5; i++) file.write("a 34567\n");
  expect([told.length, /EISDIR|directory/.test(told[0]!)]).toEqual([1, true]);
  rmdirSync(join(root, "c", "log.1"));
  for (let i = 0; i < 4; i++) file.write("b 34567\n");
  expect(files()["log"]).toBe("b 34567\n");
  rmSync(join(root, "c", "log.1"));
  mkdirSync(join(root, "c", "log.1"));
  file.write("c 34567\n");
  expect(told.length).toBe(2);
});

test("a file that somebody else moved or removed is made anew: when that is said, and when it is to be turned over", () => {
  const { file, path, files } = open("d", { bytes: 20, count: 2 });
  file.write("one 67890\n");
  renameSync(path, join(root, "d", "moved"));
  file.write("two 67890\n");
  expect(file.reopen()).toBe("");
  file.write("three\n");
  expect(files()).toEqual({ log: "three\n", moved: "one 67890\ntwo 67890\n" });
  rmSync(path);
  file.write("four 7890\n");
  file.write("five 7890\n");
  expect(files()).toEqual({ log: "five 7890\n", moved: "one 67890\ntwo 67890\n" });
  // What is not gone only goes on.
  expect(file.reopen()).toBe("");
  file.write("six 67890\n");
  file.write("seven\n");
  expect(files()).toEqual({ log: "seven\n", "log.1": "five 7890\nsix 67890\n", moved: "one 67890\ntwo 67890\n" });
});

test("where it cannot be made anew it goes on in the file that was moved, and says why", () => {
  const { file, path, files } = open("e", null);
  renameSync(path, join(root, "e", "moved"));
  mkdirSync(path);
  file.write("one\n");
  expect(file.reopen()).toMatch(/EISDIR/);
  file.write("two\n");
  expect(files()).toEqual({ log: "a directory", moved: "one\ntwo\n" });
});

test("what another process has turned over, as at an upgrade, is not turned over once more", () => {
  const { file: old, path, files } = open("f", { bytes: 20, count: 3 });
  const heir = LogFile.open(host, path, { bytes: 20, count: 3 });
  if (typeof heir === "string") throw new Error(heir);
  old.write("old 1 890\n");
  heir.write("new 1 890\n");
  heir.write("new 2 890\n"); // it knows of its own bytes alone
  heir.write("new 3 890\n");
  expect(Object.keys(files())).toEqual(["log", "log.1"]);
  old.write("old 2 890\n");
  old.write("old 3 890\n");
  expect(files()).toEqual({ log: "new 3 890\nold 3 890\n", "log.1": "old 1 890\nnew 1 890\nnew 2 890\nold 2 890\n" });
});

test("a place where no file can be made is told", () => {
  expect(typeof LogFile.open(host, join(root, "nowhere", "log"), null)).toBe("string");
});
