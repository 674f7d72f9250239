// The contract of src/platform/platform.ts: one test a "¶" sentence, run against every platform. A platform joins by
// calling contract(name, makeWorld); tests never sleep or touch a runtime: they record what the handlers hear and say
// `await world.until("what we wait for", () => condition)`.
//
// How a virtual-time platform joins (tests/sim): makeWorld() returns a World whose
//   platform   is ONE simulated process that may listen and connect to itself on 127.0.0.1, without harmful faults
//              (no resets, hangs or refusals of its own; fragmenting and delays are welcome; as with every kernel a
//              few bytes into an empty socket are taken whole);
//   until      steps the world (delivering events, moving the clock to the next timer) until check() is true, and
//              rejects with `what` in the message when the world is idle or a step limit is reached;
//   pass       moves time on by ms, delivering all that comes due, and returns: the tests use it to show that
//              something does NOT come;
//   together   says whether bytes written to several sockets in one turn become ready in one turn at the other side
//              (a kernel's loopback does; a network with delays does not);
//   much       is a count of bytes that surely does not fit between two sockets when nobody reads;
//   changed    may do nothing (a real world wakes its `until` there);
//   blackhole  is an address where a connect is neither accepted nor refused; null where there is none;
//   unixPath   is a fresh path for a unix socket or a file; null where the platform has none;
//   staleUnix  is a path with a socket file that nobody answers; null likewise;
//   done       ends the world; it may check that nothing is left.
// Where null is returned the test prints why it did not run.

import { expect, test } from "bun:test";
import type { Address, Platform } from "../../src/platform/platform.ts";
import { Desk } from "./desk.ts";
import { clockSentences } from "./suite_clock.ts";
import { fileSentences } from "./suite_files.ts";
import { handlerSentences } from "./suite_handlers.ts";
import { netSentences } from "./suite_net.ts";
import { socketSentences } from "./suite_socket.ts";

export interface World {
  readonly platform: Platform;
  readonly together: boolean;
  readonly much: number;
  until(what: string, check: () => boolean): Promise<void>;
  pass(ms: number): Promise<void>;
  changed(): void;
  blackhole(): Promise<Address | null>;
  unixPath(): string | null;
  staleUnix(): Promise<string | null>;
  done(): Promise<void>;
}

/** Registers one sentence of the contract as a test; every invariant of the desk is checked with it. */
export type Sentence = (text: string, body: (desk: Desk) => Promise<unknown>) => void;

/** Registers the suite under name; makeWorld is called anew for each test. */
export function contract(name: string, makeWorld: () => Promise<World>): void {
  const sentence: Sentence = (text, body) =>
    void test(text, async () => {
      const world = await makeWorld();
      const desk = new Desk(world);
      try {
        await body(desk);
        expect(desk.violations).toEqual([]);
        desk.endAll();
        await world.until("every socket to be closed", () => desk.allClosed());
        expect(desk.violations).toEqual([]);
      } finally {
        await world.done();
      }
    });

  socketSentences(name, sentence);
  handlerSentences(name, sentence);
  netSentences(name, sentence);
  clockSentences(name, sentence);
  fileSentences(name, sentence);
}
