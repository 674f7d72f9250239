// The contract on Bun and a real kernel.
import { createBunPlatform } from "../../src/platform/bun.ts";
import { contract } from "./suite.ts";
import { realWorld } from "./real_world.ts";

contract("bun", () => realWorld(createBunPlatform()));
