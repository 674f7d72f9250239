// The one address that some commands are given as a word: where clients of a proxy connect.
import { parseServer } from "../config/servers.ts";
import { type Checked, type Given, wrong } from "../config/problem.ts";
import type { Address } from "../platform/platform.ts";
import type { Command } from "./options.ts";

const DEFAULT_ADDRESS = "127.0.0.1:11211";

export interface Place {
  readonly address: Address;
  /** As a person writes it. */
  readonly label: string;
}

/** The address among the words of a command, or the usual one when there is none. */
export function readPlace(command: Command, words: readonly string[]): Checked<Place> {
  if (words.length > 1) return wrong({ flag: command, text: words[1]! }, "is not expected", "one address");
  return readAddress({ flag: command, text: words[0] ?? DEFAULT_ADDRESS });
}

/** host:port, [ipv6]:port or /socket and nothing more. */
export function readAddress(given: Given): Checked<Place> {
  const server = parseServer(given);
  if (!server.ok) return server;
  if (server.value.weight !== 1 || server.value.name !== null) return wrong(given, "is more than an address", "host:port or /socket");
  return server;
}
