// The contract on Deno and a real kernel.
import { createDenoPlatform } from "../../src/platform/deno.ts";
import { crewContract } from "./crew_suite.ts";
import { hostContract } from "./host_suite.ts";
import { contract } from "./suite.ts";
import { realWorld } from "./real_world.ts";
import { witnessed } from "./witness_suite.ts";

contract("deno", () => realWorld(createDenoPlatform()));
witnessed("deno", createDenoPlatform);
const child = new URL("./host_child.deno.ts", import.meta.url).pathname;
hostContract("deno", [Deno.execPath(), "run", "--allow-all", "--no-check", child], false);
crewContract("deno", [Deno.execPath(), "run", "--allow-all", "--no-check", child], false);
