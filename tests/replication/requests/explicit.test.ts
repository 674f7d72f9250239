// Pairs whose servers both take explicit cas uniques: each write carries a version, both sides hold it, and clients
// see it as it is.
import { describe, expect, test } from "bun:test";
import { textOf } from "../../../src/bytes/ascii.ts";
import { both, store, Table, value } from "../table.ts";

const OLD = "4611686018427387999", NEW = "4700000000000000000";

/** The version drawn last. */
function drawn({ proxy }: Table): string {
  const { digits } = proxy.pool.versions;
  return textOf(digits, 0, digits.length);
}

const table = (options: ConstructorParameters<typeof Table>[0] = {}): Table => new Table({ ...options, explicit: true });

describe("a set", () => {
  for (const [request, sent] of [
    ["set k 0 0 5\r\nhello\r\n", "ms k 5 E"],
    ["set k 7 60 5\r\nhello\r\n", "ms k 5 F7 T60 E"],
    ["set k 4294967295 -1 5\r\nhello\r\n", "ms k 5 F4294967295 T-1 E"],
    ["set  k 5 +0 5 noreply\r\nhello\r\n", "ms k 5 F5 T+0 E"],
    ["set k 0 2592001 5\r\nhello\r\n", "ms k 5 T2592001 E"],
  ] as const) {
    test(`${request.split("\r\n")[0]}: one version for both sides, a newer one each time`, () => {
      const t = table();
      let last = "";
      for (let i = 0; i < 2; i++) {
        t.client.sends(request);
        expect(drawn(t) > last).toBe(true);
        last = drawn(t);
        both(t, `${sent}${last}\r\nhello\r\n`);
        t.P.sends("HD\r\n");
        t.client.receives("");
        t.B.sends("HD\r\n");
        t.client.receives(request.includes("noreply") ? "" : "STORED\r\n");
      }
      t.ends();
    });
  }

  test("errors are the server's own, and the replica must not keep what the lead refused", () => {
    const t = table();
    t.client.sends("set k 0 0 1\r\nx\r\n");
    both(t, `ms k 1 E${drawn(t)}\r\nx\r\n`);
    t.P.sends("SERVER_ERROR out of memory storing object\r\n");
    t.B.sends("HD\r\n");
    t.client.receives("SERVER_ERROR out of memory storing object\r\n");
    t.B.answers("mg k t c u\r\n", `HD t-1 c${OLD}\r\n`);
    t.P.answers("mg k t c u\r\n", "EN\r\n");
    t.B.answers(`md k C${OLD}\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", "EN\r\n");
    t.ends();
  });

  for (const answer of ["CLIENT_ERROR bad command line format\r\n", "STORED\r\n"]) {
    test(`${answer.trim()}: it may not have been read as it was meant, so the lane ends`, () => {
      const t = table();
      t.client.sends("set k 0 0 1\r\nx\r\n");
      t.P.sends(answer);
      expect(t.said.filter((line) => line.startsWith("server is suspect")).length).toBe(1);
    });
  }

  test("the same bytes on one side, when the other is gone; delete and touch are as ever", () => {
    const t = table();
    t.B.dies();
    t.client.sends("set k 0 0 1\r\nx\r\n");
    t.P.answers(`ms k 1 E${drawn(t)}\r\nx\r\n`, "HD\r\n");
    t.client.receives("STORED\r\n");
    t.client.sends("touch k 5\r\ndelete k\r\n");
    t.P.answers("touch k 5\r\ndelete k\r\n", "TOUCHED\r\nDELETED\r\n");
    t.client.receives("TOUCHED\r\nDELETED\r\n");
    expect(t.lacks("k")).toBe("B");
  });

  test("a large one streams with it", () => {
    const t = table();
    const body = "v".repeat(1_500_000);
    t.client.sends(`set k 3 9 ${body.length}\r\n`, body);
    for (const side of [t.P, t.B]) side.receives(`ms k ${body.length} F3 T9 E${drawn(t)}\r\n${body}`, 1);
    t.client.sends("\r\n");
    for (const side of [t.P, t.B]) side.answers("mn\r\n", "MN\r\n");
    for (const side of [t.P, t.B]) side.answers("\r\n", "HD\r\n", 1);
    t.client.receives("STORED\r\n");
    t.ends();
  });

  test("a pair where one takes none gets plain sets, and tokens of one side", () => {
    const t = new Table({ before: ({ P }) => P.livesExplicit(300) });
    t.client.sends("set k 0 0 1\r\nx\r\n");
    both(t, "set k 0 0 1\r\nx\r\n");
    for (const side of [t.P, t.B]) side.sends("STORED\r\n");
    t.client.receives("STORED\r\n").sends("gets k\r\n");
    t.P.answers("gets k\r\n", `VALUE k 0 1 5\r\nx\r\nEND\r\n`);
    expect(Number(/ (\d+)\r\n/.exec(t.client.socket.take())![1]) > 2 ** 47).toBe(true);
    t.ends();
  });

  test("without backups nothing is versioned", () => {
    const t = table({ backups: 0 });
    t.client.sends("set k 0 0 1\r\nx\r\n", "gets k\r\n");
    t.P.answers("set k 0 0 1\r\nx\r\ngets k\r\n", "STORED\r\nVALUE k 0 1 5\r\nx\r\nEND\r\n");
    t.client.receives("STORED\r\nVALUE k 0 1 5\r\nx\r\nEND\r\n");
  });
});

describe("commands in two steps", () => {
  for (const [request, command, copy] of [
    ["add k 3 9 2\r\nab\r\n", "ms k 2 ME F3 T9 E", "ms k 2 F3 T9 E"],
    ["replace k 0 0 2\r\nab\r\n", "ms k 2 MR E", "ms k 2 E"],
    [`cas k 3 0 2 ${OLD}\r\nab\r\n`, `ms k 2 F3 C${OLD} E`, "ms k 2 F3 E"],
    ["cas k 0 0 2 17\r\nab\r\n", "ms k 2 C17 E", "ms k 2 E"],
  ] as const) {
    test(`${request.split("\r\n")[0]}: the replica gets the request's own data with the same version`, () => {
      const t = table();
      t.client.sends(request);
      const version = drawn(t);
      t.P.answers(`${command}${version}\r\nab\r\n`, "HD\r\n");
      t.client.receives("");
      t.B.answers(`${copy}${version}\r\nab\r\n`, "HD\r\n");
      t.client.receives("STORED\r\n");
      t.ends();
    });
  }

  for (const [request, answer, told] of [
    ["add k 0 0 1\r\nx\r\n", "NS\r\n", "NOT_STORED\r\n"],
    ["replace k 0 0 1\r\nx\r\n", "NS\r\n", "NOT_STORED\r\n"],
    ["cas k 0 0 1 5\r\nx\r\n", "EX\r\n", "EXISTS\r\n"],
    ["cas k 0 0 1 5\r\nx\r\n", "NF\r\n", "NOT_FOUND\r\n"],
    ["append k 0 0 1\r\nx\r\n", "NS\r\nEN\r\n", "NOT_STORED\r\n"],
    ["incr k 1\r\n", "NF\r\nEN\r\n", "NOT_FOUND\r\n"],
    ["incr k 1\r\n", `CLIENT_ERROR cannot increment or decrement non-numeric value\r\nVA 1 f0 t-1 c${OLD}\r\nx\r\n`, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"],
  ] as const) {
    test(`${request.split("\r\n")[0]}: ${answer.split("\r\n")[0]} is ${told.trim()}, and nothing for the replica`, () => {
      const t = table();
      t.client.sends(request);
      t.P.lanes[0]!.take();
      t.P.sends(answer);
      t.client.receives(told);
      t.ends();
    });
  }

  for (const [request, command, result, told, copy] of [
    ["incr k 5\r\n", "ma k D5 E# v\r\n", "VA 2\r\n12\r\nVA 2 f3 t-1 c#\r\n12\r\n", "12\r\n", "ms k 2 F3 E#\r\n12\r\n"],
    ["decr k 5\r\n", "ma k MD D5 E# v\r\n", "VA 1\r\n7\r\nVA 2 f0 t100 c#\r\n7 \r\n", "7\r\n", "ms k 2 T100 E#\r\n7 \r\n"],
    ["append k 9 9 1\r\nz\r\n", "ms k 1 MA E#\r\nz\r\n", "HD\r\nVA 3 f4 t50 c#\r\nabz\r\n", "STORED\r\n", "ms k 3 F4 T50 E#\r\nabz\r\n"],
    ["prepend k 9 9 1\r\nz\r\n", "ms k 1 MP E#\r\nz\r\n", "HD\r\nVA 3 f0 t0 c#\r\nzab\r\n", "STORED\r\n", "ms k 3 T-1 E#\r\nzab\r\n"],
  ] as const) {
    test(`${request.split("\r\n")[0]}: what the lead made of it, with its version`, () => {
      const t = table();
      t.client.sends(request);
      const version = drawn(t);
      t.P.answers(`${command}mg k v f t c\r\n`.replaceAll("#", version), result.replaceAll("#", version));
      t.client.receives("");
      t.B.answers(copy.replaceAll("#", version), "HD\r\n");
      t.client.receives(told);
      t.ends();
    });
  }

  test("a later version in the read-back is another writer's: it goes to the replica, and ours are above it", () => {
    const t = table();
    t.client.sends("append k 0 0 1\r\nz\r\n");
    const later = String(BigInt(drawn(t)) + 2n ** 32n);
    t.P.answers(`ms k 1 MA E${drawn(t)}\r\nz\r\nmg k v f t c\r\n`, `HD\r\nVA 3 f0 t-1 c${later}\r\nxyz\r\n`);
    t.B.answers(`ms k 3 E${later}\r\nxyz\r\n`, "HD\r\n");
    t.client.receives("STORED\r\n").sends("set k 0 0 1\r\nx\r\n");
    expect(drawn(t) > later).toBe(true);
  });

  test("a number that grows by a digit has lost its version: the lead is given one first", () => {
    const t = table();
    t.client.sends("incr k 1\r\n");
    const first = drawn(t);
    t.P.answers(`ma k D1 E${first} v\r\nmg k v f t c\r\n`, "VA 2\r\n10\r\nVA 2 f3 t100 c777\r\n10\r\n");
    const version = drawn(t);
    expect(version > first).toBe(true);
    t.client.receives("");
    t.P.answers(`ms k 2 F3 T100 C777 E${version}\r\n10\r\n`, "HD\r\n");
    t.B.answers(`ms k 2 F3 T100 E${version}\r\n10\r\n`, "HD\r\n");
    t.client.receives("10\r\n");
    t.ends();
  });

  test("another write came before the stamp: both sides are made alike", () => {
    const t = table();
    t.client.sends("incr k 1\r\n");
    t.P.answers(`ma k D1 E${drawn(t)} v\r\nmg k v f t c\r\n`, "VA 2\r\n10\r\nVA 2 f3 t100 c777\r\n10\r\n");
    t.P.answers(`ms k 2 F3 T100 C777 E${drawn(t)}\r\n10\r\n`, "EX\r\n");
    t.client.receives("");
    t.B.answers("mg k t c u\r\n", `HD t100 c${OLD}\r\n`);
    t.P.answers("mg k t c u\r\n", `HD t100 c${NEW}\r\n`);
    t.P.answers("mg k v f t c u\r\n", `VA 1 f0 t100 c${NEW}\r\nx\r\n`);
    t.B.answers(`ms k 1 C${OLD} F0 T100 E${NEW}\r\nx\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", `HD c${NEW} t100\r\n`);
    t.client.receives("10\r\n");
    t.pass(60);
    for (const side of [t.B, t.P]) side.answers("mg k t c u\r\n", `HD t100 c${NEW}\r\n`);
    expect(t.lacks("k")).toBe("");
    t.ends();
  });

  test("the lead fails under the stamp: the replica gets the result and knows better", () => {
    const t = table();
    t.client.sends("incr k 1\r\n");
    t.P.answers(`ma k D1 E${drawn(t)} v\r\nmg k v f t c\r\n`, "VA 2\r\n10\r\nVA 2 f3 t100 c777\r\n10\r\n");
    t.P.dies();
    t.B.answers(`ms k 2 F3 T100 E${drawn(t)}\r\n10\r\n`, "HD\r\n");
    t.client.receives("10\r\n");
    expect(t.lacks("k")).toBe("P");
    t.client.sends("get k\r\n");
    t.B.answers("get k\r\n", value("k", "10", "3"));
    t.client.receives(value("k", "10", "3"));
  });

  test("what may be too large for the server is sent as text, so that a refusal removes nothing", () => {
    const t = table({ before: (each) => each.P.standing.set("stats settings\r\n", "STAT item_size_max 2000\r\nSTAT cas_enabled yes\r\nEND\r\n") });
    const data = "d".repeat(1600);
    const add = store("add", "k", data);
    t.client.sends(add);
    t.P.answers(`${add}mg k v f t c\r\n`, "SERVER_ERROR object too large for cache\r\nEN\r\n");
    t.client.receives("SERVER_ERROR object too large for cache\r\n").sends(add);
    t.P.answers(`${add}mg k v f t c\r\n`, `STORED\r\nVA 1600 f0 t-1 c5\r\n${data}\r\n`);
    t.P.answers(`ms k 1600 C5 E${drawn(t)}\r\n${data}\r\n`, "HD\r\n");
    t.B.answers(`ms k 1600 E${drawn(t)}\r\n${data}\r\n`, "HD\r\n");
    t.client.receives("STORED\r\n");
    t.ends();
  });

  test("out of memory the lead drops the old value: so does the replica", () => {
    const t = table();
    t.client.sends("add k 0 0 1\r\nx\r\n");
    t.P.answers(`ms k 1 ME E${drawn(t)}\r\nx\r\n`, "SERVER_ERROR out of memory storing object\r\n");
    t.client.receives("SERVER_ERROR out of memory storing object\r\n");
    t.B.answers("mg k t c u\r\n", `HD t-1 c${OLD}\r\n`);
    t.P.answers("mg k t c u\r\n", "EN\r\n");
    t.B.answers(`md k C${OLD}\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", "EN\r\n");
    t.ends();
  });
});

describe("tokens", () => {
  const hit = `VALUE k 0 1 ${OLD}\r\nx\r\n`;

  test("gets tells the unique as it is, from either side, and it is good on either", () => {
    const t = table();
    t.client.sends("gets k\r\n", "gets k k\r\n");
    t.P.answers("gets k\r\ngets k k\r\n", `${hit}END\r\n${hit}${hit}END\r\n`);
    t.client.receives(`${hit}END\r\n${hit}${hit}END\r\n`);
    t.P.dies();
    t.client.sends("gets k\r\n");
    t.B.answers("gets k\r\n", `${hit}END\r\n`);
    t.client.receives(`${hit}END\r\n`).sends(`cas k 0 0 1 ${OLD}\r\ny\r\n`);
    t.B.answers(`ms k 1 C${OLD} E${drawn(t)}\r\ny\r\n`, "HD\r\n");
    t.client.receives("STORED\r\n");
  });

  test("the unique is asked behind a command in two steps on the key: the first one it has may not be the last", () => {
    const t = table();
    const two = t.join(), three = t.join();
    t.client.sends("incr k 1\r\n");
    two.sends("gets k\r\n");
    three.sends("gets k k\r\n");
    t.P.answers(`ma k D1 E${drawn(t)} v\r\nmg k v f t c\r\n`, "VA 2\r\n10\r\nVA 2 f0 t-1 c777\r\n10\r\n");
    t.P.answers(`ms k 2 C777 E${drawn(t)}\r\n10\r\n`, "HD\r\n");
    t.P.receives("");
    t.B.answers(`ms k 2 E${drawn(t)}\r\n10\r\n`, "HD\r\n");
    t.client.receives("10\r\n");
    const answer = `VALUE k 0 2 ${drawn(t)}\r\n10\r\n`;
    t.P.answers("gets k\r\ngets k\r\ngets k\r\n", `${answer}END\r\n${answer}END\r\n${answer}END\r\n`);
    two.receives(`${answer}END\r\n`);
    three.receives(`${answer}${answer}END\r\n`);
    t.ends();
  });
});

describe("a copy", () => {
  /** A pair whose backup lacks k. */
  function lacking(): Table {
    const t = table();
    t.pair.mark("k", 1);
    t.pass(60);
    return t;
  }
  const READ = "mg k t c u\r\n";

  test("equal versions and about the same time: no value is read", () => {
    const t = lacking();
    t.B.answers(READ, `HD t98 c${OLD}\r\n`);
    t.P.answers(READ, `HD t100 c${OLD}\r\n`);
    expect([t.lacks("k"), t.proxy.counters.sync_equal]).toEqual(["", 1]);
    t.ends();
  });

  for (const [why, target, source] of [
    ["another time", `HD t-1 c${OLD}\r\n`, `HD t100 c${OLD}\r\n`],
    ["another version, also a later one", `HD t100 c${NEW}\r\n`, `HD t100 c${OLD}\r\n`],
  ] as const) {
    test(`${why}: the lead's value, with its unique`, () => {
      const t = lacking();
      t.B.answers(READ, target);
      t.P.answers(READ, source);
      const [had, has] = [target, source].map((line) => /c(\d+)/.exec(line)![1]!);
      t.P.answers("mg k v f t c u\r\n", `VA 1 f5 t100 c${has}\r\nx\r\n`);
      t.B.answers(`ms k 1 C${had} F5 T100 E${has}\r\nx\r\n`, "HD\r\n");
      t.P.answers("mg k c t u\r\n", `HD c${has} t100\r\n`);
      expect([t.lacks("k"), t.proxy.counters.sync_copied]).toEqual(["", 1]);
      t.ends();
    });
  }

  test("gone between the two looks: it begins again", () => {
    const t = lacking();
    t.B.answers(READ, `HD t-1 c${OLD}\r\n`);
    t.P.answers(READ, `HD t-1 c${NEW}\r\n`);
    t.P.answers("mg k v f t c u\r\n", "EN\r\n");
    t.B.answers(READ, `HD t-1 c${OLD}\r\n`);
    t.P.answers(READ, "EN\r\n");
    t.B.answers(`md k C${OLD}\r\n`, "HD\r\n");
    t.P.answers("mg k c t u\r\n", "EN\r\n");
    expect(t.lacks("k")).toBe("");
    t.ends();
  });
});

describe("a server that may lack anything", () => {
  const dump = (...lines: string[]): string => `OK\r\n${lines.map((line) => `key=${line} la=1 fetch=no cls=1 size=64\n`).join("")}END\r\n`;

  /** The backup was away at the start; now it is back, and both tell what they hold. */
  function back(primary: string, backup: string): Table {
    const t = table({ before: ({ B }) => void (B.welcome = "refused") });
    t.P.standing.set("lru_crawler metadump hash\r\n", primary);
    t.B.standing.set("lru_crawler metadump hash\r\n", backup);
    t.B.welcome = "accept";
    t.passUntil(() => t.states === "up rejoin");
    return t;
  }

  test("only keys that differ are compared: not those with one version and about the same time", () => {
    const t = back(
      dump(`same exp=-1 cas=${OLD}`, `close exp=1700001000 cas=${OLD}`, `other exp=-1 cas=${OLD}`, `time exp=1700001000 cas=${OLD}`, `lost exp=-1 cas=${OLD}`, "native exp=-1 cas=7", `__tandem%3Ab exp=-1 cas=5`),
      dump(`same exp=-1 cas=${OLD}`, `close exp=1700001001 cas=${OLD}`, `other exp=-1 cas=${NEW}`, `time exp=-1 cas=${OLD}`, `kept exp=-1 cas=${OLD}`, "native exp=-1 cas=7"),
    );
    t.passUntil(() => (t.B.lanes[0]?.unread ?? "") !== "");
    t.B.receives(["other", "time", "lost", "native", "kept"].map((key) => `mg ${key} t c u\r\n`).join(""));
    t.B.sends("EN\r\n".repeat(5));
    t.P.answers(["other", "time", "lost", "native", "kept"].map((key) => `mg ${key} t c u\r\n`).join(""), "EN\r\n".repeat(5));
    t.passUntil(() => t.states === "up up");
    expect(t.proxy.counters.sync_equal).toBe(5);
    t.ends();
  });

  for (const [why, line] of [
    ["a line without a unique", "k exp=-1"], ["a line without a time", `k cas=${OLD}`], ["a time that is none", `k exp=x cas=${OLD}`],
    ["a unique that is none", "k exp=-1 cas=x"], ["nothing but the key", "k"],
  ] as const) {
    test(`${why} says nothing: the key is compared`, () => {
      const t = back(dump(line), dump(line));
      t.passUntil(() => (t.B.lanes[0]?.unread ?? "") !== "");
      t.B.receives("mg k t c u\r\n");
    });
  }

  test("the same version on two servers that are no pair of the key says nothing", () => {
    const t = table({ primaries: 2, before: ({ B }) => void (B.welcome = "refused") });
    const key = ["a", "b", "c", "d", "e", "f"].find((one) => t.proxy.pool.pairOf(one).primary === t.proxy.pool.primaries[0])!;
    const line = dump(`${key} exp=-1 cas=${OLD}`);
    for (const [each, text] of [[t.primaries[0]!, dump()], [t.primaries[1]!, line], [t.B, line]] as const) each.standing.set("lru_crawler metadump hash\r\n", text);
    t.B.welcome = "accept";
    t.passUntil(() => t.states === "up up rejoin");
    t.passUntil(() => (t.B.lanes[0]?.unread ?? "") !== "");
    t.B.receives(`mg ${key} t c u\r\n`);
  });
});
