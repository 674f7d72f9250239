// A configuration file as its reader found it: settings with their lines, by pool. Which settings there are, and what
// they may be, is the option table's trade; three readers (toml.ts, magent_ini.ts, nutcracker.ts) make this of text.
import type { Given, Problem } from "./problem.ts";

/** One value as it was written. */
export interface FileValue {
  readonly kind: "string" | "integer" | "boolean" | "other";
  /** A string's content, a decimal, true or false. */
  readonly text: string;
  /** As it stands in the file: "\"300ms\"", "0o700". */
  readonly raw: string;
  readonly line: number;
  /** What a server's table says of its zone. */
  readonly zone?: string;
}

/** key = value, or a list of them. */
export interface FileEntry {
  /** In the words of tandem.toml. */
  readonly key: string;
  /** As the file calls it: "useketama". */
  readonly word: string;
  readonly line: number;
  readonly list: boolean;
  readonly values: readonly FileValue[];
}

export interface FilePool {
  readonly name: string;
  readonly line: number;
  readonly entries: readonly FileEntry[];
  /** What forbids to serve it, told only when it is to be served. */
  readonly problems: readonly Problem[];
  /** What tandem does differently, or has no word for; it serves all the same. */
  readonly notes: readonly Problem[];
}

export interface ConfigFile {
  readonly path: string;
  /** For the process, and for every pool that says nothing else. */
  readonly top: readonly FileEntry[];
  /** None: the settings at the top are those of one pool. */
  readonly pools: readonly FilePool[];
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
  /** Some of it could not be read: what it does not say it may say there. */
  readonly partial: boolean;
}

/** "tandem.toml:12: timeout" */
export function placeOf(path: string, line: number, word: string): string {
  return `${path}:${line}: ${word}`;
}

export function givenAt(path: string, entry: FileEntry, value: FileValue): Given {
  const given = { flag: placeOf(path, value.line, entry.word), text: value.text };
  return value.zone === undefined ? given : { ...given, zone: value.zone };
}

/** Which reader a file is for: by its ending, or else by what it looks like. */
export function fileKind(path: string, text: string): "toml" | "magent" | "nutcracker" {
  if (/\.toml$/i.test(path)) return "toml";
  if (/\.ya?ml$/i.test(path)) return "nutcracker";
  if (/^\s*\[General\]/mi.test(text) || /^\s*(masters|backups)\s*=\s*[^\s["']/m.test(text)) return "magent";
  // A pool of twemproxy's, and below it its settings.
  if (/^[^\s#=[\]]+:\s*(#.*)?\r?\n(\s*(#.*)?\r?\n)*[ ]+[\w]+:/m.test(text)) return "nutcracker";
  return "toml";
}
