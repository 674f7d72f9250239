// Defaults, file, pool and command line laid over each other; what config print and convert make of them.
import { describe, expect, test } from "bun:test";
import { convertedToml, effectiveToml } from "../../src/cli/config_print.ts";
import { layFile, type Layers } from "../../src/cli/layers.ts";
import { OPTIONS } from "../../src/cli/options.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { settle } from "../../src/cli/settings.ts";
import { readMagentIni } from "../../src/config/magent_ini.ts";
import { readNutcracker } from "../../src/config/nutcracker.ts";
import { problemLine } from "../../src/config/problem.ts";
import { readToml } from "../../src/config/toml.ts";

function lay(text: string, ...args: string[]): Layers {
  const line = parseCommandLine(args);
  if (!line.ok) throw new Error(problemLine(line.problem));
  return layFile(readToml("t.toml", text), line.value.flags);
}

function config(text: string, ...args: string[]) {
  const read = settle(lay(text, ...args), "tandem");
  if (!read.ok) throw new Error(read.problems.map(problemLine).join("\n"));
  return read.value;
}

function problems(text: string, ...args: string[]): string[] {
  const read = settle(lay(text, ...args), "tandem");
  return read.ok ? [] : read.problems.map(problemLine);
}

describe("layers", () => {
  test("a pool goes before the top, a flag before both", () => {
    const text = `timeout = "1s"\nack = "lead"\nstrict = true\n[pools.a]\nservers = ["a:1"]\nport = 1\nack = "any"\nstrict = false\n[pools.b]\nservers = ["b:1"]\nport = 2`;
    const [a, b] = config(text, "--ack", "both").config.pools;
    expect([a!.requestTimeoutMs, a!.ack, a!.proxies.strict, a!.connectTimeoutMs]).toEqual([1000, "both", false, 300]);
    expect([b!.requestTimeoutMs, b!.ack, b!.proxies.strict, b!.name]).toEqual([1000, "both", true, "b"]);
    expect(config(text).config.pools.map(({ ack }) => ack)).toEqual(["any", "lead"]);
  });
  test("a file without pools is one, and takes flags for servers", () => {
    const { config: { pools }, verbosity } = config('servers = ["a:1"]\nverbose = 2\nscrub = "7d"', "-s", "c:1");
    expect([pools.length, pools[0]!.name, pools[0]!.primaries[0]!.label, pools[0]!.proxies.scrubHours, verbosity]).toEqual([1, "main", "c:1", 168, 2]);
  });
  test("a number of workers and a uid need no quotes", () => {
    const { workers, user } = config('servers = ["a:1"]\nworkers = 2\nuser = 65534');
    expect([workers.count, user?.text]).toEqual([2, "65534"]);
    expect(problems('servers = ["a:1"]\nworkers = true')).toEqual(['t.toml:2: workers true: is no text in quotes; allowed: a number, or "N|auto"']);
  });
  test("--pool chooses, and what is wrong with the others does not count", () => {
    const text = `[pools.a]\nservers = ["a:1"]\n[pools.b]\nservers = ["b:0"]\n`;
    expect(config(text, "--pool", "a").config.pools.map(({ name }) => name)).toEqual(["a"]);
    expect(problems(text, "--pool", "c")).toEqual(["--pool c: is no pool of the file; allowed: a, b"]);
    expect(problems(text, "-p", "5")[0]).toBe("-p 5: is for one pool, and t.toml has 2; allowed: with --pool NAME");
    expect(config(text, "-p", "5", "--pool", "a").config.pools[0]!.listen).toEqual([{ kind: "tcp", host: "0.0.0.0", port: 5 }]);
  });
  test("every problem is told with its line", () => {
    expect(problems(`tiemout = 5\npid_file = 3\n[pools.a]\nservers = ["a:1", 5]\nlanes = [1]\nack = "none"\ntimeout = 70000\nuser = "x"\nrefill_bytes = "1t"\nunix_mode = 700\nverify = false`)).toEqual([
      "t.toml:1: tiemout 5: is no setting; allowed: timeout",
      't.toml:2: pid_file 3: is no text in quotes; allowed: "PATH"',
      't.toml:4: servers 5: is no text in quotes; allowed: ["HOST:PORT[:WEIGHT]", …]',
      "t.toml:5: lanes 1: is a list; allowed: one value: 1 to 255 connections",
      't.toml:6: ack "none": is none of them; allowed: both, lead or any',
      't.toml:7: timeout 70000: is too high; allowed: 1 to 60000 ms, or text as "500ms", "2s", "5m", "1h"',
      't.toml:8: user "x": is a setting of the whole process; allowed: at the top of the file, above the pools',
      't.toml:9: refill_bytes "1t": is no such number; allowed: 1024 to 1073741824, or text as "64k", "8m", "1g"',
      't.toml:10: unix_mode 700: is not octal; allowed: "700" or 0o700, up to 777',
    ]);
    expect(problems("servers = [\"a:1\"]\n[pools.a]\nservers = [\"a:1\"]\n[pools.b]\n")).toEqual([
      't.toml:1: servers "a:1": is for one pool, and the file has pools; allowed: in [pools.NAME]',
      't.toml:4: pools.b: no server given; allowed: servers = ["host:port", …]',
      "t.toml:4: pools.b 0.0.0.0:11211: is where pool a listens; allowed: an address of its own: listen, port or socket",
    ]);
  });
  test("what two pools must not share is told where the second one says it", () => {
    const second = (said: string): string[] => problems(`[pools.a]\nservers = ["a:1"]\nlisten = ["1.2.3.4:5"]\n[pools.b]\nservers = ["b:1"]\n${said}`);
    expect(second('listen = [\n"1.2.3.4:5"]')).toEqual(["t.toml:7: listen 1.2.3.4:5: is where pool a listens; allowed: an address of its own: listen, port or socket"]);
    expect(second('port = 5')).toEqual([]);
  });
  test("beside what is no TOML all else is told, but not that there are no servers", () => {
    expect(problems('servers = ["a:1]\ntiemout = 5\nack = "none"')).toEqual([
      't.toml:1:17 "servers = [\\"a:1]": is no TOML: unterminated string constant; allowed: [table], or key = "text", a number, true, false or a list',
      "t.toml:2: tiemout 5: is no setting; allowed: timeout",
      't.toml:3: ack "none": is none of them; allowed: both, lead or any',
    ]);
  });
  test("of twemproxy's file as well, beside a word that comes twice; and nothing twice that two settings come from", () => {
    const line = parseCommandLine([]);
    if (!line.ok) throw new Error("no flags");
    const told = (text: string): string[] => {
      const read = settle(layFile(readNutcracker("n.yml", text), line.value.flags), "tandem");
      return read.ok ? [] : read.problems.map((problem) => problemLine(problem).replace(/; allowed: .*/, ""));
    };
    expect(told("a:\n  listen: 1.2.3.4:1\n  listen: 1.2.3.4:2\n  hash: sha1\n  servers:\n   - c:3:1\nb:\n  listen: 1.2.3.4:5\n  timeout: x\n  servers:\n   - c:3:0\n")).toEqual([
      "n.yml:3:3: is no YAML: Map keys must be unique", "n.yml:4: a.hash sha1: is none of twemproxy's", "n.yml:9: b.timeout x: is no such number", "n.yml:11: b.servers c:3:0: has no such weight",
    ]);
    // What belongs to what is not known any more of that pool.
    expect(told("a:\n  listen: 1.2.3.4:1\n timeout: 4\n  servers:\n   - c:3:1\nb:\n  hash: sha1\n").map((each) => each.replace(/:\d+: is no YAML.*/, ""))).toEqual(["n.yml:3", "n.yml:3", "n.yml:3", "n.yml:7: b.hash sha1: is none of twemproxy's"]);
  });
  test("every setting of the table can stand in a file, as its default is written", () => {
    for (const option of OPTIONS) {
      if (option.key === "" || option.fallback === "") continue;
      const value = option.kind === "integer" ? option.fallback : JSON.stringify(option.fallback);
      expect(`${option.key} ${problems(`servers = ["a:1"]\n${option.key} = ${value}`)}`).toBe(`${option.key} `);
    }
  });
});

describe("printed", () => {
  const strip = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/ +# /, " # "));
  test("effective settings say where each came from", () => {
    const lines = strip(effectiveToml(lay('user = "nobody"\n[pools.a]\nservers = ["a:1"]\nstrict = false\ntimeout = 500', "--ack", "any"), "tandem"));
    for (const each of [
      'user = "nobody" # t.toml:1', 'servers = ["a:1"] # t.toml:3', "strict = false # t.toml:4", 'timeout = "500ms" # t.toml:5', 'ack = "any" # flag --ack',
      'ring = "libketama" # default', "[pools.a]",
    ]) expect(lines).toContain(each);
  });
  test("what is printed reads as what it was printed from", () => {
    const text = `user = "nobody"\n[pools.a]\nring = "twemproxy"\nservers = ["a:1:2 x", { address = "b:1", zone = "north" }]\nunix_mode = 0o660\nscrub = 12\nhash_tag = "{}"\n[pools.b]\nport = 2\nstrict = true\nservers = [${Array.from({ length: 12 }, (_, i) => `"10.0.0.${i}:11211"`)}]`;
    const before = config(text).config;
    expect(config(effectiveToml(lay(text), "tandem").join("\n")).config).toEqual(before);
    expect(config(convertedToml(lay(text), "x").join("\n")).config).toEqual(before);
  });
  test("magent's file becomes one pool", () => {
    const line = parseCommandLine([]);
    if (!line.ok) throw new Error("no flags");
    const lines = convertedToml(layFile(readMagentIni("m.conf", "masters=a:1,b:1\nbackups=c:1\nuseketama=true\nlogdir=/x\n"), line.value.flags), "m.conf");
    expect(lines).toEqual([
      "# Made by tandem config convert m.conf.",
      "# m.conf:4: logdir /x: has no equal here and is left out (the log goes to stderr, or with daemon_mode to --log-file)",
      "", "[pools.main]", 'servers = ["a:1", "b:1"]', 'backups = ["c:1"]', "port = 11215", 'ring = "magent"',
    ]);
    expect(config(lines.join("\n")).config.pools[0]!.ring).toBe("magent");
  });
  test("pools of twemproxy's that cannot be served are named", () => {
    const line = parseCommandLine([]);
    if (!line.ok) throw new Error("no flags");
    const lines = convertedToml(layFile(readNutcracker("n.yml", "a:\n  listen: 1.2.3.4:5\n  redis: true\nb:\n  listen: 1.2.3.4:6\n  servers:\n   - c:1:1\n"), line.value.flags), "n.yml");
    expect(lines.slice(1)).toEqual([
      "", "# Pool a is left out:", "#   n.yml:3: a.redis true: is a pool of Redis, which tandem does not speak; allowed: redis: false; --pool serves some pools only",
      "", "[pools.b]", 'servers = ["c:1:1"]', 'listen = ["1.2.3.4:6"]', 'ring = "twemproxy"',
    ]);
  });
});
