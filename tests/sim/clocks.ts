// Clocks that are wrong: how much too fast or too slow they run, and wall clocks that somebody sets while all is at work.
import type { SimHost } from "./host.ts";
import { Prng } from "./prng.ts";
import type { World } from "./world.ts";

/** How wrong clocks run at most, of a million: as badly as hardware does, and far worse. */
export const DRIFTS_PPM = [100, 1_000, 10_000] as const;
/** How far a wall clock is set, and how long until the next one is, microseconds. */
const JUMP_US = 10_000_000, PAUSE_US = 4_000_000;

/** Sets the wall clocks of some hosts, one after another. */
export function jumpClocks(world: World, hosts: readonly SimHost[], untilUs: number): void {
  const dice = new Prng(world.seed ^ 0xc10c);
  const jump = (): void => {
    if (world.nowUs >= untilUs) return;
    const host = dice.pick(hosts);
    host.skewUs += dice.range(-JUMP_US, JUMP_US);
    world.fired("wall_clock");
    world.note(`the wall clock of ${host.name} is set`);
    world.after(dice.range(100_000, PAUSE_US), jump);
  };
  world.after(dice.range(100_000, PAUSE_US), jump);
}
