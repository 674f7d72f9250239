// A proxy died while it alone knew what a server missed: a survivor reads its marks and hints, and makes up for it.
import { describe, expect, test } from "bun:test";
import { chunkKey, connectionKey, hintText, type MarkKind, markKey, markText, WHOLE } from "../../../src/replication/missed/mark.ts";
import { END, header, keyRecord, lacksRecord, recordLine } from "../../../src/replication/missed/state_record.ts";
import { Company, notice } from "../company.ts";
import type { Backend } from "../table.ts";

const OTHER = "010badca";

/** Whatever tandem says over lanes for itself is taken; empty: whoever asks for a key hears that it is not there. */
function heard(backend: Backend, empty: boolean): void {
  for (const lane of backend.lanes) {
    const answers = lane.take().split("\r\n").map((line) => (/^(ms|md) __tandem:/.test(line) ? "HD\r\n" : empty && line.startsWith("mg ") ? "EN\r\n" : "")).join("");
    if (answers !== "") lane.send(answers);
  }
}

function pass(c: Company, ms: number, empty = false): void {
  for (let at = 0; at < ms; at += 20) {
    c.pass(20);
    for (const backend of [c.t.P, c.t.B]) if (backend.welcome === "accept") heard(backend, empty);
  }
}

/** The other one lived beside us and complained about the primary; what it left on the backup is as given. */
function survivor(kind: MarkKind, hurt: (chunk: string) => string | null): Company {
  const c = new Company({ hints: true });
  pass(c, 1500);
  expect(c.t.states).toBe("up up");
  const mark = markKey("p0:1", OTHER, 0), chunk = chunkKey("p0:1", OTHER, 0, 4);
  const complaints = [{ name: "p0:1", why: "down" as const, chunks: 0 }];
  c.B.post(OTHER, notice(5, { complaints }));
  pass(c, 1100);
  expect(c.fences).toBe("fenced free");
  const voids = new Map<string, number>();
  c.B.held.set(mark, markText(mark, { stamp: 1_700_000_000_000, kind, from: 4, to: 5, voids }));
  const text = hurt(["k", "j"].map((key, i) => hintText(chunk, i, { stamp: 1_699_999_999_000 + i, key })).join(""));
  if (text !== null) c.B.held.set(chunk, text);
  pass(c, 8000);
  expect(c.t.lacks("k")).toBe("");
  for (let i = 0; i < 300 && c.fences !== "free free"; i++) pass(c, 20);
  expect(c.fences).toBe("free free");
  return c;
}

describe("a proxy that is dead could not reach the primary", () => {
  test("its hints are whole: those keys are led by the backup, the others as before", () => {
    const c = survivor("away", (chunk) => chunk);
    expect([c.t.lacks("k"), c.t.lacks("j"), c.t.lacks("i"), c.t.states]).toEqual(["P", "P", "", "up up"]);
    expect(c.t.said.filter((line) => line.startsWith("missed writes were known")).length).toBe(1);
  });
  for (const [what, kind, hurt] of [
    ["a chunk is missing", "away", () => null], ["a chunk is torn", "away", (chunk: string) => chunk.slice(0, -3)],
    ["it was writing to the primary when it died", "keys", (chunk: string) => chunk], ["it did not know itself", "compare", () => null],
  ] as const) {
    test(`${what}: the primary is compared as a whole, and the log says why`, () => {
      const c = survivor(kind, hurt);
      expect(c.t.states).toBe("rejoin up");
      expect(c.t.said.filter((line) => line.startsWith("what a server missed is not known")).length).toBe(1);
    });
  }
});

test("a server that comes late is not used while a connection to it is open of a proxy that nobody else remembers: it may still deliver", () => {
  const c = new Company({ hints: true }, (t) => void (t.P.welcome = "refused"));
  pass(c, 1500);
  expect(c.t.states).toBe("down up");
  c.P.post(OTHER, notice(5));
  c.P.held.set(connectionKey(OTHER, "0"), "10.9.9.9:1234");
  c.t.P.connections([["tcp:10.9.9.9:1234", "conn_read"]]);
  c.t.P.welcome = "accept";
  pass(c, 8000);
  expect([c.t.states, c.t.said.filter((line) => line.startsWith("connections of an earlier proxy are still open")).length]).toEqual(["down up", 1]);
  c.t.P.connections([]);
  pass(c, 3000);
  expect(c.t.states).toMatch(/^(up|rejoin) up$/);
});

// restart-a 13000459: its peer answered with misses, though what it had held was there all the time.
test("one that is waited for in this way is used at once when its peer has lost its memory: nobody else holds what it holds", () => {
  const c = new Company({ hints: true }, (t) => void (t.P.welcome = "refused"));
  pass(c, 1500);
  c.P.post(OTHER, notice(5));
  c.P.held.set(connectionKey(OTHER, "0"), "10.9.9.9:1234");
  c.t.P.connections([["tcp:10.9.9.9:1234", "conn_read"]]);
  c.t.P.welcome = "accept";
  pass(c, 5000);
  c.t.B.dies();
  pass(c, 1000);
  expect(c.t.states).toBe("down down");
  c.t.B.lives(999);
  c.t.B.welcome = "accept";
  for (let i = 0; i < 100 && c.t.states.includes("down cold"); i++) pass(c, 20);
  for (let i = 0; i < 300 && !/ rejoin/.test(c.t.states); i++) pass(c, 20);
  expect(c.t.states).toBe("up rejoin cold");
});

describe("a proxy that was gone when we came and had not trusted the primary", () => {
  function successor(): Company {
    const c = new Company({ hints: true });
    c.B.post(OTHER, notice(5, { complaints: [{ name: "p0:1", why: "stale", chunks: 0 }] }));
    c.B.held.set(connectionKey(OTHER, "0"), "10.9.9.9:1234");
    return c;
  }

  // restart-a 13000425: the lead turned for a second to the side that the other one's unacknowledged write had not reached.
  test("turns no lead: what it said was missed is known key by key, and nobody else goes by its word", () => {
    const c = successor();
    for (let at = 0; at < 3000; at += 20) {
      pass(c, 20);
      if (c.t.states === "up up") expect(c.fences).toBe("free free");
    }
    expect([c.t.states, c.B.posted(OTHER).buried]).toEqual(["up up", true]);
  });

  test("fences it as long as others live, who go by its word", () => {
    const c = successor();
    c.B.post("010badcb", notice(5));
    let fenced = false;
    for (let at = 0; at < 3000; at += 20) {
      pass(c, 20);
      fenced ||= c.t.states === "up up" && c.fences === "fenced free";
    }
    expect([fenced, c.t.states, c.B.posted(OTHER).buried, c.fences]).toEqual([true, "up up", true, "free free"]);
  });

  // restart-a 13000425: whoever came after us did not know any more that the other one was gone, and went by its word.
  test("is known to be gone by where its connections were, until its notice is buried", () => {
    const c = successor();
    const end = `md ${connectionKey(OTHER, "0")}\r\n`;
    let erased = "";
    for (let at = 0; at < 3000; at += 20) {
      c.pass(20);
      for (const backend of [c.t.P, c.t.B]) for (const lane of backend.lanes) {
        const text = lane.take();
        if (text.includes(end)) erased += `${backend.label} ${c.B.posted(OTHER).buried} `;
        const answers = text.split("\r\n").map((line) => (/^(ms|md) __tandem:/.test(line) ? "HD\r\n" : "")).join("");
        if (answers !== "") lane.send(answers);
      }
    }
    expect(erased.split(" ").sort().join(" ").trim()).toBe("b0:1 p0:1 true true");
  });
});

// restart-disk 1585: the marks had gone with the memory of the server that they lay on; the file stayed, and cost the next
// proxy what was stored since on both servers.
test("what the file of an earlier proxy says was missed is void once it is made up for, as its marks are", () => {
  const { fingerprint } = new Company().t.proxy.pool.options;
  const text = [header(fingerprint, OTHER), lacksRecord(0, 5, "keys", "b0:1", "p0:1"), keyRecord(0, 6, "k"), END].map((record, index) => recordLine(OTHER, index, record)).join("");
  const c = new Company({ hints: true, stateDir: "/state" }, ({ platform }) => void Object.assign(platform.files, {
    list: () => ({ ok: true, names: [`pool-${OTHER}.state`] }), read: () => ({ ok: true, text }),
  }));
  c.B.post(OTHER, notice(5));
  const { memory, servers: [P, B] } = c.t.proxy.pool;
  const voided = (): number | undefined => memory!.voided(P!, B!).get(OTHER);
  for (let i = 0; i < 50 && c.t.lacks("k") === ""; i++) pass(c, 20);
  expect([c.t.lacks("k"), voided()]).toEqual(["P", undefined]);
  pass(c, 1000, true);
  expect([c.t.lacks("k"), voided()]).toEqual(["", 6]);
});

test("a server that comes late and lacks some keys is known, where another one is compared with it", () => {
  const { fingerprint } = new Company().t.proxy.pool.options;
  const file = (id: string, ...records: string[]): string => [header(fingerprint, id), ...records].map((record, index) => recordLine(id, index, record)).join("");
  const texts = new Map([
    [`pool-${OTHER}.state`, file(OTHER, lacksRecord(0, 5, "keys", "p0:1", "b0:1"), keyRecord(0, 6, "k"), END)],
    ["pool-010badcb.state", file("010badcb", lacksRecord(0, 7, "compare", "b0:1", "p0:1"))],
  ]);
  const c = new Company({ hints: true, stateDir: "/state" }, ({ platform, B }) => {
    B.welcome = "refused";
    Object.assign(platform.files, { list: () => ({ ok: true, names: [...texts.keys()] }), read: (path: string) => ({ ok: true, text: texts.get(path.slice("/state/".length))! }) });
  });
  pass(c, 1000);
  expect(c.t.states).toBe("rejoin down");
  c.t.B.welcome = "accept";
  for (let i = 0; i < 100 && c.t.states !== "rejoin up"; i++) pass(c, 20);
  expect([c.t.states, c.t.lacks("k"), c.t.proxy.pool.memory!.lacking(c.t.pair, 1)]).toEqual(["rejoin up", "B", "keys"]);
});

test("nor one that comes with the others", () => {
  const c = new Company({ hints: true });
  for (const items of [c.P, c.B]) items.held.set(WHOLE, "p0:1 b0:1");
  c.P.post(OTHER, notice(5));
  c.P.held.set(connectionKey(OTHER, "0"), "10.9.9.9:1234");
  c.t.P.connections([["tcp:10.9.9.9:1234", "conn_read"]]);
  pass(c, 8000);
  expect([c.t.states, c.t.said.filter((line) => line.startsWith("connections of an earlier proxy are still open")).length]).toEqual(["down up", 1]);
  c.t.P.connections([]);
  pass(c, 3000);
  expect(c.t.states).toBe("up up");
});

test("but one that is only beginning, which has told both of itself, may have connections to one of them only", () => {
  const c = new Company({ hints: true });
  for (const items of [c.P, c.B]) items.post(OTHER, notice(5));
  c.P.held.set(connectionKey(OTHER, "0"), "10.9.9.9:1234");
  c.t.P.connections([["tcp:10.9.9.9:1234", "conn_read"]]);
  pass(c, 1500);
  expect(c.t.states).toBe("up up");
});

// two-death 17701399: it answered with misses for all that the other one held.
test("one that may have lost its memory is not used while the other one is just telling what it knows", () => {
  const c = new Company({ hints: true });
  c.B.post(OTHER, notice(5));
  c.B.held.set(WHOLE, "p0:1 b0:1");
  const serve = c.B.serve.bind(c.B);
  c.B.serve = () => 0;
  pass(c, 500);
  expect(c.t.states).toBe("down down");
  c.B.serve = serve;
  pass(c, 500);
  expect(c.t.states).toBe("rejoin cold up");
});
