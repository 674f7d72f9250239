// The platform under every fault with the simplest of programs: one asks two servers numbered questions over
// connections that it gives up on silence, rubbish or an end. It shows that faults fire, that bytes are never reordered
// or doubled, and that nothing leaks; the proxy itself is not in it.
import type { Socket, SocketHandlers } from "../../src/platform/platform.ts";
import { drawKinds, Nemesis } from "./faults.ts";
import { listen, Ear } from "./ear.ts";
import type { SimProcess } from "./process.ts";
import { Prng } from "./prng.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";
import { drawSettings } from "./settings.ts";
import type { World } from "./world.ts";

const SECOND_US = 1_000_000;
const PORT = 7;
const PATIENCE_MS = 300;

/** Answers "q12\n" by "a12\n"; remembers what it answered in its life. */
function answering(executed: Set<number>, wrong: string[]): Ear {
  let owed = "";
  return new Ear((ear, what) => {
    if (what === "data") {
      for (let end = ear.text.indexOf("\n"); end !== -1; end = ear.text.indexOf("\n")) {
        const number = Number(ear.text.slice(1, end));
        if (executed.has(number)) wrong.push(`question ${number} was executed twice`);
        executed.add(number);
        owed += `a${number}\n`;
        ear.text = ear.text.slice(end + 1);
      }
    }
    if (what === "data" || what === "drain") owed = owed.slice(ear.say(owed));
    if (what === "end") ear.socket!.finish(1000);
  });
}

class Asker implements SocketHandlers {
  private socket: Socket | null = null;
  private asked: number[] = [];
  private text = "";
  private output = "";
  private silence: { cancel(): void } | null = null;

  constructor(
    private readonly process: SimProcess,
    private readonly server: string,
    private readonly shared: { next: number; answers: number; wrong: string[]; stopped: boolean },
  ) {
    this.connect();
  }

  onOpen(socket: Socket): void {
    this.socket = socket;
    this.ask();
  }

  onData(bytes: Uint8Array): void {
    for (const byte of bytes) this.text += String.fromCharCode(byte);
    for (let end = this.text.indexOf("\n"); end !== -1; end = this.text.indexOf("\n")) {
      const line = this.text.slice(0, end);
      this.text = this.text.slice(end + 1);
      const number = this.asked.shift();
      if (line === `a${number}`) this.shared.answers++;
      else {
        if (/^a[0-9]+$/.test(line)) this.shared.wrong.push(`${line} came where a${number} was due`);
        this.socket!.abort();
        return;
      }
    }
    if (this.asked.length === 0) this.process.clock.timer(80, () => this.ask());
  }

  onDrain(): void {
    this.flush();
  }

  onEnd(): void {
    this.socket!.finish(1000);
  }

  onClose(): void {
    this.silence?.cancel();
    this.socket = null;
    this.asked = [];
    this.text = this.output = "";
    if (!this.shared.stopped) this.process.clock.timer(20, () => this.connect());
  }

  private connect(): void {
    this.process.net.connect({ kind: "tcp", host: this.server, port: PORT }, PATIENCE_MS, this);
  }

  private ask(): void {
    if (this.socket === null) return;
    if (this.shared.stopped) {
      this.socket.finish(1000);
      return;
    }
    const n = this.process.world.dice.load.range(1, 20);
    for (let i = 0; i < n; i++) {
      this.asked.push(this.shared.next);
      this.output += `q${this.shared.next++}\n`;
    }
    this.flush();
    this.silence?.cancel();
    this.silence = this.process.clock.timer(PATIENCE_MS, () => {
      if (this.asked.length > 0) this.socket?.abort();
    });
  }

  private flush(): void {
    const bytes = new Uint8Array(this.output.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.output.charCodeAt(i);
    this.output = this.output.slice(this.socket!.write(bytes, 0, bytes.length));
  }
}

export const echoScenario: Scenario = {
  name: "echo",
  settings: (seed) => drawSettings(new Prng(seed ^ 0x5eed)),

  run(world: World): ScenarioResult {
    const shared = { next: 1, answers: 0, wrong: [] as string[], stopped: false };
    const executed = new Set<number>();
    const servers = ["s1", "s2"].map((name) => {
      const host = world.host(name);
      host.start((process) => void listen(process, PORT, () => answering(executed, shared.wrong)));
      return host;
    });
    const proxy = world.host("proxy");
    proxy.start((process) => {
      for (const server of servers) new Asker(process, server.name, shared);
    });
    const nemesis = new Nemesis(world, { proxies: [proxy], servers }, {
      cls: "B", kinds: drawKinds(world.dice.faults), quiet: () => true, untilUs: 15 * SECOND_US, spreadUs: 20_000,
    });
    nemesis.start();
    world.run(15 * SECOND_US);
    nemesis.end();
    const before = shared.answers;
    world.run(20 * SECOND_US);
    if (shared.answers === before) shared.wrong.push("no answer came after all faults were over");
    shared.stopped = true;
    world.run(40 * SECOND_US);
    const left = proxy.process!;
    if (left.sockets.size + left.attempts.size > 0) shared.wrong.push(`${left.sockets.size} sockets and ${left.attempts.size} attempts are left`);
    if (left.timers > 0) shared.wrong.push(`${left.timers} timers are left`);
    return { violations: shared.wrong, counts: { questions: shared.next - 1, answers: shared.answers } };
  },
};
