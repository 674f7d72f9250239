// The client side of the trials with many connections, and the eye on the proxy's memory meanwhile. Its own process:
//   bun crowd_client.ts idle|burst|churn PORT PROXY_PID COUNT SECONDS ADDRESSES
// and prints one line of JSON: figures by what they are, each [value, unit].

import { readdirSync, readFileSync } from "node:fs";
import { memoryOf } from "./processes.ts";

const mode = Bun.argv[2] ?? "";
const [port = 0, pid = 0, count = 0, seconds = 0, addresses = 1] = Bun.argv.slice(3).map(Number);
/** Connects under way at once where the burst is not what is tried. */
const AT_ONCE = 200;
/** How long the proxy may take to tidy up before its memory is read. */
const SETTLE_MS = 4000;
/** An idle proxy is collected, and what was freed given back, within some ten seconds. */
const COLLECTED_MS = 15_000;
const LATE_MS = 20_000;

interface Asked {
  readonly answered: () => void;
}

const question = Buffer.from("get crowd:nothing\r\n");
const events = {
  open: (socket: Bun.Socket<Asked>) => void socket.write(question),
  data: (socket: Bun.Socket<Asked>) => socket.data.answered(),
  close() {},
  connectError() {},
};
let made = 0;
let failed = 0;

/** Connects, asks one question and gives the socket back once it is answered; null when that failed. */
async function visit(): Promise<Bun.Socket<Asked> | null> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const hostname = `127.0.0.${1 + (made++ % addresses)}`;
  try {
    const socket = await Bun.connect<Asked>({ hostname, port, socket: events, data: { answered: resolve } });
    const late = setTimeout(resolve, LATE_MS);
    await promise;
    clearTimeout(late);
    return socket;
  } catch {
    failed++;
    return null;
  }
}

/** Makes all visits, AT_ONCE at a time. */
async function visits(total: number, keep: (socket: Bun.Socket<Asked>) => void, perSecond = Infinity): Promise<void> {
  const began = performance.now();
  let begun = 0;
  const one = async (): Promise<void> => {
    while (begun < total) {
      const due = began + (begun++ * 1000) / perSecond;
      const early = due - performance.now();
      if (early > 1) await Bun.sleep(early);
      const socket = await visit();
      if (socket !== null) keep(socket);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

/** KiB of the proxy that no file backs. */
const memory = (): number => memoryOf(pid).anonymous;
const resident = (): number => memoryOf(pid).resident;
const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
const leave = (socket: Bun.Socket<Asked>): void => void socket.terminate();

/** What the kernel counted of connects it had no room for. */
function dropped(): number {
  const [names = "", values = ""] = readFileSync("/proc/net/netstat", "latin1").split("\n");
  const fields = values.split(" ");
  return names.split(" ").reduce((sum, name, i) => (/^(ListenOverflows|ListenDrops|TCPReqQFullDrop)$/.test(name) ? sum + Number(fields[i]) : sum), 0);
}

async function idle() {
  await visits(500, leave);
  await Bun.sleep(SETTLE_MS);
  const before = memory();
  const open: Bun.Socket<Asked>[] = [];
  await visits(count, (socket) => open.push(socket));
  const peak = memory();
  await Bun.sleep(seconds * 1000);
  const each = ((memory() - before) * 1024) / open.length;
  for (const socket of open) socket.terminate();
  await Bun.sleep(SETTLE_MS);
  return {
    "connections": [open.length, ""],
    "memory each": [each / 1024, "KiB"],
    "memory before": [before / 1024, "MiB"],
    "memory once connected": [peak / 1024, "MiB"],
    "memory once they left": [memory() / 1024, "MiB"],
    "not connected": [failed, ""],
  };
}

async function burst() {
  const before = dropped();
  const began = performance.now();
  const found = await Promise.all(Array.from({ length: count }, visit));
  const took = performance.now() - began;
  for (const socket of found) socket?.terminate();
  return { "connections": [count - failed, ""], "all answered": [took, "ms"], "dropped": [dropped() - before, ""], "not connected": [failed, ""] };
}

async function churn() {
  // As many as make the proxy's buffers and code what they will be.
  await visits(Math.min(20_000, count), leave, count / seconds);
  await Bun.sleep(COLLECTED_MS);
  const before = resident(), files = descriptors();
  await visits(count, leave, count / seconds);
  await Bun.sleep(COLLECTED_MS);
  const after = resident();
  return {
    "connections": [count - failed, ""],
    "resident before": [before / 1024, "MiB"],
    "resident after": [after / 1024, "MiB"],
    "after over before": [after / before, ""],
    "descriptors left": [descriptors() - files, ""],
  };
}

const trials: Readonly<Record<string, () => Promise<unknown>>> = { idle, burst, churn };
console.log(JSON.stringify(await trials[mode]?.()));
process.exit(0);
