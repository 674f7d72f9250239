// What can happen to the host that has the address, how it is undone, and how long clients may be without an answer.
import type { Machine } from "./machines.ts";
import { pause, type Site } from "./site.ts";

export interface Fault {
  readonly name: string;
  /** Longest time without a success that is allowed, ms. */
  readonly goalMs: number;
  /** The address goes to the other host. */
  readonly moves: boolean;
  /** Both have the address for a while. */
  readonly passing?: true;
  strike(site: Site, machine: Machine): void | Promise<void>;
  heal(site: Site, machine: Machine): void | Promise<void>;
}

export const FAULTS: readonly Fault[] = [
  {
    name: "proxy kill -9", goalMs: 500, moves: true,
    strike: (_site, machine) => machine.service("tandem").kill("SIGKILL"),
    heal: (site, machine) => site.startProxy(machine),
  },
  {
    name: "proxy SIGSTOP", goalMs: 800, moves: true,
    strike: (_site, machine) => machine.service("tandem").kill("SIGSTOP"),
    heal: (_site, machine) => machine.service("tandem").kill("SIGCONT"),
  },
  {
    name: "Keepalived stopped", goalMs: 300, moves: true,
    strike: (_site, machine) => machine.service("keepalived").kill("SIGTERM"),
    heal: async (site, machine) => {
      await machine.service("keepalived").ended;
      site.startKeepalived(machine);
    },
  },
  {
    name: "link down", goalMs: 500, moves: true,
    strike: (_site, machine) => machine.link(false),
    heal: (_site, machine) => machine.link(true),
  },
  {
    name: "power off", goalMs: 500, moves: true,
    strike: (_site, machine) => machine.powerOff(),
    heal: (site, machine) => {
      machine.powerOn();
      site.boot(machine);
    },
  },
  {
    name: "deaf host", goalMs: 2000, moves: true,
    strike: (_site, machine) => machine.deafen(true),
    heal: (_site, machine) => machine.deafen(false),
  },
  {
    // It hears no adverts and takes the address too, until its watch says that it is deaf.
    name: "waiting host deaf", goalMs: 2000, moves: false, passing: true,
    strike: (site, machine) => site.other(machine).deafen(true),
    heal: (site, machine) => site.other(machine).deafen(false),
  },
  {
    name: "gateway and waiting host gone", goalMs: 200, moves: false,
    strike: (site, machine) => {
      site.hub.gateway(false);
      site.other(machine).link(false);
    },
    heal: (site, machine) => {
      site.hub.gateway(true);
      site.other(machine).link(true);
    },
  },
  {
    name: "all memcacheds killed", goalMs: Infinity, moves: false,
    strike: (site) => site.servers.forEach((server) => server.service("memcached").kill("SIGKILL")),
    heal: async (site) => {
      for (const server of site.servers) {
        await server.service("memcached").ended;
        site.startServer(server);
      }
    },
  },
  {
    name: "host paused for 300 ms", goalMs: 500, moves: false,
    strike: (_site, machine) => machine.pause(300),
    heal: () => {},
  },
];

export interface Measured {
  /** Longest time without a success from the fault on, and on the way back. */
  readonly gapMs: number;
  readonly backMs: number;
  readonly failed: number;
  readonly succeeded: number;
  /** How often the address moved at the fault, and on the way back. */
  readonly moves: number;
  readonly backMoves: number;
  readonly fault: Fault;
}

/** How long a fault lasts, and how long after the way back is looked at, ms. */
const LASTS_MS = 1700, BACK_MS = 700;
/** When the address must be on the other host at the latest, if ever, ms after that. */
const LATE_MS = 10_000;
/** On the way back clients notice nothing, ms. */
const BACK_GAP_MS = 300;

/** Lets fault happen to the host that has the address, and heals it. Throws when the address is not on one host then. */
export async function measure(site: Site, fault: Fault): Promise<Measured> {
  const machine = site.holder();
  const before = site.moves();
  site.mark();
  await fault.strike(site, machine);
  await pause(Math.min(Math.max(LASTS_MS, fault.goalMs), 2500));
  const struck = await site.count();
  const other = site.other(machine);
  const hasIt = (): boolean => other.sh("ip -4 -o addr show dev eth0").includes("10.0.0.50/");
  let holds = hasIt();
  // It comes late on a busy machine; how late is what is measured, and judged by its figure.
  for (const until = performance.now() + LATE_MS; fault.moves && !holds && performance.now() < until; holds = hasIt()) await pause(100);
  if (holds !== fault.moves) throw new Error(`${fault.name}: the other host ${holds ? "has" : "has not"} the address\n${site.logs()}`);
  // The log of a machine that is off is gone, with what it counted before.
  const moves = fault.name === "power off" ? 1 : site.moves() - before;

  site.mark();
  const middle = site.moves();
  await fault.heal(site, machine);
  await site.ready();
  while ((await site.count()).succeeded === 0) await pause(50);
  await pause(BACK_MS);
  const back = await site.count();
  if (site.holder() !== (fault.moves ? other : machine)) throw new Error(`${fault.name}: the address moved on the way back\n${site.logs()}`);
  return {
    fault, gapMs: struck.longestMs, backMs: back.longestMs,
    failed: struck.failed + back.failed, succeeded: struck.succeeded + back.succeeded, moves, backMoves: site.moves() - middle,
  };
}

export function rowOf({ fault, gapMs, backMs, moves, backMoves, succeeded, failed }: Measured): string {
  const goal = fault.goalMs === Infinity ? "" : ` of ${fault.goalMs}`;
  return `${fault.name.padEnd(30)} ${gapMs}${goal} ms, on the way back ${backMs} ms, moves ${moves}+${backMoves}, operations ${succeeded}, failed ${failed}`;
}

/** What is wrong with a measurement, "" when all is as it should be. */
export function faultOf(measured: Measured): string {
  const { gapMs, backMs, moves, backMoves, fault } = measured;
  // Who has the address meanwhile depends on whose adverts the other one hears.
  const most = fault.passing === true ? 2 : fault.moves ? 1 : 0;
  if (gapMs > fault.goalMs) return `${gapMs} ms without a success, more than ${fault.goalMs}`;
  if (moves > most || moves < (fault.moves ? 1 : 0)) return `the address moved ${moves} times, not ${most}`;
  if (backMoves !== 0) return `the address moved ${backMoves} times on the way back`;
  return backMs > BACK_GAP_MS && fault.goalMs !== Infinity ? `${backMs} ms without a success on the way back` : "";
}
