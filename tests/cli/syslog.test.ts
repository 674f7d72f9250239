// Lines to the system's log: their form, and what happens to them while it takes none.
import { expect, test } from "bun:test";
import { Syslog } from "../../src/cli/syslog.ts";
import { FakePlatform } from "../support/fake_platform.ts";

/** Takes lines while `takes`, and keeps them without their times. */
function system(): { platform: FakePlatform; lines: string[]; state: { takes: boolean } } {
  const platform = new FakePlatform();
  const lines: string[] = [];
  const state = { takes: true };
  const datagram = (path: string, text: string) => {
    if (!state.takes) return { ok: false as const, reason: `${path} takes nothing` };
    lines.push(text.replace(/>[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d /, ">"));
    return { ok: true as const };
  };
  Object.assign(platform.host, { datagram });
  return { platform, lines, state };
}

test("a line has facility daemon, the severity of its level, the time, and who says it", () => {
  const { platform, lines } = system();
  const log = Syslog.open(platform, "1.2.3");
  if (typeof log === "string") throw new Error(log);
  for (const level of ["debug", "info", "warning", "error"]) log.write(`${level} text\n`, level);
  expect(lines).toEqual([
    "<30>tandem[7]: INFO log begins version=1.2.3", "<31>tandem[7]: debug text", "<30>tandem[7]: info text", "<28>tandem[7]: warning text", "<27>tandem[7]: error text",
  ]);
});

test("while nobody takes lines they wait in their order; what is more than may wait is counted", () => {
  const { platform, lines, state } = system();
  const log = Syslog.open(platform, "1");
  if (typeof log === "string") throw new Error(log);
  lines.length = 0;
  state.takes = false;
  for (let i = 0; i < 1003; i++) log.write(`${i}\n`, "info");
  platform.pass(1000);
  expect(lines).toEqual([]);
  state.takes = true;
  platform.pass(1000);
  expect(lines.slice(0, 1000)).toEqual(Array.from({ length: 1000 }, (_, i) => `<30>tandem[7]: ${i}`));
  expect(lines.slice(1000)).toEqual(["<28>tandem[7]: WARN log lines lost lines=3"]);
  log.write("next\n", "info");
  expect(lines.at(-1)).toBe("<30>tandem[7]: next");
});

test("a system without a log is told", () => {
  const { platform, state } = system();
  state.takes = false;
  expect(Syslog.open(platform, "1")).toBe("/dev/log takes nothing");
});
