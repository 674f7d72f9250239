// tandem serve: checks what only this machine can tell, goes to the background if asked, and runs one proxy until a
// signal ends it.
import type { ServerSpec } from "../config/config.ts";
import { fingerprint, placementText } from "../config/fingerprint.ts";
import { checkFdLimit } from "../config/flags.ts";
import type { Given, Problem } from "../config/problem.ts";
import { addressText } from "../config/servers.ts";
import type { Log } from "../observe/log.ts";
import type { Address, Host } from "../platform/platform.ts";
import { type Context, EXIT_FAILED, failProblems, failUsage, type RunnableProxy } from "./context.ts";
import { goToBackground, type Report, reportInFront, reportToParent } from "./daemon.ts";
import { ManagedService } from "./service.ts";
import type { Flags } from "./parse.ts";
import { readServe, type ServeSettings } from "./settings.ts";

/** How long clients that have asked may wait for their answers after SIGTERM. */
export const DRAIN_MS = 5000;

export function serve(context: Context, flags: Flags): void {
  const read = readServe(context.platform.host, flags, context.called);
  if (!read.ok) return failProblems(context, read.problems);
  const settings = read.value;
  const problem = checkMachine(context.platform.host, settings);
  if (problem !== null) return failUsage(context, problem);

  if (flags.has("daemon-child")) {
    reportToParent(context, flags.one("daemon-child").text, (report) => run(context, settings, report));
  } else if (settings.background) {
    goToBackground(context, settings.logFile?.text ?? null);
  } else {
    run(context, settings, reportInFront(context));
  }
}

/** What is wrong with the settings on this machine: file descriptors, the directories of unix sockets. */
function checkMachine(host: Host, settings: ServeSettings): Problem | null {
  const limit = checkFdLimit(settings.config, host.fdLimit(), settings.clients);
  if (limit !== null) return limit;
  for (const { listen } of settings.config.pools) {
    for (const address of listen) {
      const problem = address.kind === "unix" ? checkSocketPath(host, { flag: "-f", text: address.path }) : null;
      if (problem !== null) return problem;
    }
  }
  return null;
}

/** Only making a file tells whether one can be made there: rights, mounts and missing directories all count. */
function checkSocketPath(host: Host, given: Given): Problem | null {
  const path = given.text;
  if (host.readText(path).ok) {
    return { flag: given.flag, given: path, fault: "is a file", allowed: "a socket, or a path where nothing is" };
  }
  const probe = `${path}.${host.pid}`;
  const made = host.writeText(probe, "");
  if (!made.ok) {
    const allowed = "a path in a directory that exists and that we may write";
    return { flag: given.flag, given: path, fault: `cannot be made (${made.reason})`, allowed };
  }
  host.removeFile(probe);
  return null;
}

function run(context: Context, settings: ServeSettings, report: Report): void {
  const { host } = context.platform;
  const log = context.openLog(settings.verbosity);
  const proxy = context.makeProxy(settings.config, log);
  const service = new ManagedService(context.platform, log);
  const pidFile = settings.pidFile;
  const leave = (code: number): never => {
    if (pidFile !== null) host.removeFile(pidFile.text);
    return host.exit(code);
  };
  let ready = false;
  const running: RunnableProxy = {
    start: (done) => proxy.start(done),
    stop: (drainMs, done) => {
      service.stopping();
      proxy.stop(drainMs, done);
    },
  };
  stopOnSignals(context, log, () => (ready ? running : null), leave);

  proxy.start((outcome) => {
    if (!outcome.ok) return report.failed(EXIT_FAILED, outcome.reason);
    // As root still: a pid file in /run can be written by nobody else.
    if (pidFile !== null) {
      const written = host.writeText(pidFile.text, `${host.pid}\n`);
      if (!written.ok) {
        return report.failed(EXIT_FAILED, `${pidFile.flag} ${pidFile.text}: cannot be written: ${written.reason}`);
      }
    }
    if (settings.user !== null) {
      const became = host.becomeUser(settings.user.text, settings.group?.text ?? null);
      if (!became.ok) {
        if (pidFile !== null) host.removeFile(pidFile.text);
        return report.failed(EXIT_FAILED, `${settings.user.flag} ${settings.user.text}: ${became.reason}`);
      }
    }
    ready = true;
    tellStart(log, settings, outcome.addresses);
    report.ready();
    service.ready(`listening on ${outcome.addresses.map(addressText).join(", ")}`);
  });
}

/**
 * The first SIGTERM or SIGINT drains and leaves with 0, the second leaves at once with 1. running answers the proxy
 * once it serves; before that there is nobody to drain.
 */
export function stopOnSignals(
  context: Context,
  log: Log,
  running: () => RunnableProxy | null,
  leave: (code: number) => never,
): void {
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    context.platform.host.onSignal(signal, () => {
      const proxy = running();
      if (asked || proxy === null) leave(asked ? EXIT_FAILED : 0);
      else {
        asked = true;
        log.info("stopping", { signal, drain_ms: DRAIN_MS });
        proxy.stop(DRAIN_MS, () => { leave(0); });
      }
    });
  }
}

function tellStart(log: Log, settings: ServeSettings, addresses: readonly Address[]): void {
  const { pools } = settings.config;
  for (const note of settings.notes) log.warn("setting left out", { setting: note.flag, given: note.given, instead: note.allowed });
  for (const address of addresses) log.info("listening", { address: addressText(address) });
  const labels = (servers: readonly ServerSpec[]): string => servers.map((server) => server.label).join(",");
  for (const pool of pools) {
    const fields = { ...(pools.length > 1 ? { pool: pool.name } : {}), primaries: labels(pool.primaries), ring: pool.ring };
    const mark = { fingerprint: fingerprint(placementText(pool)) };
    if (pool.backups.length > 0) log.info("serving", { ...fields, backups: labels(pool.backups), ack: pool.ack, ...mark });
    else log.warn("serving without backups: a server's loss is the loss of its keys", { ...fields, ...mark });
    const { zone, read } = pool.region;
    if (read === "nearest" && ![...pool.primaries, ...pool.backups].some((server) => zone !== "" && server.zone === zone)) {
      log.warn("read nearest has no effect: no server stands in this zone", { pool: pool.name, zone: zone === "" ? "not given" : zone });
    }
  }
}
