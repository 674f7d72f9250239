// Taste that a machine can hold us to: who may import whom, what the core must not touch, what no file may contain.
// `scripts/tidy` prints each problem as file:line and exits 1 when there is one. Every rule has a test in tests/tidy.
import { posix } from "node:path";
import { codeOf, importsOf, tokensOf, type Token } from "./tidy_tokens.ts";

export interface Problem {
  readonly path: string;
  /** From 1; 0 for the file as a whole. */
  readonly line: number;
  readonly message: string;
  /** Printed, but not a failure. */
  readonly warning: boolean;
}

const LINES_MAX = 500;
const LINES_WARN = 400;

/** A room of src: the first folder below src, or the name of a file that stands alone. */
type Room = string;

/** Which rooms (and files outside rooms) each room may import, besides itself. */
const MAY_IMPORT: Readonly<Record<Room, readonly Room[]>> = {
  bytes: [],
  "platform.ts": [],
  protocol: ["bytes"],
  ring: ["bytes"],
  config: ["ring", "platform.ts"],
  observe: ["platform.ts"],
  backend: ["bytes", "protocol", "observe", "platform.ts"],
  replication: ["backend", "protocol", "bytes", "ring", "observe", "platform.ts"],
  frontend: ["replication", "protocol", "bytes", "observe", "platform.ts"],
  workers: ["platform.ts", "observe", "config"],
  embedded: ["bytes", "protocol", "platform.ts"],
  adapter: ["platform.ts"],
  "main.*": ["program.ts", "adapter", "package.json"],
};

/** cli, proxy.ts and program.ts compose the rest: all but adapters and the doors. */
const COMPOSERS: readonly Room[] = ["cli", "proxy.ts", "program.ts"];

/** Which rooms may use a package. */
const PACKAGES: Readonly<Record<string, readonly Room[]>> = {
  hashring: ["ring"],
  "toml-eslint-parser": ["config"],
  yaml: ["config"],
  "prom-client": ["observe"],
  "@logtape/logtape": ["observe", "cli", "program.ts"],
  "@std/cli": ["cli"],
  "deno-std": ["cli"],
};

/** Names that the core must not use, with what to use. */
const BANNED_NAMES: Readonly<Record<string, string>> = {
  Date: "Clock.nowMs(), or wallSeconds() for what people read",
  performance: "Clock.nowMs()",
  setTimeout: "Clock.timer()",
  setInterval: "Clock.timer()",
  setImmediate: "Platform.afterTurn()",
  queueMicrotask: "Platform.afterTurn()",
  process: "Host",
  Bun: "Platform",
  Deno: "Platform",
  console: "observe/log.ts, or Host.stdout()",
  Buffer: "Uint8Array and bytes/",
  crypto: "Random.u32()",
  globalThis: "the Platform that was given",
};

/** What is the same to the last bit on every engine. */
const MATH_ALLOWED: ReadonlySet<string> = new Set([
  "abs", "ceil", "clz32", "floor", "fround", "imul", "max", "min", "round", "sign", "trunc",
]);

/** Rooms whose work is done when the call returns. */
const NO_PROMISES: ReadonlySet<Room> = new Set(["bytes", "protocol", "ring", "backend", "replication", "frontend"]);

const CONTAINERS: ReadonlySet<string> = new Set([
  "Map", "Set", "WeakMap", "WeakSet", "Array", "Uint8Array", "Uint16Array", "Uint32Array", "Int32Array", "Float64Array", "ArrayBuffer",
]);

// Written in two parts, so that this file keeps its own rules.
const UNFINISHED = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`);
const MACHINE_PATH = new RegExp(`(^|[\\s"'\`(=:,])(${"/wo" + "rk"}\\b|\\.\\./sha${"red"}\\b|/tmp/br${"ief"}|/ho${"me"}/|/ro${"ot"}/)`);
const TS_SILENCE = new RegExp(`@ts-(${["ig" + "nore", "no" + "check"].join("|")})`);

interface File {
  readonly path: string;
  readonly text: string;
  readonly room: Room | null;
  readonly tokens: readonly Token[];
  readonly code: readonly Token[];
}

/** The room of a file of src; null for files elsewhere. */
export function roomOf(path: string): Room | null {
  if (path === "src/platform/platform.ts") return "platform.ts";
  if (path.startsWith("src/platform/")) return "adapter";
  if (/^src\/main\.[^/]*$/.test(path)) return "main.*";
  const found = /^src\/([^/]+)/.exec(path);
  return found === null ? null : found[1]!;
}

function isCore(room: Room | null): boolean {
  return room !== null && room !== "adapter" && room !== "main.*";
}

/** All problems of a tree: paths from its root to the text of each file. */
export function tidy(tree: ReadonlyMap<string, string>): Problem[] {
  const problems: Problem[] = [];
  const files: File[] = [];
  for (const [path, text] of tree) {
    const tokens = path.endsWith(".ts") ? tokensOf(text) : [];
    files.push({ path, text, room: roomOf(path), tokens, code: codeOf(tokens) });
  }
  for (const file of files) {
    const say = (line: number, message: string, warning = false): void => void problems.push({ path: file.path, line, message, warning });
    anyText(file, say);
    if (!file.path.endsWith(".ts")) continue;
    anyTypeScript(file, say);
    imports(file, say);
    if (isCore(file.room)) coreOnly(file, say);
    if (file.room !== null) moduleState(file, say);
    if (file.path.endsWith(".test.ts")) tests(file, say);
  }
  dead(files, problems);
  return problems;
}

type Say = (line: number, message: string, warning?: boolean) => void;

function anyText(file: File, say: Say): void {
  const lines = file.text.split("\n");
  lines.forEach((line, at) => {
    const unfinished = UNFINISHED.exec(line);
    if (unfinished !== null) say(at + 1, `${unfinished[1]}: finish it, or file an issue`);
    const machine = MACHINE_PATH.exec(line);
    if (machine !== null) say(at + 1, `${machine[2]} is a path of one machine`);
  });
  if (!/\.(ts|py|sh)$/.test(file.path) && !lines[0]!.startsWith("#!")) return;
  const first = lines[0]!.startsWith("#!") ? (lines[1] ?? "") : lines[0]!;
  if (!/^(\/\/|\/\*|#)\s*\S/.test(first)) say(1, "the first line must be a comment that says what the file is");
  const count = lines.length - (lines.at(-1) === "" ? 1 : 0);
  if (count > LINES_MAX) say(0, `${count} lines, at most ${LINES_MAX}: give its trades files of their own`);
  else if (count > LINES_WARN) say(0, `${count} lines, more than ${LINES_WARN}`, true);
}

function anyTypeScript(file: File, say: Say): void {
  for (const token of file.tokens) {
    const silenced = token.kind === "comment" ? TS_SILENCE.exec(token.text) : null;
    if (silenced !== null) say(token.line, `${silenced[0]}: give the compiler the type it asks for`);
  }
  file.code.forEach((token, at) => {
    if (token.text === "as" && file.code[at + 1]?.text === "any") say(token.line, "`as " + "any`: say the type, or `unknown` and check");
  });
}

/** Who may import whom, and in which form. */
function imports(file: File, say: Say): void {
  for (const { specifier, line } of importsOf(file.code)) {
    if (!specifier.startsWith(".")) {
      if (file.room !== null) outside(file.room, specifier, line, say);
      continue;
    }
    if (!/\.(ts|json|html|css|txt)$/.test(specifier)) say(line, `${specifier}: write the .ts ending`);
    const target = posix.normalize(posix.join(posix.dirname(file.path), specifier));
    if (file.path.startsWith("tests/support/") && target.startsWith("src/")) {
      say(line, `${specifier}: what stands in for the outside world shares no code with src`);
    }
    if (file.room === null) continue;
    const room = target === "package.json" ? "package.json" : roomOf(target);
    if (room === file.room && room !== "main.*") continue;
    if (COMPOSERS.includes(file.room)) {
      if (room === null || room === "adapter" || room === "main.*") say(line, `${file.room} may not import ${specifier}: only main.* names an adapter`);
    } else if (room === null || !(MAY_IMPORT[file.room] ?? []).includes(room)) {
      const allowed = MAY_IMPORT[file.room];
      if (allowed === undefined) say(line, `${file.room} is not a room of the import table`);
      else say(line, `${file.room} may not import ${specifier}; it may import ${allowed.join(", ") || "nothing"}`);
    }
  }
}

function outside(room: Room, specifier: string, line: number, say: Say): void {
  if (/^(node|bun|deno):|^bun$/.test(specifier)) {
    if (isCore(room)) say(line, `${specifier}: the core reaches the world through platform.ts`);
    return;
  }
  const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
  const allowed = PACKAGES[name];
  if (allowed === undefined) say(line, `${name} is not a package of the table in scripts/tidy.ts`);
  else if (!allowed.includes(room)) say(line, `${name} belongs to ${allowed.join(", ")}`);
}

/** What would make a run depend on the machine or the moment. */
function coreOnly(file: File, say: Say): void {
  const { code } = file;
  code.forEach((token, at) => {
    // A power of two is exact everywhere.
    if (token.text === "**=" || (token.text === "**" && !/^2n?$/.test(code[at - 1]?.text ?? ""))) {
      say(token.line, `${token.text} may differ between engines: integers only`);
    }
    if (token.kind !== "word") return;
    const before = code[at - 1]?.text ?? "";
    const after = code[at + 1]?.text ?? "";
    if (before === "." || before === "?.") {
      if (code[at - 2]?.text === "Math" && token.text === "random") say(token.line, "Math.random: Random.u32()");
      else if (code[at - 2]?.text === "Math" && !MATH_ALLOWED.has(token.text)) {
        say(token.line, `Math.${token.text} may differ between engines: integers only`);
      }
      return;
    }
    const named = names(code, at);
    // A Date made of a given time asks no clock.
    if (token.text === "Date" && before === "new" && after === "(" && code[at + 2]?.text !== ")") return;
    const instead = Object.hasOwn(BANNED_NAMES, token.text) ? BANNED_NAMES[token.text] : undefined;
    if (instead !== undefined && !named) say(token.line, `${token.text}: use ${instead}`);
    if (NO_PROMISES.has(file.room!) && /^(async|await|Promise)$/.test(token.text) && !named) {
      say(token.line, `${token.text}: ${file.room} answers by handlers, in the same turn`);
    }
  });
}

/** Whether the word is the name of a property, a parameter or a method: those may have any. */
function names(code: readonly Token[], at: number): boolean {
  const before = code[at - 1]?.text ?? "";
  const after = code[at + 1]?.text ?? "";
  const opens = /^([{,;(}#]|readonly|private|public|protected|static|get|set)$/.test(before);
  if (after === ":" || (after === "?" && code[at + 2]?.text === ":")) return opens;
  if (after !== "(" || !opens) return false;
  const closing = code.findIndex((token, index) => index > at + 1 && token.text === ")" && token.depth === code[at + 1]!.depth);
  return /^[{:]$/.test(code[closing + 1]?.text ?? "");
}

/** Two proxies in one process must not know of each other. */
function moduleState(file: File, say: Say): void {
  const { code } = file;
  code.forEach((token, at) => {
    if (token.text === "static" && token.kind === "word" && code[at - 1]?.text !== ".") {
      const end = code.slice(at, at + 4).map((one) => one.text);
      if (!end.includes("readonly") && !end.includes("(") && !end.includes("{") && !end.includes("<")) {
        say(token.line, "a static field that is not readonly is shared by every proxy of the process");
      }
    }
    if (token.depth !== 0 || token.kind !== "word") return;
    if (token.text === "let" || token.text === "var") say(token.line, `${token.text} ${code[at + 1]?.text}: no module-level state; put it into a class`);
    if (token.text !== "const" || code[at + 1]?.text === "enum") return;
    const equals = code.findIndex((one, index) => index > at && one.depth === 0 && one.text === "=");
    if (equals === -1) return;
    const type = code.slice(at, equals).map((one) => one.text);
    if (type.some((word) => /^(Readonly|ReadonlyMap|ReadonlySet|ReadonlyArray|readonly)$/.test(word))) return;
    const [first, second] = code.slice(equals + 1, equals + 3).map((one) => one.text);
    const empty = (first === "[" && second === "]") || (first === "{" && second === "}");
    // A container that is filled here may be a table; then its type says so. Typed arrays have no readonly type: one of
    // given numbers or of no length is a constant, and an adapter's are the kernel's structures.
    const argument = code[equals + 4]?.text ?? "";
    const constant = second !== "Array" && /Array$/.test(second ?? "") && (argument === "[" || argument === "0" || file.room === "adapter");
    if (empty || (first === "new" && CONTAINERS.has(second ?? "") && !constant)) {
      say(token.line, `const ${code[at + 1]?.text}: a module-level container; put it into a class, or give it a readonly type`);
    }
  });
}

function tests(file: File, say: Say): void {
  const { code } = file;
  const named = (token: Token, at: number): boolean => /^(test|it)$/.test(token.text) && code[at - 1]?.text !== ".";
  const registers = (token: Token): boolean => /(suite|contract|cases?)/i.test(token.text) && token.kind === "word";
  const calls = code.some((token, at) => (named(token, at) || (registers(token) && token.depth === 0)) && /^[(.]$/.test(code[at + 1]?.text ?? ""));
  if (!calls) say(0, "a test file without a test");
  code.forEach((token, at) => {
    if (!/^(test|it|describe)$/.test(token.text) || code[at + 1]?.text !== ".") return;
    const how = code[at + 2]?.text ?? "";
    if (/^(skip|only|to(do))$/.test(how)) say(token.line, `${token.text}.${how}: run it, repair it or remove it`);
  });
}

/** Files of src that no door leads to, and helpers of tests and scripts that nobody names. */
function dead(files: readonly File[], problems: Problem[]): void {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set<string>();
  const walk = (path: string): void => {
    const file = byPath.get(path);
    if (file === undefined || reached.has(path)) return;
    reached.add(path);
    for (const { specifier } of importsOf(file.code)) {
      if (specifier.startsWith(".")) walk(posix.normalize(posix.join(posix.dirname(path), specifier)));
    }
  };
  for (const file of files) if (file.room === "main.*") walk(file.path);
  for (const file of files) {
    const say = (message: string): void => void problems.push({ path: file.path, line: 0, message, warning: false });
    if (file.room !== null && !file.path.endsWith(".d.ts")) {
      if (!reached.has(file.path)) say("dead: no src/main.* leads to it");
      continue;
    }
    if (!/^(tests|scripts)\/.*\.(ts|py)$/.test(file.path) || file.path.endsWith(".test.ts")) continue;
    const base = posix.basename(file.path);
    if (!files.some((other) => other !== file && other.text.includes(base))) say("dead: no other file names it");
  }
}

/** Reads what git knows or would add, leaving out what is generated or not text. */
async function readTree(): Promise<Map<string, string>> {
  const listed = Bun.spawnSync(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  const tree = new Map<string, string>();
  for (const path of listed.stdout.toString().split("\0")) {
    if (path === "" || path === "package-lock.json" || path === "LICENSE") continue;
    const file = Bun.file(path);
    if (!(await file.exists())) continue;
    const text = await file.text();
    if (!text.includes("\0")) tree.set(path, text);
  }
  return tree;
}

if (import.meta.main) {
  const problems = tidy(await readTree());
  for (const { path, line, message, warning } of problems) {
    console.log(`${path}${line === 0 ? "" : `:${line}`}: ${warning ? "warning: " : ""}${message}`);
  }
  const errors = problems.filter((problem) => !problem.warning).length;
  console.log(`tidy: ${errors} problems, ${problems.length - errors} warnings`);
  process.exit(errors === 0 ? 0 : 1);
}
