// magent.conf → its settings in tandem's words. magent 0.7 reads GLib's key files: [General], key=value, lists with
// commas, # for comments.
import { type ConfigFile, type FileEntry, type FileValue, placeOf } from "./file.ts";
import type { Problem } from "./problem.ts";

/** magent's own default, which is not its command line's. */
const PORT = "11215";

type Take = (value: string, line: number, word: string) => FileEntry[] | string;

const one = (key: string, kind: FileValue["kind"] = "string"): Take => (value, line, word) => [
  { key, word, line, list: false, values: [{ kind, text: value, raw: value, line }] },
];
const list = (key: string): Take => (value, line, word) => [{
  key, word, line, list: true,
  values: value.split(",").map((each) => each.trim()).filter((each) => each !== "").map((text) => ({ kind: "string", text, raw: text, line })),
}];
const yes = (key: string): Take => (value, line, word) => one(key, "boolean")(String(isTrue(value)), line, word);

/** What each word means here; a text says why it means nothing. */
const WORDS: Readonly<Record<string, Take>> = {
  masters: list("servers"),
  backups: list("backups"),
  port: one("port", "integer"),
  host_ip: one("listen"),
  maxconns: one("max_clients", "integer"),
  maxidle: one("lanes", "integer"),
  useketama: (value, line, word) => one("ring")(isTrue(value) ? "magent" : "magent-modulo", line, word),
  daemon_mode: yes("daemon"),
  verbose_mode: yes("verbose"),
  logdir: () => "the log goes to stderr, or with daemon_mode to --log-file",
  log_level: () => "verbose_mode, or -v and -vv",
};
const BOOLEANS: readonly string[] = ["useketama", "daemon_mode", "verbose_mode"];

export function readMagentIni(path: string, text: string): ConfigFile {
  const top: FileEntry[] = [];
  const problems: Problem[] = [];
  const notes: Problem[] = [];
  let section = "General";
  text.split("\n").forEach((whole, index) => {
    const line = index + 1;
    const content = whole.trim();
    if (content === "" || content.startsWith("#") || content.startsWith(";")) return;
    const header = /^\[(.*)\]$/.exec(content);
    if (header !== null) {
      section = header[1]!;
      if (section.toLowerCase() !== "general") {
        problems.push({ flag: placeOf(path, line, `[${section}]`), given: "", fault: "is not known to tandem", allowed: "[General]" });
      }
      return;
    }
    if (section.toLowerCase() !== "general") return;
    const match = /^([^=\s]+)\s*=\s*(.*)$/.exec(content);
    if (match === null) {
      problems.push({ flag: `${path}:${line}`, given: content, fault: "is no line of magent.conf", allowed: "key=value, [General] or # comment" });
      return;
    }
    const word = match[1]!, value = match[2]!.trim();
    const take = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
    if (take === undefined) {
      problems.push({ flag: placeOf(path, line, word), given: value, fault: "is no word of magent.conf", allowed: Object.keys(WORDS).join(", ") });
    } else if (BOOLEANS.includes(word) && !/^(true|false|1|0)$/.test(value)) {
      problems.push({ flag: placeOf(path, line, word), given: value, fault: "is neither true nor false", allowed: "true or false" });
    } else if (top.some((entry) => entry.word === word)) {
      problems.push({ flag: placeOf(path, line, word), given: value, fault: "given twice", allowed: "once" });
    } else {
      const taken = take(value, line, word);
      if (typeof taken === "string") notes.push({ flag: placeOf(path, line, word), given: value, fault: "has no equal here and is left out", allowed: taken });
      else top.push(...taken);
    }
  });
  const implied = (key: string, word: string, kind: FileValue["kind"], text: string): void => {
    if (!top.some((entry) => entry.key === key)) top.push(...(one(key, kind)(text, 0, word) as FileEntry[]));
  };
  implied("port", "port (magent's default)", "integer", PORT);
  implied("ring", "useketama (magent's default)", "string", "magent-modulo");
  return { path, top, pools: [], problems, notes, partial: false };
}

function isTrue(value: string): boolean {
  return value === "true" || value === "1";
}
