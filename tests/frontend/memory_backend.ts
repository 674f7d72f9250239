// A real (embedded) memcached at an address of the table: what a client is answered through the proxy can be held
// against recorded answers.
import { Turn } from "../../src/bytes/turn.ts";
import { MemoryServer } from "../../src/embedded/server.ts";
import type { SocketHandlers } from "../../src/platform/platform.ts";
import { bytesOf, type FakePlatform, type FakeSocket, type Peer } from "../support/fake_platform.ts";

export class MemoryBackend implements Peer {
  readonly welcome = "accept";
  readonly server: MemoryServer;
  private readonly owners = new Map<FakeSocket, SocketHandlers>();

  constructor(private readonly platform: FakePlatform, label: string, pid: number) {
    const turn = new Turn((run) => platform.afterTurn(run));
    this.server = new MemoryServer({ clock: platform.clock, turn }, { pid });
    platform.peers.set(label, this);
  }

  accepted(socket: FakeSocket): void {
    const owner = this.server.accept();
    this.owners.set(socket, owner);
    owner.onOpen({
      remote: socket.local, local: "10.0.0.2:11211",
      write: (bytes, start, end) => {
        socket.send(bytes.slice(start, end));
        return end - start;
      },
      pause: () => {},
      resume: () => {},
      finish: () => socket.close("ended"),
      abort: () => socket.close("reset"),
    });
  }

  wrote(socket: FakeSocket): void {
    const text = socket.take();
    if (text !== "") this.platform.soon(() => this.owners.get(socket)!.onData(bytesOf(text)));
  }
}
