// The simulated platform behaves as Linux does where it matters: bytes outlive the connection that sent them, a lost
// RST stays lost, a stopped process still has a kernel. And one seed is one run.
import { describe, expect, test } from "bun:test";
import { Ear, echo, listen } from "./ear.ts";
import { Prng } from "./prng.ts";
import { World, type Settings } from "./world.ts";

const SECOND = 1_000_000;

interface Pair {
  world: World;
  client: Ear;
  ears: Ear[];
}

/** One client connection from host "a" to port 7 of host "b". */
function pair(seed: number, make: () => Ear, settings: Partial<Settings> = {}, client = new Ear()): Pair {
  const world = new World({ seed, settings });
  const a = world.host("a").start(() => {});
  const b = world.host("b");
  let ears: Ear[] = [];
  b.start((process) => {
    ears = listen(process, 7, make).ears;
  });
  a.net.connect({ kind: "tcp", host: "b", port: 7 }, 1000, client);
  world.run(SECOND / 10);
  return { world, client, ears };
}

function links(world: World) {
  const a = world.host("a");
  const b = world.host("b");
  return { there: world.link(a, b), back: world.link(b, a) };
}

describe("dice", () => {
  test("are the same for the same seed and spread over their range", () => {
    const one = new Prng(7);
    const two = new Prng(7);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const value = one.u32();
      expect(two.u32()).toBe(value);
      counts[value % 10]!++;
    }
    for (const count of counts) {
      expect(count).toBeGreaterThan(850);
      expect(count).toBeLessThan(1150);
    }
    expect(new Prng(8).u32() === new Prng(7).u32()).toBe(false);
  });
});

const ROUGH: Partial<Settings> = {
  shortWrites: 400, fragments: 8, sendBuffer: [200, 2000], receiveBuffer: [200, 2000], segmentBytes: 300, timerLateUs: 900, shuffleReady: true,
};

/** Sends 20,000 bytes to an echo and back through rough wires; returns the trace's hash. */
function conversation(seed: number): string {
  let sent = "";
  const dice = new Prng(seed);
  while (sent.length < 20_000) sent += String.fromCharCode(97 + dice.below(26));
  let owed = sent;
  const client = new Ear((ear, what) => {
    if (what === "open" || what === "drain") owed = owed.slice(ear.say(owed));
  });
  const { world } = pair(seed, echo, ROUGH, client);
  world.runUntil(() => client.text.length >= sent.length, 60 * SECOND);
  expect(client.text).toBe(sent);
  client.socket!.finish(1000);
  world.run(world.nowUs + SECOND);
  expect(client.cause).toBe("ended");
  for (const host of world.hosts) expect(host.process!.sockets.size).toBe(0);
  return world.trace.hash();
}

describe("a world", () => {
  test("carries every byte in order through fragments, short writes and small buffers", () => {
    for (let seed = 1; seed <= 20; seed++) conversation(seed);
  });

  test("is the same for the same seed and another for another", () => {
    const first = conversation(5);
    expect(conversation(5)).toBe(first);
    expect(conversation(6) === first).toBe(false);
  });

  test("runs afterTurn once all that is due at that instant was handled, and again only in the next turn", () => {
    const world = new World({ seed: 1 });
    const process = world.host("a").start(() => {});
    const heard: string[] = [];
    const run = (): void => {
      heard.push("after");
      if (heard.length < 6) process.afterTurn(() => heard.push("again"));
    };
    process.clock.timer(5, () => {
      heard.push("one");
      process.afterTurn(run);
    });
    process.clock.timer(5, () => heard.push("two"));
    process.clock.timer(5, () => heard.push("three"));
    world.run(SECOND);
    expect(heard.join(" ")).toBe("one two three after again");
  });

  test("never fires a cancelled timer, nor one of a dead process", () => {
    const world = new World({ seed: 1 });
    const host = world.host("a");
    const process = host.start(() => {});
    let fired = 0;
    const timer = process.clock.timer(5, () => fired++);
    timer.cancel();
    timer.cancel();
    process.clock.timer(50, () => fired++);
    expect(process.timers).toBe(1);
    world.run(SECOND / 100);
    host.crash("kill");
    world.run(SECOND);
    expect(fired).toBe(0);
    expect(process.timers).toBe(0);
  });

  test("gives each life another pid and each host its own wall clock", () => {
    const world = new World({ seed: 1 });
    const host = world.host("a");
    host.skewUs = -5 * SECOND;
    const first = host.start(() => {});
    host.crash("kill");
    const second = host.restart();
    expect(first.host.pid === second.host.pid).toBe(false);
    expect(world.host("b").start(() => {}).clock.wallSeconds() - second.clock.wallSeconds()).toBe(5);
  });
});

describe("a stopped process", () => {
  for (const how of ["abort", "finish"] as const) {
    test(`executes after SIGCONT what a client sent before its ${how}`, () => {
      const { world, client, ears } = pair(3, () => new Ear());
      world.host("b").hang();
      client.say("late");
      world.run(world.nowUs + SECOND / 10);
      if (how === "abort") client.socket!.abort();
      else client.socket!.finish(100);
      world.run(world.nowUs + SECOND);
      expect(ears[0]!.text).toBe("");
      world.host("b").resume(1000);
      world.run(world.nowUs + SECOND);
      expect(ears[0]!.text).toBe("late");
      expect(ears[0]!.heard.at(-1)).toBe("close reset");
    });
  }

  test("still accepts connections, and executes what an ended one sent before it was accepted", () => {
    const { world, ears } = pair(3, () => new Ear());
    world.host("b").hang();
    const second = new Ear();
    world.host("a").process!.net.connect({ kind: "tcp", host: "b", port: 7 }, 300, second);
    world.run(world.nowUs + SECOND / 10);
    expect(second.heard.join()).toBe("open");
    second.say("zombie");
    world.run(world.nowUs + SECOND / 10);
    second.socket!.abort();
    world.run(world.nowUs + SECOND / 10);
    world.host("b").resume(0);
    world.run(world.nowUs + SECOND);
    expect(ears[1]!.text).toBe("zombie");
  });

  test("receives no more than its socket buffer holds", () => {
    const { world, client } = pair(3, () => new Ear(), { sendBuffer: [1000, 1000], receiveBuffer: [500, 500] });
    world.host("b").hang();
    let taken = 0;
    for (let i = 0; i < 100; i++) {
      taken += client.say("x".repeat(100));
      world.run(world.nowUs + SECOND / 100);
    }
    expect(taken).toBe(1500);
    world.host("b").resume(0);
    world.run(world.nowUs + SECOND);
    expect(client.heard.filter((what) => what === "drain").length).toBe(1);
  });

  test("fires its timers late", () => {
    const world = new World({ seed: 1 });
    const host = world.host("a");
    let firedUs = 0;
    host.start(() => {}).clock.timer(10, () => (firedUs = world.nowUs));
    host.hang();
    world.run(SECOND);
    host.resume(0);
    world.run(2 * SECOND);
    expect(firedUs).toBeGreaterThanOrEqual(SECOND);
  });
});

describe("a partition", () => {
  test("delivers after it heals what a plain close left in the kernel", () => {
    const { world, client, ears } = pair(4, () => new Ear());
    const { there } = links(world);
    there.block();
    client.say("held");
    client.socket!.finish(5000);
    world.run(world.nowUs + SECOND);
    expect(ears[0]!.text).toBe("");
    there.unblock();
    world.run(world.nowUs + 4 * SECOND);
    expect(ears[0]!.text).toBe("held");
    expect(ears[0]!.heard.includes("end")).toBe(true);
  });

  test("delivers nothing of what an abort left in the kernel, and its RST stays lost", () => {
    const { world, client, ears } = pair(4, () => new Ear());
    const { there, back } = links(world);
    there.block();
    back.block();
    client.say("never");
    world.run(world.nowUs + SECOND / 10);
    client.socket!.abort();
    world.run(world.nowUs + SECOND);
    there.unblock();
    back.unblock();
    world.run(world.nowUs + 10 * SECOND);
    expect(ears[0]!.text).toBe("");
    expect(ears[0]!.heard.join()).toBe("open");
    // The first packet that the half-open end sends is answered by a RST.
    ears[0]!.say("anybody?");
    world.run(world.nowUs + SECOND);
    expect(ears[0]!.cause).toBe("reset");
  });

  test("in either direction lets a connect time out, and a later one succeed", () => {
    for (const side of ["there", "back"] as const) {
      const { world } = pair(4, () => new Ear());
      const link = links(world)[side];
      link.block();
      const late = new Ear();
      const a = world.host("a").process!;
      const startUs = world.nowUs;
      a.net.connect({ kind: "tcp", host: "b", port: 7 }, 300, late);
      expect(world.runUntil(() => late.cause !== null, 5 * SECOND)).toBe(true);
      expect(late.heard.join()).toBe("close timeout");
      expect(world.nowUs - startUs).toBeLessThan(320_000);
      link.unblock();
      const next = new Ear();
      a.net.connect({ kind: "tcp", host: "b", port: 7 }, 300, next);
      world.run(world.nowUs + SECOND);
      expect(next.heard.join()).toBe("open");
    }
  });

  test("of the acknowledgements fills the sender's buffer although the bytes arrived", () => {
    const { world, client, ears } = pair(4, () => new Ear(), { sendBuffer: [1000, 1000] });
    const { back } = links(world);
    back.block();
    expect(client.say("x".repeat(1500))).toBe(1000);
    world.run(world.nowUs + SECOND);
    expect(ears[0]!.text.length).toBe(1000);
    expect(client.heard.includes("drain")).toBe(false);
    back.unblock();
    world.run(world.nowUs + 4 * SECOND);
    expect(client.heard.filter((what) => what === "drain").length).toBe(1);
  });
});

describe("a crash", () => {
  test("of the process ends its connections and refuses new ones until a restart", () => {
    const { world, client } = pair(9, () => new Ear());
    const b = world.host("b");
    b.crash("kill");
    world.run(world.nowUs + SECOND / 10);
    expect(client.heard.at(-1)).toBe("end");
    client.say("anybody?");
    world.run(world.nowUs + SECOND / 10);
    expect(client.cause).toBe("reset");
    const refused = new Ear();
    world.host("a").process!.net.connect({ kind: "tcp", host: "b", port: 7 }, 300, refused);
    world.run(world.nowUs + SECOND / 10);
    expect(refused.cause).toBe("refused");
    b.restart();
    const back = new Ear();
    world.host("a").process!.net.connect({ kind: "tcp", host: "b", port: 7 }, 300, back);
    world.run(world.nowUs + SECOND / 10);
    expect(back.heard.join()).toBe("open");
  });

  test("of the process with bytes it had not read sends a RST", () => {
    const { world, client } = pair(9, () => new Ear());
    const b = world.host("b");
    b.hang();
    client.say("unread");
    world.run(world.nowUs + SECOND / 10);
    b.crash("kill");
    world.run(world.nowUs + SECOND / 10);
    expect(client.cause).toBe("reset");
  });

  test("of the machine is silent until the machine is back and knows nothing", () => {
    const { world, client } = pair(9, () => new Ear());
    const b = world.host("b");
    b.crash("power");
    client.say("anybody?");
    const early = new Ear();
    world.host("a").process!.net.connect({ kind: "tcp", host: "b", port: 7 }, 300, early);
    world.run(world.nowUs + 2 * SECOND);
    expect(client.heard.join()).toBe("open");
    expect(early.cause).toBe("timeout");
    b.restart();
    world.run(world.nowUs + 4 * SECOND);
    expect(client.cause).toBe("reset");
  });
});

describe("a socket", () => {
  test("halfClose lets the answers still come", () => {
    const { world, client } = pair(2, echo);
    client.say("question");
    client.socket!.halfClose();
    world.run(world.nowUs + SECOND);
    expect(client.text).toBe("question");
    expect(client.heard.at(-1)).toBe("close ended");
  });

  test("that is deaf is read late, one that is mute never answers, one that talks rubbish does so once", () => {
    const { world, client, ears } = pair(2, echo);
    const process = world.host("b").process!;
    process.deaf = true;
    client.say("one");
    world.run(world.nowUs + SECOND);
    expect(client.text).toBe("");
    process.listenAgain(1000);
    world.run(world.nowUs + SECOND);
    expect(client.text).toBe("one");
    process.garbage = true;
    client.say("two");
    world.run(world.nowUs + SECOND);
    expect(client.text.slice(0, 3)).toBe("one");
    expect(client.text.slice(3) === "two").toBe(false);
    expect(client.text.length).toBeGreaterThan(3);
    process.garbage = false;
    ears[0]!.socket!.silence();
    const length = client.text.length;
    client.say("three");
    world.run(world.nowUs + SECOND);
    expect(client.text.length).toBe(length);
  });
});
