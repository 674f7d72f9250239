// What tandem watch decides, on a table: when the address goes, why, and when it may come back.
import { describe, expect, test } from "bun:test";
import { type WatchSettings, Watcher } from "../../src/cli/watcher.ts";
import { type Cause, FakePlatform, type FakeSocket } from "../support/fake_platform.ts";

const at = (host: string, port: number) => ({ kind: "tcp", host, port }) as const;
const SETTINGS: WatchSettings = { proxy: at("proxy", 1), hear: [], intervalMs: 100, silentMs: 400, deafMs: 1000, backMs: 1000 };

type Welcome = "accept" | "lost" | Cause;

/** A proxy with two servers that answers as long as it is told to, and any other places. */
class Scene {
  readonly platform = new FakePlatform();
  readonly told: string[] = [];
  answers = true;
  /** What the proxy calls its servers. */
  servers = ["10.0.0.5:11211", "10.0.0.6:11211"];
  readonly connections: FakeSocket[] = [];
  readonly watcher: Watcher;

  constructor(settings: Partial<WatchSettings> = {}, mayStay = true) {
    this.proxy("accept");
    this.watcher = new Watcher(this.platform, { ...SETTINGS, ...settings }, mayStay, (stay, why) => {
      this.told.push(`${this.platform.nowMs - 1000} ${stay ? "stay" : `go ${why}`}`);
    }, () => {});
  }
  proxy(welcome: Welcome): void {
    this.platform.peers.set("proxy:1", {
      welcome, accepted: (socket) => void this.connections.push(socket), wrote: (socket) => this.reply(socket),
    });
  }
  place(label: string, welcome: Welcome): void {
    this.platform.peers.set(label, { welcome, accepted: () => {}, wrote: () => {} });
  }
  reply(socket: FakeSocket): void {
    if (!this.answers) return;
    const asked = socket.take();
    if (asked.includes("version\r\n")) socket.send("VERSION 1.6.18\r\n");
    if (asked.includes("stats servers\r\n")) {
      socket.send(this.servers.map((label, i) => `STAT primary:${i}:address ${label}\r\nSTAT primary:${i}:state up\r\n`).join("") + "END\r\n");
    }
  }
  /** Starts and lets ms pass; what was told meanwhile. */
  run(ms: number): string[] {
    this.watcher.start();
    return this.pass(ms);
  }
  pass(ms: number): string[] {
    this.platform.pass(ms);
    return this.told.splice(0);
  }
  get last(): FakeSocket {
    return this.connections.at(-1)!;
  }
}

describe("the proxy", () => {
  test("one that answers is asked over one connection, and nothing is told", () => {
    const scene = new Scene();
    expect(scene.run(60_000)).toEqual([]);
    expect(scene.connections.length).toBe(1);
  });

  test("killed: its connection ends, the next is refused, and the address goes without waiting for a look", () => {
    const scene = new Scene();
    scene.run(5050);
    scene.proxy("refused");
    scene.last.close("reset");
    scene.platform.settle();
    expect(scene.told.splice(0)).toEqual(["5050 go refused"]);
    expect(scene.pass(5000)).toEqual([]);
    // It comes back, and so does the address after a second of answers.
    scene.proxy("accept");
    expect(scene.pass(950)).toEqual([]);
    expect(scene.pass(300)).toEqual(["11100 stay"]);
  });

  test("one that only closes idle connections is asked anew and keeps the address", () => {
    const scene = new Scene();
    scene.run(5050);
    for (let i = 0; i < 5; i++) {
      scene.last.close("ended");
      expect(scene.pass(1000)).toEqual([]);
    }
    expect(scene.connections.length).toBe(6);
  });

  test("stopped: silent for four looks", () => {
    const scene = new Scene();
    scene.run(5050);
    scene.answers = false;
    expect(scene.pass(440)).toEqual([]);
    expect(scene.pass(20)).toEqual(["5500 go silent"]);
    // It goes on: what it was asked is answered, on whichever connection.
    scene.answers = true;
    for (const socket of scene.connections) scene.reply(socket);
    expect(scene.pass(900)).toEqual([]);
    expect(scene.pass(1000).length).toBe(1);
  });

  test("silent for less is no reason, again and again", () => {
    const scene = new Scene();
    scene.run(5050);
    for (let i = 0; i < 20; i++) {
      scene.answers = false;
      expect(scene.pass(350)).toEqual([]);
      scene.answers = true;
      for (const socket of scene.connections) scene.reply(socket);
      expect(scene.pass(150)).toEqual([]);
    }
  });

  test("nothing accepts: silent as well", () => {
    const scene = new Scene();
    scene.proxy("lost");
    expect(scene.run(499)).toEqual(["400 go silent"]);
  });

  test("a complaint is an answer: too many clients elsewhere would be too many as well", () => {
    const scene = new Scene();
    scene.answers = false;
    scene.run(0);
    for (let i = 0; i < 20; i++) {
      scene.last.send("SERVER_ERROR too many clients\r\n");
      scene.last.end();
      expect(scene.pass(100)).toEqual([]);
    }
  });

  test("while it comes and goes the address stays away", () => {
    const scene = new Scene();
    scene.run(5050);
    const told: string[] = [];
    for (let i = 0; i < 10; i++) {
      scene.proxy("refused");
      scene.last.close("reset");
      told.push(...scene.pass(200));
      scene.proxy("accept");
      told.push(...scene.pass(800));
    }
    expect(told).toEqual(["5050 go refused"]);
  });

  test("started beside an address that was away: it stays away for a second of answers", () => {
    expect(new Scene({}, false).run(1050)).toEqual(["1000 stay"]);
    const scene = new Scene({}, false);
    scene.proxy("refused");
    expect(scene.run(20_000)).toEqual([]);
  });

  test("after stop nothing is asked or told", () => {
    const scene = new Scene();
    scene.run(1000);
    scene.watcher.stop();
    scene.platform.settle();
    expect(scene.last.closed).toBe(true);
    scene.proxy("refused");
    expect(scene.pass(5000)).toEqual([]);
    expect(scene.connections.length).toBe(1);
  });
});

describe("hearing", () => {
  const hear = [at("10.0.0.254", 1), at("10.0.0.2", 11211)];
  const PLACES = ["10.0.0.254:1", "10.0.0.2:11211", "10.0.0.5:11211", "10.0.0.6:11211"];
  const setting = (welcomes: Welcome[], settings: Partial<WatchSettings> = { hear }): Scene => {
    const scene = new Scene(settings);
    welcomes.forEach((welcome, i) => scene.place(PLACES[i]!, welcome));
    return scene;
  };

  test("one voice is enough, whichever; from a named place even a refusal", () => {
    for (const heard of [0, 1, 2, 3]) {
      const welcomes = PLACES.map((_, i): Welcome => (i === heard ? "accept" : "lost"));
      expect(setting(welcomes).run(20_000)).toEqual([]);
    }
    expect(setting(["refused", "lost", "lost", "lost"]).run(20_000)).toEqual([]);
    expect(setting(["lost", "lost", "refused", "refused"]).run(20_000).length).toBe(1);
  });

  test("deaf when all are silent for a second, and back a second after the first voice", () => {
    const scene = setting(["refused", "accept", "accept", "accept"]);
    scene.run(5050);
    for (const place of PLACES) scene.place(place, "lost");
    const [gone, ...more] = scene.pass(3000);
    expect(more).toEqual([]);
    const [ms, ...why] = gone!.split(" ");
    expect(why.join(" ")).toBe("go deaf");
    // What was heard last was heard up to 300 ms before.
    expect(Number(ms)).toBeGreaterThanOrEqual(5050 + 700);
    expect(Number(ms)).toBeLessThanOrEqual(5050 + 1200);
    scene.place(PLACES[0]!, "refused");
    expect(scene.pass(1000)).toEqual([]);
    expect(scene.pass(1300).length).toBe(1);
  });

  test("no route is silence", () => {
    expect(setting(["unreachable", "unreachable", "unreachable", "lost"]).run(5000).length).toBe(1);
  });

  test("without a named place all servers may be gone: the other proxy has the same ones", () => {
    expect(setting(["lost", "lost", "lost", "lost"], {}).run(20_000)).toEqual([]);
  });

  test("a server on this host is no witness", () => {
    const scene = setting(["lost", "lost", "lost", "accept"]);
    const { connect } = scene.platform.net;
    // Our own end has the address of the other one.
    scene.platform.net.connect = (address, deadlineMs, owner) => connect(address, deadlineMs, {
      onOpen: (socket) => owner.onOpen(Object.assign(Object.create(socket), { remote: "10.0.0.1:11211" })),
      onData: (bytes) => owner.onData(bytes), onDrain: () => owner.onDrain(), onEnd: () => owner.onEnd(),
      onClose: (cause, detail) => owner.onClose(cause, detail),
    });
    expect(scene.run(5000).length).toBe(1);
  });

  test("servers that the proxy no longer has are not asked", () => {
    const scene = setting(["lost", "lost", "lost", "accept"]);
    scene.run(5000);
    expect(scene.told).toEqual([]);
    scene.servers = ["10.0.0.5:11211", "/run/memcached.sock"];
    expect(scene.pass(3000).length).toBe(1);
  });
});
