// The manual page tandem(1) as roff, printed from the tables of commands and flags.
import { describe, USAGE, wrap } from "./help.ts";
import { type Command, COMMANDS, OPTIONS, type Option } from "./options.ts";

/** Lines of the source, for whoever reads that; escapes come on top. */
const WIDTH = 72;

/** The whole page, ending in a newline. */
export function manPage(version: string): string {
  const lines = [
    `.\\" Printed by tandem man.`,
    `.TH TANDEM 1 "" "tandem ${text(version)}" "User Commands"`,
    ".SH NAME",
    "tandem \\- a proxy for memcached that keeps every key on two servers",
    ".SH SYNOPSIS",
    ...COMMANDS.flatMap((command) => USAGE[command].filter(isForm)).flatMap((form, index) => [...(index === 0 ? [] : [".br"]), ...formLines(form)]),
    ".SH DESCRIPTION",
    text("Clients connect to tandem as to one memcached. It places each key by Ketama on one server of a ring of primaries and on one of "
      + "a ring of backups, writes to both, reads from the primary, and goes on with the backup when the primary is lost. A server that "
      + "comes back is written at once, but not read before it holds what it missed."),
    ".PP",
    "Called by the name",
    ".B magent",
    "it behaves as magent: see the flags",
    ".B \\-k",
    "and",
    ".BR \\-D .",
    ".SH COMMANDS",
    ...COMMANDS.flatMap(commandLines),
    ".SH FLAGS",
    text("Short flags may be joined to each other and to their values."),
    ...OPTIONS.filter((option) => !option.hidden).flatMap(flagLines),
    ".SH EXIT STATUS",
    text("0: done. 1: it could not be done, or what was looked at is not as it should be. 2: it was not asked rightly; one line on stderr "
      + "tells the flag or the key, what was given and what is allowed. 3: whoever was to be asked does not answer. 130: interrupted."),
    ".SH SIGNALS",
    text("The first SIGTERM or SIGINT lets clients have the answers under way, for as long as --drain says at most; the second one ends at once. "
      + "SIGHUP is the same as tandem reload: the file of settings is read again, and the log file opened anew. SIGUSR2 is the same as tandem upgrade."),
    ".SH ENVIRONMENT",
    ...environmentLines(),
    ".SH FILES",
    ".TP", ".I /etc/default/tandem", "What the services of systemd are started with, in the Debian package.",
    ".TP", ".I /run/tandem/address", "What tandem watch writes for Keepalived, in the Debian package.",
    ".SH SEE ALSO",
    ".BR memcached (1),",
    ".BR keepalived.conf (5)",
  ];
  return `${lines.join("\n")}\n`;
}

/** Whether a line of USAGE says how a command is written, and not what it does. */
export function isForm(line: string): boolean {
  const second = line.split(" ")[1] ?? "";
  return line.startsWith("tandem ") && (second === "[serve]" || COMMANDS.some((command) => command === second));
}

/** "tandem ping [HOST:PORT]" with the names in bold. */
function formLines(form: string): string[] {
  const bold = /^tandem(?: \[serve\])?(?: [a-z]+(?![|a-z]))*/.exec(form)![0];
  return [`.B ${text(bold)}`, ...(form.length > bold.length ? [text(form.slice(bold.length).trim())] : [])];
}

function commandLines(command: Command): string[] {
  const lines = [`.SS ${command}`];
  let before = "";
  for (const line of USAGE[command]) {
    if (isForm(line)) lines.push(...(before === "" ? [] : [isForm(before) ? ".br" : ".PP"]), ...formLines(line));
    else if (isForm(before)) lines.push(".PP", text(line));
    else lines.push(text(line));
    before = line;
  }
  return lines;
}

function flagLines(option: Option): string[] {
  const forms = [...(option.short === "" ? [] : [`-${option.short}`]), `--${option.long}`].map((form) => `\\fB${text(form)}\\fR`).join(", ");
  const value = option.placeholder === "" ? "" : ` \\fI${text(option.placeholder)}\\fR`;
  const shared = option.commands.length === COMMANDS.length;
  const takers = shared ? "" : ` Of ${option.commands.join(", ")}.`;
  const others = Object.entries(option.fallbackOf).map(([command, fallback]) => ` For ${command} the default is ${fallback}.`).join("");
  const said = describe(option, option.commands[0]!);
  return [".TP", `${forms}${value}`, text(`${said[0]!.toUpperCase()}${said.slice(1)}.${takers}${others}`)];
}

function environmentLines(): string[] {
  const own = OPTIONS.filter(({ env, hidden }) => env !== "" && !hidden).flatMap(({ env, long }) => [".TP", `.B ${env}`, `In place of ${text(`--${long}`)}.`]);
  return [
    ...own,
    ".TP", ".B TANDEM_ADMIN_TOKEN", text("In place of a file of --admin-token-file, of tandem and of the commands that ask its admin interface."),
    ".TP", ".B NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID", "Where and how often systemd is told that tandem serves.",
    ".TP", ".B LISTEN_FDS, LISTEN_PID", "Sockets that systemd bound; each must be one of the addresses to listen on.",
  ];
}

/** As roff's own text, in lines: no escapes, no requests, and hyphens that can be copied. */
function text(plain: string): string {
  return wrap(plain, WIDTH).map((line) => {
    const escaped = line.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll('"', "\\(dq").replaceAll("'", "\\(aq");
    return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
  }).join("\n");
}
