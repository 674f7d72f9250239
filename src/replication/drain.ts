// Servers that the operator takes out of reads by hand, to restart or replace them: the other side of each of their pairs
// leads, writes still go to both, so nothing is missed and nothing has to be copied when they are put back. A drained
// server that is restarted comes back as any other, filled by its peers; it leads again once it is there and put back.
//
//   up ── drain ──▶ drained, busy ── what was under way is answered ──▶ drained, quiet ── undrain ──▶ up
import type { Lane } from "../backend/lane.ts";
import type { Server } from "../backend/server.ts";
import type { Log } from "../observe/log.ts";
import { other, type Pair, PRIMARY, type Side } from "./pair.ts";

/** What became of a wish: one line for people. */
export interface DrainOutcome {
  readonly ok: boolean;
  readonly text: string;
}

export interface DrainWorld {
  readonly servers: readonly Server[];
  readonly pairs: readonly Pair[];
  readonly log: Log;
  /** After each change of who leads. */
  leadsChanged(): void;
}

export class Drains {
  /** For each drained server its connections with how many answers there are due until nothing from before is under way. */
  private readonly drained = new Map<Server, ReadonlyMap<Lane, { readonly local: string; readonly due: number }>>();

  constructor(private readonly world: DrainWorld) {}

  /** Why the other side could not answer in its place; "" when it could. */
  obstacle(server: Server): string {
    if (this.drained.has(server)) return "";
    for (const { peer } of this.pairsOf(server)) {
      if (peer === null) return `${server.label} has no other side that could answer in its place`;
      if (!peer.leads || peer.fenced || peer.drained) {
        return `${peer.label} could not answer in its place: it is ${peer.drained ? "drained" : peer.fenced ? "fenced" : peer.state}`;
      }
    }
    return "";
  }

  /** Those that were taken out here. */
  get servers(): readonly Server[] {
    return [...this.drained.keys()];
  }

  /** Whatever its peers are: see obstacle. */
  drain(server: Server): DrainOutcome {
    const { label } = server;
    if (this.drained.has(server)) return { ok: true, text: `${label} is drained already` };
    this.drained.set(server, new Map(server.lanes.map((lane) => [lane, { local: lane.local, due: lane.answered + lane.inFlight.count }])));
    server.drainedHere = true;
    this.world.leadsChanged();
    this.world.log.info("server is drained: its peers answer in its place", { server: label });
    return { ok: true, text: `${label} is drained: its peers answer in its place` };
  }

  undrain(server: Server): DrainOutcome {
    const { label, state } = server;
    if (!this.drained.delete(server)) {
      return server.drained ? { ok: false, text: `${label} is drained by another proxy` } : { ok: true, text: `${label} is not drained` };
    }
    server.drainedHere = false;
    this.world.leadsChanged();
    this.world.log.info("server is no longer drained", { server: label, state });
    if (server.drained) return { ok: true, text: `${label} is put back, and answers when no other proxy says that it is drained` };
    return { ok: true, text: `${label} is put back${server.leads ? "" : `: it is ${state}, and answers once it has what it missed`}` };
  }

  /** No client's read is under way there, and none will come: its peers can answer. */
  isQuiet(server: Server): boolean {
    const lanes = this.drained.get(server);
    if (lanes === undefined) return false;
    for (const [lane, { local, due }] of lanes) {
      // On another connection nothing is from before: it has failed with the old one.
      if (lane.alive && lane.local === local && lane.answered < due) return false;
    }
    return this.pairsOf(server).every(({ pair, side }) => pair.usualLead === other(side));
  }

  private pairsOf(server: Server): { readonly pair: Pair; readonly side: Side; readonly peer: Server | null }[] {
    return this.world.pairs.flatMap((pair) => {
      if (pair.primary === server) return [{ pair, side: PRIMARY as Side, peer: pair.backup }];
      return pair.backup === server ? [{ pair, side: other(PRIMARY), peer: pair.primary }] : [];
    });
  }
}

/** In every pool that has the server, or in none; force: whatever its peers are. */
export function drainServer(pools: readonly { readonly servers: readonly Server[]; readonly drains: Drains }[], label: string, drained: boolean, force: boolean): DrainOutcome {
  const found = pools.flatMap(({ servers, drains }) => servers.filter((server) => server.label === label).map((server) => ({ drains, server })));
  if (found.length === 0) {
    return { ok: false, text: `no server ${label}; there are ${[...new Set(pools.flatMap(({ servers }) => servers.map((each) => each.label)))].join(", ")}` };
  }
  const obstacle = drained && !force ? found.map(({ drains, server }) => drains.obstacle(server)).find((each) => each !== "") : undefined;
  if (obstacle !== undefined) return { ok: false, text: obstacle };
  const outcomes = found.map(({ drains, server }) => (drained ? drains.drain(server) : drains.undrain(server)));
  return outcomes.find(({ ok }) => !ok) ?? outcomes[0]!;
}
