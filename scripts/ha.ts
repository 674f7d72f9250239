// How long clients are without an answer when one of two proxies behind one address fails: real Keepalived and real
// memcached on machines of their own, network namespaces of this one. Prints a table; exits 1 when a goal is missed.
import { parseArgs } from "node:util";
import { FAULTS, faultOf, measure, type Measured, rowOf } from "../tests/support/ha/faults.ts";
import { whyNoMachines } from "../tests/support/ha/machines.ts";
import { Site } from "../tests/support/ha/site.ts";

const help = `scripts/ha [flags]: two proxies, one address, faults; needs root, iproute2, keepalived and memcached
  --runs N         how often each fault is tried (default 3); the longest gap counts
  --fault TEXT     only faults whose name contains it
  --tandem PATH    the binary (default dist/tandem)`;

const { values } = parseArgs({
  args: Bun.argv.slice(2),
  options: {
    runs: { type: "string", default: "3" }, fault: { type: "string", default: "" },
    tandem: { type: "string", default: `${process.cwd()}/dist/tandem` }, help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}
const why = whyNoMachines() || (["keepalived", "memcached"].find((program) => Bun.which(program) === null) ?? "");
if (why !== "") {
  console.error(`scripts/ha: ${why}`);
  process.exit(1);
}

const site = new Site(values.tandem);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
const all: Measured[] = [];
try {
  await site.start();
  for (const fault of FAULTS) {
    for (let run = 0; fault.name.includes(values.fault) && run < Number(values.runs); run++) {
      const measured = await measure(site, fault);
      console.error(`${rowOf(measured)}  ${faultOf(measured)}`);
      all.push(measured);
    }
  }
} finally {
  site.end();
}

console.log("| the host with the address | goal, ms | longest without a success, ms | on the way back, ms | moves |\n|---|---|---|---|---|");
for (const fault of FAULTS) {
  const runs = all.filter((measured) => measured.fault === fault);
  if (runs.length === 0) continue;
  const longest = (of: (measured: Measured) => number): number => Math.max(...runs.map(of));
  const goal = fault.goalMs === Infinity ? "–" : `${fault.goalMs}`;
  // Without servers there is no success to wait for.
  const [gap, back] = fault.goalMs === Infinity ? ["–", "–"] : [longest(({ gapMs }) => gapMs), longest(({ backMs }) => backMs)];
  console.log(`| ${fault.name} | ${goal} | ${gap} | ${back} | ${longest(({ moves }) => moves)} |`);
}
process.exit(all.every((measured) => faultOf(measured) === "") ? 0 : 1);
