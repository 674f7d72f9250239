// Days of use in minutes: clients that get and set values of all sizes, leave in the middle, read slowly or not at all, while
// servers are killed and come back empty. Prints a line of memory and descriptors at equal times, and fails when they grow.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { median } from "./benchmark/median.ts";
import { freePort, lastWords, listening, memoryOf, Processes, type Started } from "./benchmark/processes.ts";
import { logOf, tandem } from "./benchmark/targets.ts";

const help = `scripts/soak [flags]
  --seconds N   how long (default 600)
  --tandem-cmd  what to start in place of dist/tandem`;
const { values } = parseArgs({ options: { seconds: { type: "string", default: "600" }, "tandem-cmd": { type: "string", default: `${process.cwd()}/dist/tandem` }, help: { type: "boolean", short: "h" } } });
if (values.help) {
  console.log(help);
  process.exit(0);
}
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 10) {
  console.error(`soak: --seconds ${values.seconds}: a whole number, 10 at least, is needed`);
  process.exit(2);
}

const LINES = 20;
const CLIENTS = 40;
const KEYS = 2000;
/** Sizes of values, bytes; large ones are rare. */
const SIZES = [10, 100, 100, 1000, 1000, 4000, 30_000, 200_000];
/** A connection is ended by its client after so long, in whatever state it is, ms. */
const LIFE_MS = 10_000;
/** Memory without a file behind it, median of the last third, may be so many times that of the first. */
const GROWTH_MAX = 1.25;

const processes = new Processes();
const scratch = mkdtempSync(`${tmpdir()}/soak-`);
const ports = [freePort(), freePort(), freePort(), freePort()];
const servers: Started[] = [];
const counts = { answers: 0, resets: 0, slow: 0, restarts: 0, refused: 0 };
let over = false;

async function serve(index: number): Promise<void> {
  const port = ports[index]!;
  const argv = ["memcached", "-l", "127.0.0.1", "-p", String(port), "-U", "0", "-t", "1", "-m", "256"];
  if (process.getuid?.() === 0) argv.push("-u", "nobody");
  const log = `${scratch}/memcached-${index}.log`;
  servers[index] = processes.start("memcached", argv, log);
  await listening(servers[index]!, port, log);
}

const below = (limit: number): number => Math.floor(Math.random() * limit);
const key = (): string => `soak:${below(KEYS)}`;

/** A burst of requests and how many answers end it. */
function burst(): string {
  let text = "";
  for (let i = 1 + below(8); i > 0; i--) {
    const kind = below(10);
    if (kind < 6) text += `get ${key()}\r\n`;
    else if (kind < 7) text += `get ${Array.from({ length: 20 }, key).join(" ")}\r\n`;
    else if (kind < 8) text += `delete ${key()}\r\n`;
    else {
      const bytes = SIZES[below(SIZES.length)]!;
      text += `set ${key()} 0 60 ${bytes}\r\n${"x".repeat(bytes)}\r\n`;
    }
  }
  return `${text}mn\r\n`; // answered last: MN
}

/** One connection's life: some bursts, then an end of one kind or another. */
async function life(port: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const kind = below(20); // 0: reset in the middle of an answer; 1: reads nothing for a while; else: in order
  let left = 1 + below(200);
  let tail = "";
  const ask = (socket: Bun.Socket): void => {
    const bytes = Buffer.from(burst(), "latin1");
    // What the kernel does not take at once is a request cut off in its middle: a reset, too.
    if (socket.write(bytes) !== bytes.length || kind === 0) {
      counts.resets++;
      socket.terminate();
    }
  };
  const events = {
    open: ask,
    data(socket: Bun.Socket, bytes: Buffer) {
      counts.answers++;
      tail = (tail + bytes.toString("latin1", Math.max(0, bytes.length - 4))).slice(-4);
      if (kind === 1 && left % 10 === 0) {
        counts.slow++;
        socket.pause();
        setTimeout(() => socket.resume(), 50);
      }
      if (tail !== "MN\r\n") return;
      tail = "";
      if (--left === 0 || over) socket.end();
      else ask(socket);
    },
    close: () => resolve(),
    error: () => resolve(),
    connectError: () => resolve(),
  };
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: events });
    const late = setTimeout(() => socket.terminate(), LIFE_MS);
    await promise;
    clearTimeout(late);
  } catch {
    counts.refused++;
    await Bun.sleep(10);
  }
}

async function clients(port: number): Promise<void> {
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (!over) await life(port);
  }));
}

async function restarts(): Promise<void> {
  for (let i = 0; !over; i = (i + 1) % servers.length) {
    await Bun.sleep(Math.max(4000, (seconds * 1000) / 60));
    if (over) return;
    await servers[i]!.stop();
    counts.restarts++;
    await Bun.sleep(1000);
    await serve(i);
  }
}

async function main(): Promise<number> {
  for (const index of ports.keys()) await serve(index);
  const port = freePort();
  const proxy = tandem(processes, values["tandem-cmd"]!.split(" "), ports.slice(0, 2), ports.slice(2), scratch)(port);
  await listening(proxy, port, logOf(scratch, port));
  const running = [clients(port), restarts()];
  console.log("seconds  answers  restarts  resets  resident MiB  anonymous MiB  descriptors");
  const series: { anonymous: number; descriptors: number }[] = [];
  for (let line = 1; line <= LINES; line++) {
    await Bun.sleep((seconds * 1000) / LINES);
    if (!proxy.alive()) throw new Error(`tandem died; its last words:\n${await lastWords(logOf(scratch, port))}`);
    const memory = memoryOf(proxy.pid), descriptors = readdirSync(`/proc/${proxy.pid}/fd`).length;
    series.push({ anonymous: memory.anonymous / 1024, descriptors });
    const cells = [((seconds * line) / LINES).toFixed(0), counts.answers, counts.restarts, counts.resets, (memory.resident / 1024).toFixed(0), (memory.anonymous / 1024).toFixed(0), descriptors];
    console.log(cells.map((cell, i) => String(cell).padStart([7, 8, 9, 7, 13, 14, 12][i]!)).join(" "));
  }
  over = true;
  await Promise.all(running);
  await Bun.sleep(3000);
  const idle = readdirSync(`/proc/${proxy.pid}/fd`).length;
  const third = Math.floor(LINES / 3);
  const memory = (part: typeof series): number => median(part.map((one) => one.anonymous));
  const growth = memory(series.slice(-third)) / memory(series.slice(0, third));
  const open = Math.max(...series.map((one) => one.descriptors));
  console.log(`slow reads ${counts.slow}, refused connects ${counts.refused}; once all clients left: ${idle} descriptors, ${(memoryOf(proxy.pid).anonymous / 1024).toFixed(0)} MiB anonymous`);
  console.log(`memory of the last third over the first: ${growth.toFixed(2)} (at most ${GROWTH_MAX}); descriptors at most ${open} with ${CLIENTS} clients`);
  return growth <= GROWTH_MAX && open - idle <= CLIENTS * 2 && idle <= 60 ? 0 : 1;
}

let code = 2;
try {
  code = await main();
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await processes.killAll();
  rmSync(scratch, { recursive: true, force: true });
}
process.exit(code);
