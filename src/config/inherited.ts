// Which of the sockets that a service manager bound before we began stands for which address that we are to listen on.
import type { Address } from "../platform/platform.ts";
import { addressText } from "./servers.ts";

/**
 * For each of the addresses the index of an inherited socket, or null: it is bound anew. A string says which inherited
 * socket has no address: its clients would wait for ever. Hosts must be equal; a wildcard takes the place of either
 * wildcard, and of a name.
 */
export function assignInherited(listen: readonly Address[], inherited: readonly Address[]): readonly (number | null)[] | string {
  const taken = new Set<number>();
  const assigned = listen.map((address) => {
    const index = inherited.findIndex((bound, at) => !taken.has(at) && stands(bound, address));
    if (index === -1) return null;
    taken.add(index);
    return index;
  });
  const stray = inherited.findIndex((_, at) => !taken.has(at));
  return stray === -1 ? assigned : addressText(inherited[stray]!);
}

/** The same where one address may have several sockets, among which the kernel spreads connections. */
export function groupInherited(listen: readonly Address[], inherited: readonly Address[]): readonly (readonly number[])[] | string {
  const groups = listen.map((): number[] => []);
  for (const [at, bound] of inherited.entries()) {
    const index = listen.findIndex((address) => stands(bound, address));
    if (index === -1) return addressText(bound);
    groups[index]!.push(at);
  }
  return groups;
}

function stands(bound: Address, address: Address): boolean {
  if (bound.kind === "unix" || address.kind === "unix") return bound.kind === "unix" && address.kind === "unix" && bound.path === address.path;
  if (bound.port !== address.port) return false;
  if (bound.host === address.host) return true;
  return isWildcard(bound.host) && (isWildcard(address.host) || !/^[\d.]+$|:/.test(address.host));
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
