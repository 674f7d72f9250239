// The running hash of everything that happened in a world, and (when asked for) the same in words. Two runs with one
// seed have the same hash or are not deterministic.

/** What kinds of events enter the hash. The numbers are part of it: append only. */
export const EVENTS = [
  "connect", "open", "accept", "data", "drain", "end", "close", "timer", "fault", "note", "listen", "wrote",
] as const;
export type EventKind = (typeof EVENTS)[number];

const CODES = new Map<EventKind, number>(EVENTS.map((kind, i) => [kind, i + 1]));

export class Trace {
  private low = 0x811c9dc5 | 0;
  private high = 0x9747b28c | 0;
  /** Events so far. */
  count = 0;

  /** say receives one line per event, or is null for speed. */
  constructor(private readonly say: ((line: string) => void) | null) {}

  /** True when lines are wanted: guards work that only words need. */
  get verbose(): boolean {
    return this.say !== null;
  }

  /** One event at nowUs on the host `who`, about the object numbered `id`. */
  event(nowUs: number, kind: EventKind, who: { readonly index: number; readonly name: string }, id: number, text: string): void {
    this.count++;
    this.mix(CODES.get(kind)!);
    this.mix(nowUs % 0x100000000 | 0);
    this.mix(who.index);
    this.mix(id);
    for (let i = 0; i < text.length; i++) this.mix(text.charCodeAt(i));
    if (this.say !== null) this.line(nowUs, who.name, `${kind} #${id} ${text}`);
  }

  /** One event that carries bytes. */
  bytes(nowUs: number, kind: EventKind, who: { readonly index: number; readonly name: string }, id: number, bytes: Uint8Array): void {
    this.count++;
    this.mix(CODES.get(kind)!);
    this.mix(nowUs % 0x100000000 | 0);
    this.mix(who.index);
    this.mix(id);
    this.mix(bytes.length);
    let low = this.low;
    let high = this.high;
    for (let i = 0; i < bytes.length; i++) {
      low = Math.imul(low ^ bytes[i]!, 0x01000193);
      high = Math.imul(high + bytes[i]!, 0x85ebca6b);
      high ^= high >>> 15;
    }
    this.low = low;
    this.high = high;
    if (this.say !== null) this.line(nowUs, who.name, `${kind} #${id} ${bytes.length} ${printable(bytes)}`);
  }

  /** Words only, no part of the hash: what an owner gave to write. */
  written(nowUs: number, who: { readonly name: string }, id: number, bytes: Uint8Array): void {
    if (this.say !== null) this.line(nowUs, who.name, `write #${id} ${bytes.length} ${printable(bytes)}`);
  }

  /** 64 bits as 16 hexadecimal digits. */
  hash(): string {
    return hex(this.high) + hex(this.low);
  }

  private line(nowUs: number, who: string, text: string): void {
    const ms = Math.floor(nowUs / 1000);
    this.say!(`${String(ms).padStart(6)}.${String(nowUs % 1000).padStart(3, "0")} ${who.padEnd(8)} ${text}`);
  }

  private mix(value: number): void {
    this.low = Math.imul(this.low ^ value, 0x01000193);
    this.low ^= this.low >>> 13;
    this.high = Math.imul(this.high + value, 0x85ebca6b);
    this.high ^= this.high >>> 15;
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}

/** At most 200 bytes as text, with what does not print escaped. */
export function printable(bytes: Uint8Array): string {
  let out = "";
  const end = bytes.length < 200 ? bytes.length : 200;
  for (let i = 0; i < end; i++) {
    const c = bytes[i]!;
    if (c === 13) out += "\\r";
    else if (c === 10) out += "\\n";
    else out += c >= 32 && c < 127 ? String.fromCharCode(c) : `\\x${c.toString(16).padStart(2, "0")}`;
  }
  return bytes.length > end ? out + "…" : out;
}
