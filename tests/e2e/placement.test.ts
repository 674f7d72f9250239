// Placement against the software that tandem takes over from: 10,000 keys are stored through a live nutcracker or a
// live libmemcached (pylibmc), then the memcacheds themselves are asked which of them got which key. Every key must be
// where `tandem ring explain` says. Ports differ from run to run, so every run is another ring.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { canListen, findProgram, spawnMemcached, spawnNutcracker, type Spawned } from "../support/memcached.ts";
import { tandemPath } from "../support/tandem.ts";

const KEY_COUNT = 10_000;
const TEST_MS = 120_000;
/** Debian's own, which is the one that sees python3-pylibmc. */
const PYTHON = "/usr/bin/python3";

// Plain keys, long ones (more than one MD5 block), UTF-8, tagged and half-tagged ones; characters are bytes.
const KEYS: readonly string[] = Array.from({ length: KEY_COUNT }, (_, i) => {
  switch (i % 10) {
    case 0: return `caf\xc3\xa9:${i}`;
    case 1: return `${"long-key/".repeat(7 + (i % 20))}${i}`;
    case 2: return `{user${i % 500}}:name:${i}`;
    case 3: return `open{${i}`;
    case 4: return `empty{}:${i}{x}`;
    default: return `user:${i}`;
  }
});

interface Node {
  readonly running: Spawned;
  /** "127.0.0.1:11311" or the socket path: what tandem calls the server. */
  readonly label: string;
  /** The label, its weight and the node name: what twemproxy and tandem are given. */
  readonly written: string;
}

/** What a test runs on: weights of the servers, in order. */
interface Fleet {
  readonly weights: readonly number[];
  /** Node names, where the flavour has them. */
  readonly names?: readonly string[];
  /** The first server listens on the port that the flavour drops: 127.0.0.2:11211. */
  readonly portDropped?: boolean;
  readonly unix?: boolean;
}

async function withFleet(fleet: Fleet, run: (nodes: readonly Node[]) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "tandem-placement-"));
  const started: Promise<Node>[] = fleet.weights.map(async (weight, i) => {
    const written = (label: string): string => `${label}:${weight}${fleet.names === undefined ? "" : ` ${fleet.names[i]}`}`;
    const small = ["-t", "1", "-m", "64"];
    if (fleet.unix === true) {
      const path = join(dir, `m${i}`);
      const running = await spawnMemcached({ args: [...small, "-s", path] });
      return { running, label: path, written: written(path) };
    }
    const at = fleet.portDropped === true && i === 0 ? { host: "127.0.0.2", port: 11211 } : {};
    const running = await spawnMemcached({ args: small, ...at });
    const label = `${running.host}:${running.port}`;
    return { running, label, written: written(label) };
  });
  try {
    await run(await Promise.all(started));
  } finally {
    for (const outcome of await Promise.allSettled(started)) if (outcome.status === "fulfilled") await outcome.value.running.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Sends one request (characters are bytes) and resolves with everything answered once that is whole. */
function ask(server: Spawned, request: string, whole: (answer: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = server.port === 0 ? connect({ path: server.host }) : connect({ host: server.host, port: server.port });
    let answer = "";
    socket.on("connect", () => socket.write(request, "latin1"));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`closed after ${answer.length} bytes: ${answer.slice(-80)}`)));
    socket.on("data", (bytes: Buffer) => {
      answer += bytes.toString("latin1");
      if (!whole(answer)) return;
      socket.removeAllListeners("close");
      socket.destroy();
      resolve(answer);
    });
  });
}

/** Of each key the label of the one server that has it. Fails when a key is nowhere or in two places. */
async function askOwners(nodes: readonly Node[]): Promise<Map<string, string>> {
  const owners = new Map<string, string>();
  for (const node of nodes) {
    let request = "";
    for (let at = 0; at < KEYS.length; at += 50) request += `get ${KEYS.slice(at, at + 50).join(" ")}\r\n`;
    const answer = await ask(node.running, `${request}mn\r\n`, (text) => text.endsWith("\r\nMN\r\n"));
    for (const [, key] of answer.matchAll(/^VALUE (\S+) 0 1\r$/gm)) {
      if (owners.has(key!)) throw new Error(`${key} is on two servers`);
      owners.set(key!, node.label);
    }
  }
  expect(owners.size).toBe(KEY_COUNT);
  return owners;
}

/** Of each key the label of the server that `tandem ring explain` gives it. */
async function explainOwners(flavour: string, nodes: readonly Node[], hashTag: string): Promise<Map<string, string>> {
  const owners = new Map<string, string>();
  const tag = hashTag === "" ? [] : ["--hash-tag", hashTag];
  const flags = ["--ring", flavour, ...tag, ...nodes.flatMap((node) => ["-s", node.written])];
  // In portions, because a command line has a limit.
  for (let at = 0; at < KEYS.length; at += 2000) {
    const keys = KEYS.slice(at, at + 2000).map((key) => Buffer.from(key, "latin1").toString("utf8"));
    const lines = await output(tandemPath(), ["ring", "explain", ...flags, ...keys]);
    for (const line of lines.trimEnd().split("\n").slice(1)) {
      const [key, , owner] = line.split(/ +/);
      owners.set(Buffer.from(key!, "utf8").toString("latin1"), owner!);
    }
  }
  expect(owners.size).toBe(KEY_COUNT);
  return owners;
}

function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    // Not the problem itself: its message repeats all the keys.
    execFile(program, args, { maxBuffer: 1 << 26 }, (problem, stdout, stderr) =>
      problem === null ? resolve(stdout) : reject(new Error(stderr.slice(0, 500) || `${program}: exit code ${problem.code}`)));
  });
}

async function expectPlacement(flavour: string, nodes: readonly Node[], hashTag: string): Promise<void> {
  const owners = await askOwners(nodes);
  const ours = await explainOwners(flavour, nodes, hashTag);
  const wrong = KEYS.filter((key) => ours.get(key) !== owners.get(key));
  const servers = nodes.map((node) => node.written);
  expect({ servers, wrong: wrong.length, examples: wrong.slice(0, 3) }).toEqual({ servers, wrong: 0, examples: [] });
  const used = new Set(owners.values()).size;
  console.log(`${KEY_COUNT} of ${KEY_COUNT} keys where --ring ${flavour} puts them, on ${used} of ${nodes.length} servers`);
}

async function throughNutcracker(flavour: string, fleet: Fleet, pool: Record<string, string>, hashTag = ""): Promise<void> {
  await withFleet(fleet, async (nodes) => {
    const proxy = await spawnNutcracker(nodes.map((node) => node.written), pool);
    try {
      const sets = KEYS.map((key) => `set ${key} 0 0 1\r\nx\r\n`).join("");
      const answer = await ask(proxy, sets, (text) => text.length >= KEY_COUNT * "STORED\r\n".length);
      expect(answer === "STORED\r\n".repeat(KEY_COUNT)).toBe(true);
      await expectPlacement(flavour, nodes, hashTag);
    } finally {
      await proxy.stop();
    }
  });
}

const PYLIBMC_SETS = `
import pylibmc, sys
# No answer is waited for: ten thousand round trips take minutes on a busy machine.
client = pylibmc.Client(sys.argv[1:], binary=False, behaviors={"ketama_weighted": True, "_noreply": True})
keys = sys.stdin.buffer.read().split(b"\\n")
for key in keys:
    client.set(key, b"x")
# A get is answered after what its server was sent before.
if len(client.get_multi(keys)) != len(keys):
    sys.exit("not all are stored")
`;

/** Runs Python with the program and the input (characters are bytes); rejects with its stderr. */
function python(program: string, args: readonly string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(PYTHON, ["-c", program, ...args], { stdio: ["pipe", "ignore", "pipe"] });
    let problem = "";
    child.stderr.on("data", (bytes: Buffer) => (problem += bytes.toString()));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(problem.trim() || `exit code ${code}`))));
    child.stdin.on("error", reject);
    child.stdin.end(input, "latin1");
  });
}

async function throughPylibmc(fleet: Fleet): Promise<void> {
  await withFleet(fleet, async (nodes) => {
    // pylibmc takes everything after a socket's path for the path.
    const servers = nodes.map((node) => (fleet.unix === true ? node.label : node.written));
    await python(PYLIBMC_SETS, servers, KEYS.join("\n"));
    await expectPlacement("libmemcached", nodes, "");
  });
}

/** Why tests that need this cannot run here, or null. */
async function missing(what: "nutcracker" | "pylibmc", fleet: Fleet): Promise<string | null> {
  if (findProgram("memcached") === null) return "memcached is not installed";
  if (what === "nutcracker" && findProgram("nutcracker") === null) return "nutcracker is not installed";
  if (what === "pylibmc") {
    const reason = await python("import pylibmc", [], "").then(() => null, () => `${PYTHON} has no pylibmc (python3-pylibmc)`);
    if (reason !== null) return reason;
  }
  if (fleet.portDropped === true && !(await canListen("127.0.0.2", 11211))) return "127.0.0.2:11211 cannot be listened on";
  return null;
}

function placement(name: string, what: "nutcracker" | "pylibmc", fleet: Fleet, run: () => Promise<void>): void {
  test(`${what}: ${name}`, async () => {
    const reason = await missing(what, fleet);
    if (reason !== null) return console.log(`NOT RUN: ${what}: ${name}: ${reason}`);
    await run();
  }, TEST_MS);
}

const weighted: Fleet = { weights: [1, 2, 5] };
const dropped: Fleet = { weights: [1, 1, 1], portDropped: true };
const droppedWeighted: Fleet = { weights: [5, 2, 1], portDropped: true };
const seven: Fleet = { weights: [1, 1, 1, 1, 1, 1, 1] };
const named: Fleet = { weights: [1, 2, 5], names: ["alpha", "beta", "gamma"] };
const sockets: Fleet = { weights: [1, 1, 1], unix: true };

placement("default hash, weights 1/2/5", "nutcracker", weighted, () => throughNutcracker("twemproxy", weighted, {}));
placement("md5, weights 1/2/5", "nutcracker", weighted, () => throughNutcracker("twemproxy-md5", weighted, { hash: "md5" }));
placement("default hash, a server on port 11211", "nutcracker", dropped, () => throughNutcracker("twemproxy", dropped, {}));
placement("md5, weights 5/2/1, the heaviest on port 11211", "nutcracker", droppedWeighted, () =>
  throughNutcracker("twemproxy-md5", droppedWeighted, { hash: "md5" }));
placement("md5, seven equal servers", "nutcracker", seven, () => throughNutcracker("twemproxy-md5", seven, { hash: "md5" }));
placement("default hash, node names, weights 1/2/5", "nutcracker", named, () => throughNutcracker("twemproxy", named, {}));
placement("md5, node names, hash tags", "nutcracker", named, () =>
  throughNutcracker("twemproxy-md5", named, { hash: "md5", hash_tag: '"{}"' }, "{}"));
placement("md5, unix sockets", "nutcracker", sockets, () => throughNutcracker("twemproxy-md5", sockets, { hash: "md5" }));
placement("ketama_weighted, weights 1/2/5", "pylibmc", weighted, () => throughPylibmc(weighted));
placement("ketama_weighted, a server on port 11211", "pylibmc", dropped, () => throughPylibmc(dropped));
placement("ketama_weighted, seven equal servers", "pylibmc", seven, () => throughPylibmc(seven));
placement("ketama_weighted, unix sockets", "pylibmc", sockets, () => throughPylibmc(sockets));
