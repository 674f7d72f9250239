// What is measured: a memcached alone, nutcracker, tandem, tandem with backups, each over memcacheds of its own.

import { writeFileSync } from "node:fs";
import { ask, freePort, listening, type Processes, type Started } from "./processes.ts";

export const targetNames = ["direct", "nutcracker", "tandem", "tandem+backup"] as const;
export type TargetName = (typeof targetNames)[number];

export interface Target {
  readonly name: TargetName;
  readonly port: number;
  /** The ports of its memcacheds. */
  readonly servers: readonly number[];
  /** The process whose CPU time counts: the proxy, or for "direct" the memcached. */
  readonly measured: Started;
  readonly logPath: string;
  /** Forgets all keys between runs, so that memory stays bounded. */
  readonly flush: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts a proxy in front of running servers. */
export type StartProxy = (port: number) => Started;

interface Servers {
  readonly ports: readonly number[];
  readonly children: readonly Started[];
  readonly logPaths: readonly string[];
}

const serverMemoryMb = 2048;

/** Starts count memcacheds of 2 threads each and waits until they accept. */
export async function memcacheds(processes: Processes, count: number, scratch: string): Promise<Servers> {
  const ports: number[] = [];
  const logPaths: string[] = [];
  const children: Started[] = [];
  for (let i = 0; i < count; i++) {
    const port = freePort();
    const argv = ["memcached", "-l", "127.0.0.1", "-p", String(port), "-U", "0", "-t", "2", "-c", "4096", "-m", String(serverMemoryMb)];
    if (process.getuid?.() === 0) argv.push("-u", "nobody");
    const log = `${scratch}/memcached-${port}.log`;
    const child = processes.start("memcached", argv, log);
    await listening(child, port, log);
    ports.push(port);
    logPaths.push(log);
    children.push(child);
  }
  return { ports, children, logPaths };
}

/** Gives a function that starts nutcracker on a port over servers: ketama over md5, as tandem places by default. */
export function nutcracker(processes: Processes, servers: readonly number[], scratch: string): StartProxy {
  return (port) => {
    const config = `${scratch}/nutcracker-${port}.yml`;
    const lines = servers.map((server) => `    - 127.0.0.1:${server}:1`).join("\n");
    const text = `bench:\n  listen: 127.0.0.1:${port}\n  hash: md5\n  distribution: ketama\n  auto_eject_hosts: false\n  servers:\n${lines}\n`;
    writeFileSync(config, text);
    const argv = ["nutcracker", "-c", config, "-a", "127.0.0.1", "-s", String(freePort()), "-p", `${config}.pid`, "-o", `${config}.out`];
    return processes.start("nutcracker", argv, logOf(scratch, port));
  };
}

/** Gives a function that starts tandem (command: the words before its flags) on a port over servers and backups. */
export function tandem(processes: Processes, command: readonly string[], servers: readonly number[], backups: readonly number[], scratch: string): StartProxy {
  const flags = [...servers.flatMap((server) => ["-s", `127.0.0.1:${server}`]), ...backups.flatMap((server) => ["-b", `127.0.0.1:${server}`])];
  return (port) => processes.start("tandem", [...command, "-l", "127.0.0.1", "-p", String(port), ...flags], logOf(scratch, port));
}

/** Where a proxy's output goes. */
export function logOf(scratch: string, port: number): string {
  return `${scratch}/proxy-${port}.log`;
}

/** Starts a target with count servers (and flags, for tandem) and waits until it accepts. */
export async function startTarget(
  processes: Processes, name: TargetName, tandemCommand: readonly string[], scratch: string, count = 2, flags: readonly string[] = [],
): Promise<Target> {
  if (name === "direct") {
    const servers = await memcacheds(processes, 1, scratch);
    const [child, port, logPath] = [servers.children[0], servers.ports[0], servers.logPaths[0]];
    if (child === undefined || port === undefined || logPath === undefined) throw new Error("no memcached was started");
    return { name, port, servers: [port], measured: child, logPath, flush: () => flushed(name, [port]), stop: () => child.stop() };
  }
  const servers = await memcacheds(processes, count, scratch);
  const backups = await memcacheds(processes, name === "tandem+backup" ? count : 0, scratch);
  const start = name === "nutcracker" ? nutcracker(processes, servers.ports, scratch) : tandem(processes, [...tandemCommand, ...flags], servers.ports, backups.ports, scratch);
  const port = freePort();
  const proxy = start(port);
  await listening(proxy, port, logOf(scratch, port));
  return {
    name,
    port,
    servers: servers.ports,
    measured: proxy,
    logPath: logOf(scratch, port),
    // nutcracker knows no flush_all; tandem must hear of it, since servers flushed behind its back look restarted.
    flush: () => flushed(name, name === "nutcracker" ? servers.ports : [port]),
    stop: async () => {
      await proxy.stop();
      await Promise.all([...servers.children, ...backups.children].map((child) => child.stop()));
    },
  };
}

async function flushed(name: TargetName, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    let answer = "";
    // A proxy that has just begun may not have its servers yet.
    for (const until = performance.now() + 5000; answer !== "OK\r\n"; answer = await ask(port, "flush_all")) {
      if (performance.now() > until) throw new Error(`${name} answered flush_all with ${JSON.stringify(answer)}`);
    }
  }
}
