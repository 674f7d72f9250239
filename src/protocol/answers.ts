// The lines tandem answers by itself, byte for byte as memcached 1.6 words them.
import { latin1 } from "../bytes/ascii.ts";
import { Status, type StatusCode } from "./reply.ts";

const line = (text: string): Uint8Array => latin1(text + "\r\n");

export const END = line("END");
export const OK = line("OK");
export const MN = line("MN");
export const RESET = line("RESET");
export const STORED = line("STORED");
export const NOT_STORED = line("NOT_STORED");
export const EXISTS = line("EXISTS");
export const NOT_FOUND = line("NOT_FOUND");
export const DELETED = line("DELETED");
export const TOUCHED = line("TOUCHED");
export const ERROR = line("ERROR");
export const BAD_FORMAT = line("CLIENT_ERROR bad command line format");
export const BAD_CHUNK = line("CLIENT_ERROR bad data chunk");
export const BAD_DELTA = line("CLIENT_ERROR invalid numeric delta argument");
export const BAD_EXPTIME = line("CLIENT_ERROR invalid exptime argument");
export const BAD_DELETE = line("CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]");
export const RESERVED_KEY = line("CLIENT_ERROR key is reserved for tandem");
export const TOO_LARGE = line("SERVER_ERROR object too large for cache");
export const TOO_MANY_CLIENTS = line("ERROR Too many open connections");

/** What the text protocol says to a store, delete or touch that was answered so, as text or meta; null: the server's own words. */
export function storeAnswer(status: StatusCode): Uint8Array | null {
  switch (status) {
    case Status.STORED:
    case Status.HD:
      return STORED;
    case Status.NOT_STORED:
    case Status.NS:
      return NOT_STORED;
    case Status.EXISTS:
    case Status.EX:
      return EXISTS;
    case Status.NOT_FOUND:
    case Status.NF:
      return NOT_FOUND;
    case Status.DELETED:
      return DELETED;
    case Status.TOUCHED:
      return TOUCHED;
    default:
      return null;
  }
}

/** A SERVER_ERROR line of ours: always says that it is the proxy's and why. */
export function serverError(why: string): Uint8Array {
  return line(`SERVER_ERROR tandem: ${why}`);
}
