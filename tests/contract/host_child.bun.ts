// host_child on Bun.
import { createBunPlatform } from "../../src/platform/bun.ts";
import { runChild } from "./host_child.ts";

runChild(createBunPlatform(), process.argv.slice(2));
