// magent.conf, read.
import { describe, expect, test } from "bun:test";
import { readMagentIni } from "../../src/config/magent_ini.ts";
import { problemLine } from "../../src/config/problem.ts";

const read = (text: string) => readMagentIni("m.conf", text);
const said = (text: string): string[] => read(text).top.map(({ key, line, values }) => `${line} ${key} ${values.map((each) => each.text).join(" | ")}`);

describe("magent.conf", () => {
  test("its words are tandem's", () => {
    expect(said(`# both farms
[General]
masters=10.0.0.1:11211, 10.0.0.2
backups = 10.0.1.1:11211,
port=12000
host_ip=127.0.0.1
maxconns=1000
maxidle=4
useketama=true
daemon_mode=false
verbose_mode=1
`)).toEqual([
      "3 servers 10.0.0.1:11211 | 10.0.0.2", "4 backups 10.0.1.1:11211", "5 port 12000", "6 listen 127.0.0.1", "7 max_clients 1000", "8 lanes 4",
      "9 ring magent", "10 daemon false", "11 verbose true",
    ]);
  });
  test("its defaults are magent's: port 11215, modulo", () => {
    expect(said("masters=a:1")).toEqual(["1 servers a:1", "0 port 11215", "0 ring magent-modulo"]);
    expect(said("masters=a:1\nuseketama=0")).toContain("2 ring magent-modulo");
  });
  test("what has no equal is named, what is wrong is a problem", () => {
    const file = read("[General]\nmasters=a:1\nlogdir=/var/log\nlog_level=3\nspeed=9\nuseketama=yes\nport=1\nport=2\nnonsense\n[tasks]\nx=1");
    expect(file.notes.map(problemLine)).toEqual([
      "m.conf:3: logdir /var/log: has no equal here and is left out; allowed: the log goes to stderr, or with daemon_mode to --log-file",
      "m.conf:4: log_level 3: has no equal here and is left out; allowed: verbose_mode, or -v and -vv",
    ]);
    expect(file.problems.map(problemLine)).toEqual([
      "m.conf:5: speed 9: is no word of magent.conf; allowed: masters, backups, port, host_ip, maxconns, maxidle, useketama, daemon_mode, verbose_mode, logdir, log_level",
      "m.conf:6: useketama yes: is neither true nor false; allowed: true or false",
      "m.conf:8: port 2: given twice; allowed: once",
      "m.conf:9 nonsense: is no line of magent.conf; allowed: key=value, [General] or # comment",
      "m.conf:10: [tasks]: is not known to tandem; allowed: [General]",
    ]);
  });
});
