// host_child on Deno.
import { createDenoPlatform } from "../../src/platform/deno.ts";
import { runChild } from "./host_child.ts";

runChild(createDenoPlatform(), Deno.args);
