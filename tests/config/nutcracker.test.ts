// nutcracker.yml, read: each of twemproxy's options is taken, noted or a problem of its pool.
import { describe, expect, test } from "bun:test";
import { TWEMPROXY_HASHES } from "../../src/config/config.ts";
import { readNutcracker } from "../../src/config/nutcracker.ts";
import { problemLine } from "../../src/config/problem.ts";

const read = (text: string) => readNutcracker("n.yml", text);
const pool = (text: string) => read(`alpha:\n${text.split("\n").map((line) => `  ${line}\n`).join("")}`).pools[0]!;
const said = (text: string): string[] => pool(text).entries.map(({ key, line, values }) => `${line} ${key} ${values.map((each) => each.text).join(" | ")}`);
const wrong = (text: string): string[] => pool(text).problems.map(problemLine);

describe("nutcracker.yml", () => {
  test("its options are tandem's settings", () => {
    expect(said(`listen: 127.0.0.1:22121
hash: md5
hash_tag: "{}"
distribution: ketama
timeout: 400
client_connections: 1000
server_connections: 2
servers:
 - 127.0.0.1:11212:1
 - 127.0.0.1:11213:2   beta`)).toEqual([
      "2 listen 127.0.0.1:22121", "4 hash_tag {}", "6 timeout 400", "6 connect_timeout 400", "7 max_clients 1000", "8 lanes 2",
      "9 servers 127.0.0.1:11212:1 | 127.0.0.1:11213:2 beta", "3 ring twemproxy-md5",
    ]);
    expect(said("listen: /run/n.sock 0666")).toEqual(["2 listen /run/n.sock", "2 unix_mode 0666", "1 ring twemproxy"]);
    expect(said("listen: /run/n.sock\nclient_connections: 0\nredis: false\nauto_eject_hosts: false")).toEqual(["2 listen /run/n.sock", "1 ring twemproxy"]);
  });
  test("each hash with each distribution is a placement", () => {
    for (const hash of TWEMPROXY_HASHES) {
      for (const [distribution, prefix] of [["ketama", "2 ring twemproxy-"], ["modula", "3 ring twemproxy-modula-"]]) {
        expect(said(`hash: ${hash}\ndistribution: ${distribution}`)).toEqual([`${prefix}${hash}`.replace(/ twemproxy-fnv1a_64$/, " twemproxy")]);
      }
    }
    expect(said("distribution: modula")).toEqual(["2 ring twemproxy-modula-fnv1a_64"]);
  });
  test("what has no equal is a note", () => {
    const notes = pool("backlog: 512\npreconnect: true\nauto_eject_hosts: true\nserver_retry_timeout: 2000\nserver_failure_limit: 1\ntcpkeepalive: true\nclient_connections: 0").notes;
    expect(notes.map(({ flag, given }) => `${flag} ${given}`)).toEqual([
      "n.yml:2: alpha.backlog 512", "n.yml:3: alpha.preconnect true", "n.yml:4: alpha.auto_eject_hosts true", "n.yml:5: alpha.server_retry_timeout 2000",
      "n.yml:6: alpha.server_failure_limit 1", "n.yml:7: alpha.tcpkeepalive true", "n.yml:8: alpha.client_connections 0",
    ]);
  });
  test("what would be another placement, or Redis, is refused by name", () => {
    expect(wrong("hash: sha1")).toEqual([`n.yml:2: alpha.hash sha1: is none of twemproxy's; allowed: ${TWEMPROXY_HASHES.join(", ")}`]);
    expect(wrong("distribution: random")).toEqual([
      "n.yml:2: alpha.distribution random: places a key anew each time, so that nobody finds it again; allowed: ketama or modula",
    ]);
    expect(wrong("distribution: jump")).toEqual(["n.yml:2: alpha.distribution jump: is none of twemproxy's; allowed: ketama or modula"]);
    expect(wrong("redis: true\nredis_db: 1\nredis_auth: x")).toEqual([
      "n.yml:2: alpha.redis true: is a pool of Redis, which tandem does not speak; allowed: redis: false; --pool serves some pools only",
      "n.yml:3: alpha.redis_db: is for Redis, which tandem does not speak; allowed: memcached pools",
      "n.yml:4: alpha.redis_auth: is for Redis, which tandem does not speak; allowed: memcached pools",
    ]);
    expect(wrong("servrs: 1")[0]).toMatch(/^n\.yml:2: alpha\.servrs: is no option of twemproxy's; allowed: listen, servers, /);
    expect(wrong("servers: a:1")).toEqual(["n.yml:2: alpha.servers: is no list; allowed: - host:port:weight lines"]);
    expect(wrong("timeout: [1]")).toEqual(["n.yml:2: alpha.timeout: is no single value; allowed: timeout: value"]);
  });
  test("what is no YAML, or no pool, is told with its line", () => {
    expect(read("alpha:\n  listen: [1\n").problems.map(problemLine)[0]).toMatch(/^n\.yml:\d+:\d+: is no YAML: /);
    expect(read("alpha: 1").problems.map(problemLine)).toEqual(["n.yml:1: alpha: is no pool; allowed: listen, servers … below it"]);
    expect(read("- a").problems.map(problemLine)).toEqual(["n.yml:1: holds no pool; allowed: name: with listen and servers below"]);
    expect(read("a:\n  listen: x\na:\n  listen: y\n").problems.length).toBe(1);
  });
  test("one that is indented wrongly does not hide what is wrong with the others", () => {
    const file = read("# pools\nalpha:\n  hash: md5\n   timeout: 1\n  servers:\n  - a:1:1\nbeta: # second\n  hash: crc99\n\n  servers:\n  - a:1:1\n");
    expect(file.problems.map(problemLine)[0]).toMatch(/^n\.yml:3:9: is no YAML: /);
    expect(file.pools.map(({ name, problems }) => [name, problems.map(problemLine).join().slice(0, 50)])).toEqual([["beta", "n.yml:8: beta.hash crc99: is none of twemproxy's; "]]);
  });
});
