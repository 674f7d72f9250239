// tandem ring explain|show|diff: reads the flags and files for what ring.ts answers.
import type { PoolConfig } from "../config/config.ts";
import { type Checked, type Given, wrong } from "../config/problem.ts";
import { type Context, failUsage } from "./context.ts";
import { type CommandLine, parseCommandLine, splitWords } from "./parse.ts";
import { ringDiff, ringExplain, ringShow } from "./ring.ts";
import { readPoolOf } from "./settings.ts";

const WORDS = "explain KEY ..., show, or diff OLD NEW";
const KEY_BYTES_MAX = 250;

export function ring(context: Context, line: CommandLine): void {
  const lines = ringLines(context, line);
  if (!lines.ok) return failUsage(context, lines.problem);
  context.platform.host.stdout(lines.value.map((each) => `${each}\n`).join(""));
}

function ringLines(context: Context, line: CommandLine): Checked<string[]> {
  const [what, ...words] = line.words;
  const given: Given = { flag: "ring", text: what ?? "" };
  if (line.flags.has("keys") && what !== "diff") return wrong(line.flags.one("keys"), "is for ring diff", "ring diff");
  switch (what) {
    case "explain": {
      if (words.length === 0) return wrong(given, "no key given", "ring explain KEY ...");
      const keys = readKeys({ flag: "ring explain", text: "" }, words);
      if (!keys.ok) return keys;
      const pool = readPoolOf(context.platform.host, line.flags, context.called);
      return pool.ok ? { ok: true, value: ringExplain(pool.value, keys.value) } : pool;
    }
    case "show": {
      if (words.length > 0) return wrong({ flag: "ring show", text: words[0]! }, "is not expected", "flags only");
      const pool = readPoolOf(context.platform.host, line.flags, context.called);
      return pool.ok ? { ok: true, value: ringShow(pool.value) } : pool;
    }
    case "diff": {
      const [before, after, ...more] = words;
      if (before === undefined || after === undefined || more.length > 0) {
        return wrong(given, `${words.length} words given`, `two, quoted: ring diff "-s a:1" "-s a:1 -s b:1"`);
      }
      return diffLines(context, line, before, after);
    }
    default:
      return wrong(given, what === undefined ? "nothing asked" : "unknown", WORDS);
  }
}

function diffLines(context: Context, line: CommandLine, before: string, after: string): Checked<string[]> {
  const pools: PoolConfig[] = [];
  for (const text of [before, after]) {
    const inner = parseCommandLine(["ring", ...splitWords(text)]);
    if (!inner.ok) return inner;
    const stray = inner.value.words[0];
    if (stray !== undefined) return wrong({ flag: "ring diff", text: stray }, "is no flag", "quoted -s, -b, --ring");
    const pool = readPoolOf(context.platform.host, inner.value.flags, context.called);
    if (!pool.ok) return pool;
    pools.push(pool.value);
  }
  let keys: Uint8Array[] | null = null;
  if (line.flags.has("keys")) {
    const given = line.flags.one("keys");
    const read = context.platform.host.readText(given.text);
    if (!read.ok) return wrong(given, `cannot be read (${read.reason})`, "a file with one key a line");
    const checked = readKeys(given, read.text.split("\n").map((key) => key.replace(/\r$/, "")).filter((key) => key !== ""));
    if (!checked.ok) return checked;
    keys = checked.value;
  }
  return { ok: true, value: ringDiff(pools[0]!, pools[1]!, keys) };
}

function readKeys(given: Given, texts: readonly string[]): Checked<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  for (const text of texts) {
    const key = utf8(text);
    if (key.length === 0 || key.length > KEY_BYTES_MAX || key.some((byte) => byte <= 32)) {
      return wrong({ flag: given.flag, text }, "is no key", `1 to ${KEY_BYTES_MAX} bytes without blanks and control characters`);
    }
    keys.push(key);
  }
  return { ok: true, value: keys };
}

/** The UTF-8 bytes of text; a lone surrogate becomes U+FFFD. */
export function utf8(text: string): Uint8Array {
  const out: number[] = [];
  for (const character of text) {
    let code = character.codePointAt(0)!;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) out.push(code);
    else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else out.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(out);
}
