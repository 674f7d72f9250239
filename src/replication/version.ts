// Versions of writes: both servers of a pair keep the version of a key's last write as its cas unique, where they let
// us choose it. Versions of one proxy grow, no two proxies draw the same one, none is drawn again after a restart.
//
//   version (63 bits) = 1 | 41 bits: ms since 2024-01-01 | 9 bits: counter | 12 bits: proxy
//
// The next one is the last one plus 1 in the counter, or what the wall clock says when that is more. Kept as two
// integers (version = high · 10^9 + low) and as digits, so that drawing one makes no object.
import { parseUint, ZERO } from "../bytes/ascii.ts";

/** 2024-01-01, ms of Unix time. */
const EPOCH_MS = 1_704_067_200_000;
const BASE = 1_000_000_000, LOW_DIGITS = 9;
export const VERSION_DIGITS = 19;
/** 2^62, the bit that every version has, and 2^63, which none reaches. */
const FIRST_HIGH = 4_611_686_018, FIRST_LOW = 427_387_904;
const END_HIGH = 9_223_372_036, END_LOW = 854_775_808;
/** 1 in the counter, and 1 ms. */
const PROXIES = 4096, MS = PROXIES * 512;
/** 10^9 modulo PROXIES. */
const BASE_REST = BASE % PROXIES;
/** A version that is ahead of the wall clock by more is nobody's version, ms. */
const AHEAD_MAX_MS = 24 * 3600 * 1000;

export class VersionClock {
  /** The digits of the version drawn last. */
  readonly digits = new Uint8Array(VERSION_DIGITS);
  private high = FIRST_HIGH;
  private low: number;
  /** What the wall clock said last, as a version. */
  private wallHigh = FIRST_HIGH;
  private wallLow = FIRST_LOW;
  private readonly proxy: number;

  /** proxy: who draws; its lower 12 bits count. */
  constructor(proxy: number) {
    this.proxy = proxy % PROXIES;
    this.low = FIRST_LOW + this.proxy;
    this.write();
  }

  /** Draws the next version into `digits`. */
  next(): void {
    this.low += PROXIES;
    if (this.low < BASE) return this.writeLow();
    this.low -= BASE;
    this.high++;
    this.write();
  }

  /** As next, and returns a copy of the digits. */
  draw(): Uint8Array {
    this.next();
    return this.digits.slice();
  }

  /** The wall clock says unixMs. */
  wall(unixMs: number): void {
    const since = Math.max(0, Math.floor(unixMs) - EPOCH_MS);
    const rest = (since % BASE) * MS;
    this.wallHigh = FIRST_HIGH + Math.floor(since / BASE) * MS + Math.floor(rest / BASE);
    this.wallLow = FIRST_LOW + this.proxy + (rest % BASE);
    if (this.wallLow >= BASE) {
      this.wallLow -= BASE;
      this.wallHigh++;
    }
    if (this.wallHigh < this.high || (this.wallHigh === this.high && this.wallLow <= this.low)) return;
    this.high = this.wallHigh;
    this.low = this.wallLow;
    this.write();
  }

  /** How far the versions in use are ahead of the wall clock, ms. */
  get aheadMs(): number {
    return ((this.high - this.wallHigh) * BASE + this.low - this.wallLow) / MS;
  }

  /** A server holds the unique bytes[start, end): if it is a version, ours are greater from now on. */
  saw(bytes: Uint8Array, start: number, end: number): void {
    if (!isVersion(bytes, start, end)) return;
    let high = parseUint(bytes, start, end - LOW_DIGITS);
    let low = parseUint(bytes, end - LOW_DIGITS, end);
    low += this.proxy - ((high * BASE_REST + low) % PROXIES);
    if (low >= BASE) {
      low -= BASE;
      high++;
    } else if (low < 0) {
      low += BASE;
      high--;
    }
    if (high < this.high || (high === this.high && low <= this.low)) return;
    if (((high - this.wallHigh) * BASE + low - this.wallLow) / MS > AHEAD_MAX_MS) return;
    this.high = high;
    this.low = low;
    this.write();
  }

  private write(): void {
    let rest = this.high;
    for (let i = VERSION_DIGITS - LOW_DIGITS - 1; i >= 0; i--) {
      const next = Math.floor(rest / 10);
      this.digits[i] = ZERO + (rest - next * 10);
      rest = next;
    }
    this.writeLow();
  }

  private writeLow(): void {
    let rest = this.low | 0;
    for (let i = VERSION_DIGITS - 1; i >= VERSION_DIGITS - LOW_DIGITS; i--) {
      const next = (rest / 10) | 0;
      this.digits[i] = ZERO + (rest - next * 10);
      rest = next;
    }
  }
}

/** True when the cas unique bytes[start, end) was drawn by a tandem; others can only be compared for equality. */
export function isVersion(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== VERSION_DIGITS) return false;
  const high = parseUint(bytes, start, end - LOW_DIGITS);
  const low = parseUint(bytes, end - LOW_DIGITS, end);
  if (high === -1 || low === -1) return false;
  return (high > FIRST_HIGH || (high === FIRST_HIGH && low >= FIRST_LOW)) && (high < END_HIGH || (high === END_HIGH && low < END_LOW));
}
