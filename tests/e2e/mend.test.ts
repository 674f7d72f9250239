// tandem resync and tandem verify on real servers: everything planted is found and mended, nothing else is touched, and
// neither a signal nor a server that stops leaves a mess or a command that hangs.
import { afterEach, describe, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { label, newerMemcached, type Spawned, spawnMemcached, type Which } from "../support/memcached.ts";
import { type Ended, run, type Running, start } from "../support/program.ts";
import { PATIENT, serverStates, spawnTandem, tandemPath } from "../support/tandem.ts";

const { keep, stopAll } = keeper();
const commands: Running[] = [], clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const command of commands.splice(0)) {
    command.kill("SIGKILL");
    await command.ended;
  }
  await stopAll();
});
async function memcacheds(count: number, which: Which = "installed"): Promise<Spawned[]> {
  const all: Spawned[] = [];
  for (let i = 0; i < count; i++) all.push(await keep(spawnMemcached({ args: ["-m", "128"], which })));
  return all;
}
async function connected({ port }: Spawned): Promise<Client> {
  const client = await Client.open(port);
  clients.push(client);
  return client;
}
/** How far a command is, as it tells on a slow machine. */
const PROGRESS = /^(\[[#-]+\] .* keys, .*|\d+ keys listed)\n/gm;
const calm = (ended: Ended): Ended => ({ ...ended, stderr: ended.stderr.replace(PROGRESS, "") });
const tandem = async (...args: string[]): Promise<Ended> => calm(await run(tandemPath(), args));
function started(...args: string[]): Running {
  const command = start(tandemPath(), args);
  commands.push(command);
  return { ...command, ended: command.ended.then(calm) };
}

/** Expiry is told as a date, so that it is the same on two servers however long it takes to fill them. */
const BEGUN_S = Math.floor(Date.now() / 1000);

interface Item {
  readonly key: string;
  readonly value: string;
  readonly flags?: number;
  /** Seconds after BEGUN_S; 0: for ever. */
  readonly ttl?: number;
}

/** Stores items, however many, on one server. */
async function store(server: Spawned, items: Iterable<Item>): Promise<void> {
  const client = await connected(server);
  let text = "";
  for (const { key, value, flags = 0, ttl = 0 } of items) {
    text += `set ${key} ${flags} ${ttl === 0 ? 0 : BEGUN_S + ttl} ${value.length} noreply\r\n${value}\r\n`;
    if (text.length < 60_000) continue;
    client.send(text);
    await client.flushed();
    text = "";
  }
  expect(await client.ask(`${text}mn\r\n`, 20_000)).toBe("MN");
  client.close();
}

/** A dump of memcached 1.6.18 leaves out keys whose place in the LRU is about to change, which takes a second. */
const DUMPS_MAX = 5, LRU_MS = 1200;

/** All that a server holds: of each key "flags ttl value". Asked key by key, by no means of tandem's. */
async function contents(server: Spawned): Promise<Map<string, string>> {
  const client = await connected(server);
  const found = new Set<string>();
  const all = await items(server);
  for (let dumps = 0; dumps < DUMPS_MAX && found.size < all; dumps++) {
    if (dumps > 0) await Bun.sleep(LRU_MS);
    client.send("lru_crawler metadump all\r\n");
    for (let line = await client.line(20_000); line !== "END"; line = await client.line(20_000)) {
      const key = /^key=(\S+)/.exec(line)?.[1];
      if (key !== undefined) found.add(key.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))));
    }
  }
  // What tandem keeps for itself is not compared; some of it has line ends inside.
  const keys = [...found].filter((key) => !key.startsWith("__tandem:"));
  const held = new Map<string, string>();
  for (let at = 0; at < keys.length; at += 500) {
    const some = keys.slice(at, at + 500);
    client.send(some.map((key) => `mg ${key} f t v u\r\n`).join(""));
    for (const key of some) {
      const head = await client.line(20_000);
      const [status, , flags, ttl] = head.split(" ");
      if (status !== "VA") continue;
      const value = await client.line(20_000);
      held.set(key, `${flags} ${ttl} ${value}`);
    }
  }
  client.close();
  return held;
}

/** Remaining times differ by the seconds that a copy took: cut to "soon", "later" or "for ever". */
function roughly(held: Map<string, string>): [string, string][] {
  return [...held].map(([key, text]): [string, string] => [
    key, text.replace(/ t(-?\d+) /, (_, ttl: string) => (ttl === "-1" ? " for ever " : Number(ttl) > 1500 ? " later " : " soon ")),
  ]).sort(([a], [b]) => (a < b ? -1 : 1));
}

async function items(server: Spawned): Promise<number> {
  const client = await connected(server);
  client.send("stats\r\n");
  let count = -1;
  for (let line = await client.line(5000); line !== "END"; line = await client.line(5000)) {
    const found = /^STAT curr_items (\d+)/.exec(line);
    if (found !== null) count = Number(found[1]);
  }
  client.close();
  return count;
}

function* many(count: number): Generator<Item> {
  for (let i = 0; i < count; i++) yield { key: `key:${i}`, value: `value of ${i}`, flags: i % 5, ttl: i % 3 === 0 ? 3000 : 0 };
}

const BINARY_KEY = Array.from({ length: 120 }, (_, i) => String.fromCharCode(0x80 + i)).join("");
const LONG_KEY = "k".repeat(250);
/** What `from` has beside what both have, or has otherwise: one of each kind. */
const PLANTED: readonly Item[] = [
  { key: "missing", value: "1", flags: 7, ttl: 3000 },
  { key: BINARY_KEY, value: "binary", ttl: 600 },
  { key: LONG_KEY, value: "long", flags: 4294967295 },
  { key: "large", value: "x".repeat(900_000) },
  { key: "empty", value: "" },
  { key: "value", value: "new", ttl: 600 },
  { key: "flags", value: "same", flags: 1 },
  { key: "times", value: "same", ttl: 3000 },
  { key: "times-2", value: "same" },
];
const PLANTED_OTHERWISE: readonly Item[] = [
  { key: "value", value: "old", ttl: 600 },
  { key: "flags", value: "same", flags: 2 },
  { key: "times", value: "same", ttl: 600 },
  { key: "times-2", value: "same", ttl: 3000 },
];
const ONLY_THERE: readonly Item[] = [{ key: "only-there", value: "2", ttl: 3000 }];

/** On the machine's own memcached, and on one whose uniques tandem chooses, when it can be had. */
function onBoth(name: string, body: (which: Which) => Promise<void>): void {
  for (const which of ["installed", "newer"] as const) {
    test.skipIf(which === "newer" && newerMemcached() === null)(`${name} (${which} memcached)`, () => body(which), 120_000);
  }
}

describe("tandem resync", () => {
  onBoth("what was planted is told by --dry-run, copied, and removed only by --delete", async (which) => {
    const [from, to] = await memcacheds(2, which) as [Spawned, Spawned];
    await store(from, [...many(1000), ...PLANTED]);
    await store(to, [...many(1000), ...PLANTED_OTHERWISE, ...ONLY_THERE]);
    const ends = ["--from", label(from), "--to", label(to)];
    const source = roughly(await contents(from)), before = roughly(await contents(to));

    const dry = await tandem("resync", ...ends, "--dry-run");
    expect([dry.code, dry.stderr]).toEqual([1, ""]);
    expect(dry.stdout).toMatch(/^equal +1000$/m);
    expect(dry.stdout).toMatch(/^to be copied +9  missing 5, other value 1, other flags 1, other time 2$/m);
    expect(dry.stdout).toMatch(/^left alone +1  only /m);
    expect(roughly(await contents(to))).toEqual(before);

    const real = await tandem("resync", ...ends);
    expect([real.code, real.stderr]).toEqual([0, ""]);
    expect(real.stdout).toMatch(/^copied +9  missing 5, other value 1, other flags 1, other time 2$/m);
    expect(roughly(await contents(from))).toEqual(source);
    expect(roughly(await contents(to))).toEqual([...source, ["only-there", "f0 later 2"] as [string, string]].sort(([a], [b]) => (a < b ? -1 : 1)));

    const clean = await tandem("resync", ...ends, "--delete");
    expect(clean.code).toBe(0);
    expect(clean.stdout).toMatch(/^removed +1  only /m);
    expect(roughly(await contents(to))).toEqual(source);
    expect((await tandem("resync", ...ends, "--delete", "--dry-run")).code).toBe(0);
  });

  test("with rings, only the keys that are placed on the target", async () => {
    const [a, b, c] = await memcacheds(3) as [Spawned, Spawned, Spawned];
    await store(c, many(300));
    const rings = ["-s", label(a), "-s", label(b), "-b", label(c)];
    for (const to of [a, b]) expect((await tandem("resync", "--from", label(c), "--to", label(to), ...rings)).code).toBe(0);
    const left = await contents(a), right = await contents(b);
    expect([left.size + right.size, left.size > 50, right.size > 50]).toEqual([300, true, true]);
    const verified = await tandem("verify", ...rings);
    expect([verified.code, verified.stderr]).toEqual([0, ""]);
  });

  test("too large for the target: counted with the reason, the others are copied, 1", async () => {
    const from = await keep(spawnMemcached({ args: ["-I", "4m"] })), to = await keep(spawnMemcached());
    await store(from, [{ key: "big", value: "x".repeat(2_000_000) }, { key: "small", value: "1" }]);
    const ended = await tandem("resync", "--from", label(from), "--to", label(to));
    expect(ended.code).toBe(1);
    expect(ended.stdout).toMatch(/^refused +1  too large for /m);
    expect([...(await contents(to)).keys()]).toEqual(["small"]);
  });

  test("50,000 keys: killed in the middle, then interrupted, then run to the end", async () => {
    const [from, to] = await memcacheds(2) as [Spawned, Spawned];
    await store(from, many(50_000));
    const ends = ["--from", label(from), "--to", label(to)];
    const first = started("resync", ...ends, "--rate", "20000");
    while (await items(to) < 1000);
    first.kill("SIGKILL");
    await first.ended;
    const there = (await contents(to)).size;
    expect([there >= 1000, there < 50_000]).toEqual([true, true]);

    const second = started("resync", ...ends, "--rate", "10000");
    while (await items(to) < there + 1000);
    second.kill("SIGINT");
    const ended = await second.ended;
    expect([ended.code, ended.stderr]).toEqual([130, "tandem: stopping after the keys under way\n"]);
    const told = /: (\d+) of 50000 keys compared in .*; run it again to go on\nequal +(\d+)\ncopied +(\d+) /.exec(ended.stdout)!;
    expect(Number(told[1])).toBe(Number(told[2]) + Number(told[3]));
    expect((await contents(to)).size).toBe(there + Number(told[3]));

    const last = await tandem("resync", ...ends, "--rate", "0");
    expect([last.code, last.stderr]).toEqual([0, ""]);
    expect(roughly(await contents(to))).toEqual(roughly(await contents(from)));
  }, 180_000);

  test("a server that stops or dies in the middle: one line, 3, in bounded time", async () => {
    const [from, to] = await memcacheds(2) as [Spawned, Spawned];
    await store(from, many(50_000));
    const ends = ["--from", label(from), "--to", label(to), "--rate", "2000"];
    const hung = started("resync", ...ends);
    while (await items(to) < 500);
    from.kill("SIGSTOP");
    const began = performance.now();
    const ended = await hung.ended;
    expect([ended.code, ended.stderr.split("\n").length]).toEqual([3, 2]);
    expect(ended.stderr).toStartWith(`tandem: ${label(from)}: is lost: `);
    expect(performance.now() - began).toBeLessThan(15_000);
    from.kill("SIGCONT");

    const orphan = started("resync", ...ends);
    const there = await items(to);
    while (await items(to) < there + 500);
    await to.stop();
    expect(await orphan.ended).toMatchObject({ code: 3 });
    expect((await orphan.ended).stderr).toStartWith(`tandem: ${label(to)}: is lost: `);

    expect(await tandem("resync", ...ends)).toMatchObject({ code: 3, stdout: "", stderr: `tandem: ${label(to)}: cannot be reached: refused\n` });
  }, 180_000);

  test("what is no memcached with a list of keys cannot be copied from", async () => {
    const [from, to] = await memcacheds(2) as [Spawned, Spawned];
    const proxy = await keep(spawnTandem(["-s", label(from)]));
    const ended = await tandem("resync", "--from", label(proxy), "--to", label(to));
    expect(ended).toMatchObject({ code: 3, stdout: "" });
    expect(ended.stderr).toStartWith(`tandem: ${label(proxy)}: `);
  });

  test("asked wrongly: 2 and one line", async () => {
    for (const args of [[], ["--from", "a:1"], ["--from", "a:1", "--to", "A:1"], ["--from", "a:1", "--to", "b:1", "-s", "c:1"], ["--from", "a:1", "--to", "b:1", "more"]]) {
      const ended = await tandem("resync", ...args);
      expect([args, ended.code, ended.stdout, ended.stderr.split("\n").length]).toEqual([args, 2, "", 2]);
    }
  });
});

describe("tandem verify", () => {
  onBoth("planted differences of every kind are found, listed and mended either way", async (which) => {
    for (const lead of ["primary", "backup"] as const) {
      const [primary, backup] = await memcacheds(2, which) as [Spawned, Spawned];
      const [better, worse] = lead === "primary" ? [primary, backup] : [backup, primary];
      await store(better, [...many(500), ...PLANTED]);
      await store(worse, [...many(500), ...PLANTED_OTHERWISE, ...ONLY_THERE]);
      const flags = ["-s", label(primary), "-b", label(backup)];
      const before = [roughly(await contents(primary)), roughly(await contents(backup))];

      const seen = await tandem("verify", ...flags, "--list");
      expect([seen.code, seen.stderr]).toEqual([1, ""]);
      const only = lead === "primary" ? ["only_primary", "only_backup"] : ["only_backup", "only_primary"];
      const words = seen.stdout.split("\n").filter((line) => line.endsWith(` ${label(primary)} ${label(backup)}`));
      expect(words.map((line) => line.split(" ").slice(0, 2).join(" ").slice(0, 30)).sort()).toEqual([
        `${only[0]} missing`, `${only[0]} large`, `${only[0]} empty`, `${only[0]} ${LONG_KEY}`.slice(0, 30),
        `${only[0]} ${[...BINARY_KEY].map((c) => `\\x${c.charCodeAt(0).toString(16)}`).join("")}`.slice(0, 30), `${only[1]} only-there`,
        "value value", "flags flags", "times times", "times times-2",
      ].sort());
      expect([roughly(await contents(primary)), roughly(await contents(backup))]).toEqual(before);

      const careful = await tandem("verify", ...flags, "--repair", "--lead", lead);
      expect(careful.code).toBe(1); // what only the other side holds is left
      const json = JSON.parse((await tandem("verify", ...flags, "--json")).stdout) as { left: number; pairs: object[] };
      expect(json).toMatchObject({ left: 1, pairs: [{ compared: 510, equal: 509 }], misplaced: [] });

      const whole = await tandem("verify", ...flags, "--repair", "--lead", lead, "--delete");
      expect([whole.code, whole.stderr]).toEqual([0, ""]);
      expect(roughly(await contents(worse))).toEqual(roughly(await contents(better)));
      expect((await tandem("verify", ...flags)).code).toBe(0);
      await primary.stop();
      await backup.stop();
    }
  });

  test("keys where they do not belong are counted, listed and left alone", async () => {
    const [a, b, c] = await memcacheds(3) as [Spawned, Spawned, Spawned];
    const proxy = await keep(spawnTandem(["-s", label(a), "-s", label(b), "-b", label(c), ...PATIENT]));
    await store(proxy, [...many(200)].map((item) => ({ ...item, ttl: 0 })));
    const flags = ["-s", label(a), "-s", label(b), "-b", label(c)];
    expect((await tandem("verify", ...flags)).code).toBe(0);
    const [stray] = (await contents(a)).keys();
    await store(b, [{ key: stray!, value: "older" }]);
    const seen = await tandem("verify", ...flags, "--list");
    expect(seen.code).toBe(1);
    expect(seen.stdout).toContain(`misplaced ${stray} ${label(b)}\n`);
    expect(seen.stdout).toContain(`\n1 keys on ${label(b)} belong to other servers\n`);
    expect((await tandem("verify", ...flags, "--repair", "--delete")).code).toBe(1);
    expect((await contents(b)).get(stray!)).toContain("older");
  });

  test("nothing is copied from a server of which a proxy has posted that it missed writes, unless forced", async () => {
    const [primary, backup] = await memcacheds(2) as [Spawned, Spawned];
    const flags = ["-s", label(primary), "-b", label(backup)];
    const proxy = await keep(spawnTandem(flags));
    const client = await connected(proxy), witness = await connected(backup);
    expect(await client.ask("set k 0 0 3\r\nold\r\n")).toBe("STORED");
    client.send("stats proxies\r\n");
    const id = /^STAT id (\w+)$/.exec(await client.line(5000))![1]!;
    while ((await client.line(5000)) !== "END");
    primary.kill("SIGSTOP");
    while ((await serverStates(client))[0] !== "down");
    expect(await client.ask("set k 0 0 3\r\nnew\r\n")).toBe("STORED");
    for (let posted = ""; !posted.includes("="); ) {
      const head = await witness.ask(`mg __tandem:b:${id} v\r\n`);
      posted = head.startsWith("VA") ? await witness.line(5000) : "";
    }
    // It takes what it knew with it, but its word stays.
    await proxy.stop();
    primary.kill("SIGCONT");

    for (const args of [["verify", ...flags, "--repair"], ["resync", "--from", label(primary), "--to", label(backup)]]) {
      const refused = await tandem(...args);
      expect([refused.code, refused.stdout]).toEqual([1, ""]);
      expect(refused.stderr).toMatch(new RegExp(`^tandem: ${label(primary)} is (down|stale), says the proxy ${id}\ntandem: nothing is copied from `));
    }
    expect((await contents(backup)).get("k")).toBe("f0 t-1 new");
    expect((await tandem("verify", ...flags)).code).toBe(1);
    const other = await tandem("verify", ...flags, "--repair", "--lead", "backup");
    expect([other.code, (await contents(primary)).get("k")]).toEqual([0, "f0 t-1 new"]);
    await store(primary, [{ key: "k", value: "forced" }]);
    expect((await tandem("verify", ...flags, "--repair", "--force")).code).toBe(0);
    expect((await contents(backup)).get("k")).toBe("f0 t-1 forced");
  });

  test("a sample is as large as asked, and finds what is everywhere", async () => {
    const [primary, backup] = await memcacheds(2) as [Spawned, Spawned];
    await store(primary, many(2000));
    const flags = ["-s", label(primary), "-b", label(backup)];
    for (const [sample, compared] of [["5%", 100], ["37", 37], ["100%", 2000]] as const) {
      const ended = await tandem("verify", ...flags, "--sample", sample, "--json");
      expect(ended.code).toBe(1);
      expect(JSON.parse(ended.stdout)).toMatchObject({ compared, keys: compared, sampled: true, left: compared });
    }
  });

  test("writes in flight are no differences", async () => {
    const [primary, backup] = await memcacheds(2) as [Spawned, Spawned];
    const flags = ["-s", label(primary), "-b", label(backup)];
    const proxy = await keep(spawnTandem(flags));
    await store(proxy, many(2000));
    const client = await connected(proxy);
    let over = false, writes = 0;
    const load = (async () => {
      expect(await client.ask("set n 0 0 1\r\n0\r\n")).toBe("STORED");
      for (; !over; writes += 20) {
        let text = "";
        for (let i = 0; i < 19; i++) text += `set key:${(writes + i) % 50} 0 0 6\r\n${String(writes % 1e6).padStart(6)}\r\n`;
        client.send(`${text}incr n 1\r\n`);
        for (let i = 0; i < 20; i++) expect(await client.line(5000)).toMatch(/^STORED$|^\d+$/);
      }
    })();
    const ended = await tandem("verify", ...flags, "--rate", "0");
    over = true;
    await load;
    expect(writes).toBeGreaterThan(100);
    expect([ended.code, ended.stdout.split("\n")[2]]).toEqual([0, expect.stringMatching(/^2001 keys compared in .*, 0 not as they should be$/)]);
  }, 180_000);

  test("asked wrongly: 2 and one line", async () => {
    for (const args of [[], ["-s", "a:1"], ["-s", "a:1", "-b", "b:1", "--sample", "0"], ["-s", "a:1", "-b", "b:1", "--sample", "101%"],
      ["-s", "a:1", "-b", "b:1", "--delete"], ["-s", "a:1", "-b", "b:1", "--lead", "backup"], ["-s", "a:1", "-b", "b:1", "--list", "--json"]]) {
      const ended = await tandem("verify", ...args);
      expect([args, ended.code, ended.stdout, ended.stderr.split("\n").length]).toEqual([args, 2, "", 2]);
    }
  });
});

describe("the scrubber", () => {
  onBoth("mends what is planted on one side while nobody looks: the primary's word counts", async (which) => {
    const [primary, backup] = await memcacheds(2, which) as [Spawned, Spawned];
    const flags = ["-s", label(primary), "-b", label(backup)];
    // A proxy that is killed leaves it open what it had under way: the next one compares all keys.
    await (await keep(spawnTandem([...flags, ...PATIENT]))).kill("SIGKILL");
    await store(primary, [...many(500), ...PLANTED]);
    await store(backup, [...many(500), ...PLANTED_OTHERWISE, ...ONLY_THERE]);
    expect((await tandem("verify", ...flags)).code).toBe(1);
    const wanted = roughly(await contents(primary));
    const proxy = await keep(spawnTandem([...flags, ...PATIENT]));
    const [line] = await proxy.said(/all keys are compared .*/, 0, 60_000);
    expect(line).toContain("repaired=10");
    const found = await tandem("verify", ...flags);
    expect([found.code, found.stdout]).toEqual([0, expect.stringMatching(/^509 keys compared .*$/m)]);
    expect([roughly(await contents(primary)), roughly(await contents(backup))]).toEqual([wanted, wanted]);
  });
});
