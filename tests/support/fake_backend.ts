// A memcached that knows nothing: it answers who it is, as a text that the test may change, and keeps everything else
// for the test to read and to answer. The first connection of each of its lives is the proxy's control connection.
import type { Cause, FakeSocket, Peer } from "./fake_platform.ts";

export class FakeBackend implements Peer {
  welcome: "accept" | "lost" | Cause = "accept";
  /** Takes everything and says nothing, as a stopped process does. */
  stopped = false;
  /** Requests that it answers by itself. */
  readonly standing = new Map<string, string>();
  private sockets: FakeSocket[] = [];
  private control: FakeSocket | null = null;

  constructor(pid: number) {
    this.lives(pid);
    this.standing.set("stats settings\r\n", "STAT maxconns 1024\r\nSTAT item_size_max 67108864\r\nEND\r\n");
    this.connections([]);
  }

  /** From now on the process of this pid answers, and says that it holds so many items. */
  lives(pid: number, version = this.version, items = 0): void {
    this.version = version;
    this.standing.set("stats\r\n", `STAT pid ${pid}\r\nSTAT uptime 100\r\nSTAT time 1700000100\r\nSTAT version ${version}\r\nSTAT curr_items ${items}\r\nEND\r\n`);
  }
  private version = "1.6.18";

  /** What `stats conns` lists: pairs of address and state. */
  connections(list: readonly (readonly [address: string, state: string])[]): void {
    const lines = list.map(([address, state], i) => `STAT ${i}:addr ${address}\r\nSTAT ${i}:state ${state}\r\n`);
    this.standing.set("stats conns\r\n", `${lines.join("")}END\r\n`);
  }

  accepted(socket: FakeSocket): void {
    if (this.control === null || over(this.control)) this.control = socket;
    this.sockets.push(socket);
  }

  wrote(socket: FakeSocket): void {
    if (!this.stopped) this.answerStanding(socket);
  }

  private answerStanding(socket: FakeSocket): void {
    for (;;) {
      const text = socket.unread;
      const known = [...this.standing].find(([question]) => text.startsWith(question));
      if (known === undefined) return;
      socket.take();
      socket.untake(text.slice(known[0].length));
      socket.send(known[1]);
    }
  }

  /** SIGCONT: what it was asked meanwhile is answered, also on connections that are gone. */
  continues(): void {
    this.stopped = false;
    for (const socket of this.sockets) this.answerStanding(socket);
  }

  /** Somebody has connected to it. */
  get met(): boolean {
    return this.control !== null;
  }

  /** The control connection. */
  get watch(): FakeSocket {
    return this.control!;
  }

  /** Open connections other than the control connection, oldest first: the lanes, then those for large values. */
  get lanes(): FakeSocket[] {
    return this.sockets.filter((socket) => socket !== this.control && !over(socket));
  }

  /** Every connection ends; new ones are refused. */
  dies(cause: Cause = "reset"): void {
    this.welcome = "refused";
    for (const socket of this.sockets) if (!over(socket)) socket.close(cause);
  }

  /** What was not read yet, on all connections. */
  get unread(): string {
    return this.sockets.map((socket) => (over(socket) ? "" : socket.unread)).join("");
  }
}

function over(socket: FakeSocket): boolean {
  return socket.closed || socket.aborted;
}
