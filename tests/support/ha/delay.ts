// A stretch of wide area network, run as a program of its own: takes TCP connections at one address and carries them to
// another one, each byte so many milliseconds later, in both directions. "ready" on stdout once it listens.
import type { Socket } from "bun";

interface End {
  peer: Socket<End> | null;
  /** What came before there was a peer. */
  early: Uint8Array[];
}

const [from, to, each] = process.argv.slice(2) as [string, string, string];
const delayMs = Number(each);
const place = (text: string) => ({ hostname: text.split(":")[0]!, port: Number(text.split(":")[1]) });
const later = (run: () => void): void => void setTimeout(run, delayMs);

/** Timers of one length fire in the order in which they were set, so bytes keep theirs. */
const handlers = {
  data(socket: Socket<End>, bytes: Uint8Array): void {
    const copy = bytes.slice();
    later(() => {
      if (socket.data.peer === null) socket.data.early.push(copy);
      else if (socket.data.peer.write(copy) < copy.length) socket.data.peer.terminate(); // far more than a test sends
    });
  },
  close(socket: Socket<End>): void {
    later(() => socket.data.peer?.end());
  },
};

Bun.listen<End>({
  ...place(from),
  socket: {
    ...handlers,
    open(near) {
      near.data = { peer: null, early: [] };
      later(() => {
        Bun.connect<End>({
          ...place(to), data: { peer: near, early: [] },
          socket: {
            ...handlers,
            open(far) {
              near.data.peer = far;
              for (const bytes of near.data.early) far.write(bytes);
            },
          },
        }).catch(() => near.terminate());
      });
    },
  },
});
console.log("ready");
