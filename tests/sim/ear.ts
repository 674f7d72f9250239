// An owner of a connection that remembers what it heard, for tests of the platform itself.
import type { CloseCause, ListenHandlers, Socket, SocketHandlers } from "../../src/platform/platform.ts";
import type { SimProcess } from "./process.ts";
import type { SimSocket } from "./socket.ts";

export class Ear implements SocketHandlers {
  socket: SimSocket | null = null;
  /** What was heard, in order: "open", "data", "drain", "end", "close reset". */
  readonly heard: string[] = [];
  text = "";
  cause: CloseCause | null = null;

  constructor(private readonly hear: (ear: Ear, what: string) => void = () => {}) {}

  onOpen(socket: Socket): void {
    this.socket = socket as SimSocket;
    this.note("open");
  }

  onData(bytes: Uint8Array): void {
    for (const byte of bytes) this.text += String.fromCharCode(byte);
    this.note("data");
  }

  onDrain(): void {
    this.note("drain");
  }

  onEnd(): void {
    this.note("end");
  }

  onClose(cause: CloseCause): void {
    this.cause = cause;
    this.note(`close ${cause}`);
  }

  /** Offers a text; returns how many bytes were taken. */
  say(text: string): number {
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return this.socket!.write(bytes, 0, bytes.length);
  }

  private note(what: string): void {
    this.heard.push(what);
    this.hear(this, what);
  }
}

/** Listens on a port; each accepted connection gets an Ear made by `make`, kept in the returned list. */
export function listen(process: SimProcess, port: number, make: () => Ear): { ears: Ear[]; heard: string[] } {
  const ears: Ear[] = [];
  const heard: string[] = [];
  const handlers: ListenHandlers = {
    onListening: () => heard.push("listening"),
    onAccept: () => {
      const ear = make();
      ears.push(ear);
      return ear;
    },
    onClose: (cause) => heard.push(`close ${cause}`),
  };
  process.net.listen({ kind: "tcp", host: "0.0.0.0", port }, { backlog: 128, reusePort: false, unixMode: 0o700 }, handlers);
  return { ears, heard };
}

/** An Ear that says back what it hears; all of it, however little each write takes. */
export function echo(): Ear {
  let owed = "";
  return new Ear((ear, what) => {
    if (what === "data") {
      owed += ear.text;
      ear.text = "";
    }
    if (what === "data" || what === "drain") owed = owed.slice(ear.say(owed));
    if (what === "end") ear.socket!.finish(1000);
  });
}
