// A client of one address, run as a program of its own inside a namespace: an operation is begun every 10 ms, whatever
// became of those before, over a free connection or a new one. Connecting may take 250 ms, an operation 500 ms.
// "mark" on stdin begins a count, "tell" prints it as a line of JSON.
import type { Socket } from "bun";

const CONNECT_MS = 250, OPERATION_MS = 500, EVERY_MS = 10;

export interface Count {
  /** Longest time without a success, the one under way included. */
  readonly longestMs: number;
  readonly succeeded: number;
  readonly failed: number;
}

interface Line {
  /** What ends the wait, with whether it was the right answer. */
  settle: ((good: boolean) => void) | null;
  text: string;
}

class Load {
  private readonly free: Socket<Line>[] = [];
  private lastMs = performance.now();
  private longestMs = 0;
  private succeeded = 0;
  private failed = 0;
  private turn = 0;

  constructor(private readonly hostname: string, private readonly port: number) {}

  mark(): void {
    this.longestMs = this.succeeded = this.failed = 0;
  }

  count(): Count {
    const open = performance.now() - this.lastMs;
    return { longestMs: Math.round(Math.max(this.longestMs, open)), succeeded: this.succeeded, failed: this.failed };
  }

  async operate(): Promise<void> {
    const socket = this.free.pop() ?? (await this.connect());
    const good = socket !== null && (await this.ask(socket));
    if (!good) {
      this.failed++;
      socket?.terminate();
      return;
    }
    const now = performance.now();
    this.longestMs = Math.max(this.longestMs, now - this.lastMs);
    this.lastMs = now;
    this.succeeded++;
    this.free.push(socket);
  }

  private ask(socket: Socket<Line>): Promise<boolean> {
    const set = this.turn++ % 2 === 0;
    const key = `ha${this.turn % 50}`;
    return new Promise((resolve) => {
      const late = setTimeout(() => socket.data.settle?.(false), OPERATION_MS);
      socket.data.text = "";
      socket.data.settle = (good) => {
        socket.data.settle = null;
        clearTimeout(late);
        resolve(good);
      };
      socket.write(set ? `set ${key} 0 0 1\r\n1\r\n` : `get ${key}\r\n`);
    });
  }

  private connect(): Promise<Socket<Line> | null> {
    return new Promise((resolve) => {
      let over = false;
      const end = (socket: Socket<Line> | null): void => {
        if (over) return void socket?.terminate();
        over = true;
        clearTimeout(late);
        resolve(socket);
      };
      const late = setTimeout(() => end(null), CONNECT_MS);
      const lost = (socket: Socket<Line>): void => {
        const at = this.free.indexOf(socket);
        if (at !== -1) this.free.splice(at, 1);
        socket.data.settle?.(false);
      };
      Bun.connect<Line>({
        hostname: this.hostname, port: this.port, data: { settle: null, text: "" },
        socket: {
          open: (socket) => end(socket),
          data: (socket, bytes) => {
            socket.data.text += bytes.toString("latin1");
            if (/^(STORED|(VALUE [^]*)?END)\r\n$/.test(socket.data.text)) socket.data.settle?.(true);
            else if (/ERROR.*\r\n$/.test(socket.data.text)) socket.data.settle?.(false);
          },
          close: lost, error: lost, end: lost,
        },
      }).catch(() => end(null));
    });
  }
}

const [hostname, port] = process.argv.slice(2) as [string, string];
const load = new Load(hostname, Number(port));
setInterval(() => void load.operate(), EVERY_MS);
for await (const line of console) {
  if (line === "mark") load.mark();
  else console.log(JSON.stringify(load.count()));
}
process.exit(0);
