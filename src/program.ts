// argv → what to run. The one place that joins commands, proxy and process log; the doors (main.*.ts) bring the
// platform. Exit codes: 0 done, 1 it could not be done, 2 it was not asked rightly, 3 nobody to ask; some commands say
// more with 1 (cli/help.ts).
import { type Build, type Context, failUsage, type Invocation } from "./cli/context.ts";
import { check, config } from "./cli/configs.ts";
import { dev } from "./cli/dev.ts";
import { helpText } from "./cli/help.ts";
import { openLog } from "./cli/log.ts";
import { drain } from "./cli/drain.ts";
import { tell, transition } from "./cli/tell.ts";
import { upgrade } from "./cli/upgrade.ts";
import { completionScript } from "./cli/completion.ts";
import { manPage } from "./cli/man.ts";
import { COMMANDS, type Command, SHELLS, WORDS } from "./cli/options.ts";
import { type CommandLine, parseCommandLine } from "./cli/parse.ts";
import { ping } from "./cli/ping.ts";
import { ring } from "./cli/rings.ts";
import { resync } from "./cli/resync.ts";
import { serve } from "./cli/serve.ts";
import { status } from "./cli/status.ts";
import { verify } from "./cli/verify.ts";
import { watch } from "./cli/watch.ts";
import { versionLines } from "./cli/version.ts";
import { type Given, wrong } from "./config/problem.ts";
import type { Platform } from "./platform/platform.ts";
import { Proxy } from "./proxy.ts";

export type { Build, Invocation };

/** Runs the program to its end; the process goes on for as long as there is something to serve. */
export function main(platform: Platform, invocation: Invocation): void {
  const line = parseCommandLine(invocation.args);
  const child = line.ok && line.value.flags.has("called") ? line.value.flags.one("called").text : null;
  const context: Context = {
    platform,
    called: (child ?? baseName(invocation.argv0)) === "magent" ? "magent" : "tandem",
    build: invocation.build,
    args: invocation.args,
    makeProxy: (config, log) => new Proxy(platform, config, log, invocation.build),
    makeWorker: (config, log, company) => new Proxy(platform, config, log, invocation.build, company),
    openLog: (verbosity, format = "text", sink = { stamps: false, write: (line) => platform.host.stderr(line) }) => openLog(platform, verbosity, format, sink),
  };
  if (!line.ok) return failUsage(context, line.problem);
  run(context, line.value);
}

function run(context: Context, line: CommandLine): void {
  const { host } = context.platform;
  if (line.flags.has("help")) return host.stdout(helpText(line.command));
  if (line.flags.has("version")) return host.stdout(`${versionLines(context).join("\n")}\n`);
  const stray = line.words[line.command === "help" || line.command === "completion" ? 1 : 0];
  if (stray !== undefined && (WORDS[line.command] === undefined || line.command === "help" || line.command === "completion")) {
    const given: Given = { flag: line.command, text: stray };
    return failUsage(context, wrong(given, "is not expected", WORDS[line.command] === undefined ? "flags only" : "one word").problem);
  }
  switch (line.command) {
    case "serve": return serve(context, line.flags);
    case "dev": return dev(context, line.flags);
    case "status": return status(context, line);
    case "ping": return ping(context, line);
    case "watch": return watch(context, line);
    case "drain": case "undrain": return drain(context, line);
    case "reload": return tell(context, line.flags, "/reload");
    case "transition": return transition(context, line.flags, ...(line.words as [string?, string?]));
    case "upgrade": return upgrade(context, line.flags);
    case "check": return check(context, line);
    case "config": return config(context, line);
    case "resync": return resync(context, line.flags);
    case "verify": return verify(context, line.flags);
    case "ring": return ring(context, line);
    case "man": return host.stdout(manPage(context.build.version));
    case "completion": return completion(context, line.words[0]);
    case "version": return host.stdout(`${versionLines(context).join("\n")}\n`);
    case "help": return help(context, line.words[0]);
  }
}

function completion(context: Context, word: string | undefined): void {
  const shell = SHELLS.find((each) => each === word);
  if (shell === undefined) {
    return failUsage(context, wrong({ flag: "completion", text: word ?? "" }, word === undefined ? "for which shell" : "no such shell", SHELLS.join(", ")).problem);
  }
  context.platform.host.stdout(completionScript(shell));
}

function help(context: Context, about: string | undefined): void {
  const command: Command | undefined = about === undefined ? "help" : COMMANDS.find((each) => each === about);
  if (command === undefined) {
    return failUsage(context, wrong({ flag: "help", text: about ?? "" }, "no such command", COMMANDS.join(", ")).problem);
  }
  context.platform.host.stdout(helpText(command));
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
