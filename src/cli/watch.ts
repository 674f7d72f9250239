// tandem watch: looks every 100 ms whether the proxy of this host answers and whether the host hears anybody, and
// writes it into a file for Keepalived's track_file: "0" the address may stay, "1" it must go. Keepalived's own scripts
// know whole seconds only.
import { problemLine, type Problem } from "../config/problem.ts";
import type { Address, Host } from "../platform/platform.ts";
import { type Context, EXIT_FAILED, fail, failUsage } from "./context.ts";
import type { CommandLine } from "./parse.ts";
import { readAddress, readPlace } from "./place.ts";
import { ManagedService } from "./service.ts";
import { verbosityOf } from "./settings.ts";
import { Watcher } from "./watcher.ts";

/** Looks between two looks at the file itself: somebody may have removed it. */
const FILE_LOOKS = 10;
const STAY = "0\n", GO = "1\n";

export function watch(context: Context, line: CommandLine): void {
  const { platform } = context;
  const { host } = platform;
  const { flags } = line;
  const proxy = readPlace("watch", line.words);
  const hear = flags.all("hear").map(readAddress);
  const problems: Problem[] = [proxy, ...hear].flatMap((read) => (read.ok ? [] : [read.problem]));
  if (!flags.has("track-file")) problems.push({ flag: "--track-file", given: "", fault: "is needed", allowed: "a file that Keepalived tracks" });
  if (problems.length > 0 || !proxy.ok) {
    for (const problem of problems.slice(0, -1)) host.stderr(`${context.called}: ${problemLine(problem)}\n`);
    return failUsage(context, problems.at(-1)!);
  }
  const path = flags.one("track-file").text;
  const log = context.openLog(verbosityOf(flags));
  const settings = {
    proxy: proxy.value.address,
    hear: hear.flatMap((read): Address[] => (read.ok ? [read.value.address] : [])),
    intervalMs: flags.number("interval"), silentMs: flags.number("timeout"),
    deafMs: flags.number("deaf-after"), backMs: flags.number("back-after"),
  };

  const before = host.readText(path);
  let now = before.ok && before.text.trim() === "0" ? STAY : GO;
  const problem = write(host, path, now);
  if (problem !== "") return fail(context, EXIT_FAILED, `--track-file ${path}: cannot be written: ${problem}`);
  const keep = (): void => {
    const found = host.readText(path);
    const problem = found.ok && found.text === now ? "" : write(host, path, now);
    if (problem !== "") log.error("track file cannot be written", { path, reason: problem });
  };

  let looks = 0;
  const watcher = new Watcher(
    platform, settings, now === STAY,
    (mayStay, why) => {
      now = mayStay ? STAY : GO;
      keep();
      if (mayStay) log.info("address may be here", { proxy: proxy.value.label });
      else log.warn("address must go", { proxy: proxy.value.label, reason: why });
    },
    () => { if (++looks % FILE_LOOKS === 0) keep(); },
  );
  const service = new ManagedService(platform, log);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    // The file stays as it is: whoever stops the watch for a moment wants no move.
    host.onSignal(signal, () => {
      watcher.stop();
      service.stopping();
      host.exit(0);
    });
  }
  log.info("watching", { proxy: proxy.value.label, track_file: path, address: now === STAY ? "may be here" : "not yet" });
  watcher.start();
  service.ready(`watching ${proxy.value.label}`);
}

/** "" when it is written, else why not. */
function write(host: Host, path: string, text: string): string {
  const written = host.writeText(path, text);
  return written.ok ? "" : written.reason;
}
