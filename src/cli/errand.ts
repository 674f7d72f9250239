// What tandem resync and tandem verify have in common: visit the servers, list their keys, compare them key by key
// with progress, stop in order when asked to, and end with an exit code.
import type { ServerSpec } from "../config/config.ts";
import { type Server } from "../backend/server.ts";
import { Comparison, type ComparisonOptions, type Place } from "../replication/copying/compare.ts";
import { Holdings } from "../replication/copying/holdings.ts";
import { Visit } from "../replication/copying/visit.ts";
import { type Context, EXIT_UNREACHABLE } from "./context.ts";
import { Progress } from "./progress.ts";

/** All keys are as they should be; some are not; a signal ended it. */
export const EXIT_EQUAL = 0, EXIT_DIFFERENT = 1, EXIT_INTERRUPTED = 130;
/** Keys under way at a time: few, so that a server's clients come first. */
const UNDER_WAY_MAX = 64;

export interface Errand {
  readonly servers: readonly ServerSpec[];
  readonly keysPerSecond: number;
  /** Whether the key bytes[start, end) is of any interest. */
  wanted(bytes: Uint8Array, start: number, end: number): boolean;
  /** Servers of these indexes are copied from: when a proxy does not trust one of them, nothing is done. */
  readonly sources: readonly number[];
  /** The keys to compare, now that all are listed. */
  plan(servers: readonly Server[], holdings: Holdings): { readonly places: Iterator<Place>; readonly total: number };
  readonly compare: Pick<ComparisonOptions, "twice" | "mends" | "told">;
  /** Prints what was found and answers the exit code, unless it was interrupted or a server was lost. */
  report(run: Run): number;
}

export interface Run {
  readonly ended: "whole" | "interrupted" | "lost";
  readonly settled: number;
  readonly total: number;
  readonly ms: number;
}

/** Runs it to the end of the process. */
export function runErrand(context: Context, errand: Errand): void {
  const { host } = context.platform;
  let comparison: Comparison | null = null;
  const progress = new Progress(context.platform);
  let holdings: Holdings | null = null;
  let settled = 0, total = 0;
  let interrupted = false;

  const say = (line: string): void => host.stderr(`${context.called}: ${line}\n`);
  const leave = (ended: Run["ended"]): void => {
    const ms = progress.elapsedMs;
    progress.end();
    visit.stop();
    const code = comparison === null ? EXIT_EQUAL : errand.report({ ended, settled, total, ms });
    host.exit(ended === "whole" ? code : ended === "lost" ? EXIT_UNREACHABLE : EXIT_INTERRUPTED);
  };

  const visit = new Visit(context.platform, errand.servers, {
    ready: () => visit.list(holdings = new Holdings(visit.servers.length, visit.expected), errand.wanted, (suspicions) => {
      for (const { proxy, server, why } of suspicions) say(`${server.label} is ${why}, says the proxy ${proxy}`);
      const bad = suspicions.find(({ server }) => errand.sources.some((index) => visit.servers[index] === server));
      if (bad !== undefined) {
        say(`nothing is copied from ${bad.server.label}: what it lacks would be taken from the other side too; --force does it`);
        visit.stop();
        host.exit(EXIT_DIFFERENT);
      }
      const plan = errand.plan(visit.servers, holdings!);
      total = plan.total;
      progress.begin(total);
      comparison = new Comparison(visit.nowMs, plan.places, {
        ...errand.compare,
        keysPerSecond: errand.keysPerSecond,
        underWayMax: UNDER_WAY_MAX,
        told: (place, verdict, mended) => {
          settled++;
          errand.compare.told(place, verdict, mended);
        },
        ended: () => leave(interrupted ? "interrupted" : "whole"),
      });
    }),
    lost: (server, reason) => {
      progress.end();
      say(`${server.label}: ${reason}`);
      leave("lost");
    },
    tick: (nowMs) => {
      if (comparison === null) return progress.listed(holdings!.size);
      comparison.tick(nowMs);
      progress.show(settled);
    },
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    host.onSignal(signal, () => {
      if (interrupted) host.exit(EXIT_INTERRUPTED);
      interrupted = true;
      if (comparison === null) return leave("interrupted");
      progress.end();
      say("stopping after the keys under way");
      comparison.stop();
    });
  }
  visit.start();
}
