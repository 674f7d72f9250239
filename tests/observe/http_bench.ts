// An HTTP conversation on the table: bytes in by hand, what was answered as text, time by hand.
import type { Socket, SocketHandlers } from "../../src/platform/platform.ts";
import { bytesOf, textOf } from "../support/fake_platform.ts";

/** The far end of one connection. */
export class Wire {
  private received = "";
  ended: "" | "finished" | "aborted" = "";
  /** Bytes that the kernel still takes. */
  room = Infinity;

  constructor(private readonly handlers: SocketHandlers) {
    const end = (how: "finished" | "aborted") => (): void => {
      if (this.ended !== "") return;
      this.ended = how;
    };
    const socket: Socket = {
      remote: "10.0.0.5:4000", local: "10.0.0.9:12080", pause: () => {}, resume: () => {}, finish: end("finished"), abort: end("aborted"),
      write: (bytes, start, stop) => {
        const taken = Math.min(this.room, stop - start);
        this.room -= taken;
        this.received += textOf(bytes.subarray(start, start + taken));
        return taken;
      },
    };
    handlers.onOpen(socket);
  }

  sends(text: string): this {
    this.handlers.onData(bytesOf(text));
    return this;
  }
  drains(room = Infinity): this {
    this.room = room;
    this.handlers.onDrain();
    return this;
  }
  leaves(): void {
    this.handlers.onClose("ended", "");
  }
  /** What has come since it was last looked at. */
  take(): string {
    const text = this.received;
    this.received = "";
    return text;
  }
  /** Status and body of the one answer that came. */
  answer(): [number, string] {
    const text = this.take();
    const [head, ...body] = text.split("\r\n\r\n");
    return [Number(/^HTTP\/1\.1 (\d+) /.exec(head!)?.[1]), body.join("\r\n\r\n")];
  }
}
