// Every connection asks for the one key, waits for its answer, and asks again with all others. The proxy is halted while they
// ask, so that all questions of a round come in one turn of its loop. Its own process:
//   bun hot_key_client.ts PORT CONNECTIONS SECONDS PROXY_PID
// prints one line of JSON: {operations, rounds}; any answer that differs ends it with 1.

import { readFileSync } from "node:fs";

const [port = 0, connections = 0, seconds = 0, proxy = 0] = Bun.argv.slice(2).map(Number);
const expect = Buffer.from("VALUE hot 0 5\r\nvalue\r\nEND\r\n");
const question = Buffer.from("get hot\r\n");
let waiting = 0;
let operations = 0;
let rounds = 0;
let over: () => void = () => {};

function wrong(what: string): never {
  console.error(what);
  process.exit(1);
}

const sockets: Bun.Socket[] = [];
const events = {
  data(_: unknown, bytes: Buffer) {
    if (!bytes.equals(expect)) wrong(`an answer of ${bytes.length} bytes: ${bytes.toString("latin1", 0, 80)}`);
    operations++;
    if (--waiting === 0) over();
  },
  close: () => wrong("a connection was closed"),
  connectError() {},
};
for (let i = 0; i < connections; i++) sockets.push(await Bun.connect({ hostname: "127.0.0.1", port, socket: events }));
const stored = await new Promise<string>((done, fail) => {
  const socket = { open: (s: Bun.Socket) => void s.write("set hot 0 0 5\r\nvalue\r\n"), data: (_: unknown, bytes: Buffer) => done(bytes.toString()), connectError() {} };
  Bun.connect({ hostname: "127.0.0.1", port, socket }).catch(fail);
});
if (stored !== "STORED\r\n") wrong(stored);
const end = performance.now() + seconds * 1000;
while (performance.now() < end) {
  const round = new Promise<void>((done) => (over = done));
  waiting = connections;
  process.kill(proxy, "SIGSTOP");
  while (!/\) T /.test(readFileSync(`/proc/${proxy}/stat`, "latin1")));
  for (const socket of sockets) socket.write(question);
  process.kill(proxy, "SIGCONT");
  await round;
  rounds++;
}
console.log(JSON.stringify({ operations, rounds }));
process.exit(0);
