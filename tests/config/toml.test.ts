// tandem.toml, read: every value with its line, pools by name, servers as texts and as tables.
import { describe, expect, test } from "bun:test";
import { type ConfigFile, type FileEntry, fileKind } from "../../src/config/file.ts";
import { problemLine } from "../../src/config/problem.ts";
import { readToml } from "../../src/config/toml.ts";

const told = (file: ConfigFile): string[] => file.problems.map(problemLine);
const said = (entries: readonly FileEntry[]): string[] =>
  entries.map(({ key, line, list, values }) =>
    `${line} ${key}${list ? "[]" : ""} ${values.map(({ text, line: at, zone }) => `${text}@${at}${zone === undefined ? "" : ` in ${zone}`}`).join(" | ")}`);

test("settings at the top and in pools keep their lines", () => {
  const file = readToml("t.toml", `# a comment
user = "nobody"
[pools.main]
servers = [
  "10.0.0.1:11211", # the first
  "10.0.0.2:11211",
]
timeout = 300
pools-are = true
[pools."b-2"]
unix_mode = 0o660
`);
  expect(told(file)).toEqual([]);
  expect(said(file.top)).toEqual(["2 user nobody@2"]);
  expect(file.pools.map(({ name, line }) => `${line} ${name}`)).toEqual(["3 main", "10 b-2"]);
  expect(said(file.pools[0]!.entries)).toEqual(["4 servers[] 10.0.0.1:11211@5 | 10.0.0.2:11211@6", "8 timeout 300@8", "9 pools-are true@9"]);
  expect(file.pools[1]!.entries[0]!.values[0]).toEqual({ kind: "integer", text: "432", raw: "0o660", line: 11 });
});

describe("servers as tables", () => {
  test("inline, with weight, name and zone in the words of -s", () => {
    const file = readToml("t.toml", `[pools.main]
servers = [
  { address = "10.0.0.1:1", weight = 2, name = "alpha", zone = "north" },
  { address = "10.0.0.2", weight = 3 },
  { address = "[::1]:5" },
]`);
    expect(told(file)).toEqual([]);
    expect(said(file.pools[0]!.entries)).toEqual(["2 servers[] 10.0.0.1:1:2 alpha@3 in north | 10.0.0.2:11211:3@4 | [::1]:5@5"]);
  });
  test("as tables of their own, at the top and in pools", () => {
    for (const [head, of] of [["", (file: ConfigFile) => file.top], ["pools.a.", (file: ConfigFile) => file.pools[0]!.entries]] as const) {
      const file = readToml("t.toml", `[[${head}servers]]\naddress = "a:1"\nweight = 2\n[[${head}servers]]\naddress = "b:1"\nzone = "south"\n[[${head}backups]]\naddress = "c:1"`);
      expect(told(file)).toEqual([]);
      expect(said(of(file))).toEqual(["2 servers[] a:1:2@2 | b:1@5 in south", "8 backups[] c:1@8"]);
    }
  });
  test("say which word is none, and which value", () => {
    expect(told(readToml("t.toml", `servers = [{ adress = "a:1" }, { address = "b:1", weight = "2" }]\n[[pools.a.backups]]\nzone = 5`))).toEqual([
      't.toml:1: servers.adress "a:1": is no word of a server; allowed: address, weight, name, zone',
      't.toml:1: servers.weight "2": is no integer; allowed: weight = 2',
      't.toml:3: backups.zone 5: is no string; allowed: zone = "…"',
      't.toml:3: backups "zone = 5": has no address; allowed: address = "host:port", and weight, name, zone',
    ]);
  });
  test("without an address are told of where they stand, and nothing else is said of them", () => {
    const problems = (text: string): string[] => told(readToml("t.toml", text));
    const ALLOWED = 'allowed: address = "host:port", and weight, name, zone';
    expect(problems("servers = [\n  { weight = 2 },\n  {},\n]")).toEqual([`t.toml:2: servers "{ weight = 2 }": has no address; ${ALLOWED}`, `t.toml:3: servers {}: has no address; ${ALLOWED}`]);
    expect(problems('[[pools.a.servers]]\n[[pools.a.servers]]\naddress = "b:1"\n[[pools.a.servers]]\nweight = 2\nzone = "n"')).toEqual([
      `t.toml:1: servers: has no address; ${ALLOWED}`, `t.toml:5: servers "weight = 2, zone = \\"n\\"": has no address; ${ALLOWED}`,
    ]);
    expect(problems("[[servers]]")).toEqual([`t.toml:1: servers: has no address; ${ALLOWED}`]);
    expect(problems("servers = [{ address = 5, weight = 2 }]")).toEqual(['t.toml:1: servers.address 5: is no string; allowed: address = "…"']);
    const host = 'names no host; allowed: address = "host:port", "[ipv6]:port" or "/socket"';
    expect(problems('servers = [{ address = ":11211", weight = 2 }]\n[[backups]]\naddress = ""')).toEqual([
      `t.toml:1: servers.address ":11211": ${host}`, `t.toml:3: backups.address "": ${host}`,
    ]);
    const file = readToml("t.toml", 'servers = [{ weight = 2 }, "b:1"]');
    expect([said(file.top), file.partial]).toEqual([["1 servers[] b:1@1"], true]);
  });
});

test("pools may be written inline, and an empty one is one", () => {
  const file = readToml("t.toml", `pools.a = { lanes = 2 }\n[pools.b]\n`);
  expect(told(file)).toEqual([]);
  expect(file.pools.map(({ name, entries }) => `${name} ${said(entries)}`)).toEqual(["a 1 lanes 2@1", "b "]);
});

test("what is no table of ours is told by its name", () => {
  expect(told(readToml("t.toml", "[pool.main]\nlanes = 1\n[pools.a.b]\nc = [1, 2]\n[pools.\"a b\"]"))).toEqual([
    "t.toml:2: pool.main.lanes 1: is no table of tandem's; allowed: [pools.NAME], and settings at the top",
    't.toml:4: pools.a.b.c "[1, 2]": is no table of tandem\'s; allowed: [pools.NAME], and settings at the top',
    't.toml:5: pools "a b": is no name; allowed: 1 to 64 letters, digits, - and _',
  ]);
});

describe("what is no TOML is told with line, column and what stands there; all else is read", () => {
  const rest = '; allowed: [table], or key = "text", a number, true, false or a list';
  const read = (text: string): string[] => {
    const file = readToml("t.toml", text);
    expect(file.partial).toBe(file.problems.length > 0);
    const entries = [...said(file.top), ...file.pools.flatMap((pool) => [`[${pool.name}]`, ...said(pool.entries)])];
    return [...told(file).map((line) => line.replace(rest, "")), ...entries];
  };
  test("a word without quotes, a unit, a key that comes twice, no equals sign: that line alone", () => {
    expect(read('ring = twemproxy\nlanes = 1\ntimeout = 3ms\nlanes = 2\nport 5\nack = "any"\n')).toEqual([
      't.toml:1:8 "ring = twemproxy": is no TOML: unexpected character',
      't.toml:3:12 "timeout = 3ms": is no TOML: must be a newline',
      't.toml:5:6 "port 5": is no TOML: expected equal (=) token',
      't.toml:4:1 "lanes = 2": is no TOML: defining a key multiple times is invalid',
      "2 lanes 1@2", "6 ack any@6",
    ]);
  });
  test("a list that does not end, or has no comma: with all its lines", () => {
    expect(read('servers = ["a:1"\nlanes = 2\n')).toEqual(['t.toml:2:1 "servers = [\\"a:1\\"": is no TOML: unexpected character', "2 lanes 2@2"]);
    expect(read('lanes = 2\nservers = [\n  "a:1"\n  "b:1",\n  { address = "c:1" },\n]\nport = 1\n')).toEqual([
      't.toml:4:3 "servers = [": is no TOML: expected comma (,) token', "1 lanes 2@1", "7 port 1@7",
    ]);
    expect(read("lanes = 1\nservers = [1,\n")).toEqual(['t.toml:3:1 "servers = [1,": is no TOML: unspecified values are invalid', "1 lanes 1@1"]);
  });
  test("a table that does not end, or comes twice: with its keys, which would be another one's", () => {
    expect(read("[pools.a\nlanes = 1\n[pools.b]\nlanes = 2\n[pools.b]\nlanes = 3\n[pools.c]\nlanes = 4")).toEqual([
      "t.toml:2:1 [pools.a: is no TOML: the key, equals sign, and value must be on the same line",
      "t.toml:5:8 [pools.b]: is no TOML: defining a key multiple times is invalid",
      "[b]", "4 lanes 2@4", "[c]", "8 lanes 4@8",
    ]);
  });
  test("whatever a file is, reading it comes to an end", () => {
    for (const text of ["\0", "=", "a", "[", "]", "a = \"\"\"", "{\n}\n", "\n\n=\n=\n", "a = [\n\n\n", `${"x\r\n".repeat(300)}`]) expect(read(text).length).toBeGreaterThan(0);
  });
});

test("the kind of a file is its ending's, or that of its content", () => {
  expect(["a.toml", "a.yml", "b.YAML"].map((path) => fileKind(path, ""))).toEqual(["toml", "nutcracker", "nutcracker"]);
  expect(fileKind("x", "# m\n[General]\nport=1")).toBe("magent");
  expect(fileKind("x.conf", "masters=10.0.0.1:1\nport = 1")).toBe("magent");
  expect(fileKind("x.conf", "# pools\n\nalpha:\n\n  listen: 1.2.3.4:5\n")).toBe("nutcracker");
  expect(fileKind("x.conf", "servers = [\"a:1\"]\n[pools.a]\n")).toBe("toml");
});
