// The door on Bun, and of the compiled binary: one platform, one program.
//
// They are imported as a part of their own, which the binary loads only now: where it starts itself again, the first start
// costs 28 ms and not 60.
import "./platform/bun_again.ts";
import process from "node:process";
import packageJson from "../package.json" with { type: "json" };

const [{ createBunPlatform }, { main }] = await Promise.all([import("./platform/bun.ts"), import("./program.ts")]);

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
