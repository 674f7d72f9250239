// Which worker accepts from which port. The kernel spreads new connections over the ports of an address by chance, so
// that a worker may come to hold more than its share of long ones: then its ports are another's until it does not.
// Pure: from who lives and what they hold to who should have what.

/** A worker may have so many clients, or this part, more than the average before its ports are given away. */
const EXTRA_MIN = 2, EXTRA_PART = 1 / 16;

/**
 * The worker for each port. homes: each port's own worker; alive: whether a worker accepts; clients: how many it has;
 * before: who has the ports now, -1 for nobody. A port goes home as soon as its worker is back at the average.
 */
export function assign(homes: readonly number[], alive: readonly boolean[], clients: readonly number[], before: readonly number[]): number[] {
  const living = alive.filter((each) => each).length;
  const total = clients.reduce((sum, each, worker) => sum + (alive[worker]! ? each : 0), 0);
  if (living === 0) return homes.map(() => -1);
  const average = total / living;
  const high = average + Math.max(EXTRA_MIN, average * EXTRA_PART);
  let least = -1;
  for (let worker = 0; worker < alive.length; worker++) {
    if (alive[worker]! && (least === -1 || clients[worker]! < clients[least]!)) least = worker;
  }
  return homes.map((home, port) => {
    if (!alive[home]!) return before[port]! !== -1 && before[port] !== home && alive[before[port]!]! && clients[before[port]!]! <= high ? before[port]! : least;
    const away = before[port] !== home && before[port] !== -1;
    return clients[home]! > (away ? average : high) ? least : home;
  });
}
