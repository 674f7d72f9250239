// The checker must be able to fail: each kind of violation is found, and what may happen is not called one.
import { describe, expect, test } from "bun:test";
import { Counter, Findings, Journal, Register, valueFor, versionOf } from "./history.ts";

describe("a register", () => {
  function stored(...versions: number[]): { register: Register; findings: Findings } {
    const findings = new Findings();
    const register = new Register("k", findings);
    for (const version of versions) register.acknowledged(register.begin(version));
    return { register, findings };
  }

  test("the newest acknowledged version is right", () => {
    const { register, findings } = stored(1, 2);
    register.answered(register.mark(), 2);
    expect(findings.total).toBe(0);
  });

  test("an older version after a newer was acknowledged is stale", () => {
    const { register, findings } = stored(1, 2);
    register.answered(register.mark(), 1);
    expect(findings.counts.stale).toBe(1);
  });

  test("an older version is right while the read was sent before the newer was acknowledged", () => {
    const { register, findings } = stored(1);
    const mark = register.mark();
    register.acknowledged(register.begin(2));
    register.answered(mark, 1);
    expect(findings.total).toBe(0);
  });

  test("a miss of an acknowledged version is lost", () => {
    const { register, findings } = stored(1);
    register.answered(register.mark(), null);
    expect(findings.counts.lost).toBe(1);
  });

  test("a miss is right for a key that was deleted, is being deleted, or was never stored", () => {
    const { register, findings } = stored(1);
    const index = register.begin(null);
    register.answered(register.mark(), null);
    register.answered(register.mark(), 1);
    register.acknowledged(index);
    register.answered(register.mark(), null);
    const fresh = new Register("n", findings);
    fresh.answered(fresh.mark(), null);
    expect(findings.total).toBe(0);
  });

  test("a deleted version that comes back is resurrected", () => {
    const { register, findings } = stored(1);
    register.acknowledged(register.begin(null));
    register.answered(register.mark(), 1);
    expect(findings.counts.resurrected).toBe(1);
  });

  test("a write of unknown outcome may be seen or not, but not after the next acknowledged one", () => {
    const { register, findings } = stored(1);
    register.unknown(register.begin(2));
    register.answered(register.mark(), 1);
    register.answered(register.mark(), 2);
    expect(findings.total).toBe(0);
    register.acknowledged(register.begin(3));
    register.answered(register.mark(), 2);
    expect(findings.counts.stale).toBe(1);
  });

  test("a write of unknown outcome that was read and is then gone went backwards", () => {
    const { register, findings } = stored(1);
    register.unknown(register.begin(2));
    register.answered(register.mark(), 2);
    register.answered(register.mark(), 1);
    expect(findings.counts.backwards).toBe(1);
  });

  test("a version that nobody wrote, or that was refused, is wrong", () => {
    const { register, findings } = stored(1);
    register.answered(register.mark(), 9);
    register.refused(register.begin(2));
    register.answered(register.mark(), 2);
    expect(findings.counts.wrong).toBe(2);
  });

  test("knows whether the key may be there", () => {
    const { register } = stored();
    expect(register.possible()).toEqual({ present: false, absent: true });
    register.acknowledged(register.begin(1));
    expect(register.possible()).toEqual({ present: true, absent: false });
    register.unknown(register.begin(null));
    expect(register.possible()).toEqual({ present: true, absent: true });
    register.acknowledged(register.begin(null));
    expect(register.possible()).toEqual({ present: false, absent: true });
  });
});

describe("a counter", () => {
  test("counts by one, and by one more for each unanswered increment", () => {
    const findings = new Findings();
    const counter = new Counter("c", findings);
    counter.reset(0);
    counter.incremented(1);
    counter.unknown();
    counter.incremented(2);
    counter.unknown();
    counter.incremented(4);
    expect(findings.total).toBe(0);
  });

  test("one that was applied twice is wrong, one that went missing is lost", () => {
    const findings = new Findings();
    const counter = new Counter("c", findings);
    counter.reset(0);
    counter.incremented(2);
    counter.incremented(2);
    counter.missing();
    expect(findings.counts).toEqual({ stale: 0, resurrected: 0, lost: 2, wrong: 1, backwards: 0 });
  });
});

describe("a journal", () => {
  function journal(): { book: Journal; findings: Findings } {
    const findings = new Findings();
    const book = new Journal("j", findings);
    book.appended("1", true);
    book.appended("2", false);
    book.appended("3", true);
    return { book, findings };
  }

  test("has every acknowledged word once and in order; an unknown one may be there", () => {
    const first = journal();
    first.book.read(" 1 3");
    expect(first.findings.total).toBe(0);
    const second = journal();
    second.book.read(" 1 2 3");
    second.book.read(" 1 2 3");
    expect(second.findings.total).toBe(0);
  });

  test("an unknown word that was absent cannot appear later, one that was there cannot vanish", () => {
    const first = journal();
    first.book.read(" 1 3");
    first.book.read(" 1 2 3");
    expect(first.findings.total).toBe(1);
    const second = journal();
    second.book.read(" 1 2 3");
    second.book.read(" 1 3");
    expect(second.findings.counts.lost).toBe(1);
  });

  test("a missing, doubled or foreign word is found", () => {
    for (const text of [" 1", " 1 1 3", " 1 3 3", " 3 1", " 1 3 x", ""]) {
      const { book, findings } = journal();
      book.read(text);
      expect(findings.total).toBe(1);
    }
    const { book, findings } = journal();
    book.missing();
    expect(findings.counts.lost).toBe(1);
  });
});

describe("values", () => {
  test("say their key and version back, and nothing else does", () => {
    for (const length of [0, 20, 100, 20_000]) {
      const text = valueFor("key:1", 42, length);
      expect(versionOf("key:1", text)).toBe(42);
      expect(versionOf("key:2", text)).toBe(null);
      expect(versionOf("key:1", text.slice(0, -1) + "?")).toBe(null);
      expect(versionOf("key:1", text + "x")).toBe(null);
    }
  });
});
