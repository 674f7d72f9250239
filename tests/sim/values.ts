// Values that say who wrote them: every stored, appended or prepended piece is unique, and long ones shrink to a short
// name for the checker once every byte of them has been compared.
import { Buffer } from "node:buffer";

const { latin1Slice } = Buffer.prototype as unknown as { latin1Slice(this: Uint8Array, start: number, end: number): string };

/** bytes[start, end) as characters 0–255: both runtimes have it, and nothing is as fast. */
export function fastText(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
}

/** A piece as it travels: "<12*5|mmmmm>". */
export function piece(id: number, length: number): string {
  return `<${id}*${length}|${letter(id).repeat(length)}>`;
}

/** The same piece as the checker writes it: "<12*5>". */
export function nameOfPiece(id: number, length: number): string {
  return `<${id}*${length}>`;
}

/** A whole value, shortened; bytes that no piece explains stay as they are and will match nothing. */
export function shorten(value: string): string {
  return value.replace(/<(\d+)\*(\d+)\|([a-z]*)>/g, (whole, id: string, length: string, filler: string) =>
    filler === letter(Number(id)).repeat(Number(length)) ? `<${id}*${length}>` : whole,
  );
}

function letter(id: number): string {
  return String.fromCharCode(97 + (id % 26));
}
