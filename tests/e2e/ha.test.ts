// Two proxies behind one address with real Keepalived and real memcached, each on a machine of its own (network
// namespaces): how long clients are without an answer when the host that has the address fails. `scripts/ha` tries more.
import { expect, test } from "bun:test";
import { FAULTS, faultOf, measure, rowOf } from "../support/ha/faults.ts";
import { whyNoMachines } from "../support/ha/machines.ts";
import { Site } from "../support/ha/site.ts";
import { tandemPath } from "../support/tandem.ts";

const TRIED = ["proxy kill -9", "proxy SIGSTOP", "Keepalived stopped", "power off", "deaf host", "host paused for 300 ms"];
/** A busy machine makes a gap longer, nothing makes it shorter: the best of a few tries is the program's own. */
const TRIES = 3;

test("the address moves within its goal at each fault, and never without need", async () => {
  const why = whyNoMachines() || (Bun.which("keepalived") === null ? "keepalived is missing" : "");
  if (why !== "") return console.log(`not run: ${why}`);
  const site = new Site(tandemPath());
  try {
    await site.start();
    for (const name of TRIED) {
      const fault = FAULTS.find((each) => each.name === name)!;
      let problem = "";
      for (let attempt = 1; attempt <= TRIES; attempt++) {
        const measured = await measure(site, fault);
        console.log(rowOf(measured));
        problem = faultOf(measured);
        if (problem === "") break;
      }
      expect(`${name}: ${problem}`).toBe(`${name}: `);
    }
  } finally {
    site.end();
  }
}, 120_000);
