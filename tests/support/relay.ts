// A TCP relay between tandem and one memcached that misbehaves on command: it cuts, resets, falls silent, talks
// rubbish or refuses. It forwards bytes and knows no protocol beyond finding a VALUE line.
import type { Socket, TCPSocketListener } from "bun";

/**
 * What the relay does with connections: forward; forward in small pieces, the first 512 bytes of a chunk 1 to 7 at a time; accept and never answer; answer
 * every chunk with bytes that are no memcached reply; reset both ends in the middle of the next value on its way to
 * the client; reset both ends in the middle of the next long run of bytes on its way to the server.
 */
export type Behaviour = "forward" | "trickle" | "mute" | "garbage" | "reset in reply" | "reset in request";

/** One direction's bytes on their way to a socket. */
class Outlet {
  #socket: Socket<unknown> | null = null;
  readonly #queue: Uint8Array[] = [];
  #ending = false;
  #slow = false;

  attach(socket: Socket<unknown>): void {
    this.#socket = socket;
    this.flush();
  }

  push(bytes: Uint8Array, pieces: boolean): void {
    if (!pieces) {
      this.#queue.push(bytes);
    } else {
      this.#slow = true;
      for (let at = 0; at < bytes.length; ) {
        // The middle of a large chunk goes in larger pieces, or a value of some MiB would take minutes.
        const middle = at > 512 && bytes.length - at > 66_000;
        const length = 1 + Math.floor(Math.random() * (middle ? 65_536 : at > 512 ? 700 : 7));
        this.#queue.push(bytes.subarray(at, at + length));
        at += length;
      }
    }
    this.flush();
  }

  end(): void {
    this.#ending = true;
    this.flush();
  }

  flush(): void {
    const socket = this.#socket;
    if (socket === null) return;
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!;
      const taken = socket.write(first);
      if (taken < 0) return;
      if (taken < first.length) {
        this.#queue[0] = first.subarray(taken);
        return;
      }
      this.#queue.shift();
      if (this.#slow && this.#queue.length > 0) {
        setImmediate(() => this.flush());
        return;
      }
    }
    this.#slow = false;
    if (this.#ending) socket.shutdown();
  }
}

interface Link {
  readonly front: Socket<Link>;
  back: Socket<Link> | null;
  readonly toFront: Outlet;
  readonly toBack: Outlet;
  /** The server has sent FIN. */
  serverDone: boolean;
  dead: boolean;
}

/** How long a chunk towards the server must be to be cut in the middle by "reset in request", bytes. */
const LONG_REQUEST = 2000;

export class Relay {
  readonly port: number;
  behaviour: Behaviour = "forward";
  /** How often it has misbehaved since it began: chunks swallowed or answered with rubbish, connections reset. */
  struck = 0;
  /** Whether a client that comes from this port is let in; the others are reset. */
  admits: (port: number) => boolean = () => true;
  /** How many more resets the reset behaviours may do before they forward again. */
  resetsLeft = 0;
  #serverPort: number;
  readonly #links = new Set<Link>();
  #listener: TCPSocketListener<Link> | null = null;

  /** Listens on port of loopback and forwards to serverPort. */
  constructor(port: number, serverPort: number) {
    this.port = port;
    this.#serverPort = serverPort;
    this.listen();
  }

  listen(): void {
    this.#listener ??= Bun.listen<Link>({
      hostname: "127.0.0.1", port: this.port, allowHalfOpen: true,
      socket: {
        binaryType: "uint8array",
        open: (front) => this.#accept(front),
        data: (front, bytes: Uint8Array) => this.#fromClient(front.data, bytes),
        drain: (front) => front.data.toFront.flush(),
        end: (front) => front.data.toBack.end(),
        close: (front) => this.#drop(front.data),
      },
    });
  }

  /** Stops listening and resets every connection: from now on the port refuses. */
  refuse(): void {
    this.#listener?.stop(true);
    this.#listener = null;
    this.struck += 1;
    this.resetAll();
  }

  /** From now on another server answers here: every connection is reset, and the next ones go to serverPort. */
  leadTo(serverPort: number): void {
    this.#serverPort = serverPort;
    this.resetAll();
  }

  /** Resets every connection, both ends. */
  resetAll(): void {
    for (const link of [...this.#links]) this.#drop(link);
  }

  /** Resets those that are not admitted any more. */
  sift(): void {
    for (const link of [...this.#links]) if (!this.admits(link.front.remotePort ?? 0)) this.#cut(link);
  }

  close(): void {
    this.refuse();
  }

  #accept(front: Socket<Link>): void {
    const link: Link = { front, back: null, toFront: new Outlet(), toBack: new Outlet(), serverDone: false, dead: false };
    front.data = link;
    // A client that has left again has no port any more.
    if (!this.admits(front.remotePort ?? 0)) return this.#cut(link);
    link.toFront.attach(front);
    this.#links.add(link);
    Bun.connect<Link>({
      hostname: "127.0.0.1", port: this.#serverPort, allowHalfOpen: true, data: link,
      socket: {
        binaryType: "uint8array",
        open: (back) => {
          if (link.dead) return void back.terminate();
          link.back = back;
          link.toBack.attach(back);
        },
        data: (_back, bytes: Uint8Array) => this.#fromServer(link, bytes),
        drain: () => link.toBack.flush(),
        end: () => {
          link.serverDone = true;
          link.toFront.end();
        },
        close: () => {
          // After an orderly end what is still on its way to the client goes on; then the client closes.
          if (!link.serverDone) this.#drop(link);
        },
        connectError: () => this.#drop(link),
      },
    }).catch(() => this.#drop(link));
  }

  #fromClient(link: Link, bytes: Uint8Array): void {
    if (link.dead) return;
    switch (this.behaviour) {
      case "mute":
        this.struck += 1;
        return;
      case "garbage":
        this.struck += 1;
        link.toFront.push(rubbish(), false);
        return;
      case "reset in request":
        if (this.resetsLeft > 0 && bytes.length >= LONG_REQUEST) {
          link.toBack.push(bytes.subarray(0, bytes.length >> 1), false);
          this.#cut(link);
          return;
        }
    }
    link.toBack.push(bytes, this.behaviour === "trickle");
  }

  #fromServer(link: Link, bytes: Uint8Array): void {
    if (link.dead || this.behaviour === "mute" || this.behaviour === "garbage") return;
    if (this.behaviour === "reset in reply" && this.resetsLeft > 0) {
      const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("VALUE ");
      if (at !== -1 && bytes.length > at + 60) {
        link.toFront.push(bytes.subarray(0, at + 50), false);
        this.#cut(link);
        return;
      }
    }
    link.toFront.push(bytes, this.behaviour === "trickle");
  }

  #cut(link: Link): void {
    this.struck += 1;
    this.resetsLeft -= 1;
    this.#drop(link);
  }

  #drop(link: Link): void {
    if (link.dead) return;
    link.dead = true;
    this.#links.delete(link);
    link.front.terminate();
    link.back?.terminate();
  }
}

/** Lines and bytes that no memcached sends, among them some that nearly fit. */
function rubbish(): Uint8Array {
  const texts = [
    "HTTP/1.1 400 Bad Request\r\n\r\n", "\x00\xff\xfe\x80garbage", "VALUE \r\n", "VALUE k 0 -5\r\n", "\r\n\r\n\r\n",
    "VALUE nobody:asked:for 0 3\r\nxyz\r\nEND\r\n", "STORE", "EN", "-ERR unknown\r\n", "VALUE k 0 99999999999999\r\n",
  ];
  return Buffer.from(texts[Math.floor(Math.random() * texts.length)]!, "latin1");
}
