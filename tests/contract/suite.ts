// The contract of src/platform/platform.ts: one test a "¶" sentence, run against every platform. A platform joins by
// calling contract(name, makeWorld); tests never sleep or touch a runtime: they record what the handlers hear and say
// `await world.until("what we wait for", () => condition)`.
//
// How a virtual-time platform joins (tests/sim): makeWorld() returns a World whose
//   platform   is ONE simulated process that may listen and connect to itself on 127.0.0.1, without harmful faults
//              (no resets, hangs or refusals of its own; fragmenting, short writes and delays are welcome);
//   until      steps the world (delivering events, moving the clock to the next timer) until check() is true, and
//              rejects with `what` in the message when the world is idle or a step limit is reached;
//   pass       moves time on by ms, delivering all that comes due, and returns: the tests use it to show that
//              something does NOT come;
//   changed    may do nothing (a real world wakes its `until` there);
//   blackhole  is an address where a connect is neither accepted nor refused; null where there is none;
//   unixPath   is a fresh path for a unix socket; null where the platform has no unix sockets;
//   staleUnix  is a path with a socket file that nobody answers; null likewise;
//   done       ends the world; it may check that nothing is left.
// Where null is returned the test prints why it did not run.

import type { Address, Platform } from "../../src/platform/platform.ts";

export interface World {
  readonly platform: Platform;
  until(what: string, check: () => boolean): Promise<void>;
  pass(ms: number): Promise<void>;
  changed(): void;
  blackhole(): Promise<Address | null>;
  unixPath(): string | null;
  staleUnix(): Promise<string | null>;
  done(): Promise<void>;
}
