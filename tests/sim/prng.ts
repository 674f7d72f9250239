// The dice of a simulated world: xoshiro128** on 32-bit integers, seeded by splitmix32. No floating point function
// whose last bit differs between JavaScript engines is used anywhere, so one seed is one run on Bun and on Deno.

export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** seed is any integer; only its low 32 bits count. */
  constructor(seed: number) {
    let state = seed | 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.a = next();
    this.b = next();
    this.c = next();
    this.d = next();
  }

  /** An integer in [0, 2^32). */
  u32(): number {
    const s1 = this.b;
    let r = Math.imul(s1, 5);
    r = Math.imul((r << 7) | (r >>> 25), 9);
    const t = s1 << 9;
    this.c ^= this.a;
    this.d ^= s1;
    this.b = s1 ^ this.c;
    this.a ^= this.d;
    this.c ^= t;
    this.d = (this.d << 11) | (this.d >>> 21);
    return r >>> 0;
  }

  /** An integer in [0, n), n from 1 to 2^32. The bias of the remainder does not matter here. */
  below(n: number): number {
    return this.u32() % n;
  }

  /** An integer in [low, high]. */
  range(low: number, high: number): number {
    return low + (this.u32() % (high - low + 1));
  }

  /** True in `hits` of `outOf` cases. */
  chance(hits: number, outOf: number): boolean {
    return this.u32() % outOf < hits;
  }

  /** An integer in [low, high] whose magnitude, not whose value, is evenly spread: mostly small, seldom large. */
  skewed(low: number, high: number): number {
    let span = high - low;
    let bits = 0;
    while (span > 0) {
      bits++;
      span >>>= 1;
    }
    const mask = 2 ** this.below(bits + 1) - 1;
    const value = low + (this.u32() & mask) % (high - low + 1);
    return value;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.u32() % items.length]!;
  }

  /** Reorders items in place. */
  shuffle<T>(items: T[]): void {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.u32() % (i + 1);
      const held = items[i]!;
      items[i] = items[j]!;
      items[j] = held;
    }
  }

  /** Dice of their own for one part of the world, so that another part's throws do not shift them. */
  fork(): Prng {
    return new Prng(this.u32());
  }
}
