// The contract on Bun and a real kernel.
import { createBunPlatform } from "../../src/platform/bun.ts";
import { crewContract } from "./crew_suite.ts";
import { hostContract } from "./host_suite.ts";
import { contract } from "./suite.ts";
import { realWorld } from "./real_world.ts";
import { witnessed } from "./witness_suite.ts";

contract("bun", () => realWorld(createBunPlatform()));
witnessed("bun", createBunPlatform);
hostContract("bun", [process.execPath, new URL("./host_child.bun.ts", import.meta.url).pathname], true);
crewContract("bun", [process.execPath, new URL("./host_child.bun.ts", import.meta.url).pathname], true);
