// How rough the wires of a run are: drawn per seed, so that many combinations are seen (swarm).
import { Prng } from "./prng.ts";
import type { Settings } from "./world.ts";

/** A distant network and everybody at the same few keys: what two do to a key at a time overlaps. One world in 8. */
export function isRush(seed: number): boolean {
  return new Prng(seed ^ 0x2b5).chance(1, 8);
}

export const DISTANT: Partial<Settings> = { latencyUs: [2_000, 20_000], jitterUs: 1_000, sendBuffer: [65_536, 262_144], receiveBuffer: [65_536, 262_144] };

export function drawSettings(dice: Prng): Partial<Settings> {
  const small = dice.chance(1, 3);
  return {
    latencyUs: dice.pick([[20, 80], [40, 400], [200, 2_000]] as const),
    jitterUs: dice.pick([5, 50, 1_000]),
    segmentBytes: dice.pick([536, 1_460, 16_384]),
    sendBuffer: small ? [600, 8_000] : [65_536, 262_144],
    receiveBuffer: small ? [600, 8_000] : [65_536, 262_144],
    shortWrites: dice.pick([0, 0, 10, 200]),
    fragments: dice.pick([0, 2, 8]),
    turnUs: dice.pick([[2, 10], [5, 40], [20, 400]] as const),
    timerLateUs: dice.pick([0, 1_000]),
    shuffleReady: dice.chance(1, 2),
  };
}
