// How a server that lost its memory is filled again under load: real memcacheds, one pair, clients at a set rate. Kills
// the primary, starts it again empty, and prints what clients saw before, while it was away, and during the refill.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { Paced, Stretch } from "./benchmark/paced.ts";
import { cpuOf, freePort, listening, memoryOf, Processes, type Started } from "./benchmark/processes.ts";

const help = `scripts/refill [flags]: a killed primary comes back empty; how long the refill takes, and what clients see of it
  --keys N             keys stored before the kill (default 1000000)
  --bytes N            bytes of each value (default 100)
  --rate N             client operations a second, 10 % of them sets (default 5000)
  --tandem-cmd WORDS   what to start in place of dist/tandem; words after it are flags for it
  --memcached PROGRAM  the memcached to use (default memcached)`;

const { values } = parseArgs({
  args: Bun.argv.slice(2),
  options: {
    keys: { type: "string", default: "1000000" },
    bytes: { type: "string", default: "100" },
    rate: { type: "string", default: "5000" },
    "tandem-cmd": { type: "string", default: `${process.cwd()}/dist/tandem` },
    memcached: { type: "string", default: "memcached" },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}
const keys = Number(values.keys), bytes = Number(values.bytes), rate = Number(values.rate);
if (![keys, bytes, rate].every((number) => Number.isInteger(number) && number > 0)) {
  console.error("refill: --keys, --bytes and --rate are whole numbers above 0");
  process.exit(2);
}

const processes = new Processes();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void processes.killAll().then(() => process.exit(1)));
const scratch = mkdtempSync(`${tmpdir()}/refill-`);
const filler = "abcdefghijklmnopqrstuvwxyz".repeat(Math.ceil(bytes / 26));
const keyOf = (number: number): string => `refill:${String(number).padStart(9, "0")}`;
const valueOf = (number: number): string => `${number}.${filler}`.slice(0, bytes);

async function memcached(port: number): Promise<Started> {
  const argv = [values.memcached, "-l", "127.0.0.1", "-p", String(port), "-U", "0", "-t", "2", "-m", "4096"];
  if (process.getuid?.() === 0) argv.push("-u", "nobody");
  const child = processes.start("memcached", argv, `${scratch}/memcached.log`);
  await listening(child, port, `${scratch}/memcached.log`);
  return child;
}

/** Stores every key, with 1,000 sets a write. */
async function fill(port: number): Promise<void> {
  let stored = 0, batch = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const size = 1000;
  let unsent = Buffer.alloc(0);
  const socket = await Bun.connect({
    hostname: "127.0.0.1", port,
    socket: {
      data(_, data) {
        for (const byte of data) if (byte === 10) stored++;
        if (stored >= keys) return resolve();
        if (stored >= batch * size) next();
      },
      drain: () => push(),
      close: () => reject(new Error("closed while it was filled")),
      connectError() {},
    },
  });
  function next(): void {
    let text = "";
    for (let i = batch * size; i < Math.min(keys, (batch + 1) * size); i++) text += `set ${keyOf(i)} 0 0 ${bytes}\r\n${valueOf(i)}\r\n`;
    batch++;
    unsent = Buffer.from(text, "latin1");
    push();
  }
  function push(): void {
    const wrote = socket.write(unsent);
    if (wrote > 0) unsent = unsent.subarray(wrote);
  }
  next();
  await promise;
  socket.terminate();
}

/** The line of the log that has all words, once it is there. */
async function logged(path: string, ...words: string[]): Promise<string> {
  for (;;) {
    const line = (await Bun.file(path).text()).split("\n").find((one) => words.every((word) => one.includes(word)));
    if (line !== undefined) return line;
    await Bun.sleep(20);
  }
}

function joined(stretches: readonly Stretch[]): Stretch {
  const whole = new Stretch();
  for (const one of stretches) {
    for (const ms of one.tookMs) whole.tookMs.push(ms);
    whole.gets += one.gets;
    whole.hits += one.hits;
    whole.errors += one.errors;
    whole.firstError ||= one.firstError;
  }
  return whole;
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

async function main(): Promise<void> {
  const [primaryPort, backupPort, port] = [freePort(), freePort(), freePort()];
  const log = `${scratch}/tandem.log`;
  let primary = await memcached(primaryPort);
  const backup = await memcached(backupPort);
  const words = values["tandem-cmd"].split(" ").filter((word) => word !== "");
  const tandem = processes.start("tandem", [...words, "-l", "127.0.0.1", "-p", String(port), "-s", `127.0.0.1:${primaryPort}`, "-b", `127.0.0.1:${backupPort}`], log);
  await listening(tandem, port, log);
  const filling = performance.now();
  await fill(port);
  console.log(`${keys} keys of ${bytes} bytes stored in ${seconds(performance.now() - filling)} s`);

  const paced = new Paced({ port, connections: 50, rate, setShare: 0.1, keys, keyOf, valueOf });
  await paced.start();
  await Bun.sleep(3000); // warm
  const rows: [string, Stretch, number][] = [];
  const stretch = async (name: string, until: Promise<unknown>): Promise<number> => {
    const seen = (paced.stretch = new Stretch());
    const began = performance.now();
    await until;
    paced.stretch = new Stretch();
    rows.push([name, seen, performance.now() - began]);
    return performance.now() - began;
  };
  const cpuAtFirst = { backup: cpuOf(backup.pid).total, primary: cpuOf(primary.pid).total };
  const beforeMs = await stretch("before", Bun.sleep(10_000));
  // While the primary is filled its reads go to the backup: the two change places in what clients ask of them.
  const byClients = {
    source: (cpuOf(primary.pid).total - cpuAtFirst.primary) / beforeMs,
    target: (cpuOf(backup.pid).total - cpuAtFirst.backup) / beforeMs,
  };
  const residentBefore = memoryOf(tandem.pid).resident;
  process.kill(primary.pid, "SIGKILL");
  await primary.exited;
  await stretch("away", Bun.sleep(3000));
  primary = await memcached(primaryPort);
  await stretch("back, first second", Bun.sleep(1000));
  await stretch("back, until it may be filled", logged(log, "server rejoins"));
  const cpu = { tandem: cpuOf(tandem.pid).total, backup: cpuOf(backup.pid).total, primary: cpuOf(primary.pid).total };
  let resident = 0;
  const watch = setInterval(() => (resident = Math.max(resident, memoryOf(tandem.pid).resident)), 100);
  const began = performance.now();
  await stretch("refill, first 2 s (listing)", Bun.sleep(2000));
  await stretch("refill, then", logged(log, "server is synchronised"));
  const refillMs = performance.now() - began;
  rows.push(["refill, all of it", joined(rows.slice(-2).map(([, seen]) => seen)), refillMs]);
  clearInterval(watch);
  const percent = (usPerMs: number): string => `${(usPerMs / 10).toFixed(0)} %`;
  const during = (before: number, pid: number): number => (cpuOf(pid).total - before) / refillMs;
  const busy = { tandem: during(cpu.tandem, tandem.pid), source: during(cpu.backup, backup.pid), target: during(cpu.primary, primary.pid) };
  const used = `tandem ${percent(busy.tandem)}, source ${percent(busy.source)}, target ${percent(busy.target)}`;
  // A proxy has one connection to a server, hence one of its threads: that thread is what clients' requests can get.
  const refillTakes = (side: "source" | "target"): string => `${side} ${percent(Math.max(0, busy[side] - byClients[side]))}`;
  await stretch("after", Bun.sleep(5000));
  paced.stop();
  console.log(`refilled ${keys} keys in ${seconds(refillMs)} s: ${Math.round(keys / (refillMs / 1000))} keys/s; CPU of one core meanwhile: ${used}`);
  console.log(`the refill itself took of a server's thread: ${refillTakes("source")}, ${refillTakes("target")}; the clients ${percent(byClients.source)} and ${percent(byClients.target)}`);
  console.log(`tandem's resident memory: ${Math.round(residentBefore / 1024)} MiB before, ${Math.round(resident / 1024)} MiB at most`);
  console.log(`${"phase".padEnd(30)} seconds    ops/s  hit rate  p50 ms  p99 ms  p99.9 ms  errors`);
  for (const [name, { tookMs, hitRate, errors, firstError }, ms] of rows) {
    const seen = rows.find(([other]) => other === name)![1];
    console.log(
      `${name.padEnd(30)} ${seconds(ms).padStart(7)} ${String(Math.round(tookMs.length / (ms / 1000))).padStart(8)} ${(100 * hitRate).toFixed(2).padStart(7)} %` +
        ` ${seen.percentile(0.5).toFixed(2).padStart(7)} ${seen.percentile(0.99).toFixed(2).padStart(7)} ${seen.percentile(0.999).toFixed(2).padStart(9)} ${String(errors).padStart(7)} ${firstError}`,
    );
  }
  for (const line of (await Bun.file(log).text()).split("\n")) if (/rejoin|synchronis|is up|is down/.test(line)) console.log(line);
}

let code = 0;
try {
  await main();
} catch (error) {
  console.error(`refill: ${error instanceof Error ? error.message : String(error)}`);
  code = 1;
}
await processes.killAll();
if (code === 0) rmSync(scratch, { recursive: true, force: true });
else console.error(`refill: the logs are in ${scratch}`);
process.exit(code);
