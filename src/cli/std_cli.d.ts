// What we use of @std/cli's parseArgs. The registry at hand has it only as `deno-std`, a republication in plain
// JavaScript without types; tsconfig.json (Bun, tsc) and deno.json (Deno) map the card's name to that file. Declared
// here is only what its code does with the options we pass: every named string flag is collected into an array.
declare module "@std/cli/parse-args" {
  export interface ParseOptions {
    /** Flags whose value stays a string, even when it looks like a number. */
    readonly string: readonly string[];
    /** Flags without a value. */
    readonly boolean: readonly string[];
    /** Flags whose values are gathered in order: string[] for string flags, boolean[] for boolean ones; [] if absent. */
    readonly collect: readonly string[];
  }
  /** The flags by name, and under "_" the words that are none. */
  export function parseArgs(args: string[], options: ParseOptions): { readonly [name: string]: unknown };
}
