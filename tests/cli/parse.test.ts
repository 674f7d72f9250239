// argv → command, flags and words.
import { describe, expect, test } from "bun:test";
import { type CommandLine, parseCommandLine, splitWords } from "../../src/cli/parse.ts";
import { problemLine } from "../../src/config/problem.ts";

function parse(...args: string[]): CommandLine {
  const line = parseCommandLine(args);
  if (!line.ok) throw new Error(problemLine(line.problem));
  return line.value;
}

function problem(...args: string[]): string {
  const line = parseCommandLine(args);
  return line.ok ? "taken" : problemLine(line.problem);
}

const texts = (line: CommandLine, long: string): string[] => line.flags.all(long).map((given) => given.text);

describe("commands", () => {
  test("serve needs no word", () => {
    expect(parse("-s", "a").command).toBe("serve");
    expect(parse("serve", "-s", "a").command).toBe("serve");
    expect(parse().command).toBe("serve");
    expect(parse("dev").command).toBe("dev");
  });
  test("an unknown one names the known", () => {
    expect(problem("sever")).toBe("command sever: unknown; allowed: serve, dev, status, ping, watch, drain, undrain, reload, transition, upgrade, check, config, resync, verify, ring, man, completion, version, help");
  });
  test("words are kept in order, and after -- everything is one", () => {
    expect(parse("ring", "explain", "a", "-s", "x", "b", "--", "-c", "--d").words).toEqual(["explain", "a", "b", "-c", "--d"]);
  });
  test("a quoted command line is a word of ring", () => {
    const { words, flags } = parse("ring", "diff", "-s a:1", "--server a:1 -s b:1", "--keys", "f");
    expect(words).toEqual(["diff", "-s a:1", "--server a:1 -s b:1"]);
    expect(flags.one("keys").text).toBe("f");
  });
});

describe("flags", () => {
  test("short, long, joined and clustered forms mean the same", () => {
    for (const args of [["-p", "12000"], ["-p12000"], ["--port", "12000"], ["--port=12000"], ["-kp12000"], ["-kvp", "12000"]]) {
      expect(parse(...args).flags.number("port")).toBe(12000);
    }
    expect(parse("-vvk").flags.all("verbose").length).toBe(2);
    expect(parse("-unobody").flags.one("user")).toEqual({ flag: "-u", text: "nobody" });
    expect(parse("-f/run/t.sock").flags.one("socket").text).toBe("/run/t.sock");
    expect(parse("-s[::1]:11211").flags.one("server").text).toBe("[::1]:11211");
  });
  test("repeated values keep their order, whichever form they have", () => {
    const line = parse("-s", "c:1", "--server=a:1", "-sb:1", "--server", "a=b");
    expect(texts(line, "server")).toEqual(["c:1", "a:1", "b:1", "a=b"]);
    expect(line.flags.all("server").map((given) => given.flag)).toEqual(["-s", "--server", "-s", "--server"]);
  });
  test("values stay as they were written", () => {
    for (const value of ["true", "false", "007", "a b", "1e3", "a\nb", "=", "__proto__", "a.b"]) {
      expect(texts(parse(`--server=${value}`), "server")).toEqual([value]);
    }
  });
  test("defaults come from the table", () => {
    const { flags } = parse();
    expect(flags.number("port")).toBe(11211);
    expect(flags.number("max-clients")).toBe(4096);
    expect(flags.number("unix-mode")).toBe(0o700);
    expect(flags.number("item-size-max")).toBe(1 << 30);
    expect(flags.has("port")).toBe(false);
    expect(flags.one("ring").text).toBe("libketama");
  });
  test("sizes take k, m and g", () => {
    expect(parse("--item-size-max", "8m").flags.number("item-size-max")).toBe(8 << 20);
    expect(parse("--item-size-max", "64K").flags.number("item-size-max")).toBe(64 << 10);
    expect(parse("--item-size-max", "2000").flags.number("item-size-max")).toBe(2000);
  });
});

describe("problems", () => {
  const ALL = "-c --pool -s -b -l -p -f --unix-mode -n -i --workers --drain -u -g -k -D -d --pid-file --log-file --log-rotate --log-format -v --ring --hash-tag --ack " +
    "--connect-timeout --timeout --slow --item-size-max --refill-rate --refill-bytes --rejoin --missed-keys-max --share-gets --board --strict --verify --scrub --hints --state-dir --zone --read --transition --peer --admin --admin-token-file -h -V";
  test("an unknown flag", () => {
    expect(problem("-x")).toBe(`-x: unknown flag of serve; allowed: ${ALL}`);
    expect(problem("--prot=1")).toBe(`--prot: unknown flag of serve; allowed: ${ALL}`);
    expect(problem("-vx1")).toBe(`-x: unknown flag of serve; allowed: ${ALL}`);
    expect(problem("--no-ketama")).toMatch(/^--no-ketama: unknown flag/);
    expect(problem("-é")).toMatch(/^-é: unknown flag/);
    expect(problem("dev", "-s", "a")).toMatch(/^-s: unknown flag of dev; allowed: -p /);
  });
  test("a value that is missing, or that a switch does not take", () => {
    expect(problem("-s")).toBe("-s: no value given; allowed: HOST:PORT[:WEIGHT]");
    expect(problem("-s", "-b", "x")).toBe("-s: no value given; allowed: HOST:PORT[:WEIGHT]");
    expect(problem("--server", "--", "x")).toBe("--server: no value given; allowed: HOST:PORT[:WEIGHT]");
    expect(problem("--server=")).toBe("--server: is empty; allowed: HOST:PORT[:WEIGHT]");
    expect(problem("--daemon=yes")).toBe("--daemon yes: takes no value; allowed: --daemon");
  });
  test("a number that is none or out of bounds", () => {
    expect(problem("-p", "70000")).toBe("-p 70000: is too high; allowed: 0 to 65535");
    expect(problem("-p", "-1")).toBe("-p -1: is no such number; allowed: 0 to 65535");
    expect(problem("-p", "0x10")).toBe("-p 0x10: is no such number; allowed: 0 to 65535");
    expect(problem("-p", "1k")).toBe("-p 1k: is no such number; allowed: 0 to 65535");
    expect(problem("-n", "0")).toBe("-n 0: is too low; allowed: 1 to 1000000 connections");
    expect(problem("-i256")).toBe("-i 256: is too high; allowed: 1 to 255 connections");
    expect(problem("--timeout", "0")).toBe("--timeout 0: is too low; allowed: 1 to 60000 ms");
    expect(problem("--unix-mode", "999")).toBe("--unix-mode 999: is no such number; allowed: octal permission bits, 0 to 777");
    expect(problem("--unix-mode", "1777")).toBe("--unix-mode 1777: is too high; allowed: octal permission bits, 0 to 777");
    expect(problem("--item-size-max", "2g")).toMatch(/^--item-size-max 2g: is too high/);
    expect(problem("--item-size-max", "1t")).toMatch(/^--item-size-max 1t: is no such number/);
  });
  test("a choice that is none", () => {
    expect(problem("--ack", "none")).toBe("--ack none: is none of them; allowed: both, lead or any");
    expect(problem("--ring", "ketama")).toMatch(/^--ring ketama: is none of them; allowed: libketama, /);
  });
  test("a flag twice, however spelled", () => {
    expect(problem("-p", "1", "--port", "2")).toBe("--port 2: given twice; allowed: once");
    expect(problem("-kk")).toBe("-k: given twice; allowed: once");
  });
});

test("splitWords splits as a shell does", () => {
  expect(splitWords(`-s a:1  -s 'b:1:1 n' "--ring=x y"z`)).toEqual(["-s", "a:1", "-s", "b:1:1 n", "--ring=x yz"]);
  expect(splitWords(" \t")).toEqual([]);
});
