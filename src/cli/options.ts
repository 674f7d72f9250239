// The table of settings: the one truth about flags and the keys of tandem.toml. Parsing (parse.ts, layers.ts), help text
// (help.ts), `config print` and the README's table are made from it, so that they cannot disagree.
import { ACK_MODES, REJOIN_MODES, READ_MODES, RING_FLAVOURS, RING_NAMES, TWEMPROXY_HASHES, VERIFY_MODES } from "../config/config.ts";

export const COMMANDS = ["serve", "dev", "status", "ping", "watch", "drain", "undrain", "reload", "transition", "upgrade", "check", "config", "resync", "verify", "ring", "man", "completion", "version", "help"] as const;
export type Command = (typeof COMMANDS)[number];

/** Shells that `completion` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** What the first word of a command may be; [] for a command that takes words of any kind. Others take flags only. */
export const WORDS: Readonly<Partial<Record<Command, readonly string[]>>> = {
  status: [], ping: [], watch: [], drain: [], undrain: [], transition: ["end"], check: [], config: ["print", "convert"], ring: ["explain", "show", "diff"], completion: SHELLS, help: COMMANDS,
};

export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/**
 * How a value is written.
 * switch: none; count: none, repeated for more; text: checked by config/; integer: decimal within min and max;
 * duration: in its unit, or with ms, s, m, h or d; octal: permission bits; bytes: decimal with an optional k, m or g
 * (powers of 1024); choice: one of choices.
 */
export type OptionKind = "switch" | "count" | "text" | "integer" | "duration" | "octal" | "bytes" | "choice";

export interface Option {
  /** Without the dashes. */
  readonly long: string;
  /** One letter, or "" when there is no short form. */
  readonly short: string;
  readonly kind: OptionKind;
  /** What stands for the value in help, "" for switches. */
  readonly placeholder: string;
  /** As one would write it; "" when there is none. */
  readonly fallback: string;
  /** Commands with another one. */
  readonly fallbackOf: Readonly<Partial<Record<Command, string>>>;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly choices: readonly string[];
  /** The choices as people are told them. */
  readonly shown: readonly string[];
  readonly repeatable: boolean;
  /** Its key in tandem.toml; "" when it is for the command line alone. */
  readonly key: string;
  /** Whose it is: the process's, or each pool's. */
  readonly scope: "process" | "pool";
  /** The variable of the environment that goes before a file and behind a flag; "" when there is none. */
  readonly env: string;
  /** The commands that take it. */
  readonly commands: readonly Command[];
  /** magent 0.6's own words, or "" when magent has no such flag. */
  readonly magent: string;
  /** Where we differ from magent, "" when we do not. */
  readonly difference: string;
  readonly help: string;
  /** A text that may stand in a file as a number, too. */
  readonly number: boolean;
  /** For our own background process; not printed. */
  readonly hidden: boolean;
}

const SERVE: readonly Command[] = ["serve", "config"];
const RUN: readonly Command[] = ["serve", "config", "dev"];
const WATCH: readonly Command[] = ["watch"];
const MEND: readonly Command[] = ["resync", "verify"];
const RING: readonly Command[] = ["serve", "config", "ring", ...MEND];
const RUN_RING: readonly Command[] = ["serve", "config", "dev", "ring", ...MEND];

/**
 * A row; what is not said is: no short form, a switch of `serve`, not in magent. What `serve` takes is a setting of the
 * process, and its key in tandem.toml is its long name; a setting that pools may have of their own says so.
 */
function row(long: string, help: string, more: Partial<Option>): Option {
  const commands = more.commands ?? SERVE;
  return {
    long, help, short: "", kind: "switch", placeholder: "", fallback: "", fallbackOf: {}, unit: "", min: 0, max: 0, choices: [], shown: more.choices ?? [],
    repeatable: false, commands, key: commands.includes("serve") && more.hidden !== true ? long.replaceAll("-", "_") : "",
    scope: "process", env: "", magent: "", difference: "", number: false, hidden: false, ...more,
  };
}

const SERVER_FORM = "HOST:PORT[:WEIGHT]";

export const OPTIONS: readonly Option[] = [
  row("config", "file of settings: tandem.toml, magent's magent.conf or twemproxy's nutcracker.yml; flags go before it", {
    short: "c", kind: "text", placeholder: "FILE", key: "", commands: RING,
  }),
  row("pool", "serve only this pool of the file", {
    kind: "text", placeholder: "NAME", key: "", repeatable: true, commands: [...RING, "check"],
  }),
  row("server", "a memcached of the ring: host:port, [ipv6]:port or /socket, with :weight, and for twemproxy a name", {
    scope: "pool", key: "servers",
    short: "s", kind: "text", placeholder: SERVER_FORM, repeatable: true, commands: RING,
    magent: "ip:port, set memcached server ip and port",
    difference: "also host names, IPv6, unix sockets, weights and names; a repeated server is an error",
  }),
  row("backup", "a memcached of the second ring, which holds every key again", {
    scope: "pool", key: "backups",
    short: "b", kind: "text", placeholder: SERVER_FORM, repeatable: true, commands: RING,
    magent: "ip:port, set backup memcached server ip and port",
    difference: "as -s; may not be one of the -s servers; their number need not be equal",
  }),
  row("listen", "address to accept clients on; :: is IPv4 and IPv6", {
    scope: "pool",
    short: "l", kind: "text", placeholder: "HOST", fallback: "0.0.0.0", repeatable: true,
    magent: "ip, local bind ip address, default is 0.0.0.0", difference: "repeatable; also host names and IPv6",
  }),
  row("port", "TCP port to accept clients on; 0: no TCP", {
    scope: "pool",
    short: "p", kind: "integer", placeholder: "PORT", fallback: "11211", max: 65535, commands: RUN,
    magent: "port, default is 11211. (0 to disable tcp support)",
  }),
  row("socket", "unix socket to accept clients on", {
    scope: "pool",
    short: "f", kind: "text", placeholder: "PATH",
    magent: "file, unix socket path to listen on. default is off",
    difference: "a socket that another process answers on is an error, not taken over",
  }),
  row("unix-mode", "permission bits of the unix socket", {
    scope: "pool",
    kind: "octal", placeholder: "MODE", fallback: "700", max: 0o777, unit: "octal",
  }),
  row("max-clients", "clients connected at once; one more is told so and closed", {
    scope: "pool",
    short: "n", kind: "integer", placeholder: "NUMBER", fallback: "4096", min: 1, max: 1_000_000, commands: RUN,
    unit: "connections", magent: "number, set max connections, default is 4096",
    difference: "0 is an error, not 4096; a number above the file descriptor limit is an error",
  }),
  row("lanes", "connections kept to each server; a key always takes the same one", {
    scope: "pool",
    short: "i", kind: "integer", placeholder: "NUMBER", fallback: "1", min: 1, max: 255, commands: RUN,
    unit: "connections", magent: "number, set max keep alive connections for one memcached server, default is 20",
    difference: "exactly so many, all pipelined: 1 is enough where magent needed one a request; at most 255",
  }),
  row("workers", "processes that share the ports and the work; auto: as many as this process may use cores", {
    kind: "text", placeholder: "N|auto", fallback: "1", number: true,
  }),
  row("drain", "how long clients may wait for their answers once tandem is to end, and are served on after an upgrade", {
    kind: "duration", placeholder: "MS", fallback: "30000", max: 600_000, unit: "ms", commands: RUN,
  }),
  row("user", "user name or uid to become once the ports are bound", {
    short: "u", kind: "text", placeholder: "USER", number: true, magent: "uid",
    difference: "also a name; after binding, with the user's groups; failure is an error",
  }),
  row("group", "group name or gid to become, instead of the user's own", {
    short: "g", kind: "text", placeholder: "GROUP", number: true, magent: "gid", difference: "also a name; only together with -u",
  }),
  row("ketama", "place keys by Ketama; the default", {
    key: "",
    short: "k", commands: RUN_RING, magent: "use ketama key allocation algorithm",
    difference: "the default; --ring says which Ketama; called as magent: magent's, and modulo without -k",
  }),
  row("foreground", "stay in front; the default", {
    key: "",
    short: "D", magent: "don't go to background", difference: "the default; called as magent, -d is",
  }),
  row("daemon", "go to the background once clients can connect", {
    short: "d", difference: "magent does so by default",
  }),
  row("pid-file", "file for the process id, written once clients can connect; removed at the end where -u may", { kind: "text", placeholder: "PATH" }),
  row("log-file", "file to append the log to in place of stderr, or syslog: the system's log, facility daemon", { kind: "text", placeholder: "PATH|syslog" }),
  row("log-rotate", "the log file is turned over when it has grown so large, and so many old ones are kept: 64m,5", {
    kind: "text", placeholder: "SIZE,COUNT",
  }),
  row("log-format", "one line a record: text, or an object of JSON", {
    kind: "choice", placeholder: "FORMAT", fallback: "text", choices: LOG_FORMATS, commands: RUN,
  }),
  row("verbose", "log connections too; -vv: each command", {
    short: "v", kind: "count", commands: [...RUN, "watch"], magent: "verbose",
    difference: "-vv for more; stays in the background (called as magent: in front, as there)",
  }),
  row("ring", `which placement to be equal to; HASH is one of twemproxy's: ${TWEMPROXY_HASHES.join(" ")}, of which fnv1a_64 with ketama is twemproxy alone`, {
    scope: "pool",
    kind: "choice", placeholder: "NAME", fallback: "libketama", choices: RING_FLAVOURS, shown: RING_NAMES, commands: RUN_RING,
  }),
  row("hash-tag", "two characters; only what stands between them in a key is hashed", {
    scope: "pool",
    kind: "text", placeholder: "{}", commands: RUN_RING,
  }),
  row("ack", "whose word answers a write: both servers', the lead's alone, or the first that took it", {
    scope: "pool",
    kind: "choice", placeholder: "WHO", fallback: "both", choices: ACK_MODES, commands: RUN,
  }),
  row("connect-timeout", "a server that accepts later than this is down", {
    scope: "pool",
    kind: "duration", placeholder: "MS", fallback: "300", min: 1, max: 60_000, unit: "ms", commands: RUN,
  }),
  row("timeout", "a request that is answered later than this has failed", {
    scope: "pool",
    kind: "duration", placeholder: "MS", fallback: "300", fallbackOf: { ping: "1000", watch: "400", drain: "5000" }, min: 1, max: 60_000, unit: "ms",
    commands: [...RUN, "ping", "watch", "drain"],
  }),
  row("slow", "a client's request that takes as long is told of in the log: its key and servers, never a value; 0: none is", {
    scope: "pool",
    kind: "duration", placeholder: "MS", fallback: "0", max: 3_600_000, unit: "ms", commands: RUN,
  }),
  row("item-size-max", "largest item taken from a client; a lower limit of the servers holds all the same", {
    scope: "pool",
    kind: "bytes", placeholder: "BYTES", fallback: "1g", min: 1024, max: 1 << 30, unit: "bytes", commands: RUN,
  }),
  row("refill-rate", "keys copied a second, at most, to a server that returns without its memory; fewer while servers answer slowly", {
    scope: "pool",
    kind: "integer", placeholder: "KEYS", fallback: "25000", min: 1, max: 10_000_000, unit: "keys/s", commands: RUN,
  }),
  row("refill-bytes", "bytes of values copied a second, at most, to such a server", {
    scope: "pool",
    kind: "bytes", placeholder: "BYTES", fallback: "32m", min: 1024, max: 1 << 30, unit: "bytes", commands: RUN,
  }),
  row("rejoin", "when a server that lost its memory is read again: once it is filled, or at once for what it holds by then", {
    scope: "pool",
    kind: "choice", placeholder: "WHEN", fallback: "wait", choices: REJOIN_MODES, commands: RUN,
  }),
  row("missed-keys-max", "keys whose writes servers missed that are remembered; beyond it such a server is compared in full", {
    scope: "pool",
    kind: "integer", placeholder: "NUMBER", fallback: "500000", min: 1, max: 100_000_000, unit: "keys", commands: RUN,
  }),
  row("share-gets", "gets of one key that come in one turn are one get for its server: on, off", {
    scope: "pool",
    kind: "choice", placeholder: "WHEN", fallback: "off", choices: ["on", "off"], commands: RUN,
  }),
  row("board", "proxies over the same servers tell each other there whom they do not trust", {
    scope: "pool",
    kind: "choice", placeholder: "WHEN", fallback: "on", choices: ["on", "off"], commands: RUN,
  }),
  row("strict", "no proxy reads or decides on what another one's acknowledged write left behind; needs --board on", {
    scope: "pool",
    commands: RUN,
  }),
  row("verify", "compare both sides of a key after writing it; auto: while another proxy writes too, and what two workers write", {
    scope: "pool",
    kind: "choice", placeholder: "WHEN", fallback: "auto", choices: VERIFY_MODES, commands: RUN,
  }),
  row("scrub", "compare all keys of both sides so often, slowly, and when a proxy died; 0: never", {
    scope: "pool",
    kind: "duration", placeholder: "HOURS", fallback: "24", max: 8760, unit: "hours", commands: RUN,
  }),
  row("hints", "whether what a server misses is also written down on the servers that took it, for the next proxy; needs --board on", {
    scope: "pool", kind: "choice", placeholder: "WHETHER", fallback: "on", choices: ["on", "off"], commands: RUN,
  }),
  row("state-dir", "directory where what a server misses, and which rings keep the keys while they change, is written down on this machine too; needs --hints on", {
    scope: "pool", kind: "text", placeholder: "DIR",
  }),
  row("zone", "where this proxy stands, for --read nearest", {
    kind: "text", placeholder: "NAME", env: "TANDEM_ZONE", commands: RUN,
  }),
  row("read", "whom a get asks first: the primary, or the copy in this zone while both sides are trusted for the key", {
    scope: "pool", kind: "choice", placeholder: "WHO", fallback: "primary", choices: READ_MODES, commands: RUN,
  }),
  row("transition", "how long a reload that changes rings waits for servers that are down and for other proxies", {
    scope: "pool", kind: "duration", placeholder: "TIME", fallback: "1h", max: 7 * 86_400, unit: "s", commands: RUN,
  }),
  row("peer", "the same pool of another proxy: says in the log when the two would place or replicate differently", {
    scope: "pool", key: "peers", kind: "text", placeholder: "HOST:PORT", repeatable: true,
  }),
  row("against", "compare fingerprints and servers' states of running proxies, and of FILE", {
    kind: "text", placeholder: "HOST:PORT", repeatable: true, commands: ["check"],
  }),
  row("admin", "where the admin interface listens: page, /status, /metrics, /healthz, /readyz; host:port, /socket or off", {
    kind: "text", placeholder: "HOST:PORT", fallback: "127.0.0.1:12080", commands: [...RUN, "drain", "undrain", "reload", "transition", "upgrade"],
  }),
  row("admin-token-file", "file with the token that requests to it must bear; or TANDEM_ADMIN_TOKEN in the environment holds it", {
    kind: "text", placeholder: "PATH", commands: [...RUN, "status", "drain", "undrain", "reload", "transition", "upgrade"],
  }),
  row("keys", "file of keys, one a line, for diff (default: a sample of made-up keys)", {
    kind: "text", placeholder: "PATH", commands: ["ring"],
  }),
  row("from", "the server to copy from", { kind: "text", placeholder: "HOST:PORT", commands: ["resync"] }),
  row("to", "the server to copy to", { kind: "text", placeholder: "HOST:PORT", commands: ["resync"] }),
  row("dry-run", "compare and tell, change nothing", { commands: ["resync"] }),
  row("repair", "make the backup like the primary where they differ", { commands: ["verify"] }),
  row("lead", "whose word counts for --repair", {
    kind: "choice", placeholder: "WHO", fallback: "primary", choices: ["primary", "backup"], commands: ["verify"],
  }),
  row("delete", "also remove keys that only the side to be mended holds", { commands: MEND }),
  row("force", "copy also from a server that a proxy does not trust, because it missed writes or lost its memory", {
    commands: MEND,
  }),
  row("rate", "keys compared a second at most; 0: as fast as the servers answer", {
    kind: "integer", placeholder: "NUMBER", fallback: "20000", max: 10_000_000, unit: "keys", commands: MEND,
  }),
  row("sample", "look at so many keys, chosen by chance, or at this share of them", {
    kind: "text", placeholder: "NUMBER|N%", commands: ["verify"],
  }),
  row("list", "print each key that is not as it should be", { commands: ["verify"] }),
  row("watch", "ask again every second, until Ctrl-C", { commands: ["status"] }),
  row("json", "print one JSON object instead of tables", { commands: ["status", "verify"] }),
  row("track-file", "file for Keepalived's track_file: 0 while the address may be here, 1 when it must go", {
    kind: "text", placeholder: "PATH", commands: WATCH,
  }),
  row("hear", "a place that always answers: the gateway, the other proxy; a refusal is an answer too", {
    kind: "text", placeholder: "HOST:PORT", repeatable: true, commands: WATCH,
  }),
  row("interval", "time between two looks", {
    kind: "integer", placeholder: "MS", fallback: "100", min: 10, max: 10_000, unit: "ms", commands: WATCH,
  }),
  row("deaf-after", "this host is deaf when every --hear and every server is silent for so long; without --hear never", {
    kind: "integer", placeholder: "MS", fallback: "1000", min: 100, max: 60_000, unit: "ms", commands: WATCH,
  }),
  row("back-after", "all must be well for so long before the address may come back", {
    kind: "integer", placeholder: "MS", fallback: "1000", max: 600_000, unit: "ms", commands: WATCH,
  }),
  row("help", "this text", { short: "h", key: "", commands: COMMANDS, magent: "this message", difference: "exit code 0" }),
  row("version", "version, commit, runtime and target", { short: "V", key: "", commands: COMMANDS }),
  row("daemon-child", "where our parent waits for our report", { kind: "text", placeholder: "PATH", hidden: true }),
  row("worker-child", "which worker of our parent we are", { kind: "text", placeholder: "NUMBER", hidden: true }),
  row("heir", "we take the place of the process that started us", { hidden: true }),
  row("called", "the name our parent was called by", { kind: "text", placeholder: "NAME", hidden: true }),
];

/** The flags as people write them: "-s, --server HOST:PORT[:WEIGHT]". */
export function optionForms(option: Option): string {
  const short = option.short === "" ? "" : `-${option.short}, `;
  return `${short}--${option.long}${option.placeholder === "" ? "" : ` ${option.placeholder}`}`;
}

/** What a value may be, for error lines and help: "0 to 65535", "both, lead or any". */
export function optionAllowed(option: Option): string {
  switch (option.kind) {
    case "switch": return "no value";
    case "count": return "no value; repeat it for more";
    case "text": return option.placeholder;
    case "integer": case "duration": return `${option.min} to ${option.max}${option.unit === "" ? "" : ` ${option.unit}`}`;
    case "octal": return "octal permission bits, 0 to 777";
    case "bytes": return "1k to 1g, as bytes or with k, m or g";
    case "choice": return `${option.shown.slice(0, -1).join(", ")} or ${option.shown.at(-1)}`;
  }
}

/** The README's table of flags, Markdown, one row a flag, ending in a newline. */
export function flagsTableMarkdown(): string {
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const lines = [
    "| flag | in tandem.toml | default | meaning | magent 0.6 | difference to magent |",
    "|---|---|---|---|---|---|",
  ];
  for (const option of OPTIONS) {
    if (option.hidden) continue;
    const short = option.short === "" ? "" : `\`-${option.short}\` `;
    const only = option.commands.includes("serve") ? "" : `${option.commands.join(", ")}: `;
    const value = option.placeholder === "" ? "" : ` ${option.placeholder}`;
    const unit = option.unit === "ms" ? " ms" : "";
    const others = Object.entries(option.fallbackOf).map(([command, text]) => `; ${command}: ${text}${unit}`).join("");
    const fallback = option.fallback === "" ? "" : `${option.fallback}${unit}${others}`;
    const choices = option.kind === "choice" ? `: ${option.shown.join(", ")}` : "";
    const key = option.key === "" ? "–" : `\`${option.key}\`${option.scope === "process" ? " *" : ""}`;
    const magent = option.magent === "" ? "–" : `\`-${option.short}\` ${option.magent}`;
    const difference = option.difference === "" ? (option.magent === "" ? "new" : "none") : option.difference;
    lines.push(
      `| ${short}\`--${option.long}${cell(value)}\` | ${key} | ${fallback} | ${cell(only + option.help + choices)} | ${cell(magent)} | ${cell(difference)} |`,
    );
  }
  return lines.join("\n") + "\n";
}
