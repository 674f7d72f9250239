// One connection: answers told in order however they come, and every way in which it can end.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FAILURE_REASONS, type FailureReason } from "../../src/backend/reasons.ts";
import { InFlight } from "../../src/backend/inflight.ts";
import { Expect } from "../../src/protocol/reply.ts";
import { Table } from "../replication/table.ts";
import { Bench, Listener } from "./bench.ts";

const QUESTIONS: readonly (readonly [number, string])[] = [
  [Expect.STORE, "STORED\r\n"],
  [Expect.VALUES, "VALUE a 0 5\r\nhello\r\nVALUE b 1 0 77\r\n\r\nEND\r\n"],
  [Expect.VALUES, "END\r\n"],
  [Expect.NUMBER, "42\r\n"],
  [Expect.META, "VA 4 f0 t-1\r\n\r\n\r\n\r\n"],
  [Expect.META, "HD c5\r\n"],
  [Expect.STATS, "STAT a 1\r\nSTAT b\r\nEND\r\n"],
  [Expect.DELETE, "NOT_FOUND\r\n"],
  [Expect.NOOP, "MN\r\n"],
  [Expect.STORE, "SERVER_ERROR object too large for cache\r\n"],
  [Expect.VALUES, "SERVER_ERROR out of memory\r\n"],
  [Expect.TOUCH, "TOUCHED\n"],
  [Expect.OK, "OK\r\n"],
];
const HEARD = [
  "0 STORED STORED\r\n",
  "1 value VALUE a 0 5\r\nhello\r\n", "1 value VALUE b 1 0 77\r\n\r\n", "1 END END\r\n",
  "2 END END\r\n",
  "3 NUMBER 42\r\n",
  "4 value VA 4 f0 t-1\r\n\r\n\r\n\r\n",
  "5 HD HD c5\r\n",
  "6 line STAT a 1", "6 line STAT b", "6 END END\r\n",
  "7 NOT_FOUND NOT_FOUND\r\n",
  "8 MN MN\r\n",
  "9 SERVER_ERROR SERVER_ERROR object too large for cache\r\n",
  "10 SERVER_ERROR SERVER_ERROR out of memory\r\n",
  "11 TOUCHED TOUCHED\n",
  "12 OK OK\r\n",
];

function asked(questions = QUESTIONS): Bench {
  const bench = new Bench().open();
  questions.forEach(([expect], role) => bench.asks(`question ${role}\r\n`, expect as 0, role));
  return bench.settles();
}

describe("answers", () => {
  const text = QUESTIONS.map(([, answer]) => answer).join("");

  test("requests of a turn leave in one write", () => {
    expect(asked().socket.writes.length).toBe(1);
  });

  test("all pieces that two cuts can make", () => {
    for (let at = 0; at <= text.length; at++) {
      const bench = asked().sends(text.slice(0, at), text.slice(at));
      expect([at, bench.caller.heard]).toEqual([at, HEARD]);
      expect([bench.lane.inFlight.count, bench.lane.answered, bench.lane.alive]).toEqual([0, QUESTIONS.length, true]);
    }
  });

  test("byte by byte, and in any pieces", () => {
    expect(asked().sends(...text).caller.heard).toEqual(HEARD);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 200 }), (sizes) => {
        const pieces: string[] = [];
        for (let at = 0, i = 0; at < text.length; i++) {
          const size = sizes[i % sizes.length]!;
          pieces.push(text.slice(at, at + size));
          at += size;
        }
        expect(asked().sends(...pieces).caller.heard).toEqual(HEARD);
      }),
      { numRuns: 100, seed: 3 },
    );
  });

  test("large items, in any pieces: with data that looks like answers, text and meta", () => {
    const data = "END\r\nVALUE a 0 1\r\n".repeat(70_000);
    for (const [expect_, head] of [[Expect.VALUES, `VALUE a 0 ${data.length}\r\n`], [Expect.META, `VA ${data.length} f0\r\n`]] as const) {
      const end = expect_ === Expect.VALUES ? "END\r\n" : "";
      const answer = `${head}${data}\r\n${end}MN\r\n`;
      const wanted = [`1 value ${head}${data}\r\n`, ...(end === "" ? [] : ["1 END END\r\n"]), "2 MN MN\r\n"];
      const cuts = [head.length - 1, head.length, head.length + 1, 500_000, head.length + data.length, head.length + data.length + 1, head.length + data.length + 2];
      for (const at of cuts) {
        const bench = new Bench().open();
        bench.asks("q\r\n", expect_, 1);
        bench.asks("mn\r\n", Expect.NOOP, 2);
        bench.settles().sends(answer.slice(0, at), answer.slice(at));
        expect(bench.caller.heard.length).toBe(wanted.length);
        expect(bench.caller.heard.every((one, i) => one === wanted[i])).toBe(true);
      }
    }
  });

  test("who takes parts gets the same item, whole or not at all, however it is cut", () => {
    const answer = "VALUE a 0 40\r\n" + "0123456789\r\n".repeat(3) + "abcd\r\nEND\r\n";
    for (let first = 1; first < answer.length; first++) {
      for (let second = first + 1; second < answer.length; second += 3) {
        const bench = new Bench().open();
        bench.caller.holds = true;
        bench.asks("get a\r\n", Expect.VALUES, 1);
        bench.settles().sends(answer.slice(0, first), answer.slice(first, second), answer.slice(second));
        expect(bench.caller.heard).toEqual([`1 value ${answer.slice(0, -5)}`, "1 END END\r\n"]);
      }
    }
    const lost = new Bench().open();
    lost.caller.holds = true;
    lost.asks("get a\r\n", Expect.VALUES, 1);
    lost.settles().sends(answer.slice(0, 30), answer.slice(30, 54));
    lost.socket.close("reset");
    lost.settles();
    expect(lost.caller.heard).toEqual(["1 failed reset sent"]);
    const wrong = new Bench().open();
    wrong.caller.holds = true;
    wrong.asks("get a\r\n", Expect.VALUES, 1);
    wrong.settles().sends(answer.slice(0, 30), answer.slice(30, 54), "XX");
    expect(reason(wrong)).toBe("malformed_reply");
  });

  test("any garbage is told in order or ends the lane; it never throws", () => {
    const word = fc.constantFrom("STORED", "END", "VALUE a 0 3", "VALUE a 0 99999999", "VA 2 f0", "VA -1", "\r\n", "abc", "\0", "1", "STAT x", "HD", " ");
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), fc.integer({ min: 1, max: 9 }), (words, size) => {
        const answer = words.join("");
        const bench = asked().sends(...(answer.match(new RegExp(`[^]{1,${size}}`, "g")) ?? []));
        const settled = new Set(bench.caller.heard.map((one) => one.split(" ")[0]));
        if (!bench.lane.alive) expect(settled.size).toBe(QUESTIONS.length);
      }),
      { numRuns: 500, seed: 11 },
    );
  });
});

describe("the FIFO", () => {
  test("grows, wraps and keeps the order", () => {
    const fifo = new InFlight();
    const caller = new Listener();
    let pushed = 0, popped = 0;
    for (let round = 0; round < 300; round++) {
      for (let i = 0; i < (round % 7) + 1; i++, pushed++) fifo.push(caller, pushed, Expect.STORE, pushed * 2, pushed * 3, pushed * 4);
      for (let i = 0; i < round % 6 && fifo.count > 0; i++, popped++) {
        expect([fifo.role, fifo.deadline, fifo.endOffset, fifo.begun, fifo.expect]).toEqual([popped, popped * 2, popped * 3, popped * 4, Expect.STORE]);
        fifo.pop();
        expect(fifo.settledOffset).toBe(popped * 3);
      }
    }
    expect(fifo.count).toBe(pushed - popped);
    expect(fifo.count).toBeGreaterThan(128);
    for (; fifo.count > 0; popped++) {
      expect(fifo.role).toBe(popped);
      fifo.pop();
    }
  });

  test("failures come in order, and tell what had left", () => {
    const bench = new Bench().open();
    bench.asks("12345\r\n", Expect.STORE, 1);
    bench.settles().sends("STORED\r\n");
    bench.socket.room = 10;
    for (const role of [2, 3, 4]) bench.asks("12345\r\n", Expect.STORE, role);
    bench.settles();
    bench.socket.close("reset");
    bench.settles();
    // Ten bytes left: the second request whole, of the third its beginning, of the fourth nothing.
    expect(bench.caller.heard).toEqual(["1 STORED STORED\r\n", "2 failed reset sent", "3 failed reset sent", "4 failed reset"]);
    expect(bench.told).toEqual(["opened", "closed reset established unanswered"]);
  });

  test("who hears of it ends the lane again, which is being opened anew: each hears it once", () => {
    const bench = new Bench().open();
    bench.reconnects = true;
    for (const role of [1, 2, 3]) bench.asks("12345\r\n", Expect.STORE, role);
    bench.settles();
    bench.caller.onFailed = () => {
      bench.reconnects = false;
      bench.lane.fail("stopping");
    };
    bench.socket.close("reset");
    bench.settles();
    expect(bench.caller.heard).toEqual(["1 failed reset sent", "2 failed stopping sent", "3 failed stopping sent"]);
    expect([bench.lane.inFlight.count, bench.lane.alive]).toEqual([0, false]);
  });

  test("nothing left: nothing unanswered", () => {
    const bench = new Bench().open();
    bench.socket.room = 0;
    bench.asks("12345\r\n", Expect.STORE, 1);
    bench.settles();
    bench.lane.fail("stopping");
    bench.settles();
    expect([bench.caller.heard, bench.told[1], bench.socket.aborted]).toEqual([["1 failed stopping"], "closed stopping established", true]);
  });

  test("what is left over from one connection never reaches the next", () => {
    const bench = new Bench().open();
    bench.reconnects = true;
    bench.asks("q1\r\n", Expect.VALUES, 1);
    bench.settles().sends("VALUE a 0 5\r\nhe");
    const old = bench.socket;
    old.close("reset");
    bench.settles();
    bench.lane.serve();
    bench.asks("q2\r\n", Expect.STORE, 2);
    bench.settles();
    old.send("llo\r\nEND\r\n");
    bench.sends("STORED\r\n");
    expect([bench.caller.heard, bench.socket.take()]).toEqual([["1 failed reset sent", "2 STORED STORED\r\n"], "q2\r\n"]);
  });
});

describe("waiting for a lane", () => {
  test("ready when it serves; failed when it fails or the deadline passes", () => {
    const bench = new Bench();
    bench.lane.connect();
    bench.lane.wait(bench.caller, 1);
    bench.settles();
    expect(bench.caller.heard).toEqual([]);
    bench.lane.serve();
    expect(bench.caller.heard).toEqual(["1 ready"]);
    const lost = new Bench();
    lost.welcome = "lost";
    lost.lane.wait(lost.caller, 1);
    lost.pass(320);
    expect(lost.caller.heard).toEqual(["1 failed connect_timeout"]);
    lost.lane.connect();
    lost.lane.wait(lost.caller, 2);
    lost.lane.fail("stopping");
    expect(lost.caller.heard[1]).toBe("2 failed stopping");
  });

  test("who begins to wait when a question fails waits for the next connection", () => {
    const bench = new Bench().open();
    bench.reconnects = true;
    bench.lane.ready = true;
    bench.asks("q\r\n", Expect.STORE, 1);
    bench.settles();
    bench.caller.onFailed = () => bench.lane.wait(bench.caller, 2);
    bench.socket.close("reset");
    bench.settles();
    expect(bench.caller.heard).toEqual(["1 failed reset sent"]);
    bench.lane.serve();
    expect(bench.caller.heard[1]).toBe("2 ready");
  });
});

describe("holding", () => {
  test("a held lane is not read, for a while; its own deadlines wait meanwhile", () => {
    const bench = new Bench().open();
    bench.asks("q\r\n", Expect.STORE, 1);
    bench.settles();
    bench.lane.hold(100);
    bench.lane.hold(5000);
    bench.sends("STORED\r\n");
    expect([bench.socket.paused, bench.caller.heard]).toEqual([true, []]);
    bench.pass(120);
    expect([bench.socket.paused, bench.caller.heard]).toEqual([false, ["1 STORED STORED\r\n"]]);
  });
  test("released early", () => {
    const bench = new Bench().open();
    bench.lane.hold(100);
    bench.lane.release();
    bench.lane.release();
    expect(bench.settles().socket.paused).toBe(false);
  });
});

/** How each reason comes about; each function returns the reason that was heard. */
const PROVOKED: Partial<Record<FailureReason, () => string>> = {};
const reason = (bench: Bench): string => /^\d+ failed (\w+)/.exec(bench.caller.heard.at(-1) ?? "")?.[1] ?? "none";

for (const [cause, why] of [
  ["refused", "refused"], ["unreachable", "unreachable"], ["not_found", "not_found"], ["denied", "failed"],
] as const) {
  PROVOKED[why] = () => {
    const bench = new Bench();
    bench.welcome = cause;
    bench.lane.connect();
    bench.lane.wait(bench.caller, 1);
    bench.settles();
    return reason(bench);
  };
}
PROVOKED.connect_timeout = () => {
  const bench = new Bench();
  bench.welcome = "lost";
  bench.lane.connect();
  bench.platform.pass(100);
  bench.lane.wait(bench.caller, 1);
  bench.pass(200);
  return reason(bench);
};
function under(expect_: number, act: (bench: Bench) => void): () => string {
  return () => {
    const bench = new Bench().open();
    bench.asks("q\r\n", expect_ as 0, 1);
    bench.settles();
    act(bench);
    bench.settles();
    expect([bench.lane.alive, bench.socket.aborted || bench.socket.closed]).toEqual([false, true]);
    return reason(bench);
  };
}
PROVOKED.reset = under(Expect.STORE, (bench) => bench.socket.close("reset"));
PROVOKED.closed = under(Expect.STORE, (bench) => bench.socket.end());
PROVOKED.request_timeout = under(Expect.STORE, (bench) => bench.pass(340));
PROVOKED.unexpected_reply = under(Expect.STORE, (bench) => bench.sends("END\r\n"));
PROVOKED.unasked_reply = () => {
  const bench = new Bench().open().sends("STORED\r\n");
  return /^closed (\w+)/.exec(bench.told[1]!)![1]!;
};
PROVOKED.malformed_reply = under(Expect.VALUES, (bench) => bench.sends("VALUE a 0 1\r\nxx\r\n"));
PROVOKED.foreign_key = under(Expect.VALUES, (bench) => {
  bench.caller.takes = false;
  bench.sends("VALUE a 0 1\r\nx\r\n");
});
PROVOKED.refused_command = () => {
  const bench = new Bench().open();
  bench.asks("set\r\nx\r\n", Expect.STORE, 1);
  bench.asks("mn\r\n", Expect.NOOP, 2);
  bench.settles().sends("CLIENT_ERROR bad command line format\r\n");
  expect(bench.caller.heard[0]).toBe("1 CLIENT_ERROR CLIENT_ERROR bad command line format\r\n");
  return reason(bench);
};
PROVOKED.stopping = under(Expect.STORE, (bench) => bench.lane.fail("stopping"));
/** Reasons of a server: of its control connection, its identity, its state. */
function downBecause(act: (t: Table) => void): () => string {
  return () => {
    const t = new Table();
    act(t);
    return t.proxy.pool.primaries[0]!.health.reason;
  };
}
PROVOKED.silent = downBecause((t) => {
  t.P.stopped = true;
  t.pass(3100);
});
PROVOKED.unflushed = downBecause((t) => {
  t.P.stopped = true;
  t.P.closes();
  t.client.sends("flush_all\r\n");
  t.P.continues();
  t.pass(0);
});
PROVOKED.handshake = downBecause((t) => {
  t.P.standing.set("stats\r\n", "STAT pid 1\r\nEND\r\n");
  t.pass(1100);
});
PROVOKED.restarted = () => {
  const t = new Table();
  t.P.lives(999);
  t.pass(1100);
  return t.said.some((line) => line.includes('"reason":"restarted"') && line.includes("down")) ? "restarted" : "none";
};
PROVOKED.down = () => {
  const t = new Table({ backups: 0 });
  t.P.dies();
  t.client.sends("get k\r\n");
  return /primary p0:1 (down): /.exec(t.client.socket.take())![1]!;
};
PROVOKED.abandoned = () => {
  const t = new Table({ backups: 0 });
  const { pool } = t.proxy;
  const server = pool.primaries[0]!;
  const told: string[] = [];
  const closed = server.laneClosed.bind(server);
  server.laneClosed = (lane, why, ...rest) => {
    told.push(why);
    closed(lane, why, ...rest);
  };
  t.client.sends("set k 0 0 1500000\r\nhalf");
  t.client.closes();
  expect(t.states).toBe("up");
  return told.join(" ");
};

describe("every end has its reason", () => {
  for (const why of FAILURE_REASONS) {
    test(why, () => {
      const provoke = PROVOKED[why];
      expect(provoke === undefined ? `nobody provokes ${why}` : provoke()).toBe(why);
    });
  }

  test("malformed in other ways", () => {
    for (const [expect_, ...answer] of [
      [Expect.VALUES, "VALUE a 0 x\r\n"],
      [Expect.VALUES, "VALUE a 0 1 what\r\n"],
      [Expect.VALUES, "VALUE a 0 5\r\nhel", "loxx"],
      [Expect.META, "VA 999999999999999 f0\r\n"],
      [Expect.VALUES, "x".repeat(17_000)],
      [Expect.VALUES, "x".repeat(10_000), "x".repeat(10_000)],
      [Expect.VALUES, "VALUE a 0 1200000\r\n", "y".repeat(1_200_000), "\rx"],
      [Expect.VALUES, "VALUE a 0 1200000\r\n", "y".repeat(1_200_001), "\n"],
    ] as const) {
      expect(under(expect_, (bench) => bench.sends(...(answer as readonly string[])))()).toBe("malformed_reply");
    }
  });

  test("an item that answers a question and was not asked for is told to whoever asked", () => {
    const bench = new Bench().open();
    bench.asks("q\r\n", Expect.META, 1);
    bench.asks("q\r\n", Expect.META, 2);
    bench.caller.takes = false;
    bench.settles().sends("VA 1\r\nx\r\n");
    const failed = bench.caller.heard.filter((one) => one.includes("failed"));
    expect(failed.sort()).toEqual(["1 failed foreign_key sent", "2 failed foreign_key sent"]);
  });

  test("a deadline is the oldest question's; answers to it put it off to the next", () => {
    const bench = new Bench().open();
    bench.asks("q\r\n", Expect.STORE, 1);
    bench.settles().pass(200);
    bench.asks("q\r\n", Expect.STORE, 2);
    bench.settles().sends("STORED\r\n").pass(280);
    expect(bench.lane.alive).toBe(true);
    bench.pass(60);
    expect(bench.caller.heard.at(-1)).toBe("2 failed request_timeout sent");
  });
});
