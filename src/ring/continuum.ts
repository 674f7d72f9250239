// Builds a ring's continuum: ascending points with the server that owns each. libketama's is built by npm's hashring,
// the others here; both end in the same two typed arrays.
import HashRing from "hashring";
import { FLAVOURS, type RingFlavour, type RingServer } from "./flavours.ts";
import { Md5 } from "./md5.ts";

export interface Continuum {
  /** Strictly ascending points, each in [0, 2^32); none where there is no circle. */
  readonly points: Uint32Array;
  /** owners[i]: index of the server that owns the hashes from just above points[i - 1] up to points[i], or slot i. */
  readonly owners: Uint32Array;
}

/** Points in any order, with their owners. */
interface Points {
  readonly values: number[];
  readonly owners: number[];
}

export function buildContinuum(flavour: RingFlavour, servers: readonly RingServer[]): Continuum {
  const traits = FLAVOURS[flavour];
  const total = servers.reduce((sum, server) => sum + server.weight, 0);
  const equal = servers.every((server) => server.weight === servers[0]!.weight);
  const digests = servers.map((server) => traits.digests(server.weight, total, servers.length, equal));
  if (flavour === "libketama") return freeze(pointsOfHashring(servers, digests), traits.lastOwnsTie);
  const texts = servers.map((server) => utf8(traits.pointText(server)));
  const order = texts.map((_, index) => index);
  if (traits.order === "text") order.sort((a, b) => compare(texts[a]!, texts[b]!));
  if (traits.circle) return freeze(pointsOfTexts(texts, digests, order), traits.lastOwnsTie);
  const owners = new Uint32Array(digests.reduce((sum, slots) => sum + slots, 0));
  let at = 0;
  for (const index of order) owners.fill(index, at, at += digests[index]!);
  return { points: new Uint32Array(0), owners };
}

/** As twemproxy sorts the servers of a pool: a shorter text is the lesser one. */
function compare(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return a.length - b.length;
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at === -1 ? 0 : a[at]! - b[at]!;
}

/**
 * hashring computes a weight's share in doubles where libketama has floats, which for 7, 14, 28, 49 … equal servers
 * costs each a digest. So it is told the number of digests ("vnodes") instead; -1 as the default keeps any of them from
 * being taken for it.
 */
function pointsOfHashring(servers: readonly RingServer[], digests: readonly number[]): Points {
  const md5 = new Md5();
  const indexes = new Map<string, number>();
  const described: Record<string, { weight: number; vnodes: number }> = {};
  servers.forEach((server, index) => {
    indexes.set(server.label, index);
    described[server.label] = { weight: server.weight, vnodes: digests[index]! };
  });
  const digest = (text: string): Uint8Array => {
    const bytes = Uint8Array.from(utf8(text));
    return md5.digest(bytes, 0, bytes.length);
  };
  const { ring } = new HashRing(described, digest, { "vnode count": -1, "max cache size": 1 });
  return { values: ring.map((node) => node.value), owners: ring.map((node) => indexes.get(node.server)!) };
}

function pointsOfTexts(texts: readonly (readonly number[])[], digests: readonly number[], order: readonly number[]): Points {
  const md5 = new Md5();
  const quads = new Uint32Array(4);
  const values: number[] = [];
  const owners: number[] = [];
  for (const index of order) {
    for (let k = 0; k < digests[index]!; k++) {
      const bytes = Uint8Array.from([...texts[index]!, ...utf8(`-${k}`)]);
      md5.quads(bytes, 0, bytes.length, quads);
      values.push(...quads);
      owners.push(index, index, index, index);
    }
  }
  return { values, owners };
}

/** Sorted, and where several servers have one point, only its owner is kept. */
function freeze(unsorted: Points, lastOwnsTie: boolean): Continuum {
  const { values, owners } = unsorted;
  const order = values.map((_, index) => index).sort((a, b) => values[a]! - values[b]! || a - b);
  const kept = order.filter((index, rank) => {
    const neighbour = order[lastOwnsTie ? rank + 1 : rank - 1];
    return neighbour === undefined || values[neighbour] !== values[index];
  });
  return {
    points: Uint32Array.from(kept, (index) => values[index]!),
    owners: Uint32Array.from(kept, (index) => owners[index]!),
  };
}

/** A text's UTF-8 bytes, as C software that was given it on the command line sees it. */
function utf8(text: string): number[] {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return bytes;
}
