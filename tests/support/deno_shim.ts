// `bun:test` for Deno, over Deno.test: only what the tests of this repository use (deno.json maps the name to this
// file). A describe is one Deno test whose tests are its steps. A matcher that is not here fails the test that asks.

type Body = () => unknown;
type Options = number | { timeout?: number };
interface Group {
  readonly parts: { name: string; run: (step: Deno.TestContext) => Promise<void> }[];
  readonly hooks: Record<"beforeAll" | "afterAll" | "beforeEach" | "afterEach", Body[]>;
  readonly outer: Group | null;
}

/** A test that hangs must fail: ms, unless the test says otherwise. */
const TIMEOUT_MS = 30_000;
const newGroup = (outer: Group | null): Group => ({ parts: [], hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] }, outer });
const file = newGroup(null);
let current = file;

function register(name: string, run: (step: Deno.TestContext) => Promise<void>): void {
  if (current !== file) current.parts.push({ name, run });
  else Deno.test({ name, fn: run, sanitizeOps: false, sanitizeResources: false, sanitizeExit: false });
}

/** The hooks of all groups around, outermost first. */
function around(group: Group, hook: "beforeEach" | "afterEach"): Body[] {
  return [...(group.outer === null ? [] : around(group.outer, hook)), ...group.hooks[hook]];
}

export function test(name: string, body: Body, options: Options = TIMEOUT_MS): void {
  const group = current;
  const limitMs = typeof options === "number" ? options : (options.timeout ?? TIMEOUT_MS);
  register(name, async () => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`timed out after ${limitMs} ms`)), limitMs)));
    try {
      for (const hook of around(group, "beforeEach")) await hook();
      await Promise.race([body(), late]);
    } finally {
      clearTimeout(timer);
      for (const hook of around(group, "afterEach").reverse()) await hook();
    }
  });
}
export const it = test;

export function describe(name: string, body: () => void): void {
  const group = newGroup(current);
  current = group;
  body();
  current = group.outer!;
  register(name, async (context) => {
    try {
      for (const hook of group.hooks.beforeAll) await hook();
      for (const part of group.parts) {
        await context.step({ name: part.name, fn: part.run, sanitizeOps: false, sanitizeResources: false, sanitizeExit: false });
      }
    } finally {
      for (const hook of group.hooks.afterAll.reverse()) await hook();
    }
  });
}

export const beforeEach = (body: Body): void => void current.hooks.beforeEach.push(body);
export const afterEach = (body: Body): void => void current.hooks.afterEach.push(body);
export const beforeAll = (body: Body): void => (current === file ? Deno.test.beforeAll(async () => void (await body())) : void current.hooks.beforeAll.push(body));
export const afterAll = (body: Body): void => (current === file ? Deno.test.afterAll(async () => void (await body())) : void current.hooks.afterAll.push(body));

function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Map || a instanceof Set) return equal([...a], [...(b as Iterable<unknown>)]);
  if (a instanceof Date || a instanceof RegExp || a instanceof Error) return String(a) === String(b);
  if (Array.isArray(a) && a.length !== (b as unknown[]).length) return false;
  const of = (value: object, key: string): unknown => (value as Record<string, unknown>)[key];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => equal(of(a, key), of(b, key)));
}

function matchers(actual: unknown, not: boolean, note: string) {
  const show = (value: unknown): string => (typeof value === "function" ? "the function" : Deno.inspect(value, { depth: 6, strAbbreviateSize: 2000 }));
  const check = (passed: boolean, wanted: string, value?: unknown): void => {
    if (passed !== not) return;
    throw new Error(`${note === "" ? "" : `${note}: `}expected ${show(actual)} ${not ? "not " : ""}${wanted} ${value === undefined ? "" : show(value)}`);
  };
  const number = actual as number;
  return {
    toBe: (value: unknown) => check(Object.is(actual, value), "to be", value),
    toEqual: (value: unknown) => check(equal(actual, value), "to equal", value),
    toBeNull: () => check(actual === null, "to be null"),
    toBeUndefined: () => check(actual === undefined, "to be undefined"),
    toBeDefined: () => check(actual !== undefined, "to be defined"),
    toBeGreaterThan: (value: number) => check(number > value, "to be greater than", value),
    toBeGreaterThanOrEqual: (value: number) => check(number >= value, "to be at least", value),
    toBeLessThan: (value: number) => check(number < value, "to be less than", value),
    toBeLessThanOrEqual: (value: number) => check(number <= value, "to be at most", value),
    toHaveLength: (value: number) => check((actual as { length: number }).length === value, "to have length", value),
    toContain: (value: unknown) =>
      check(typeof actual === "string" ? actual.includes(String(value)) : [...(actual as Iterable<unknown>)].includes(value), "to contain", value),
    toMatch: (value: string | RegExp) => check(typeof value === "string" ? String(actual).includes(value) : value.test(String(actual)), "to match", value),
    toThrow: (value?: string | RegExp) => {
      try {
        (actual as Body)();
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        return check(value === undefined || (typeof value === "string" ? message.includes(value) : value.test(message)), `to throw (it threw ${message})`, value);
      }
      check(false, "to throw", value);
    },
  };
}

export function expect(actual: unknown, note = "") {
  return { ...matchers(actual, false, note), not: matchers(actual, true, note) };
}
