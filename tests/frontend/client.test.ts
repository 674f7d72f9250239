// One client connection: order of answers, back-pressure, the limit of clients, the ways to say goodbye.
import { describe, expect, test } from "bun:test";
import { store, Table, value } from "../replication/table.ts";

describe("order", () => {
  test("answers leave in the order of the questions, whoever is first", () => {
    const t = new Table();
    t.pair.mark("b", 0);
    t.client.sends("get a\r\nget b\r\nbogus\r\nversion\r\nget a b\r\nmn\r\n");
    t.P.receives("get a\r\nget a\r\n");
    t.B.receives("get b\r\nget b\r\n").sends(value("b", "2"), value("b", "2"));
    t.client.receives("");
    t.P.sends("END\r\n");
    t.client.receives(`END\r\n${value("b", "2")}ERROR\r\nVERSION 1.6.18\r\n`);
    t.P.sends("END\r\n");
    t.client.receives(`${value("b", "2")}MN\r\n`);
    t.ends();
  });

  test("a deep pipeline of every kind, answered backwards", () => {
    const t = new Table({ backups: 0 });
    const lines: string[] = [], answers: string[] = [];
    for (let i = 0; i < 500; i++) {
      lines.push(i % 3 === 0 ? `get k${i}\r\n` : i % 3 === 1 ? store("set", `k${i}`, `v${i}`) : `incr k${i} 1\r\n`);
      answers.push(i % 3 === 0 ? value(`k${i}`, `v${i}`) : i % 3 === 1 ? "STORED\r\n" : `${i}\r\n`);
    }
    t.client.sends(lines.join(""));
    t.P.answers(lines.join(""), answers.join(""));
    t.client.receives(answers.join(""));
    expect(t.client.socket.writes.length).toBe(1);
    t.ends();
  });

  test("what many clients ask in one turn leaves in one write", () => {
    const t = new Table({ backups: 0, clientsMax: 100 });
    const clients = Array.from({ length: 20 }, () => t.join());
    const before = t.P.lanes[0]!.writes.length;
    for (const [i, client] of clients.entries()) client.socket.send(`get k${i}\r\n`);
    t.pass(0);
    expect(t.P.lanes[0]!.writes.length).toBe(before + 1);
    t.P.receives(clients.map((_, i) => `get k${i}\r\n`).join("")).sends(clients.map((_, i) => value(`k${i}`, `${i}`)).join(""));
    clients.forEach((client, i) => client.receives(value(`k${i}`, `${i}`)));
  });
});

describe("values on their way in", () => {
  test("gathered from any pieces, with what follows in the same piece", () => {
    const t = new Table({ backups: 0 });
    const text = `${store("set", "k", "hello")}get k\r\n${store("set", "j", "x".repeat(3000))}mn\r\n`;
    for (const size of [1, 2, 7, 1000, 3020]) {
      t.client.sends(...(text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? []));
      t.P.answers(text.slice(0, -4), `STORED\r\n${value("k", "hello")}STORED\r\n`);
      t.client.receives(`STORED\r\n${value("k", "hello")}STORED\r\nMN\r\n`);
    }
    t.ends();
  });

  test("a slow sender keeps no lane waiting", () => {
    const t = new Table({ backups: 0 });
    const two = t.join();
    t.client.sends("set k 0 0 100\r\nhalf");
    two.sends("get j\r\n");
    t.P.answers("get j\r\n", "END\r\n");
    two.receives("END\r\n");
  });

  test("a bad end is refused, and what follows is read as memcached does", () => {
    const t = new Table();
    t.client.sends("set k 0 0 3\r\nabcde\r\nmn\r\n");
    t.client.receives("CLIENT_ERROR bad data chunk\r\nERROR\r\nMN\r\n");
    t.ends();
  });
});

describe("goodbye", () => {
  test("quit: answers under way are given, then the connection ends", () => {
    const t = new Table();
    t.client.sends("get k\r\nquit\r\nget j\r\n");
    t.P.receives("get k\r\n");
    expect(t.client.socket.finished).toBe(false);
    t.P.sends("END\r\n");
    t.client.receives("END\r\n");
    expect(t.client.socket.finished).toBe(true);
  });

  test("half-closed: what came whole is answered, then the connection ends", () => {
    const t = new Table();
    t.client.sends("get k\r\nincr j 1\r\nincr j 1\r\nset k 0 0 10\r\nhal");
    t.client.halfCloses();
    t.P.answers("get k\r\nincr j 1\r\nmg j v f t\r\n", "END\r\nNOT_FOUND\r\nEN\r\n");
    expect(t.client.socket.finished).toBe(false);
    t.P.answers("incr j 1\r\nmg j v f t\r\n", "NOT_FOUND\r\nEN\r\n");
    t.client.receives("END\r\nNOT_FOUND\r\nNOT_FOUND\r\n");
    expect(t.client.socket.finished).toBe(true);
    t.ends();
  });

  test("gone in the middle: its writes are carried out, its answers dropped", () => {
    const t = new Table();
    t.client.sends(store("set", "k", "v"), "incr j 1\r\n", "get k\r\n");
    t.client.closes();
    for (const side of [t.P, t.B]) side.lanes[0]!.take();
    t.P.sends("STORED\r\n1\r\nVA 1 f0 t-1\r\n1\r\n", value("k", "v"));
    t.B.sends("STORED\r\n").answers(store("set", "j", "1"), "STORED\r\n");
    expect([t.proxy.door.clients.length, t.proxy.counters.curr_connections, t.pair.locks.size]).toEqual([0, 0, 0]);
    t.ends();
  });

  test("a line without end is cut off", () => {
    const t = new Table();
    t.client.sends("x".repeat(2050));
    expect([t.client.socket.aborted, t.proxy.counters.clients_cut]).toEqual([true, 1]);
  });
});

test("one client more than allowed hears why; the count is exact and goes down again", () => {
  const t = new Table({ clientsMax: 3 });
  const two = t.join(), three = t.join(), four = t.join();
  four.receives("ERROR Too many open connections\r\n");
  expect([four.socket.finished, t.proxy.counters.rejected_connections]).toEqual([true, 1]);
  three.closes();
  const five = t.join();
  five.sends("mn\r\n").receives("MN\r\n");
  two.sends("mn\r\n").receives("MN\r\n");
  expect(t.proxy.counters.curr_connections).toBe(3);
});

describe("back-pressure", () => {
  const BIG = value("k", "b".repeat(900_000));

  test("a client that does not read is not read from, and goes on when it does", () => {
    const t = new Table({ backups: 0 });
    t.client.socket.room = 0;
    t.client.sends("get k\r\nget k\r\n");
    t.P.answers("get k\r\nget k\r\n", BIG + BIG);
    expect(t.client.socket.paused).toBe(true);
    t.client.sends("get j\r\n");
    t.P.receives("");
    t.client.socket.drain(Infinity);
    t.pass(0);
    expect(t.client.socket.paused).toBe(false);
    t.P.answers("get j\r\n", "END\r\n");
    t.client.receives(`${BIG}${BIG}END\r\n`);
  });

  test("a lane that streams to a slow client is held for a moment only; others are served then", () => {
    const t = new Table({ backups: 0 });
    const two = t.join();
    const large = value("k", "c".repeat(5_000_000));
    t.client.socket.room = 0;
    t.client.sends("get k\r\n");
    two.sends("get j\r\n");
    t.P.receives("get k\r\nget j\r\n");
    for (const [from, to] of [[0, 1_500_000], [1_500_000, 3_000_000]] as const) t.P.sends(large.slice(from, to));
    t.P.sends(large.slice(3_000_000), "END\r\n");
    expect(t.P.lanes[0]!.paused).toBe(true);
    two.receives("");
    t.pass(400);
    two.receives("END\r\n");
    t.client.socket.drain(Infinity);
    t.pass(0);
    t.client.receives(large);
    expect(t.states).toBe("up");
  });

  test("a server that takes nothing pauses the clients that feed it", () => {
    const t = new Table({ backups: 0 });
    const set = store("set", "k", "d".repeat(900_000));
    t.P.lanes[0]!.room = 0;
    for (let i = 0; i < 8; i++) t.client.sends(set);
    expect(t.client.socket.paused).toBe(true);
    t.P.lanes[0]!.drain(Infinity);
    t.pass(60);
    expect(t.client.socket.paused).toBe(false);
    t.P.receives(set.repeat(8)).sends("STORED\r\n".repeat(8));
    t.client.receives("STORED\r\n".repeat(8));
    t.ends();
  });
});

describe("stats", () => {
  test("lines of STAT and END; unknown ones are errors; reset counts anew", () => {
    const t = new Table();
    t.client.sends("get k\r\n");
    t.P.answers("get k\r\n", "END\r\n");
    t.client.receives("END\r\n");
    for (const words of ["", " proxy", " servers", " settings"]) {
      t.client.sends(`stats${words}\r\n`).receivesMatch(/^(STAT \S+ [^\r\n]*\r\n)+END\r\n$/);
    }
    t.client.sends("stats\r\n").receivesMatch(/\r\nSTAT get_misses 1\r\n/);
    t.client.sends("stats servers\r\n").receivesMatch(/STAT primary:0:address p0:1\r\nSTAT primary:0:state up\r\n/);
    t.client.sends("stats reset\r\n").receives("RESET\r\n");
    t.client.sends("stats\r\n").receivesMatch(/\r\nSTAT curr_connections 1\r\n[^]*\r\nSTAT get_misses 0\r\n/);
  });

  test("servers: for how long each is in its state, and what it missed", () => {
    const t = new Table();
    const of = (role: string): string => {
      t.client.sends("stats servers\r\n");
      const lines = [...t.client.socket.take().matchAll(/^STAT (\w+):0:(\S+) (.*)\r$/gm)].filter((line) => line[1] === role);
      const found = new Map(lines.map((line) => [line[2], line[3]]));
      return ["state", "state_seconds", "missed_writes"].map((name) => found.get(name)).join(" ");
    };
    t.pass(2500);
    expect(of("backup")).toBe("up 2 0");
    t.B.dies();
    t.passUntil(() => t.proxy.pool.backups[0]!.state === "down");
    t.client.sends(store("set", "k", "1"), store("set", "j", "1"));
    t.P.answers(store("set", "k", "1") + store("set", "j", "1"), "STORED\r\nSTORED\r\n");
    t.client.receives("STORED\r\nSTORED\r\n");
    expect(of("backup")).toBe("down 0 2");
    expect(of("primary")).toMatch(/^up \d+ 0$/);
    t.pass(3000);
    expect(of("backup")).toBe("down 3 2");
  });
});

test("drained: answers under way are given, no request is read any more", () => {
  const t = new Table();
  t.client.sends("get k\r\n");
  t.proxy.stop(1000, () => {});
  t.P.answers("get k\r\n", "END\r\n");
  t.client.receives("END\r\n");
  expect(t.client.socket.finished).toBe(true);
});
