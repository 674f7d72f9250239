// tandem serve: checks what only this machine can tell, goes to the background if asked, and runs one proxy until a
// signal ends it.
import type { ServerSpec } from "../config/config.ts";
import { fingerprint, placementText, ringsDigests } from "../config/fingerprint.ts";
import { checkFdLimit } from "../config/flags.ts";
import { type Given, type Problem, problemLine } from "../config/problem.ts";
import { addressText } from "../config/servers.ts";
import type { Admin, AdminSource } from "../observe/admin.ts";
import type { Log } from "../observe/log.ts";
import type { Address, Host } from "../platform/platform.ts";
import { type AdminOutcome, openAdmin, tellAdmin } from "./admin.ts";
import { type Context, EXIT_FAILED, EXIT_USAGE, fail, failProblems, type ReloadableProxy, type RunnableProxy, type StartOutcome } from "./context.ts";
import { reportToPredecessor, Succession } from "./succession.ts";
import { goToBackground, type Report, reportInFront, reportToParent } from "./daemon.ts";
import { ManagedService } from "./service.ts";
import { LogFile } from "./log_file.ts";
import { leftOf } from "./left.ts";
import type { Flags } from "./parse.ts";
import { readServe, type ServeSettings } from "./settings.ts";
import { SYSLOG, Syslog } from "./syslog.ts";
import { verbsOf } from "./verbs.ts";
import { checkWorkers, supervise, work, workersOf } from "./workers.ts";

/** Whoever asks for an upgrade over the admin interface, which is closed for it, gets his answer within this, ms. */
const ANSWER_MS = 50;

export function serve(context: Context, flags: Flags): void {
  if (flags.has("worker-child")) return work(context);
  const read = readServe(context.platform.host, flags, context.called);
  if (!read.ok) return refuse(context, flags, read.problems);
  const settings = read.value;
  const problem = checkMachine(context, settings);
  if (problem !== null) return refuse(context, flags, [problem]);

  if (flags.has("heir")) {
    const toPredecessor = reportToPredecessor(context.platform, context.called, ({ rings, drained }) => {
      const ours = ringsDigests(settings.config.pools);
      const other = Object.keys(rings).find((pool) => ours[pool] !== undefined && ours[pool] !== rings[pool]);
      if (other === undefined) run(context, flags, settings, toPredecessor!, drained);
      else toPredecessor!.failed(EXIT_FAILED, `pool ${other} has other servers or rings than the process before: tandem reload first`);
    });
    if (toPredecessor === null) return fail(context, EXIT_FAILED, "--heir: nobody started this process to take its place");
  } else if (flags.has("daemon-child")) {
    reportToParent(context, flags.one("daemon-child").text, (report) => run(context, flags, settings, report));
  } else if (settings.background) {
    goToBackground(context, settings.logFile === null || settings.logFile.text === SYSLOG ? null : settings.logFile.text);
  } else {
    run(context, flags, settings, reportInFront(context));
  }
}

/** Whose place we were to take says in its log why nothing came of it. */
function refuse(context: Context, flags: Flags, problems: readonly Problem[]): void {
  const toPredecessor = flags.has("heir") ? reportToPredecessor(context.platform, context.called, () => {}) : null;
  if (toPredecessor === null) return failProblems(context, problems);
  toPredecessor.failed(EXIT_USAGE, problems.map(problemLine).join("; "));
}

/** What is wrong with the settings on this machine: file descriptors, the directories of unix sockets. */
function checkMachine(context: Context, settings: ServeSettings): Problem | null {
  const { host } = context.platform;
  const problem = checkWorkers(context, settings, workersOf(context, settings));
  if (problem !== null) return problem;
  for (const { listen } of settings.config.pools) {
    for (const address of listen) {
      if (address.kind !== "unix" || host.inherited.some((each) => each.kind === "unix" && each.path === address.path)) continue;
      const problem = checkSocketPath(host, { flag: "-f", text: address.path });
      if (problem !== null) return problem;
    }
  }
  return checkStateDirs(context, settings);
}

/** As with sockets: what we may do there only doing it tells; as another user it is asked again. */
function checkStateDirs({ platform: { host } }: Context, { config }: ServeSettings): Problem | null {
  for (const directory of new Set(config.pools.map(({ proxies }) => proxies.stateDir))) {
    if (directory === "") continue;
    const probe = `${directory}/.${host.pid}`;
    const made = host.writeText(probe, "");
    if (!made.ok) return { flag: "--state-dir", given: directory, fault: `cannot be written (${made.reason})`, allowed: "a directory that exists and that we may write" };
    host.removeFile(probe);
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

/** legacy: of a process that runs, whose place we take as the user that it has become: servers that are taken out of reads. */
function run(context: Context, flags: Flags, settings: ServeSettings, report: Report, legacy: readonly string[] | null = null): void {
  const heir = legacy !== null;
  const { host } = context.platform;
  const { logFile } = settings;
  const sink = logFile === null ? undefined
    : logFile.text === SYSLOG ? Syslog.open(context.platform, context.build.version)
    : LogFile.open(host, logFile.text, settings.rotation);
  if (typeof sink === "string") return report.failed(EXIT_FAILED, `${logFile!.flag} ${logFile!.text}: cannot be opened: ${sink}`);
  const log = context.openLog(settings.verbosity, settings.logFormat, sink);
  if (sink instanceof LogFile) sink.onStuck = (reason) => log.warn("log file cannot be turned over, it grows on", { path: logFile!.text, reason });
  const service = new ManagedService(context.platform, log);
  const workers = workersOf(context, settings);
  const pidFile = settings.pidFile;
  let ready = false;
  let pidWritten = false;
  // Another process has our place, and the pid file.
  let passed = false;
  // Once the ports are open, and as root still: a pid file in /run can be written by nobody else.
  const bound = (): string | null => {
    if (pidFile !== null) {
      const written = host.writeText(pidFile.text, `${host.pid}\n`);
      if (!written.ok && !heir) return `${pidFile.flag} ${pidFile.text}: cannot be written: ${written.reason}`;
      if (!written.ok) log.warn("pid file cannot be written", { path: pidFile.text, reason: written.reason });
      pidWritten = written.ok;
    }
    if (settings.user === null || heir) return null;
    // His own log he can open again: at an upgrade, and when somebody has moved it.
    const became = host.becomeUser(settings.user.text, settings.group?.text ?? null, sink instanceof LogFile ? [logFile!.text] : []);
    if (!became.ok) return `${settings.user.flag} ${settings.user.text}: ${became.reason}`;
    const problem = checkStateDirs(context, settings);
    return problem === null ? null : problemLine(problem);
  };
  const proxy = workers > 1 ? supervise(context, settings, workers, log, bound) : context.makeProxy(settings.config, log);
  const source: AdminSource = { collect: (done) => proxy.collect(done), verbs: [
    ...verbsOf(proxy, () => {
      const { obstacle } = succession;
      if (obstacle !== null) return obstacle;
      succession.failure = "";
      context.platform.clock.timer(ANSWER_MS, () => succession.begin());
      return null;
    }, () => succession),
    {
      path: "/reload", help: "reads the file of settings again and takes what it says, all of it or nothing",
      run: (_query, done) => reloadNow((ok, text) => done({ ok, text })),
    },
    {
      path: "/transition/end", help: "rings that are to change wait no longer for servers that are away",
      run: (_query, done) => proxy.endTransition((ok) => done({ ok, text: ok ? "rings wait no longer" : "no rings are changing" })),
    },
  ] };
  let admin: Admin | null = null;
  const leave = (code: number): never => {
    admin?.stop();
    if (pidFile !== null && !passed) host.removeFile(pidFile.text);
    return host.exit(code);
  };
  const succession = new Succession(context, log, {
    proxy, drainMs: settings.drainMs,
    release: () => admin?.stop(),
    retake: () => openAdmin(context.platform, settings.admin, source, (found) => {
      if (found.ok) admin = found.admin;
    }),
    passed: (pid) => {
      passed = true;
      service.passed(pid);
    },
    leave: () => leave(0),
  });
  host.onSignal("SIGUSR2", () => { if (ready) succession.begin(); });
  const running: Pick<RunnableProxy, "stop"> = {
    stop: (drainMs, done) => {
      if (!passed) service.stopping();
      proxy.stop(drainMs, done);
    },
  };
  stopOnSignals(context, log, settings.drainMs, () => (ready ? running : null), leave);
  // Whoever takes our place has the settings that we have now.
  const reloadNow = (done: (ok: boolean, text: string) => void): void => {
    // As programs that turn logs over have it: they move the file and then say so.
    const kept = sink instanceof LogFile ? sink.reopen() : "";
    if (kept !== "") log.warn("log file cannot be opened anew, the log goes on in the one before", { path: logFile!.text, reason: kept });
    if (!succession.under) return reload(context, flags, log, proxy, settings, done);
    log.warn("reload refused, an upgrade is under way");
    done(false, "an upgrade is under way");
  };
  host.onSignal("SIGHUP", () => { if (ready) reloadNow(() => {}); });

  // Both at once: what cannot listen is known before anything else has happened.
  let opened: AdminOutcome | null = null;
  let outcome: StartOutcome | null = null;
  const settle = (): void => {
    if (opened === null || outcome === null) return;
    const problem = !opened.ok ? opened.reason : !outcome.ok ? outcome.reason : workers > 1 ? null : bound();
    if (!opened.ok || !outcome.ok || problem !== null) {
      if (pidWritten) host.removeFile(pidFile!.text);
      return report.failed(EXIT_FAILED, problem ?? "");
    }
    admin = opened.admin;
    ready = true;
    tellStart(log, settings, outcome.addresses, workers);
    tellAdmin(log, opened);
    report.ready();
    service.ready(`listening on ${outcome.addresses.map(addressText).join(", ")}`);
  };
  const administer = (): void => openAdmin(context.platform, settings.admin, source, (found) => {
    opened = found;
    settle();
  });
  // Whoever asks the admin interface of an heir asks one that serves.
  if (!heir) administer();
  else proxy.keepDrained(legacy);
  proxy.start((found) => {
    outcome = found;
    if (heir && found.ok) administer();
    else if (heir && !found.ok) report.failed(EXIT_FAILED, found.reason);
    else settle();
  }, heir);
}

/**
 * Reads the file again, under the same flags, and takes what it says. On any problem the settings stay as they are. The
 * answer, for people, goes to the log as well. holds: the settings of the start.
 */
export function reload(context: Context, flags: Flags, log: Log, proxy: ReloadableProxy, holds: ServeSettings, done: (ok: boolean, text: string) => void): void {
  const refuse = (reasons: readonly string[]): void => {
    for (const reason of reasons) log.error("reload refused, the settings stay as they are", { reason });
    done(false, reasons.join("\n"));
  };
  if (!flags.has("config")) return refuse(["there is no file to read again: tandem was started without -c"]);
  const read = readServe(context.platform.host, flags, context.called);
  if (!read.ok) return refuse(read.problems.map(problemLine));
  const limit = checkFdLimit(read.value.config, context.platform.host.fdLimit(), read.value.clients, workersOf(context, holds));
  if (limit !== null) return refuse([problemLine(limit)]);
  proxy.reload(read.value.config, (outcome) => {
    if (!outcome.ok) return refuse([outcome.reason]);
    const left = leftOf(holds, read.value);
    const changes = outcome.changes.length === 0 && left.length === 0 ? ["nothing has changed"] : outcome.changes;
    for (const change of changes) log.info("reloaded", { change });
    for (const { change, by } of left) log.warn("a setting is not taken by a reload", { change, taken_by: by });
    done(true, [...changes, ...left.map(({ change, by }) => `${change}: not taken by a reload, but by ${by}`)].join("\n"));
  });
}

/**
 * The first SIGTERM or SIGINT drains and leaves with 0, the second leaves at once with 1. running answers the proxy
 * once it serves; before that there is nobody to drain.
 */
export function stopOnSignals(
  context: Context,
  log: Log,
  drainMs: number,
  running: () => Pick<RunnableProxy, "stop"> | null,
  leave: (code: number) => never,
): void {
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    context.platform.host.onSignal(signal, () => {
      const proxy = running();
      if (asked || proxy === null) leave(asked ? EXIT_FAILED : 0);
      else {
        asked = true;
        log.info("stopping", { signal, drain_ms: drainMs });
        proxy.stop(drainMs, () => { leave(0); });
      }
    });
  }
}

function tellStart(log: Log, settings: ServeSettings, addresses: readonly Address[], workers: number): void {
  const { pools } = settings.config;
  for (const note of settings.notes) log.warn("setting left out", { setting: note.flag, given: note.given, instead: note.allowed });
  for (const address of addresses) log.info("listening", { address: addressText(address) });
  if (workers > 1) log.info("workers share the ports", { workers });
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
