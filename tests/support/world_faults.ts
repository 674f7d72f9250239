// What befalls the first primary of a world of real servers, for tests in which several look at it at once.
import { talksFrom } from "./tandem.ts";
import type { World } from "./world.ts";

export interface Fault {
  readonly name: string;
  begin(world: World): void;
  end(world: World): Promise<void> | void;
}

export const KILLED: Fault = {
  name: "kill -9, back empty",
  begin: (world) => world.servers[0]!.kill("SIGKILL"),
  end: (world) => world.restart(0),
};

export const HUNG: Fault = {
  name: "SIGSTOP, SIGCONT",
  begin: (world) => world.servers[0]!.kill("SIGSTOP"),
  end: (world) => world.servers[0]!.kill("SIGCONT"),
};

/** One process alone cannot reach it, by the relay before it; then may go on with that process. */
export function cutOff(name: string, processOf: (world: World) => number, then: (pid: number) => void = () => {}): Fault {
  return {
    name,
    begin: (world) => {
      const [relay, cut] = [world.relays.get(0)!, processOf(world)];
      relay.admits = (port) => !talksFrom(cut, port);
      relay.sift();
      then(cut);
    },
    end: (world) => void (world.relays.get(0)!.admits = () => true),
  };
}
