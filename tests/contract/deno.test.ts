// The contract on Deno and a real kernel.
import { createDenoPlatform } from "../../src/platform/deno.ts";
import { contract } from "./suite.ts";
import { realWorld } from "./real_world.ts";

contract("deno", () => realWorld(createDenoPlatform()));
