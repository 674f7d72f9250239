// tandem.toml → its settings with their lines. At the top: the process's settings, and those that hold for every pool;
// [pools.NAME]: one pool's. A file without pools is one pool. toml-eslint-parser knows for each value where it stands.
import { type AST, ParseError, parseTOML } from "toml-eslint-parser";
import { type ConfigFile, type FileEntry, type FilePool, type FileValue, placeOf } from "./file.ts";
import type { Problem } from "./problem.ts";

const POOL_NAME = /^[A-Za-z0-9_-]{1,64}$/;
/** What a server's table may say. */
const SERVER_WORDS = ["address", "weight", "name", "zone"] as const;

/** A server's own table. */
interface ServerTable {
  readonly line: number;
  readonly words: Map<string, AST.TOMLKeyValue>;
}

interface PoolBeingRead {
  readonly name: string;
  readonly line: number;
  readonly entries: FileEntry[];
}

export function readToml(path: string, text: string): ConfigFile {
  return new Reader(path, text).read();
}

class Reader {
  private readonly problems: Problem[] = [];
  private readonly top: FileEntry[] = [];
  private readonly pools: PoolBeingRead[] = [];

  constructor(private readonly path: string, private readonly text: string) {}

  read(): ConfigFile {
    const lines = this.text.split("\n");
    let before = -1;
    for (let root = this.parse(lines); root instanceof ParseError; root = this.parse(lines)) {
      const line = Math.min(root.lineNumber, lines.length) - 1;
      const broken = leaveOut(lines, line, root.message.includes("multiple times") || line === before ? Infinity : root.column);
      before = line;
      this.problems.push({
        flag: `${this.path}:${root.lineNumber}:${root.column + 1}`, given: broken, fault: `is no TOML: ${lowerFirst(root.message)}`,
        allowed: '[table], or key = "text", a number, true, false or a list',
      });
    }
    this.addTables();
    const pools: FilePool[] = this.pools.map((pool) => ({ ...pool, problems: [], notes: [] }));
    return { path: this.path, top: this.top, pools, problems: this.problems, notes: [], partial: before !== -1 || this.homeless };
  }

  /** Takes all that there is, or nothing, with the first reason. */
  private parse(lines: readonly string[]): ParseError | null {
    let body: AST.TOMLTopLevelTable["body"];
    try {
      ({ body } = parseTOML(lines.join("\n")).body[0]);
    } catch (error) {
      if (error instanceof ParseError) return error;
      throw error;
    }
    for (const node of body) {
      if (node.type === "TOMLKeyValue") this.keyValue(node, []);
      else for (const each of this.table(node)) this.keyValue(each, node.resolvedKey);
    }
    return null;
  }

  /** The key-values of a table; an empty [pools.x] is a pool too. */
  private table(node: AST.TOMLTable): readonly AST.TOMLKeyValue[] {
    const [first, name] = node.resolvedKey;
    const { line } = node.loc.start;
    const pool = first === "pools" && typeof name === "string" ? this.poolOf(name, line) : null;
    // A server that says nothing is one too.
    const [key, number, ...more] = node.resolvedKey.slice(first === "pools" ? 2 : 0);
    if ((key === "servers" || key === "backups") && typeof number === "number" && more.length === 0) this.tableAt(pool?.entries ?? this.top, key, number, line);
    return node.body;
  }

  private keyValue(node: AST.TOMLKeyValue, prefix: readonly (string | number)[]): void {
    const keys = [...prefix, ...node.key.keys.map((key) => (key.type === "TOMLBare" ? key.name : key.value))];
    const line = node.key.loc.start.line;
    if (node.value.type === "TOMLInlineTable" && (keys[0] === "pools" || keys.length > 1)) {
      const [first, name] = keys;
      if (first === "pools" && typeof name === "string") this.poolOf(name, line);
      for (const each of node.value.body) this.keyValue(each, keys);
      return;
    }
    const [first, second, third, ...more] = keys;
    if (first === "pools" && typeof second === "string") {
      const pool = this.poolOf(second, line);
      if (pool === null) return;
      if (third === "servers" || third === "backups") return this.serverTable(pool.entries, third, more, node);
      if (third !== undefined && more.length === 0) return this.entry(pool.entries, String(third), node);
    } else if ((first === "servers" || first === "backups") && second !== undefined) {
      return this.serverTable(this.top, first, keys.slice(1), node);
    } else if (second === undefined) return this.entry(this.top, String(first), node);
    this.problems.push({
      flag: placeOf(this.path, line, keys.join(".")), given: this.rawOf(node), fault: "is no table of tandem's", allowed: "[pools.NAME], and settings at the top",
    });
  }

  /** The value as it stands there. */
  private rawOf({ value }: AST.TOMLKeyValue): string {
    return this.text.slice(...value.range);
  }

  private poolOf(name: string, line: number): PoolBeingRead | null {
    const known = this.pools.find((each) => each.name === name);
    if (known !== undefined) return known;
    if (!POOL_NAME.test(name)) {
      this.problems.push({ flag: placeOf(this.path, line, "pools"), given: name, fault: "is no name", allowed: "1 to 64 letters, digits, - and _" });
    }
    const pool = { name, line, entries: [] };
    this.pools.push(pool);
    return pool;
  }

  private entry(entries: FileEntry[], key: string, node: AST.TOMLKeyValue): void {
    const line = node.key.loc.start.line;
    const list = node.value.type === "TOMLArray";
    const nodes = node.value.type === "TOMLArray" ? node.value.elements : [node.value];
    const values = nodes.flatMap((each) => this.value(each, key) ?? []);
    entries.push({ key, word: key, line, list, values });
  }

  /** Null: a server without an address, which is told. */
  private value(node: AST.TOMLContentNode, key: string): FileValue | null {
    const line = node.loc.start.line;
    const raw = this.text.slice(...node.range);
    if (node.type === "TOMLInlineTable" && (key === "servers" || key === "backups")) {
      const words = new Map<string, AST.TOMLKeyValue>();
      for (const each of node.body) words.set(each.key.keys.map((part) => (part.type === "TOMLBare" ? part.name : part.value)).join("."), each);
      return this.server(words, line, raw, key);
    }
    if (node.type !== "TOMLValue") return { kind: "other", text: raw, raw, line };
    switch (node.kind) {
      case "string": return { kind: "string", text: node.value, raw, line };
      case "integer": return { kind: "integer", text: String(node.bigint), raw, line };
      case "boolean": return { kind: "boolean", text: String(node.value), raw, line };
      default: return { kind: "other", text: raw, raw, line };
    }
  }

  /** A line of [[pools.NAME.servers]]: the tables of one list are gathered by their number. */
  private serverTable(entries: FileEntry[], key: "servers" | "backups", more: readonly (string | number)[], node: AST.TOMLKeyValue): void {
    if (more.length === 0) return this.entry(entries, key, node);
    const line = node.key.loc.start.line;
    const place = placeOf(this.path, line, key);
    const [number, word, ...deeper] = more;
    if (typeof number !== "number" || typeof word !== "string" || deeper.length > 0) {
      this.problems.push({ flag: place, given: more.join("."), fault: "is no server", allowed: `["host:port", …], or tables with ${SERVER_WORDS.join(", ")}` });
      return;
    }
    const { words } = this.tableAt(entries, key, number, line);
    words.set(word, node);
  }

  /** Where its first word stands, or else it itself. */
  private tableAt(entries: FileEntry[], key: "servers" | "backups", number: number, line: number): ServerTable {
    const lists = this.tables.get(entries) ?? {};
    this.tables.set(entries, lists);
    const list = (lists[key] ??= []);
    const table = list[number];
    if (table !== undefined && table.words.size > 0) return table;
    return (list[number] = { line, words: new Map() });
  }
  private readonly tables = new Map<FileEntry[], { servers?: ServerTable[]; backups?: ServerTable[] }>();

  /** Once all of them are known. */
  private addTables(): void {
    for (const [entries, lists] of this.tables) {
      for (const key of ["servers", "backups"] as const) {
        const [first] = lists[key] ?? [];
        if (first === undefined) continue;
        const values = lists[key]!.flatMap(({ line, words }) => this.server(words, line, "", key) ?? []);
        entries.push({ key, word: key, line: first.line, list: true, values });
      }
    }
  }

  /** { address = "host:port", weight = 2, name = "alpha", zone = "north" } in the words of -s; null: it has no address. */
  private server(words: ReadonlyMap<string, AST.TOMLKeyValue>, line: number, raw: string, key: string): FileValue | null {
    const place = placeOf(this.path, line, key);
    const said: Record<string, string> = {};
    let misspelled = false;
    for (const [word, node] of words) {
      const { value } = node;
      const kind = word === "weight" ? "integer" : "string";
      if (!SERVER_WORDS.some((each) => each === word)) {
        misspelled = true;
        this.unknownWord(place, word, node);
      } else if (value.type === "TOMLValue" && value.kind === kind) said[word] = value.kind === "integer" ? String(value.bigint) : String(value.value);
      else this.problems.push({ flag: `${place}.${word}`, given: this.text.slice(...value.range), fault: `is no ${kind}`, allowed: word === "weight" ? "weight = 2" : `${word} = "…"` });
    }
    const { address } = said;
    if (address === undefined) {
      this.homeless = true;
      const written = raw !== "" ? raw : [...words.values()].map((node) => this.text.slice(...node.range)).join(", ");
      // A word that is none may be meant for it, and one of another kind was told of.
      if (!misspelled && !words.has("address")) this.problems.push({ flag: place, given: shortened(written), fault: "has no address", allowed: `address = "host:port", and ${SERVER_WORDS.slice(1).join(", ")}` });
      return null;
    }
    if (/^(:.*)?$/.test(address)) {
      this.homeless = true;
      this.problems.push({ flag: `${place}.address`, given: `"${address}"`, fault: "names no host", allowed: 'address = "host:port", "[ipv6]:port" or "/socket"' });
      return null;
    }
    const weighted = said["weight"] === undefined ? address : `${withPort(address)}:${said["weight"]}`;
    const text = said["name"] === undefined ? weighted : `${weighted} ${said["name"]}`;
    const value: FileValue = { kind: "string", text, raw: raw === "" ? text : raw, line };
    return said["zone"] === undefined ? value : { ...value, zone: said["zone"] };
  }
  /** A server was left out, whose address is to be corrected: it may be the only one. */
  private homeless = false;

  private unknownWord(place: string, word: string, node: AST.TOMLKeyValue): void {
    this.problems.push({ flag: `${place}.${word}`, given: this.rawOf(node), fault: "is no word of a server", allowed: SERVER_WORDS.join(", ") });
  }
}

/** What begins a statement, as tandem's files are written: a key, or a table. A line of a list begins otherwise. */
const STATEMENT = /^\s*[A-Za-z_[]/, TABLE = /^\s*\[/;
/** Characters of what is wrong that a problem repeats. */
const GIVEN_MAX = 60;

/**
 * Makes blank the statement that is no TOML, so that what follows it can be read, and returns its first line; of a table its
 * keys too, which would be another one's. The fault was seen in a line at a column: where a statement begins there, it
 * is that the one above does not end.
 */
function leaveOut(lines: string[], line: number, column: number): string {
  const lastStart = (from: number): number => {
    for (let i = from; i >= 0; i--) if (STATEMENT.test(lines[i]!)) return i;
    return -1;
  };
  const above = lines[line]!.slice(0, column).trim() === "" && STATEMENT.test(lines[line]!) ? lastStart(line - 1) : -1;
  const own = lastStart(line);
  const from = above !== -1 ? above : own !== -1 ? own : line;
  const broken = lines[from]!.trim();
  const next = TABLE.test(broken) ? TABLE : STATEMENT;
  let end = from;
  // Blanks in their place: what is read further on stands where it stood.
  do lines[end] = " ".repeat(lines[end]!.length);
  while (++end < lines.length && !next.test(lines[end]!));
  return shortened(broken);
}

function shortened(text: string): string {
  return text.length > GIVEN_MAX ? `${text.slice(0, GIVEN_MAX)}…` : text;
}

/** A weight stands after the port, so the port must be there. */
function withPort(address: string): string {
  return address.startsWith("/") || /:\d+$/.test(address) ? address : `${address}:11211`;
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
