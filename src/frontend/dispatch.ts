// Which request does what: from a line that the reader has understood to the part of replication that carries it out.
import { keep } from "../bytes/lent.ts";
import { MN, OK } from "../protocol/answers.ts";
import { Op } from "../protocol/commands.ts";
import type { RequestReader } from "../protocol/request.ts";
import { isControlAt } from "../replication/control.ts";
import { Decide } from "../replication/requests/decide.ts";
import { FlushAll } from "../replication/flush.ts";
import { MultiGet } from "../replication/requests/multiget.ts";
import { Read } from "../replication/requests/read.ts";
import { Write } from "../replication/requests/write.ts";
import type { ClientConnection } from "./client.ts";
import { Stats } from "./stats.ts";
import { textOf } from "../bytes/ascii.ts";

/** Carries out the line at bytes[lineStart…] that client.reader describes; its value, if any, follows in bytes. */
export function dispatch(client: ClientConnection, bytes: Uint8Array, lineStart: number): void {
  const { reader, door } = client;
  const { pool, counters } = door;
  if (reader.error !== null) return client.refuse(reader.error, reader.noreply);
  if (reader.op !== Op.SET) keep(bytes);
  switch (reader.op) {
    case Op.GAT:
    case Op.GATS:
      counters.cmd_touch += reader.keys;
      return get(client, bytes, lineStart);
    case Op.GET:
    case Op.GETS:
      return get(client, bytes, lineStart);
    case Op.TOUCH:
      counters.cmd_touch++;
      return write(client, bytes, lineStart);
    case Op.SET:
      counters.cmd_set++;
      return write(client, bytes, lineStart);
    case Op.DELETE:
      return write(client, bytes, lineStart);
    case Op.ADD:
    case Op.REPLACE:
    case Op.APPEND:
    case Op.PREPEND:
    case Op.CAS:
      counters.cmd_set++;
      return decide(client, bytes);
    case Op.INCR:
    case Op.DECR:
      return decide(client, bytes);
    case Op.FLUSH_ALL: {
      counters.cmd_flush++;
      // Its place among this client's requests holds on every lane only if nothing of it is under way.
      const flush = new FlushAll(client, pool, reader, bytes);
      client.block();
      client.whenEmpty(() => {
        client.add(flush);
        flush.start();
      });
      return;
    }
    case Op.VERBOSITY:
      return client.answer(OK, reader.noreply);
    case Op.VERSION:
      return client.answer(door.versionLine(), false);
    case Op.STATS: {
      const stats = new Stats(client, door, textOf(bytes, reader.at[1]!, reader.textEnd).trim());
      client.add(stats);
      return stats.start();
    }
    case Op.MN:
      return client.answer(MN, false);
    case Op.QUIT:
      return client.finishUp();
  }
}

/** Whether a line of the reader names an item of tandem's own. */
export function namesControl(reader: RequestReader, bytes: Uint8Array): boolean {
  if (reader.op > Op.DELETE) return false; // no keys
  if (reader.keys <= 1 || reader.op > Op.GATS) return isControlAt(bytes, reader.keyStart, reader.keyEnd);
  for (let at = reader.nextKey(bytes, reader.keysStart); at !== -1; at = reader.nextKey(bytes, reader.nextKeyEnd)) {
    if (isControlAt(bytes, at, reader.nextKeyEnd)) return true;
  }
  return false;
}

function get(client: ClientConnection, bytes: Uint8Array, lineStart: number): void {
  const { reader, door } = client;
  door.counters.cmd_get += reader.keys;
  if (reader.keys === 1) {
    door.pool.route(bytes, reader.keyStart, reader.keyEnd);
    const read = new Read(client, door.pool, reader, bytes, lineStart);
    client.add(read);
    return read.start();
  }
  const all = new MultiGet(client, door.pool, reader, bytes);
  client.add(all);
  all.start();
}

function write(client: ClientConnection, bytes: Uint8Array, lineStart: number): void {
  const { reader, door } = client;
  door.pool.route(bytes, reader.keyStart, reader.keyEnd);
  const one = new Write(client, door.pool, reader, bytes, lineStart);
  client.add(one);
  one.start();
}

function decide(client: ClientConnection, bytes: Uint8Array): void {
  const { reader, door } = client;
  door.pool.route(bytes, reader.keyStart, reader.keyEnd);
  const one = new Decide(client, door.pool, reader, bytes);
  client.add(one);
  one.start();
}
