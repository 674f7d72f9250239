// What every command is given: the platform, who we were called as, what was built, and how to make a proxy.
import type { ProxyConfig } from "../config/config.ts";
import { type Problem, problemLine } from "../config/problem.ts";
import type { VerbOutcome } from "../observe/admin.ts";
import type { Log } from "../observe/log.ts";
import type { Report } from "../observe/report.ts";
import type { Address, Platform, Port } from "../platform/platform.ts";
import type { Company, WorkingProxy } from "../workers/worker.ts";
import type { LogSink } from "./log.ts";
import type { LogFormat } from "./options.ts";

/** What was baked in when the program was built. */
export interface Build {
  /** "0.1.0" */
  readonly version: string;
  /** The commit, with "-dirty" when the tree had changes; "source" when run without a build. */
  readonly commit: string;
  /** "linux-x64-musl", or "" when run without a build: then the platform says. */
  readonly target: string;
}

/** How the process was started. */
export interface Invocation {
  /** Without the program's own name. */
  readonly args: readonly string[];
  /** The name or path it was called by; a link named magent behaves as magent. */
  readonly argv0: string;
  readonly build: Build;
}

export type StartOutcome =
  | { readonly ok: true; readonly addresses: readonly Address[] }
  | { readonly ok: false; readonly reason: string };

export type ReloadOutcome =
  | { readonly ok: true; readonly changes: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/** The proxy as the commands use it. */
export interface RunnableProxy {
  /** done is called once: when every address listens, or when one cannot. patient: its servers are waited for first. */
  start(done: (outcome: StartOutcome) => void, patient?: boolean): void;
  /** Accepts no more, answers what was asked for at most drainMs, then closes everything. */
  stop(drainMs: number, done: () => void): void;
  /** What clients connect to, for a process that takes our place; null: it cannot be handed on. */
  handOn(): readonly Port[] | null;
  /** They are of no use to it afterwards. */
  readonly portsAreCopies: boolean;
  /** Where each pool keeps its keys (ringsDigests), and whether that is just changing. */
  readonly rings: Readonly<Record<string, string>>;
  readonly changing: boolean;
  /** Servers that were taken out of reads here by hand. */
  readonly drained: readonly string[];
  /** Servers that the process before us had taken out are out from the beginning; told before start. */
  keepDrained(servers: readonly string[]): void;
  /** Accepts nobody and goes on to serve who is there, for at most drainMs. */
  retire(drainMs: number, done: () => void): void;
}

/** One that tells of itself. */
export interface ToldProxy extends RunnableProxy {
  /** done is called once, soon; null: nobody of those who know can tell. */
  collect(done: (report: Report | null) => void): void;
  /** Takes a server out of reads, or puts it back; done is called once, soon. */
  drain(server: string, drained: boolean, done: (outcome: VerbOutcome) => void): void;
}

/** What takes other settings while it runs: all of them or none. */
export interface ReloadableProxy {
  reload(config: ProxyConfig, done: (outcome: ReloadOutcome) => void): void;
}

/** One whose settings and rings may change while it serves. */
export interface ChangingProxy extends ToldProxy, ReloadableProxy {
  /** Rings that are to change wait no longer for servers that are away; done(false): there are none. */
  endTransition(done: (changing: boolean) => void): void;
}

export interface Context {
  readonly platform: Platform;
  readonly called: "tandem" | "magent";
  readonly build: Build;
  readonly args: readonly string[];
  readonly makeProxy: (config: ProxyConfig, log: Log) => ChangingProxy;
  /** The same as one of several workers. */
  readonly makeWorker: (config: ProxyConfig, log: Log, company: Company) => WorkingProxy;
  /** The log of this process, on stderr unless sink says where; called once at most. */
  readonly openLog: (verbosity: number, format?: LogFormat, sink?: LogSink) => Log;
}

/** Exit codes: 1, it could not be done; 2, it was not asked rightly; 3, whoever was to be asked cannot be. */
export const EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3;

/** Ends the process with one line on stderr. */
export function fail(context: Context, code: number, line: string): never {
  context.platform.host.stderr(`${context.called}: ${line}\n`);
  return context.platform.host.exit(code);
}

export function failUsage(context: Context, problem: Problem): never {
  return fail(context, EXIT_USAGE, problemLine(problem));
}

/** The same with a line for each problem. */
export function failProblems(context: Context, problems: readonly Problem[]): never {
  for (const problem of problems) context.platform.host.stderr(`${context.called}: ${problemLine(problem)}\n`);
  return context.platform.host.exit(EXIT_USAGE);
}
