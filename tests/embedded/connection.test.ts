// One connection's manners: back-pressure, half-closes, endings, the dump that streams, and the limit of connections.
import { expect, test } from "bun:test";
import { Table, type Wire } from "./harness.ts";

const MIB = 1024 * 1024;

function store(wire: Wire, key: string, bytes: number): void {
  expect(wire.ask(`set ${key} 0 0 ${bytes}\r\n${"v".repeat(bytes)}\r\n`)).toBe("STORED\r\n");
}

test("reading stops above 1 MiB of unsent answers and goes on with the drain", () => {
  const table = new Table();
  const wire = table.connect();
  store(wire, "k", 100_000);
  wire.room = 0;
  wire.send("get k\r\n".repeat(30) + "version\r\n");
  expect(wire.paused).toBe(true);
  // Ten answers are enough to stop; the commands behind them have not run.
  expect(table.server.stats.cmd_get).toBe(11);
  expect(table.server.connections).toBe(1);
  let answer = "";
  for (let i = 0; i < 1000 && !answer.endsWith("VERSION 1.6.18\r\n"); i++) {
    wire.drain(64 * 1024);
    answer += wire.take();
  }
  const one = `VALUE k 0 100000\r\n${"v".repeat(100_000)}\r\nEND\r\n`;
  expect(answer === one.repeat(30) + "VERSION 1.6.18\r\n").toBe(true);
  expect(wire.paused).toBe(false);
  wire.room = Infinity;
  expect(wire.ask("mn\r\n")).toBe("MN\r\n");
});

test("a kernel that takes everything is never waited for", () => {
  const table = new Table();
  const wire = table.connect();
  store(wire, "k", 500_000);
  const answer = wire.ask("get k\r\n".repeat(50));
  expect(answer.length).toBe(50 * (`VALUE k 0 500000\r\n`.length + 500_000 + 2 + 5));
  expect(wire.paused).toBe(false);
});

test("input behind a stop is answered in order, whatever the pieces", () => {
  const table = new Table();
  const wire = table.connect();
  store(wire, "k", 800_000);
  wire.room = 10;
  wire.send("get k\r\nget k\r\nset x 0 0 5\r\nab");
  expect(wire.paused).toBe(true);
  let answer = "";
  for (let i = 0; i < 100; i++) {
    wire.drain(100_000);
    answer += wire.take();
  }
  expect(wire.paused).toBe(false);
  answer += wire.ask("cde\r\nget x\r\n");
  expect(answer.endsWith("END\r\nSTORED\r\nVALUE x 0 5\r\nabcde\r\nEND\r\n")).toBe(true);
  expect(answer.split("END\r\n").length).toBe(4);
});

test("a client that stops writing gets its answers, then the end", () => {
  const wire = new Table().connect();
  wire.room = 3;
  wire.send("version\r\n");
  wire.end();
  expect(wire.finished).toBe(false);
  wire.drain(Infinity);
  expect(wire.take()).toBe("VERSION 1.6.18\r\n");
  expect(wire.finished).toBe(true);
});

test("a client that stops in the middle of a value stores nothing", () => {
  const table = new Table();
  const wire = table.connect();
  wire.send("set k 0 0 10\r\nabc");
  wire.end();
  expect(wire.finished).toBe(true);
  expect(table.server.items).toBe(0);
});

test("what quit leaves unsent still goes out before the end", () => {
  const wire = new Table().connect();
  wire.room = 0;
  wire.send("version\r\nquit\r\nversion\r\n");
  expect(wire.finished).toBe(false);
  wire.drain(5);
  wire.drain(Infinity);
  expect(wire.take()).toBe("VERSION 1.6.18\r\n");
  expect(wire.finished).toBe(true);
});

test("a connection that is gone is forgotten, in the middle of anything", () => {
  const table = new Table();
  for (const start of ["", "get k", "set k 0 0 10\r\nabc", "set k 0 0 9000000\r\nabc", "version\r\n"]) {
    const wire = table.connect();
    wire.room = 0;
    wire.send(start);
    wire.gone();
    expect([start, table.server.connections]).toEqual([start, 0]);
  }
});

test("a connection that was ended no longer counts, whether or not its client has closed", () => {
  const table = new Table({ connectionsMax: 1 });
  const wire = table.connect();
  wire.send("quit\r\n");
  expect([wire.finished, table.server.connections]).toEqual([true, 0]);
  expect(table.connect().ask("mn\r\n")).toBe("MN\r\n");
  wire.gone();
  expect(table.server.connections).toBe(1);
});

test("one connection more than allowed gets memcached's line and the end", () => {
  const table = new Table({ connectionsMax: 2 });
  const [first, second] = [table.connect(), table.connect()];
  const third = table.connect();
  expect(third.take()).toBe("ERROR Too many open connections\r\n");
  expect(third.finished).toBe(true);
  expect(first.ask("mn\r\n") + second.ask("mn\r\n")).toBe("MN\r\nMN\r\n");
  expect(first.ask("stats\r\n")).toContain("STAT rejected_connections 1\r\n");
  second.gone();
  third.gone();
  expect(table.connect().ask("mn\r\n")).toBe("MN\r\n");
});

test("the binary protocol is not spoken", () => {
  const wire = new Table().connect();
  wire.send("\x80" + "\0".repeat(23));
  expect([wire.take(), wire.finished]).toEqual(["", true]);
});

test("a dump streams: little at a time to a slow reader, each item once, commands after it wait", () => {
  const table = new Table();
  const wire = table.connect();
  const count = 40_000;
  let sets = "";
  for (let i = 0; i < count; i++) sets += `set key:${i} 0 0 1 noreply\r\nx\r\n`;
  wire.ask(sets);
  wire.room = 0;
  wire.send("lru_crawler metadump hash\r\nmn\r\n");
  expect(wire.paused).toBe(true);
  const other = table.connect();
  expect(other.ask("lru_crawler metadump hash\r\n")).toBe("BUSY currently processing crawler request\r\n");
  expect(other.ask("stats conns\r\n")).toContain("STAT 24:state conn_watch\r\n");
  expect(other.ask("delete key:39999\r\nmg key:39998\r\nset late 0 0 1\r\nx\r\n")).toBe("DELETED\r\nHD\r\nSTORED\r\n");
  let answer = "";
  for (let i = 0; i < 1000 && !answer.endsWith("MN\r\n"); i++) {
    wire.drain(100_000);
    answer += wire.take();
  }
  expect(answer.endsWith("\nEND\r\nMN\r\n")).toBe(true);
  expect(wire.paused).toBe(false);
  const keys = answer.split("\n").filter((line) => line.startsWith("key=")).map((line) => line.slice(4, line.indexOf(" ")));
  expect(keys.length).toBe(count - 1);
  expect(new Set(keys).size).toBe(count - 1);
  expect(keys.includes("key:39999")).toBe(false);
  expect(other.ask("lru_crawler metadump 63\r\n")).toBe("END\r\n");
});

test("a dump whose reader goes away makes room for the next", () => {
  const table = new Table();
  const wire = table.connect();
  let sets = "";
  for (let i = 0; i < 20_000; i++) sets += `set key:${i} 0 0 1 noreply\r\nx\r\n`;
  wire.ask(sets);
  wire.room = 0;
  wire.send("lru_crawler metadump all\r\n");
  wire.gone();
  const answer = table.connect().ask("lru_crawler metadump all\r\n");
  expect(answer.split("\n").length).toBe(20_002);
});

test("a half-close behind a dump waits for the dump", () => {
  const table = new Table();
  const wire = table.connect();
  let sets = "";
  for (let i = 0; i < 20_000; i++) sets += `set key:${i} 0 0 1 noreply\r\nx\r\n`;
  wire.ask(sets);
  wire.room = 0;
  wire.send("lru_crawler metadump all\r\n");
  wire.end();
  expect(wire.finished).toBe(false);
  for (let i = 0; i < 100; i++) wire.drain(MIB);
  expect(wire.take().endsWith("END\r\n")).toBe(true);
  expect(wire.finished).toBe(true);
});
