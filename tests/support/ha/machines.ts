// Machines of a small network on this one: each has a network namespace and a /run of its own, all hang on one switch, a
// bridge in a namespace of its own. Nothing of it is seen outside, and it is gone with the processes. Needs root.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";

/** Why this machine cannot make such a network, or "" when it can. */
export function whyNoMachines(): string {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  for (const program of ["ip", "bridge", "unshare", "nsenter"]) if (Bun.which(program) === null) return `${program} is missing`;
  const script = "mount -t tmpfs none /run && ip link add veth1 type veth peer name veth2 && ip link add sw type bridge && ip link set veth1 master sw";
  const tried = spawnSync("unshare", ["-n", "-m", "sh", "-ec", script], { encoding: "utf8" });
  return tried.status === 0 ? "" : `namespaces, veth or bridge cannot be made here: ${tried.stderr.trim().split("\n")[0]}`;
}

/** A process that holds a namespace open, and the way to run commands in it. */
class Namespace {
  private readonly holder: ChildProcess;
  private readonly atExit = (): void => void this.holder.kill("SIGKILL");
  readonly pid: number;

  constructor(setUp: string) {
    this.holder = spawn("unshare", ["-n", "-m", "sh", "-ec", `mount -t tmpfs none /run; ip link set lo up; ${setUp} exec sleep infinity`], { stdio: "ignore" });
    this.pid = this.holder.pid ?? 0;
    process.once("exit", this.atExit);
    for (const limit = performance.now() + 5000; ; ) {
      const comm = readFileSync(`/proc/${this.pid}/comm`, "utf8").trim();
      if (comm === "sleep") return;
      if (performance.now() > limit) throw new Error("a namespace was not set up within 5 s");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }

  /** A command line that runs inside. */
  inside(command: readonly string[]): string[] {
    return ["nsenter", "-t", String(this.pid), "-n", "-m", "--", ...command];
  }

  /** Runs a shell script inside; its stdout. Throws when it fails. */
  sh(script: string): string {
    const [program, ...args] = this.inside(["sh", "-ec", script]) as [string, ...string[]];
    const ran = spawnSync(program, args, { encoding: "utf8" });
    if (ran.status !== 0) throw new Error(`${script}: ${ran.stderr}`);
    return ran.stdout;
  }

  end(): void {
    process.removeListener("exit", this.atExit);
    this.holder.kill("SIGKILL");
  }
}

/** The switch; its own address is the gateway. */
export class Switch {
  private readonly space: Namespace;
  readonly machines: Machine[] = [];

  /** address: "10.0.0.254/24" */
  constructor(private readonly address: string) {
    this.space = new Namespace(`mkdir -p /run; ip link add sw address 02:00:00:00:00:fe type bridge forward_delay 0; ip addr add ${address} dev sw; ip link set sw up;`);
  }

  /** Another machine on the switch. */
  plug(name: string, address: string): Machine {
    const machine = new Machine(name, address, this);
    this.machines.push(machine);
    return machine;
  }

  connect(space: { readonly pid: number; sh(script: string): string }, port: string, address: string): void {
    this.space.sh(`ip link add ${port} type veth peer name eth0 netns ${space.pid}; ip link set ${port} master sw; ip link set ${port} up`);
    space.sh(`ip addr add ${address} dev eth0; ip link set eth0 up; ip route add default via 10.0.0.254`);
  }

  /** The gateway loses its address, or gets it back. */
  gateway(there: boolean): void {
    this.space.sh(`ip addr ${there ? "add" : "del"} ${this.address} dev sw`);
  }

  unplug(port: string): void {
    this.space.sh(`ip link del ${port}`);
  }

  /** Both ends lose their carrier, or get it back. */
  link(port: string, up: boolean): void {
    this.space.sh(`ip link set ${port} ${up ? "up" : "down"}`);
  }

  /** Nothing that comes to the switch leaves by this port; what the machine sends still arrives. */
  deafen(port: string, deaf: boolean): void {
    const way = deaf ? "off" : "on";
    this.space.sh(`bridge link set dev ${port} flood ${way} mcast_flood ${way} bcast_flood ${way} learning ${way};
      bridge fdb show br sw | awk '$3 == "dev" && $4 == "${port}" || $2 == "dev" && $3 == "${port}" { print $1 }' > /run/macs
      ${deaf ? `while read -r mac; do bridge fdb del $mac dev ${port} master 2>/dev/null || true; done < /run/macs` : ""}`);
  }

  end(): void {
    for (const machine of this.machines) machine.end();
    this.space.end();
  }
}

export interface Service {
  readonly name: string;
  readonly pid: number;
  /** What it wrote so far. */
  log(): string;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<void>;
}

export class Machine {
  private space: Namespace;
  services: Service[] = [];

  constructor(readonly name: string, readonly address: string, private readonly hub: Switch) {
    this.space = this.boot();
  }

  private boot(): Namespace {
    const space = new Namespace("mkdir -p /run/tandem;");
    this.hub.connect(space, this.name, `${this.address}/24`);
    return space;
  }

  inside(command: readonly string[]): string[] {
    return this.space.inside(command);
  }

  sh(script: string): string {
    return this.space.sh(script);
  }

  /** Starts a program that stays; its output is kept. */
  run(name: string, command: readonly string[]): Service {
    const [program, ...args] = this.space.inside(command) as [string, ...string[]];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let text = "", gone = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Uint8Array) => { if (text.length < 1_000_000) text += new TextDecoder().decode(chunk); });
    }
    const pid = child.pid ?? 0;
    const kill = (signal: NodeJS.Signals): void => {
      if (!gone) for (const each of tree(pid)) signalTo(each, signal);
    };
    const atExit = (): void => kill("SIGKILL");
    process.once("exit", atExit);
    const ended = new Promise<void>((resolve) => child.once("close", () => {
      gone = true;
      process.removeListener("exit", atExit);
      resolve();
    }));
    const service = { name, pid, log: () => text, kill, ended };
    this.services.push(service);
    return service;
  }

  service(name: string): Service {
    const found = this.services.findLast((service) => service.name === name);
    if (found === undefined) throw new Error(`${this.name} runs no ${name}`);
    return found;
  }

  /** All of its processes stand still for ms, as in a live migration. */
  async pause(ms: number): Promise<void> {
    for (const service of this.services) service.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, ms));
    for (const service of this.services) service.kill("SIGCONT");
  }

  link(up: boolean): void {
    this.hub.link(this.name, up);
  }

  deafen(deaf: boolean): void {
    this.hub.deafen(this.name, deaf);
  }

  /** The plug is pulled: no process says a last word, and the switch sees no carrier. */
  async powerOff(): Promise<void> {
    this.hub.link(this.name, false);
    this.end();
    await Promise.all(this.services.map(({ ended }) => ended));
    this.hub.unplug(this.name);
    this.services = [];
  }

  /** With nothing in /run and no process. */
  powerOn(): void {
    this.space = this.boot();
  }

  end(): void {
    for (const service of this.services) service.kill("SIGKILL");
    this.space.end();
  }
}

/** pid and all that is below it; parents first. */
function tree(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return [pid, ...(children === "" ? [] : children.split(" ").flatMap((child) => tree(Number(child))))];
  } catch {
    return []; // ended meanwhile
  }
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Ended meanwhile.
  }
}
