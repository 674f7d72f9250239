// twemproxy's nutcracker.yml → its pools in tandem's words. Each of its options is taken, or named: what forbids to
// serve a pool is a problem of that pool, what tandem does in another way is a note.
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { type ConfigFile, type FileEntry, type FilePool, type FileValue, placeOf } from "./file.ts";
import type { Problem } from "./problem.ts";
import { TWEMPROXY_DISTRIBUTIONS, TWEMPROXY_HASHES, type TwemproxyHash, twemproxyFlavour } from "../ring/flavours.ts";

/** What has no equal, and why it does no harm. */
const NOTES: Readonly<Record<string, string>> = {
  backlog: "always 4096, or what the kernel allows",
  preconnect: "always: servers are connected to at start",
  auto_eject_hosts: "keys never move when a server is lost: give backups, which hold them again",
  server_retry_timeout: "a lost server is asked again after 0.25 s, then at most every 3 s",
  server_failure_limit: "three failures in a row, or a refused connection",
  tcpkeepalive: "not needed: every server is asked how it is once a second",
};
const WORDS = [
  "listen", "servers", "hash", "hash_tag", "distribution", "timeout", "redis", "redis_auth", "redis_db", "client_connections",
  "server_connections", ...Object.keys(NOTES),
];

/** Faults after which it is not known what belongs to what; beside others all that is right is read. */
const ASTRAY: readonly string[] = ["BAD_INDENT", "TAB_AS_INDENT", "BLOCK_AS_IMPLICIT_KEY", "MULTILINE_IMPLICIT_KEY", "BLOCK_IN_FLOW"];

export function readNutcracker(path: string, text: string): ConfigFile {
  const whole = readPools(path, text);
  if (!whole.astray) return whole.file;
  // Of each pool by itself, so that one does not hide what is wrong with the others.
  const files = poolTexts(text).map((each) => readPools(path, each).file);
  const problems = files.flatMap((file) => file.problems);
  return {
    path, top: [], pools: files.flatMap((file) => file.pools), notes: [], partial: true,
    // A fault may lie between pools.
    problems: problems.length > 0 ? problems : whole.file.problems,
  };
}

/** The text from each word at the margin to the next, in its place. */
function poolTexts(text: string): string[] {
  const lines = text.split("\n");
  const begins = lines.flatMap((line, at) => (/^[^\s#-]/.test(line) ? [at] : []));
  return begins.map((at, i) => "\n".repeat(at) + lines.slice(at, begins[i + 1]).join("\n"));
}

/** astray: of what is read nobody knows what belongs to what, so nothing of it is told but that. */
function readPools(path: string, text: string): { readonly file: ConfigFile; readonly astray: boolean } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, logLevel: "silent" });
  const problems: Problem[] = document.errors.map((error) => ({
    flag: `${path}:${error.linePos?.[0].line ?? 1}:${error.linePos?.[0].col ?? 1}`, given: "",
    fault: `is no YAML: ${error.message.split("\n")[0]!.replace(/ at line \d+, column \d+:?$/, "")}`, allowed: "pool: and its settings below",
  }));
  const partial = problems.length > 0;
  const pools: FilePool[] = [];
  const root = document.contents;
  const astray = document.errors.some(({ code }) => ASTRAY.includes(code));
  if (!partial && !isMap(root)) {
    problems.push({ flag: `${path}:1`, given: "", fault: "holds no pool", allowed: "name: with listen and servers below" });
  }
  if (isMap(root) && !astray) {
    for (const { key, value } of root.items) {
      const name = scalarText(key);
      const line = lineOf(lines, key);
      if (!isMap(value)) problems.push({ flag: placeOf(path, line, name), given: "", fault: "is no pool", allowed: "listen, servers … below it" });
      else pools.push(new PoolReader(path, lines, name, line).read(value));
    }
  }
  return { file: { path, top: [], pools, problems, notes: [], partial }, astray };
}

class PoolReader {
  private readonly entries: FileEntry[] = [];
  private readonly problems: Problem[] = [];
  private readonly notes: Problem[] = [];
  private hash: TwemproxyHash = "fnv1a_64";
  private distribution: (typeof TWEMPROXY_DISTRIBUTIONS)[number] = "ketama";
  /** The word that says where keys are placed, and its line. */
  private placedBy: [word: string, line: number];

  constructor(private readonly path: string, private readonly lines: LineCounter, private readonly name: string, private readonly line: number) {
    this.placedBy = ["hash", line];
  }

  read(map: YAMLMap): FilePool {
    for (const { key, value } of map.items) this.word(scalarText(key), value as Node | null, lineOf(this.lines, key));
    const ring = twemproxyFlavour(this.hash, this.distribution);
    const [word, line] = this.placedBy;
    this.put("ring", word, line, [{ kind: "string", text: ring, raw: ring, line }]);
    return { name: this.name, line: this.line, entries: this.entries, problems: this.problems, notes: this.notes };
  }

  private word(word: string, node: Node | null, line: number): void {
    if (!WORDS.includes(word)) return this.wrong(word, line, "", "is no option of twemproxy's", WORDS.join(", "));
    if (word === "servers") return this.servers(node, line);
    if (!isScalar(node)) return this.wrong(word, line, "", "is no single value", `${word}: value`);
    // What was written, so that a tag "{}" or a number keeps its form.
    const text = String(node.value ?? "");
    const value: FileValue = { kind: typeof node.value === "number" ? "integer" : typeof node.value === "boolean" ? "boolean" : "string", text, raw: text, line };
    switch (word) {
      case "listen": return this.listen(value, line);
      case "hash": {
        const hash = TWEMPROXY_HASHES.find((each) => each === text);
        if (hash === undefined) return this.wrong(word, line, text, "is none of twemproxy's", TWEMPROXY_HASHES.join(", "));
        this.hash = hash;
        this.placedBy = [word, line];
        return;
      }
      case "distribution": {
        const allowed = TWEMPROXY_DISTRIBUTIONS.join(" or ");
        const distribution = TWEMPROXY_DISTRIBUTIONS.find((each) => each === text);
        if (text === "random") return this.wrong(word, line, text, "places a key anew each time, so that nobody finds it again", allowed);
        if (distribution === undefined) return this.wrong(word, line, text, "is none of twemproxy's", allowed);
        this.distribution = distribution;
        if (distribution !== "ketama") this.placedBy = [word, line];
        return;
      }
      case "hash_tag": return this.put(word, word, line, [value]);
      case "timeout":
        this.put("timeout", word, line, [value]);
        return this.put("connect_timeout", word, line, [value]);
      case "redis":
        if (node.value === true) this.wrong(word, line, text, "is a pool of Redis, which tandem does not speak", "redis: false; --pool serves some pools only");
        return;
      case "redis_auth": case "redis_db": return this.wrong(word, line, "", "is for Redis, which tandem does not speak", "memcached pools");
      case "client_connections":
        if (text !== "0") return this.put("max_clients", word, line, [value]);
        return this.note(word, line, text, "max_clients says how many, 4096 by itself");
      case "server_connections": return this.put("lanes", word, line, [value]);
      default:
        // Switched off it means nothing anyway.
        if (node.value === false) return;
        this.note(word, line, text, NOTES[word]!);
    }
  }

  private note(word: string, line: number, given: string, instead: string): void {
    this.notes.push({ flag: this.place(word, line), given, fault: "has no equal here and is left out", allowed: instead });
  }

  /** "host:port", or "/socket" with permission bits. */
  private listen(value: FileValue, line: number): void {
    const match = /^(\/\S*)(?:\s+([0-7]+))?$/.exec(value.text);
    if (match === null) return this.put("listen", "listen", line, [{ ...value, kind: "string" }]);
    this.put("listen", "listen", line, [{ ...value, kind: "string", text: match[1]! }]);
    if (match[2] !== undefined) this.put("unix_mode", "listen", line, [{ kind: "string", text: match[2], raw: match[2], line }]);
  }

  private servers(node: Node | null, line: number): void {
    if (!isSeq(node)) return this.wrong("servers", line, "", "is no list", "- host:port:weight lines");
    const values = node.items.map((item): FileValue => {
      const text = scalarText(item).replace(/\s+/g, " ");
      return { kind: "string", text, raw: text, line: lineOf(this.lines, item) };
    });
    this.put("servers", "servers", line, values);
  }

  private put(key: string, word: string, line: number, values: readonly FileValue[]): void {
    this.entries.push({ key, word: `${this.name}.${word}`, line, list: key === "servers", values });
  }

  private wrong(word: string, line: number, given: string, fault: string, allowed: string): void {
    this.problems.push({ flag: this.place(word, line), given, fault, allowed });
  }

  private place(word: string, line: number): string {
    return placeOf(this.path, line, `${this.name}.${word}`);
  }
}

function scalarText(node: unknown): string {
  return isScalar(node) ? String(node.source ?? node.value) : String(node);
}

function lineOf(lines: LineCounter, node: unknown): number {
  const range = (node as Node | null)?.range;
  return range == null ? 1 : lines.linePos(range[0]).line;
}
