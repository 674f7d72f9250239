// What is measured, by name: loads (operations as fast as they go) and trials (programs of their own); printed by
// `bench --list`.

import { burst, churn, idle } from "./crowd.ts";
import { hotKey } from "./hot_key.ts";
import { collector, latency } from "./timing.ts";
import { workers } from "./several.ts";
import type { TargetName } from "./targets.ts";
import type { Trial } from "./trial.ts";

export interface Profile {
  readonly name: string;
  readonly generator: "memcaslap" | "pipeline";
  readonly connections: number;
  /** Commands a connection has sent and not yet seen answered. */
  readonly inFlight: number;
  /** Keys a get asks for. */
  readonly keysPerGet: number;
  readonly setShare: number;
  readonly valueBytes: number;
  /** memcacheds behind the proxy. */
  readonly servers: number;
  readonly targets: readonly TargetName[];
  readonly says: string;
}

const PROXIES: readonly TargetName[] = ["nutcracker", "tandem"];
const common = {
  generator: "memcaslap", connections: 50, inFlight: 1, keysPerGet: 1, setShare: 0.1, valueBytes: 100, servers: 2, targets: PROXIES,
} as const;
// memcaslap can neither pipeline nor keep to a few large keys, and sets before it gets: what it cannot do is done by
// our own generator (pipeline.ts), which compares every byte of every answer.
const own = { ...common, generator: "pipeline" } as const;

export const profiles: readonly Profile[] = [
  { ...common, name: "small", targets: ["direct", "nutcracker", "tandem", "tandem+backup"], says: "50 connections, 1 in flight, 10 % set, 100 byte values (memcaslap)" },
  { ...common, name: "clients-1000", connections: 1000, says: "as small, 1000 connections" },
  { ...own, name: "pipeline-16", inFlight: 16, says: "50 connections, 16 pipelined, 10 % set, 100 byte values" },
  { ...common, name: "multiget-16", keysPerGet: 16, says: "gets of 16 keys over 2 servers, 10 % set; counted in keys (memcaslap)" },
  { ...common, name: "multiget-100", keysPerGet: 100, servers: 4, says: "gets of 100 keys over 4 servers, 10 % set; counted in keys (memcaslap)" },
  { ...own, name: "get-1k", setShare: 0, valueBytes: 1024, says: "50 connections, 1 in flight, gets of 1 KiB" },
  { ...own, name: "set-1k", setShare: 1, valueBytes: 1024, says: "50 connections, 1 in flight, sets of 1 KiB" },
  { ...own, name: "mixed-20k", setShare: 0.2, valueBytes: 20 * 1024, says: "50 connections, 1 in flight, 20 % set, 20 KiB" },
  { ...own, name: "mixed-500k", setShare: 0.2, valueBytes: 500 * 1024, says: "50 connections, 1 in flight, 20 % set, 500 KiB" },
];

/** What --quick leaves out unless it is named. */
export const long: readonly string[] = ["multiget-16", "gc", "idle", "churn", "workers", "hot-key"];

export const trials: readonly Trial[] = [
  { name: "latency", says: "get and set at a fifth of nutcracker's rate: time from when each was due", run: latency },
  { name: "gc", says: "50,000 operations a second for 60 s: pauses of the garbage collector, p99.9", run: collector },
  { name: "idle", says: "50,000 connections that asked once and stay: memory each", run: idle },
  { name: "burst", says: "10,000 connects at once: time until all are answered, connects the kernel dropped", run: burst },
  { name: "churn", says: "100,000 connections that ask once and leave, over 60 s: memory before and after", run: churn },
  { name: "workers", says: "as small, over one worker and over two: CPU per operation, and how evenly two share it", run: workers },
  { name: "hot-key", says: "1000 connections ask for one key: gets that its server sees, --share-gets off and on", run: hotKey },
];
