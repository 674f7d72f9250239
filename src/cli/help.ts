// The help texts, printed from the option table.
import { type Command, COMMANDS, OPTIONS, type Option, optionAllowed, optionForms } from "./options.ts";

const WIDTH = 100;
const INDENT = 38;

/** For each command the lines that say how it is written ("tandem …"), each with those that say what it does. */
export const USAGE: Readonly<Record<Command, readonly string[]>> = {
  serve: [
    "tandem [serve] -s HOST:PORT ... [-b HOST:PORT ...] [flags]",
    "tandem [serve] -c FILE [flags]",
    "A memcached proxy: one ring of primaries, one of backups, every key on one server of each.",
  ],
  dev: [
    "tandem dev [flags]",
    "The proxy over two primaries and two backups in memory, to try it: nothing else is needed.",
  ],
  status: [
    "tandem status [HOST:PORT|/SOCKET] [--watch] [--json]",
    "How a running tandem and its servers are, asked of its admin interface, or where its clients",
    "connect; without an address 127.0.0.1:12080, and if nobody is there 127.0.0.1:11211. --watch asks",
    "every second and shows rates.",
    "Exit code: 0 every server is up, 1 one is not (down, filled, or fenced by another proxy), 3 no",
    "tandem answers there.",
  ],
  ping: [
    "tandem ping [HOST:PORT|/SOCKET] [--timeout MS]",
    "A round trip through a proxy, for scripts: its version, then a get for each of 16 keys, which no",
    "one but a server can answer; without an address 127.0.0.1:11211. Any memcached can be asked.",
    "Exit code: 0 all is answered, 1 the proxy answers but its servers do not, for some key, 3 the",
    "proxy does not answer.",
  ],
  watch: [
    "tandem watch [HOST:PORT|/SOCKET] --track-file PATH [--hear HOST:PORT ...] [flags]",
    "Looks whether the proxy of this host answers (without an address 127.0.0.1:11211) and whether",
    "this host hears anybody, and writes 0 or 1 for Keepalived's track_file. Servers that are down are",
    "no reason to give the address up: the other proxy has the same. A 0 that it finds in the file",
    "holds until there is a reason against it; at its end the file stays as it is.",
  ],
  drain: [
    "tandem drain HOST:PORT [--admin HOST:PORT] [--timeout MS]",
    "Takes a memcached out of the reads of a running proxy, to restart or replace it: the other side of",
    "its pairs answers in its place, writes still go to both. Waits until no read is under way there.",
    "Refused when the other side could not answer. Holds until undrain, or until the proxy ends.",
    "Exit code: 0 it is quiet, 1 it could not be drained or is not quiet in time, 3 no proxy answers.",
  ],
  undrain: [
    "tandem undrain HOST:PORT [--admin HOST:PORT]",
    "Puts it back. If it was restarted meanwhile it answers once its peers have filled it.",
  ],
  reload: [
    "tandem reload [--admin HOST:PORT]",
    "Has a running proxy read its file of settings again and take what it says: all of it, or, with the",
    "reason, nothing. Clients notice nothing. The same as SIGHUP. Settings of the whole process are",
    "named when they have changed, with what takes them: an upgrade, or a restart.",
    "Exit code: 0 taken, 1 the settings stay as they are, 3 no proxy answers.",
  ],
  transition: [
    "tandem transition end [--admin HOST:PORT]",
    "Rings that change after a reload wait no longer for servers that are down, for other proxies, or",
    "until a server that went away is filled: it leads nothing before. What only those hold are misses.",
    "Exit code: 0 told, 1 no rings are changing, 3 no proxy answers.",
  ],
  upgrade: [
    "tandem upgrade [--admin HOST:PORT]",
    "Has a running proxy replaced by the program as it is in its file by now, with the same flags: it",
    "takes over the listening sockets; the process before finishes its clients (--drain) and leaves.",
    "The same as SIGUSR2.",
    "Exit code: 0 the new one serves, 1 the one before goes on, 3 no proxy answers.",
  ],
  check: [
    "tandem check FILE [--pool NAME]",
    "Every problem of a file of settings, with file, line, key, what was given and what is allowed.",
    "tandem check [FILE] --against HOST:PORT ...",
    "Asks running proxies, of all regions say, whether they place and replicate alike (and as FILE",
    "says), and how they see their servers; prints the differences.",
    "Exit code: 0 nothing is wrong or differs, 1 something does, 3 one of them does not answer.",
  ],
  config: [
    "tandem config print [-c FILE] [flags]",
    "The settings that serve would run with, as tandem.toml, each with where it came from.",
    "tandem config convert FILE [--pool NAME]",
    "The tandem.toml that means the same as a magent.conf or a nutcracker.yml. Exit code: 0 all of it",
    "is there, 1 a pool had to be left out.",
  ],
  resync: [
    "tandem resync --from HOST:PORT --to HOST:PORT [--dry-run] [--delete] [--rate NUMBER]",
    "Copies to one memcached what it lacks or holds differently from another one: values, flags and",
    "remaining times, while both serve. No proxy is needed, and one may be at work; a write that comes",
    "in between is not overwritten. Keys that only --to holds are left alone unless --delete is given.",
    "tandem resync --from HOST:PORT --to HOST:PORT -s HOST:PORT ... -b HOST:PORT ...",
    "With the rings of a proxy only the keys that are placed on --to are copied: to fill one server",
    "from each of its peers in turn.",
    "Nothing is copied from a server that a proxy over these servers does not trust, unless --force is",
    "given. Ctrl-C ends it after the copies under way; it can be run again at any time.",
    "Exit code: 0 what --from holds --to holds too, 1 some keys could not be copied (with --dry-run:",
    "are to be copied), 3 a server cannot be reached or was lost, 130 interrupted.",
  ],
  verify: [
    "tandem verify -s HOST:PORT ... -b HOST:PORT ... [--sample NUMBER|N%] [--list] [--json]",
    "Compares both sides of every key, or of a sample, as a proxy with these flags places them, and",
    "counts keys on servers to which they do not belong. A difference counts when it is still there",
    "at a second look with nothing written in between. Remaining times may differ by 2 s.",
    "tandem verify -s ... -b ... --repair [--lead primary|backup] [--delete]",
    "Copies what differs from the primary to the backup, or with --lead backup the other way. Keys",
    "that the lead lacks stay on the other side unless --delete is given: it may have lost its memory.",
    "Nothing is copied from a server that a proxy does not trust, unless --force is given.",
    "Exit code: 0 all is as it should be (or is now, after --repair), 1 something is not, 3 a server",
    "cannot be reached or was lost, 130 interrupted.",
  ],
  ring: [
    "tandem ring explain KEY ... -s HOST:PORT ... [-b HOST:PORT ...]",
    "Where keys are, and why: server, hash and point.",
    "tandem ring show -s HOST:PORT ... [-b HOST:PORT ...]",
    "The share of each server.",
    "tandem ring diff OLD NEW [--keys FILE]",
    "How many keys move, and where; OLD and NEW are quoted: \"-s a:1\" \"-s a:1 -s b:1\".",
  ],
  man: [
    "tandem man",
    "This manual page, as roff: tandem man | man -l -",
  ],
  completion: [
    "tandem completion bash|zsh|fish",
    "What makes the shell complete commands and flags: source <(tandem completion bash)",
  ],
  version: ["tandem version", "Version, commit, runtime and target."],
  help: ["tandem help [COMMAND]", ...wrap(`Commands: ${COMMANDS.join(", ")}. Without a command: serve.`, WIDTH - 2)],
};

/** The help of one command, or with "help" of all; ends in a newline. */
export function helpText(command: Command): string {
  if (command === "help") {
    const usage = COMMANDS.flatMap((each) => [...USAGE[each].map((line) => `  ${line}`), ""]);
    return `Usage:\n${usage.join("\n")}\n${flagLines("serve").join("\n")}\n`;
  }
  return `Usage:\n${USAGE[command].map((line) => `  ${line}`).join("\n")}\n\n${flagLines(command).join("\n")}\n`;
}

function flagLines(command: Command): string[] {
  const lines = command === "serve" ? ["Flags:"] : [`Flags of ${command}:`];
  for (const option of OPTIONS) {
    if (option.hidden || !option.commands.includes(command)) continue;
    const form = `  ${option.short === "" ? "    " : ""}${optionForms(option)}`;
    const text = wrap(describe(option, command), WIDTH - INDENT);
    if (form.length >= INDENT) lines.push(form);
    else text[0] = form.padEnd(INDENT) + text[0];
    lines.push(...text.map((line, i) => (i === 0 && form.length < INDENT ? line : " ".repeat(INDENT) + line)));
  }
  return lines;
}

/** What a flag of command does, with what it may be and what it is when it is not given. */
export function describe(option: Option, command: Command): string {
  const facts: string[] = [];
  if (option.kind === "choice" || option.kind === "integer") facts.push(optionAllowed(option));
  const fallback = option.fallbackOf[command] ?? option.fallback;
  if (fallback !== "") facts.push(`default ${fallback}`);
  if (option.repeatable) facts.push("repeatable");
  return facts.length === 0 ? option.help : `${option.help} (${facts.join("; ")})`;
}

/** text in lines of at most width, broken at blanks. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
