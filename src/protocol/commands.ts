// The command table of memcached's text protocol: the one place that says which commands exist, how many words each
// takes, and in what shape. The request reader, help and tests are driven by it.

/** Command codes; small integers, because the event path switches on them. */
export const Op = {
  UNKNOWN: 0, GET: 1, GETS: 2, GAT: 3, GATS: 4, SET: 5, ADD: 6, REPLACE: 7, APPEND: 8, PREPEND: 9, CAS: 10,
  INCR: 11, DECR: 12, TOUCH: 13, DELETE: 14, FLUSH_ALL: 15, VERBOSITY: 16, VERSION: 17, STATS: 18, QUIT: 19, MN: 20,
} as const;
export type OpCode = (typeof Op)[keyof typeof Op];

/** How the words of a line are laid out. */
export type Shape =
  | "keys" // verb key+
  | "exptime-keys" // verb exptime key*
  | "store" // verb key flags exptime bytes [noreply], then a data block
  | "cas" // verb key flags exptime bytes cas [noreply], then a data block
  | "delta" // verb key number [noreply]
  | "touch" // verb key exptime [noreply]
  | "delete" // verb key [0] [noreply]
  | "flush" // verb [delay] [noreply]
  | "verbosity" // verb level [noreply]
  | "words"; // verb, anything

export interface Command {
  readonly name: string;
  readonly op: OpCode;
  readonly shape: Shape;
  /** Words on the line including the verb; outside of [min, max] memcached answers ERROR. */
  readonly wordsMin: number;
  readonly wordsMax: number;
}

const ANY = Number.MAX_SAFE_INTEGER;

export const COMMANDS: readonly Command[] = [
  { name: "get", op: Op.GET, shape: "keys", wordsMin: 2, wordsMax: ANY },
  { name: "gets", op: Op.GETS, shape: "keys", wordsMin: 2, wordsMax: ANY },
  { name: "gat", op: Op.GAT, shape: "exptime-keys", wordsMin: 2, wordsMax: ANY },
  { name: "gats", op: Op.GATS, shape: "exptime-keys", wordsMin: 2, wordsMax: ANY },
  { name: "set", op: Op.SET, shape: "store", wordsMin: 5, wordsMax: 6 },
  { name: "add", op: Op.ADD, shape: "store", wordsMin: 5, wordsMax: 6 },
  { name: "replace", op: Op.REPLACE, shape: "store", wordsMin: 5, wordsMax: 6 },
  { name: "append", op: Op.APPEND, shape: "store", wordsMin: 5, wordsMax: 6 },
  { name: "prepend", op: Op.PREPEND, shape: "store", wordsMin: 5, wordsMax: 6 },
  { name: "cas", op: Op.CAS, shape: "cas", wordsMin: 6, wordsMax: 7 },
  { name: "incr", op: Op.INCR, shape: "delta", wordsMin: 3, wordsMax: 4 },
  { name: "decr", op: Op.DECR, shape: "delta", wordsMin: 3, wordsMax: 4 },
  { name: "touch", op: Op.TOUCH, shape: "touch", wordsMin: 3, wordsMax: 4 },
  { name: "delete", op: Op.DELETE, shape: "delete", wordsMin: 2, wordsMax: 4 },
  { name: "flush_all", op: Op.FLUSH_ALL, shape: "flush", wordsMin: 1, wordsMax: 3 },
  { name: "verbosity", op: Op.VERBOSITY, shape: "verbosity", wordsMin: 2, wordsMax: 3 },
  { name: "version", op: Op.VERSION, shape: "words", wordsMin: 1, wordsMax: ANY },
  { name: "stats", op: Op.STATS, shape: "words", wordsMin: 1, wordsMax: ANY },
  { name: "quit", op: Op.QUIT, shape: "words", wordsMin: 1, wordsMax: ANY },
  { name: "mn", op: Op.MN, shape: "words", wordsMin: 1, wordsMax: ANY },
];

/** Verbs of the table by op, for writing a command anew. */
export const VERB: readonly string[] = (() => {
  const verbs: string[] = [];
  for (const command of COMMANDS) verbs[command.op] = command.name;
  return verbs;
})();
