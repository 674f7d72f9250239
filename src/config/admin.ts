// Where the admin interface listens, and whom it answers.
import type { Address } from "../platform/platform.ts";
import { type Given, type Problem, wrong } from "./problem.ts";
import { parseListen } from "./servers.ts";

export interface AdminConfig {
  readonly address: Address;
  /** It was asked for: then it must listen, or nothing starts. */
  readonly explicit: Given | null;
  /** File that holds the token which a request must bear. */
  readonly tokenFile: Given | null;
}

/** Null: no admin interface. Problems are added to those given. */
export function readAdmin(given: Given, explicit: boolean, tokenFile: Given | null, problems: Problem[]): AdminConfig | null {
  if (given.text === "off") return null;
  const forms = "host:port, [ipv6]:port, /socket, or off";
  const address = parseListen(given, 0);
  if (address === null) problems.push(wrong(given, "has no port", forms).problem);
  else if (!address.ok) problems.push({ ...address.problem, allowed: forms });
  if (address === null || !address.ok) return null;
  return { address: address.value, explicit: explicit ? given : null, tokenFile };
}
