// How servers and addresses are written, and what they mean.
import type { Address } from "../platform/platform.ts";
import type { ServerSpec } from "./config.ts";
import { type Checked, type Given, wrong } from "./problem.ts";

export const PORT_DEFAULT = 11211;
/** Longest path a unix socket can have on Linux, bytes, without the closing zero. */
export const SOCKET_PATH_MAX = 107;
const WEIGHT_MAX = 1_000_000;

const FORMS = "host:port, host:port:weight, [ipv6]:port or /socket, and a name after a blank for twemproxy rings";

/**
 * Reads "host[:port[:weight]][ name]", with [ipv6] in brackets, or "/socket[:weight][ name]". Without a port it is
 * 11211, without a weight 1.
 */
export function parseServer(given: Given): Checked<ServerSpec> {
  const server = parseText(given);
  return server.ok && given.zone !== undefined ? { ok: true, value: { ...server.value, zone: given.zone } } : server;
}

function parseText(given: Given): Checked<ServerSpec> {
  const blank = given.text.search(/\s/);
  const place = blank === -1 ? given.text : given.text.slice(0, blank);
  const name = blank === -1 ? null : given.text.slice(blank).trim();
  if (name !== null && !/^[\x21-\x7e]+$/.test(name)) return wrong(given, "is no node name", "one word of visible ASCII");
  if (place.includes(",")) return wrong(given, "is a list", `one server a flag: repeat ${given.flag}`);

  if (place.startsWith("/")) {
    const match = /^(.*?)(?::([^:/]*))?$/s.exec(place)!;
    const path = match[1]!;
    const weight = readWeight(match[2]);
    if (weight === 0) return wrong(given, "has no such weight", `/socket:weight, a weight of 1 to ${WEIGHT_MAX}`);
    if (path.length > SOCKET_PATH_MAX) return wrong(given, "is too long a path", `${SOCKET_PATH_MAX} bytes`);
    return { ok: true, value: { address: { kind: "unix", path }, weight, name, label: path } };
  }

  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::([^:]*))?(?::([^:]*))?$/.exec(place);
  if (match === null) {
    const loose = place.split(":").length > 3;
    return wrong(given, loose ? "is IPv6 without brackets" : "is no server", loose ? "[ipv6]:port" : FORMS);
  }
  const bracketed = match[1]!.startsWith("[");
  const host = bracketed ? match[1]!.slice(1, -1) : match[1]!;
  if (bracketed ? !isIpv6(host) : !isHost(host)) return wrong(given, match[1] === "" ? "names no host" : "has no such host", FORMS);
  const port = match[2] === undefined ? PORT_DEFAULT : readNumber(match[2], 65535);
  if (port === 0) return wrong(given, "has no such port", "a port of 1 to 65535");
  const weight = readWeight(match[3]);
  if (weight === 0) return wrong(given, "has no such weight", `a weight of 1 to ${WEIGHT_MAX}`);
  const label = `${bracketed ? `[${host}]` : host}:${port}`;
  return { ok: true, value: { address: { kind: "tcp", host, port }, weight, name, label } };
}

/**
 * Reads an address to listen on: a host name, IPv4, or IPv6 with or without brackets, and then the port is the one
 * given apart; or with a port of its own, "host:port" or "[ipv6]:port"; or the path of a unix socket. Null: it takes the
 * port that is given apart, and that is 0.
 */
export function parseListen(given: Given, port: number): Checked<Address> | null {
  const text = given.text;
  if (text.startsWith("/")) return parseSocketPath(given);
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([0-9]+))?$/.exec(text);
  const bare = isIpv6(text) ? text : null;
  const host = bare ?? match?.[1] ?? match?.[2] ?? "";
  if (bare === null && (match === null || (match[1] === undefined ? !isHost(host) : !isIpv6(host)))) {
    return wrong(given, "is no address", "a host name, an IPv4 or an IPv6 address, host:port, [ipv6]:port, or /socket");
  }
  const own = bare === null ? match?.[3] : undefined;
  if (own === undefined) return port === 0 ? null : { ok: true, value: { kind: "tcp", host, port } };
  const number = readNumber(own, 65535);
  if (number === 0) return wrong(given, "has no such port", "a port of 1 to 65535");
  return { ok: true, value: { kind: "tcp", host, port: number } };
}

/** Reads the path of a unix socket to listen on. */
export function parseSocketPath(given: Given): Checked<Address> {
  const path = given.text;
  if (path.includes("\0")) return wrong(given, "is no path", "a path without zero bytes");
  if (path.length > SOCKET_PATH_MAX) return wrong(given, "is too long a path", `${SOCKET_PATH_MAX} bytes`);
  return { ok: true, value: { kind: "unix", path } };
}

/** What two spellings of one server have in common. */
export function sameServerKey(server: ServerSpec): string {
  return server.address.kind === "unix" ? server.address.path : server.label.toLowerCase();
}

/** "10.0.0.1:11211", "[::1]:11211" or the path. */
export function addressText(address: Address): string {
  if (address.kind === "unix") return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function readWeight(text: string | undefined): number {
  return text === undefined ? 1 : readNumber(text, WEIGHT_MAX);
}

/** A decimal from 1 to max, or 0 when text is none. */
function readNumber(text: string, max: number): number {
  const value = /^[0-9]{1,7}$/.test(text) ? Number(text) : 0;
  return value <= max ? value : 0;
}

function isHost(text: string): boolean {
  if (/^[0-9.]+$/.test(text)) {
    const parts = text.split(".");
    return parts.length === 4 && parts.every((part) => /^[0-9]{1,3}$/.test(part) && Number(part) <= 255);
  }
  return text.length <= 253 && text.split(".").every((part) => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})$/.test(part));
}

/** IPv6 as written without brackets; a zone ("%eth0") may follow. */
function isIpv6(text: string): boolean {
  const address = text.replace(/%[A-Za-z0-9._-]+$/, "");
  const dotted = /^(.*:)([0-9.]+)$/.exec(address);
  let hex = address;
  if (dotted !== null && dotted[2]!.includes(".")) {
    if (!isHost(dotted[2]!)) return false;
    hex = `${dotted[1]}0:0`;
  }
  const halves = hex.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return false;
  return halves.length === 2 ? groups.length <= 7 : groups.length === 8;
}
