// The ring: from a key's bytes to the server that owns it. Built once, then only typed arrays are read.
import { indexOf } from "../bytes/ascii.ts";
import { buildContinuum, type Continuum } from "./continuum.ts";
import { FLAVOURS, ringProblem, type RingFlavour, type RingServer } from "./flavours.ts";
import { HASH_BITS, type KeyHash, keyHasher, type Hasher } from "./keyhash.ts";

const CIRCLE = 2 ** 32;
/** The guide has at most 2^16 entries (256 KiB). */
const GUIDE_BITS_MAX = 16;

export class Ring {
  /** Number of servers. */
  readonly size: number;
  readonly flavour: RingFlavour;
  private readonly keyHash: KeyHash;
  private readonly hasher: Hasher;
  private readonly tagOpen: number;
  private readonly tagClose: number;
  /** False: the owner is that of a slot, the hash modulo their number, and there are no points. */
  readonly circle: boolean;
  /** The continuum's points and a last one, above every hash, that the first server owns: going round needs no test. */
  private readonly points: Uint32Array;
  private readonly owners: Uint32Array;
  /** guide[h >>> guideShift]: index of the first point that a hash with these high bits can have as its own. */
  private readonly guide: Uint32Array;
  private readonly guideShift: number;

  /** See buildRing. */
  constructor(flavour: RingFlavour, size: number, continuum: Continuum, hashTag: string) {
    const traits = FLAVOURS[flavour];
    this.flavour = flavour;
    this.size = size;
    this.keyHash = traits.keyHash;
    this.hasher = keyHasher(traits.keyHash);
    this.circle = traits.circle;
    this.tagOpen = hashTag === "" ? -1 : hashTag.charCodeAt(0);
    this.tagClose = hashTag === "" ? -1 : hashTag.charCodeAt(1);
    const count = continuum.points.length;
    this.points = new Uint32Array(count + 1);
    this.points.set(continuum.points);
    this.points[count] = CIRCLE - 1;
    this.owners = continuum.owners;
    if (traits.circle) {
      this.owners = new Uint32Array(count + 1);
      this.owners.set(continuum.owners);
      this.owners[count] = continuum.owners[0]!;
    }
    // Twice as many entries as points: a lookup then steps over half a point on average.
    const bits = Math.min(GUIDE_BITS_MAX, Math.max(1, 33 - Math.clz32(count)));
    this.guideShift = 32 - bits;
    this.guide = new Uint32Array(2 ** bits);
    let next = 0;
    for (let slot = 0; slot < this.guide.length; slot++) {
      while (this.points[next]! < slot * 2 ** this.guideShift) next++;
      this.guide[slot] = next;
    }
  }

  /**
   * The hash of the key bytes[start, end), or of the part inside its hash tag: an integer in [0, 2^32). Allocates
   * nothing. The same on every ring of one flavour and tag, so a pair's two rings need it once.
   */
  hash(bytes: Uint8Array, start: number, end: number): number {
    if (this.tagOpen !== -1) {
      const open = indexOf(bytes, this.tagOpen, start, end);
      if (open !== -1) {
        const close = indexOf(bytes, this.tagClose, open + 1, end);
        if (close > open + 1) {
          start = open + 1;
          end = close;
        }
      }
    }
    return this.hasher(bytes, start, end);
  }

  /** Whether keys have the same hash on both rings. */
  hashesAs(other: Ring): boolean {
    return this.keyHash === other.keyHash && this.tagOpen === other.tagOpen && this.tagClose === other.tagClose;
  }

  /** Index of the server that owns a hash: the one with the first point ≥ the hash, going round after the last. */
  ownerOfHash(hash: number): number {
    if (this.size === 1) return 0;
    return this.circle ? this.owners[this.find(hash)]! : this.owners[hash % this.owners.length]!;
  }

  /** The point that owns a hash, in [0, 2^32); without a circle its slot. What people are shown. */
  pointOfHash(hash: number): number {
    if (!this.circle) return hash % this.owners.length;
    const index = this.find(hash);
    return this.points[index === this.points.length - 1 ? 0 : index]!;
  }

  /** Points on the circle, or slots. */
  get places(): number {
    return this.circle ? this.points.length - 1 : this.owners.length;
  }

  /** Of each server: its number of points or slots. */
  pointCounts(): number[] {
    const counts = new Array<number>(this.size).fill(0);
    for (let i = 0; i < this.places; i++) counts[this.owners[i]!]!++;
    return counts;
  }

  /** Of each server: the fraction of all hashes that it owns; they sum to 1. */
  shares(): number[] {
    const hashes = new Array<number>(this.size).fill(0);
    const all = 2 ** HASH_BITS[this.keyHash];
    let after = -1;
    for (let i = 0; i < this.owners.length; i++) {
      const last = this.circle ? Math.min(this.points[i]!, all - 1) : 0;
      hashes[this.owners[i]!]! += this.circle ? last - after : Math.ceil((all - i) / this.owners.length);
      after = last;
    }
    return hashes.map((count) => count / all);
  }

  /** Index of the first point ≥ hash; the index after the last real point means the first. */
  private find(hash: number): number {
    const points = this.points;
    let index = this.guide[hash >>> this.guideShift]!;
    while (points[index]! < hash) index++;
    return index;
  }
}

/**
 * The ring of these servers, which are known by their indexes from here on. hashTag is two characters that enclose
 * the hashed part of a key, or "". Throws RangeError with ringProblem's sentence, or when the tag is not two
 * one-byte characters: readers of settings ask before.
 */
export function buildRing(flavour: RingFlavour, servers: readonly RingServer[], hashTag: string): Ring {
  const problem = ringProblem(flavour, servers);
  if (problem !== null) throw new RangeError(problem);
  if (!/^([\x21-\x7e]{2})?$/.test(hashTag)) throw new RangeError(`a hash tag is two printable characters, not "${hashTag}"`);
  return new Ring(flavour, servers.length, buildContinuum(flavour, servers), hashTag);
}

/** What a ring needs of a configured server; config's ServerSpec is one. */
export interface Placeable {
  readonly address: { readonly kind: "tcp"; readonly host: string; readonly port: number } | { readonly kind: "unix"; readonly path: string };
  readonly weight: number;
  readonly name: string | null;
  readonly label: string;
}

/** Configured servers as a ring sees them, in the same order. */
export function ringServers(servers: readonly Placeable[]): RingServer[] {
  return servers.map(({ address, weight, name, label }) =>
    address.kind === "tcp"
      ? { label, host: address.host, port: address.port, weight, name, unixPath: null }
      : { label, host: "", port: 0, weight, name, unixPath: address.path });
}
