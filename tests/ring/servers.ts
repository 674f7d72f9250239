// Ring servers for the tests of this folder.
import { latin1 } from "../../src/bytes/ascii.ts";
import type { RingServer } from "../../src/ring/flavours.ts";
import type { Ring } from "../../src/ring/ring.ts";

export function server(host: string, port: number, weight = 1, name: string | null = null): RingServer {
  return { label: `${host.includes(":") ? `[${host}]` : host}:${port}`, host, port, weight, name, unixPath: null };
}

export function unixServer(path: string, weight = 1, name: string | null = null): RingServer {
  return { label: path, host: "", port: 0, weight, name, unixPath: path };
}

/** Index of the server that owns a key of characters 0–255. */
export function ownerOf(ring: Ring, key: string): number {
  const bytes = latin1(key);
  return ring.ownerOfHash(ring.hash(bytes, 0, bytes.length));
}
