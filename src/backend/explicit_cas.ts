// Whether a memcached lets us choose an item's cas unique (the meta flag E, since 1.6.27, unless it runs without cas).
// Its version is not believed: each process is tried once, with an item that goes by itself.
import { latin1, textOf } from "../bytes/ascii.ts";
import { Status, type StatusCode } from "../protocol/reply.ts";
import { versionAtLeast } from "./server_version.ts";

/** A number that a double cannot hold: one that comes back as it was is kept exactly. */
const UNIQUE = "4611686018427387905";
const LIFE_S = 5;

export class ExplicitCas {
  /** Not known to be refused. Known before the server's lanes are used. */
  works = true;
  private tried: string | null = null;
  private readonly question: Uint8Array;

  constructor(controlPrefix: string) {
    this.question = latin1(`ms ${controlPrefix}e 1 T${LIFE_S} E${UNIQUE} c\r\n1\r\n`);
  }

  /** What to ask the process of this incarnation; null when the answer is known. */
  ask(incarnation: string, version: string, settings: ReadonlyMap<string, string>): Uint8Array | null {
    if (this.tried === incarnation) return null;
    this.tried = incarnation;
    this.works = settings.get("cas_enabled") === "yes" && knowsFlag(version);
    return this.works ? this.question : null;
  }

  answered(status: StatusCode, bytes: Uint8Array, start: number, end: number): void {
    this.works = status === Status.HD && textOf(bytes, start, end) === `HD c${UNIQUE}\r\n`;
  }
}

/** Older ones could answer in two lines, the second one to the value that they take for a command. */
function knowsFlag(version: string): boolean {
  return versionAtLeast(version, [1, 6, 27]);
}
