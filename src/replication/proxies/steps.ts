// How far each of the proxies over the same servers (and each worker of one) is with a change of rings that all of them
// are to make. They take every step together, so that none reads from where another does not write.
//
//   for each ring:  told of it ─▶ its side leads nothing ─▶ it is replaced ─▶ nothing from before is under way ─▶ filled
//
// Once somebody has replaced it all do, whatever is in the way by then.

export interface Steps {
  /** Digest of the rings before and after the change; the same: none is under way. */
  readonly from: string;
  readonly to: string;
  /** How many steps are taken. */
  readonly taken: number;
}

/** Of each ring; the last one is the first of the next ring. */
export const TURNED = 1, REPLACED = 2, SETTLED = 3, FILLED = 4;

/** How many steps of our change another one has taken; Infinity: all, -1: none, null: its rings are others than ours. */
export function stepsTaken(theirs: Steps, ours: Steps): number | null {
  if (theirs.to !== ours.to) return theirs.to === ours.from || theirs.from === ours.from ? -1 : null;
  if (theirs.from === theirs.to) return Infinity;
  return theirs.from === ours.from ? theirs.taken : -1;
}

/** Another one is on its way, and has taken more steps of our change. */
export function stepsAhead(theirs: Steps, ours: Steps, taken: number): boolean {
  const steps = stepsTaken(theirs, ours);
  return steps !== null && steps !== Infinity && steps > taken;
}
