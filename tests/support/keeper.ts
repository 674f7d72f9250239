// What a test starts, and the end of it after the test.
import type { Running } from "./program.ts";

interface Stoppable {
  stop(): Promise<void>;
}

export interface Keeper {
  /** Keeps what has started. */
  kept<T extends Stoppable>(started: T): T;
  /** Keeps what is starting, once it has. */
  keep<T extends Stoppable>(starting: Promise<T>): Promise<T>;
  /** Keeps a program: it is killed. */
  begun(program: Running): Running;
  /** For afterEach: ends all of it, the last one first. */
  stopAll(): Promise<void>;
}

export function keeper(): Keeper {
  const running: Stoppable[] = [];
  const kept = <T extends Stoppable>(started: T): T => {
    running.push(started);
    return started;
  };
  return {
    kept,
    begun(program) {
      kept({
        async stop() {
          program.kill("SIGKILL");
          await program.ended;
        },
      });
      return program;
    },
    keep: async (starting) => kept(await starting),
    async stopAll() {
      for (const each of running.splice(0).reverse()) await each.stop();
    },
  };
}
