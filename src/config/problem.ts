// What is wrong with a setting: always where it was said, what was given and what is allowed, on one line.

export interface Problem {
  /** As Given's. */
  readonly flag: string;
  /** The value as given; "" when there was none. */
  readonly given: string;
  readonly fault: string;
  readonly allowed: string;
}

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/** As Checked, of something that can be wrong in several ways; the problems are at least one. */
export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] };

/** One setting as it was given. */
export interface Given {
  /** As the user spelled it: "-p", "--port", or where a file says it: "tandem.toml:12: timeout". */
  readonly flag: string;
  readonly text: string;
  /** Of a server, where a file says it. */
  readonly zone?: string;
}

export function wrong(given: Given, fault: string, allowed: string): { ok: false; problem: Problem } {
  return { ok: false, problem: { flag: given.flag, given: given.text, fault, allowed } };
}

/** text itself when it is plain visible ASCII, else quoted with escapes, so that it cannot break the line. */
export function quoted(text: string): string {
  return /^[\x21-\x7e]+$/.test(text) ? text : JSON.stringify(text);
}

/** "-p 70000: not a port; allowed: 0 to 65535" */
export function problemLine(problem: Problem): string {
  const given = problem.given === "" ? "" : ` ${quoted(problem.given)}`;
  return `${problem.flag}${given}: ${problem.fault}; allowed: ${problem.allowed}`;
}

/** Problems of a file in the order of its lines, after those of the command line; each once. */
export function inOrder(problems: readonly Problem[]): Problem[] {
  const lineOf = ({ flag }: Problem): number => Number(/^.*?:([0-9]+):/.exec(flag)?.[1] ?? 0);
  const told = new Map(problems.map((problem) => [problemLine(problem), problem]));
  return [...told.values()].sort((a, b) => lineOf(a) - lineOf(b));
}
