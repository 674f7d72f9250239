// Random memcached conversations from a seed: mostly valid commands on a few keys, some with every kind of mistake.
// Each command is a step in the shorthand of transcript.ts. And how a failing conversation is made small.
import type { Step } from "./transcript.ts";

/** A generator of integers in [0, n) that is the same for the same seed (xorshift32). */
export function dice(seed: number): (n: number) => number {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1) >>> 0;
  const next = (): number => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  for (let round = 0; round < 8; round++) next();
  return (n) => next() % n;
}

type Below = (n: number) => number;

function pick<T>(below: Below, from: readonly T[]): T {
  return from[below(from.length)]!;
}

const KEYS = ["$a", "$b", "$c", "$d", "$e", "$f"];
// Only these are counted on, and they never hold white space alone: there memcached 1.6.18 looks for digits behind the
// end of the value, in whatever its memory held before. Only the others are appended to, where padding would show.
const NUMERIC = ["$e", "$f"];
const TEXTUAL = ["$a", "$b", "$c", "$d"];
const EXPTIMES = ["0", "0", "0", "0", "100", "2592000", "-1"];
const FLAGS = ["0", "0", "1", "65535", "4294967295"];
// From 2^63 on memcached 1.6.18 looks for a minus sign, and beyond the end of the value too: those are for transcripts,
// on servers whose memory is still empty.
const NUMBERS = ["0", "1", "7", "99", "100", "4294967295", "4294967296", "99999999999999"];

/** A session of 4 to 40 commands. */
export function session(below: Below): Step[] {
  const commands = 4 + below(37);
  return Array.from({ length: commands }, () => (below(100) < 82 ? valid(below) : mistaken(below)));
}

/** One command that memcached accepts in form. */
export function valid(below: Below): Step {
  const key = pick(below, KEYS);
  const quiet = below(8) === 0 ? " noreply" : "";
  const ending = below(12) === 0 ? "\n" : "\r\n";
  switch (below(16)) {
    case 0: case 1: case 2:
      return store(below, "set", key, quiet);
    case 3:
      return store(below, pick(below, ["add", "replace"]), key, quiet);
    case 4:
      return store(below, pick(below, ["append", "prepend"]), pick(below, TEXTUAL), quiet);
    case 5:
      return store(below, "cas", key, ` <cas>${quiet}`);
    case 6:
      return store(below, "set", pick(below, NUMERIC), quiet, pick(below, NUMBERS));
    case 7: case 8:
      return `${pick(below, ["incr", "decr"])} ${pick(below, NUMERIC)} ${pick(below, NUMBERS)}${quiet}${ending}`;
    case 9:
      return `delete ${key}${below(6) === 0 ? " 0" : ""}${quiet}${ending}`;
    case 10:
      return `touch ${key} ${pick(below, EXPTIMES)}${quiet}${ending}`;
    case 11:
      return `${pick(below, ["gat", "gats"])} ${pick(below, EXPTIMES)}${several(below)}${ending}`;
    default:
      return `${pick(below, ["get", "get", "gets"])}${several(below)}${ending}`;
  }
}

function several(below: Below): string {
  const count = below(3) === 0 ? 1 + below(30) : 1;
  return Array.from({ length: count }, () => ` ${pick(below, KEYS)}`).join("");
}

function store(below: Below, command: string, key: string, tail: string, given: string | null = null): Step {
  let text = given ?? value(below);
  if (NUMERIC.includes(key) && text.trim() === "") text = "x";
  return `${command} ${key} ${pick(below, FLAGS)} ${pick(below, EXPTIMES)} ${text.length}${tail}\r\n${text}\r\n`;
}

/** Values of 0 to 30 bytes, now and then some thousand, with line ends and words that look like replies inside. */
function value(below: Below): string {
  if (below(30) === 0) return String.fromCharCode(97 + below(26)).repeat(below(5000));
  const words = ["END\r\n", "VALUE a 0 1\r\n", "x", "yz", "\r\n", "\n", "\x00", "\xff\xfe", "ERROR", "0", " "];
  return Array.from({ length: below(7) }, () => pick(below, words)).join("");
}

/** One command with a mistake, or nearly one. What memcached makes of it, memcached shows. */
export function mistaken(below: Below): Step {
  const key = pick(below, KEYS);
  const long = "${k*245}";
  const command = pick(below, ["set", "add", "replace", "append", "prepend"]);
  switch (below(14)) {
    case 0:
      return pick(below, ["\r\n", "\n", " \r\n", "foo\r\n", "GET x\r\n", "\x00\r\n", "bogus a b c\r\n", "set\r\n", "get\r\n", "incr\r\n"]);
    case 1:
      return `${command} ${key} 0 0 ${pick(below, ["-1", "x", "1x", "", "99999999999999999999", "2147483647"])}\r\n`;
    case 2:
      return `${command} ${key} ${pick(below, ["x", "-1", "1.5", "18446744073709551616"])} 0 1\r\nx\r\n`;
    case 3:
      return `${command} ${key} 0 ${pick(below, ["x", "1.5", "99999999999999999999"])} 1\r\nx\r\n`;
    case 4:
      return `${command} ${long} 0 0 3\r\nfoo\r\n`;
    case 5:
      return `get ${key} ${long} ${key}\r\n`;
    case 6:
      return `${command} ${key} 0 0 2\r\nlonger\r\n`;
    case 7:
      return `${command} ${key} 0 0 3 ${pick(below, ["noreply", "NOREPLY", "noreply noreply", "1 2 3 4"])}\r\nabcde\r\n`;
    case 8:
      return `${pick(below, ["incr", "decr"])} ${pick(below, NUMERIC)} ${pick(below, ["x", "-1", "", "18446744073709551616", "1 2", "1 2 3", "+1", "x noreply"])}\r\n`;
    case 9:
      return `delete ${key} ${pick(below, ["1", "0 0", "-1", "00", "noreply noreply", "1 noreply", "0 noreply x"])}\r\n`;
    case 10:
      return `touch ${key} ${pick(below, ["x", "", "1.5", "x noreply", "0 1 2"])}\r\n`;
    case 11:
      return `${pick(below, ["gat", "gats"])} ${pick(below, ["x", "", "1.5"])} ${key}\r\n`;
    case 12:
      return `cas ${key} 0 0 1 ${pick(below, ["x", "-1", "", "18446744073709551616", "0", "1 2 3"])}\r\nx\r\n`;
    default:
      return pick(below, ["verbosity 1\r\n", "verbosity\r\n", "verbosity x\r\n", "version x\r\n", "mn\r\n", "stats nothing\r\n"]);
  }
}

/** The command as it is sent before any answer: cas uniques cannot be known then, so it names one that nobody has. */
export function withoutUniques(command: Step): Step {
  return command.replaceAll("<cas>", "424242424242");
}

/** Leaves out commands, halves first, as long as `fails` still says so; calls it at most 200 times. */
export async function shrink(commands: readonly Step[], fails: (fewer: readonly Step[]) => Promise<boolean>): Promise<Step[]> {
  let kept = [...commands];
  let tries = 200;
  for (let size = kept.length >> 1; size >= 1; size = size === 1 ? 0 : size >> 1) {
    for (let at = 0; at < kept.length && tries > 0; ) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)];
      tries -= 1;
      if (fewer.length > 0 && (await fails(fewer))) kept = fewer;
      else at += size;
    }
  }
  return kept;
}
