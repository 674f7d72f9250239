// The embedded server against a model that is too simple to be wrong: a map, a counter of CAS numbers and a clock in
// whole seconds. Random commands, in random pieces, with time passing between them.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Table } from "./harness.ts";

interface Entry {
  value: string;
  flags: number;
  cas: number;
  /** The second it dies at, or null. */
  dies: number | null;
}

type Action =
  | { kind: "store"; command: "set" | "add" | "replace" | "append" | "prepend" | "cas"; key: string; flags: number; life: number; value: string; right: boolean; quiet: boolean }
  | { kind: "count"; command: "incr" | "decr"; key: string; by: number; quiet: boolean }
  | { kind: "delete"; key: string; quiet: boolean }
  | { kind: "touch"; key: string; life: number }
  | { kind: "get"; command: "get" | "gets" | "gat" | "gats"; keys: string[]; life: number }
  | { kind: "mg"; key: string }
  | { kind: "pass"; seconds: number };

class Model {
  second = 0;
  private cas = 0;
  private readonly map = new Map<string, Entry>();

  /** The bytes a client sends for an action, and the answer it must get. */
  run(action: Action): { send: string; answer: string } {
    switch (action.kind) {
      case "store": {
        const cas = action.command === "cas" ? ` ${(this.find(action.key)?.cas ?? 1) + (action.right ? 0 : 1)}` : "";
        const words = `${action.command} ${action.key} ${action.flags} ${action.life} ${action.value.length}${cas}`;
        const verdict = this.store(action);
        return { send: `${words}${quietly(action)}\r\n${action.value}\r\n`, answer: action.quiet ? "" : `${verdict}\r\n` };
      }
      case "count": {
        const send = `${action.command} ${action.key} ${action.by}${quietly(action)}\r\n`;
        const line = this.count(action.key, action.command === "incr" ? action.by : -action.by);
        return { send, answer: action.quiet ? "" : `${line}\r\n` };
      }
      case "delete": {
        const found = this.find(action.key) !== undefined;
        this.map.delete(action.key);
        return { send: `delete ${action.key}${quietly(action)}\r\n`, answer: action.quiet ? "" : found ? "DELETED\r\n" : "NOT_FOUND\r\n" };
      }
      case "touch": {
        const entry = this.find(action.key);
        if (entry !== undefined) entry.dies = this.due(action.life);
        return { send: `touch ${action.key} ${action.life}\r\n`, answer: entry === undefined ? "NOT_FOUND\r\n" : "TOUCHED\r\n" };
      }
      case "get": {
        const touches = action.command.startsWith("gat");
        let answer = "";
        for (const key of action.keys) {
          const entry = this.find(key);
          if (entry === undefined) continue;
          if (touches) entry.dies = this.due(action.life);
          const cas = action.command.endsWith("s") ? ` ${entry.cas}` : "";
          answer += `VALUE ${key} ${entry.flags} ${entry.value.length}${cas}\r\n${entry.value}\r\n`;
        }
        return { send: `${action.command}${touches ? ` ${action.life}` : ""} ${action.keys.join(" ")}\r\n`, answer: `${answer}END\r\n` };
      }
      case "mg": {
        const entry = this.find(action.key);
        const send = `mg ${action.key} t c f s v\r\n`;
        if (entry === undefined) return { send, answer: "EN\r\n" };
        const left = entry.dies === null ? -1 : entry.dies - this.second;
        const length = entry.value.length;
        return { send, answer: `VA ${length} t${left} c${entry.cas} f${entry.flags} s${length}\r\n${entry.value}\r\n` };
      }
      case "pass":
        this.second += action.seconds;
        return { send: "", answer: "" };
    }
  }

  private find(key: string): Entry | undefined {
    const entry = this.map.get(key);
    if (entry === undefined || entry.dies === null || entry.dies > this.second) return entry;
    this.map.delete(key);
    return undefined;
  }

  private due(life: number): number | null {
    return life === 0 ? null : life < 0 ? this.second : this.second + life;
  }

  private store(action: Action & { kind: "store" }): string {
    const old = this.find(action.key);
    const { command } = action;
    if (command === "cas" && old === undefined) return "NOT_FOUND";
    if (command === "cas" && !action.right) return "EXISTS";
    if (command === "add" ? old !== undefined : command !== "set" && old === undefined) return "NOT_STORED";
    if (command === "append" || command === "prepend") {
      old!.value = command === "append" ? old!.value + action.value : action.value + old!.value;
      old!.cas = ++this.cas;
    } else {
      this.map.set(action.key, { value: action.value, flags: action.flags, dies: this.due(action.life), cas: ++this.cas });
    }
    return "STORED";
  }

  private count(key: string, by: number): string {
    const entry = this.find(key);
    if (entry === undefined) return "NOT_FOUND";
    if (!/^\d+ *$/.test(entry.value)) return "CLIENT_ERROR cannot increment or decrement non-numeric value";
    const digits = String(Math.max(0, Number(entry.value) + by));
    entry.value = digits.padEnd(entry.value.length, " ");
    entry.cas = ++this.cas;
    return digits;
  }
}

function quietly(action: { quiet: boolean }): string {
  return action.quiet ? " noreply" : "";
}

const key = fc.constantFrom("a", "b", "c");
const life = fc.constantFrom(0, 0, 1, 2, 5, 100, -1);
const quiet = fc.boolean();
const value = fc.oneof(fc.nat(120).map(String), fc.constantFrom("x", "", "END\r\n", "a\0b", "\xff\xfe", "y".repeat(20_000)));

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant("store" as const), command: fc.constantFrom("set", "set", "add", "replace", "append", "prepend", "cas"),
    key, flags: fc.constantFrom(0, 1, 4294967295), life, value, right: fc.boolean(), quiet,
  }),
  fc.record({ kind: fc.constant("count" as const), command: fc.constantFrom("incr", "decr"), key, by: fc.nat(200), quiet }),
  fc.record({ kind: fc.constant("delete" as const), key, quiet }),
  fc.record({ kind: fc.constant("touch" as const), key, life }),
  fc.record({ kind: fc.constant("get" as const), command: fc.constantFrom("get", "gets", "gat", "gats"), keys: fc.array(key, { minLength: 1, maxLength: 5 }), life }),
  fc.record({ kind: fc.constant("mg" as const), key }),
  fc.record({ kind: fc.constant("pass" as const), seconds: fc.integer({ min: 1, max: 4 }) }),
);

test("answers as the model does, one command after the other", () => {
  fc.assert(fc.property(fc.array(action, { maxLength: 60 }), fc.infiniteStream(fc.nat(40)), (actions, lengths) => {
    const table = new Table();
    const wire = table.connect();
    const model = new Model();
    for (const one of actions) {
      const { send, answer } = model.run(one);
      if (one.kind === "pass") table.pass(one.seconds);
      const cuts: number[] = [];
      for (let at = 0; at < send.length && cuts.length < 20; ) cuts.push((at += 1 + lengths.next().value));
      wire.send(send, cuts.filter((cut) => cut < send.length));
      expect([send, wire.take()]).toEqual([send, answer]);
    }
  }), { numRuns: 400 });
});

test("answers as the model does, everything in one piece", () => {
  fc.assert(fc.property(fc.array(action.filter((one) => one.kind !== "pass"), { maxLength: 120 }), (actions) => {
    const wire = new Table().connect();
    const model = new Model();
    const all = actions.map((one) => model.run(one));
    wire.send(all.map(({ send }) => send).join(""));
    expect(wire.take()).toBe(all.map(({ answer }) => answer).join(""));
  }), { numRuns: 300 });
});
