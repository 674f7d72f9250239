// Which rings keep a pool's keys while they change, written down in its state directory: a process that begins in the
// place of one that ended meanwhile goes on from there. Without a change under way there is no such file.
//
//   from the beginning: the rings of before · before a ring is replaced: the new one, and that its side is not to be trusted
//   when it is filled: the same, trusted · when all have changed: nothing
//
// Several workers write the same at nearly the same time; they take each step together (replication/steps.ts).
import type { PoolConfig, RingFlavour, ServerSpec } from "../config/config.ts";
import { fingerprint, placementText, ringsText } from "../config/fingerprint.ts";
import type { Log } from "../observe/log.ts";
import type { Host } from "../platform/platform.ts";
import { BACKUP, PRIMARY, type Side } from "../replication/pair.ts";
import type { RingsKeeper } from "../replication/pool_options.ts";

/** One side's ring. */
interface SideRing {
  readonly ring: RingFlavour;
  readonly hashTag: string;
  readonly servers: readonly ServerSpec[];
}

interface Kept {
  /** Digest of the rings that they change to. */
  readonly to: string;
  readonly sides: [SideRing, SideRing];
  /** The side whose servers may lack keys or hold old ones; null: none. */
  readonly doubted: Side | null;
}

export class KeptRings implements RingsKeeper {
  private readonly path: string;
  private kept: Kept | null = null;
  private target: readonly [SideRing, SideRing];

  /** Null: nothing is written down. */
  static of(config: PoolConfig, host: Host, log: Log): KeptRings | null {
    return config.proxies.stateDir === "" ? null : new KeptRings(config, host, log);
  }

  private constructor(config: PoolConfig, private readonly host: Host, private readonly log: Log) {
    this.path = `${config.proxies.stateDir}/${encodeURIComponent(config.name)}.rings`;
    this.target = sidesOf(config);
    const found = host.readText(this.path);
    if (!found.ok) return;
    const kept = parse(found.text);
    if (kept?.to === digestOf(config)) this.kept = kept;
    else {
      log.warn("rings were changing to others when the last process ended: what it had not moved are misses, or old", { path: this.path });
      host.removeFile(this.path);
    }
  }

  /** The settings with which a process must begin, of the primaries and of the backups; null: those that it is given. */
  startOf(config: PoolConfig): { readonly primaries: PoolConfig; readonly backups: PoolConfig; readonly doubted: Side | null } | null {
    const { kept } = this;
    if (kept === null) return null;
    const [primaries, backups] = kept.sides.map(({ ring, hashTag }) => (
      { ...config, ring, hashTag, primaries: kept.sides[PRIMARY].servers, backups: kept.sides[BACKUP].servers }
    )) as [PoolConfig, PoolConfig];
    return { primaries, backups, doubted: kept.doubted };
  }

  /** Rings are to change. */
  begins(before: PoolConfig, after: PoolConfig): void {
    this.target = sidesOf(after);
    this.write({ to: digestOf(after), sides: sidesOf(before), doubted: null });
  }

  replaces(side: Side): void {
    if (this.kept === null) return;
    const sides: [SideRing, SideRing] = [...this.kept.sides];
    sides[side] = this.target[side];
    this.write({ ...this.kept, sides, doubted: side });
  }

  filled(): void {
    if (this.kept !== null) this.write({ ...this.kept, doubted: null });
  }

  over(): void {
    this.kept = null;
    this.host.removeFile(this.path);
  }

  /** Whoever reads it finds the one or the other, whole. */
  private write(kept: Kept): void {
    this.kept = kept;
    const young = `${this.path}.${this.host.pid}`;
    const written = this.host.writeText(young, JSON.stringify(kept));
    const outcome = written.ok ? this.host.renameFile(young, this.path) : written;
    if (!outcome.ok) this.log.error("rings that change cannot be written down", { path: this.path, reason: outcome.reason });
  }
}

function sidesOf({ ring, hashTag, primaries, backups }: PoolConfig): [SideRing, SideRing] {
  return [{ ring, hashTag, servers: primaries }, { ring, hashTag, servers: backups }];
}

function digestOf(config: PoolConfig): string {
  return fingerprint(ringsText(placementText(config)));
}

/** Null: damaged. */
function parse(text: string): Kept | null {
  try {
    return JSON.parse(text) as Kept;
  } catch {
    return null;
  }
}
