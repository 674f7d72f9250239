// Two regions with 40 ms between them, each with a proxy and a memcached, and the same flags in both: they place alike,
// read what the other one wrote, and a region that is set up otherwise is found out. The machines are network namespaces;
// the distance is a relay, since not every kernel can delay packets.
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { type Machine, Switch, whyNoMachines } from "../support/ha/machines.ts";
import { PATIENT, tandemPath } from "../support/tandem.ts";

const ONE_WAY_MS = 20, PORT = 11211, CLIENTS = 12000;
const NORTH = "10.0.0.11", SOUTH = "10.0.0.12";
const DELAY = resolve("tests/support/ha/delay.ts");
const FLAGS = ["-p", String(CLIENTS), "--admin", "off", "-s", `${NORTH}:${PORT}`, "-b", `${SOUTH}:${PORT}`, ...PATIENT];

/** Resolves once what a service said matches. */
async function said(machine: Machine, service: string, pattern: RegExp): Promise<void> {
  const { log } = machine.service(service);
  for (const limit = performance.now() + 40_000; !pattern.test(log()); ) {
    if (performance.now() > limit) throw new Error(`${machine.name} ${service} did not say ${pattern}:\n${log()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("two regions, 40 ms apart", async () => {
  const why = whyNoMachines();
  if (why !== "") return console.log(`not run: ${why}`);
  const hub = new Switch("10.0.0.254/24");
  try {
    const servers = [hub.plug("north", NORTH), hub.plug("south", SOUTH)];
    const proxies = [hub.plug("proxyn", "10.0.0.1"), hub.plug("proxys", "10.0.0.2")];
    const client = hub.plug("client", "10.0.0.100");
    for (const [i, server] of servers.entries()) {
      // Where the relay of the other region finds it.
      server.sh(`ip addr add 10.0.0.11${i + 1}/24 dev eth0`);
      server.run("memcached", ["memcached", "-u", "nobody", "-l", "0.0.0.0"]);
    }
    for (const [i, proxy] of proxies.entries()) {
      const far = [SOUTH, NORTH][i]!;
      // The far server's address leads into the relay here, and nobody else hears of that.
      proxy.sh(`echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore; ip addr add ${far}/32 dev lo`);
      proxy.run("distance", [process.execPath, DELAY, `${far}:${PORT}`, `10.0.0.11${2 - i}:${PORT}`, String(ONE_WAY_MS)]);
      await said(proxy, "distance", /ready/);
      proxy.run("tandem", [tandemPath(), ...FLAGS]);
    }
    for (const proxy of proxies) await said(proxy, "tandem", /server is up[^]*server is up/);

    const ask = (command: string[]): { code: number; text: string; ms: number } => {
      const began = performance.now();
      const ran = Bun.spawnSync(client.inside(command), { stdout: "pipe", stderr: "pipe" });
      return { code: ran.exitCode, text: `${ran.stdout}${ran.stderr}`, ms: performance.now() - began };
    };
    const places = proxies.map(({ address }) => `${address}:${CLIENTS}`);
    const against = (): { code: number; text: string } => ask([tandemPath(), "check", "--against", ...places]);

    // The distance is there: an answer of the far server takes 40 ms, the near one's less.
    const talk = (proxy: Machine, ...lines: string[]): { text: string; ms: number } =>
      ask(["bash", "-c", `exec 3<>/dev/tcp/${proxy.address}/${CLIENTS}; printf '${lines.join("\\r\\n")}\\r\\nquit\\r\\n' >&3; cat <&3`]);
    const written = talk(proxies[0]!, "set k 0 0 5", "north");
    expect(written.text).toBe("STORED\r\n");
    expect(written.ms).toBeGreaterThanOrEqual(2 * ONE_WAY_MS);
    const read = talk(proxies[1]!, "get k");
    expect(read.text).toBe("VALUE k 0 5\r\nnorth\r\nEND\r\n");
    expect(read.ms).toBeGreaterThanOrEqual(2 * ONE_WAY_MS);
    expect(talk(proxies[1]!, "set k 0 0 5", "south").text).toBe("STORED\r\n");
    expect(talk(proxies[0]!, "get k").text).toBe("VALUE k 0 5\r\nsouth\r\nEND\r\n");

    const alike = against();
    expect([alike.code, alike.text]).toEqual([0, expect.stringContaining(places[1]!)]);
    proxies[1]!.service("tandem").kill("SIGKILL");
    await proxies[1]!.service("tandem").ended;
    proxies[1]!.run("tandem", [tandemPath(), ...FLAGS, "--ring", "twemproxy"]);
    await said(proxies[1]!, "tandem", /server is up[^]*server is up/);
    const drifted = against();
    expect(drifted.code).toBe(1);
    expect(drifted.text).toContain(`${places[1]} differs from ${places[0]}: ring twemproxy instead of libketama\n`);
  } finally {
    hub.end();
  }
}, 120_000);
