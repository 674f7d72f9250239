// The door on Deno: one platform, one program.
import process from "node:process";
import packageJson from "../package.json" with { type: "json" };
import { createDenoPlatform } from "./platform/deno.ts";
import { main } from "./program.ts";

// scripts/build --deno puts texts in their place; from source they do not exist.
declare const TANDEM_COMMIT: string | undefined;
declare const TANDEM_TARGET: string | undefined;

main(createDenoPlatform(), {
  args: Deno.args,
  // From source this is the runtime's own name, which is no name of ours.
  argv0: process.argv0 ?? "",
  build: {
    version: packageJson.version,
    commit: typeof TANDEM_COMMIT === "string" ? TANDEM_COMMIT : "source",
    target: typeof TANDEM_TARGET === "string" ? TANDEM_TARGET : "",
  },
});
