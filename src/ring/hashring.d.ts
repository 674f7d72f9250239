// The part of npm's hashring 3.2 that builds a continuum; it ships no types. Lookups are ours (ring.ts).
declare module "hashring" {
  export interface HashRingOptions {
    /** Digests per server where the server itself says nothing. */
    readonly "vnode count": number;
    readonly "max cache size": number;
  }

  export default class HashRing {
    /** algorithm maps a text to the sixteen bytes of its digest. */
    constructor(
      servers: Readonly<Record<string, { readonly weight: number; readonly vnodes: number }>>,
      algorithm: (text: string) => Uint8Array,
      options: HashRingOptions,
    );
    /** The points in ascending order. */
    readonly ring: readonly { readonly value: number; readonly server: string }[];
  }
}
