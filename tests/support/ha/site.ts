// Two proxies behind one address, as the README says to run them: tandem, tandem watch and Keepalived with the example
// configuration on each of two machines, a memcached on each of two others, and a client on a fifth.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Count } from "./client.ts";
import { type Machine, Switch } from "./machines.ts";

const GATEWAY = "10.0.0.254", ADDRESS = "10.0.0.50", CLIENT = resolve(import.meta.dir, "client.ts");
const SERVERS = ["10.0.0.11", "10.0.0.12"];
const EXAMPLE = resolve(import.meta.dir, "../../../scripts/debian/keepalived.conf");
const PORT = 11211;
/** How long all may take to be as it should be, ms. */
const READY_MS = 10_000;

export class Site {
  readonly hub = new Switch(`${GATEWAY}/24`);
  readonly proxies: readonly Machine[];
  readonly servers: readonly Machine[];
  private readonly client: Machine;
  private readonly dir = mkdtempSync(join(tmpdir(), "tandem-ha-"));
  private load: ChildProcess | null = null;
  private told: ((count: Count) => void) | null = null;

  /** tandem: the binary. */
  constructor(private readonly tandem: string) {
    this.proxies = [this.hub.plug("proxy1", "10.0.0.1"), this.hub.plug("proxy2", "10.0.0.2")];
    this.servers = SERVERS.map((address, i) => this.hub.plug(`server${i + 1}`, address));
    this.client = this.hub.plug("client", "10.0.0.100");
    for (const machine of this.proxies) {
      const [own, other] = machine.address === "10.0.0.1" ? ["10.0.0.1", "10.0.0.2"] : ["10.0.0.2", "10.0.0.1"];
      const text = readFileSync(EXAMPLE, "utf8")
        .replace("unicast_src_ip 10.0.0.1", `unicast_src_ip ${own}`).replace(/unicast_peer \{\s*10\.0\.0\.2/, `unicast_peer {\n${other}`);
      writeFileSync(this.conf(machine), text);
    }
  }

  /** Starts everything; resolves when one proxy has the address, the other waits for it, and a client is served. */
  async start(): Promise<void> {
    for (const server of this.servers) this.startServer(server);
    for (const machine of this.proxies) this.boot(machine);
    await this.ready();
    const [program, ...args] = this.client.inside([process.execPath, CLIENT, ADDRESS, String(PORT)]) as [string, ...string[]];
    this.load = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    process.once("exit", this.endLoad);
    createInterface({ input: this.load.stdout! }).on("line", (line) => this.told?.(JSON.parse(line) as Count));
    for (const limit = performance.now() + READY_MS; (await this.count()).succeeded < 50; ) {
      if (performance.now() > limit) throw new Error(`the client is not served\n${this.logs()}`);
      await pause(50);
    }
  }

  private readonly endLoad = (): void => void this.load?.kill("SIGKILL");

  /** All that runs on the machine of a proxy. */
  boot(machine: Machine): void {
    this.startProxy(machine);
    const other = this.other(machine);
    machine.run("watch", [
      this.tandem, "watch", `127.0.0.1:${PORT}`, "--track-file", "/run/tandem/address", "--hear", `${GATEWAY}:1`, "--hear", `${other.address}:${PORT}`,
    ]);
    this.startKeepalived(machine);
  }

  startServer(machine: Machine): void {
    machine.run("memcached", ["memcached", "-u", "nobody", "-l", machine.address, "-m", "64"]);
  }

  startProxy(machine: Machine): void {
    machine.run("tandem", [this.tandem, "-p", String(PORT), "-s", `${SERVERS[0]}:${PORT}`, "-b", `${SERVERS[1]}:${PORT}`]);
  }

  startKeepalived(machine: Machine): void {
    machine.run("keepalived", [
      "keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", `--use-file=${this.conf(machine)}`,
      "--pid=/run/keepalived.pid", "--vrrp_pid=/run/vrrp.pid",
    ]);
  }

  private conf(machine: Machine): string {
    return join(this.dir, `${machine.name}.conf`);
  }

  other(machine: Machine): Machine {
    return this.proxies.find((each) => each !== machine)!;
  }

  /** The machines that have the address now; one that is off has none. */
  holders(): Machine[] {
    return this.proxies.filter((machine) => machine.services.length > 0 && machine.sh("ip -4 -o addr show dev eth0").includes(`${ADDRESS}/`));
  }

  /** The machine that has the address; throws when it is not exactly one. */
  holder(): Machine {
    const [holder, ...more] = this.holders();
    if (holder === undefined || more.length > 0) throw new Error(`${holder === undefined ? "nobody has" : "both have"} the address\n${this.logs()}`);
    return holder;
  }

  /** How often Keepalived took the address so far, on all machines that are on. */
  moves(): number {
    const logs = this.proxies.flatMap(({ services }) => services.map((service) => service.log()));
    return logs.join("").split("Entering MASTER STATE").length - 1;
  }

  /** Resolves when one proxy has the address and both watches and Keepalived agree that either may have it. */
  async ready(): Promise<void> {
    const fine = (): boolean => this.holders().length === 1 && this.proxies.every((machine) => {
      const file = machine.sh("cat /run/tandem/address || true").trim();
      const states = [...machine.service("keepalived").log().matchAll(/Entering (MASTER|BACKUP|FAULT) STATE/g)];
      return file === "0" && states.length > 0 && states.at(-1)![1] !== "FAULT";
    });
    for (const limit = performance.now() + READY_MS; !fine(); await pause(50)) {
      if (performance.now() > limit) throw new Error(`not ready within ${READY_MS} ms\n${this.logs()}`);
    }
  }

  /** The client counts anew. */
  mark(): void {
    this.load!.stdin!.write("mark\n");
  }

  count(): Promise<Count> {
    return new Promise((resolve) => {
      this.told = resolve;
      this.load!.stdin!.write("tell\n");
    });
  }

  logs(): string {
    return this.proxies.flatMap(({ name, services }) => services.map((service) => `== ${name} ${service.name}\n${service.log()}`)).join("\n");
  }

  end(): void {
    process.removeListener("exit", this.endLoad);
    this.endLoad();
    this.hub.end();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
