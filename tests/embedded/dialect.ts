// Random conversations for the embedded server's oracle: the classic commands of support/sessions.ts and the meta
// commands with every flag, valid and not. A step's shorthand is that of support/transcript.ts; `<cas>` is a number
// that may be the item's.
import { mistaken, valid } from "../support/sessions.ts";
import type { Step } from "../support/transcript.ts";

type Below = (n: number) => number;

function pick<T>(below: Below, from: readonly T[]): T {
  return from[below(from.length)]!;
}

const KEYS = ["$a", "$b", "$c", "$d"];
/** Base 64 of keys of three bytes. */
const CODED_KEYS = ["YWFh", "AAEC", "/wAQ"];
const LIFETIMES = ["0", "0", "100", "500", "2592000", "-1", "2592001"];
/** Never what is left of a lifetime: two servers' seconds tick at different moments, and one would be a second ahead. */
const RECACHE = ["0", "-1", "50", "300", "1000000", "2592001"];
const NUMBERS = ["0", "1", "9", "10", "99", "4294967296"];
const TEXTS = ["", "0", "9", "99", "12 ", "x", "abc", "a\0b", "END\r\n", "999999999999999999"];

/** Storing nothing but white space: counting on such a value, memcached reads on into the memory behind it. */
const BLANK_VALUE = /^[^\r\n]*\r?\n[\t-\r ]+\r\n$/;

/** Counting on a number of 2^63 or more, memcached looks for a minus in that memory. The recorded sessions have them. */
const HUGE = /18446744073709551(?=61[45])/g;

/** A conversation of at most 50 commands. */
export function conversation(below: Below): Step[] {
  return commands(below)
    .filter((step) => !BLANK_VALUE.test(step))
    .map((step) => step.replace(HUGE, "0".repeat(17)));
}

function commands(below: Below): Step[] {
  return Array.from({ length: 5 + below(46) }, () => {
    const kind = below(100);
    if (kind < 30) return valid(below);
    if (kind < 38) return mistaken(below);
    if (kind < 40) return pick(below, ["flush_all\r\n", "flush_all 0 noreply\r\n", "flush_all -1\r\n", "mn\r\n", "mx a\r\n", "me\r\n"]);
    return meta(below);
  });
}

function meta(below: Below): Step {
  const key = below(8) === 0 ? `${pick(below, CODED_KEYS)} b` : pick(below, KEYS);
  const [name, binary = ""] = key.split(" ");
  const with_ = (flags: string): string => [name, binary, flags].filter((word) => word !== "").join(" ");
  switch (below(9)) {
    case 0: case 1: case 2:
      return `mg ${with_(flags(below, "vtfcsklhuqNTRO"))}\r\n`;
    case 3: case 4: {
      const text = pick(below, TEXTS);
      const length = below(25) === 0 ? pick(below, ["x", "-1", "", String(Math.max(0, text.length - 1))]) : String(text.length);
      const words = [name, length, binary, flags(below, "ckqFTICMO")].filter((word) => word !== "");
      return `ms ${words.join(" ")}\r\n${text}\r\n`;
    }
    case 5: case 6:
      return `ma ${with_(flags(below, "vtckqNJDTCMO"))}\r\n`;
    case 7:
      return `md ${with_(flags(below, "ckqITCO"))}\r\n`;
    default:
      return `me ${[name, binary].filter((word) => word !== "").join(" ")}\r\n`;
  }
}

/** Some flags out of `known`, in any order, each with an argument that is mostly right. */
function flags(below: Below, known: string): string {
  const out: string[] = [];
  for (const flag of known) if (below(3) === 0) out.splice(below(out.length + 1), 0, flag + argument(below, flag));
  if (below(30) === 0) out.push(pick(below, ["Z", "v", "v v", "E1", "x", "\xff", "0", "S5", "OOO", "b"]));
  return out.join(" ");
}

function argument(below: Below, flag: string): string {
  const wrong = below(40) === 0;
  switch (flag) {
    case "N": case "T": case "R":
      return wrong ? pick(below, ["", "x", "1x"]) : pick(below, flag === "R" ? RECACHE : LIFETIMES);
    case "F":
      return wrong ? pick(below, ["", "x", "-1"]) : pick(below, ["0", "7", "4294967295", "4294967296"]);
    case "C":
      return wrong ? pick(below, ["", "x", "-1"]) : pick(below, ["<cas>", "<cas>", "0", "424242424242"]);
    case "J": case "D":
      return wrong ? pick(below, ["", "x", "-1"]) : pick(below, NUMBERS);
    case "M":
      return wrong ? pick(below, ["", "SS", "x"]) : pick(below, ["S", "E", "A", "P", "R", "I", "D", "+", "-"]);
    case "O":
      return wrong ? "{o*32}" : pick(below, ["", "1", "kcb", "{o*31}"]);
    default:
      return "";
  }
}

/**
 * The conversation as it may travel in one packet. Left out is what memcached 1.6.18 answers differently then: a get
 * with too long a key forgets the answers before it, and a number that a waiting mg still holds is not counted in place.
 */
export function inOnePacket(steps: readonly Step[], below: Below): Step[] {
  const either = below(2) === 0 ? /^mg / : /^(incr|decr|ma) /;
  return steps.filter((step) => !either.test(step) && !/^g\S* .*\{k\*/.test(step));
}
