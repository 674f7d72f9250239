// tandem serve --workers: the supervisor's side of the process, and the worker's.
import { checkFdLimit, reservedFds } from "../config/flags.ts";
import type { Problem } from "../config/problem.ts";
import type { Log } from "../observe/log.ts";
import { Supervisor } from "../workers/supervisor.ts";
import { WorkerEnd } from "../workers/worker.ts";
import { type Context, EXIT_FAILED, fail } from "./context.ts";
import type { ServeSettings } from "./settings.ts";

/** How many workers the settings mean on this machine. */
export function workersOf(context: Context, settings: ServeSettings): number {
  return settings.workers.count === 0 ? context.platform.host.cores() : settings.workers.count;
}

/** What is wrong with so many workers on this machine. */
export function checkWorkers(context: Context, settings: ServeSettings, workers: number): Problem | null {
  const { crew, host } = context.platform;
  if (workers > 1 && crew.refusal !== "") {
    return { flag: settings.workers.flag, given: settings.workers.text, fault: crew.refusal, allowed: "1" };
  }
  return checkFdLimit(settings.config, host.fdLimit(), settings.clients, workers);
}

/** The proxy of several workers; bound is called when the ports are open and no worker has started. */
export function supervise(context: Context, settings: ServeSettings, workers: number, log: Log, bound: () => string | null): Supervisor {
  const limit = context.platform.host.fdLimit();
  return new Supervisor(context.platform, log, {
    workers, config: settings.config, bound,
    clientsPerWorker: (config) => (limit === 0 ? Infinity : limit - reservedFds(config)),
    args: (number) => ["serve", `--worker-child=${number}`, `--called=${context.called}`],
  });
}

/** Runs this process as a worker, until it is told to leave or its supervisor is gone. */
export function work(context: Context): void {
  const { platform } = context;
  const end = new WorkerEnd(platform, context.makeWorker, (code) => platform.host.exit(code));
  if (end.alone) fail(context, EXIT_FAILED, "--worker-child: nobody supervises this process");
  // The terminal and the service manager signal the whole group: the supervisor says what is to be done.
  for (const signal of ["SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM"] as const) platform.host.onSignal(signal, () => {});
}
