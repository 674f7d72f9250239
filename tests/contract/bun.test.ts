// The contract on Bun and a real kernel.
import { createBunPlatform } from "../../src/platform/bun.ts";
import { crewContract } from "./crew_suite.ts";
import { hostContract } from "./host_suite.ts";
import { contract } from "./suite.ts";
import { realWorld } from "./real_world.ts";
import { witnessed } from "./witness_suite.ts";

// On Linux the first is our own epoll; Bun's sockets are what other systems get.
for (const [name, sockets] of [["bun", "fastest"], ["bun's own sockets", "bun"]] as const) {
  contract(name, () => realWorld(createBunPlatform(sockets)));
  witnessed(name, () => createBunPlatform(sockets));
}
hostContract("bun", [process.execPath, new URL("./host_child.bun.ts", import.meta.url).pathname], true);
crewContract("bun", [process.execPath, new URL("./host_child.bun.ts", import.meta.url).pathname], true);
