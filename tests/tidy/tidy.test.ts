// Every rule of scripts/tidy fires on what it is for, and stays quiet on what only looks like it.
import { describe, expect, test } from "bun:test";
import { roomOf, tidy } from "../../scripts/tidy.ts";
import { codeOf, importsOf, tokensOf } from "../../scripts/tidy_tokens.ts";

const HEAD = "// What it is.\n";
/** A door, so that nothing is dead that the test does not mean. */
const doorTo = (path: string): [string, string] => [
  "src/main.bun.ts", `${HEAD}import "./program.ts";\n${path.startsWith("src/") ? `import "${path.replace("src/", "./")}";\n` : ""}`,
];

/** The problems of one file among a tree in which it is reached; the door's own problems are left out. */
function problemsOf(path: string, text: string, others: Record<string, string> = {}): string[] {
  const tree = new Map([doorTo(path), ["src/program.ts", HEAD], [path, text], ...Object.entries(others)]);
  return tidy(tree).filter((problem) => problem.path === path && !problem.warning).map((problem) => problem.message);
}

/** The problems of a body below a proper first line, in a file of the core. */
const inCore = (body: string): string[] => problemsOf("src/backend/lane.ts", HEAD + body);

describe("tokens", () => {
  test("comments, strings, templates and regular expressions are told from code", () => {
    const source = "a / b; /x(y/.test('c'); `t ${ `u ${ {k: 1}.k } v` } w`; // d\n/* e */ f(1 / 2 / g);";
    const words = codeOf(tokensOf(source)).filter((token) => token.kind === "word").map((token) => token.text);
    expect(words).toEqual(["a", "b", "test", "k", "k", "f", "g"]);
  });

  test("lines and depths are counted through templates", () => {
    const tokens = codeOf(tokensOf("x(`\n${ { y: 1 } }\n`);\nz;"));
    const z = tokens.find((token) => token.text === "z")!;
    expect([z.line, z.depth]).toEqual([4, 0]);
    const y = tokens.find((token) => token.text === "y")!;
    expect([y.line, y.depth]).toEqual([2, 3]);
  });

  test("imports of every form are found, words that look like them are not", () => {
    const source = `import a from "./a.ts"; import type { B } from './b.ts'; import "./c.ts"; export * from "./d.ts";
      const e = import("./e.ts"); // import "./f.ts"
      const g = 'import "./g.ts"'; Array.from("h"); const i = { from: "./i.ts" };`;
    expect(importsOf(codeOf(tokensOf(source))).map((one) => one.specifier)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
  });
});

describe("the import table", () => {
  test("rooms", () => {
    expect(roomOf("src/bytes/ascii.ts")).toBe("bytes");
    expect(roomOf("src/platform/platform.ts")).toBe("platform.ts");
    expect(roomOf("src/platform/bun_socket.ts")).toBe("adapter");
    expect(roomOf("src/main.deno.ts")).toBe("main.*");
    expect(roomOf("src/proxy.ts")).toBe("proxy.ts");
    expect(roomOf("tests/bytes/ascii.test.ts")).toBe(null);
  });

  const allowed: [string, string][] = [
    ["src/protocol/reply.ts", "../bytes/ascii.ts"], ["src/ring/ring.ts", "../bytes/ascii.ts"], ["src/ring/ring.ts", "hashring"],
    ["src/config/config.ts", "../ring/flavours.ts"], ["src/observe/log.ts", "../platform/platform.ts"],
    ["src/backend/lane.ts", "../protocol/reply.ts"], ["src/replication/pair.ts", "../backend/lane.ts"],
    ["src/frontend/client.ts", "../replication/pool.ts"], ["src/workers/channel.ts", "../config/config.ts"],
    ["src/embedded/server.ts", "../platform/platform.ts"], ["src/platform/bun.ts", "./platform.ts"], ["src/platform/bun.ts", "node:fs"],
    ["src/platform/bun.ts", "./bun_socket.ts"], ["src/proxy.ts", "./frontend/client.ts"], ["src/cli/serve.ts", "../proxy.ts"],
    ["src/program.ts", "./cli/serve.ts"], ["src/bytes/turn.ts", "./ascii.ts"],
  ];
  for (const [path, specifier] of allowed) {
    test(`${path} may import ${specifier}`, () => {
      expect(problemsOf(path, `${HEAD}import { x } from "${specifier}";\n`)).toEqual([]);
    });
  }

  const refused: [string, string][] = [
    ["src/bytes/ascii.ts", "../platform/platform.ts"], ["src/platform/platform.ts", "../bytes/ascii.ts"],
    ["src/protocol/reply.ts", "../backend/lane.ts"], ["src/ring/ring.ts", "../platform/platform.ts"],
    ["src/config/config.ts", "../backend/lane.ts"], ["src/observe/log.ts", "../bytes/ascii.ts"],
    ["src/backend/lane.ts", "../replication/pair.ts"], ["src/replication/pair.ts", "../frontend/client.ts"],
    ["src/frontend/client.ts", "../backend/lane.ts"], ["src/workers/channel.ts", "../frontend/client.ts"],
    ["src/embedded/server.ts", "../backend/lane.ts"], ["src/platform/bun.ts", "../bytes/ascii.ts"],
    ["src/proxy.ts", "./platform/bun.ts"], ["src/cli/serve.ts", "../platform/deno.ts"], ["src/program.ts", "./main.bun.ts"],
    ["src/main.deno.ts", "./main.bun.ts"], ["src/main.deno.ts", "./proxy.ts"], ["src/backend/lane.ts", "../../tests/support/client.ts"],
    ["src/attic/old.ts", "../bytes/ascii.ts"], ["src/backend/lane.ts", "node:net"], ["src/backend/lane.ts", "bun"],
    ["src/backend/lane.ts", "hashring"], ["src/ring/ring.ts", "left-pad"], ["src/backend/lane.ts", "@logtape/logtape"],
    ["tests/support/fake.ts", "../../src/bytes/ascii.ts"],
  ];
  for (const [path, specifier] of refused) {
    test(`${path} may not import ${specifier}, not even a type`, () => {
      const body = `${HEAD}import type { X } from "${specifier}";\ntest("x", () => {});\n`;
      expect(problemsOf(path, body, { "README.md": path }).length).toBe(1);
    });
  }

  test("the ending is written", () => {
    expect(inCore('import { x } from "./inflight";\n').length).toBe(1);
    expect(inCore('export { x } from "./inflight.js";\n').length).toBe(1);
  });
});

describe("the core does not touch", () => {
  const touches = [
    "Date.now()", "new Date()", "performance.now()", "setTimeout(f, 1)", "const later = setInterval", "setImmediate(f)", "queueMicrotask(f)",
    "process.exit(1)", "process.env['HOME']", "Bun.listen({})", "Deno.args", "console.log(1)", "Buffer.from([])", "new Buffer(1)",
    "Math.random()", "Math.log(2)", "Math.exp(1)", "Math.sin(1)", "Math.pow(2, 3)", "Math.sqrt(2)", "x ** 3", "x **= 2",
    "globalThis.fetch", "crypto.getRandomValues(x)", "f(`${Date.now()}`)", "x = y ? console : 1",
  ];
  for (const code of touches) {
    test(code, () => {
      const found = problemsOf("src/cli/serve.ts", `${HEAD}export function g(): void {\n  ${code};\n}\n`);
      expect(found.length).toBe(1);
    });
  }

  test("a promise in the rooms that answer by handlers", () => {
    for (const room of ["bytes", "protocol", "ring", "backend", "replication", "frontend"]) {
      expect(problemsOf(`src/${room}/x.ts`, `${HEAD}async function f(): Promise<void> {\n  await g();\n}\nf();\n`).length).toBe(3);
    }
    expect(problemsOf("src/cli/x.ts", `${HEAD}async function f(): Promise<void> {\n  await g();\n}\nf();\n`)).toEqual([]);
  });

  test("but words in comments and strings, names of properties, and whole numbers are free", () => {
    const body = `// Date.now() and Math.random() are banned, console.log too.
      const text = "setTimeout(process.exit) \`Buffer\`";
      const note = \`Bun.listen \${text} Deno\`;
      const rule = /process|console/;
      interface Log { process: number; console?: string }
      class Queue { process(item: number): number { return Math.max(Math.floor(item), 2 ** 32, Math.imul(1, 2)); } }
      const log: Log = { process: 1 };
      log.process = queue.process(2) + when.Date;
      const stamp = new Date(given).toISOString();
      const big = 2n ** 64n;
      export { text, note, rule, Queue, log, stamp, big };`;
    expect(problemsOf("src/backend/lane.ts", HEAD + body)).toEqual([]);
  });

  test("and adapters, doors, tests and scripts may", () => {
    const body = `${HEAD}console.log(Date.now(), process.pid, Math.random(), Bun.version);\ntest("x", () => {});\n`;
    for (const path of ["src/platform/bun.ts", "tests/e2e/x.test.ts", "tests/bytes/x.test.ts"]) expect(problemsOf(path, body)).toEqual([]);
  });
});

describe("no state of a module", () => {
  const state = [
    "let count = 0;", "var count = 0;", "export let count = 0;", "const seen = new Map();", "const seen = new Set<string>();",
    "const list = [];", "const list: string[] = [];", "const table: Record<string, number> = {};", "const scratch = new Uint8Array(64);",
    "const points = new Uint32Array(4);", "export const cache = new WeakMap();", "class A { static count = 0; }", "class A { static seen: string[] = []; }",
  ];
  for (const code of state) {
    test(code, () => {
      expect(inCore(`${code}\n`).length).toBe(1);
    });
  }

  test("constants, tables that say so, and what lives in functions and classes are free", () => {
    const body = `const LIMIT = 5;
      const NAMES = ["a", "b"] as const;
      const BY_NAME: ReadonlyMap<string, number> = new Map([["a", 1]]);
      const SET: ReadonlySet<string> = new Set(["a"]);
      const CRLF = new Uint8Array([13, 10]);
      const EMPTY = new Uint8Array(0);
      const TABLE = build();
      function build(): number[] { let n = 0; const out = []; const seen = new Map(); return out; }
      class A { static readonly LIMIT = 5; static of(): A { return new A(); } static async later(): void {} seen = new Map(); }
      for (const name of NAMES) { let inner = name; }
      export { A };`;
    expect(inCore(body).filter((message) => !message.startsWith("async"))).toEqual([]);
  });
});

describe("every file", () => {
  test("says what it is in its first line", () => {
    expect(problemsOf("src/bytes/x.ts", "export const a = 1;\n").length).toBe(1);
    expect(problemsOf("scripts/x", "#!/bin/sh\ncd /\n", { "README.md": "x" }).length).toBe(1);
    expect(problemsOf("scripts/x", "#!/bin/sh\n# Does a thing.\ncd /\n", { "README.md": "x" })).toEqual([]);
    expect(problemsOf("scripts/x.py", "import os\n", { "README.md": "x.py" }).length).toBe(1);
  });

  test("has at most 500 lines, and a warning above 400", () => {
    const lines = (count: number): string => HEAD + "f();\n".repeat(count - 1);
    expect(problemsOf("src/bytes/x.ts", lines(501)).length).toBe(1);
    expect(problemsOf("src/bytes/x.ts", lines(500))).toEqual([]);
    const warned = tidy(new Map([doorTo("src/bytes/x.ts"), ["src/program.ts", HEAD], ["src/bytes/x.ts", lines(401)]]));
    expect(warned.filter((problem) => problem.path === "src/bytes/x.ts").map((problem) => problem.warning)).toEqual([true]);
  });

  test("is finished", () => {
    for (const word of ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]) {
      expect(problemsOf("README.md", `one\n${word}: later\n`).length).toBe(1);
      expect(inCore(`// ${word}(me) later\n`).length).toBe(1);
    }
    expect(problemsOf("README.md", "method, todos and hackers\n")).toEqual([]);
  });

  test("names no path of one machine", () => {
    for (const path of ["/wo" + "rk/main/x", "../sha" + "red/design", "/ho" + "me/me", "/tmp/br" + "ief.md"]) {
      expect(problemsOf("README.md", `see ${path}\n`).length).toBe(1);
      expect(inCore(`const a = "${path}";\n`).length).toBe(1);
    }
    expect(problemsOf("README.md", "src/workers, /workers, shared/, $HOME/x, network/work\n")).toEqual([]);
  });

  test("does not silence the compiler", () => {
    expect(inCore("const a = b as " + "any;\n").length).toBe(1);
    expect(inCore("// @ts-ig" + "nore\nf();\n").length).toBe(1);
    expect(inCore("/* @ts-no" + "check */\nf();\n").length).toBe(1);
    expect(inCore("const a = b as " + "many; // as " + "any\n")).toEqual([]);
  });
});

describe("tests", () => {
  const path = "tests/bytes/x.test.ts";

  test("exist in a test file", () => {
    expect(problemsOf(path, `${HEAD}import { test } from "bun:test";\nconst a = regex.test("x");\n`).length).toBe(1);
    expect(problemsOf(path, `${HEAD}test("x", () => {});\n`)).toEqual([]);
    expect(problemsOf(path, `${HEAD}describe("x", () => {\n  test("y", () => {});\n});\n`)).toEqual([]);
  });

  test("are not left out, nor run alone", () => {
    for (const word of ["skip", "only", "to" + "do"]) {
      for (const what of ["test", "it", "describe"]) {
        expect(problemsOf(path, `${HEAD}test("a", () => {});\n${what}.${word}("x", () => {});\n`).length).toBe(1);
      }
    }
    expect(problemsOf(path, `${HEAD}test("a", () => {\n  cursor.skip(3);\n  "test.skip(";\n});\n`)).toEqual([]);
  });
});

describe("dead files", () => {
  test("of src: no door leads there, not even through another dead file", () => {
    const tree = new Map([
      doorTo("src/bytes/a.ts"), ["src/program.ts", HEAD], ["src/bytes/a.ts", `${HEAD}import "./b.ts";\n`], ["src/bytes/b.ts", HEAD],
      ["src/bytes/c.ts", `${HEAD}import "./d.ts";\n`], ["src/bytes/d.ts", HEAD],
    ]);
    const dead = tidy(tree).filter((problem) => problem.message.startsWith("dead")).map((problem) => problem.path);
    expect(dead).toEqual(["src/bytes/c.ts", "src/bytes/d.ts"]);
  });

  test("of tests and scripts: nobody names them", () => {
    expect(problemsOf("tests/support/x.ts", HEAD).length).toBe(1);
    expect(problemsOf("tests/support/x.ts", HEAD, { "tests/a.test.ts": `${HEAD}import "./support/x.ts";\ntest("a", f);\n` })).toEqual([]);
  });
});
