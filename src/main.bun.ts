// The door on Bun, and of the compiled binary: one platform, one program.
import process from "node:process";
import packageJson from "../package.json" with { type: "json" };
import { createBunPlatform } from "./platform/bun.ts";
import { main } from "./program.ts";

// scripts/build puts texts in their place; from source they do not exist.
declare const TANDEM_COMMIT: string | undefined;
declare const TANDEM_TARGET: string | undefined;

main(createBunPlatform(), {
  args: process.argv.slice(2),
  argv0: process.argv0,
  build: {
    version: packageJson.version,
    commit: typeof TANDEM_COMMIT === "string" ? TANDEM_COMMIT : "source",
    target: typeof TANDEM_TARGET === "string" ? TANDEM_TARGET : "",
  },
});
