// MD5 over bytes, for placement only: it decides which server owns a key and protects nothing. Written for one
// short key at a time: no allocation, no string, no copy of the key beyond the sixteen words of a block.

/** Longest message that fits into one block together with its padding, bytes. */
const ONE_BLOCK_BYTES = 55;

/** One MD5 with its own scratch words; keep one wherever hashes are computed. Not re-entrant, which nothing can see. */
export class Md5 {
  private readonly words = new Int32Array(16);
  private a = 0;
  private b = 0;
  private c = 0;
  private d = 0;

  /** The first four bytes of the digest of bytes[start, end), read little endian, as an integer in [0, 2^32). */
  first(bytes: Uint8Array, start: number, end: number): number {
    this.run(bytes, start, end);
    return this.a >>> 0;
  }

  /** The digest of bytes[start, end) as four integers in [0, 2^32), little endian, into out[0..4). */
  quads(bytes: Uint8Array, start: number, end: number, out: Uint32Array): void {
    this.run(bytes, start, end);
    out[0] = this.a;
    out[1] = this.b;
    out[2] = this.c;
    out[3] = this.d;
  }

  /** The digest of bytes[start, end): sixteen fresh bytes. */
  digest(bytes: Uint8Array, start: number, end: number): Uint8Array {
    this.run(bytes, start, end);
    const out = new Uint8Array(16);
    for (let i = 0; i < 4; i++) {
      out[i] = this.a >>> (8 * i);
      out[4 + i] = this.b >>> (8 * i);
      out[8 + i] = this.c >>> (8 * i);
      out[12 + i] = this.d >>> (8 * i);
    }
    return out;
  }

  private run(bytes: Uint8Array, start: number, end: number): void {
    const words = this.words;
    this.a = 0x67452301;
    this.b = 0xefcdab89 | 0;
    this.c = 0x98badcfe | 0;
    this.d = 0x10325476;
    let at = start;
    for (; end - at >= 64; at += 64) {
      this.load(bytes, at, at + 64);
      this.block();
    }
    let word = this.load(bytes, at, end);
    if (end - at > ONE_BLOCK_BYTES) {
      while (word < 16) words[word++] = 0;
      this.block();
      word = 0;
    }
    while (word < 14) words[word++] = 0;
    // The length in bits; keys and labels are far below 2^29 bytes.
    words[14] = (end - start) << 3;
    words[15] = 0;
    this.block();
  }

  /**
   * Reads bytes[start, end), at most 64 of them, into the block's words; fewer than 64 are followed by the byte 0x80.
   * Returns the index of the first word that was not written.
   */
  private load(bytes: Uint8Array, start: number, end: number): number {
    const words = this.words;
    let word = 0;
    let at = start;
    for (; at + 4 <= end; at += 4) {
      words[word++] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    }
    if (word === 16) return 16;
    let tail = 0x80;
    for (let last = end - 1; last >= at; last--) tail = (tail << 8) | bytes[last]!;
    words[word++] = tail;
    return word;
  }

  // Each step is a = b + rotate(a + f(b, c, d) + word + constant). The steps form one chain through the newest value
  // (b), so everything that does not depend on it is summed first: 137 ns a key on Bun, 215 in the order of RFC 1321.
  private block(): void {
    const x = this.words;
    let a = this.a;
    let b = this.b;
    let c = this.c;
    let d = this.d;
    // F(b, c, d) = b ? c : d
    a = ((a + x[0]! - 680876936 | 0) + (d ^ (b & (c ^ d)))) | 0; a = ((a << 7) | (a >>> 25)) + b | 0;
    d = ((d + x[1]! - 389564586 | 0) + (c ^ (a & (b ^ c)))) | 0; d = ((d << 12) | (d >>> 20)) + a | 0;
    c = ((c + x[2]! + 606105819 | 0) + (b ^ (d & (a ^ b)))) | 0; c = ((c << 17) | (c >>> 15)) + d | 0;
    b = ((b + x[3]! - 1044525330 | 0) + (a ^ (c & (d ^ a)))) | 0; b = ((b << 22) | (b >>> 10)) + c | 0;
    a = ((a + x[4]! - 176418897 | 0) + (d ^ (b & (c ^ d)))) | 0; a = ((a << 7) | (a >>> 25)) + b | 0;
    d = ((d + x[5]! + 1200080426 | 0) + (c ^ (a & (b ^ c)))) | 0; d = ((d << 12) | (d >>> 20)) + a | 0;
    c = ((c + x[6]! - 1473231341 | 0) + (b ^ (d & (a ^ b)))) | 0; c = ((c << 17) | (c >>> 15)) + d | 0;
    b = ((b + x[7]! - 45705983 | 0) + (a ^ (c & (d ^ a)))) | 0; b = ((b << 22) | (b >>> 10)) + c | 0;
    a = ((a + x[8]! + 1770035416 | 0) + (d ^ (b & (c ^ d)))) | 0; a = ((a << 7) | (a >>> 25)) + b | 0;
    d = ((d + x[9]! - 1958414417 | 0) + (c ^ (a & (b ^ c)))) | 0; d = ((d << 12) | (d >>> 20)) + a | 0;
    c = ((c + x[10]! - 42063 | 0) + (b ^ (d & (a ^ b)))) | 0; c = ((c << 17) | (c >>> 15)) + d | 0;
    b = ((b + x[11]! - 1990404162 | 0) + (a ^ (c & (d ^ a)))) | 0; b = ((b << 22) | (b >>> 10)) + c | 0;
    a = ((a + x[12]! + 1804603682 | 0) + (d ^ (b & (c ^ d)))) | 0; a = ((a << 7) | (a >>> 25)) + b | 0;
    d = ((d + x[13]! - 40341101 | 0) + (c ^ (a & (b ^ c)))) | 0; d = ((d << 12) | (d >>> 20)) + a | 0;
    c = ((c + x[14]! - 1502002290 | 0) + (b ^ (d & (a ^ b)))) | 0; c = ((c << 17) | (c >>> 15)) + d | 0;
    b = ((b + x[15]! + 1236535329 | 0) + (a ^ (c & (d ^ a)))) | 0; b = ((b << 22) | (b >>> 10)) + c | 0;
    // G(b, c, d) = d ? b : c
    a = ((a + x[1]! - 165796510 + (c & ~d) | 0) + (b & d)) | 0; a = ((a << 5) | (a >>> 27)) + b | 0;
    d = ((d + x[6]! - 1069501632 + (b & ~c) | 0) + (a & c)) | 0; d = ((d << 9) | (d >>> 23)) + a | 0;
    c = ((c + x[11]! + 643717713 + (a & ~b) | 0) + (d & b)) | 0; c = ((c << 14) | (c >>> 18)) + d | 0;
    b = ((b + x[0]! - 373897302 + (d & ~a) | 0) + (c & a)) | 0; b = ((b << 20) | (b >>> 12)) + c | 0;
    a = ((a + x[5]! - 701558691 + (c & ~d) | 0) + (b & d)) | 0; a = ((a << 5) | (a >>> 27)) + b | 0;
    d = ((d + x[10]! + 38016083 + (b & ~c) | 0) + (a & c)) | 0; d = ((d << 9) | (d >>> 23)) + a | 0;
    c = ((c + x[15]! - 660478335 + (a & ~b) | 0) + (d & b)) | 0; c = ((c << 14) | (c >>> 18)) + d | 0;
    b = ((b + x[4]! - 405537848 + (d & ~a) | 0) + (c & a)) | 0; b = ((b << 20) | (b >>> 12)) + c | 0;
    a = ((a + x[9]! + 568446438 + (c & ~d) | 0) + (b & d)) | 0; a = ((a << 5) | (a >>> 27)) + b | 0;
    d = ((d + x[14]! - 1019803690 + (b & ~c) | 0) + (a & c)) | 0; d = ((d << 9) | (d >>> 23)) + a | 0;
    c = ((c + x[3]! - 187363961 + (a & ~b) | 0) + (d & b)) | 0; c = ((c << 14) | (c >>> 18)) + d | 0;
    b = ((b + x[8]! + 1163531501 + (d & ~a) | 0) + (c & a)) | 0; b = ((b << 20) | (b >>> 12)) + c | 0;
    a = ((a + x[13]! - 1444681467 + (c & ~d) | 0) + (b & d)) | 0; a = ((a << 5) | (a >>> 27)) + b | 0;
    d = ((d + x[2]! - 51403784 + (b & ~c) | 0) + (a & c)) | 0; d = ((d << 9) | (d >>> 23)) + a | 0;
    c = ((c + x[7]! + 1735328473 + (a & ~b) | 0) + (d & b)) | 0; c = ((c << 14) | (c >>> 18)) + d | 0;
    b = ((b + x[12]! - 1926607734 + (d & ~a) | 0) + (c & a)) | 0; b = ((b << 20) | (b >>> 12)) + c | 0;
    // H(b, c, d) = b ^ c ^ d
    a = ((a + x[5]! - 378558 | 0) + (b ^ (c ^ d))) | 0; a = ((a << 4) | (a >>> 28)) + b | 0;
    d = ((d + x[8]! - 2022574463 | 0) + (a ^ (b ^ c))) | 0; d = ((d << 11) | (d >>> 21)) + a | 0;
    c = ((c + x[11]! + 1839030562 | 0) + (d ^ (a ^ b))) | 0; c = ((c << 16) | (c >>> 16)) + d | 0;
    b = ((b + x[14]! - 35309556 | 0) + (c ^ (d ^ a))) | 0; b = ((b << 23) | (b >>> 9)) + c | 0;
    a = ((a + x[1]! - 1530992060 | 0) + (b ^ (c ^ d))) | 0; a = ((a << 4) | (a >>> 28)) + b | 0;
    d = ((d + x[4]! + 1272893353 | 0) + (a ^ (b ^ c))) | 0; d = ((d << 11) | (d >>> 21)) + a | 0;
    c = ((c + x[7]! - 155497632 | 0) + (d ^ (a ^ b))) | 0; c = ((c << 16) | (c >>> 16)) + d | 0;
    b = ((b + x[10]! - 1094730640 | 0) + (c ^ (d ^ a))) | 0; b = ((b << 23) | (b >>> 9)) + c | 0;
    a = ((a + x[13]! + 681279174 | 0) + (b ^ (c ^ d))) | 0; a = ((a << 4) | (a >>> 28)) + b | 0;
    d = ((d + x[0]! - 358537222 | 0) + (a ^ (b ^ c))) | 0; d = ((d << 11) | (d >>> 21)) + a | 0;
    c = ((c + x[3]! - 722521979 | 0) + (d ^ (a ^ b))) | 0; c = ((c << 16) | (c >>> 16)) + d | 0;
    b = ((b + x[6]! + 76029189 | 0) + (c ^ (d ^ a))) | 0; b = ((b << 23) | (b >>> 9)) + c | 0;
    a = ((a + x[9]! - 640364487 | 0) + (b ^ (c ^ d))) | 0; a = ((a << 4) | (a >>> 28)) + b | 0;
    d = ((d + x[12]! - 421815835 | 0) + (a ^ (b ^ c))) | 0; d = ((d << 11) | (d >>> 21)) + a | 0;
    c = ((c + x[15]! + 530742520 | 0) + (d ^ (a ^ b))) | 0; c = ((c << 16) | (c >>> 16)) + d | 0;
    b = ((b + x[2]! - 995338651 | 0) + (c ^ (d ^ a))) | 0; b = ((b << 23) | (b >>> 9)) + c | 0;
    // I(b, c, d) = c ^ (b | ~d)
    a = ((a + x[0]! - 198630844 | 0) + (c ^ (b | ~d))) | 0; a = ((a << 6) | (a >>> 26)) + b | 0;
    d = ((d + x[7]! + 1126891415 | 0) + (b ^ (a | ~c))) | 0; d = ((d << 10) | (d >>> 22)) + a | 0;
    c = ((c + x[14]! - 1416354905 | 0) + (a ^ (d | ~b))) | 0; c = ((c << 15) | (c >>> 17)) + d | 0;
    b = ((b + x[5]! - 57434055 | 0) + (d ^ (c | ~a))) | 0; b = ((b << 21) | (b >>> 11)) + c | 0;
    a = ((a + x[12]! + 1700485571 | 0) + (c ^ (b | ~d))) | 0; a = ((a << 6) | (a >>> 26)) + b | 0;
    d = ((d + x[3]! - 1894986606 | 0) + (b ^ (a | ~c))) | 0; d = ((d << 10) | (d >>> 22)) + a | 0;
    c = ((c + x[10]! - 1051523 | 0) + (a ^ (d | ~b))) | 0; c = ((c << 15) | (c >>> 17)) + d | 0;
    b = ((b + x[1]! - 2054922799 | 0) + (d ^ (c | ~a))) | 0; b = ((b << 21) | (b >>> 11)) + c | 0;
    a = ((a + x[8]! + 1873313359 | 0) + (c ^ (b | ~d))) | 0; a = ((a << 6) | (a >>> 26)) + b | 0;
    d = ((d + x[15]! - 30611744 | 0) + (b ^ (a | ~c))) | 0; d = ((d << 10) | (d >>> 22)) + a | 0;
    c = ((c + x[6]! - 1560198380 | 0) + (a ^ (d | ~b))) | 0; c = ((c << 15) | (c >>> 17)) + d | 0;
    b = ((b + x[13]! + 1309151649 | 0) + (d ^ (c | ~a))) | 0; b = ((b << 21) | (b >>> 11)) + c | 0;
    a = ((a + x[4]! - 145523070 | 0) + (c ^ (b | ~d))) | 0; a = ((a << 6) | (a >>> 26)) + b | 0;
    d = ((d + x[11]! - 1120210379 | 0) + (b ^ (a | ~c))) | 0; d = ((d << 10) | (d >>> 22)) + a | 0;
    c = ((c + x[2]! + 718787259 | 0) + (a ^ (d | ~b))) | 0; c = ((c << 15) | (c >>> 17)) + d | 0;
    b = ((b + x[9]! - 343485551 | 0) + (d ^ (c | ~a))) | 0; b = ((b << 21) | (b >>> 11)) + c | 0;
    this.a = (this.a + a) | 0;
    this.b = (this.b + b) | 0;
    this.c = (this.c + c) | 0;
    this.d = (this.d + d) | 0;
  }
}
