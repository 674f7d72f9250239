// What makes a shell complete tandem's commands, flags and values, printed from the tables.
import { type Command, COMMANDS, OPTIONS, type Option, type SHELLS, WORDS } from "./options.ts";
import { USAGE } from "./help.ts";
import { isForm } from "./man.ts";

/** The script for a shell, ending in a newline. */
export function completionScript(shell: (typeof SHELLS)[number]): string {
  return `${{ bash, zsh, fish }[shell]().join("\n")}\n`;
}

/** What stands behind a flag: one of some words, a path, something that only the user knows, or nothing. */
function valueOf(option: Option): readonly string[] | "path" | "any" | "none" {
  if (option.kind === "switch" || option.kind === "count") return "none";
  if (option.kind === "choice") return option.choices;
  return /^(PATH|FILE|DIR)\b/.test(option.placeholder) ? "path" : "any";
}

function flagsOf(command: Command): readonly Option[] {
  return OPTIONS.filter((option) => !option.hidden && option.commands.includes(command));
}

function forms(option: Option): string[] {
  return [`--${option.long}`, ...(option.short === "" ? [] : [`-${option.short}`])];
}

/** Whether the words of a command are files. */
function takesFiles(command: Command): boolean {
  return command === "check" || command === "config";
}

function bash(): string[] {
  const valued = OPTIONS.filter((option) => !option.hidden && valueOf(option) !== "none");
  const cases = valued.map((option) => {
    const value = valueOf(option);
    const does = typeof value !== "string" ? `words='${value.join(" ")}'` : value === "path" ? "files=yes" : ":";
    return `    ${forms(option).join("|")}) ${does}; value=yes ;;`;
  });
  const commands = COMMANDS.map((command) => {
    const flags = flagsOf(command).flatMap(forms);
    const words = [...(WORDS[command] ?? []), ...flags].join(" ");
    return `      ${command}) words='${words}'${takesFiles(command) ? "; files=yes" : ""} ;;`;
  });
  return [
    "# Completion of tandem for bash.",
    "_tandem() {",
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=serve words= files= value=",
    "  # --flag=value comes as three words.",
    "  if [ \"$cur\" = = ]; then cur=; elif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi",
    "  case $prev in",
    ...cases,
    "  esac",
    "  if [ -z \"$value\" ]; then",
    `    case \${COMP_WORDS[1]} in ${COMMANDS.join("|")}) [ "$COMP_CWORD" -eq 1 ] || command=\${COMP_WORDS[1]} ;; esac`,
    "    case $command in",
    ...commands,
    "    esac",
    `    [ "$COMP_CWORD" -ne 1 ] || words="${COMMANDS.join(" ")} $words"`,
    "  fi",
    "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))",
    "  if [ -n \"$files\" ]; then",
    "    compopt -o filenames 2>/dev/null",
    "    COMPREPLY+=($(compgen -f -- \"$cur\"))",
    "  fi",
    "}",
    "complete -F _tandem tandem",
  ];
}

function zsh(): string[] {
  const flag = (option: Option): string => {
    const value = valueOf(option);
    const name = option.placeholder.replaceAll(":", "\\:");
    const after = value === "none" ? "" : `:${name}:${value === "path" ? "_files" : value === "any" ? "" : `(${value.join(" ")})`}`;
    const help = option.help.replaceAll("[", "\\[").replaceAll("]", "\\]").replaceAll(":", "\\:");
    const many = option.repeatable || option.kind === "count" ? "*" : "";
    // "--ack=both" and "-p5" as well as two words.
    const joined = (form: string): string => (value === "none" ? "" : form.startsWith("--") ? "=" : "+");
    return forms(option).map((form) => `      ${quoted(`${many}${form}${joined(form)}[${help}]${after}`)}`).join(" \\\n");
  };
  const cases = COMMANDS.flatMap((command) => {
    const words = WORDS[command];
    const first = words === undefined || words.length === 0 ? [] : [`      '1:word:(${words.join(" ")})'`];
    const rest = [...first, ...(takesFiles(command) ? [`      '*:file:_files'`] : [])];
    return [`    ${command}) _arguments -s \\`, [...flagsOf(command).map(flag), ...rest].join(" \\\n"), "    ;;"];
  });
  return [
    "#compdef tandem",
    "# Completion of tandem for zsh.",
    "_tandem() {",
    "  local -a commands",
    "  commands=(",
    ...COMMANDS.map((command) => `    ${quoted(`${command}:${firstLine(command).replaceAll(":", "\\:")}`)}`),
    "  )",
    "  local command=serve",
    "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then",
    "    _describe command commands",
    "    return",
    "  fi",
    `  case $words[2] in ${COMMANDS.join("|")}) command=$words[2]; shift words; (( CURRENT-- )) ;; esac`,
    "  case $command in",
    ...cases,
    "  esac",
    "}",
    "if [[ $funcstack[1] == _tandem ]]; then _tandem \"$@\"; else compdef _tandem tandem; fi",
  ];
}

function fish(): string[] {
  const seen = (command: Command): string => command === "serve"
    ? `"not __fish_seen_subcommand_from ${COMMANDS.filter((each) => each !== "serve").join(" ")}"`
    : `"__fish_seen_subcommand_from ${command}"`;
  const lines = ["# Completion of tandem for fish.", "complete -c tandem -f"];
  for (const command of COMMANDS) {
    lines.push(`complete -c tandem -n __fish_use_subcommand -a ${command} -d ${quoted(firstLine(command))}`);
    const words = WORDS[command] ?? [];
    if (words.length > 0) lines.push(`complete -c tandem -n ${seen(command)} -a ${quoted(words.join(" "))}`);
    if (takesFiles(command)) lines.push(`complete -c tandem -n ${seen(command)} -F`);
    for (const option of flagsOf(command)) {
      const value = valueOf(option);
      const short = option.short === "" ? "" : ` -s ${option.short}`;
      const after = value === "none" ? "" : value === "path" ? " -r -F" : value === "any" ? " -x" : ` -x -a ${quoted(value.join(" "))}`;
      lines.push(`complete -c tandem -n ${seen(command)} -l ${option.long}${short}${after} -d ${quoted(option.help)}`);
    }
  }
  return lines;
}

/** What a command is for, in a few words. */
function firstLine(command: Command): string {
  return USAGE[command].find((line) => !isForm(line))?.split(/[.:;,]( |$)/)[0] ?? command;
}

/** For all three shells: within single quotes nothing has a meaning but they themselves. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\"'\"'")}'`;
}
