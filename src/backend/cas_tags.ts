// What the upper bits of cas uniques say while clients see those of two servers (replication/tokens.ts): from which server, and
// from which life of it, a unique was read.
import { fnv1a } from "../bytes/ascii.ts";

const TAGS = 32767;
/** Of a unique: the server's own number below, the tag above. */
export const NATIVE_BITS = 47n;

export class CasTags {
  private readonly owners = new Map<number, string>();

  /**
   * 15 bits, never 0, above the native unique's. By a hash, so that several proxies tell the same; where another server or an
   * earlier life has that already, the next free one: then a unique of the one is never taken for one of the other.
   */
  of(label: string, incarnation: string): bigint {
    const owner = `${label} ${incarnation}`;
    let tag = fnv1a(owner) % TAGS;
    for (let tries = 0; tries < TAGS && (this.owners.get(tag) ?? owner) !== owner; tries++) tag = (tag + 1) % TAGS;
    this.owners.set(tag, owner);
    return BigInt(tag + 1) << NATIVE_BITS;
  }
}
