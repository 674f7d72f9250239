// What -v and -vv tell of clients: connections, and commands with their keys cut and escaped, but no byte of a value.
import { expect, test } from "bun:test";
import { store, Table } from "../replication/table.ts";

const about = (t: Table): string[] => t.said.filter((line) => /^c(ommand|lient)\b/.test(line)).map((line) => line.replace(/"client":"[^"]*",?/, ""));

test("-vv: each command, its key cut and escaped", () => {
  const t = new Table({ verbosity: 2, backups: 0 });
  t.client.sends(store("set", "k", "hidden"), "get a\x01\xe9 b\r\n", `delete ${"K".repeat(200)}\r\n`, "version\r\n");
  expect(about(t)).toEqual([
    "client connected {}",
    'command {"line":"set k 0 0 6"}',
    'command {"line":"get a\\\\x01\\\\xe9 b"}',
    `command {"line":"delete ${"K".repeat(73)}…"}`,
    'command {"line":"version"}',
  ]);
});

test("a value is never told, also where it was sent for a command that is refused and is read as a line itself", () => {
  const t = new Table({ verbosity: 2 });
  t.client.sends("ms k 6\r\nhidden\r\n", "set k 0 0 3\r\nhidden\r\n", "set k x 0 6\r\nset hidden\r\n", "Authorization: Bearer hidden\r\n", "\r\n");
  expect(t.said.join("\n")).not.toContain("hidden");
  expect(about(t).slice(1)).toEqual([
    'command refused {"command":"ms","bytes":6}', 'command refused {"command":"unknown","bytes":6}',
    'command {"line":"set k 0 0 3"}', 'command refused {"command":"unknown","bytes":1}',
    'command refused {"command":"set","bytes":11}', 'command refused {"command":"set","bytes":10}',
    'command refused {"command":"unknown","bytes":28}', 'command refused {"command":"unknown","bytes":0}',
  ]);
});

test("-vv: once each, whatever becomes of its value: in pieces, passed on as it comes, too large, or for a key of tandem's own", () => {
  const t = new Table({ verbosity: 2, itemBytesMax: 1 << 22 });
  t.client.sends("set pieces 0 0 4\r\nab", "cd\r\n", `set large 0 0 ${1 << 21}\r\n`, "x".repeat(1 << 21), "\r\n");
  // The servers take no more of this one's for now.
  t.join().sends(`set huge 0 0 ${1 << 23}\r\n`, "x".repeat(1 << 23), "\r\n", "set __tandem:a 0 0 2\r\nab\r\n");
  expect(about(t).filter((line) => line.startsWith("command"))).toEqual([
    'command {"line":"set pieces 0 0 4"}', 'command {"line":"set large 0 0 2097152"}', 'command {"line":"set huge 0 0 8388608"}', 'command {"line":"set __tandem:a 0 0 2"}',
  ]);
});

test("-v: connections alone; without it not even those", () => {
  const said = [1, 0].map((verbosity) => {
    const t = new Table({ verbosity });
    t.client.sends("get a\r\n");
    t.client.closes();
    return about(t);
  });
  expect(said).toEqual([["client connected {}", "client left {}"], []]);
});
