// The load profiles: one table, printed by `bench --list`.

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
  readonly says: string;
}

const common = { generator: "memcaslap", connections: 50, inFlight: 1, keysPerGet: 1, setShare: 0.1, valueBytes: 100 } as const;

export const profiles: readonly Profile[] = [
  { ...common, name: "small", says: "50 connections, 1 in flight, 10 % set, 100 byte values (memcaslap)" },
  { ...common, name: "large", valueBytes: 20 * 1024, says: "50 connections, 1 in flight, 10 % set, 20 KiB values (memcaslap)" },
  { ...common, name: "multiget", keysPerGet: 16, says: "50 connections, 1 in flight, gets of 16 keys, 10 % set, 100 byte values; counted in keys (memcaslap)" },
  // memcaslap cannot pipeline, and neither npm nor Debian 12 has a public generator that can.
  { ...common, name: "pipeline", generator: "pipeline", inFlight: 16, says: "50 connections, 16 pipelined, 10 % set, 100 byte values (our own generator, scripts/benchmark/pipeline.ts)" },
];
