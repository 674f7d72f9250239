// Ring servers and keys for tests.
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

/** 5000 keys of 1 to 250 bytes, most of them no text: each a number of its own, then signs and bytes above 127. */
export function oddKeys(): Uint8Array[] {
  let seed = 1;
  return Array.from({ length: 5000 }, (_, i) => {
    const name = i.toString(36);
    const key = new Uint8Array(name.length + (i % 247));
    for (let at = 0; at < key.length; at++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const drawn = seed >>> 24;
      key[at] = at < name.length ? name.charCodeAt(at) : drawn < 15 ? 0x21 + drawn : 0x80 | (drawn & 0x7f);
    }
    return key;
  });
}
